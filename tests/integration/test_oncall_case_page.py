"""The page of a case, studies without a case, every command, over real HTTP: what people see, may do, and may not."""

import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from oncall.case import commands, commands_report
from oncall.case.commands import Context, NewRequest
from oncall.case.event import CaseId
from oncall.case.regions import StudyKey
from oncall.case.state import Case, fold
from oncall.case.unclaimed import UnclaimedStudy
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId, SiteId
from oncall.engine.in_force import InForce
from oncall.engine.ports import Changes
from oncall.engine.sql_store import SqlStore
from oncall.language import Language
from oncall.reading.board import ExamKind, Urgency
from oncall.report.canonical import content_to_json
from oncall.report.content import ReportContent
from territory.oncall_web.access import LOOPBACK, Access, read_access
from territory.oncall_web.actions import ACTIONS
from territory.oncall_web.case_page import SECTIONS
from territory.oncall_web.login_limit import FAILURES_MAX, FAILURES_PER_ADDRESS_MAX, WINDOW, LoginLimit
from territory.oncall_web.texts import LANGUAGES, text
from territory.oncall_web.texts_events import EVENTS, event_words
from tests.harness.oncall_web import GOOD, NIGHT, SITES, Answer, Web, demo_in_force, hand_over, served

HERE, ELSEWHERE = SITES[0], SITES[1]
HOSTILE = "<script>alert(1)</script>\"'&"
LOCKED = "2.25.1"


@pytest.fixture(scope="module")
def in_force() -> InForce:
    return demo_in_force()


@pytest.fixture
def access() -> Access:
    return Access(holders={}, anybody=LOOPBACK)


@pytest.fixture
def web(tmp_path: Path, in_force: InForce, access: Access) -> Iterator[Web]:
    with served(tmp_path, in_force, access) as web:
        yield web


def opened(web: Web, case_id: str = "c-1", site_id: str = HERE, *, is_ready: bool = True, **changes: str) -> str:
    """Open a case past the interface, so that no token matters, with its images complete."""
    request = NewRequest(
        site_id=SiteId(site_id), exam=ExamKind.HEAD, urgency=Urgency.P2, modality="CT", requester="Dr Roy",
        patient_key="k" * 32,
    )  # fmt: skip
    web.engine.open_case(CaseId(case_id), replace(request, **changes), web.clock.now())  # type: ignore[arg-type]  # texts only
    if is_ready:
        web.engine.complete_images(CaseId(case_id), web.clock.now(), rule="button")
    return case_id


def now_in(web: Web, case_id: str) -> Case:
    """Return a case as it is committed, whichever engine did so."""
    return fold(SqlStore(web.database).events_of(CaseId(case_id)))


def reader_of(web: Web, case_id: str) -> str:
    reading = now_in(web, case_id).reading
    return str(reading.claimed_by or reading.assigned_to)


def act(web: Web, case_id: str, action: str, *, token: str = "", language: str = "en", **fields: str) -> Answer:
    return web.ask(f"/oncall/case/{case_id}/{action}", fields, token=token, language=language)


def call(web: Web, case_id: str, action: str, *, token: str = "", **fields: object) -> Answer:
    return web.ask(f"/oncall/api/cases/{case_id}/{action}", fields, token=token, is_json=True)


def sign(web: Web, case_id: str, *, token: str = "", **fields: object) -> Answer:
    """Sign a short report over the interface."""
    written = ReportContent(language=Language.ENGLISH, title="Head CT", results="Nothing seen.", conclusion="Normal.")
    sent = {"content": content_to_json(written), "is_lack_accepted": True, **fields}
    return web.ask(f"/oncall/api/cases/{case_id}/sign", sent, token=token, is_json=True)


def hidden(page: Answer, action: str, field: str) -> str:
    """Return what the form of an action knows by itself."""
    form = re.search(rf'id="{action}">(.*?)</form>', page.body, re.DOTALL)
    assert form is not None, f"no form {action}"
    found = re.search(rf'type="hidden" name="{field}" value="([^"]*)"', form[1])
    assert found is not None, f"no hidden {field}"
    return html.unescape(found[1])


