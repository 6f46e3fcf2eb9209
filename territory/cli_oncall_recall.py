"""``telegarde oncall plan-blanc`` and ``recall-end``: the staff of the territory recalled in parallel.

For real it writes the recall and its messages; the channels are those of the node that serves, so one must.

Invariant: with ``--drill`` nobody can be paged: what a drill makes has no address, and the only channel that it is
given records (`oncall.drill`).
"""

import argparse
import secrets
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall import drill, recall_store
from oncall.directory import Person, Role
from oncall.notify import Sender
from oncall.plan_blanc import RecallOrder, recalled
from oncall.recall_rows import order_of
from territory.cli_oncall_place import InForce, load_in_force, local_text, open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows
from territory.data_location import location_of
from territory.node_lock import running_node
from territory.oncall_process import answer_secret
from territory.settings_model import CONFIGURATION_NAME

_ID_BYTES: Final = 3
REAL_WORD: Final = "PLAN-BLANC"


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``plan-blanc``, as a drill or for real, or ``recall-end``."""
    if arguments.oncall_command == "recall-end":
        return _end(arguments, clock)
    if arguments.for_real is not None:
        return _recall(arguments, clock)
    if not arguments.drill:
        raise Refused(
            f"a drill or for real? --drill pages nobody and shows who would be called; --for-real {REAL_WORD} calls "
            "everybody now"
        )
    now = clock.now().astimezone(UTC)
    with open_database(arguments) as database:
        territory = load_in_force(database)
        order = _order(arguments, territory, now, "drill")
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


def _recall(arguments: argparse.Namespace, clock: Clock) -> int:
    if arguments.for_real != REAL_WORD:
        raise Refused(f"nobody was called: write --for-real {REAL_WORD} to call everybody now")
    data_dir = location_of(arguments).data_dir
    if running_node(data_dir) is None:
        raise Refused(
            "nobody was called: the channels are those of the node, and none serves this directory; start telegarde "
            "serve, or telephone by your paper list"
        )
    now = clock.now().astimezone(UTC)
    with open_database(arguments) as database:
        territory = load_in_force(database)
        order = _order(arguments, territory, now, "recall")
        sender = Sender(answer_url=_answer_url(arguments), secret=answer_secret(data_dir))
        with database.write(durable=True) as connection:
            called = recall_store.start(connection, order, now, sender)
    answer(
        arguments,
        {
            "recall_id": order.recall_id,
            "is_drill": False,
            "started_at": local_text(now, territory.zone),
            "recalled": len(order.people),
            "queued": called,
        },
        title="PLAN BLANC: everybody is being called",
    )
    return 0 if called == len(order.people) else 1


def _end(arguments: argparse.Namespace, clock: Clock) -> int:
    now, data_dir = clock.now().astimezone(UTC), location_of(arguments).data_dir
    sender = Sender(answer_url=_answer_url(arguments), secret=answer_secret(data_dir))
    with open_database(arguments) as database, database.write(durable=True) as connection:
        if order_of(connection, arguments.recall) is None:
            raise Refused(f"no recall {arguments.recall}; the page /oncall/plan-blanc lists them")
        is_ended = recall_store.end(connection, arguments.recall, now, sender, by=arguments.by)
    is_told = running_node(data_dir) is not None
    answer(
        arguments,
        {"recall_id": arguments.recall, "ended_now": is_ended, "node_serves": is_told},
        title="ENDED: nobody is called any more" if is_ended else "It was not running",
    )
    if is_ended and not is_told:
        print("telegarde oncall: no node serves this directory: who was called is told when one does", file=sys.stderr)
    return 0 if is_ended else 1


def _order(arguments: argparse.Namespace, territory: InForce, now: datetime, kind: str) -> RecallOrder:
    return RecallOrder(
        recall_id=f"{kind}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(_ID_BYTES)}",
        place=", ".join(arguments.site) or "territory",
        zone=territory.zone,
        people=recalled(_people(arguments, territory)),
        started_by=arguments.by,
    )


def _answer_url(arguments: argparse.Namespace) -> str:
    # A node that is open on loopback has no configuration: its recall carries no link, and is answered by telephone.
    configuration = arguments.config or (arguments.data / CONFIGURATION_NAME if arguments.data else None)
    if configuration is None or not configuration.exists():
        return ""
    from territory.settings import load

    return load(configuration).oncall.answer_url or ""


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
