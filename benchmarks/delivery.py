"""How long a report takes from the signer's click to its being delivered, with its documents made and filed.

Run as ``python -m benchmarks.delivery [--reports 60] [--work-directory DIR] [--output FILE]``; ``--quick`` is a smoke
run. A node serves an archive on the loopback (SQLite, fsync as always); the engine signs on the same database, and a
worker makes PDF/A, SR and key objects and files them by C-STORE on the node's own port. Two times are measured from
before the signature: until the emergency department's page has the report (T4), and until the archive has confirmed
every document. What is found is checked: each report is delivered by both, and each document is in the index once.
"""

import argparse
import json
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from benchmarks import measure
from benchmarks.peers.telegarde_node import TelegardeNode
from foundation import log
from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from foundation.instants import instant_of_us
from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.delivery import queue
from oncall.delivery.channels.dicom import DicomWay
from oncall.delivery.channels.port import Way
from oncall.delivery.channels.web import WebWay
from oncall.delivery.documents import Described, DocumentStore
from oncall.delivery.making import make
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.worker import DeliveryWorker
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules, InForce
from oncall.engine.sql_store import SqlStore
from oncall.language import Language
from oncall.notify import Sender
from oncall.reading.board import ExamKind, Urgency
from oncall.report.content import Answer, Dose, KeyImage, ReportContent
from oncall.report.signing import Ed25519Keys
from oncall.report.version import SignedVersion
from oncall.report_documents.source import ExamFacts, ExaminedStudy, Subject
from oncall.rota.timeline import Timeline
from oncall.schema import oncall_delivery_event
from oncall.spans import Span
from pacs.archive.schema import instance
from pacs.scu.association import PeerAddress
from territory.demo_roster import demo_roster
from territory.demo_territory import demo_directory
from territory.report_doors import ScuDoor
from territory.settings_model import DATABASE_FILE_NAME

GOAL_S: Final = 1.0
"""From the signature to delivered, 95th percentile."""

NIGHT: Final = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
DOCUMENTS: Final = 3
_WAIT_S_MAX: Final = 60.0
_CHANNELS: Final = (DeliveryChannel.WEB, DeliveryChannel.ARCHIVE)


class Signing:
    """An engine that opens cases of the demonstration territory and signs their reports."""

    def __init__(self, database: Database, keys: Path) -> None:
        directory = demo_directory()
        roster = demo_roster(directory)
        within = Span(start=NIGHT - timedelta(days=130), end=NIGHT + timedelta(days=130))
        rules = InForce(directory=directory, roster=roster, timeline=Timeline(roster, directory, within))
        sender = Sender(answer_url="", secret=secrets.token_bytes(16))
        self._engine = Engine(SqlStore(database), FixedRules(rules), sender, worker="benchmark")
        self._keys = Ed25519Keys(keys)
        self._sites = sorted(directory.sites)

    def open(self, number: int) -> tuple[CaseId, str]:
        """Open a case and let its reader claim it; return it and the reader's lock."""
        now, case_id = NIGHT + timedelta(seconds=number), CaseId(f"report-{number}")
        site_id = self._sites[number % len(self._sites)]
        request = NewRequest(site_id=site_id, exam=ExamKind.HEAD, urgency=Urgency.P2, modality="CT")
        self._engine.open_case(case_id, request, now)
        case = self._engine.complete_images(case_id, now, rule="radiographer")
        reader = case.reading.assigned_to
        if reader is None:
            raise SystemExit("nobody is on duty in the demonstration's night; the figures mean nothing")
        self._engine.claim(case_id, reader, now, transaction_uid=f"2.25.{number + 1}")
        return case_id, f"2.25.{number + 1}"

    def sign(self, case_id: CaseId, transaction_uid: str, number: int) -> None:
        """Sign the report of a case."""
        reader = self._engine.case(case_id).reading.claimed_by
        assert reader is not None, "opened before"
        now = NIGHT + timedelta(seconds=number)
        self._engine.sign_report(
            case_id, reader, report(number), now, signer_port=self._keys, transaction_uid=transaction_uid
        )


def report(number: int) -> ReportContent:
    """Return a report of usual length: some 2,000 characters, a form of ten answers, a dose, a key image."""
    sentence = "Pas d'hémorragie intracrânienne ; différenciation cortico-sous-corticale conservée. "
    return ReportContent(
        language=Language.FRENCH,
        title=f"Scanner cérébral {number}",
        indication="Déficit brutal de l'hémicorps droit il y a deux heures.",
        technique="Acquisition hélicoïdale sans injection, puis angioscanner des troncs supra-aortiques.",
        results="\n".join([sentence * 4] * 5),
        conclusion="Occlusion de l'artère sylvienne gauche (M1), ASPECTS 8.",
        answers=tuple(Answer(field_id=f"f{field}", label=f"Question {field}", value=field) for field in range(10)),
        doses=(Dose(quantity="DLP", value=912.0, unit="mGy.cm"),),
        key_images=(
            KeyImage(
                study_instance_uid=study_uid(CaseId(f"report-{number}")),
                series_instance_uid="2.25.10",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sop_instance_uid="2.25.11",
            ),
        ),
    )


