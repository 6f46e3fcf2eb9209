"""What a called backup worked counts for the law when they might be called again, also after a restart."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from foundation.database import Database
from oncall.directory import LineId, PersonId
from oncall.engine.boards import refusal, worked
from oncall.engine.duty import CalledBackup, Duty
from oncall.engine.duty_rows import worked_calls
from oncall.engine.in_force import InForce
from oncall.engine.ports import Store
from oncall.engine.sql_store import SqlStore
from oncall.reading.board import ExamKind
from oncall.rota.model import ShiftPlan
from oncall.spans import Span
from tests.harness.small_territory import BEGIN, END, at, engine, in_force, ready_case, roster, run_until

BRUNO: Final = PersonId("bruno")
BACKUP: Final = LineId("backup1")
# The day after the night, bruno is at home on the backup line again.
SUNDAY: Final = datetime(2026, 10, 25, 11, tzinfo=UTC)


def rules() -> InForce:
    span = Span(start=END, end=SUNDAY + timedelta(hours=6))
    again = ShiftPlan(shift_id="sunday", line_id=BACKUP, person_id=BRUNO, span=span)
    planned = roster()
    return in_force(replace(planned, plans=(*planned.plans, again)))


def call(start: datetime, hours: float) -> CalledBackup:
    return CalledBackup(
        person_id=BRUNO, line_id=BACKUP, called_at=start, arrives_at=start, until=start + timedelta(hours=hours)
    )


def test_who_spent_the_night_at_home_may_be_called_the_next_day() -> None:
    assert refusal(BRUNO, BACKUP, SUNDAY, rules(), Duty()) == ""


def test_who_was_called_in_the_night_rests_eleven_hours_before_a_call_by_day() -> None:
    worked = Duty(released=(call(at(510), 2.5),))

    assert "11 are needed" in refusal(BRUNO, BACKUP, SUNDAY, rules(), worked)
    assert refusal(BRUNO, BACKUP, SUNDAY + timedelta(hours=4), rules(), worked) == ""


def test_what_somebody_else_worked_is_not_counted() -> None:
    worked = Duty(released=(replace(call(at(510), 2.5), person_id=PersonId("basile")),))

    assert refusal(BRUNO, BACKUP, SUNDAY, rules(), worked) == ""


def test_calls_of_four_months_count_for_the_average_of_48_hours() -> None:
    days = [SUNDAY - timedelta(days=day) for day in range(1, 119) if day % 7]
    worked = Duty(released=tuple(call(day - timedelta(hours=3), 10.0) for day in reversed(days)))

    assert "48" in refusal(BRUNO, BACKUP, SUNDAY, rules(), worked)


def test_an_engine_that_starts_weeks_later_knows_what_called_backups_worked(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    for number in range(10):
        ready_case(runner, f"C{number}", at(5), exam=ExamKind.ABDOMEN)
    run_until(runner, at(6))
    (person_id,) = runner.night.duty.backups
    runner.answer_backup_call(person_id, at(7), is_coming=True)
    runner.set_unavailable(person_id, at(20), reason="ill")
    run_until(runner, at(300))
    before = [one for one in runner.night.duty.released if one.person_id == person_id]

    later = engine(store, worker="later")
    later.start(BEGIN + timedelta(weeks=8))

    assert before
    assert [one for one in later.night.duty.released if one.person_id == person_id] == before


def test_who_has_a_case_open_when_their_time_is_over_worked_until_they_are_let_go() -> None:
    runner = engine()
    runner.run_due(BEGIN)
    for number in range(10):
        ready_case(runner, f"C{number}", at(5), exam=ExamKind.ABDOMEN)
    run_until(runner, at(6))
    (person_id,) = runner.night.duty.backups
    runner.answer_backup_call(person_id, at(7), is_coming=True)
    turn = runner.next_case(person_id, at(25))
    assert turn is not None
    runner.claim(turn.case_id, person_id, at(25), transaction_uid="1.7")
    run_until(runner, at(400))
    assert person_id in runner.night.duty.backups

    runner.sign(turn.case_id, person_id, at(400), transaction_uid="1.7")
    for case in runner.open_cases(at(400)):
        if case.is_ready:
            runner.claim(case.case_id, PersonId("boris"), at(400), transaction_uid=f"1.{case.case_id}")
    run_until(runner, at(480))

    (let_go,) = [one for one in runner.night.duty.released if one.person_id == person_id]
    assert let_go.until >= at(400)


def test_who_is_not_the_engine_reads_the_same_calls_from_the_database(database: Database) -> None:
    runner = engine(SqlStore(database))
    runner.run_due(BEGIN)
    for number in range(10):
        ready_case(runner, f"C{number}", at(5), exam=ExamKind.ABDOMEN)
    run_until(runner, at(6))
    (person_id,) = runner.night.duty.backups
    runner.answer_backup_call(person_id, at(7), is_coming=True)
    with database.read() as connection:
        (planned,) = worked_calls(connection, BEGIN)
    runner.set_unavailable(person_id, at(20), reason="ill")
    run_until(runner, at(300))

    with database.read() as connection:
        done = [one for one in worked_calls(connection, BEGIN) if one.person_id == person_id]
        later = worked_calls(connection, at(1000))

    assert done == list(worked(runner.night.duty, person_id))
    assert (planned.person_id, planned.span.start) == (person_id, done[0].span.start)
    assert later == ()
