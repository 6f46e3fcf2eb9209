"""Grafana OnCall exports: rolling users, days of the week, levels and overrides as Grafana means them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oncall.rota.import_grafana import shifts_from_grafana
from oncall.rota.imported import Imported
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import DocumentInvalid, Value
from tests.unit.oncall.rota.exchange_parts import NIGHT, directory

PARIS = ZoneInfo("Europe/Paris")
WITHIN = Span(start=datetime(2026, 10, 23, tzinfo=PARIS), end=datetime(2026, 11, 3, tzinfo=PARIS))
NIGHTS: dict[str, Any] = {
    "id": "O1",
    "type": "rolling_users",
    "name": "nights",
    "time_zone": "Europe/Paris",
    "level": 1,
    "start": "2026-10-05T18:30:00",
    "rotation_start": "2026-10-23T00:00:00",
    "duration": 50_400,
    "frequency": "daily",
    "interval": 1,
    "week_start": "MO",
    "by_day": None,
    "users": [],
    "rolling_users": [["U1"], ["U2"], ["U3"]],
    "start_rotation_from_user_index": 0,
}


def export(*shifts: dict[str, Any], **schedule: Any) -> dict[str, Any]:
    users = [{"id": f"U{n}", "email": f"r0{n}@example.org", "username": f"user{n}"} for n in (1, 2, 3)]
    return {
        "users": {"count": 3, "next": None, "previous": None, "results": users},
        "schedules": [
            {
                "id": "S1",
                "name": "Radiology",
                "type": "web",
                "time_zone": "Europe/Paris",
                "shifts": [one["id"] for one in shifts],
                **schedule,
            }
        ],
        "on_call_shifts": list(shifts),
    }


def read(document: Any, **options: Any) -> Imported:
    return shifts_from_grafana(
        Value(place="document", raw=document), NIGHT, PersonFinder(directory()), WITHIN, **options
    )


def told(imported: Imported) -> list[tuple[str, str, str]]:
    return [
        (
            str(one.person_id),
            f"{one.span.start.astimezone(PARIS):%a %d %H:%M}",
            f"{one.span.end.astimezone(PARIS):%d %H:%M}",
        )
        for one in imported.shifts
    ]


def test_daily_turns_keep_their_wall_time_over_the_clock_change() -> None:
    assert told(read(export(NIGHTS)))[:4] == [
        ("r01", "Fri 23 18:30", "24 08:30"),
        ("r02", "Sat 24 18:30", "25 08:30"),
        ("r03", "Sun 25 18:30", "26 08:30"),
        ("r01", "Mon 26 18:30", "27 08:30"),
    ]


def test_daily_turns_over_selected_days_skip_nobody() -> None:
    """Complaint 10: with weekends left out of three people's turns, nobody is left out for ever."""
    week = NIGHTS | {"by_day": ["MO", "TU", "WE", "TH", "FR"]}

    assert [(one[0], one[1][:3]) for one in told(read(export(week)))] == [
        ("r01", "Fri"),
        ("r02", "Mon"),
        ("r03", "Tue"),
        ("r01", "Wed"),
        ("r02", "Thu"),
        ("r03", "Fri"),
        ("r01", "Mon"),
    ]


def test_weekly_turns_are_weeks_from_the_first_event_on_and_the_interval_leaves_weeks_out() -> None:
    weekly = NIGHTS | {"frequency": "weekly", "by_day": ["SA", "SU"], "rolling_users": [["U1"], ["U2"]]}

    assert [(one[0], one[1][:6]) for one in told(read(export(weekly)))] == [
        ("r01", "Sat 24"),
        ("r01", "Sun 25"),
        ("r02", "Sat 31"),
        ("r02", "Sun 01"),
    ]
    assert [one[0] for one in told(read(export(weekly | {"interval": 2})))] == ["r01", "r01"]


def test_a_rotation_begins_with_the_user_that_the_index_says() -> None:
    assert told(read(export(NIGHTS | {"start_rotation_from_user_index": 2})))[0][0] == "r03"


def test_the_higher_level_speaks_and_an_override_above_all() -> None:
    low = NIGHTS | {"rolling_users": [["U1"]], "level": 0}
    high = NIGHTS | {"id": "O2", "rolling_users": [["U2"]], "level": 2, "by_day": ["SA"]}
    override = {
        "id": "O3", "type": "override", "start": "2026-10-24T20:00:00", "rotation_start": "2026-10-24T20:00:00",
        "duration": 7200, "rolling_users": [["U3"]], "time_zone": "Europe/Paris",
    }  # fmt: skip

    assert told(read(export(low, high, override)))[:4] == [
        ("r01", "Fri 23 18:30", "24 08:30"),
        ("r02", "Sat 24 18:30", "24 20:00"),
        ("r03", "Sat 24 20:00", "24 22:00"),
        ("r02", "Sat 24 22:00", "25 08:30"),
    ]


def test_two_people_on_one_seat_are_a_problem_and_not_a_choice() -> None:
    with pytest.raises(DocumentInvalid, match="U1 and U2 at once; a line has one seat"):
        read(export(NIGHTS | {"rolling_users": [["U1", "U2"]]}))


def test_an_end_ends_the_turns() -> None:
    assert told(read(export(NIGHTS | {"until": "2026-10-25T00:00:00"}))) == [
        ("r01", "Fri 23 18:30", "24 08:30"),
        ("r02", "Sat 24 18:30", "25 00:00"),
    ]


@pytest.mark.parametrize(
    ("shift", "schedule", "said"),
    [
        ({"type": "moon"}, {}, "type: one of single_event"),
        ({"frequency": "yearly"}, {}, "frequency: one of hourly"),
        ({"by_month": [3]}, {}, "by_month: shifts by month"),
        ({"rolling_users": [], "users": []}, {}, "nobody is on this shift"),
        ({"rolling_users": [["U9"]]}, {}, "user 'U9' is not one person"),
        ({"start": "2026-10-05T18:30:00Z"}, {}, "start: a time without an offset"),
        ({}, {"type": "ical"}, "a calendar kept elsewhere"),
    ],
    ids=["type", "frequency", "month", "nobody", "unknown", "offset", "calendar"],
)
def test_what_cannot_be_taken_over_is_refused(shift: dict[str, Any], schedule: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read(export(NIGHTS | shift, **schedule))

    assert said in str(caught.value)


def test_one_page_of_several_is_refused() -> None:
    document = export(NIGHTS)
    document["on_call_shifts"] = {"count": 9, "next": "https://example.org/?page=2", "results": [NIGHTS]}

    with pytest.raises(DocumentInvalid, match="one page of several"):
        read(document)


def test_of_several_schedules_one_has_to_be_named() -> None:
    document = export(NIGHTS)
    document["schedules"].append({"id": "S2", "name": "Surgery", "type": "web", "shifts": []})

    with pytest.raises(DocumentInvalid, match="Radiology, Surgery"):
        read(document)
    assert told(read(document, schedule="Radiology")) == told(read(export(NIGHTS)))
