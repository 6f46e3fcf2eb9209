"""``telegarde oncall swap``: asking for a swap or give-away, taking it, settling it.

Invariant: the request and the roster that it changes are written in one transaction, on the roster of that moment.
"""

import argparse
import secrets
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.callees import ContactDefect
from oncall.directory import PersonId, Role
from oncall.documents_store import load_directory
from oncall.engine.duty_rows import worked_calls
from oncall.roster_publication import load_roster, publish_roster
from oncall.rota import swap_store, swaps
from oncall.rota.legal import LegalLimits, Violation
from oncall.rota.model import Override
from oncall.rota.swaps import SwapAction, SwapContext, SwapPart, SwapRefused, SwapRequest
from oncall.rota.timeline import Timeline, WithCalls
from oncall.spans import Span
from territory.cli_oncall_place import InForce, instant_of, local_text, open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows

# Hours are averaged over 17 weeks to both sides of a shift.
_AROUND: Final = timedelta(weeks=18)
_ID_BYTES: Final = 5

_Act = Callable[[SwapRequest, PersonId, datetime, SwapContext], tuple[SwapRequest, tuple[Override, ...]]]


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``swap``: exit code 1 when a rule stands against it."""
    now = clock.now().astimezone(UTC)
    with open_database(arguments) as database:
        try:
            if arguments.action == "list":
                with database.read() as connection:
                    return _list(arguments, connection)
            with database.write(durable=True) as connection:
                territory = _in_force(connection)
                defects: tuple[ContactDefect, ...] = ()
                if arguments.action == "request":
                    request = _request(arguments, connection, territory, now)
                else:
                    request, defects = _settle(arguments, connection, territory, now)
        except SwapRefused as refusal:
            return _refused(arguments, refusal, territory)
    unreachable = [{"rule": one.rule, "who": one.who} for one in defects]
    result = _request_json(request, territory)
    if arguments.json:
        answer(arguments, {**result, "unreachable": unreachable}, title="")
        return 0
    answer(arguments, result, title=f"{request.swap_id}: {request.state}")
    print_rows("Nobody could reach", ("who", "rule"), unreachable)
    return 0


def _in_force(connection: Connection) -> InForce:
    found = load_roster(connection)
    return InForce(directory=load_directory(connection), roster=found.roster, published_at=found.published_at)


def _context(territory: InForce, connection: Connection, *concerned: datetime) -> SwapContext:
    """Return the roster around the shifts that are concerned, as far as hours are averaged, and what calls cost."""
    within = Span(start=min(concerned) - _AROUND, end=max(concerned) + _AROUND)
    persons = territory.directory.persons.values()
    return SwapContext(
        roster=territory.roster,
        timeline=WithCalls(
            Timeline(territory.roster, territory.directory, within), worked_calls(connection, within.start)
        ),
        directory=territory.directory,
        limits=LegalLimits(),
        managers=frozenset(person.person_id for person in persons if person.role is Role.COORDINATOR),
    )


def _request(arguments: argparse.Namespace, connection: Connection, territory: InForce, now: datetime) -> SwapRequest:
    _need(arguments, "person", "line", "shift_at")
    person_id = territory.person(arguments.person)
    is_swap = arguments.for_line is not None or arguments.for_shift_at is not None
    if is_swap:
        _need(arguments, "for_line", "for_shift_at")
    at = instant_of(arguments.shift_at, option="--shift-at", zone=territory.zone, now=now)
    for_at = instant_of(arguments.for_shift_at, option="--for-shift-at", zone=territory.zone, now=at)
    context = _context(territory, connection, at, for_at)
    given = _part(territory, arguments.line, at)
    if given.person_id != person_id:
        raise Refused(f"{given.person_id} has that shift, not {person_id}; look with telegarde oncall who")
    wanted = _part(territory, arguments.for_line, for_at) if is_swap else None
    request = SwapRequest(
        swap_id=f"swap-{secrets.token_hex(_ID_BYTES)}",
        given=given,
        created_at=now,
        wanted=wanted,
        offered_to=frozenset(territory.person(one) for one in arguments.offered_to),
        needs_approval=arguments.needs_approval,
    )
    asked = swaps.ask(request, _actor(arguments, territory), now, context)
    swap_store.add(connection, asked, now)
    return asked


def _part(territory: InForce, line_id: str, at: datetime) -> SwapPart:
    line = territory.line(line_id)
    shifts = territory.timeline(Span(start=at, end=at + timedelta(minutes=1))).on_duty(at, line.line_id)
    if len(shifts) != 1:
        when = local_text(at, line.time_zone)
        raise Refused(f"{len(shifts)} people are on {line_id} at {when}; give an instant in one shift")
    (shift,) = shifts
    return SwapPart(line_id=shift.line_id, person_id=shift.person_id, span=shift.span, rule=shift.rule)


def _settle(
    arguments: argparse.Namespace, connection: Connection, territory: InForce, now: datetime
) -> tuple[SwapRequest, tuple[ContactDefect, ...]]:
    """Return the request as it is now, and whom no message could reach in the roster that it changed."""
    _need(arguments, "swap")
    before = swap_store.load(connection, arguments.swap)
    parts = [part for part in (before.given, before.wanted) if part is not None]
    context = _context(
        territory, connection, *(instant for part in parts for instant in (part.span.start, part.span.end))
    )
    actor = _actor(arguments, territory)
    request = swaps.follow(before, context)
    after, overrides = _acts(arguments, territory)[arguments.action](request, actor, now, context)
    swap_store.save(connection, after, now, before=before)
    defects: tuple[ContactDefect, ...] = ()
    if overrides:
        changed = swaps.with_overrides(territory.roster, overrides, territory.roster.version)
        defects = publish_roster(connection, changed, territory.directory, by=actor, now=now).defects
    return after, defects


def _acts(arguments: argparse.Namespace, territory: InForce) -> Mapping[str, _Act]:
    def accept(
        request: SwapRequest, actor: PersonId, now: datetime, context: SwapContext
    ) -> tuple[SwapRequest, tuple[Override, ...]]:
        _need(arguments, "person")
        return swaps.take(request, territory.person(arguments.person), actor, now, context)

    def ended(action: SwapAction) -> _Act:
        def act(
            request: SwapRequest, actor: PersonId, now: datetime, context: SwapContext
        ) -> tuple[SwapRequest, tuple[Override, ...]]:
            return swaps.end(request, action, actor, now, context, arguments.reason), ()

        return act

    return {
        "accept": accept,
        "approve": swaps.approve,
        "release": ended(SwapAction.RELEASE),
        "refuse": ended(SwapAction.REFUSE),
        "withdraw": ended(SwapAction.WITHDRAW),
    }


def _actor(arguments: argparse.Namespace, territory: InForce) -> PersonId:
    who = arguments.by or arguments.person
    if who is None:
        raise Refused("who acts? give --by PERSON")
    return territory.person(who)


def _need(arguments: argparse.Namespace, *names: str) -> None:
    missing = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name) is None]
    if missing:
        raise Refused(f"swap {arguments.action} needs {', '.join(missing)}")


def _list(arguments: argparse.Namespace, connection: Connection) -> int:
    territory = _in_force(connection)
    found = [_request_json(request, territory) for request in swap_store.unsettled(connection)]
    if arguments.json:
        answer(arguments, {"swaps": found}, title="")
        return 0
    rows = [{**one, **{f"given_{key}": value for key, value in one["given"].items()}} for one in found]
    columns = (
        "swap_id",
        "state",
        "given_person_id",
        "given_line_id",
        "given_start",
        "given_end",
        "offered_to",
        "taken_by",
    )
    print_rows("Open requests", columns, rows, nothing="No open request.")
    return 0


def _request_json(request: SwapRequest, territory: InForce) -> dict[str, Any]:
    return {
        "swap_id": request.swap_id,
        "state": request.state.value,
        "given": _part_json(request.given, territory),
        "wanted": _part_json(request.wanted, territory) if request.wanted is not None else None,
        "offered_to": sorted(request.offered_to),
        "taken_by": request.taken_by,
        "needs_approval": request.needs_approval,
        "changed_by": request.changed_by,
        "reason": request.reason,
    }


def _part_json(part: SwapPart, territory: InForce) -> dict[str, Any]:
    line = territory.lines.get(part.line_id)
    zone = line.time_zone if line is not None else territory.zone
    return {
        "line_id": part.line_id,
        "person_id": part.person_id,
        "start": local_text(part.span.start, zone),
        "end": local_text(part.span.end, zone),
        "rule": part.rule,
    }


def _refused(arguments: argparse.Namespace, refusal: SwapRefused, territory: InForce) -> int:
    print(f"telegarde oncall: {refusal.message_en}", file=sys.stderr)
    if arguments.json:
        result = {
            "error": refusal.message_en,
            "error_fr": refusal.message_fr,
            "violations": [_violation_json(one, territory) for one in refusal.violations],
            "exit_code": 1,
        }
        answer(arguments, result, title="")
    return 1


def _violation_json(violation: Violation, territory: InForce) -> dict[str, Any]:
    return {
        "rule": violation.rule.value,
        "person_id": violation.person_id,
        "message": violation.message_en,
        "message_fr": violation.message_fr,
        "shifts": [
            {
                "line_id": shift.line_id,
                "person_id": shift.person_id,
                "start": local_text(shift.span.start, territory.zone),
                "end": local_text(shift.span.end, territory.zone),
            }
            for shift in violation.shifts
        ],
    }
