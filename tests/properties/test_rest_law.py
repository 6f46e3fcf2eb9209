"""The law of rest for any roster: judged at once or shift by shift, quickly or slowly, moved in time or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.directory import Directory, LineId, Person, PersonId, ProviderId, Role
from oncall.rota.legal import LegalLimits, Rule, Severity, may_add, violations
from oncall.rota.model import Absence, Line, LineKind, Roster, Session, Shift
from oncall.spans import Span

ANNE = PersonId("anne")
LIMITS = LegalLimits()
START = datetime(2026, 10, 20, tzinfo=UTC)
WITHIN = Span(start=START - timedelta(days=400), end=START + timedelta(days=400))


def line(name: str, kind: LineKind = LineKind.DUTY) -> Line:
    return Line(
        line_id=LineId(name), name=name, kind=kind, provider_id=ProviderId("pool"), time_zone="Europe/Paris",
        commune="42187", rules=(),
    )  # fmt: skip


LINES = (line("a"), line("b"), line("backup", LineKind.BACKUP))


@dataclass
class Resolved:
    """A timeline that answers with given shifts."""

    shifts: Sequence[Shift]

    def shifts_of(self, person_id: PersonId, within: Span) -> list[Shift]:
        return [one for one in self.shifts if one.person_id == person_id and one.span.overlaps(within)]


# Half hours over three weeks around the end of summer time; shifts of an hour to 15 hours.
spans = st.builds(
    lambda at, length: Span(
        start=START + timedelta(minutes=30 * at), end=START + timedelta(minutes=30 * (at + length))
    ),
    st.integers(0, 48 * 21),
    st.integers(2, 30),
)
shifts = st.builds(
    lambda span, on: Shift(line_id=on.line_id, person_id=ANNE, span=span, origin="plan:1"),
    spans,
    st.sampled_from(LINES),
)
sessions = st.builds(lambda span: Session(person_id=ANNE, span=span), spans)
absences = st.builds(lambda span: Absence(person_id=ANNE, span=span), spans)
PERSON = Person(person_id=ANNE, name="Anne", role=Role.RADIOLOGIST, teleradiology_share_max=0.05)
DIRECTORY = Directory(sites={}, persons={ANNE: PERSON}, providers={})


def forbidden(rota: Sequence[Shift], work: Sequence[Session], away: Sequence[Absence] = ()) -> set[Rule]:
    found = violations(ANNE, rota, work, LIMITS, WITHIN, lines=LINES, person=PERSON, absences=away)
    return {one.rule for one in found if one.severity is not Severity.NOTICE}


@settings(max_examples=300, deadline=None)
@given(st.lists(shifts, max_size=8), st.lists(sessions, max_size=4), st.lists(absences, max_size=2), shifts)
def test_a_shift_that_may_be_added_to_a_legal_roster_leaves_it_legal_and_one_that_may_not_does_not(
    rota: list[Shift], work: list[Session], away: list[Absence], new: Shift
) -> None:
    legal: list[Shift] = []
    for one in rota:
        if not forbidden([*legal, one], work, away):
            legal.append(one)
    if forbidden(legal, work, away):
        return
    roster = Roster(version="1", lines=LINES, sessions=tuple(work), absences=tuple(away))
    on = next(one for one in LINES if one.line_id == new.line_id)

    refused = {one.rule for one in may_add(ANNE, new.span, on, Resolved(legal), roster, DIRECTORY, LIMITS)}

    assert refused == forbidden([*legal, new], work, away)


@settings(max_examples=200, deadline=None)
@given(st.lists(shifts, max_size=8), st.lists(sessions, max_size=4))
def test_leaving_a_shift_out_never_breaks_a_rule_of_rest_that_held(rota: list[Shift], work: list[Session]) -> None:
    if Rule.DOUBLE_BOOKING in forbidden(rota, work) or Rule.REST_11_H in forbidden(rota, work):
        return
    for place in range(len(rota)):
        assert Rule.REST_11_H not in forbidden([*rota[:place], *rota[place + 1 :]], work)


@settings(max_examples=200, deadline=None)
@given(st.lists(shifts, max_size=8, unique_by=lambda one: one.span))
def test_every_refusal_names_shifts_that_exist_and_speaks_both_languages(rota: list[Shift]) -> None:
    for one in violations(ANNE, rota, (), LIMITS, WITHIN, lines=LINES, person=PERSON):
        assert one.shifts
        assert set(one.shifts) <= set(rota)
        assert one.message_fr != one.message_en
        assert all(shift.line_id in one.message_en for shift in (one.shifts[0], one.shifts[-1]))
