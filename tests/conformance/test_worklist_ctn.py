"""The Modality Worklist asked by the Central Test Node's mwlQuery: the oldest program that still asks for one."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.worklist import orders
from tests.harness.node import Node
from tests.harness.orders import NOW, STROKE_PROTOCOL, full_order, order
from tests.harness.worklist import FEURS_CONSOLE, ROANNE_CONSOLE, asked, place_all, running_worklist


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    assert shutil.which("mwlQuery"), "install ctn: apt-get install ctn"
    place = tmp_path_factory.mktemp("worklist")
    database = Database(sqlite_url(place / "index.sqlite"))
    database.create_tables()
    place_all(database, [full_order(1), order(2, modality="MR"), order(5, site_id="feurs", station_aet="CT1_FEURS")])
    with database.write(durable=True) as connection:
        orders.set_protocol(connection, full_order(1).order_id, STROKE_PROTOCOL, NOW)
    with running_worklist(database, place / "node", ManualClock(NOW)) as running:
        yield running
    database.close()


def mwl_query(node: Node, identifier: Dataset | None, place: Path, *, aet: str = ROANNE_CONSOLE) -> str:
    """Ask, and return what was printed."""
    command = ["mwlQuery", "-a", aet, "-c", "TELEGARDE"]
    if identifier is not None:
        # CTN reads data sets in implicit little endian without a preamble.
        path = place / "query.dcm"
        with path.open("wb") as file:
            dcmwrite(file, identifier, implicit_vr=True, little_endian=True, enforce_file_format=False)
        command += ["-f", str(path)]
    done = subprocess.run(
        [*command, "localhost", str(node.port)], capture_output=True, check=True, timeout=30, encoding="utf-8"
    )
    return done.stdout


def test_ctn_is_given_the_item_of_a_patient_with_its_protocol(node: Node, tmp_path: Path) -> None:
    said = mwl_query(node, asked({"PatientID": "roanne-1"}), tmp_path)
    assert said.count("ff00") == 1
    assert "PAT Patient ID//roanne-1" in said
    assert "Lefèvre^Zoë" in said
    assert "ID Code Value//CTSTROKE" in said
    assert "0000  Status Information" in said


@pytest.mark.parametrize(
    ("aet", "given", "withheld"), [(ROANNE_CONSOLE, "roanne-2", "feurs-5"), (FEURS_CONSOLE, "feurs-5", "roanne-2")]
)
def test_ctn_sees_its_own_hospital_only(node: Node, tmp_path: Path, aet: str, given: str, withheld: str) -> None:
    said = mwl_query(node, asked(), tmp_path, aet=aet)
    assert given in said
    assert withheld not in said


def test_ctns_empty_question_is_refused_with_the_reason(node: Node, tmp_path: Path) -> None:
    said = mwl_query(node, None, tmp_path)
    assert "a900" in said
    assert "no attribute of a worklist item is asked for" in said
    assert "ff00" not in said