def study_uid(case_id: CaseId) -> str:
    """Return the study of a case."""
    return f"2.25.99.{case_id.rpartition('-')[2]}"


def describe(signed: SignedVersion) -> Described:
    """Return patient and exam of a report, as the index would; looking them up is a query of a millisecond."""
    case_id = signed.version.case_id
    subject = Subject(
        name="Dupont^Éloïse", patient_id=str(case_id), issuer="DEMO", birth_date=date(1950, 5, 17), sex="F"
    )
    study = ExaminedStudy(study_instance_uid=study_uid(case_id), modality="CT", accession_number=f"A{case_id[7:]}")
    return subject, ExamFacts(site_name="CH d'Ambert", time_zone="Europe/Paris", studies=(study,))


@contextmanager
def delivering(database: Database, port: int) -> Iterator[DeliveryWorker]:
    """Run a worker as the on-call process does."""
    archive = PeerAddress(host="127.0.0.1", port=port, ae_title="TELEGARDE")
    ways: list[Way] = [WebWay(database), DicomWay(DeliveryChannel.ARCHIVE, ScuDoor(lambda _: archive, "TELEGARDE_CR"))]
    clock = SystemClock()
    worker = DeliveryWorker(database, ways, DocumentStore(database, describe, make, clock), clock, worker="benchmark")
    stopping = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stopping,))
    thread.start()
    try:
        yield worker
    finally:
        stopping.set()
        worker.wake()
        thread.join()


def waited(database: Database, case_id: CaseId, began: datetime) -> dict[str, float]:
    """Wait until a report is delivered; return the seconds from `began` by channel, as the record has them."""
    until, pause = time.monotonic() + _WAIT_S_MAX, threading.Event()
    table = oncall_delivery_event.c
    while time.monotonic() < until:
        with database.read() as connection:
            wanted = {
                one.delivery.delivery_id: one.delivery.channel
                for one in queue.deliveries_of(connection, case_id)
                if one.delivery.channel in _CHANNELS
            }
            rows = connection.execute(
                select(table.delivery_id, table.occurred_at_us).where(
                    table.delivery_id.in_(wanted), table.happened == "delivered"
                )
            ).all()
        if len(rows) == len(_CHANNELS):
            return {
                wanted[row.delivery_id].value: (instant_of_us(row.occurred_at_us) - began).total_seconds()
                for row in rows
            }
        pause.wait(0.02)
    raise SystemExit("a report was not delivered within a minute; the figures mean nothing")


def run(directory: Path, reports: int) -> dict[str, Any]:
    """Measure once: one report after another, the first one thrown away."""
    node = TelegardeNode(directory / "node", workers=1)
    node.start()
    database = Database(sqlite_url(node.data / DATABASE_FILE_NAME))
    try:
        database.create_tables()
        signing = Signing(database, directory / "keys")
        found = []
        with delivering(database, node.port):
            for number in range(reports + 1):
                case_id, lock = signing.open(number)
                began = datetime.now(UTC)
                signing.sign(case_id, lock, number)
                found.append(waited(database, case_id, began))
        with database.read() as connection:
            filed = connection.execute(select(func.count()).select_from(instance)).scalar_one()
    finally:
        database.close()
        node.stop()
    if filed != DOCUMENTS * (reports + 1):
        message = f"{filed} documents of {reports + 1} reports are in the archive; the figures mean nothing"
        raise SystemExit(message)
    # The first one loads fonts and the typesetter.
    timed = found[1:]
    return {
        "reports": reports,
        "first_s": max(found[0].values()),
        "page_s": spread([one["web"] for one in timed]),
        "delivered_and_filed_s": spread([max(one.values()) for one in timed]),
    }


def spread(seconds: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"median": statistics.median(ordered), "p95": p95, "max": ordered[-1]}


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description="How long a report takes from its signature to its delivery.")
    parser.add_argument("--reports", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds; its figures mean nothing")
    parser.add_argument("--work-directory", type=Path, help="on the disk to measure (the temporary directory)")
    parser.add_argument("--output", type=Path, help="JSON file (benchmarks/results/delivery.json; none when quick)")
    given = parser.parse_args()
    # Mails have no relay here; that each is tried again is a warning.
    log.configure(level="ERROR")
    with tempfile.TemporaryDirectory(dir=given.work_directory) as name:
        about = {
            "benchmark": "delivery", "is_smoke_run": given.quick, "commit": measure.commit(),
            "machine": measure.machine(Path(name)), "goal_s": GOAL_S,
        }  # fmt: skip
        found = run(Path(name), 3 if given.quick else given.reports)
    is_reached = found["delivered_and_filed_s"]["p95"] < GOAL_S
    output = given.output or (None if given.quick else Path("benchmarks/results/delivery.json"))
    if output is not None:
        output.write_text(json.dumps({**about, **found, "is_reached": is_reached}, indent=1) + "\n")
    for key in ("page_s", "delivered_and_filed_s"):
        print(f"{key:24}", "  ".join(f"{word} {value * 1000:7.0f} ms" for word, value in found[key].items()))
    print(f"sign to delivered, p95: goal {GOAL_S:g} s {'reached' if is_reached else 'MISSED'}")


if __name__ == "__main__":
    main()
