"""``telegarde oncall case`` and ``why``: where a case is, what happened to it, and why it has this reader.

For: reading what is committed, with or without a serving node. Not for: changing anything.

Invariants: clinical text of the log is not printed, because terminals keep what they show; opaque keys are not either.
"""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.markup import escape

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Refused
from oncall.case.clocks import read_clocks
from oncall.case.event import CaseId, Event
from oncall.case.state import OPENING, Case, fold
from oncall.engine.sql_store import SqlStore
from oncall.language import Language
from oncall.notify import case_code
from oncall.reading.explanation import why, why_not
from territory.cli_oncall_place import InForce, load_in_force, local_text, open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows
from territory.oncall_web.case_view import Eyes, chains, decisions, log_lines
from territory.oncall_web.desk import stage_of


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``case`` or ``why``."""
    now = clock.now().astimezone(UTC)
    with open_database(arguments) as database:
        territory = load_in_force(database)
        events = log_of(database, arguments.case, now)
    case = fold(events)
    site = territory.directory.sites.get(case.site_id)
    zone = territory.zone if site is None else site.time_zone
    eyes = Eyes(language="en", zone=ZoneInfo(zone), directory=territory.directory, may_see_clinical_text=False)
    if arguments.oncall_command == "why":
        return _why(arguments, case, events, territory, zone)
    return _case(arguments, case, events, eyes, zone, now)


def log_of(database: Database, wanted: str, now: datetime) -> Sequence[Event]:
    """Return the log of the case of an identifier, or of the six characters that people say of an open or late one."""
    store = SqlStore(database)
    events = store.events_of(CaseId(wanted))
    if not events:
        opened = [
            one.event
            for one in store.events_since(now, calls_since=now)
            if one.event.type in OPENING and case_code(CaseId(one.event.case_id)) == wanted.upper()
        ]
        if len(opened) == 1:
            events = store.events_of(CaseId(opened[0].case_id))
    if not events or events[0].type not in OPENING:
        raise Refused(f"no case {wanted}, nor an open one of that code; a case's page and the interface show both")
    return events


def _case(
    arguments: argparse.Namespace, case: Case, events: Sequence[Event], eyes: Eyes, zone: str, now: datetime
) -> int:
    lines = log_lines(events, eyes)
    clocks = [
        {
            "clock": one.clock.value,
            "name": eyes.say(f"clock.{one.clock.value}").partition(" ")[2],
            "began": local_text(one.started_at, zone),
            "due": None if one.due_at is None else local_text(one.due_at, zone),
            "ended": None if one.stopped_at is None else local_text(one.stopped_at, zone),
            "elapsed_min": round(one.elapsed_s / 60, 1),
            "missed": one.is_missed(now),
        }
        for one in read_clocks(case, now)
    ]
    log = [
        {
            "seq": line.seq,
            "at": line.at.astimezone(eyes.zone).isoformat(timespec="seconds"),
            "type": line.type,
            "what": line.what,
            "detail": line.detail,
            "who": line.who,
        }
        for line in lines
    ]
    result: dict[str, Any] = {
        **_head(case),
        "stage": stage_of(case),
        "is_open": case.is_open,
        "deadline": None if case.images.deadline_at is None else local_text(case.images.deadline_at, zone),
        "images": case.images.state.value,
        "received": case.images.received,
        "studies": len(case.images.studies),
        "identity": case.identity.state.value,
        "chains": [f"{one.begun} {one.cause}: {one.state}" for one in chains(case, events, eyes)],
    }
    if arguments.json:
        answer(arguments, {**result, "clocks": clocks, "log": log}, title="")
        return 0
    answer(arguments, result, title=f"Case {case_code(case.case_id)}")
    print_rows("Clocks", ("name", "began", "due", "ended", "elapsed_min", "missed"), clocks)
    print_rows("Log", ("at", "what", "detail", "who"), [_plain(line) for line in log])
    return 0


def _plain(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose square brackets are shown: names were typed by people and are no markup."""
    return {key: escape(value) if isinstance(value, str) else value for key, value in line.items()}


def _head(case: Case) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "code": case_code(case.case_id),
        "site": case.site_id,
        "exam": case.exam.value,
        "urgency": f"P{int(case.urgency)}",
        "reader": case.reading.claimed_by or case.reading.assigned_to,
    }


def _why(arguments: argparse.Namespace, case: Case, events: Sequence[Event], territory: InForce, zone: str) -> int:
    made = decisions(events)
    result: dict[str, Any] = {
        **_head(case),
        "decisions": [
            {
                "at": local_text(event.fact.occurred_at, zone),
                "reader": event.fact.payload["person_id"],
                "cause": event.fact.payload.get("reason"),
                "text": [] if decision is None else list(why(decision, territory.directory, Language.ENGLISH)),
            }
            for event, decision in made
        ],
    }
    if arguments.not_person is not None:
        person_id = territory.person(arguments.not_person)
        newest = next((one for _, one in made if one is not None), None)
        said = () if newest is None else why_not(newest, person_id, territory.directory, Language.ENGLISH)
        result["not"] = {"person_id": person_id, "text": list(said) or ["was not among the readers of that decision"]}
    if arguments.json:
        answer(arguments, result, title="")
        return 0
    answer(arguments, _head(case), title=f"Case {case_code(case.case_id)}")
    for one in result["decisions"]:
        print_rows(
            f"{one['at']} {one['reader']} ({one['cause']})", ("why",), [{"why": escape(line)} for line in one["text"]]
        )
    if "not" in result:
        print_rows(
            f"Why not {result['not']['person_id']}", ("why",), [{"why": escape(line)} for line in result["not"]["text"]]
        )
    return 0
