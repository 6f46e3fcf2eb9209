"""``telegarde oncall templates`` on a data directory of its own: list, show, import, export."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import ManualClock
from foundation.errors import Refused
from oncall.report.template_library import packaged
from territory import cli, cli_oncall

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
EXAMPLE = Path("tests/unit/oncall/report/mrrt_files/radreport_style.html")


def run(data: Path, *arguments: str) -> int:
    parsed = cli.build_parser().parse_args(["oncall", "templates", *arguments, "--data", str(data)])
    return cli_oncall.run(parsed, ManualClock(NOW))


def asked(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(data, *arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a data directory with a template from elsewhere in it."""
    data = tmp_path / "data"
    imported = asked(capsys, data, "import", str(EXAMPLE), "--id", "ct-nodule", "--exam", "chest", "--by", "r05")
    assert (imported["published"], imported["questions"]) == (True, 11)
    assert "<script>" in imported["left_out"]
    return data


def test_what_was_imported_is_listed_beside_what_came_with_the_program(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {(one["template_id"], one["language"]): one for one in asked(capsys, data, "list")["templates"]}

    assert len(rows) == len(packaged()) + 1
    assert rows["ct-nodule", "en"]["published_by"] == "r05"
    assert rows["ct-nodule", "en"]["exams"] == ["chest"]
    assert rows["stroke", "fr"]["published_at"] is None
    french = asked(capsys, data, "list", "--language", "fr")["templates"]
    assert {one["language"] for one in french} == {"fr"}


def test_a_template_goes_out_and_comes_in_again_by_either_format(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = asked(capsys, data, "show", "pulmonary-embolism")
    assert original["language"] == "fr"

    for name in ("pe.json", "pe.html"):
        asked(capsys, data, "export", "pulmonary-embolism", "--output", str(tmp_path / name))
        again = asked(capsys, data, "import", str(tmp_path / name), "--dry-run")
        assert (again["left_out"], again["published"]) == ([], False)
    document = json.loads((tmp_path / "pe.json").read_text())
    assert document == original
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(document | {"version": "1.1", "title": "EP"}))
    asked(capsys, data, "import", str(mended))
    assert asked(capsys, data, "show", "pulmonary-embolism")["title"] == "EP"
    assert asked(capsys, data, "show", "pulmonary-embolism", "--version", "1.0") == original


def test_a_document_in_both_languages_is_published_as_a_whole_or_not_at_all(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(Path("oncall/report/library/msk.json").read_text())
    path = tmp_path / "both.json"
    path.write_text(json.dumps(document | {"title": {"fr": "Os", "en": "Bones"}}))

    with pytest.raises(Refused, match="publish under another version"):
        run(data, "import", str(path))
    path.write_text(json.dumps(document | {"version": "2", "title": {"fr": "Os", "en": "Bones"}}))
    imported = asked(capsys, data, "import", str(path))

    assert [one["title"] for one in imported["imported"]] == ["Os", "Bones"]
    assert asked(capsys, data, "show", "msk", "--language", "en")["version"] == "2"


def test_for_people_it_is_tables(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "list") == run(data, "show", "stroke") == run(data, "export", "msk", "--format", "mrrt") == 0

    said = capsys.readouterr().out
    assert "Scanner cérébral pour suspicion d'AVC" in said
    assert "aspects_right" in said
    assert "<!DOCTYPE html>" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nothing"), "no template nothing"),
        (("show", "stroke", "--version", "9"), "never had a version 9"),
        (("import", "missing.json"), "cannot read"),
        (("import", "README.md"), "--format json|mrrt"),
        (("import", "README.md", "--format", "json"), "no JSON"),
        (("import", "README.md", "--format", "mrrt"), "not said"),
        (("import", "oncall/report/library/msk.json", "--exam", "head"), "edit them there"),
        (("export", "stroke", "--output", "missing/x.json"), "cannot write"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(data: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        run(data, *arguments)
