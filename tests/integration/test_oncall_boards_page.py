"""Boards over real HTTP: criticals, second readings, deliveries, evidence, figures; who may, in both languages."""

import hashlib
import html
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from oncall.case import commands_second_reading
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.event import CaseId
from oncall.case.state import Case, fold
from oncall.critical.calls import hospital_numbers
from oncall.directory import SiteId
from oncall.documents_store import publish_directory
from oncall.engine.in_force import InForce
from oncall.engine.sql_store import SqlStore
from oncall.language import Language
from oncall.reading.board import ExamKind, Urgency
from oncall.report.canonical import content_to_json
from oncall.report.content import ReportContent
from territory.oncall_web.access import Access, Holder, May
from territory.oncall_web.texts import LANGUAGES
from tests.harness.oncall_web import NIGHT, SITES, Answer, Web, demo_in_force, served

HERE, ELSEWHERE = SiteId(SITES[0]), SiteId(SITES[1])
ALL = frozenset({May.WATCH, May.REQUEST, May.COORDINATE})
TOKENS = {
    "coordinator": Holder(who="c01", may=ALL),
    "ed": Holder(who="sau-here", may=frozenset({May.WATCH, May.REQUEST}), sites=frozenset({HERE})),
    "elsewhere": Holder(who="sau-b", may=frozenset({May.WATCH, May.REQUEST}), sites=frozenset({ELSEWHERE})),
    "figures": Holder(who="quality", may=frozenset({May.FIGURES})),
    "figures-here": Holder(who="quality-here", may=frozenset({May.FIGURES}), sites=frozenset({HERE})),
    "watcher": Holder(who="wall", may=frozenset({May.WATCH})),
}
CONTENT = content_to_json(
    ReportContent(language=Language.FRENCH, title="TDM", results="Rien.", conclusion="Examen normal.")
)


@pytest.fixture(scope="module")
def in_force() -> InForce:
    return demo_in_force()


@pytest.fixture
def web(tmp_path: Path, in_force: InForce) -> Iterator[Web]:
    may_read = frozenset({May.WATCH, May.READ})
    readers = {str(person_id): Holder(who=person_id, may=may_read) for person_id in in_force.directory.persons}
    holders = {hashlib.sha256(name.encode()).hexdigest(): one for name, one in {**readers, **TOKENS}.items()}
    with served(tmp_path, in_force, Access(holders=holders)) as web:
        yield web


def claimed(web: Web, case_id: str = "c-1", site_id: SiteId = HERE) -> str:
    """Open a case that its reader has opened; return the reader."""
    request = NewRequest(
        site_id=site_id, exam=ExamKind.HEAD, urgency=Urgency.P1, modality="CT", requester="Dr Roy", patient_key="k" * 32
    )
    web.engine.open_case(CaseId(case_id), request, web.clock.now())
    web.engine.complete_images(CaseId(case_id), web.clock.now(), rule="button")
    reader = fold(SqlStore(web.database).events_of(CaseId(case_id))).reading.assigned_to
    assert reader is not None
    web.engine.claim(CaseId(case_id), reader, web.clock.now(), transaction_uid="2.25.1")
    return reader


def call(web: Web, case_id: str, action: str, token: str, **fields: object) -> Answer:
    return web.ask(f"/oncall/api/cases/{case_id}/{action}", fields, token=token, is_json=True)


def signed(web: Web, case_id: str = "c-1") -> str:
    reader = claimed(web, case_id)
    done = call(web, case_id, "sign", reader, content=CONTENT, is_lack_accepted=True)
    assert done.status == 201, done.body
    return reader


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_board_answers_in_both_languages_with_and_without_anything_on_it(web: Web, language: str) -> None:
    boards = ("criticals", "second-readings", "deliveries", "figures", "figures/morning", "reports", "figures/plot.svg")
    empty = {one: web.ask(f"/oncall/{one}", token="coordinator", language=language).status for one in boards}
    reader = signed(web)
    call(web, "c-1", "require-second-reading", "coordinator")
    call(web, "c-1", "declare-critical", reader, category="1", finding="x")

    full = {one: web.ask(f"/oncall/{one}", token="coordinator", language=language).status for one in boards}

    assert empty == full == dict.fromkeys(boards, 200)
    assert {web.ask(f"/oncall/{one}", token="watcher").status for one in boards} == {403}


def test_a_critical_finding_is_called_about_told_read_back_taken_over_and_closed(web: Web, in_force: InForce) -> None:
    reader = claimed(web)
    called = hospital_numbers(in_force.directory, HERE)[0]
    call(web, "c-1", "declare-critical", reader, category="1", finding="Occlusion M1", critical_id="k-1")
    web.clock.advance(timedelta(minutes=7))

    board = html.unescape(web.ask("/oncall/criticals", token=reader, language="en").body)
    assert "Occlusion M1" in board
    assert "8 min" in board
    assert called.number in board
    assert web.ask("/oncall/api/criticals", token="elsewhere").json["criticals"] == []
    tried = {"critical_id": "k-1", "called_person_id": called.person_id}
    assert call(web, "c-1", "call-critical", reader, **tried, outcome="fax").status == 422
    assert call(web, "c-1", "call-critical", reader, **tried, outcome="reached").status == 200
    told = {"critical_id": "k-1", "recipient": called.person_id, "method": "phone", "read_back": "occlusion M1 droite"}
    assert "read_back" in call(web, "c-1", "communicate-critical", reader, **{**told, "read_back": ""}).json["errors"]
    assert call(web, "c-1", "communicate-critical", reader, **told).status == 200
    by_other = call(web, "c-1", "acknowledge-critical", "elsewhere", critical_id="k-1", clinician="Dr X")
    taken = call(web, "c-1", "acknowledge-critical", "ed", critical_id="k-1", clinician=called.person_id)
    assert (by_other.status, taken.status) == (403, 200)
    known = web.ask("/oncall/api/criticals", token="ed").json["criticals"][0]
    assert (known["state"], known["attempts"], known["missing"]) == ("acknowledged", 1, [])
    assert call(web, "c-1", "close-critical", "ed", critical_id="k-1", clinician=called.person_id).status == 200
    assert web.ask("/oncall/api/criticals", token="ed").json["criticals"] == []


