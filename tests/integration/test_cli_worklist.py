"""``telegarde worklist`` on a database with a published directory and orders."""

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.documents_store import publish_directory
from pacs.worklist import mpps_store, orders
from pacs.worklist.deliveries import Deliveries, Given
from pacs.worklist.mpps_store import Caller
from pacs.worklist.order import OrderPriority
from territory.bootstrap import journal_directory
from territory.cli import run
from territory.demo_territory import demo_directory
from territory.settings_model import DATABASE_FILE_NAME
from tests.harness.orders import NOW, STROKE_PROTOCOL, full_order, order
from tests.harness.performed_steps import created, ended, item
from tests.harness.worklist import place_all

HERE, THERE = sorted(demo_directory().sites)[:2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with three open orders of two hospitals; a console has been given the first one's protocol."""
    journal_directory(tmp_path).mkdir(parents=True)
    database = Database(sqlite_url(tmp_path / DATABASE_FILE_NAME))
    database.create_tables()
    first = full_order(1, site_id=HERE)
    place_all(
        database, [first, order(2, site_id=HERE, modality="MR"), order(3, site_id=THERE, priority=OrderPriority.STAT)]
    )
    with database.write(durable=True) as connection:
        publish_directory(connection, demo_directory(), by="test", now=NOW)
        orders.set_protocol(connection, first.order_id, STROKE_PROTOCOL, NOW)
    given = Given(order_id=first.order_id, site_id=HERE, protocol_version=1)
    Deliveries(database, ManualClock(NOW)).record("CT1", [given])
    database.close()
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> tuple[int, Any]:
    code = run(["worklist", *arguments, "--data", str(data), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_open_orders_are_listed_by_hospital_and_modality(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(said(capsys, data, "list")[1]["orders"]) == 3
    assert [one["modality"] for one in said(capsys, data, "list", "--site", HERE)[1]["orders"]] == ["CT", "MR"]
    (one,) = said(capsys, data, "list", "--site", HERE, "--modality", "CT")[1]["orders"]
    assert (one["priority"], one["protocol"]) == ("STAT", 1)


def test_a_list_for_people_names_no_patient(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worklist", "list", "--data", str(data)]) == 0
    written = capsys.readouterr().out
    assert "STAT" in written
    assert "Lef" not in written
    assert "Durand" not in written


def test_an_order_is_shown_as_the_console_is_given_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = said(capsys, data, "show", "ACC9")
    (shown,) = found["orders"]
    assert code == 0
    assert shown["item"]["Allergies"] == "Iode"
    code_value = shown["item"]["ScheduledProcedureStepSequence[1].ScheduledProtocolCodeSequence[1].CodeValue"]
    assert code_value == "CTSTROKE"
    assert [(to["console"], to["protocol"]) for to in shown["given_to"]] == [("CT1", 1)]
    assert run(["worklist", "show", "ACC9", "--data", str(data)]) == 0
    assert "CTSTROKE" in capsys.readouterr().out


def test_an_order_that_is_not_there_is_said_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = said(capsys, data, "show", "ACC-NONE")
    assert (code, found["exit_code"]) == (2, 2)


def test_what_scanners_did_is_listed_with_what_nobody_ordered_and_what_names_another_patient(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(sqlite_url(data / DATABASE_FILE_NAME))
    scanner = Caller(calling_aet="CT1", site_id=HERE)
    ordered = full_order(1, site_id=HERE)
    with database.write(durable=True) as connection:
        for uid, attributes in (
            ("1.2.1", created(ordered)),
            ("1.2.2", created(None)),
            ("1.2.3", created(ordered, PatientID="SOMEBODY-ELSE")),
        ):
            mpps_store.create(connection, uid, item(attributes), scanner, NOW)
        mpps_store.change(
            connection, "1.2.1", item(ended("COMPLETED", CommentsOnRadiationDose="TotalDLP=7")), scanner, NOW
        )
    database.close()

    steps = {one["mpps_uid"]: one for one in said(capsys, data, "steps", "--site", HERE)[1]["steps"]}
    assert (steps["1.2.1"]["orders"], steps["1.2.1"]["dose_mgy_cm"]) == ([ordered.order_id], 7.0)
    assert steps["1.2.2"]["is_unscheduled"]
    assert steps["1.2.3"]["is_of_another_patient"]
    assert len(said(capsys, data, "steps", "--unscheduled")[1]["steps"]) == 2
    assert said(capsys, data, "steps", "--site", THERE)[1]["steps"] == []
    assert run(["worklist", "steps", "--data", str(data)]) == 0
    written = capsys.readouterr().out
    assert "ANOTHER PATIENT" in written
    assert "SOMEBODY-ELSE" not in written
