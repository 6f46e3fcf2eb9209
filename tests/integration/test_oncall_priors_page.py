"""Earlier exams on the pages and in JSON: what may answer the request is judged before a protocol is sent."""

import hashlib
import html
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.case.regions import RequestState, StudyKey
from oncall.case.state import Case, fold
from oncall.directory import SiteId
from oncall.engine.sql_store import SqlStore
from oncall.priors.model import PriorAnswer, PriorExam, PriorQuestion, Readiness, SamePerson
from oncall.reading.board import ExamKind, Urgency
from territory.demo_territory import demo_directory
from territory.oncall_web.access import LOOPBACK, Access, read_access
from tests.harness.oncall_web import NIGHT, SITES, Answer, Web, demo_in_force, served

HERE, ELSEWHERE = SITES[0], SITES[1]
CASE = "c-1"
PRIOR = PriorExam(
    study=StudyKey(demo_directory().sites[SiteId(ELSEWHERE)].issuer, "1.2.900"),
    modalities=("CT",),
    performed_at=NIGHT - timedelta(hours=20),
    exam=ExamKind.HEAD,
    instances=300,
    same_person=SamePerson.SAME_INS,
)
REQUEST = NewRequest(
    site_id=SiteId(HERE), exam=ExamKind.HEAD, urgency=Urgency.P2, modality="CT", requester="Dr Roy",
    patient_key="k" * 32, request_id="ORDER-1",
)  # fmt: skip
NAME = f"{PRIOR.study.study_instance_uid}@{PRIOR.study.issuer}"


class Library:
    """An archive that has one earlier exam, or does not know the patient."""

    def __init__(self, *exams: PriorExam, is_patient_known: bool = True) -> None:
        self._answer = PriorAnswer(is_patient_known=is_patient_known, exams=exams)

    def search(self, question: PriorQuestion) -> PriorAnswer:
        assert question.order_id == "ORDER-1"
        return self._answer

    def identities_version(self) -> int:
        return 0

    def make_ready(self, study: StudyKey) -> Readiness:
        assert study == PRIOR.study
        return Readiness(instances=300, missing=0)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with served(tmp_path, demo_in_force(), Access(holders={}, anybody=LOOPBACK)) as web:
        web.engine.open_case(CaseId(CASE), REQUEST, web.clock.now())
        yield web


def searched(web: Web, *exams: PriorExam, is_patient_known: bool = True) -> None:
    web.engine.take_priors(web.clock.now(), Library(*exams, is_patient_known=is_patient_known))


def page(web: Web, *, language: str = "en", below: str = "") -> str:
    answer = web.ask(f"/oncall/case/{CASE}{below}", language=language)
    assert answer.status == 200
    return answer.body


def judge(web: Web, action: str, **fields: str) -> Answer:
    return web.ask(f"/oncall/case/{CASE}/{action}", {"prior": NAME, **fields})


def case_of(web: Web) -> Case:
    return fold(SqlStore(web.database).events_of(CaseId(CASE)))


def test_before_the_search_nothing_is_known_and_that_is_said(web: Web) -> None:
    assert "Not searched yet: nothing is known." in page(web)
    assert "Pas encore recherchés" in page(web, language="fr")
    assert web.ask(f"/oncall/api/cases/{CASE}/priors").json["is_searched"] is False


def test_an_equivalent_exam_is_on_the_page_of_the_case_and_where_the_protocol_is_chosen(web: Web) -> None:
    searched(web, PRIOR)

    for below in ("", "/protocol"):
        shown = page(web, below=below)
        assert "A recent exam may answer the request already" in shown
        assert "To be judged before a protocol is chosen." in shown
        assert demo_directory().sites[SiteId(ELSEWHERE)].name in html.unescape(shown)
    assert "same qualified INS" in page(web)
    assert "ready (300)" in page(web)
    told = web.ask(f"/oncall/api/cases/{CASE}/priors").json
    assert told["is_searched"] is True
    assert [(one["outcome"], one["study_instance_uid"]) for one in told["equivalents"]] == [("found", "1.2.900")]
    assert [(one["is_ready"], one["instances"], one["same_person"]) for one in told["priors"]] == [
        (True, 300, "same_ins")
    ]


def test_a_reader_avoids_the_exam_and_the_request_is_refused_with_the_reason(web: Web) -> None:
    searched(web, PRIOR)

    answer = judge(web, "prior-avoided", reason="the CT of this morning shows it")

    assert answer.status == 303
    case = case_of(web)
    assert case.request.state is RequestState.REFUSED
    assert case.request.prior_exams[0].outcome == "avoided"
    assert "enough: exam avoided" in page(web)


def test_a_reader_confirms_the_exam_and_it_goes_on(web: Web) -> None:
    searched(web, PRIOR)

    assert judge(web, "prior-confirmed", reason="new deficit").status == 303

    case = case_of(web)
    assert case.request.state is RequestState.SUBMITTED
    assert case.request.prior_exams[0].outcome == "confirmed"
    assert "To be judged before a protocol is chosen." not in page(web)


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 422), ({"reason": "x", "prior": "1.2.3@NOWHERE"}, 422)], ids=["no reason", "unknown"]
)
def test_an_exam_is_not_avoided_without_a_reason_or_for_a_study_that_was_not_found(
    web: Web, fields: dict[str, str], status: int
) -> None:
    searched(web, PRIOR)

    assert judge(web, "prior-avoided", **fields).status == status
    assert case_of(web).request.state is RequestState.SUBMITTED


def test_after_a_search_that_found_nothing_there_are_none_and_for_an_unknown_patient_there_may_be_some(
    web: Web,
) -> None:
    searched(web, is_patient_known=False)
    assert "Unknown patient: there may be earlier exams." in page(web)
    assert "No earlier exam to compare" not in page(web)


def test_an_empty_answer_is_shown_as_none(web: Web) -> None:
    searched(web)
    assert "No earlier exam to compare in the territory." in page(web)


def test_only_a_reader_judges_an_earlier_exam(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    entries = [
        {"who": who, "may": [may], "sites": sites, "token_sha256": hashlib.sha256(who.encode()).hexdigest()}
        for who, may, sites in (("er", "request", [HERE]), ("wall", "watch", []))
    ]
    file.write_text(json.dumps(entries))
    with served(tmp_path, demo_in_force(), read_access(file)) as web:
        web.engine.open_case(CaseId(CASE), REQUEST, web.clock.now())
        searched(web, PRIOR)
        fields = {"prior": NAME, "reason": "enough"}
        refused = [web.ask(f"/oncall/case/{CASE}/prior-avoided", fields, token=who) for who in ("er", "wall")]

        assert [answer.status for answer in refused] == [403, 403]
        assert case_of(web).request.state is RequestState.SUBMITTED
