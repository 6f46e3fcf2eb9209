"""From the emergency room's form to the radiographer's screen and the console's worklist, over real HTTP and DICOM."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from foundation import outbox
from oncall.case.event import CaseId
from oncall.case.vocabulary import EventType
from oncall.engine.in_force import InForce
from oncall.engine.sql_store import SqlStore
from oncall.followers import Followers
from oncall.protocol.library import packaged
from oncall.protocol.performed import Performed
from pacs.contracts import TOPIC_PERFORMED_STEP
from pacs.worklist import orders
from pacs.worklist.deliveries import Deliveries
from pacs.worklist.find_service import MODALITY_WORKLIST, WorklistFindService
from pacs.worklist.order import Order, OrderPriority, order_id
from pacs.worklist.query import WorklistQuery
from territory.oncall_web.access import LOOPBACK, Access, read_access
from territory.order_facts import OrderFacts
from territory.protocol_follower import WorklistProtocols
from tests.harness.find_catalogue import findscu
from tests.harness.node import node_policy, running_node
from tests.harness.oncall_web import GOOD, NIGHT, SECRET, SITES, Web, demo_in_force, open_case, served
from tests.harness.worklist import RIGHTS, asked
from tests.unit.oncall.protocol.protocols import performed

PATIENT = {
    "family_name": "Ångström",
    "given_name": "Zoé",
    "birth_date": "1990-03-27",
    "sex": "F",
    "weight_kg": "62,5",
    "pregnancy": "possible",
    "allergies": "pénicilline",
    "creatinine_umol_l": "250",
    "question": "Douleur brutale, lactates à 5",
}
ABDOMEN = {**GOOD, **PATIENT, "exam": "abdo", "urgency": "1", "request_id": "ORD-7"}
SIGNED = {"signature_reason": "vital", "signature_clinician": "Dr Roy"}


@pytest.fixture(scope="module")
def in_force() -> InForce:
    return demo_in_force()


@pytest.fixture
def web(tmp_path: Path, in_force: InForce) -> Iterator[Web]:
    with served(tmp_path, in_force, Access(holders={}, anybody=LOOPBACK)) as web:
        yield web


def of(web: Web, number: str) -> Order:
    with web.database.read() as connection:
        found = orders.find(connection, order_id(SITES[0], number))
    assert found is not None
    return found


def act(web: Web, case_id: str, action: str, **sent: Any) -> Any:
    answer = web.ask(f"/oncall/api/cases/{case_id}/{action}", sent, is_json=True)
    assert answer.status == 200, answer.body
    return answer.json


def send(web: Web, case_id: str, protocol_id: str = "ct-mesenteric", **more: Any) -> None:
    act(web, case_id, "protocol-sent", protocol_id=protocol_id, language="en", person_id="r05", **{**SIGNED, **more})


def test_a_request_is_an_order_on_the_worklist_before_its_case_is_opened(web: Web) -> None:
    case_id = open_case(web, **ABDOMEN)
    kept, case = of(web, "ORD-7"), web.engine.case(CaseId(case_id))

    assert case_id == f"order-{kept.order_id}"
    assert (case.request.request_id, case.request.placer_order_number) == (kept.order_id, "ORD-7")
    assert case.request.accession_number == kept.accession_number != ""
    assert (kept.source, kept.priority, kept.exam, kept.urgency) == ("web", OrderPriority.STAT, "abdo", "1")
    assert kept.study_instance_uid.startswith("2.25.")
    patient = kept.patient
    assert (patient.name, patient.birth_date, patient.sex, patient.weight_kg) == ("Ångström^Zoé", "19900327", "F", 62.5)
    assert (patient.pregnancy_status, patient.allergies) == (2, "pénicilline")
    assert patient.medical_alerts == "creatinine 250 umol/L"
    assert kept.clinical_question == "Douleur brutale, lactates à 5"
    log = json.dumps([dict(one.fact.payload) for one in SqlStore(web.database).events_of(CaseId(case_id))])
    assert not [word for word in ("ngstr", "lactates", "IPP-4711", "nicilline") if word in log]


def test_the_same_request_again_is_the_same_order_and_another_patient_is_refused(web: Web) -> None:
    first = open_case(web, **ABDOMEN)
    web.clock.advance(NIGHT.resolution * 1_000_000)
    assert open_case(web, **ABDOMEN) == first
    other = web.ask("/oncall/api/cases", {**ABDOMEN, "patient_id": "IPP-1"}, is_json=True)
    assert other.status == 409
    assert "another patient" in other.json["error"]
    assert of(web, "ORD-7").patient.patient_id == "IPP-4711"
    with web.database.read() as connection:
        assert len(orders.open_of_site(connection, SITES[0])) == 1


def test_a_patient_whom_nobody_knows_is_on_the_worklist_and_stays_nobodys(web: Web) -> None:
    case_id = open_case(web, patient_id="", request_id="ORD-8")
    kept = of(web, "ORD-8")
    assert re.fullmatch(r"X-[0-9A-F]{10}", kept.patient.patient_id)
    assert web.engine.case(CaseId(case_id)).patient_key == ""
    described = OrderFacts(web.database, SECRET)(kept.order_id)
    assert described is not None
    assert described.patient_key == ""


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("birth_date", "27/03/1990", "A date"),
        ("birth_date", "2090-01-01", "A date"),
        ("weight_kg", "heavy", "A number"),
        ("weight_kg", "4000", "not plausible"),
        ("creatinine_umol_l", "1", "not plausible"),
        ("pregnancy", "perhaps", "Choose one"),
        ("sex", "W", "Choose one"),
        ("family_name", "A^B", "Without"),
        ("allergies", "x" * 501, "characters"),
    ],
)
def test_what_is_wrong_about_the_patient_is_said_beside_its_field_and_nothing_is_kept(
    web: Web, field: str, value: str, said: str
) -> None:
    page = web.ask("/oncall/request", {**ABDOMEN, field: value, "case_id": "web-1"})
    by_json = web.ask("/oncall/api/cases", {**ABDOMEN, field: value}, is_json=True)
    assert page.status == by_json.status == 422
    assert said in by_json.json["errors"][field]
    assert f'id="{field}-error"' in page.body
    with web.database.read() as connection:
        assert orders.open_of_site(connection, SITES[0]) == ()


def test_the_page_of_protocols_shows_what_suits_and_what_speaks_against_it(web: Web) -> None:
    case_id = open_case(web, **ABDOMEN)
    page = web.ask(f"/oncall/case/{case_id}/protocol?p=ct-mesenteric").body
    for words in ("eGFR below 30", "possibly pregnant", "pénicilline", "Douleur brutale", "signature_clinician",
                  "Mesenteric ischaemia, gastrointestinal bleeding", "bolus tracking, abdominal aorta"):  # fmt: skip
        assert words in page
    plain = web.ask(f"/oncall/case/{case_id}/protocol?p=ct-cspine").body
    assert "signature_clinician" not in plain
    offered = web.ask(f"/oncall/api/cases/{case_id}/protocols").json["protocols"]
    assert len(offered) == len({one.protocol_id for one in packaged()})
    by_name = {one["protocol_id"]: one for one in offered}
    assert {"egfr_low", "allergy", "pregnancy_possible"} <= set(by_name["ct-mesenteric"]["cautions"])


def test_what_needs_a_signature_comes_back_with_what_was_typed_until_it_has_one(web: Web) -> None:
    case_id = open_case(web, **ABDOMEN)
    here = f"/oncall/case/{case_id}/protocol"
    form = {"protocol_id": "ct-mesenteric", "library_version": "1.0", "language": "en", "person_id": "r05",
            "text": "Start at the diaphragm."}  # fmt: skip
    refused = web.ask(here, {**form, "signature_reason": "vital", "signature_clinician": ""})
    assert refused.status == 422
    assert "Start at the diaphragm." in refused.body
    assert 'id="signature_clinician-error"' in refused.body
    assert 'id="signature_reason-error"' not in refused.body
    assert web.engine.case(CaseId(case_id)).protocol.sent_at is None

    stale = web.ask(here, {**form, **SIGNED, "library_version": "0.9"})
    assert stale.status == 409
    sent = web.ask(here, {**form, **SIGNED})
    assert (sent.status, sent.headers["location"]) == (303, f"/oncall/case/{case_id}?done=protocol-sent")
    shown = web.ask(f"/oncall/case/{case_id}").body
    assert "Start at the diaphragm." in shown
    assert "sent, not in the console&#39;s worklist yet" in shown


def test_nothing_is_sent_that_says_nothing_or_is_not_in_the_library(web: Web) -> None:
    case_id = open_case(web)
    for sent, key in (({}, "Choose a protocol"), ({"protocol_id": "ct-nothing"}, "not in the library")):
        answer = web.ask(f"/oncall/api/cases/{case_id}/protocol-sent", {**sent, "person_id": "r05"}, is_json=True)
        assert (answer.status, key in answer.json["errors"]["protocol_id"]) == (422, True)


def test_the_screen_shows_the_protocol_large_and_takes_the_word_that_it_was_read(web: Web) -> None:
    case_id = open_case(web, **ABDOMEN)
    here = f"/oncall/console?site={SITES[0]}"
    before = web.ask(here, language="fr").body
    assert "répondu. N&#39;injectez pas." in before or "N'injectez pas" in before
    assert "Zoé" in before

    send(web, case_id, text="Drainer la vessie.")
    page = web.ask(here, language="en").body
    for words in ("Mesenteric ischaemia", "350 mg/mL", "94 mL", "Drainer la vessie.", "27/03/1990", "pénicilline"):
        assert words in page
    read = f"/oncall/console/{case_id}/protocol-acknowledged"
    empty = web.ask(read, {"radiographer": "", "version": "1"})
    assert (empty.status, 'id="protocol-acknowledged-radiographer-error"' in empty.body) == (422, True)
    done = web.ask(read, {"radiographer": "M. Petit", "version": "1"})
    assert done.status == 303
    assert "acknowledged by M. Petit" in re.sub(r"\s+", " ", web.ask(here).body)


def test_a_version_that_was_replaced_while_it_was_on_the_screen_is_not_acknowledged(web: Web) -> None:
    case_id = open_case(web)
    send(web, case_id, "ct-head-trauma")
    send(web, case_id, "ct-headache")
    refused = web.ask(f"/oncall/console/{case_id}/protocol-acknowledged", {"radiographer": "M. Petit", "version": "1"})
    assert refused.status == 409
    assert "version 2" in refused.body
    assert "Thunderclap headache" in refused.body
    assert web.engine.case(CaseId(case_id)).protocol.acknowledged_at is None


def test_a_question_is_seen_by_the_radiologist_and_its_answer_at_the_screen(web: Web) -> None:
    case_id = open_case(web)
    send(web, case_id, "ct-headache")
    asked_there = {"question": "Veine 24 G ?", "radiographer": "M. Petit"}
    assert web.ask(f"/oncall/console/{case_id}/protocol-question", asked_there).status == 303
    shown = web.ask(f"/oncall/case/{case_id}").body
    assert "Veine 24 G ?" in shown
    assert "Answer the radiographer" in shown
    act(web, case_id, "protocol-answer", answer="2 mL/s", person_id="r05")
    assert "2 mL/s" in web.ask(f"/oncall/console?site={SITES[0]}&case={case_id}").body


def test_a_deviation_is_seen_on_both_sides_and_justified_from_either(web: Web) -> None:
    case_id = open_case(web, **ABDOMEN)
    send(web, case_id)
    done = performed("ABDO SANS IV", "ABDO PORTAL", is_over=True)

    def looked_up(studies: Any, asked_for: str, /) -> Performed:
        return done

    with web.database.write(durable=True) as connection:
        outbox.append(
            connection,
            TOPIC_PERFORMED_STEP,
            {"mpps_uid": "1.2.77", "order_ids": [of(web, "ORD-7").order_id], "study_instance_uids": []},
            created_at_s=web.clock.now().timestamp(),
        )
    web.engine.take_protocol_news(web.clock.now(), looked_up)

    for page in (f"/oncall/case/{case_id}", f"/oncall/console?site={SITES[0]}&case={case_id}"):
        assert "Abdomen and pelvis, arterial: phase missing" in web.ask(page).body
    assert "Deviations: 1" in web.ask("/oncall").body
    (listed,) = web.ask("/oncall/api/cases").json["cases"]
    assert listed["protocol"] == {"state": "sent", "version": 1, "open_questions": 0, "open_deviations": 1}
    said = {"deviation_id": "1:phase_missing:arterial", "reason": "extravasation", "radiographer": "M. Petit"}
    assert web.ask(f"/oncall/console/{case_id}/justify-deviation", said).status == 303
    assert "justified, M. Petit: extravasation" in web.ask(f"/oncall/case/{case_id}").body
    (known,) = web.engine.open_cases(web.clock.now())
    assert known.protocol.deviations_open == 0


def test_a_radiographers_token_opens_their_hospitals_screen_and_nothing_else(tmp_path: Path, in_force: InForce) -> None:
    tokens = {"perform": "p" * 24, "watch": "w" * 24, "all": "a" * 24}
    entries = [
        {"who": "ct-roanne", "may": ["perform"], "sites": [SITES[0]]},
        {"who": "wall", "may": ["watch"]},
        {"who": "r05", "may": ["watch", "request", "read"]},
    ]
    for entry, token in zip(entries, tokens.values(), strict=True):
        entry["token_sha256"] = hashlib.sha256(token.encode()).hexdigest()
    file = tmp_path / "access.json"
    file.write_text(json.dumps(entries))
    with served(tmp_path, in_force, read_access(file)) as web:
        first = web.ask("/oncall/api/cases", GOOD, token=tokens["all"], is_json=True).json["case_id"]
        other = web.ask("/oncall/api/cases", {**GOOD, "site_id": SITES[1]}, token=tokens["all"], is_json=True)
        other_id = other.json["case_id"]
        own = web.ask("/oncall/console", token=tokens["perform"])
        assert own.status == 200
        assert first in own.body
        assert other_id not in own.body
        assert web.ask("/oncall/console", token=tokens["watch"]).status == 403
        question = {"question": "?", "radiographer": "M. Petit"}
        there = f"/oncall/console/{other_id}/protocol-question"
        assert web.ask(there, question, token=tokens["perform"]).status == 403
        elsewhere = web.ask(f"/oncall/console?site={SITES[1]}", token=tokens["perform"])
        assert other_id not in elsewhere.body
        chosen = {"protocol_id": "ct-head-trauma"}
        sending = web.ask(f"/oncall/case/{first}/protocol", chosen, token=tokens["perform"])
        assert sending.status == 403
        assert web.ask(f"/oncall/console/{first}/withdraw", {"reason": "x"}, token=tokens["perform"]).status in {
            403,
            409,
        }


def test_findscu_at_the_console_is_given_what_the_radiologist_sent_and_the_case_knows_it(
    web: Web, tmp_path: Path
) -> None:
    case_id = open_case(web, **ABDOMEN)
    send(web, case_id)
    Followers(web.database, [WorklistProtocols(lambda person_id, now: None)], web.clock).take()
    service = WorklistFindService(
        WorklistQuery(web.database, lambda site_id: ZoneInfo("Europe/Paris"), web.clock),
        Deliveries(web.database, web.clock),
        answers_max=10,
    )
    rights = dataclasses.replace(RIGHTS, site=SITES[0])
    policy = node_policy(rights=rights, services={MODALITY_WORKLIST: service})
    with running_node(web.database, tmp_path / "node", policy=policy) as node:
        found = findscu(node.port, asked(), tmp_path / "q", called_aet="TELEGARDE", model="-W")

    (item,) = found.answers
    step = item.ScheduledProcedureStepSequence[0]
    (protocol,) = step.ScheduledProtocolCodeSequence
    assert (protocol.CodeValue, protocol.CodingSchemeDesignator) == ("CT-MESENTERIC", "99TELEGARDE")
    values = {
        one.ConceptNameCodeSequence[0].CodeValue: one.NumericValue
        for one in protocol.ProtocolContextSequence
        if "NumericValue" in one
    }
    # 1.5 mL/kg for 62.5 kg; 4 mL/s.
    assert (values["122091"], values["122094"]) == (93.75, 4)
    assert item.PatientID == "IPP-4711"
    assert step.ScheduledProcedureStepDescription.startswith("Mesenteric ischaemia")

    web.engine.take_protocol_news(web.clock.now(), lambda studies, asked_for, /: Performed())
    delivered = [
        one.fact.payload
        for one in SqlStore(web.database).events_of(CaseId(case_id))
        if one.type == EventType.PROTOCOL_DELIVERED_TO_CONSOLE
    ]
    assert [one["version"] for one in delivered] == [1]
