"""Opsgenie exports: turns, restrictions and overrides as Opsgenie means them, in the schedule's own time."""

import copy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oncall.rota.import_opsgenie import shifts_from_opsgenie
from oncall.rota.imported import Imported
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import DocumentInvalid, Value
from tests.unit.oncall.rota.exchange_parts import NIGHT, directory

PARIS = ZoneInfo("Europe/Paris")
WITHIN = Span(start=datetime(2026, 10, 19, tzinfo=PARIS), end=datetime(2026, 11, 9, tzinfo=PARIS))


def user(number: int) -> dict[str, str]:
    return {"type": "user", "id": f"u-{number}", "username": f"r0{number}@example.org"}


def export(**changed: Any) -> dict[str, Any]:
    """Return what the schedule interface answers, with one weekly rotation that changes hands on Mondays at 08:00."""
    rotation = {
        "id": "rot-1",
        "name": "Nights",
        "startDate": "2026-10-05T06:00:00Z",
        "type": "weekly",
        "length": 1,
        "participants": [user(1), user(2), user(3)],
        **changed,
    }
    schedule = {
        "id": "s-1",
        "name": "Radiology",
        "description": "",
        "timezone": "Europe/Paris",
        "enabled": True,
        "ownerTeam": {"id": "t-1", "name": "Team"},
        "rotations": [rotation],
    }
    return {"data": [schedule], "took": 0.1, "requestId": "x"}


def read(document: Any, **options: Any) -> Imported:
    return shifts_from_opsgenie(
        Value(place="document", raw=document), NIGHT, PersonFinder(directory()), WITHIN, **options
    )


def told(imported: Imported) -> list[tuple[str, str, str]]:
    return [
        (one.person_id, f"{one.span.start.astimezone(PARIS):%d %H:%M}", f"{one.span.end.astimezone(PARIS):%d %H:%M}")
        for one in imported.shifts
    ]


def test_weekly_turns_change_hands_at_the_same_wall_time_before_and_after_the_clock_change() -> None:
    assert told(read(export())) == [
        ("r02", "12 08:00", "19 08:00"),
        ("r03", "19 08:00", "26 08:00"),
        ("r01", "26 08:00", "02 08:00"),
        ("r02", "02 08:00", "09 08:00"),
    ]


def test_a_restriction_cuts_turns_and_counts_none() -> None:
    nights = {"type": "time-of-day", "restriction": {"startHour": 18, "startMin": 30, "endHour": 8, "endMin": 0}}
    shifts = told(read(export(timeRestriction=nights)))

    # The week's last night ends where the turn does.
    assert shifts[:2] == [("r02", "18 18:30", "19 08:00"), ("r03", "19 18:30", "20 08:00")]
    assert ("r03", "24 18:30", "25 08:00") in shifts
    assert ("r01", "26 18:30", "27 08:00") in shifts
    assert len(shifts) == 22


def test_a_weekday_restriction_is_one_stretch_from_day_to_day() -> None:
    week = {
        "type": "weekday-and-time-of-day",
        "restrictions": [
            {"startDay": "friday", "startHour": 18, "startMin": 0, "endDay": "monday", "endHour": 8, "endMin": 0}
        ],
    }

    assert told(read(export(timeRestriction=week))) == [
        ("r02", "16 18:00", "19 08:00"),
        ("r03", "23 18:00", "26 08:00"),
        ("r01", "30 18:00", "02 08:00"),
        ("r02", "06 18:00", "09 08:00"),
    ]


def test_hourly_turns_keep_their_length_on_the_long_night() -> None:
    document = export(type="hourly", length=12, startDate="2026-10-24T06:00:00Z", endDate="2026-10-26T07:00:00Z")

    assert told(read(document)) == [
        ("r01", "24 08:00", "24 20:00"),
        ("r02", "24 20:00", "25 07:00"),
        ("r03", "25 07:00", "25 19:00"),
        ("r01", "25 19:00", "26 07:00"),
        ("r02", "26 07:00", "26 08:00"),
    ]


def test_nobody_in_a_rotation_is_an_empty_turn() -> None:
    document = export(participants=[user(1), {"type": "none"}])

    assert [one[0] for one in told(read(document))] == ["r01", "r01"]


def test_an_override_takes_the_place_of_whoever_is_there() -> None:
    document = export()
    document["overrides"] = [
        {
            "alias": "o1",
            "user": user(1),
            "startDate": "2026-10-24T16:30:00Z",
            "endDate": "2026-10-25T07:00:00Z",
            "rotations": [{"id": "rot-1", "name": "Nights"}],
        }
    ]

    assert told(read(document))[1:4] == [
        ("r03", "19 08:00", "24 18:30"),
        ("r01", "24 18:30", "25 08:00"),
        ("r03", "25 08:00", "26 08:00"),
    ]


def test_an_override_of_another_rotation_is_not_ours() -> None:
    document = export()
    document["overrides"] = [
        {"user": user(1), "startDate": "2026-10-24T16:30:00Z", "endDate": "2026-10-25T07:00:00Z",
         "rotations": [{"id": "rot-2"}]},
    ]  # fmt: skip

    assert told(read(document)) == told(read(export()))


def test_of_several_rotations_one_has_to_be_named() -> None:
    document = export()
    document["data"].append(copy.deepcopy(document["data"][0]) | {"name": "Surgery"})

    with pytest.raises(DocumentInvalid, match="Radiology/Nights, Surgery/Nights"):
        read(document)
    assert told(read(document, rotation="Surgery/Nights")) == told(read(export()))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"type": "monthly"}, "rotations[0].type: hourly, daily or weekly"),
        ({"participants": []}, "participants: at least one"),
        ({"participants": [{"type": "team", "id": "t"}]}, "participants[0].type: only users"),
        ({"participants": [{"type": "user", "username": "x@y.org"}]}, "participant 'x@y.org' is not one person"),
        ({"startDate": "2026-10-05T06:00:00"}, "startDate: an instant needs its offset"),
        ({"timeRestriction": {"type": "moon"}}, "timeRestriction.type: time-of-day"),
    ],
    ids=["monthly", "nobody", "team", "unknown", "naive", "restriction"],
)
def test_what_cannot_be_taken_over_is_refused_with_its_place(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read(export(**changed))

    assert said in str(caught.value)


def test_a_schedule_that_was_switched_off_is_not_imported() -> None:
    document = export()
    document["data"][0]["enabled"] = False

    with pytest.raises(DocumentInvalid, match="there are: none"):
        read(document)


def test_the_imported_time_is_said() -> None:
    assert read(export()).notes == ("rotation Radiology/Nights from 2026-10-19 to 2026-11-09",)
    assert WITHIN.start == datetime(2026, 10, 18, 22, tzinfo=UTC)
