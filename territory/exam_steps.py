"""Performed steps as the on-call engine asks for them: instants of the scanner's wall clock, counts and dose.

For: the port `oncall.engine.exams.ExamSteps` on the tables of `pacs.worklist`. Not for: deciding anything.

Invariant: a wall time that happens twice in the night of October is the one nearer to when we heard of it.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

from foundation.database import Database
from oncall.directory import Directory, SiteId
from oncall.engine.exams import ExamStep
from oncall.local_time import first_instant, last_instant
from pacs.worklist import mpps_store
from pacs.worklist.mpps import PerformedStep
from pacs.worklist.mpps_states import StepState

# PS3.5 6.2: DA followed by TM, whose parts may be left out from the right.
_WALL_TIME: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
_OFFSET: Final = re.compile(r"([+-])(\d{2})(\d{2})")


class StoredSteps:
    """Looks performed steps up in the database.

    Parameters
    ----------
    directory_at : callable
        The directory in force: it knows in which time zone a hospital stands.
    """

    def __init__(self, database: Database, directory_at: Callable[[datetime], Directory]) -> None:
        self._database = database
        self._directory_at = directory_at

    def find(self, mpps_uid: str) -> ExamStep | None:
        """Return a step; see `oncall.engine.exams.ExamSteps`."""
        with self._database.read() as connection:
            step = mpps_store.find(connection, mpps_uid)
        return None if step is None else self._exam_step(step)

    def of_study(self, study_instance_uid: str) -> Sequence[ExamStep]:
        """Return the steps of a study; see `oncall.engine.exams.ExamSteps`."""
        with self._database.read() as connection:
            found = mpps_store.of_study(connection, study_instance_uid)
        return [self._exam_step(one) for one in found]

    def _exam_step(self, step: PerformedStep) -> ExamStep:
        site = self._directory_at(step.changed_at).sites.get(SiteId(step.site_id))
        zone = "UTC" if site is None else site.time_zone
        reason = step.discontinuation_reason
        return ExamStep(
            mpps_uid=step.mpps_uid,
            site_id=step.site_id,
            aet=step.calling_aet,
            order_ids=step.order_ids,
            study_instance_uids=step.study_instance_uids,
            began_at=instant_of_wall_time(step.start, step.timezone_offset, zone, heard_at=step.created_at),
            ended_at=instant_of_wall_time(step.end, step.timezone_offset, zone, heard_at=step.changed_at),
            is_completed=step.state is StepState.COMPLETED,
            is_discontinued=step.state is StepState.DISCONTINUED,
            is_of_another_patient=step.is_of_another_patient,
            expected=len(step.sop_instance_uids) or None,
            reason="" if reason is None else f"{reason.meaning} ({reason.value}, {reason.scheme})",
            dose_mgy_cm=step.dose.dlp_mgy_cm,
            ctdivol_mgy=step.dose.ctdivol_mgy,
            area_dose_dgy_cm2=step.dose.area_dose_dgy_cm2,
        )


def instant_of_wall_time(text: str, offset: str, zone: str, *, heard_at: datetime) -> datetime:
    """Return the instant of a scanner's date and time, UTC; when it was heard of, if they are none.

    Parameters
    ----------
    text : str
        ``YYYYMMDDHHMMSS.FFFFFF``, or the beginning of it to the hour.
    offset : str
        Timezone Offset From UTC (0008,0201), ``+HHMM``; '' for the wall time of `zone`.
    """
    match = _WALL_TIME.fullmatch(text)
    if match is None:
        return heard_at
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    microsecond = int((match[7] or "").ljust(6, "0"))
    try:
        wall_day, wall_time = date(year, month, day), time(hour, minute, min(second, 59), microsecond)
    except ValueError:
        return heard_at
    told = _OFFSET.fullmatch(offset)
    if told is not None:
        ahead = timedelta(hours=int(told[2]), minutes=int(told[3])) * (-1 if told[1] == "-" else 1)
        return datetime.combine(wall_day, wall_time, timezone(ahead)).astimezone(UTC)
    both = (first_instant(wall_day, wall_time, zone), last_instant(wall_day, wall_time, zone))
    return min(both, key=lambda instant: abs(heard_at - instant))
