"""How long a console waits for its worklist: 5,000 items of 20 hospitals, asked as consoles ask.

Run as ``python -m benchmarks.worklist [--queries 400] [--work-directory DIR] [--output FILE]``; ``--quick`` is a smoke
run. A node with one worker serves the loopback (SQLite). Consoles of all hospitals take turns at four questions: their
scanner's day, one patient, one accession number, and everything of the hospital. Each opens an association, asks once
and releases. Two times are measured: from the request to the final response, and the same with the association. The
first question of each hospital after a start is told apart (cold), because items are kept once they were made. What is
found is checked: each question has the number of answers that was placed.
"""

import argparse
import dataclasses
import json
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from benchmarks import measure
from benchmarks.peers.telegarde_node import TelegardeNode
from foundation import log
from foundation.database import Database, sqlite_url
from oncall.directory import Site, SiteId
from oncall.documents_store import publish_directory
from pacs.scu.association import PeerAddress, RequestorAssociation
from pacs.upper_layer.associate import PresentationContextProposal
from pacs.upper_layer.dimse import CommandField, encode_command
from pacs.worklist import orders
from pacs.worklist.find_service import MODALITY_WORKLIST
from pacs.worklist.order import Code, Order, OrderPatient, OrderPriority, ProtocolParameter, ScheduledProtocol, order_id
from territory.demo_territory import demo_directory
from territory.settings_model import DATABASE_FILE_NAME

GOAL_S: Final = 0.020
"""From the request to the final response, 95th percentile, of each of the four questions."""

COLD: Final = "whole_hospital_cold"
"""The first question of each hospital after a start, which makes its 250 items; told apart, and no part of the goal."""

ITEMS: Final = 5_000
SITES: Final = 20
SEED: Final = 20261122
_MODALITIES: Final = ("CT", "MR", "CR", "US")
_ZONE: Final = ZoneInfo("Europe/Paris")
_EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
_PENDING: Final = 0xFF00
_PROTOCOL: Final = ScheduledProtocol(
    version=1,
    title="CT angiography of the pulmonary arteries",
    codes=(Code(value="CTPA", scheme="99TELEGARDE", meaning="CT pulmonary angiography", scheme_version="4"),),
    parameters=tuple(
        ProtocolParameter(concept=Code(value=f"P{number}", scheme="99TELEGARDE", meaning=name), value=value, unit=unit)
        for number, (name, value, unit) in enumerate(
            [("Volume", "60", "mL"), ("Rate", "4", "mL/s"), ("Delay", "bolus tracking", ""), ("kV", "100", "kV")]
        )
    ),
    text="One phase, arterial, caudocranial, from the costophrenic angle to the apex.",
    contrast_agent="Iomeprol 400",
)


def site_id(number: int) -> str:
    """Return the id of a hospital."""
    return f"hospital-{number:02}"


def console(number: int, modality: str) -> str:
    """Return the AE title of a hospital's scanner."""
    return f"{modality}_H{number:02}"


