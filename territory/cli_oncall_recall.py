"""``telegarde oncall plan-blanc``: the staff of the territory recalled in parallel.

Invariant: with ``--drill`` nobody can be paged: what a drill makes has no address, and the only channel that it is
given records (`oncall.drill`).
"""

import argparse
import secrets
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall import drill
from oncall.directory import Person, Role
from oncall.plan_blanc import RecallOrder, recalled
from territory.cli_oncall_place import InForce, load_in_force, local_text, open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows

_ID_BYTES: Final = 3


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``plan-blanc --drill``."""
    if not arguments.drill:
        raise Refused(
            "from here a plan blanc can only be drilled: add --drill; a real one is started where the channels are, on "
            "the page of the node that telegarde serve runs"
        )
    now = clock.now().astimezone(UTC)
    with open_database(arguments) as database:
        territory = load_in_force(database)
        people = _people(arguments, territory)
        order = RecallOrder(
            recall_id=f"drill-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(_ID_BYTES)}",
            place=", ".join(arguments.site) or "territory",
            zone=territory.zone,
            people=recalled(people),
            started_by=arguments.by,
        )
        recorder = drill.Recorder()
        began_s = time.monotonic()
        with database.write(durable=True) as connection:
            called = drill.rehearse(connection, order, now, recorder)
        seconds = time.monotonic() - began_s
        with database.read() as connection:
            board = drill.board_of_drill(connection, order)
    result: dict[str, Any] = {
        "recall_id": order.recall_id,
        "is_drill": True,
        "started_at": local_text(now, territory.zone),
        "paged_for_real": 0,
        "would_be_called": called,
        "seconds": round(seconds, 3),
        "channels": dict(sorted(Counter(str(one.channel) for one in recorder.recorded).items())),
        **board.count(),
        "people": [
            {
                "person_id": standing.person_id,
                "name": territory.directory.persons[standing.person_id].name,
                "channel": standing.channel,
                "delivered": standing.is_delivered,
                "answer": standing.answer or None,
                "arrives_at": _local(standing.arrives_at, territory),
                "reason": standing.reason or None,
            }
            for standing in board.standings
        ],
    }
    if arguments.json:
        answer(arguments, result, title="")
        return 0
    columns = ("person_id", "name", "channel", "delivered", "answer", "arrives_at", "reason")
    print_rows("Who would be called first, and by what", columns, result["people"])
    rest = {key: value for key, value in result.items() if key != "people"}
    answer(arguments, rest, title="DRILL: nobody was paged")
    return 0


def _people(arguments: argparse.Namespace, territory: InForce) -> list[Person]:
    sites = {territory.site(site) for site in arguments.site}
    roles = {_role(name) for name in arguments.role}
    found = [
        person
        for _, person in sorted(territory.directory.persons.items())
        if (not sites or person.sites & sites or person.privileges & sites) and (not roles or person.role in roles)
    ]
    if not found:
        raise Refused("nobody of the directory has these sites and roles; leave out one of them")
    return found


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise Refused(f"--role {name}: one of {', '.join(role.value for role in Role)} is wanted") from None


def _local(instant: datetime | None, territory: InForce) -> str | None:
    return local_text(instant, territory.zone) if instant is not None else None
