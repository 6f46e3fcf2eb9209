"""The on-call engine as a process of `telegarde serve`: it runs when there is something to do, and harms nobody."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from foundation.database import Database, sqlite_url
from oncall.case.regions import StudyKey
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.reading.board import ExamKind
from oncall.rota.documents import roster_to_json
from oncall.schema import oncall_timer
from pacs.archive.schema import patient, series, study
from territory.oncall_parts import IndexDescriber
from tests.harness.peers import TelegardeNode, run_client, wait_until
from tests.harness.small_territory import directory, roster


def oncall_pid(node: TelegardeNode) -> int | None:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/health", timeout=20) as answer:
        found: int | None = json.loads(answer.read())["oncall_pid"]
    return found


def another_pid(node: TelegardeNode, than: int | None) -> bool:
    pid = oncall_pid(node)
    return pid is not None and pid != than


def echo(node: TelegardeNode) -> int:
    return run_client("echoscu", ["-aec", node.ae_title, node.host, str(node.port)]).returncode


@contextmanager
def opened(data: Path) -> Iterator[Database]:
    database = Database(sqlite_url(data / "index.sqlite"))
    yield database
    database.close()


def publish_territory(data: Path) -> None:
    with opened(data) as database:
        database.create_tables()
        with database.write(durable=True) as connection:
            now = datetime.now(UTC)
            publish(connection, DocumentKind.DIRECTORY, "d1", directory_to_json(directory()), by="test", now=now)
            publish(connection, DocumentKind.ROSTER, "r1", roster_to_json(roster()), by="test", now=now)


def timer_kinds(data: Path) -> set[str]:
    with opened(data) as database, database.read() as connection:
        return set(connection.execute(select(oncall_timer.c.kind)).scalars())


def test_a_killed_engine_is_started_again_and_the_node_answers_all_the_while(tmp_path: Path) -> None:
    with TelegardeNode(tmp_path, workers=1) as node:
        data = Path(node.data)
        assert oncall_pid(node) is None
        publish_territory(data)
        wait_until(lambda: another_pid(node, None), timeout_s=30, what="the engine's process")
        wait_until(lambda: "forecast" in timer_kinds(data), timeout_s=30, what="the engine's timers")
        first = oncall_pid(node)
        assert first is not None

        os.kill(first, signal.SIGKILL)

        assert echo(node) == 0
        wait_until(lambda: another_pid(node, first), timeout_s=30, what="another process of the engine")
        assert echo(node) == 0
        last = oncall_pid(node)
    wait_until(lambda: not Path(f"/proc/{last}").exists(), timeout_s=20, what="the end of the engine")


@pytest.fixture
def described(database: Database) -> Database:
    with database.write() as connection:
        for pk, issuer in ((1, "NORTH"), (2, "SOUTH")):
            connection.execute(
                patient.insert().values(
                    patient_pk=pk, issuer=issuer, patient_id="P1", patient_name="", patient_name_key="",
                    patient_birth_date="", patient_sex="",
                )
            )  # fmt: skip
            connection.execute(
                study.insert().values(
                    study_pk=pk, patient_pk=pk, study_instance_uid="1.2.3", study_date="", study_time="",
                    accession_number=f"A{pk}", study_id="", study_description="", referring_physician_name="",
                    referring_physician_name_key="",
                )
            )  # fmt: skip
    return database


def test_a_study_is_described_by_an_opaque_key_that_is_another_at_another_hospital(described: Database) -> None:
    describe = IndexDescriber(described, b"secret")

    north, south = describe(StudyKey("NORTH", "1.2.3"), None), describe(StudyKey("SOUTH", "1.2.3"), 2)

    assert (north.accession_number, south.accession_number) == ("A1", "A2")
    assert north.patient_key != south.patient_key
    assert "P1" not in north.patient_key
    assert describe(StudyKey("NORTH", "9.9"), None).patient_key == ""


def test_what_the_scanner_calls_a_study_says_what_kind_of_exam_it_is(described: Database) -> None:
    with described.write() as connection:
        for pk, part, words in ((1, "", "topogramme"), (2, "HEAD", "Angio TSA / alerte AVC")):
            connection.execute(
                series.insert().values(
                    series_pk=pk, study_pk=1, series_instance_uid=f"1.2.3.{pk}", modality="CT", series_number="",
                    series_description=words, body_part_examined=part, series_date="", series_time="",
                    institution_name="", station_name="",
                )
            )  # fmt: skip
    describe = IndexDescriber(described, b"secret")

    found = describe(StudyKey("NORTH", "1.2.3"), None)

    assert (found.exam, found.body_part) == (ExamKind.STROKE, "HEAD")
    assert describe(StudyKey("SOUTH", "1.2.3"), 2).exam is None
