"""Who was called from home and worked into their rest reads nothing before it is over, whatever the roster says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from oncall.directory import LineId, PersonId
from oncall.engine.boards import Tonight, board_at, refusal_to_keep
from oncall.engine.duty import CalledBackup, Duty
from oncall.engine.in_force import InForce
from oncall.rota.model import LineKind, ShiftPlan
from oncall.spans import Span
from tests.harness.small_territory import in_force, roster

BRUNO: Final = PersonId("bruno")
BACKUP: Final = LineId("backup1")
# A Monday in winter, Paris is an hour ahead of UTC: calls of four hours that end then began in the night.
MORNING: Final = datetime(2026, 11, 2, 7, tzinfo=UTC)


def rules(duty_from: datetime, hours: float) -> InForce:
    planned = roster()
    line = next(one.line_id for one in planned.lines if one.kind is LineKind.DUTY)
    span = Span(start=duty_from, end=duty_from + timedelta(hours=hours))
    again = ShiftPlan(shift_id="again", line_id=line, person_id=BRUNO, span=span)
    return in_force(replace(planned, plans=(*planned.plans, again)))


def called(until: datetime, hours: float = 4.0) -> Duty:
    start = until - timedelta(hours=hours)
    backup = CalledBackup(person_id=BRUNO, line_id=BACKUP, called_at=start, arrives_at=start, until=until)
    return Duty(released=(backup,))


def resting_until(duty: Duty, duty_from: datetime, hours: float = 8.0) -> datetime | None:
    board = board_at(duty_from + timedelta(minutes=1), Tonight(ready=(), duty=duty), rules(duty_from, hours))
    until_s = next(reader.resting_until_s for reader in board.readers if reader.person_id == BRUNO)
    return None if until_s is None else datetime.fromtimestamp(until_s, UTC)


def test_a_call_at_night_is_followed_by_eleven_hours_of_rest_before_a_duty_by_day() -> None:
    assert resting_until(called(MORNING), MORNING + timedelta(hours=5)) == MORNING + timedelta(hours=11)


def test_a_call_that_was_kept_too_long_before_a_night_takes_its_rest_out_of_the_night() -> None:
    evening = MORNING + timedelta(hours=10, minutes=30)

    assert resting_until(called(MORNING), evening, 14.0) == MORNING + timedelta(hours=11)


def test_eleven_hours_after_a_call_nobody_rests_any_more() -> None:
    assert resting_until(called(MORNING), MORNING + timedelta(hours=11)) is None


def test_a_reader_whom_nobody_called_does_not_rest() -> None:
    assert resting_until(Duty(), MORNING + timedelta(hours=5)) is None


def test_a_reader_who_went_on_from_a_call_into_their_duty_does_not_rest_in_between() -> None:
    assert resting_until(called(MORNING), MORNING) is None


def test_a_called_backup_is_not_kept_into_the_rest_before_their_next_duty() -> None:
    duty_from = MORNING + timedelta(hours=11)
    duty = called(MORNING, 4.0)
    backup = replace(duty.released[0], until=MORNING)
    known = rules(duty_from, 14.0)

    assert refusal_to_keep(backup, MORNING, known, Duty()) == ""
    assert "11" in refusal_to_keep(backup, MORNING + timedelta(hours=1), known, Duty())
