"""Reports over real HTTP: written, saved, signed, read, taken note of, in both languages, by who may."""

import hashlib
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oncall.case import commands_report
from oncall.case.event import CaseId
from oncall.case.state import Case, fold
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId, SiteId
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


# Nothing typed is lost, nothing is overwritten


def test_what_cannot_be_used_comes_back_beside_its_error_and_the_rest_is_saved(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)

    page = write(web, case_id, reader, **{"dose-0-value": "beaucoup"})

    assert page.status == 422
    assert 'value="beaucoup"' in page.body
    assert "Un nombre plus grand que zéro." in page.body
    kept = web.ask(f"/oncall/api/cases/{case_id}/report", token=reader).json["draft"]
    assert kept["content"]["conclusion"] == "Examen normal."


def test_a_stale_tab_is_told_keeps_its_text_and_overwrites_nothing(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    here = f"/oncall/case/{case_id}/report"
    stale = form_of(web.ask(here, token=reader))
    write(web, case_id, reader)

    sent = {**CHAPTERS, **stale, "text-conclusion": "De l'autre onglet."}
    page = web.ask(here, sent, token=reader, language="en")
    saved = web.ask(f"{here}/save", sent, token=reader, language="fr")

    assert page.status == 409
    assert "This page is not the newest" in page.body
    assert "De l&#39;autre onglet." in page.body
    assert (saved.status, "Rien n'a été écrasé" in saved.json["error"]) == (409, True)
    draft = web.ask(f"/oncall/api/cases/{case_id}/report", token=reader).json["draft"]
    assert draft["content"]["conclusion"] == "Examen normal."


def test_a_form_that_comes_after_its_session_ended_is_kept_and_sent_with_the_token(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    here = f"/oncall/case/{case_id}/report"
    typed = {**CHAPTERS, **form_of(web.ask(here, token=reader)), "text-conclusion": HOSTILE, "template": "free@fr"}

    lost = web.ask(here, typed, language="fr")
    wrong = web.ask(here, {**typed, "_token": "nobody"}, language="fr")
    again = web.ask(here, {**typed, "_token": reader}, language="fr")

    assert lost.status == wrong.status == 401
    assert html.escape(HOSTILE) in lost.body.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")
    assert "Votre texte est gardé" in lost.body
    assert HOSTILE not in lost.body
    assert again.status == 303
    assert "telegarde_oncall=" in again.headers["set-cookie"]
    draft = web.ask(f"/oncall/api/cases/{case_id}/report", token=reader).json["draft"]
    assert draft["content"]["conclusion"] == HOSTILE


def test_logging_in_leads_to_the_page_that_was_wanted_and_never_elsewhere(web: Web) -> None:
    page = web.ask("/oncall/report/some-case?said=x")
    assert 'name="target" value="/oncall/report/some-case?said=x"' in page.body

    led = web.ask("/oncall/login", {"token": "ed", "target": "/oncall/report/some-case"})
    for elsewhere in ("//evil.example/", "https://evil.example/", "/oncall\\evil", "/oncallous", "/oncall/login"):
        assert web.ask("/oncall/login", {"token": "ed", "target": elsewhere}).headers["location"] == "/oncall"

    assert led.headers["location"] == "/oncall/report/some-case"
    link = web.ask("/oncall/reports/some-case", token="ed")
    assert link.headers["location"] == "/oncall/report/some-case"


def test_one_person_writes_at_a_time_and_taking_over_is_said(web: Web, in_force: InForce) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    write(web, case_id, reader)
    readers = [one.person_id for one in in_force.directory.persons.values() if SiteId(HERE) in one.privileges]
    other = next(one for one in readers if one != reader)

    as_other = web.ask(f"/oncall/case/{case_id}/report", {"do": "begin"}, token=other)
    signed_by_other = web.ask(f"/oncall/api/cases/{case_id}/report", {"content": {}}, token=other, is_json=True)
    assert "Only the reader who has opened the case" in as_other.body
    assert (as_other.status, signed_by_other.status) == (409, 400)
    signed(web, case_id, reader)

    web.ask(f"/oncall/case/{case_id}/report", {"do": "begin", "kind": "addendum"}, token=reader)
    held = web.ask(f"/oncall/case/{case_id}/report?kind=addendum", token=other)
    assert in_force.directory.persons[PersonId(reader)].name in html.unescape(held.body)
    assert web.ask(f"/oncall/case/{case_id}/report", {"do": "take-over", "kind": "addendum"}, token=other).status == 303
    late = web.ask(f"/oncall/case/{case_id}/report", {**CHAPTERS, "revision": "0", "kind": "addendum"}, token=reader)

    assert (late.status, "Somebody else is writing" in late.body) == (409, True)
    assert "Examen normal." in late.body


# The form


@pytest.mark.parametrize(("language", "asked"), [("fr", "Hémorragie intracrânienne"), ("en", "Intracranial h")])
def test_the_form_of_the_exam_is_offered_first_and_answers_become_text(web: Web, language: str, asked: str) -> None:
    case_id, reader = claimed(web, exam="head")
    web.ask(f"/oncall/case/{case_id}/report", {"do": "begin"}, token=reader, language=language)
    here = f"/oncall/case/{case_id}/report"
    stroke = next(one for one in web.ask("/oncall/api/templates", token=reader).json["templates"] if
                  one.startswith("stroke") and one.endswith(f"@{language}"))  # fmt: skip
    known = form_of(web.ask(here, token=reader, language=language))
    chosen = {**known, "text-results": "Mine.", "new_template": stroke, "do": "template"}
    assert web.ask(here, chosen, token=reader, language=language).status == 303
    page = web.ask(here, token=reader, language=language)
    assert asked in html.unescape(page.body)
    assert "Mine." in page.body

    saved = web.ask(
        f"{here}/save",
        {**form_of(page), "answer-haemorrhage": "yes", "text-results": "Mine."},
        token=reader,
        language=language,
    )

    assert saved.status == 200, saved.body
    assert saved.json["revision"] == int(form_of(page)["revision"]) + 1
    assert any(one["severity"] == "refused" for one in saved.json["lacks"])


def test_a_very_long_japanese_report_is_written_signed_and_printed(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)

    assert write(web, case_id, reader, do="sign", **{"text-results": LONG_JAPANESE}).status == 303
    assert signed(web, case_id, reader).status == 303

    kept = web.ask(f"/oncall/api/cases/{case_id}/report", token="ed").json["versions"][0]
    assert kept["version"]["content"]["results"] == LONG_JAPANESE
    assert len(LONG_JAPANESE) == 60_000
    assert LONG_JAPANESE in web.ask(f"/oncall/report/{case_id}", token="ed").body


# Signing


def test_what_must_be_there_is_refused_and_what_is_wanted_is_accepted_by_a_tick(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    write(web, case_id, reader, do="sign", **{"text-conclusion": ""})
    page = web.ask(f"/oncall/case/{case_id}/report/sign?kind=final", token=reader, language="fr")
    refused = web.ask(f"/oncall/case/{case_id}/report/sign", form_of(page), token=reader, language="fr")
    assert "À compléter avant de signer." in page.body
    assert (refused.status, "La conclusion est vide." in refused.body) == (409, True)

    write(web, case_id, reader, do="sign", **{"text-technique": ""})
    unticked = signed(web, case_id, reader)
    assert (unticked.status, "Il manque quelque chose" in unticked.body) == (409, True)
    assert signed(web, case_id, reader, is_lack_accepted="true").status == 303


def test_nothing_is_signed_but_what_was_shown(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    write(web, case_id, reader)
    page = web.ask(f"/oncall/case/{case_id}/report/sign?kind=final", token=reader)
    write(web, case_id, reader, **{"text-conclusion": "Autre chose."})

    answer = web.ask(f"/oncall/case/{case_id}/report/sign", form_of(page), token=reader)

    assert (answer.status, "has changed since it was shown" in answer.body) == (409, True)
    assert now_in(web, case_id).report.version == 0


def test_a_first_finding_is_issued_and_the_report_goes_on_from_it(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    assert write(web, case_id, reader, do="preliminary").headers["location"].endswith("sign?kind=preliminary")
    assert signed(web, case_id, reader, kind="preliminary").status == 303
    assert "PREMIERS RÉSULTATS" in web.ask(f"/oncall/report/{case_id}", token="ed", language="fr").body

    begin(web, case_id, reader)
    assert "Examen normal." in web.ask(f"/oncall/case/{case_id}/report", token=reader).body
    write(web, case_id, reader, do="sign")
    assert signed(web, case_id, reader).status == 303
    assert [one.kind for one in now_in(web, case_id).report.versions] != []


# The emergency department


def test_opening_is_recorded_once_and_taking_note_needs_a_name_and_the_version_shown(web: Web) -> None:
    case_id, _ = report(web)
    place = f"/oncall/report/{case_id}"
    sent(web, case_id)

    for _ in range(2):
        page = web.ask(place, token="ed", language="fr")
    nameless = web.ask(place, {"version": "1", "clinician": "  "}, token="ed", language="fr")
    other = web.ask(place, {"version": "2", "clinician": "Dr Faure"}, token="ed", language="en")
    noted = web.ask(place, {"version": "1", "clinician": "Dr Zoé Faure"}, token="ed")

    assert 'name="clinician" value=""' in page.body
    assert (nameless.status, "Écrivez votre nom" in nameless.body) == (409, True)
    assert (other.status, "A newer version has come" in other.body, 'value="Dr Faure"' in other.body) == (
        409,
        True,
        True,
    )
    assert noted.status == 303
    events = SqlStore(web.database).events_of(CaseId(case_id))
    opened = [one.fact.payload for one in events if one.type == EventType.REPORT_ACCESSED]
    assert opened == [{"person_id": "sau-here", "version": 1}]
    assert now_in(web, case_id).delivery.acknowledged_by == "Dr Zoé Faure"
    assert "Pris en compte par Dr Zoé Faure" in html.unescape(web.ask(place, token="ed", language="fr").body)


@pytest.mark.parametrize(
    ("kind", "language", "said"),
    [
        ("replacement", "fr", "COMPTE RENDU REMPLACÉ : À RELIRE"),
        ("replacement", "en", "REPORT REPLACED: READ IT AGAIN"),
        ("retraction", "fr", "COMPTE RENDU RETIRÉ : NE PLUS L'UTILISER"),
        ("retraction", "en", "REPORT WITHDRAWN: DO NOT USE IT"),
    ],
)
def test_what_replaces_or_withdraws_is_loud_and_on_top_and_says_who_knows_the_older(
    web: Web, kind: str, language: str, said: str
) -> None:
    case_id, reader = report(web)
    sent(web, case_id)
    web.ask(f"/oncall/report/{case_id}", {"version": "1", "clinician": "Dr Faure"}, token="ed")
    if kind == "replacement":
        web.ask(f"/oncall/case/{case_id}/report", {"do": "begin", "kind": kind}, token=reader)
        write(web, case_id, reader, kind=kind, **{"text-conclusion": "Hématome."})
    unreasoned = signed(web, case_id, reader, kind=kind)
    assert (unreasoned.status, "hôpital le lit" in unreasoned.body) == (409, True)
    assert signed(web, case_id, reader, kind=kind, reason="Mauvais patient").status == 303

    page = html.unescape(web.ask(f"/oncall/report/{case_id}", token="ed", language=language).body)
    board = html.unescape(web.ask("/oncall/reports", token="ed", language=language).body)

    assert said in page
    assert said in board
    assert "Dr Faure" in page
    assert "Mauvais patient" in page
    assert page.index("v2") < page.index("v1")
    rows = web.ask("/oncall/api/reports", token="ed").json["reports"]
    assert [(one["case_id"], one["state"], one["version"]) for one in rows] == [(case_id, "alarm", 2)]


def test_a_report_of_another_patient_says_so_until_it_is_signed_again(web: Web) -> None:
    case_id, reader = report(web)
    pages = ((f"/oncall/report/{case_id}", "ed"), (f"/oncall/case/{case_id}/report", reader))

    def says_so() -> list[bool]:
        bodies = [html.unescape(web.ask(place, token=token, language="fr").body) for place, token in pages]
        return ["Compte rendu signé pour un autre patient" in body for body in bodies]

    def settle(patient_id: str) -> None:
        said = {"patient_id": patient_id, "reason": "bracelet lu"}
        done = web.ask(f"/oncall/api/cases/{case_id}/settle-identity", said, token="coordinator", is_json=True)
        assert done.status == 200, done.body

    settle("P1")
    # It was signed when nobody knew whose it was: a name was found for its patient.
    assert says_so() == [False, False]
    settle("P2")
    assert says_so() == [True, True]

    begin(web, case_id, reader)
    write(web, case_id, reader, kind="replacement")
    assert signed(web, case_id, reader, kind="replacement", reason="Identité corrigée").status == 303
    assert says_so() == [False, False]


def test_another_hospital_neither_sees_nor_acknowledges_nor_proves(web: Web) -> None:
    case_id, _ = report(web)

    for path in ("", "/1", "/1/pdf", "/1/fhir"):
        assert web.ask(f"/oncall/report/{case_id}{path}", token="elsewhere").status == 403, path
    noted = web.ask(f"/oncall/report/{case_id}", {"version": "1", "clinician": "Dr X"}, token="elsewhere")
    api = f"/oncall/api/cases/{case_id}/report/acknowledge"
    by_json = web.ask(api, {"version": 1, "clinician": "X"}, token="elsewhere", is_json=True)
    proof = web.ask(f"/oncall/case/{case_id}/evidence", {"format": "json"}, token="elsewhere")

    assert noted.status == by_json.status == proof.status == 403
    assert web.ask(f"/oncall/api/cases/{case_id}/report", token="elsewhere").status == 403
    assert web.ask("/oncall/api/reports", token="elsewhere").json["reports"] == []
    assert web.ask(f"/oncall/report/{case_id}", token="watcher").status == 403
    assert web.ask(f"/oncall/report/{case_id}").status == 401


def test_what_was_written_is_text_on_every_page(web: Web) -> None:
    case_id, reader = claimed(web)
    begin(web, case_id, reader)
    changes = {f"text-{one}": HOSTILE for one in ("indication", "technique", "results", "conclusion")}
    write(web, case_id, reader, **changes, title=HOSTILE, **{"dose-0-unit": HOSTILE})
    here = f"/oncall/case/{case_id}/report"
    pages = [web.ask(f"{here}{path}", token=reader) for path in ("", "/preview", "/sign?kind=final")]
    assert signed(web, case_id, reader).status == 303
    pages.append(web.ask(f"/oncall/report/{case_id}", token="ed"))

    assert all(page.status == 200 for page in pages)
    assert not any("<script>alert" in page.body for page in pages)
    assert all("&lt;script&gt;alert(1)" in page.body for page in pages)
    assert "script-src 'self'" in pages[0].headers["content-security-policy"]


def test_a_page_of_another_site_can_neither_sign_nor_take_note(web: Web) -> None:
    case_id, reader = report(web)

    for path in (f"/oncall/case/{case_id}/report", f"/oncall/case/{case_id}/report/sign", f"/oncall/report/{case_id}"):
        assert web.ask(path, {"do": "save"}, token=reader, Sec_Fetch_Site="cross-site").status == 403


def sent(web: Web, case_id: str) -> None:
    """Say that the newest version has left, as the deliveries do."""
    web.engine.execute(
        CaseId(case_id),
        lambda case, context: commands_report.send_report(case, context, channel="web"),
        web.clock.now(),
    )
