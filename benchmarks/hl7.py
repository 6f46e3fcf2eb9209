"""How many HL7 messages a second are acknowledged durably, by one core.

Run as ``python -m benchmarks.hl7 [--messages 2000] [--work-directory DIR] [--output FILE]``; ``--quick`` is a smoke
run. The interfaces' process runs as in a node (SQLite, every acknowledgement after a sync), held to one core; senders
on another core wait for each answer before they send the next message, as hospitals' systems do. Orders are placed
(ORM^O01, each of a new patient), patients described again (ADT^A08), and everything once more: then each message is
known, and answered from the store. Where other programs share the core, ``per_cpu_s`` says what a whole one would do.
What is found is checked: as many orders and messages are there as were accepted.
"""

import argparse
import itertools
import json
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from benchmarks import measure
from benchmarks.peers.processes import wait_until
from foundation import log
from foundation.database import Database
from oncall.documents_store import publish_directory
from oncall.roster_publication import publish_roster
from pacs.worklist.hl7 import received
from pacs.worklist.hl7.framing import block_of
from pacs.worklist.hl7.received import ReceivedState
from pacs.worklist.schema import worklist_order
from territory.demo_roster import demo_roster
from territory.demo_territory import demo_directory
from territory.interfaces_process import hl7_ports, interfaces_keeper
from territory.maintenance import CHECKPOINT_EVERY_S, Maintenance, PeriodicTask, checkpoint
from territory.settings import Settings, load

GOAL_PER_S: Final = 200.0
"""Messages acknowledged durably in a second, on one core."""

