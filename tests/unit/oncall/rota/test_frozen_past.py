"""The past is frozen: history speaks, edits of it are refused, and a shift that goes on stays one shift."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from foundation.errors import Refused
from oncall.directory import PersonId
from oncall.rota.model import Absence, OverrideKind, Roster, Session, Shift
from oncall.rota.timeline import Timeline, beginning, freeze, revised
from oncall.spans import Span
from tests.unit.oncall.rota.timeline_parts import (
    NIGHT,
    NOBODY_YET,
    READER,
    line,
    override,
    people_at,
    plan,
    span,
    turns,
    utc,
)

ROSTER = Roster(
    version="1",
    lines=(line(NIGHT),),
    rotations=(turns("AB", "2026-02-02"),),
    plans=(
        plan("past", "P", "2026-02-03T17:30", "2026-02-04T07:30"),
        plan("next", "P", "2026-02-09T17:30", "2026-02-10T07:30"),
    ),
    overrides=(override("running", OverrideKind.ADD, "2026-02-05T17:30", "2026-02-06T07:30", added="H"),),
    absences=(Absence(person_id=PersonId("Z"), span=span("2026-02-03T00:00", "2026-02-04T00:00")),),
    sessions=(Session(person_id=PersonId("Z"), span=span("2026-02-03T08:00", "2026-02-03T17:00")),),
)
WHOLE = span("2026-02-01T00:00", "2026-03-01T00:00")
# In the night of Thursday: A's, with H's help.
NOW = utc("2026-02-05T22:00")
NIGHT_IN_HAND = span("2026-02-05T17:30", "2026-02-06T07:30")


def timeline(roster: Roster, within: Span = WHOLE) -> Timeline:
    return Timeline(roster, NOBODY_YET, within)


def frozen() -> Roster:
    return freeze(ROSTER, NOW, timeline(ROSTER))


def test_freezing_changes_nobodys_duty() -> None:
    before, after = timeline(ROSTER), timeline(frozen())
    instants = [WHOLE.start + timedelta(hours=n) for n in range(28 * 24)]

    assert [{one.person_id for one in before.on_duty(at)} for at in instants] == [
        {one.person_id for one in after.on_duty(at)} for at in instants
    ]


def test_the_night_in_hand_stays_one_shift_of_its_real_length() -> None:
    after = timeline(frozen(), Span(start=NOW, end=NOW + timedelta(hours=1)))

    assert [(one.person_id, one.span) for one in after.shifts] == [("B", NIGHT_IN_HAND), ("H", NIGHT_IN_HAND)]


@pytest.mark.parametrize("minutes", [-1, 0, 1])
def test_freezing_at_a_handover_does_not_make_one_shift_of_two(minutes: int) -> None:
    whole_days = replace(NIGHT, end=NIGHT.start)
    roster = Roster(version="1", lines=(line(whole_days),), rotations=(turns("A", "2026-02-02"),))
    once = freeze(roster, utc("2026-02-03T17:30") + timedelta(minutes=minutes), timeline(roster))
    twice = freeze(once, utc("2026-02-04T17:30"), timeline(once))

    for one in (once, twice):
        assert [shift.span.hours for shift in timeline(one, span("2026-02-02T18:00", "2026-02-05T12:00")).shifts] == [
            24
        ] * 3


def test_freezing_little_by_little_is_freezing_at_once() -> None:
    little = ROSTER
    for hours in range(0, 24 * 5, 5):
        until = utc("2026-02-01T03:00") + timedelta(hours=hours)
        little = freeze(little, until, timeline(little))
    little = freeze(little, NOW, timeline(little))

    assert little.history == frozen().history


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda roster: replace(roster, rotations=(turns("XYZ", "2020-01-01"),)), id="another rotation"),
        pytest.param(lambda roster: replace(roster, lines=(line(),), rotations=()), id="no rules any more"),
        pytest.param(
            lambda roster: replace(
                roster,
                absences=(
                    *roster.absences,
                    Absence(person_id=PersonId("B"), span=span("2026-02-05T22:00", "2026-02-20T00:00")),
                ),
            ),
            id="leave from now on",
        ),
    ],
)
def test_no_edit_changes_who_was_on_duty(edit: Callable[[Roster], Roster]) -> None:
    edited = revised(frozen(), edit(frozen()))
    was, now = timeline(ROSTER), timeline(edited)

    for hours in range(24 * 4):
        at = WHOLE.start + timedelta(hours=hours)
        assert [one.person_id for one in was.on_duty(at)] == [one.person_id for one in now.on_duty(at)]


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        pytest.param(lambda r: replace(r, plans=r.plans[1:]), "past", id="a past plan removed"),
        pytest.param(
            lambda r: replace(r, plans=(replace(r.plans[0], person_id=PersonId("Q")), *r.plans[1:])),
            "past",
            id="or given to another",
        ),
        pytest.param(
            lambda r: replace(
                r,
                overrides=(
                    *r.overrides,
                    override("new", OverrideKind.ADD, "2026-02-05T21:00", "2026-02-06T07:30", added="C"),
                ),
            ),
            "new",
            id="an override that begins in the past",
        ),
        pytest.param(lambda r: replace(r, overrides=()), "running", id="a running override removed"),
        pytest.param(lambda r: replace(r, absences=()), "Z", id="a past absence forgotten"),
        pytest.param(lambda r: replace(r, sessions=()), "Z", id="a past session forgotten"),
        pytest.param(lambda r: replace(r, history=r.history[1:]), "history", id="history shortened"),
        pytest.param(
            lambda r: replace(
                r,
                history=(
                    Shift(
                        line_id=READER,
                        person_id=PersonId("Q"),
                        span=span("2026-01-01T00:00", "2026-01-02T00:00"),
                        origin="history",
                    ),
                    *r.history,
                ),
            ),
            "history",
            id="history made up",
        ),
        pytest.param(lambda r: replace(r, history=(), frozen_until=None), "frozen", id="history thrown away"),
        pytest.param(lambda r: replace(r, frozen_until=utc("2026-02-08T00:00")), "frozen", id="frozen on by hand"),
    ],
)
def test_an_edit_of_the_past_is_refused_and_says_what(edit: Callable[[Roster], Roster], named: str) -> None:
    with pytest.raises(Refused, match=named):
        revised(frozen(), edit(frozen()))


def test_a_running_override_can_be_cut_short_and_a_later_plan_moved() -> None:
    before = frozen()
    after = revised(
        before,
        replace(
            before,
            overrides=(replace(before.overrides[0], span=Span(start=NIGHT_IN_HAND.start, end=NOW)),),
            plans=(before.plans[0], plan("next", "Q", "2026-02-11T17:30", "2026-02-12T07:30")),
        ),
    )

    assert people_at(timeline(after), "2026-02-05T21:59") == "BH"
    assert people_at(timeline(after), "2026-02-05T22:00") == "B"


def test_history_is_never_opened_again() -> None:
    with pytest.raises(Refused, match="never opened again"):
        freeze(frozen(), NOW - timedelta(seconds=1), timeline(frozen()))


@pytest.mark.parametrize(
    "within", [span("2026-02-03T00:00", "2026-03-01T00:00"), span("2026-02-01T00:00", "2026-02-05T21:59")]
)
def test_a_past_that_was_not_looked_at_is_not_frozen_as_nobody(within: Span) -> None:
    with pytest.raises(Refused, match="needs a timeline"):
        freeze(ROSTER, NOW, timeline(ROSTER, within))


def test_a_timeline_of_another_roster_is_refused() -> None:
    with pytest.raises(Refused, match="build it from"):
        freeze(ROSTER, NOW, timeline(replace(ROSTER, version="2", rotations=())))


def test_a_roster_begins_with_its_first_word() -> None:
    assert beginning(ROSTER) == utc("2026-02-01T23:00")
    assert beginning(Roster(version="0", lines=(line(NIGHT),))) is None


def test_a_line_that_is_gone_keeps_its_history() -> None:
    gone = revised(
        replace(frozen(), plans=(), overrides=()), replace(frozen(), lines=(), rotations=(), plans=(), overrides=())
    )

    assert people_at(timeline(gone), "2026-02-03T20:00") == "P"
    assert timeline(gone).line_shifts(READER)[0].origin == "history"
