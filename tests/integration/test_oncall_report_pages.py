"""Reports over real HTTP: written, saved, signed, read, taken note of, in both languages, by who may."""

import hashlib
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oncall.case.event import CaseId
from oncall.case.state import Case, fold
from oncall.directory import SiteId
from oncall.engine.in_force import InForce
from oncall.engine.sql_store import SqlStore
from territory.oncall_web.access import Access, Holder, May
from tests.harness.oncall_web import SITES, Answer, Web, demo_in_force, served

HERE, ELSEWHERE = SITES[0], SITES[1]
HOSTILE = "<script>alert(1)</script>\"'&"
LONG_JAPANESE = "右中大脳動脈の閉塞。" * 6000
TOKENS = {
    "ed": Holder(who="sau-here", may=frozenset({May.WATCH, May.REQUEST}), sites=frozenset({SiteId(HERE)})),
    "elsewhere": Holder(who="sau-b", may=frozenset({May.WATCH, May.REQUEST}), sites=frozenset({SiteId(ELSEWHERE)})),
    "watcher": Holder(who="wall", may=frozenset({May.WATCH})),
    "coordinator": Holder(who="c01", may=frozenset({May.WATCH, May.COORDINATE, May.REQUEST})),
}  # fmt: skip
CHAPTERS = {
    "text-indication": "Céphalée brutale.",
    "text-technique": "Acquisition sans injection.",
    "text-results": "Pas d'hémorragie.\nPas d'effet de masse.",
    "text-conclusion": "Examen normal.",
    "dose-0-quantity": "DLP",
    "dose-0-value": "812,5",
    "dose-0-unit": "mGy.cm",
    "title": "TDM cérébrale",
    "template": "free@fr",
    "kind": "final",
}


@pytest.fixture(scope="module")
def in_force() -> InForce:
    return demo_in_force()


@pytest.fixture
def web(tmp_path: Path, in_force: InForce) -> Iterator[Web]:
    readers = {
        person_id: Holder(who=person_id, may=frozenset({May.WATCH, May.READ}))
        for person_id in in_force.directory.persons
    }
    tokens = {**TOKENS, **readers}
    holders = {hashlib.sha256(name.encode()).hexdigest(): holder for name, holder in tokens.items()}
    with served(tmp_path, in_force, Access(holders=holders)) as web:
        yield web


def claimed(web: Web, *, exam: str = "head", site_id: str = HERE) -> tuple[str, str]:
    """Open a case, have its images complete and its reader open it; return the case and the reader."""
    asked = {"site_id": site_id, "exam": exam, "urgency": "2", "modality": "CT", "requester": "Dr Roy"}
    case_id = web.ask("/oncall/api/cases", asked, token="coordinator", is_json=True).json["case_id"]
    web.ask(f"/oncall/api/cases/{case_id}/images-complete", {}, token="coordinator", is_json=True)
    reader = str(now_in(web, case_id).reading.assigned_to)
    done = web.ask(f"/oncall/api/cases/{case_id}/claim", {"transaction_uid": "2.25.1"}, token=reader, is_json=True)
    assert done.status == 200, done.body
    return case_id, reader


def now_in(web: Web, case_id: str) -> Case:
    return fold(SqlStore(web.database).events_of(CaseId(case_id)))


def form_of(page: Answer) -> dict[str, str]:
    """Return the hidden fields of a page's forms."""
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.body)
    }


def write(web: Web, case_id: str, token: str, language: str = "fr", **changes: str) -> Answer:
    """Press a button of the editor with everything filled in."""
    here = f"/oncall/case/{case_id}/report"
    known = form_of(web.ask(here, token=token, language=language))
    return web.ask(here, {**CHAPTERS, **known, "template": "free@fr", **changes}, token=token, language=language)


def begin(web: Web, case_id: str, token: str) -> None:
    assert web.ask(f"/oncall/case/{case_id}/report", {"do": "begin"}, token=token).status == 303


def signed(web: Web, case_id: str, token: str, kind: str = "final", language: str = "fr", **changes: str) -> Answer:
    """Sign what is written."""
    place = f"/oncall/case/{case_id}/report/sign?kind={kind}"
    page = web.ask(place, token=token, language=language)
    assert page.status == 200, page.body
    return web.ask(place.partition("?")[0], {**form_of(page), **changes}, token=token, language=language)


def report(web: Web) -> tuple[str, str]:
    """Return a case with a signed report, and its reader."""
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    assert write(web, case_id, reader, do="sign").status == 303
    assert signed(web, case_id, reader).status == 303
    return case_id, reader


def test_a_report_is_begun_written_previewed_signed_and_read(web: Web) -> None:
    case_id, reader = claimed(web)
    assert "Rédiger" in web.ask(f"/oncall/case/{case_id}/report", token=reader, language="fr").body
    begin(web, case_id, reader)

    assert (
        write(web, case_id, reader, do="preview")
        .headers["location"]
        .startswith(f"/oncall/case/{case_id}/report/preview")
    )
    preview = web.ask(f"/oncall/case/{case_id}/report/preview", token=reader, language="fr")
    assert "NON SIGNÉ" in preview.body
    assert "Pas d&#39;hémorragie." in preview.body
    assert "812,5 mGy.cm" in preview.body
    answer = signed(web, case_id, reader)

    assert answer.status == 303, answer.body
    case = now_in(web, case_id)
    assert case.report.version == 1
    page = web.ask(f"/oncall/report/{case_id}", token="ed", language="fr")
    assert page.status == 200
    assert "signature vérifiée" in page.body
    assert "Examen normal." in page.body
