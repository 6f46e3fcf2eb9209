"""A roster as a document: everything comes back, and what is wrong is named with its place."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time
from typing import Any

import pytest

from oncall.directory import Directory, LineId, Person, PersonId, Provider, ProviderId, ProviderKind, Role, Site, SiteId
from oncall.ladder import Ladder, Purpose, Step, Target
from oncall.reading.board import Urgency
from oncall.rota.documents import roster_from_json, roster_to_json
from oncall.rota.model import (
    Absence,
    DayKind,
    Line,
    LineKind,
    OverrideKind,
    Roster,
    Session,
    Shift,
    ShiftRule,
)
from oncall.strict_json import DocumentInvalid, Value, canonical, parse
from tests.unit.oncall.rota.timeline_parts import READER, override, plan, span, turns, utc

SITE = SiteId("roanne")
SHORT = Ladder(
    ladder_id="two nights' rule",
    version="3",
    steps=(
        Step(
            level=0,
            target=Target.ASSIGNED_READER,
            wait_s={Urgency.P1: 60.0, Urgency.P2: 120.0, Urgency.P3: 240.0},
            repage_after_s=dict.fromkeys(Urgency, 45.5),
            pages_max=3,
        ),
        Step(
            level=4,
            target=Target.COORDINATOR,
            wait_s=dict.fromkeys(Urgency, 90.0),
            repage_after_s=dict.fromkeys(Urgency, 90.0),
            persons_max=2,
        ),
    ),
    rounds=2,
    alarm_repeat_s=120.0,
)
LATE = replace(
    SHORT, ladder_id="late here", purpose=Purpose.LATE, steps=(replace(SHORT.steps[1], target=Target.SENIOR),)
)
EVERYTHING = Roster(
    version="2026-03",
    lines=(
        Line(
            line_id=READER,
            name="Lecteur 1",
            kind=LineKind.DUTY,
            provider_id=ProviderId("pool"),
            time_zone="Europe/Paris",
            commune="42218",
            rules=(
                ShiftRule(name="nuit", start=time(18, 30), end=time(8, 30)),
                ShiftRule(name="jour", start=time(8, 30), end=time(18, 30), days=DayKind.SUNDAY_OR_HOLIDAY),
            ),
            sites=frozenset({SITE}),
            ladder_id=SHORT.ladder_id,
        ),
        Line(
            line_id=LineId("backup"),
            name="Renfort",
            kind=LineKind.BACKUP,
            provider_id=ProviderId("pool"),
            time_zone="Indian/Reunion",
            commune="97411",
            rules=(),
        ),
    ),
    rotations=(turns("AB", "2026-01-01"), turns("C", "2026-02-01", priority=3, until="2026-02-08", per_turn=7)),
    plans=(
        plan("p1", "A", "2026-02-01T00:00", "2026-02-01T12:00"),
        replace(plan("p2", "B", "2026-02-02T00:00:30", "2026-02-02T12:00"), locked=True),
    ),
    overrides=(
        override(
            "o1",
            OverrideKind.REPLACE,
            "2026-02-01T00:00",
            "2026-02-01T12:00",
            added="B",
            removed="A",
            made="2026-01-15T10:00",
        ),
        override("o2", OverrideKind.ADD, "2026-02-01T00:00", "2026-02-01T12:00", added="B"),
        replace(
            override("o3", OverrideKind.REMOVE, "2026-02-01T00:00", "2026-02-01T12:00", removed="A"), reason="formation"
        ),
    ),
    absences=(Absence(person_id=PersonId("A"), span=span("2026-03-01T00:00", "2026-03-08T00:00"), kind="training"),),
    sessions=(
        Session(person_id=PersonId("A"), span=span("2026-02-02T08:00", "2026-02-02T12:00"), site_id=SITE),
        Session(person_id=PersonId("B"), span=span("2026-02-02T08:00", "2026-02-02T12:00")),
    ),
    history=(
        Shift(
            line_id=READER,
            person_id=PersonId("Z"),
            span=span("2026-01-01T17:30", "2026-01-02T07:30"),
            origin="history",
            rule="nuit",
        ),
    ),
    frozen_until=utc("2026-01-10T00:00"),
    ladders=(SHORT, LATE),
)
DIRECTORY = Directory(
    sites={SITE: Site(site_id=SITE, name="Roanne", time_zone="Europe/Paris", commune="42187")},
    persons={PersonId(one): Person(person_id=PersonId(one), name=one, role=Role.RADIOLOGIST) for one in "ABC"},
    providers={
        ProviderId("pool"): Provider(
            provider_id=ProviderId("pool"), name="Pool", kind=ProviderKind.PUBLIC_POOL, time_zone="Europe/Paris"
        )
    },
)


def document() -> dict[str, Any]:
    """Return a document of its own for a test to spoil."""
    written: dict[str, Any] = parse(canonical(roster_to_json(EVERYTHING))).raw
    return written


def test_everything_that_a_roster_has_comes_back() -> None:
    assert roster_from_json(Value(place="document", raw=document()), DIRECTORY) == EVERYTHING


def test_an_empty_roster_comes_back() -> None:
    empty = Roster(version="0", lines=())

    assert roster_from_json(parse(canonical(roster_to_json(empty)))) == empty


def test_instants_with_any_offset_are_the_same_instants() -> None:
    written = document()
    written["plans"][0]["start"] = "2026-02-01T01:00:00+01:00"

    assert roster_from_json(Value(place="document", raw=written)) == EVERYTHING


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def spoil(written: dict[str, Any]) -> None:
        place: Any = written
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (put("lines", 0, "colour", value="red"), r"document.lines\[0\].colour: no such key"),
        (put("rotation", value=[]), r"document.rotation: no such key; did you mean rotations"),
        (put("format", value="telegarde-roster/9"), "telegarde-roster/1 is wanted"),
        (put("lines", 1, "time_zone", value="Europe/Lyon"), r"lines\[1\].time_zone: an IANA time zone"),
        (put("lines", 1, "commune", value="97"), r"lines\[1\].commune: an INSEE commune code"),
        (put("lines", 0, "rules", 1, "days", value="sundays"), r"rules\[1\].days: one of .*did you mean sunday"),
        (put("lines", 0, "rules", 1, "end", value="24:00"), r"rules\[1\].end: a wall time"),
        (put("lines", 1, "line_id", value="reader-1"), "reader-1 is there twice"),
        (put("rotations", 1, "line_id", value="reader-9"), r"rotations\[1\].line_id: reader-9 is no line"),
        (put("rotations", 1, "shifts_per_turn", value=0), r"rotations\[1\].shifts_per_turn: a whole number from 1"),
        (put("rotations", 1, "first_day", value="2026-02-30"), r"rotations\[1\].first_day: a day"),
        (put("plans", 1, "shift_id", value="p1"), "plans: p1 is there twice"),
        (put("plans", 1, "end", value="2026-02-01T00:00Z"), r"plans\[1\]: the end is wanted after the start"),
        (put("plans", 1, "end", value="2026-02-02T12:00"), r"plans\[1\].end: an instant needs its offset"),
        (put("plans", 0, "person_id", value="Q"), r"plans\[0\].person_id: Q is not in the directory"),
        (put("plans", 0, "locked", value="yes"), r"plans\[0\].locked: true or false"),
        (put("overrides", 0, "removed", value="Q"), r"overrides\[0\]: Q is not in the directory"),
        (put("overrides", 2, "added", value="B"), r"overrides\[2\]: an override adds somebody unless"),
        (put("overrides", 1, "removed", value="B"), r"overrides\[1\]: .* check `removed`"),
        (put("sessions", 0, "site_id", value="Paris"), r"sessions\[0\].site_id: Paris is not in the directory"),
        (put("lines", 0, "provider_id", value="nobody"), r"lines\[0\].provider_id: nobody is not in the directory"),
        (put("frozen_until", value="2026-01-01T20:00Z"), "history of a roster ends by its frozen_until"),
        (put("lines", 1, "ladder_id", value="none"), r"lines\[1\].ladder_id: none is no ladder of this roster"),
        (put("ladders", value=[]), r"lines\[0\].ladder_id: two nights' rule is no ladder"),
        (put("ladders", 0, "steps", value=[]), r"ladders\[0\].steps: at least one step"),
        (put("ladders", 0, "steps", 1, "level", value=0), r"ladders\[0\].steps: .*of a higher level"),
        (
            put("ladders", 0, "steps", 0, "target", value="senior"),
            r"ladders\[0\].steps: the first step .*assigned_reader",
        ),
        (put("ladders", 1, "purpose", value="reader"), r"ladders\[1\].steps: the first step .*assigned_reader"),
        (put("ladders", 1, "purpose", value="later"), r"ladders\[1\].purpose: one of .*did you mean late"),
        (put("lines", 0, "ladder_id", value="late here"), r"lines\[0\].ladder_id: late here is no ladder .* a reader"),
        (
            put("ladders", 0, "steps", 1, "target", value="hospital"),
            r"steps\[1\].target: the hospital is alarmed after",
        ),
        (put("ladders", 0, "steps", 0, "wait_s", value={"p1": 60}), r"steps\[0\].wait_s.p2: is missing"),
        (put("ladders", 0, "steps", 0, "wait_s", "p1", value=0), r"steps\[0\].wait_s.p1: a number from 10 to 1800"),
        (put("ladders", 0, "rounds", value=0), r"ladders\[0\].rounds: a whole number from 1"),
        (put("frozen_until", value=None), "history of a roster ends by its frozen_until"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(spoil: Callable[[dict[str, Any]], None], problem: str) -> None:
    written = document()
    spoil(written)

    with pytest.raises(DocumentInvalid, match=problem):
        roster_from_json(Value(place="document", raw=written), DIRECTORY)


def test_all_problems_are_told_at_once() -> None:
    written = document()
    for spoil in (
        put("lines", 1, "commune", value="97"),
        put("plans", 0, "start", value="soon"),
        put("absences", 0, "end", value=7),
    ):
        spoil(written)

    with pytest.raises(DocumentInvalid) as refused:
        roster_from_json(Value(place="document", raw=written), DIRECTORY)

    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "document.lines[1].commune",
        "document.plans[0].start",
        "document.absences[0].end",
    ]


def test_history_outlives_the_contract_of_whom_it_names() -> None:
    # Z is in history and not in the directory: nobody rewrites who was on duty.
    assert roster_from_json(Value(place="document", raw=document()), DIRECTORY).history[0].person_id == "Z"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"lines": (EVERYTHING.lines[0],) * 2}, "twice", id="a line twice"),
        pytest.param({"lines": ()}, "no such line", id="rotations of no line"),
        pytest.param({"plans": (EVERYTHING.plans[0],) * 2}, "twice", id="a plan twice"),
        pytest.param({"ladders": ()}, "no such ladder", id="a line's ladder that is not there"),
        pytest.param({"ladders": (SHORT, SHORT)}, "twice", id="a ladder twice"),
        pytest.param({"ladders": (LATE,)}, "no such ladder", id="a line's ladder that looks for no reader"),
        pytest.param(
            {"ladders": (SHORT, LATE, replace(LATE, ladder_id="later"))},
            "more of: late",
            id="two ladders of what is late",
        ),
        pytest.param({"frozen_until": None}, "frozen_until", id="history of what is not frozen"),
    ],
)
def test_a_roster_that_contradicts_itself_cannot_be_built(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        replace(EVERYTHING, **change)
