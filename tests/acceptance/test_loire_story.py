"""The Loire story from end to end over real protocols, as it should go and as nights go; every clock, and the evidence.

Peers: DCMTK's findscu and storescu, pynetdicom's MPPS and C-FIND, the library hl7's MLLP client and server, an HTTP
gateway for text messages, HTTP for people.
"""

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from oncall.case.commands import HOUR_S
from territory.cli import STORIES
from territory.demo_story import EVERY
from territory.rehearsal.play import played
from territory.rehearsal.story import PATIENT_ID, PATIENT_NAME
from territory.rehearsal.variants import VARIANTS


@pytest.fixture(scope="module", autouse=True)
def dcmtk() -> None:
    assert shutil.which("findscu"), "install dcmtk: the console of the story is DCMTK's"


def test_every_variant_can_be_asked_of_the_demo() -> None:
    assert set(STORIES) == {*VARIANTS, EVERY}


@pytest.mark.parametrize("name", list(VARIANTS))
def test_the_story_ends_with_a_report_that_somebody_has_read_and_evidence_that_verifies(
    name: str, tmp_path: Path
) -> None:
    told: list[str] = []

    def tell(at: datetime, what: str, detail: str) -> None:
        told.append(f"{at:%H:%M %Z} {what} [{detail}]")

    with played(VARIANTS[name], tmp_path, tell) as story:
        log, texts = story.log(), story.node.telephones.texts()
        deadline = datetime.fromisoformat(story.case()["deadline_at"])
    types = [one.type for one in log]
    assert types.count("report.signed") == 1
    assert types.count("report.acknowledged_by_ED") == 1
    assert told[-1].partition(" ")[2].startswith(f"{told[-1].split()[1]} The evidence verifies")
    # One hour from the last evidence, whatever the clocks on the wall did meanwhile, and however often it was said.
    first = min(one.at for one in log if one.type == "images.complete")
    assert (deadline - first).total_seconds() == HOUR_S
    # Nothing that was sent to a telephone names the patient.
    assert texts
    assert not [one for one in texts if PATIENT_ID in one.text or PATIENT_NAME.split("^")[0] in one.text]