def make_orders(now: datetime, items: int) -> list[Order]:
    """Return the orders of a day, spread over hospitals and modalities; seeded."""
    draw = random.Random(SEED)  # a benchmark's data, no secret
    midnight = now.astimezone(_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    made = []
    for number in range(items):
        site = site_id(number % SITES)
        made.append(
            Order(
                order_id=order_id(site, f"P{number}"),
                site_id=site,
                placer_order_number=f"P{number}",
                filler_order_number=f"F{number}",
                accession_number=f"A{number}",
                patient=OrderPatient(
                    patient_id=f"ID{number}", issuer=site.upper(), name=f"Lefèvre{number}^Zoë^Anne", sex="F",
                    birth_date="19500131", allergies="Iode, pénicilline", weight_kg=61.5,
                ),
                modality=_MODALITIES[(number // SITES) % len(_MODALITIES)],
                scheduled_at=midnight + timedelta(minutes=draw.randrange(24 * 60)),
                procedure=Code(value="ECQH010", scheme="CCAM", meaning="Angioscanner du thorax"),
                reason="Douleur thoracique et dyspnée depuis deux heures",
                clinical_question="Embolie pulmonaire ?",
                requester="Martin^Léa",
                requesting_service="Urgences",
                priority=OrderPriority.STAT if draw.random() < 0.15 else OrderPriority.ROUTINE,
                source="hl7",
            )
        )  # fmt: skip
    return made


def fill(database: Database, items: int) -> list[Order]:
    """Publish a directory of the hospitals and place the orders, every second with a protocol."""
    now = datetime.now(UTC)
    directory = demo_directory()
    template = next(iter(directory.sites.values()))
    sites: dict[SiteId, Site] = dict(directory.sites)
    for number in range(SITES):
        sites[SiteId(site_id(number))] = dataclasses.replace(
            template,
            site_id=SiteId(site_id(number)),
            time_zone=_ZONE.key,
            issuer=site_id(number).upper(),
            ae_titles=frozenset(console(number, modality) for modality in _MODALITIES),
        )
    placed = make_orders(now, items)
    with database.write(durable=True) as connection:
        publish_directory(connection, dataclasses.replace(directory, sites=sites), by="benchmark", now=now)
        for number, order in enumerate(placed):
            orders.place(connection, order, now)
            if number % 2:
                orders.set_protocol(connection, order.order_id, _PROTOCOL, now)
    return placed


# --- questions -----------------------------------------------------------------------------------


def _element(tag: int, vr: str, value: str) -> bytes:
    raw = value.encode() + b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(raw)) + raw


def _sequence(tag: int, content: bytes) -> bytes:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(item)) + item


def identifier(top: Mapping[int, str], step: Mapping[int, str]) -> bytes:
    """Return what a CT console asks: its conditions, and 28 attributes to be returned; UTF-8."""
    nested = {
        (0x00080060, "CS"): "", (0x00321070, "LO"): "", (0x00400001, "AE"): "", (0x00400002, "DA"): "",
        (0x00400003, "TM"): "", (0x00400006, "PN"): "", (0x00400007, "LO"): "", (0x00400009, "SH"): "",
        (0x00400010, "SH"): "", (0x00400011, "SH"): "", (0x00400012, "LO"): "", (0x00400400, "LT"): "",
    }  # fmt: skip
    written = {tag: _element(tag, vr, step.get(tag, value)) for (tag, vr), value in nested.items()}
    written[0x00400008] = struct.pack("<HH2sHL", 0x0040, 0x0008, b"SQ", 0, 0)
    inner = b"".join(written[tag] for tag in sorted(written))
    outer = {
        (0x00080005, "CS"): "ISO_IR 192", (0x00080050, "SH"): "", (0x00080090, "PN"): "", (0x00100010, "PN"): "",
        (0x00100020, "LO"): "", (0x00100030, "DA"): "", (0x00100040, "CS"): "", (0x00101030, "DS"): "",
        (0x00102000, "LO"): "", (0x00102110, "LO"): "", (0x0020000D, "UI"): "", (0x00321032, "PN"): "",
        (0x00321060, "LO"): "", (0x00401001, "SH"): "", (0x00401003, "SH"): "", (0x00401400, "LT"): "",
    }  # fmt: skip
    all_written = {tag: _element(tag, vr, top.get(tag, value)) for (tag, vr), value in outer.items()}
    all_written[0x00400100] = _sequence(0x00400100, inner)
    return b"".join(all_written[tag] for tag in sorted(all_written))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One query of one console, and how many answers it has."""

    kind: str
    calling_aet: str
    dataset: bytes
    answers: int


def questions(placed: Sequence[Order], queries: int) -> list[Question]:
    """Return the questions in a seeded order, as many of each kind."""
    draw = random.Random(SEED + 1)  # a benchmark's order, no secret
    today = datetime.now(UTC).astimezone(_ZONE).strftime("%Y%m%d")
    by_site = {site_id(number): [one for one in placed if one.site_id == site_id(number)] for number in range(SITES)}
    made = []
    for turn in range(queries):
        number = turn % SITES
        here = by_site[site_id(number)]
        some = draw.choice(here)
        cts = [one for one in here if one.modality == "CT"]
        aet = console(number, "CT")
        day = {0x00400002: today, 0x00080060: "CT", 0x00400001: aet}
        made += [
            Question(kind="scanner_day", calling_aet=aet, dataset=identifier({}, day), answers=len(cts)),
            Question(
                kind="patient",
                calling_aet=aet,
                dataset=identifier({0x00100020: some.patient.patient_id}, {}),
                answers=1,
            ),
            Question(
                kind="accession",
                calling_aet=aet,
                dataset=identifier({0x00080050: some.accession_number}, {}),
                answers=1,
            ),
            Question(kind="whole_hospital", calling_aet=aet, dataset=identifier({}, {}), answers=len(here)),
        ]
    draw.shuffle(made)
    return made


def ask(port: int, question: Question) -> tuple[float, float]:
    """Ask once; return the seconds of the query, and those with its association.

    Raises
    ------
    SystemExit
        If the number of answers is wrong: the figures mean nothing.
    """
    context = PresentationContextProposal(
        context_id=1, abstract_syntax=MODALITY_WORKLIST, transfer_syntaxes=(_EXPLICIT_LITTLE,)
    )
    address = PeerAddress(host="127.0.0.1", port=port, ae_title="TELEGARDE")
    began_s = time.perf_counter()
    with RequestorAssociation(address, calling_aet=question.calling_aet, contexts=(context,)) as association:
        message_id = association.next_message_id()
        command = encode_command(
            affected_sop_class_uid=MODALITY_WORKLIST, command_field=CommandField.C_FIND_RQ, message_id=message_id,
            priority=0, data_set_type=1,
        )  # fmt: skip
        asked_s = time.perf_counter()
        association.send(1, command, question.dataset)
        answers = 0
        while association.receive_response(message_id).status == _PENDING:
            answers += 1
        answered_s = time.perf_counter()
    ended_s = time.perf_counter()
    if answers != question.answers:
        raise SystemExit(f"{question.kind}: {answers} answers instead of {question.answers}; the figures mean nothing")
    return answered_s - asked_s, ended_s - began_s


def run(directory: Path, items: int, queries: int) -> dict[str, Any]:
    """Measure once."""
    node = TelegardeNode(directory / "node", workers=1)
    node.start()
    database = Database(sqlite_url(node.data / DATABASE_FILE_NAME))
    try:
        database.create_tables()
        placed = fill(database, items)
        asked = questions(placed, queries)
        cpu_before_s = measure.cpu_seconds(node.process.pid)
        seen: set[str] = set()
        times: dict[str, list[tuple[float, float]]] = {}
        for question in asked:
            # Everything of a hospital makes all its items: what comes after is asked of what is kept.
            is_cold = question.kind == "whole_hospital" and question.calling_aet not in seen
            seen |= {question.calling_aet} if question.kind == "whole_hospital" else set()
            times.setdefault(COLD if is_cold else question.kind, []).append(ask(node.port, question))
        cpu_s = measure.cpu_seconds(node.process.pid) - cpu_before_s
    finally:
        database.close()
        node.stop()
    return {
        "items": items,
        "node_cpu_s_per_query": cpu_s / len(asked),
        "sites": SITES,
        "queries_of_each_kind": queries,
        "kinds": {
            kind: {
                "queries": len(found),
                "query_s": spread([query_s for query_s, _ in found]),
                "with_association_s": spread([whole_s for _, whole_s in found]),
            }
            for kind, found in sorted(times.items())
        },
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"median": statistics.median(ordered), "p95": p95, "max": ordered[-1]}


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description="How long a console waits for its worklist.")
    parser.add_argument("--queries", type=int, default=400, help="of each kind")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds; its figures mean nothing")
    parser.add_argument("--work-directory", type=Path, help="on the disk to measure (the temporary directory)")
    parser.add_argument("--output", type=Path, help="JSON file (benchmarks/results/worklist.json; none when quick)")
    given = parser.parse_args()
    log.configure(level="ERROR")
    with tempfile.TemporaryDirectory(dir=given.work_directory) as name:
        about = {
            "benchmark": "worklist", "is_smoke_run": given.quick, "commit": measure.commit(),
            "machine": measure.machine(Path(name)), "goal_s": GOAL_S,
        }  # fmt: skip
        found = run(Path(name), 400 if given.quick else ITEMS, 20 if given.quick else given.queries)
    is_reached = all(kind["query_s"]["p95"] < GOAL_S for name, kind in found["kinds"].items() if name != COLD)
    output = given.output or (None if given.quick else Path("benchmarks/results/worklist.json"))
    if output is not None:
        output.write_text(json.dumps({**about, **found, "is_reached": is_reached}, indent=1) + "\n")
    for kind, measured in found["kinds"].items():
        spoken = "  ".join(f"{word} {value * 1000:7.2f} ms" for word, value in measured["query_s"].items())
        print(f"{kind:20} {measured['queries']:5} queries  {spoken}")
    print(f"processor of the node for a query, mean: {found['node_cpu_s_per_query'] * 1000:.2f} ms")
    print(f"query, p95 of each kind: goal {GOAL_S * 1000:g} ms {'reached' if is_reached else 'MISSED'}")


if __name__ == "__main__":
    main()