SITE: Final = "fontclaire"
CONNECTIONS: Final = (1, 4, 16)
WARMING: Final = 50
LOOPBACK: Final = "127.0.0.1"
_WAIT_S_MAX: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one kind of message came to over some connections."""

    kind: str
    connections: int
    messages: int
    took_s: float
    cpu_s: float
    latencies_s: Sequence[float]

    def described(self) -> dict[str, Any]:
        """Return it for the file."""
        ordered = sorted(self.latencies_s)
        return {
            "kind": self.kind,
            "connections": self.connections,
            "messages": self.messages,
            "per_s": round(self.messages / self.took_s, 1),
            "per_cpu_s": round(self.messages / self.cpu_s, 1),
            "cpu_ms_per_message": round(1000 * self.cpu_s / self.messages, 3),
            "answer_ms_median": round(1000 * statistics.median(ordered), 2),
            "answer_ms_p95": round(1000 * ordered[round(0.95 * (len(ordered) - 1))], 2),
        }


def order(number: int) -> bytes:
    """Return an order for an emergency CT, of a patient of its own."""
    stamp = "20261025020000+0100"
    segments = (
        f"MSH|^~\\&|DXCARE|FONTCLAIRE|TELEGARDE|GIE|{stamp}||ORM^O01^ORM_O01|O{number}|P|2.5.1|||||FRA|UNICODE UTF-8",
        _patient(number, "ROUSSEAU"),
        "PV1|1|E|URG^BOX3",
        f"ORC|NW|D{number}^DXCARE|||||1^once^^{stamp}^^S||{stamp}|||10003456789^ROY^CLAIRE",
        f"OBR|1|D{number}^DXCARE||TDMCRANE^TDM crane, AVC^L|S||{stamp}||||||déficit|||10003456789^ROY^CLAIRE||||||||CT",
    )
    return _encoded(segments)


def patient_update(number: int) -> bytes:
    """Return the description of a patient of an order, once more."""
    stamp, kind = "20261025020100+0100", "ADT^A08^ADT_A01"
    segments = (
        f"MSH|^~\\&|DXCARE|FONTCLAIRE|TELEGARDE|GIE|{stamp}||{kind}|P{number}|P|2.5.1|||||FRA|UNICODE UTF-8",
        f"EVN|A08|{stamp}",
        _patient(number, "ROUSSEAU"),
        "PV1|1|E|URG^BOX3",
    )
    return _encoded(segments)


def _patient(number: int, name: str) -> str:
    return f"PID|1||P{number}^^^FONTCLAIRE^PI||{name}^CAMILLE^^^^^L||19580312|F"


def _encoded(segments: Sequence[str]) -> bytes:
    return "".join(f"{segment}\r" for segment in segments).encode()


@contextmanager
def interfaces(directory: Path) -> Iterator[tuple[Settings, Database, int]]:
    """Run the interfaces' process on one core; yield its settings, its database and its process id."""
    settings = _settings(directory)
    settings.archive.data_dir.mkdir(parents=True)
    database = Database(settings.database_url)
    database.create_tables()
    territory = demo_directory()
    with database.write(durable=True) as connection:
        now = datetime.now(UTC)
        publish_directory(connection, territory, by="benchmark", now=now)
        publish_roster(connection, demo_roster(territory), territory, by="benchmark", now=now)
    ports = hl7_ports(settings)
    keeper = interfaces_keeper(settings, ports)
    # As the supervisor of a node does.
    log_writing = PeriodicTask(name="checkpoint", every_s=CHECKPOINT_EVERY_S, run=lambda: checkpoint(database))
    maintenance = Maintenance([log_writing], threading.Event())
    maintenance.start()
    keeper.start()
    try:
        wait_until(lambda: _is_listening(settings), timeout_s=_WAIT_S_MAX, what="the interfaces' process")
        assert keeper.pid is not None
        core, *others = sorted(os.sched_getaffinity(0))
        for thread in Path(f"/proc/{keeper.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        os.sched_setaffinity(0, others or {core})
        yield settings, database, keeper.pid
    finally:
        keeper.stop()
        maintenance.stop()
        for sock, _ in ports:
            sock.close()
        database.close()


def _settings(directory: Path) -> Settings:
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = probe.getsockname()[1]
    file = directory / "telegarde.toml"
    file.write_text(
        f"""
[archive]
data_dir = "{directory / "data"}"
[dicom]
aet = ["BENCHMARK"]
[hl7]
host = "{LOOPBACK}"
port = {port}
[[hl7.senders]]
application = "DXCARE"
site = "{SITE}"
issuer = "FONTCLAIRE"
addresses = ["{LOOPBACK}/32"]
"""
    )
    return load(file, environment={})


def _is_listening(settings: Settings) -> bool:
    assert settings.hl7 is not None
    try:
        _converse(settings.hl7.port, [order(0)])
    except OSError:
        return False
    return True


def _converse(port: int, messages: Sequence[bytes]) -> list[float]:
    """Send messages over one connection, each after the answer to the one before; return the seconds of each."""
    took = []
    with socket.create_connection((LOOPBACK, port), timeout=_WAIT_S_MAX) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for message in messages:
            began = time.perf_counter()
            sock.sendall(block_of(message))
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                more = sock.recv(65_536)
                if not more:
                    raise ConnectionError("the listener closed the connection")
                answer += more
            took.append(time.perf_counter() - began)
            if b"\rMSA|AA|" not in answer:
                raise SystemExit(f"a message was not accepted; the figures mean nothing: {answer!r}")
    return took


def timed(port: int, pid: int, kind: str, connections: int, messages: Sequence[bytes]) -> Run:
    """Send messages over several connections at once."""
    shares = [messages[first::connections] for first in range(connections)]
    latencies: list[list[float]] = [[] for _ in shares]

    def send(position: int) -> None:
        latencies[position] = _converse(port, shares[position])

    threads = [threading.Thread(target=send, args=(position,)) for position in range(connections)]
    cpu_before, began = _cpu_s(pid), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s, cpu_s = time.perf_counter() - began, _cpu_s(pid) - cpu_before
    answered = list(itertools.chain.from_iterable(latencies))
    if len(answered) != len(messages):
        raise SystemExit("not every message was answered; the figures mean nothing")
    return Run(
        kind=kind, connections=connections, messages=len(messages), took_s=took_s, cpu_s=cpu_s, latencies_s=answered
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(directory: Path, messages: int) -> list[Run]:
    """Measure every kind over every number of connections."""
    kinds: tuple[tuple[str, Callable[[int], bytes]], ...] = (
        ("order", order), ("patient", patient_update), ("order again", order),
    )  # fmt: skip
    runs = []
    with interfaces(directory) as (settings, database, pid):
        assert settings.hl7 is not None
        # The first messages load what all others use.
        _converse(
            settings.hl7.port, [make(number) for make in (order, patient_update) for number in range(1, WARMING + 1)]
        )
        for position, connections in enumerate(CONNECTIONS):
            numbers = range(WARMING + position * messages + 1, WARMING + (position + 1) * messages + 1)
            for kind, make in kinds:
                sent = [make(number) for number in numbers]
                runs.append(timed(settings.hl7.port, pid, kind, connections, sent))
        placed = len(CONNECTIONS) * messages + WARMING + 1
        with database.read() as connection:
            orders = connection.execute(select(func.count()).select_from(worklist_order)).scalar_one()
            kept = received.counts(connection)
    if orders != placed or kept != {ReceivedState.ACCEPTED: 2 * placed - 1}:
        raise SystemExit(f"{orders} orders of {placed} and messages {dict(kept)} are there; the figures mean nothing")
    return runs


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description="How many HL7 messages a second are acknowledged durably.")
    parser.add_argument("--messages", type=int, default=2000, help="of each kind (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds; its figures mean nothing")
    parser.add_argument("--work-directory", type=Path, help="on the disk to measure (the temporary directory)")
    parser.add_argument("--output", type=Path, help="JSON file (benchmarks/results/hl7.json; none when quick)")
    given = parser.parse_args()
    log.configure(level="ERROR")
    with tempfile.TemporaryDirectory(dir=given.work_directory) as name:
        about = {
            "benchmark": "hl7", "is_smoke_run": given.quick, "commit": measure.commit(),
            "machine": measure.machine(Path(name)), "goal_per_s": GOAL_PER_S, "cores_of_listener": 1,
        }  # fmt: skip
        runs = [one.described() for one in run(Path(name), 50 if given.quick else given.messages)]
    slowest = min(one["per_s"] for one in runs if one["connections"] > 1)
    output = given.output or (None if given.quick else Path("benchmarks/results/hl7.json"))
    if output is not None:
        is_reached = slowest >= GOAL_PER_S
        output.write_text(json.dumps({**about, "runs": runs, "is_reached": is_reached}, indent=1) + "\n")
    for one in runs:
        print(
            f"{one['kind']:12} {one['connections']:3} connections {one['per_s']:8.1f}/s "
            f"{one['answer_ms_median']:7.2f} ms median {one['answer_ms_p95']:7.2f} ms p95 "
            f"{one['cpu_ms_per_message']:6.3f} ms CPU"
        )
    print(f"slowest over several connections: {slowest:g}/s, goal {GOAL_PER_S:g}/s")


if __name__ == "__main__":
    main()
