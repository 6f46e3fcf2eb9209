"""A plan blanc of hundreds of people, from the decision to the last hand-over, through a real relay and gateway.

Run as ``python -m benchmarks.recall [--people 500] [--gateway-delay-s 0.2] [--repeat 3] [--json]``. Half of the people
are reached by e-mail (aiosmtpd in a process of its own), half by text message (an HTTP gateway in another, which
answers late as a provider does). The work is checked: every message taken once, by the relay's and gateway's account.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from benchmarks.peers.message_gateway import Gateway, message_gateway
from benchmarks.peers.processes import LOOPBACK, ServerProcess, free_port, is_listening, wait_until
from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from oncall import recall_store
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.channels.http_gateway import HttpChannel, HttpGateway
from oncall.directory import ChannelKind, ContactMethod, PersonId
from oncall.dispatch import Dispatcher
from oncall.notify import Sender
from oncall.plan_blanc import Recalled, RecallOrder

GOAL_S = 5.0


@contextmanager
def sink_relay(directory: Path) -> Iterator[int]:
    """Run aiosmtpd as a relay that throws mail away; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{LOOPBACK}:{port}", "-c", "aiosmtpd.handlers.Sink"]
    process = ServerProcess("relay", command, directory=directory)
    try:
        wait_until(lambda: is_listening(port), what="the relay")
        yield port
    finally:
        process.stop()


def people(count: int) -> tuple[Recalled, ...]:
    """Return a staff list: every second by e-mail, the others by text message."""
    methods = [
        ContactMethod(kind=ChannelKind.EMAIL, address=f"p{number}@example.org")
        if number % 2
        else ContactMethod(kind=ChannelKind.SMS, address=f"+33{number}")
        for number in range(count)
    ]
    return tuple(
        Recalled(person_id=PersonId(f"p{number}"), language="fr", methods=(method,))
        for number, method in enumerate(methods)
    )


def measure(url: str, relay_port: int, gateway: Gateway, count: int, recall_id: str) -> dict[str, float]:
    """Recall everybody once; return seconds to decide and until the last hand-over is recorded."""
    database = Database(url)
    database.create_tables()
    relay = SmtpRelay(host=LOOPBACK, port=relay_port, sender="garde@telegarde.example", security=Security.NONE)
    template = HttpGateway(kind=ChannelKind.SMS, url=gateway.url, body={"to": "{to}"}, id_path=("messages", 0, "id"))
    dispatcher = Dispatcher(database, [SmtpChannel(relay), HttpChannel(template)], SystemClock(), worker=recall_id)
    order = RecallOrder(
        recall_id=recall_id, place="CH", zone="Europe/Paris", people=people(count), started_by="benchmark"
    )
    sender = Sender(answer_url="https://telegarde.example/a/", secret=b"benchmark")
    rung_before = len(gateway.rung())
    begun = time.perf_counter()
    with database.write(durable=True) as connection:
        recall_store.start(connection, order, datetime.now(UTC), sender)
    decided = time.perf_counter()
    dispatcher.drain()
    ended = time.perf_counter()
    with database.read() as connection:
        handed_over = recall_store.board_of(connection, recall_id).count()["handed_over"]
    database.close()
    if handed_over != count or len(gateway.rung()) - rung_before != (count + 1) // 2:
        message = f"only {handed_over} of {count} were handed over; the figures mean nothing"
        raise SystemExit(message)
    return {"decided_s": decided - begun, "handed_over_s": ended - begun}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A plan blanc handed to real channels: how long it takes.")
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--gateway-delay-s", type=float, default=0.2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            sink_relay(directory) as relay_port,
            message_gateway(directory / "requests", delay_s=given.gateway_delay_s) as gateway,
        ):
            runs = [
                measure(sqlite_url(directory / f"{number}.sqlite"), relay_port, gateway, given.people, f"run{number}")
                for number in range(given.repeat)
            ]
    median_s = statistics.median(run["handed_over_s"] for run in runs)
    result = {
        "people": given.people,
        "gateway_delay_s": given.gateway_delay_s,
        "runs": runs,
        "median_s": median_s,
        "goal_s": GOAL_S,
        "is_reached": median_s < GOAL_S,
    }
    if given.json:
        print(json.dumps(result))
        return
    word = "reached" if result["is_reached"] else "missed"
    print(
        f"{given.people} people handed to the channels in {median_s:.2f} s (median of {given.repeat}; gateway answers "
        f"after {given.gateway_delay_s:g} s); goal {GOAL_S:g} s {word}"
    )


if __name__ == "__main__":
    main()
