"""Whatever is asked of the generator: a complete, legal roster that keeps what is locked, or a smallest conflict."""

from collections.abc import Sequence
from datetime import date, timedelta

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from oncall.rota.generate import generate, with_generated
from oncall.rota.generate_explain import QUESTION_S_MAX
from oncall.rota.generate_model import RosterModel
from oncall.rota.generate_problem import Problem, problem_of
from oncall.rota.generation import Demand, GeneratedRoster, GenerationRequest, Infeasible
from oncall.rota.legal import Severity, violations
from oncall.rota.model import Absence, LineKind, Roster, Session, ShiftPlan
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.unit.oncall.rota.rosters import DEEP_NIGHT, EVENING, SATURDAY, WHOLE_NIGHT, directory, line, local, readers

FIRST_DAY = date(2026, 10, 20)  # The clocks change on the sixth day.
DAYS = 8
PEOPLE = readers(5)
LINES = (line("reader-1", EVENING, DEEP_NIGHT, SATURDAY), line("backup", WHOLE_NIGHT, kind=LineKind.BACKUP))
WITHIN = Span(
    start=local(date(2026, 6, 1), "00:00", "01:00").start, end=local(date(2027, 4, 1), "00:00", "01:00").start
)

people = st.sampled_from(PEOPLE)
days = st.integers(0, DAYS - 1).map(lambda number: FIRST_DAY + timedelta(days=number))
absences = st.builds(
    lambda who, day, nights: Absence(
        person_id=who, span=Span(start=local(day, "08:00", "09:00").start,
                                 end=local(day + timedelta(days=nights), "08:00", "09:00").start)),
    people, days, st.integers(1, 5),
)  # fmt: skip
sessions = st.builds(lambda who, day: Session(person_id=who, span=local(day, "08:30", "12:30")), people, days)
locked = st.builds(
    lambda who, day, whole: ShiftPlan(
        shift_id=f"locked {who} {day}", line_id=LINES[0].line_id, person_id=who, locked=True,
        span=local(day, "18:30", "08:30" if whole else "00:30")),
    people, days, st.booleans(),
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    away=st.lists(absences, max_size=6),
    mornings=st.lists(sessions, max_size=6),
    plans=st.lists(locked, max_size=4, unique_by=lambda plan: plan.span.start),
    share=st.sampled_from([1.0, 1.0, 0.05]),
)
def test_a_request_ends_in_a_legal_roster_or_in_a_smallest_conflict(
    away: list[Absence], mornings: list[Session], plans: list[ShiftPlan], share: float
) -> None:
    asked = GenerationRequest(
        roster=Roster(
            version="1", lines=LINES, absences=tuple(away), sessions=tuple(dict.fromkeys(mornings)), plans=tuple(plans)
        ),
        directory=directory(PEOPLE, share=share),
        first_day=FIRST_DAY,
        until=FIRST_DAY + timedelta(days=DAYS),
        people=PEOPLE,
        search_s_max=0.3,
    )  # fmt: skip

    found = generate(asked)

    event(type(found).__name__)
    if isinstance(found, GeneratedRoster):
        assert_complete_and_legal(asked, found)
    else:
        assert isinstance(found, Infeasible)
        assert_smallest(asked, found)


def assert_complete_and_legal(asked: GenerationRequest, found: GeneratedRoster) -> None:
    roster = with_generated(asked.roster, asked, found, "2")
    timeline = Timeline(roster, asked.directory, WITHIN)
    assert set(asked.roster.plans) <= set(roster.plans)
    for group in problem_of(asked).groups:
        for slot in group.slots:
            assert len(timeline.on_duty(slot.span.start, slot.line_id)) == 1
            assert len(timeline.line_shifts(slot.line_id, slot.span)) == 1
    for person in asked.directory.persons.values():
        broken = violations(
            person.person_id, timeline.shifts, roster.sessions, asked.limits, WITHIN,
            lines=roster.lines, person=person, absences=roster.absences,
        )  # fmt: skip
        # Two sessions of one morning are the hospital's affair; whatever a generated shift takes part in is ours.
        assert not [
            one.message_en
            for one in broken
            if one.severity is not Severity.NOTICE and any(shift.line_id != "session" for shift in one.shifts)
        ]


def assert_smallest(asked: GenerationRequest, found: Infeasible) -> None:
    assert found.is_minimal
    problem = problem_of(asked)
    known = set(problem.demands())
    if not set(found.conflict) <= known:
        event("whole kinds")
        return
    assert status_of(problem, found.conflict) == cp_model.INFEASIBLE
    for member in found.conflict:
        assert status_of(problem, [one for one in found.conflict if one is not member]) == cp_model.OPTIMAL
        assert member.text_en in found.message_en


def status_of(problem: Problem, demands: Sequence[Demand]) -> object:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = QUESTION_S_MAX
    return solver.solve(RosterModel(problem, demands).model)
