"""``telegarde oncall generate`` on the demonstration territory, as a planner gives it."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from foundation.errors import Refused
from tests.integration.conftest import Command

WEEKS = ("--from", "2028-01-03", "--to", "2028-01-17")
PEOPLE = tuple(part for number in range(1, 11) for part in ("--person", f"r{number:02}"))


def test_two_weeks_are_filled_with_eleven_hours_of_rest_and_a_locked_night_stays(
    data: Path, oncall: Command, tmp_path: Path
) -> None:
    document = json.loads(oncall("export", data, "--what", "roster")[1]["text"])
    night = {"shift_id": "wish", "line_id": "lecteur-1", "person_id": "r07", "locked": True}
    night |= {"start": "2028-01-05T18:30+01:00", "end": "2028-01-06T08:30+01:00"}
    document["plans"].append(night)
    (tmp_path / "roster.json").write_text(json.dumps(document))
    assert oncall("import", data, str(tmp_path / "roster.json"))[0] == 0

    code, found = oncall("generate", data, *WEEKS, "--line", "lecteur-1", *PEOPLE, "--search-s", "3")

    assert (code, found["shifts"], found["locked"]) == (0, 18, 1)
    table = oncall(
        "export", data, "--line", "lecteur-1", "--from", "2028-01-03T12:00Z", "--to", "2028-01-17", "--format", "json"
    )
    shifts = json.loads(table[1]["text"])["shifts"]
    assert len(shifts) == 18
    assert next(one["person_id"] for one in shifts if one["start"] == night["start"]) == "r07"
    for person_id in {one["person_id"] for one in shifts}:
        mine = [one for one in shifts if one["person_id"] == person_id]
        for one, other in pairwise(mine):
            rest = datetime.fromisoformat(other["start"]) - datetime.fromisoformat(one["end"])
            assert rest >= timedelta(hours=11), (one, other)


def test_what_cannot_be_filled_is_explained_and_nothing_changes(made: Path, oncall: Command) -> None:
    before = oncall("export", made, "--what", "roster")[1]["text"]

    code, found = oncall("generate", made, *WEEKS, "--line", "lecteur-1", "--person", "r01", "--search-s", "3")

    assert (code, found["version"], found["is_minimal"]) == (1, None, True)
    assert {one["kind"] for one in found["conflict"]} == {"cover", "rest"}
    assert "r01" in found["message_en"]
    assert oncall("export", made, "--what", "roster")[1]["text"] == before


def test_a_dry_run_finds_a_roster_and_publishes_nothing(made: Path, oncall: Command) -> None:
    code, found = oncall("generate", made, *WEEKS, "--line", "senior", "--search-s", "2", "--dry-run")

    assert (code, found["shifts"], found["version"]) == (0, 18, None)
    assert oncall("gaps", made, "--from", "2028-01-04", "--to", "2028-01-05")[0] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "2026-11-22", "--to", "2026-12-22"), "generate from tomorrow on"),
        (("--from", "2028-01-17", "--to", "2028-01-03"), "1 to 190 days after --from"),
        (("--from", "2028-01-03", "--to", "2028-12-03"), "1 to 190 days after --from"),
        ((*WEEKS, "--line", "coordination"), "a rotation fills coordination already"),
        ((*WEEKS, "--line", "nowhere"), "no line nowhere"),
        ((*WEEKS, "--person", "nobody"), "no person nobody"),
        (("--from", "2031-01-03", "--to", "2031-01-17", "--line", "senior"), "nobody had senior in the year before"),
        ((*WEEKS, "--search-s", "0"), "1 to 3600 seconds"),
    ],
    ids=["today", "backwards", "too_long", "rotation", "line", "person", "nobody_before", "no_time"],
)
def test_what_cannot_be_asked_is_refused_with_what_can(
    made: Path, oncall: Command, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        oncall("generate", made, *options)