def study_without_case(web: Web, site_id: str | None = HERE, uid: str = "1.2.3") -> UnclaimedStudy:
    study = UnclaimedStudy(
        study=StudyKey("ISSUER", uid),
        first_at=NIGHT - timedelta(minutes=9),
        last_at=NIGHT - timedelta(minutes=6),
        received=120,
        told_by=7,
        reason="no rule makes it an emergency",
        site_id=None if site_id is None else SiteId(site_id),
        calling_aet="STRANGE_CT",
        modalities=frozenset({"CT"}),
        accession_number="A-7",
        patient_key="p" * 32,
    )
    store = SqlStore(web.database)
    store.commit(Changes(unclaimed_kept=(study,)), head=store.head(), worker="test", now=web.clock.now())
    return study


# What people see


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ("L&#39;heure", "1 h 00", "échéance 22:00 CEST", "Le lecteur doit répondre.", "Demande envoyée")),
        ("en", ("The hour", "1 h 00", "due 22:00 CEST", "The reader has to answer.", "Request submitted")),
    ],
)
def test_the_page_says_the_hour_the_reader_and_what_is_next_in_the_hospitals_time(
    web: Web, in_force: InForce, language: str, words: tuple[str, ...]
) -> None:
    case_id = opened(web)

    page = web.ask(f"/oncall/case/{case_id}", language=language)

    assert page.status == 200
    assert all(word in page.body or html.unescape(word) in page.body for word in words)
    assert in_force.directory.persons[PersonId(reader_of(web, case_id))].name in html.unescape(page.body)
    assert f'href="/oncall/case/{case_id}"' in web.ask("/oncall", language=language).body


def test_the_page_of_an_overseas_hospital_is_in_its_own_time(web: Web, in_force: InForce) -> None:
    overseas = next(one.site_id for one in in_force.directory.sites.values() if one.time_zone == "Indian/Reunion")

    page = web.ask(f"/oncall/case/{opened(web, site_id=overseas)}")

    assert "due 00:00 +04" in page.body


@pytest.mark.parametrize(
    ("language", "reason"), [("fr", "N'était pas de garde à cet instant."), ("en", "Was not on duty at that time.")]
)
def test_why_this_reader_and_why_not_another_is_said_as_it_was_decided(
    web: Web, in_force: InForce, language: str, reason: str
) -> None:
    case_id = opened(web)
    chosen = in_force.directory.persons[PersonId(reader_of(web, case_id))].name
    on_duty = {shift.person_id for shift in in_force.timeline.on_duty(NIGHT)}
    idle = next(one.person_id for one in in_force.directory.persons.values() if one.person_id not in on_duty)

    page = html.unescape(web.ask(f"/oncall/case/{case_id}?not={idle}", language=language).body)
    by_program = web.ask(f"/oncall/api/cases/{case_id}/why?not={idle}", language=language).json

    assert f"→ {chosen}" in page
    assert "score" in page
    (decision,) = by_program["decisions"]
    assert decision["reader"] == reader_of(web, case_id)
    assert len(decision["candidates"]) >= 2
    assert any(line.startswith(f"→ {chosen}") for line in decision["text"])
    assert reason in page
    assert by_program["not"]["text"][0] in page


def test_pages_sent_and_their_answers_and_silences_are_told_with_the_cause(web: Web, in_force: InForce) -> None:
    case_id = opened(web)
    first = reader_of(web, case_id)
    hand_over(web)
    for _ in range(14):
        web.clock.advance(timedelta(seconds=30))
        web.run_due()
    hand_over(web)
    second = reader_of(web, case_id)
    call(web, case_id, "acknowledge", person_id=second)

    page = html.unescape(web.ask(f"/oncall/case/{case_id}").body)
    pages = page[page.index('<details id="pages"') : page.index('<details id="clocks"')]

    assert first != second
    assert in_force.directory.persons[PersonId(first)].name in pages
    assert "no answer" in pages
    assert "yes, 21:07:00 CEST" in pages
    assert "SMS" in pages
    assert "Reader unavailable" in page or "no answer" in page


