"""What people and programs are shown of the completeness of images, and what the button answers, over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation import outbox
from oncall.case import commands
from oncall.case.event import CaseId
from oncall.case.image_evidence import CONFIDENCE, AssociationEnd, Confidence, EvidenceKind, ImageEvidence
from oncall.case.regions import StudyKey
from pacs.contracts import TOPIC_SITE_LINK
from territory.oncall_web.access import LOOPBACK, Access
from territory.oncall_web.texts import LANGUAGES, text
from tests.harness.oncall_web import SITES, Web, demo_in_force, open_case, served

STUDY = StudyKey("HOSP", "1.2.3")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with served(tmp_path, demo_in_force(), Access(holders={}, anybody=LOOPBACK)) as web:
        yield web


def arrive(web: Web, case_id: str, received: int, event_id: int = 1) -> None:
    web.engine.execute(
        CaseId(case_id),
        lambda case, context: commands.receive_instances(
            case, STUDY, context, received=received, outbox_event_id=event_id
        ),
        web.clock.now(),
    )


def evidence(web: Web, case_id: str, kind: EvidenceKind, **more: Any) -> None:
    found = ImageEvidence(kind=kind, source="x", at=web.clock.now(), **more)
    web.engine.execute(
        CaseId(case_id), lambda case, context: commands.find_evidence(case, context, found), web.clock.now()
    )


def images_of(web: Web, case_id: str) -> Any:
    return web.ask(f"/oncall/api/cases/{case_id}/images").json


def press(web: Web, case_id: str, **fields: object) -> int:
    return web.ask(f"/oncall/api/cases/{case_id}/images-complete", fields, is_json=True).status


def test_a_number_that_is_here_completes_and_the_page_says_by_whom_and_how_sure(web: Web) -> None:
    case_id = open_case(web)
    arrive(web, case_id, 12)
    assert press(web, case_id, count=12) == 200
    found = images_of(web, case_id)
    assert (found["state"], found["rule"], found["confidence"], found["missing"]) == (
        "complete", "radiographer_button", "stated", 0,
    )  # fmt: skip
    assert [one["kind"] for one in found["evidence"]] == ["radiographer_button"]
    page = web.ask(f"/oncall/case/{case_id}").body
    assert "by: the radiographer (stated by somebody who knows)" in page


def test_a_number_that_is_not_here_is_kept_and_shown_as_missing_until_somebody_insists(web: Web) -> None:
    case_id = open_case(web)
    arrive(web, case_id, 12)
    assert press(web, case_id, count=20) == 200
    assert (images_of(web, case_id)["state"], images_of(web, case_id)["missing"]) == ("arriving", 8)
    page = web.ask(f"/oncall/case/{case_id}", language="fr").body
    assert "8 images manquent" in page
    assert "Je sais que des images manquent" in page
    assert press(web, case_id, is_insisted="true") == 200
    found = images_of(web, case_id)
    assert (found["state"], found["evidence"][0]["missing"]) == ("complete", 8)


def test_what_is_no_number_of_images_is_an_error_of_its_field(web: Web) -> None:
    case_id = open_case(web)
    arrive(web, case_id, 12)
    assert press(web, case_id, count="many") == 422
    assert press(web, case_id, count="0") == 400


def test_late_images_are_on_the_page_and_on_the_wall_while_the_hour_runs_on(web: Web) -> None:
    case_id = open_case(web)
    arrive(web, case_id, 12)
    press(web, case_id, count=12)
    before = images_of(web, case_id)
    web.clock.advance(timedelta(minutes=10))
    arrive(web, case_id, 3, event_id=2)
    found = images_of(web, case_id)
    assert (found["is_reopened"], found["deadline_at"]) == (True, before["deadline_at"])
    assert "Images late or missing since" in web.ask(f"/oncall/case/{case_id}").body
    assert "images late or missing" in web.ask("/oncall").body


def test_images_that_are_only_presumed_complete_say_so(web: Web) -> None:
    case_id = open_case(web)
    arrive(web, case_id, 12)
    evidence(web, case_id, EvidenceKind.ASSOCIATION_END, studies=("1.2.3",), how="released")
    web.clock.advance(timedelta(minutes=2))
    web.run_due()
    assert images_of(web, case_id)["confidence"] == "presumed"
    assert "presumed complete" in web.ask("/oncall").body
    assert "end of the scanner&#39;s sending" in web.ask(f"/oncall/case/{case_id}").body


def test_a_lost_link_is_on_the_wall_and_on_the_page_of_each_case_of_the_hospital(web: Web) -> None:
    case_id = open_case(web)
    with web.database.write() as connection:
        silent = {"site_id": SITES[0], "state": "silent", "since_s": 900.0}
        outbox.append(connection, TOPIC_SITE_LINK, silent, created_at_s=web.clock.now().timestamp())
    web.engine.take_site_links(web.clock.now())
    assert "Link lost, telephone" in web.ask("/oncall").body
    assert "The link with the hospital is lost" in web.ask(f"/oncall/case/{case_id}").body


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_completeness_is_there_in_both_languages(language: str) -> None:
    words = [
        *(f"evidence.{kind.value}" for kind in CONFIDENCE),
        *(f"confidence.{one.value}" for one in Confidence),
        *(f"ending.{one.value}" for one in AssociationEnd),
    ]
    assert all(text(word, language) for word in words)
