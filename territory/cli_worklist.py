"""``telegarde worklist``: open orders, and one of them as a console is given it.

Not for: placing or changing orders (HL7 messages and the request form do), or answering consoles (`pacs.worklist`).
"""

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from pydicom.datadict import keyword_for_tag

import oncall.schema  # noqa: F401  # adds its tables to METADATA
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import SystemClock
from foundation.database import Database
from foundation.errors import Refused
from pacs.archive.query_values import Item
from pacs.worklist import orders
from pacs.worklist.deliveries import delivered_to
from pacs.worklist.item import shown_start, worklist_item
from pacs.worklist.order import Order
from pacs.worklist.orders import scheduled_step_id
from territory.cli_output import answer
from territory.cli_place import place_of
from territory.cli_tables import print_rows
from territory.cli_worklist_steps import list_steps
from territory.published_sites import PublishedSites

_COLUMNS: Final = (
    "site", "scheduled", "priority", "modality", "state", "description", "station", "accession_number", "protocol",
    "order_id",
)  # fmt: skip


class NoSuchOrder(Refused):
    """Nothing that was placed here is called so."""


def run(arguments: argparse.Namespace) -> int:
    """Run one of the worklist commands."""
    database = place_of(arguments).open_database()
    try:
        database.create_tables()
        commands = {"list": _list, "show": _show, "steps": list_steps}
        return commands[arguments.worklist_command](arguments, database)
    finally:
        database.close()


def _list(arguments: argparse.Namespace, database: Database) -> int:
    now, zones = SystemClock().now(), PublishedSites(database)
    with database.read() as connection:
        if arguments.site is None:
            found = orders.open_everywhere(connection)
        else:
            found = orders.open_of_site(connection, arguments.site)
    chosen = [one for one in found if arguments.modality in (None, one.modality)]
    rows = [_row(one, zones, now) for one in chosen]
    if arguments.json:
        answer(arguments, {"orders": rows}, title="")
    else:
        print_rows("Open orders", _COLUMNS, rows, nothing="No order is open.")
    return 0


def _row(order: Order, zones: PublishedSites, now: datetime) -> dict[str, Any]:
    start = shown_start(order, zone=zones.zone_of(order.site_id), now=now)
    return {
        "site": order.site_id,
        "scheduled": start.isoformat(timespec="minutes"),
        "priority": order.priority.value,
        "modality": order.modality,
        "state": order.state.value,
        "description": order.description if order.protocol is None else order.protocol.title,
        "station": order.station_aet,
        "accession_number": order.accession_number,
        "protocol": 0 if order.protocol is None else order.protocol.version,
        "order_id": order.order_id,
        "step_id": scheduled_step_id(order.order_id),
        "study_instance_uid": order.study_instance_uid,
        "source": order.source,
    }


def _show(arguments: argparse.Namespace, database: Database) -> int:
    now, zones = SystemClock().now(), PublishedSites(database)
    with database.read() as connection:
        found = orders.meant_by(connection, arguments.order)
        given = {one.order_id: delivered_to(connection, one.order_id) for one in found}
    if not found:
        raise NoSuchOrder("no order is called so; telegarde worklist list shows the open ones")
    shown = [
        {
            **_row(one, zones, now),
            "item": dict(_attributes(worklist_item(one, zone=zones.zone_of(one.site_id), now=now), "")),
            "given_to": [
                {
                    "console": to.calling_aet,
                    "protocol": to.protocol_version,
                    "at": to.delivered_at.isoformat(timespec="seconds"),
                }
                for to in given[one.order_id]
            ],
        }
        for one in found
    ]
    if arguments.json:
        answer(arguments, {"orders": shown}, title="")
        return 0
    for one in shown:
        rows = [{"attribute": name, "value": value} for name, value in one["item"].items()]
        print_rows(f"Order {one['order_id']} of {one['site']}", ("attribute", "value"), rows)
        print_rows(
            "Given to", ("console", "protocol", "at"), one["given_to"], nothing="No console was given a protocol."
        )
    return 0


def _attributes(item: Item, before: str) -> Iterator[tuple[str, str]]:
    """Yield attributes by keyword, those inside sequences after the keywords around them; without empty ones."""
    for number in sorted(item):
        element, name = item[number], before + keyword_for_tag(number)
        if element.text:
            yield name, element.text
        for place, nested in enumerate(element.items, start=1):
            yield from _attributes(nested, f"{name}[{place}].")