def test_every_event_of_the_vocabulary_has_words_in_both_languages() -> None:
    assert set(EVENTS) == set(EventType)
    assert all(event_words(one, "fr") and event_words(one, "en") for one in EventType)


def test_every_action_and_field_has_words_in_both_languages() -> None:
    for action in ACTIONS.values():
        keys = {f"action.{action.name}", f"section.{action.section}"}
        keys |= {f"field.{field.name}" for field in action.fields if field.is_on_page}
        assert all(text(key, language) for key in keys for language in LANGUAGES)
        assert action.section in SECTIONS


def test_names_and_texts_that_are_code_are_shown_and_never_run(web: Web) -> None:
    case_id = opened(web, is_ready=False)
    call(web, case_id, "protocol-sent", text=HOSTILE, person_id="r05")
    call(web, case_id, "protocol-acknowledged", version=1, radiographer=HOSTILE)
    call(web, case_id, "images-complete")
    call(web, case_id, "declare-critical", category=1, finding=HOSTILE, person_id="r05", critical_id=HOSTILE)
    call(web, case_id, "triage", urgency=1, reason=HOSTILE)
    refused = act(web, case_id, "declare-critical", category=HOSTILE, finding=HOSTILE)

    for page in (web.ask(f"/oncall/case/{case_id}"), web.ask(f"/oncall/case/{case_id}?not={HOSTILE[:1]}"), refused):
        assert "<script" not in page.body
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.body
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


# What people do


def test_a_case_is_read_signed_and_taken_note_of_by_the_forms_of_its_page(web: Web) -> None:
    case_id = opened(web)
    reader = reader_of(web, case_id)

    def press(action: str, **fields: str) -> Answer:
        done = act(web, case_id, action, **fields)
        assert done.status == 303, done.body
        assert done.headers["location"] == f"/oncall/case/{case_id}?done={action}"
        return web.ask(done.headers["location"])

    page = press("acknowledge", person_id=reader)
    page = press("claim", person_id=reader, transaction_uid=hidden(page, "claim", "transaction_uid"))
    page = press("park", person_id=reader, reason="waits for priors")
    assert "waits for priors" in page.body
    page = press("resume", person_id=reader)
    page = press("first-finding", person_id=reader, recipient="Dr Roy", method="phone")
    critical_id = hidden(page, "declare-critical", "critical_id")
    declared = {"person_id": reader, "category": "1", "finding": "aortic rupture", "critical_id": critical_id}
    press("declare-critical", **declared)
    page = press("declare-critical", **declared)
    assert page.body.count("Critical finding, category") == 1
    told = {"critical_id": critical_id, "recipient": "Dr Roy", "method": "phone", "read_back": "rupture"}
    press("communicate-critical", person_id=reader, **told)
    press("acknowledge-critical", critical_id=critical_id, clinician="Dr Roy")
    press("close-critical", critical_id=critical_id, clinician="Dr Roy")
    assert sign(web, case_id, person_id=reader).status == 201
    page = web.ask(f"/oncall/case/{case_id}")
    assert "kept" in page.body
    assert "Get the report to the hospital." in page.body
    assert 'id="report-acknowledged"' not in page.body
    web.engine.execute(
        CaseId(case_id),
        lambda case, context: commands_report.send_report(case, context, channel="test"),
        web.clock.now(),
    )
    version = hidden(web.ask(f"/oncall/case/{case_id}"), "report-acknowledged", "version")
    press("report-accessed", clinician="Dr Roy", version=version)
    press("report-acknowledged", clinician="Dr Roy", version=version)
    page = press("close", reason="done")

    case = now_in(web, case_id)
    assert case.is_closed
    assert case.reading.claimed_by == reader or case.report.versions[-1].signer == reader
    assert case.delivery.acknowledged_by == "Dr Roy"
    assert "Nothing: the case is closed." in page.body


