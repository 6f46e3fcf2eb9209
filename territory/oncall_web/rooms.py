"""What the pages ask beside the desk, one object for each room of `oncall` that they show."""

from dataclasses import dataclass

from territory.oncall_web.report_room import ReportRoom


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """The rooms."""

    reports: ReportRoom
