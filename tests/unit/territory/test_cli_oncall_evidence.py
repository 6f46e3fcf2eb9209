"""Evidence from the command line: made, proved from the file alone, two copies reconciled; exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database, sqlite_url
from oncall.engine.sql_store import SqlStore
from oncall.evidence.making import Evidence
from oncall.report.signing import NODE, Ed25519Keys
from territory import cli
from territory.oncall_process import SIGNING_KEYS
from territory.settings_model import DATABASE_FILE_NAME
from tests.harness.evidence_case import CASE, CLERK, told
from tests.harness.small_territory import at, engine


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return a data directory with one case that has everything."""
    directory = tmp_path / "node"
    directory.mkdir()
    database = Database(sqlite_url(directory / DATABASE_FILE_NAME))
    database.create_tables()
    told(database, directory / SIGNING_KEYS)
    database.close()
    return directory


def answer(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, dict[str, Any]]:
    code = cli.run(["oncall", *map(str, argv), "--json"])
    return code, json.loads(capsys.readouterr().out)


def sealed(capsys: pytest.CaptureFixture[str], node: Path, centre: str, name: str) -> Path:
    output = node.parent / name
    code, _ = answer(capsys, "evidence", CASE, "--data", node, "--centre", centre, "--output", output)
    assert code == 0
    return output


@pytest.mark.parametrize("name", ["copy.json", "copy.pdf"])
def test_a_dossier_is_made_and_proved_without_the_node(
    capsys: pytest.CaptureFixture[str], node: Path, name: str
) -> None:
    file = sealed(capsys, node, "north", name)

    code, found = answer(capsys, "verify-evidence", file)

    assert (code, found["is_proven"], found["is_key_known"]) == (0, True, False)
    assert (found["case_id"], found["centre"], found["events"]) == (CASE, "north", 18)


def test_with_the_node_or_its_public_key_the_key_is_known(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    file = sealed(capsys, node, "north", "copy.json")
    _, anchor = answer(capsys, "anchor", "--data", node)
    (node.parent / "key").write_text(anchor["public_key"] + "\n")

    for given in (("--data", node), ("--public-key", anchor["public_key"]), ("--public-key", node.parent / "key")):
        code, found = answer(capsys, "verify-evidence", file, *given)
        assert (code, found["is_key_known"]) == (0, True)
    code, found = answer(capsys, "verify-evidence", file, "--public-key", "00" * 32)
    assert (code, found["differences"][0]["section"]) == (1, "seal")


def test_a_key_that_somebody_wrote_into_the_database_is_not_the_nodes(
    capsys: pytest.CaptureFixture[str], node: Path, tmp_path: Path
) -> None:
    database = Database(sqlite_url(node / DATABASE_FILE_NAME))
    forger = Evidence(database, Ed25519Keys(tmp_path / "forged"))
    forged = forger.make(engine(SqlStore(database)), CASE, "north", at(60), actor=CLERK)
    database.close()
    (tmp_path / "forged.json").write_bytes(forged.data)

    code, found = answer(capsys, "verify-evidence", tmp_path / "forged.json", "--data", node)

    assert (code, [one["what"] for one in found["differences"]]) == (1, ["unknown_key"])


def test_keys_that_were_retired_are_still_the_nodes(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    file = sealed(capsys, node, "north", "copy.json")
    keys = Ed25519Keys(node / SIGNING_KEYS)
    keys.rotate(NODE)

    code, found = answer(capsys, "verify-evidence", file, "--data", node)

    assert (code, found["is_key_known"], len(keys.public_keys_of(NODE))) == (0, True, 2)


@pytest.mark.parametrize("name", ["copy.json", "copy.pdf"])
def test_a_changed_file_ends_with_1_and_says_where(capsys: pytest.CaptureFixture[str], node: Path, name: str) -> None:
    file = sealed(capsys, node, "north", name)
    data = file.read_bytes()
    changed = data.replace(b"iomeprol", b"iohexol!") if name == "copy.json" else data.replace(b"/Title", b"/Titel", 1)
    assert changed != data
    file.write_bytes(changed)

    code, found = answer(capsys, "verify-evidence", file)

    assert code == 1
    places = [one["where"] for one in found["differences"]]
    assert places == (["acts, item 3", "event 8 of case C1"] if name == "copy.json" else ["the PDF around the dossier"])


def test_two_centres_copies_are_reconciled_and_one_event_that_differs_is_named(
    capsys: pytest.CaptureFixture[str], node: Path
) -> None:
    one, other = sealed(capsys, node, "north", "a.pdf"), sealed(capsys, node, "platform", "b.json")
    code, found = answer(capsys, "reconcile", one, other)
    assert (code, found["is_same"], found["same_key"]) == (0, True, True)
    assert {difference["section"] for difference in found["by_design"]} == {"head", "own"}

    other.write_bytes(other.read_bytes().replace(b"iomeprol", b"iohexol!"))
    code, found = answer(capsys, "reconcile", one, other)

    assert code == 1
    assert [one["where"] for one in found["differences"]] == ["event 8 of case C1, payload.agent"]
    assert found["faults"]["b"] != []


def test_all_logs_are_proved_at_once_with_the_rate(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    code, found = answer(capsys, "verify-log", "--data", node)

    assert (code, found["is_proven"], found["anchors"]) == (0, True, 2)
    assert found["events_per_s"] > 0


@pytest.mark.parametrize(
    "argv",
    [
        ("evidence", "C9", "--centre", "north", "--output", "x.json"),
        ("evidence", CASE, "--centre", "south", "--output", "x.json"),
        ("evidence", CASE, "--centre", "north", "--output", "x.txt"),
        ("verify-evidence", "README.md"),
        ("verify-evidence", "not there"),
        ("verify-evidence", "README.md", "--public-key", "abc"),
        ("reconcile", "README.md", "README.md"),
    ],
    ids=lambda argv: " ".join(argv),
)
def test_what_cannot_be_used_ends_with_2(capsys: pytest.CaptureFixture[str], node: Path, argv: tuple[str, ...]) -> None:
    place = () if argv[0] == "reconcile" else ("--data", str(node))

    code, found = answer(capsys, *argv, *place)

    assert (code, found["exit_code"]) == (2, 2)
    assert not Path("x.json").exists()
