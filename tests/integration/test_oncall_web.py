"""The on-call pages and interface over real HTTP, on the demonstration territory, with a clock that the test moves."""

import hashlib
import hmac
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from foundation.errors import Refused
from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.directory import SiteId, SubSpecialty
from oncall.engine.in_force import InForce
from oncall.reading.board import ExamKind, Urgency
from oncall.schema import oncall_message
from pacs.worklist.order import order_id
from territory.oncall_web.access import LOOPBACK, Access, read_access
from territory.oncall_web.texts import LANGUAGES, text
from tests.harness.oncall_web import GOOD, NIGHT, SITES, Web, demo_in_force, hand_over, open_case, served


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


def test_a_request_by_the_form_opens_one_case_however_often_it_is_sent(web: Web) -> None:
    page = web.ask("/oncall/request", language="fr")
    case_id = re.search(r'name="case_id" value="([^"]+)"', page.body)
    assert case_id is not None
    sent = {**GOOD, "case_id": case_id[1]}

    answers = [web.ask("/oncall/request", sent, language="fr") for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 201]
    assert "Demande enregistrée" in answers[0].body
    cases = web.ask("/oncall/api/cases").json["cases"]
    assert [case["case_id"] for case in cases] == [f"order-{order_id(SITES[0], case_id[1])}"]
    assert cases[0]["stage"] == "requested"


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"site_id": "nowhere"}, "site_id", "Unknown hospital"),
        ({"exam": ""}, "exam", "Required"),
        ({"urgency": "0"}, "urgency", "Choose one"),
        ({"requester": ""}, "requester", "Required"),
        ({"requester": "x" * 65}, "requester", "64 characters"),
        ({"exam": "stroke", "urgency": "1"}, "onset_at", "wake-up stroke"),
        ({"onset_at": "yesterday"}, "onset_at", "A date and a time"),
        ({"onset_at": "2027-01-01T00:00"}, "onset_at", "Between seven days ago"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_opened(
    web: Web, changes: dict[str, str], field: str, said: str
) -> None:
    page = web.ask("/oncall/request", {**GOOD, **changes, "case_id": "web-1"})
    by_json = web.ask("/oncall/api/cases", {**GOOD, **changes}, is_json=True)

    assert page.status == by_json.status == 422
    error = re.search(rf'id="{field}-error">([^<]+)<', page.body)
    assert error is not None
    assert said in error[1].replace("&#34;", '"')
    assert said in by_json.json["errors"][field]
    assert 'value="Dr Roy"' in page.body or field == "requester"
    assert web.ask("/oncall/api/cases").json["cases"] == []


def test_a_stroke_is_first_and_asks_for_a_neuroradiologist_whatever_was_asked(web: Web) -> None:
    case_id = open_case(web, exam="stroke", urgency="3", onset_at="unknown")

    case = web.engine.case(CaseId(case_id))
    assert (case.urgency, case.needs) == (Urgency.P1, SubSpecialty.NEURO)


def test_a_case_goes_from_request_to_signed_report_over_the_interface(web: Web) -> None:
    case_id = open_case(web)
    ready = web.ask(f"/oncall/api/cases/{case_id}/images-complete", {}, is_json=True).json
    assert ready["stage"] == "paged"
    assert datetime.fromisoformat(ready["deadline_at"]) == NIGHT + timedelta(hours=1)

    wall = web.ask("/oncall", language="fr").body

    assert "appelé" in wall
    assert "1 h 00" in wall
    assert web.engine.next_due_at() is not None


def test_a_providers_receipt_counts_only_with_its_signature(web: Web) -> None:
    case_id = open_case(web)
    web.ask(f"/oncall/api/cases/{case_id}/images-complete", {}, is_json=True)
    provider_id = hand_over(web)[0]
    body = {"id": provider_id, "status": "delivered"}
    signature = hmac.new(b"receipts", json.dumps(body).encode(), "sha256").hexdigest()

    forged = web.ask("/oncall/receipts/sms", body, is_json=True, X_Signature="0" * 64)
    true = web.ask("/oncall/receipts/sms", body, is_json=True, X_Signature=signature)
    strange = web.ask("/oncall/receipts/fax", body, is_json=True, X_Signature=signature)

    assert (forged.status, true.status, strange.status) == (400, 204, 400)
    with web.database.read() as connection:
        states = connection.execute(
            select(oncall_message.c.state).where(oncall_message.c.provider_id == provider_id)
        ).scalars()
        assert list(states) == ["delivered"]


def test_a_link_is_answered_by_its_button_and_only_once(web: Web) -> None:
    case_id = open_case(web)
    web.ask(f"/oncall/api/cases/{case_id}/images-complete", {}, is_json=True)
    with web.database.read() as connection:
        rows = connection.execute(
            oncall_message.select().where(
                oncall_message.c.case_id == case_id, oncall_message.c.answer_token.isnot(None)
            )
        ).all()
    token = str(rows[0].answer_token)
    hand_over(web)

    asked = [web.ask(f"/oncall/a/{token}") for _ in range(2)]
    web.run_due()
    assert all(answer.status == 200 and "Yes, I take it" in answer.body for answer in asked)
    assert web.ask(f"/oncall/api/cases/{case_id}").json["stage"] == "paged"

    first = web.ask(f"/oncall/a/{token}", {"answer": "yes"})
    web.run_due()
    second = web.ask(f"/oncall/a/{token}", {"answer": "no"})
    web.run_due()

    assert "recorded" in first.body
    assert "answered already" in second.body
    case = web.ask(f"/oncall/api/cases/{case_id}").json
    assert (case["stage"], case["reader"]) == ("accepted", rows[0].person_id)
    assert web.ask("/oncall/a/unknown").status == 404


def test_a_drill_pages_nobody_and_a_real_recall_needs_the_name_written_out(web: Web, in_force: InForce) -> None:
    name = in_force.directory.sites[SiteId(SITES[0])].name
    form = {"site_id": SITES[0], "recall_id": "r-1"}

    drill = web.ask("/oncall/plan-blanc", {**form, "kind": "drill"})
    assert drill.status == 303
    assert "drill" in web.ask("/oncall/plan-blanc/r-1").body
    assert _messages(web) == 0

    refused = web.ask("/oncall/plan-blanc", {**form, "recall_id": "r-2", "kind": "real", "confirmation": "yes"})
    assert refused.status == 422
    assert _messages(web) == 0

    real = web.ask("/oncall/plan-blanc", {**form, "recall_id": "r-2", "kind": "real", "confirmation": name.upper()})
    assert real.status == 303
    people = [one for one in in_force.directory.persons.values() if SiteId(SITES[0]) in one.sites | one.privileges]
    assert _messages(web) == len(people) > 30

    assert web.ask("/oncall/plan-blanc/r-2", {}).status == 303
    assert hand_over(web) == []


def _messages(web: Web) -> int:
    with web.database.read() as connection:
        return len(connection.execute(oncall_message.select()).all())


def test_who_is_on_duty_needs_an_offset_on_the_night_that_is_an_hour_longer(web: Web) -> None:
    answer = web.ask("/oncall/api/who?at=2026-10-25T02:30%2B02:00")

    assert answer.status == 200
    assert len(answer.json["on_duty"]) >= 3
    naive = web.ask("/oncall/api/who?at=2026-10-25T02:30")
    assert naive.status == 400
    assert "offset" in naive.json["error"]


@pytest.mark.parametrize("sent", [b"{", b"[]", b'"x"'], ids=["half", "list", "text"])
def test_a_body_that_is_no_object_is_refused(web: Web, sent: bytes) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{web.port}/oncall/api/cases", data=sent)
    request.add_header("Content-Type", "application/json")

    with pytest.raises(urllib.error.HTTPError, match="400") as error:
        urllib.request.build_opener().open(request, timeout=20)
    error.value.close()


def test_no_page_names_a_patient_and_none_is_kept_or_framed(web: Web) -> None:
    open_case(web, patient_id="IPP-SECRET-1")

    pages = [web.ask(path) for path in ("/oncall", "/oncall/api/cases", "/oncall/request", "/oncall/plan-blanc")]

    assert all("IPP-SECRET-1" not in page.body for page in pages)
    assert all(page.headers["cache-control"] == "no-store" for page in pages)
    assert all(page.headers["x-frame-options"] == "DENY" for page in pages)
    with web.database.read() as connection:
        kept = connection.exec_driver_sql("SELECT body FROM oncall_case_event").scalars().all()
    assert kept
    assert all("IPP-SECRET-1" not in body for body in kept)


class TestTokens:
    """Without `--open-loopback`."""

    @pytest.fixture
    def access(self, tmp_path: Path) -> Access:
        entries = [
            {"who": "ed-1", "may": ["watch", "request"], "sites": [SITES[0]], "token_sha256": _digest("e" * 30)},
            {"who": "crisis", "may": ["recall"], "sites": [], "token_sha256": _digest("c" * 30)},
        ]
        path = tmp_path / "tokens.json"
        path.write_text(json.dumps(entries))
        return read_access(path)

    def test_nobody_gets_in_without_a_token_that_is_known(self, web: Web) -> None:
        for path in ("/oncall", "/oncall/request", "/oncall/plan-blanc", "/oncall/api/cases", "/oncall/api/who"):
            assert web.ask(path).status == 401, path
            assert web.ask(path, token="wrong").status == 401, path

    def test_a_token_is_good_for_what_it_says_and_for_its_hospital(self, web: Web) -> None:
        token = "e" * 30
        assert web.ask("/oncall", token=token).status == 200
        assert web.ask("/oncall/plan-blanc", token=token).status == 403
        own = web.ask("/oncall/api/cases", GOOD, token=token, is_json=True)
        other = web.ask("/oncall/api/cases", {**GOOD, "site_id": SITES[1]}, token=token, is_json=True)
        assert (own.status, other.status) == (201, 422)
        assert web.ask(f"/oncall/api/cases/{own.json['case_id']}/sign", {}, token=token, is_json=True).status == 403
        assert web.ask("/oncall/api/cases", token="c" * 30).status == 403

    def test_a_case_of_another_hospital_is_not_shown(self, web: Web) -> None:
        web.engine.open_case(CaseId("other"), _request_of(SITES[1]), NIGHT)

        assert web.ask("/oncall/api/cases", token="e" * 30).json["cases"] == []
        assert web.ask("/oncall/api/cases/other", token="e" * 30).status == 403

    def test_a_browser_keeps_its_token_in_a_cookie_that_no_script_and_no_other_site_can_use(self, web: Web) -> None:
        wrong = web.ask("/oncall/login", {"token": "nobody"})
        right = web.ask("/oncall/login", {"token": "e" * 30})

        assert wrong.status == 401
        assert right.status == 303
        cookie = right.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
        assert web.ask("/oncall", Cookie=cookie.split(";")[0]).status == 200


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _request_of(site_id: str) -> NewRequest:
    return NewRequest(site_id=SiteId(site_id), exam=ExamKind.HEAD, urgency=Urgency.P2)


@pytest.mark.parametrize(
    "content",
    ["{}", "[{}]", '[{"who": "a", "may": ["fly"], "token_sha256": "' + "0" * 64 + '"}]', '[{"token": "clear"}]', "["],
)
def test_a_file_of_tokens_with_anything_unknown_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)

    with pytest.raises(Refused, match="token"):
        read_access(path)


def test_every_text_of_the_templates_is_there_in_both_languages() -> None:
    templates = Path("territory/oncall_web/templates").glob("*.html")
    keys = {key for path in templates for key in re.findall(r'say\("([a-z_.0-9]+)"\)', path.read_text())}

    assert len(keys) > 25
    assert all(text(key, language) for key in keys for language in LANGUAGES)
