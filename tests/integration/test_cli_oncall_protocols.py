"""``telegarde oncall protocols`` on a data directory of its own: list, show, import, export."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import ManualClock
from foundation.errors import Refused
from oncall.protocol.library import packaged
from territory import cli, cli_oncall

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def run(data: Path, *arguments: str) -> int:
    parsed = cli.build_parser().parse_args(["oncall", "protocols", *arguments, "--data", str(data)])
    return cli_oncall.run(parsed, ManualClock(NOW))


def asked(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(data, *arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_library_goes_out_as_a_table_is_edited_and_comes_in_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, table = tmp_path / "data", tmp_path / "library.csv"
    asked(capsys, data, "import", str(_document(tmp_path)), "--by", "r05")
    written = asked(capsys, data, "export", "--language", "fr", "--output", str(table))
    assert len(written["protocols"]) == len({one.protocol_id for one in packaged()})

    edited = table.read_text("utf-8").replace("ct-pe,1.0,fr", "ct-pe,2026-11,fr").replace("4,40", "5,40")
    table.write_text(edited, "utf-8")
    tried = asked(capsys, data, "import", str(table), "--dry-run")
    assert (tried["published"], len(tried["imported"])) == (False, len(written["protocols"]))
    with pytest.raises(Refused, match="came with the program and never changes"):
        run(data, "import", str(table))

    own = tmp_path / "own.csv"
    lines = edited.splitlines(keepends=True)
    own.write_text("".join([lines[0], *(line for line in lines if line.startswith("ct-pe,"))]), "utf-8")
    assert asked(capsys, data, "import", str(own), "--by", "r05")["published"] is True
    rows = {(one["protocol_id"], one["language"]): one for one in asked(capsys, data, "list")["protocols"]}
    assert rows["ct-pe", "fr"]["version"] == "2026-11"
    assert rows["ct-pe", "fr"]["published_by"] == "r05"
    assert rows["ct-pe", "en"]["version"] == "1.0"
    assert asked(capsys, data, "show", "ct-pe")["contrast"]["rate_ml_s"] == 5
    assert asked(capsys, data, "show", "ct-pe", "--version", "1.0")["contrast"]["rate_ml_s"] == 4


def test_people_read_a_protocol_line_by_line_in_french_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    asked(capsys, data, "import", str(_document(tmp_path)))
    assert run(data, "show", "ct-stroke") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("AVC : TDM, angio-TDM et perfusion (CT, fr, 1.0)\n1. Crâne sans injection")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "ct-nothing"), "no protocol ct-nothing"),
        (("show", "ct-pe", "--version", "9"), "never had a version 9"),
        (("export",), "holds one protocol"),
        (("import", "nowhere.json"), "cannot read"),
        (("import", "setup.cfg"), "say it with --format"),
        (("import", "setup.cfg", "--format", "csv"), "is missing"),
        (("import", "setup.cfg", "--format", "json"), "no JSON"),
    ],
)
def test_what_cannot_be_done_is_refused_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    data = tmp_path / "data"
    asked(capsys, data, "import", str(_document(tmp_path)))
    with pytest.raises(Refused, match=said):
        run(data, *arguments)


def _document(place: Path) -> Path:
    """Write a protocol of somebody's own, which makes the data directory too."""
    path = place / "own.json"
    phase = {"phase_id": "native", "name": "Native", "kind": "native", "words": ["native"]}
    path.write_text(
        json.dumps(
            {"format": "telegarde-protocol/1", "protocol_id": "own", "version": "1", "language": "en", "title": "Own",
             "modality": "CT", "phases": [phase]}
        )
    )  # fmt: skip
    return path