@pytest.mark.parametrize(
    ("action", "fields", "field", "said"),
    [
        ("decline", {"reason": ""}, "reason", "Required"),
        ("decline", {"reason": "x" * 501}, "reason", "500 characters"),
        ("claim", {"transaction_uid": "not a uid"}, "transaction_uid", "A UID"),
        ("triage", {"urgency": "4", "reason": "worse"}, "urgency", "Choose one"),
        ("declare-critical", {"category": "9", "finding": "x"}, "category", "Choose one"),
        ("report-acknowledged", {"clinician": "x" * 65, "version": "1"}, "clinician", "64 characters"),
        ("report-acknowledged", {"clinician": "Dr Roy", "version": "one"}, "version", "A number"),
        ("settle-identity", {"patient_id": "", "reason": "r"}, "patient_id", "Required"),
        ("join-study", {"study_case_id": "nowhere", "reason": "r"}, "study_case_id", "No open case"),
        ("link-study", {"study": "1@x", "reason": "r"}, "study", "has a case already"),
        ("withdraw", {"reason": "r", "nonsense": "1"}, "nonsense", "Unknown field"),
        ("acknowledge", {"person_id": "nobody"}, "person_id", "a person of the directory"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_beside_its_field_and_nothing_is_done(
    web: Web, action: str, fields: dict[str, str], field: str, said: str
) -> None:
    case_id = opened(web)
    before = now_in(web, case_id).seq

    by_program = call(web, case_id, action, **fields)
    page = act(web, case_id, action, **fields)

    assert (by_program.status, page.status) == (422, 422)
    assert said in by_program.json["errors"][field]
    if field != "nonsense":
        error = re.search(rf'id="{action}-{field}-error">([^<]+)<', page.body)
        assert error is not None
        assert said in error[1]
    assert now_in(web, case_id).seq == before


def test_what_the_state_does_not_allow_is_refused_in_the_form_with_what_was_typed(web: Web) -> None:
    case_id = opened(web)

    page = act(web, case_id, "release", reason="I have to go", person_id="r05")
    by_program = call(web, case_id, "release", reason="I have to go", person_id="r05")

    assert (page.status, by_program.status) == (409, 409)
    assert "only the reader who has opened the case" in page.body
    assert "I have to go" in page.body


def test_an_action_that_is_not_there_is_told_from_a_wrong_one(web: Web) -> None:
    case_id = opened(web)

    assert call(web, case_id, "invoice").status == 400
    assert act(web, case_id, "invoice").status == 400
    assert web.ask("/oncall/case/nowhere").status == 409
    assert web.ask("/oncall/case/night%2F2026-10-24").status in {404, 405, 409}


def test_a_program_signs_a_content_and_never_a_bare_hash(web: Web) -> None:
    case_id = opened(web)
    reader = reader_of(web, case_id)
    call(web, case_id, "claim", person_id=reader, transaction_uid=LOCKED)

    bare = call(web, case_id, "sign", person_id=reader, transaction_uid=LOCKED, content_sha256="a" * 64)
    wrong = sign(web, case_id, person_id=reader, transaction_uid="2.25.2")
    right = sign(web, case_id, person_id=reader, transaction_uid=LOCKED)

    assert (bare.status, wrong.status, right.status) == (400, 409, 201)
    assert right.json["version"]["content"]["conclusion"] == "Normal."
    assert now_in(web, case_id).report.versions[-1].content_hash == right.json["digest"]


def test_a_page_of_another_site_cannot_press_a_button(web: Web) -> None:
    case_id = opened(web)

    for site in ("cross-site", "same-site"):
        answer = web.ask(f"/oncall/case/{case_id}/images-complete", {}, Sec_Fetch_Site=site)
        assert answer.status == 403
    assert web.ask(f"/oncall/case/{case_id}/triage", {"urgency": "1", "reason": "x"}, Sec_Fetch_Site="same-origin")


# Whose a study is, and whose a case


def test_a_patient_who_was_unknown_is_recognised_by_the_hospitals_own_number(web: Web) -> None:
    case_id = opened(web, patient_key="")
    assert "the patient is not identified" in web.ask(f"/oncall/case/{case_id}").body

    settled = act(web, case_id, "settle-identity", patient_id="IPP-4711", reason="recognised by the family")
    qualified = act(web, case_id, "qualify-identity", patient_id="IPP-4711", method="ins")

    assert (settled.status, qualified.status) == (303, 303)
    page = web.ask(f"/oncall/case/{case_id}")
    assert "Qualified." in page.body
    assert "IPP-4711" not in page.body
    case = now_in(web, case_id)
    assert len(case.identity.patient_key) == 32


def test_a_proposed_match_is_shown_with_its_reasons_joined_and_parted(web: Web) -> None:
    context = Context(now=web.clock.now())
    request = NewRequest(site_id=SiteId(HERE), exam=ExamKind.HEAD, urgency=Urgency.P2, modality="CT")
    unannounced = commands.open_unannounced(request, StudyKey("ISSUER", "1.2.3"), context, rule="ct_at_night")
    web.engine.record_opening(CaseId("study-1"), unannounced, web.clock.now())
    opened(web, "request-1", is_ready=False, patient_key="")

    found = web.ask("/oncall/api/cases/study-1/candidates").json["candidates"]
    page = web.ask("/oncall/case/study-1", language="en").body
    assert [(one["case_id"], one["evidence"][0]) for one in found] == [("request-1", "unidentified_patient")]
    assert "same hospital" in page

    joined = act(web, "study-1", "join-request", request_case_id="request-1", reason="same trauma patient")
    assert joined.status == 303
    assert now_in(web, "request-1").is_closed
    parted = act(web, "study-1", "part-request", request_case_id="request-1", reason="not the same after all")
    assert parted.status == 303, parted.body
    assert now_in(web, "request-1").is_open

    moved = act(web, "study-1", "move-study", study="1.2.3", to_case_id="request-1", reason="it is that one's")
    assert moved.status == 303, moved.body
    assert now_in(web, "request-1").images.studies == (StudyKey("ISSUER", "1.2.3"),)


def test_a_study_without_a_case_is_listed_with_the_reason_and_gets_a_case_of_its_own(web: Web) -> None:
    study = study_without_case(web)
    name = f"{study.study.study_instance_uid}@{study.study.issuer}"

    page = web.ask("/oncall/unclaimed", language="fr")
    listed = web.ask("/oncall/api/unclaimed").json["studies"]
    wrong = web.ask("/oncall/unclaimed", {"study": name, "exam": "head", "urgency": "2", "requester": ""})
    form = {"study": name, "exam": "head", "urgency": "2", "requester": "Dr Roy"}
    made = web.ask("/oncall/unclaimed", form)

    assert "aucune règle" in page.body
    assert [one["study"] for one in listed] == [name]
    assert "patient" not in json.dumps(listed).replace("is_in_two_patients", "")
    assert wrong.status == 422
    assert "Required" in wrong.body
    assert made.status == 303
    case = web.ask(made.headers["location"].replace("/oncall/case/", "/oncall/api/cases/")).json
    assert case["stage"] in {"images", "queued", "paged"}
    assert web.ask("/oncall/api/unclaimed").json["studies"] == []
    assert web.ask("/oncall/api/unclaimed", form, is_json=True).status == 422


def test_a_study_without_a_case_is_linked_to_the_request_that_waits_for_it(web: Web) -> None:
    study_without_case(web)
    opened(web, "request-1", is_ready=False, patient_key="")

    linked = act(web, "request-1", "link-study", study="1.2.3@ISSUER", reason="told by telephone")

    assert linked.status == 303, linked.body
    assert now_in(web, "request-1").images.received == 120


def test_a_patient_who_is_announced_becomes_the_case_of_the_request_that_follows(web: Web) -> None:
    announced = {"site_id": HERE, "exam": "head", "urgency": "1", "expected_at": "2026-10-24T21:20"}

    late = web.ask("/oncall/api/pre-alerts", {**announced, "expected_at": "2026-10-27T21:20"}, is_json=True)
    made = web.ask("/oncall/api/pre-alerts", announced, is_json=True, Idempotency_Key="samu-1")
    again = web.ask("/oncall/api/pre-alerts", announced, is_json=True, Idempotency_Key="samu-1")
    web.ask("/oncall/api/cases", GOOD, is_json=True)

    assert "expected_at" in late.json["errors"]
    assert (made.status, again.status) == (201, 201)
    assert made.json["case_id"] == again.json["case_id"]
    cases = web.ask("/oncall/api/cases").json["cases"]
    assert len(cases) == 1
    assert "C1" in cases[0]["clocks"]


def test_a_key_that_cannot_be_part_of_an_address_is_refused(web: Web) -> None:
    assert web.ask("/oncall/api/cases", GOOD, is_json=True, Idempotency_Key="a/b").status == 400


# What a program is told


def test_the_log_for_programs_is_whole_and_tells_neither_patient_nor_lock(web: Web) -> None:
    case_id = opened(web)
    reader = reader_of(web, case_id)
    call(web, case_id, "claim", person_id=reader, transaction_uid="2.25.987654321")
    call(web, case_id, "settle-identity", patient_id="IPP-4711", reason="checked")

    answer = web.ask(f"/oncall/api/cases/{case_id}/log")

    events = answer.json["events"]
    case = now_in(web, case_id)
    assert [one["seq"] for one in events] == list(range(1, case.seq + 1))
    assert events[-1]["hash"] == case.head_hash
    assert "k" * 32 not in answer.body
    assert case.patient_key not in answer.body
    assert "2.25.987654321" not in answer.body
    assert "IPP-4711" not in answer.body
    assert events[0]["text"].startswith("Request submitted")


# Who may


class TestTokens:
    """Without `--open-loopback`."""

    @pytest.fixture
    def access(self, tmp_path: Path) -> Access:
        entries = [
            entry("ed", "e", ["watch", "request"], HERE),
            entry("wall", "w", ["watch"], HERE),
            entry("r05", "r", ["watch", "read"]),
            entry("coordinator", "o", ["watch", "coordinate"], HERE),
            entry("crisis", "c", ["recall"]),
        ]
        path = tmp_path / "tokens.json"
        path.write_text(json.dumps(entries))
        return read_access(path)

    def test_a_case_of_another_hospital_is_neither_seen_nor_touched(self, web: Web) -> None:
        opened(web, "theirs", ELSEWHERE)
        before = now_in(web, "theirs").seq
        for token in (TOKENS["e"], TOKENS["w"], TOKENS["o"]):
            for path in ("/oncall/case/theirs", "/oncall/api/cases/theirs"):
                assert web.ask(path, token=token).status == 403
            for view in ("log", "why", "candidates"):
                assert web.ask(f"/oncall/api/cases/theirs/{view}", token=token).status == 403
            assert "theirs" not in web.ask("/oncall", token=token).body
            for action in ACTIONS:
                assert act(web, "theirs", action, token=token, reason="r").status == 403, action
                assert call(web, "theirs", action, token=token, reason="r").status == 403, action
        assert now_in(web, "theirs").seq == before

    def test_nothing_is_moved_to_or_joined_with_a_case_of_another_hospital(self, web: Web) -> None:
        opened(web, "theirs", ELSEWHERE, is_ready=False)
        study_without_case(web, ELSEWHERE, "1.2.9")
        opened(web, "ours", is_ready=False)

        page = web.ask("/oncall/case/ours", token=TOKENS["o"])
        joined = call(web, "ours", "join-study", token=TOKENS["o"], study_case_id="theirs", reason="r")
        linked = call(web, "ours", "link-study", token=TOKENS["o"], study="1.2.9@ISSUER", reason="r")

        assert "theirs" not in page.body
        assert "1.2.9" not in page.body
        assert "1.2.9" not in web.ask("/oncall/unclaimed", token=TOKENS["w"]).body
        assert (joined.status, linked.status) == (422, 422)
        assert "No open case" in joined.json["errors"]["study_case_id"]

    def test_who_only_watches_sees_no_clinical_text_and_no_button(self, web: Web) -> None:
        opened(web, "ours")
        treated = call(
            web, "ours", "declare-critical", token=TOKENS["r"], category=1, finding="bleeding into the ventricles"
        )
        assert treated.status == 200

        page = web.ask("/oncall/case/ours", token=TOKENS["w"])
        log = web.ask("/oncall/api/cases/ours/log", token=TOKENS["w"])

        assert "bleeding" not in page.body
        assert "bleeding" not in log.body
        assert "[clinical text]" in page.body
        assert 'method="post"' not in page.body
        assert "bleeding" in web.ask("/oncall/case/ours", token=TOKENS["e"]).body
        assert act(web, "ours", "acknowledge", token=TOKENS["w"]).status == 403

    def test_a_token_does_what_it_says_and_nothing_else(self, web: Web) -> None:
        opened(web, "ours", is_ready=False)

        assert act(web, "ours", "images-complete", token=TOKENS["r"]).status == 403
        assert act(web, "ours", "settle-identity", token=TOKENS["e"], patient_id="1", reason="r").status == 403
        assert act(web, "ours", "images-complete", token=TOKENS["e"]).status == 303
        assert act(web, "ours", "triage", token=TOKENS["o"], urgency="1", reason="worse").status == 303
        assert web.ask("/oncall/case/ours", token=TOKENS["c"]).status == 403
        assert web.ask("/oncall/case/ours").status == 401

    def test_a_reader_acts_as_the_person_of_their_token_only(self, web: Web) -> None:
        opened(web, "ours")
        other = reader_of(web, "ours")
        assert other != "r05"
        web.engine.claim(CaseId("ours"), PersonId(other), web.clock.now(), transaction_uid=LOCKED)

        as_other = call(web, "ours", "park", token=TOKENS["r"], reason="r", person_id=other)
        with_lock = call(web, "ours", "park", token=TOKENS["r"], reason="r", transaction_uid=LOCKED)
        signed = sign(web, "ours", token=TOKENS["r"], transaction_uid=LOCKED)

        assert "person_id" in as_other.json["errors"]
        assert (with_lock.status, signed.status) == (409, 409)
        assert 'id="park"' not in web.ask("/oncall/case/ours", token=TOKENS["r"]).body

    def test_wrong_tokens_have_to_wait_and_a_right_one_with_them_until_the_window_is_over(self, web: Web) -> None:
        wrong = [web.ask("/oncall/login", {"token": "nobody"}) for _ in range(FAILURES_PER_ADDRESS_MAX)]
        limited = web.ask("/oncall/login", {"token": TOKENS["e"]}, language="fr")

        assert {answer.status for answer in wrong} == {401}
        assert limited.status == 429
        assert "Trop d'essais" in html.unescape(limited.body)
        assert limited.headers["retry-after"] == "300"
        assert web.ask("/oncall", token=TOKENS["e"]).status == 200
        web.clock.advance(WINDOW)
        assert web.ask("/oncall/login", {"token": TOKENS["e"]}).status == 303


TOKENS = {letter: letter * 30 for letter in "ewroc"}


def entry(who: str, letter: str, may: list[str], *sites: str) -> dict[str, object]:
    digest = hashlib.sha256(TOKENS[letter].encode()).hexdigest()
    return {"who": who, "may": may, "sites": list(sites), "token_sha256": digest}


def test_what_is_kept_of_failed_logins_is_bounded_and_everybody_waits_when_it_is_full() -> None:
    limit = LoginLimit()
    for number in range(FAILURES_MAX * 3):
        assert limit.is_exceeded(f"address-{number}", NIGHT) is (number >= FAILURES_MAX)
        limit.failed(f"address-{number}", NIGHT)

    assert limit.is_exceeded("another", NIGHT + WINDOW / 2)
    assert not limit.is_exceeded("another", NIGHT + WINDOW)