def test_a_second_reading_is_asked_for_given_made_and_its_discrepancy_told(web: Web, in_force: InForce) -> None:
    reader = signed(web)
    other = next(
        one.person_id
        for one in in_force.directory.persons.values()
        if one.person_id != reader and HERE in one.privileges and one.competences
    )
    asked = call(web, "c-1", "require-second-reading", "coordinator")
    assert asked.status == 200, asked.body
    assert call(web, "c-1", "assign-second-reading", "coordinator", reader_id=other).status == 200
    mine = html.unescape(web.ask("/oncall/second-readings", token=other, language="en").body)
    assert "Mine (1)" in mine

    bare = call(web, "c-1", "second-reading", other, score="3b")
    by_first = call(web, "c-1", "second-reading", reader, score="1")
    made = call(web, "c-1", "second-reading", other, score="3b", discrepancy_kind="missed", body_region="head")

    assert "discrepancy_kind" in bare.json["errors"]
    assert (by_first.status, made.status) == (409, 200)
    board = html.unescape(web.ask("/oncall/second-readings", token="coordinator", language="fr").body)
    assert "à annoncer à l'hôpital" in board


def test_what_has_not_arrived_and_what_nobody_has_read_is_on_the_board_of_its_hospital(web: Web) -> None:
    signed(web)

    ours = web.ask("/oncall/api/deliveries", token="ed").json["deliveries"]
    page = web.ask("/oncall/deliveries", token="ed", language="en").body

    assert {one["case_id"] for one in ours} == {"c-1"}
    assert "web" in {one["channel"] for one in ours}
    assert "Arrived, but not acknowledged (1)" in page
    assert web.ask("/oncall/api/deliveries", token="elsewhere").json["deliveries"] == []
    assert "the emergency page" in web.ask("/oncall/case/c-1", token="ed").body


@pytest.mark.parametrize(("form", "begins"), [("json", "{"), ("pdf", "%PDF")])
def test_a_hospital_downloads_the_sealed_dossier_of_its_own_case_only(
    web: Web, in_force: InForce, form: str, begins: str
) -> None:
    with web.database.write(durable=True) as connection:
        publish_directory(connection, in_force.directory, by="test", now=NIGHT - timedelta(days=1))
    signed(web)
    place = "/oncall/case/c-1/evidence"

    own = web.ask(place, {"format": form}, token="ed", raw=True)
    platform = web.ask(place, {"format": form, "centre": "platform"}, token="ed")

    assert own.status == 200, own.body[:500]
    assert own.body.startswith(begins)
    assert platform.status == 403
    assert web.ask(place, {"format": form}, token="elsewhere").status == 403
    assert web.ask(place, token="ed").status == 405
    if form == "json":
        assert "Examen normal." in json.dumps(json.loads(own.body), ensure_ascii=False)


def test_a_share_is_never_shown_alone_and_figures_are_of_the_holders_hospitals(web: Web) -> None:
    signed(web)
    claimed(web, "c-2", ELSEWHERE)

    page = web.ask("/oncall/figures", token="figures", language="en").body
    mine = web.ask("/oncall/api/figures", token="figures-here").json

    for told in ("reported within the hour", "p95", "p99", "longest", "Wait of P1", "served worst"):
        assert told in page, told
    assert [one["key"] for one in mine["groups"]["site"]] == [HERE]
    assert "reader" not in mine["groups"]
    for path in ("morning", "month.pdf", "billing.csv"):
        assert web.ask(f"/oncall/figures/{path}", token="figures-here").status == 403, path
        assert web.ask(f"/oncall/figures/{path}", token="ed").status == 403, path
    assert web.ask("/oncall/figures/billing.csv?month=2026-10", token="figures").body.startswith("\ufeff")
    assert web.ask("/oncall/figures/month.pdf?month=2026-10", token="figures", raw=True).body.startswith("%PDF")
    assert web.ask("/oncall/figures?since=2026-10-24&until=2026-10-01", token="figures").status == 400


def test_a_blind_second_reader_is_shown_the_first_report_only_after_saying_what_they_see(
    web: Web, in_force: InForce
) -> None:
    reader = signed(web)
    other = next(
        one.person_id
        for one in in_force.directory.persons.values()
        if one.person_id != reader and HERE in one.privileges and one.competences
    )
    web.engine.execute(CaseId("c-1"), _blind, web.clock.now())
    assert call(web, "c-1", "assign-second-reading", "coordinator", reader_id=other).status == 200
    places = ("/oncall/report/c-1", "/oncall/report/c-1/1/pdf", "/oncall/api/cases/c-1/report")

    hidden = [web.ask(place, token=other, language="fr") for place in places]
    said = call(web, "c-1", "blind-findings", other, finding="Rien.")
    shown = [web.ask(place, token=other, raw=True).status for place in places]

    assert [page.status for page in hidden] == [409, 409, 409]
    assert not any("Examen normal." in page.body for page in hidden)
    assert said.status == 200, said.body
    assert shown == [200, 200, 200]


def _blind(case: Case, context: Context) -> Facts:
    return commands_second_reading.require(
        case,
        context,
        reasons=["asked"],
        earliest_at=context.at,
        due_at=context.at + timedelta(hours=24),
        is_blind=True,
    )
