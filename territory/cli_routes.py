"""``telegarde routes``: destinations, what is on its way to them, and which sites are silent.

Not for: sending or watching (the interfaces' process does), or the rules (`pacs.routing`).
"""

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pacs.routing.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import SystemClock
from foundation.database import Database
from foundation.errors import Refused
from pacs.routing import destinations, queue
from pacs.routing.destinations import DestinationStatus
from pacs.routing.model import WAITING, Item, ItemState
from pacs.routing.watch import read_watches
from pacs.routing.watchdog import SiteState
from territory.cli_output import answer
from territory.cli_place import place_of
from territory.cli_tables import print_rows
from territory.settings import Destination, Settings, load
from territory.settings_model import CONFIGURATION_NAME

_STUCK: Final = frozenset({ItemState.FAILED, ItemState.GIVEN_UP})
_DESTINATION_COLUMNS: Final = (
    "destination", "to", "state", "since", "reason", "studies_waiting", "instances_waiting", "instances_sent",
    "last_sent", "paused_by",
)  # fmt: skip
_ROUTE_COLUMNS: Final = ("route", "destinations", "urgency", "modalities", "sites", "hours", "days")
_ITEM_COLUMNS: Final = (
    "item", "destination", "state", "emergency", "study_instance_uid", "unsent", "sent", "attempts", "reason", "next",
    "rule", "by",
)  # fmt: skip
_SITE_COLUMNS: Final = ("site", "state", "since", "cause", "heard", "quiet_min")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the routing commands; exit code 1 when something is stuck, away or silent."""
    commands = {
        "list": _list, "queue": _queue, "retry": _retry, "give-up": _give_up, "pause": _pause, "resume": _resume,
        "sites": _sites,
    }  # fmt: skip
    database = place_of(arguments).open_database()
    try:
        database.create_tables()
        return commands[arguments.routes_command](arguments, database)
    finally:
        database.close()


def _list(arguments: argparse.Namespace, database: Database) -> int:
    settings = _settings(arguments)
    configured = {one.name: one for one in settings.destinations} if settings else {}
    with database.read() as connection:
        counts = queue.counts(connection)
        names = sorted({*configured, *(name for name, _ in counts)})
        known = {name: destinations.status_of(connection, name) for name in names}
    rows = [_destination(known[name], configured.get(name), counts) for name in names]
    routes = [_route(one) for one in settings.routes] if settings else []
    if arguments.json:
        answer(arguments, {"destinations": rows, "routes": routes}, title="")
    else:
        print_rows("Destinations", _DESTINATION_COLUMNS, rows, nothing="No destination is configured.")
        print_rows("Routes", _ROUTE_COLUMNS, routes, nothing="No route is configured.")
    return 1 if any(row["state"] in {"away", "not configured"} for row in rows) else 0


def _destination(
    status: DestinationStatus, configured: Destination | None, counts: dict[tuple[str, ItemState], tuple[int, int]]
) -> dict[str, Any]:
    waiting = [counts.get((status.name, state), (0, 0)) for state in ItemState if state is not ItemState.SENT]
    state = "away" if status.reach.is_away else "paused" if status.paused_by else "reachable"
    return {
        "destination": status.name,
        "to": "" if configured is None else configured.aet or configured.url,
        "state": "not configured" if configured is None else state,
        "since": _time(status.reach.away_since),
        "next_probe": _time(status.reach.probe_at),
        "reason": status.reach.reason,
        "studies_waiting": sum(studies for studies, _ in waiting),
        "instances_waiting": sum(instances for _, instances in waiting),
        "instances_sent": status.sent_instances,
        "bytes_sent": status.sent_bytes,
        "last_sent": _time(status.last_sent_at),
        "paused_by": status.paused_by,
    }


def _route(route: Any) -> dict[str, Any]:
    return {
        "route": route.name,
        "destinations": list(route.destinations),
        "urgency": route.urgency.value,
        "modalities": list(route.modalities),
        "sites": list(route.sites),
        "issuers": list(route.issuers),
        "calling_aets": list(route.calling_aets),
        "hours": route.hours,
        "days": [day.value for day in route.days],
    }


def _queue(arguments: argparse.Namespace, database: Database) -> int:
    with database.read() as connection:
        found = queue.listed(connection, destination=arguments.destination, is_all=arguments.all)
        reasons = {item.item_id: queue.reasons(connection, item.item_id) for item in found}
    return _show(arguments, found, reasons)


def _retry(arguments: argparse.Namespace, database: Database) -> int:
    if bool(arguments.items) == bool(arguments.destination):
        raise Refused("which? give numbers of the queue, or --destination NAME")
    now = SystemClock().now()
    with database.write(durable=True) as connection:
        ids = arguments.items or [
            item.item_id for item in queue.listed(connection, destination=arguments.destination) if item.state in _STUCK
        ]
        changed = [queue.retry(connection, item_id, now, by=arguments.by) for item_id in ids]
    _show(arguments, changed, {})
    return 0


def _give_up(arguments: argparse.Namespace, database: Database) -> int:
    now = SystemClock().now()
    with database.write(durable=True) as connection:
        changed = [queue.give_up(connection, item_id, now, by=arguments.by) for item_id in arguments.items]
    _show(arguments, changed, {})
    return 0


def _pause(arguments: argparse.Namespace, database: Database) -> int:
    _demand_known(arguments)
    with database.write(durable=True) as connection:
        destinations.pause(connection, arguments.destination, by=arguments.by)
    answer(arguments, {"destination": arguments.destination, "paused_by": arguments.by}, title="Paused")
    return 0


def _resume(arguments: argparse.Namespace, database: Database) -> int:
    _demand_known(arguments)
    with database.write(durable=True) as connection:
        destinations.resume(connection, arguments.destination)
    answer(arguments, {"destination": arguments.destination, "paused_by": ""}, title="Goes on")
    return 0


def _sites(arguments: argparse.Namespace, database: Database) -> int:
    with database.read() as connection:
        watches = read_watches(connection)
    rows = [
        {
            "site": watch.site_id,
            "state": watch.state.value,
            "since": _time(watch.since),
            "cause": watch.cause.value,
            "heard": _time(watch.heard_at),
            "quiet_min": round(watch.quiet_s / 60),
        }
        for watch in watches
    ]
    if arguments.json:
        answer(arguments, {"sites": rows}, title="")
    else:
        print_rows("Watched sites", _SITE_COLUMNS, rows, nothing="No site is watched, or none was yet.")
    return 1 if any(watch.state is SiteState.SILENT for watch in watches) else 0


def _show(arguments: argparse.Namespace, found: Sequence[Item], reasons: dict[int, dict[str, int]]) -> int:
    rows = [_row(item, reasons.get(item.item_id, {})) for item in found]
    if arguments.json:
        counts = {state.value: sum(row["state"] == state.value for row in rows) for state in ItemState}
        answer(arguments, {"counts": counts, "items": rows}, title="")
    else:
        print_rows("Studies on their way", _ITEM_COLUMNS, rows, nothing="Everything was sent.")
    return 1 if any(item.state in _STUCK for item in found) else 0


def _row(item: Item, reasons: dict[str, int]) -> dict[str, Any]:
    return {
        "item": item.item_id,
        "destination": item.destination,
        "state": item.state.value,
        "emergency": item.is_emergency,
        "issuer": item.study.issuer,
        "study_instance_uid": item.study.study_instance_uid,
        "instances": item.instances,
        "unsent": item.unsent,
        "sent": item.sent,
        "attempts": item.attempts,
        "reason": item.reason,
        "reasons": {reason or "not tried": count for reason, count in reasons.items()},
        "queued": _time(item.queued_at),
        "next": _time(item.due_at) if item.state in WAITING else "",
        "rule": item.rule,
        "by": item.decided_by,
    }


def _time(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat(timespec="seconds")


def _settings(arguments: argparse.Namespace) -> Settings | None:
    file = arguments.config
    if file is None and arguments.data is not None and (arguments.data / CONFIGURATION_NAME).exists():
        file = arguments.data / CONFIGURATION_NAME
    return None if file is None else load(file)


def _demand_known(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    if settings is not None and arguments.destination not in {one.name for one in settings.destinations}:
        raise Refused("there is no such destination; telegarde routes list shows those of the configuration")
