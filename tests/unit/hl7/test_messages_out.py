"""What this node sends: judged by an independent parser, by the validator, and by reading it back."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import hl7
import pytest
from hl7apy.parser import parse_message

from pacs.worklist.hl7 import codes, results_out, status_out, teleradiology
from pacs.worklist.hl7.order_context import OrderContext
from pacs.worklist.hl7.orders_in import read_orders
from pacs.worklist.hl7.reading import Segment, every, first, segments_of
from pacs.worklist.hl7.results_out import Report, ReportStatus, report_message
from pacs.worklist.hl7.segments_out import Organisation, Professional
from pacs.worklist.hl7.status_out import OrderStatus, StatusNews, order_message, status_message
from pacs.worklist.hl7.teleradiology import Acceptance, Refusal, answer
from pacs.worklist.hl7.validation import validate
from pacs.worklist.hl7.writing import Header
from pacs.worklist.order import Ins, InsStatus, Order, OrderPatient, OrderPriority, order_id
from tests.harness.hospital_messages import NIGHT, PARIS, SENDER

PLACER = ("OPN101", "", "1.2.250.1.748.12345678.12", "ISO")
CONTEXT = OrderContext(
    placer=PLACER, patient_id="P1", authority=("NORTH", "1.2.250.1.999.1", "ISO"), is_teleradiology=True,
    account=("405660", "", "", ("NORTH", "1.2.250.1.999.1", "ISO"), "AN"),
)  # fmt: skip
ORDER = Order(
    order_id=order_id("north", "OPN101"), site_id="north",
    patient=OrderPatient(
        patient_id="P1", issuer="NORTH", name="PAT-TROIS^DOMINIQUE", birth_date="19790328", sex="F",
        ins=Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10", status=InsStatus.QUALIFIED),
    ),
    modality="CT", scheduled_at=NIGHT, placer_order_number="OPN101", accession_number="ACC1",
    study_instance_uid="1.2.3.4", description="CT crâne", requester="Dr Adam Moreau", priority=OrderPriority.STAT,
)  # fmt: skip
RADIOLOGIST = Professional(family="Martin", given="Anne", prefix="Dr", rpps="10001234567")
SERVICE = Organisation(name="GIE de téléradiologie", finess="420000002")


def header(kind: tuple[str, str, str], *, profile: tuple[str, ...] = ()) -> Header:
    return Header(
        sending_application="TELEGARDE", sending_facility="GIE", receiving_application="RIS",
        receiving_facility="HNORD", message_type=kind, control_id="C1",
        sent_at=datetime(2026, 1, 6, 15, 0, tzinfo=UTC), zone=PARIS, profile=profile,
    )  # fmt: skip


def accepted(decision: Acceptance | Refusal, order: Order = ORDER) -> bytes:
    said = header(teleradiology.MESSAGE_TYPE, profile=codes.TLR_PROFILE)
    return answer(said, order, CONTEXT, decision, radiologist=RADIOLOGIST, service=SERVICE)


def report(status: ReportStatus, order: Order = ORDER, context: OrderContext = CONTEXT) -> bytes:
    said = Report(
        version=2, status=status, signed_at=datetime(2026, 1, 6, 15, 30, tzinfo=UTC),
        text="Pas d'hémorragie.\nASPECTS 9 | <= 10", pdf=b"%PDF-1.7 \x00\xff", study_instance_uid="1.2.3.4",
        author=RADIOLOGIST,
    )  # fmt: skip
    return report_message(header(results_out.MESSAGE_TYPE), order, context, said)


def segments(content: bytes) -> tuple[Segment, ...]:
    return segments_of(hl7.parse(content.decode()))


def one(content: bytes, name: str) -> Segment:
    found = first(segments(content), name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "content",
    [
        accepted(Acceptance(text="Scanner cérébral\n1. Sans injection")),
        accepted(Acceptance(pdf=b"%PDF-1.7")),
        accepted(Acceptance(text="Scanner", pdf=b"%PDF-1.7")),
        accepted(Refusal(motive="IRM préférable\nIRM possible à 22 h")),
    ],
    ids=["text", "pdf", "both", "refusal"],
)
def test_an_answer_is_flow_3_as_the_volume_has_it(content: bytes) -> None:
    assert validate(content.decode()) == ()


def test_an_acceptance_says_the_number_of_the_request_again_and_the_protocol_in_words() -> None:
    content = accepted(Acceptance(text="Scanner cérébral\n1. Sans injection"))

    orc, obr, obx = one(content, "ORC"), one(content, "OBR"), one(content, "OBX")
    assert (orc.text(1), orc.value(2)) == ("OK", PLACER)
    assert obr.text(4) == "REPONSE_DEMANDE"
    assert (orc.text(12), orc.text(12, 2)) == ("810001234567", "Martin")
    assert (orc.text(17), orc.text(21), orc.text(21, 10)) == ("PLATEFORME_TLR", "GIE de téléradiologie", "420000002")
    assert (obx.text(2), obx.text(5), obx.text(11)) == ("FT", "Scanner cérébral\n1. Sans injection", "F")


def test_a_refusal_has_its_motive_and_no_protocol() -> None:
    content = accepted(Refusal(motive="IRM préférable"))

    assert (one(content, "ORC").text(1), one(content, "ORC").text(16, 2)) == ("OC", "IRM préférable")
    assert every(segments(content), "OBX") == ()


def test_an_acceptance_without_a_protocol_cannot_be_made() -> None:
    with pytest.raises(AssertionError):
        Acceptance()


@pytest.mark.parametrize(
    ("status", "result", "observation"),
    [
        (ReportStatus.PRELIMINARY, "P", "P"),
        (ReportStatus.FINAL, "F", "F"),
        (ReportStatus.ADDENDUM, "C", "C"),
        (ReportStatus.REPLACEMENT, "C", "C"),
        (ReportStatus.RETRACTION, "C", "W"),
    ],
)
def test_a_report_says_what_kind_of_version_it_is(status: ReportStatus, result: str, observation: str) -> None:
    content = report(status)

    assert one(content, "OBR").text(25) == result
    assert {obx.text(11) for obx in every(segments(content), "OBX")} == {observation}


def test_a_report_has_its_text_line_by_line_its_pdf_byte_by_byte_and_its_study() -> None:
    study, text, pdf = every(segments(report(ReportStatus.FINAL)), "OBX")

    assert (study.text(3), study.text(5)) == ("113014", "1.2.3.4")
    assert (text.text(2), text.text(4), text.text(5)) == ("FT", "2", "Pas d'hémorragie.\nASPECTS 9 | <= 10")
    assert (pdf.text(2), pdf.text(5, 2), pdf.text(5, 3), pdf.text(5, 4)) == ("ED", "application", "pdf", "Base64")
    assert base64.b64decode(pdf.text(5, 5)) == b"%PDF-1.7 \x00\xff"


def test_a_report_names_order_study_and_reader_for_the_receiver() -> None:
    obr = one(report(ReportStatus.FINAL), "OBR")

    assert (obr.value(2), obr.text(18), obr.text(24)) == (PLACER, "ACC1", "CT")
    assert obr.text(22) == "20260106163000+0100"
    assert (obr.text(32, 1, 1), obr.text(32, 1, 2)) == ("10001234567", "Martin")


@pytest.mark.parametrize("status", [one for one in InsStatus if one is not InsStatus.QUALIFIED])
def test_an_ins_that_is_not_qualified_is_in_no_message(status: InsStatus) -> None:
    assert ORDER.patient.ins is not None
    patient = replace(ORDER.patient, ins=replace(ORDER.patient.ins, status=status))
    order = replace(ORDER, patient=patient)

    for content in (report(ReportStatus.FINAL, order), accepted(Refusal(motive="x"), order), status_of(order)):
        assert b"279035121518989" not in content
        assert one(content, "PID").text(32) == ""


def test_a_qualified_ins_is_said_with_its_status_beside_the_hospitals_number() -> None:
    pid = one(report(ReportStatus.FINAL), "PID")

    assert pid.value(3) == ("P1", "", "", ("NORTH", "1.2.250.1.999.1", "ISO"), "PI")
    assert (pid.text(3, 1, repetition=2), pid.text(3, 5, repetition=2)) == ("279035121518989", "INS")
    assert (pid.text(18), pid.text(32)) == ("405660", "VALI")


def test_the_authority_of_a_former_identifier_is_not_said_of_another() -> None:
    merged = replace(ORDER, patient=replace(ORDER.patient, patient_id="P7"))

    assert one(report(ReportStatus.FINAL, merged), "PID").value(3) == ("P7", "", "", "NORTH", "PI")


def status_of(order: Order = ORDER) -> bytes:
    news = StatusNews(status=OrderStatus.IN_PROGRESS, event="read.opened")
    return status_message(header(status_out.MESSAGE_TYPE), order, CONTEXT, news)


def test_no_message_but_an_answer_names_a_flow_of_the_volume_as_its_exam() -> None:
    context = replace(CONTEXT, procedure=("TRANSMISSION_DEMANDE", "", "TLR_OBR_PROCEDURE"))
    news = StatusNews(status=OrderStatus.COMPLETED, event="report.signed")

    told = status_message(header(status_out.MESSAGE_TYPE), ORDER, context, news)

    assert one(told, "OBR").value(4) == ("CT", "CT crâne")
    assert one(report(ReportStatus.FINAL, context=context), "OBR").value(4) == ("CT", "CT crâne")


def test_a_change_of_status_names_the_order_the_status_and_the_event() -> None:
    orc = one(status_of(), "ORC")

    assert (orc.text(1), orc.value(2), orc.text(5)) == ("SC", PLACER, "IP")
    assert (orc.text(16), orc.text(16, 3)) == ("read.opened", "TELEGARDE_STATUS")


def test_an_order_for_a_ris_is_read_back_as_the_order_that_it_was() -> None:
    content = order_message(header(status_out.MESSAGE_TYPE), ORDER, OrderContext(), control=status_out.NEW)

    said = read_orders(segments(content), SENDER, PARIS, NIGHT)

    assert said.errors == ()
    (back,) = said.orders
    assert back.order is not None
    kept = ("order_id", "site_id", "modality", "placer_order_number", "accession_number", "study_instance_uid",
            "priority", "scheduled_at")  # fmt: skip
    assert {name: getattr(back.order, name) for name in kept} == {name: getattr(ORDER, name) for name in kept}
    assert back.order.patient.name == ORDER.patient.name


@pytest.mark.parametrize(
    "content",
    [
        report(ReportStatus.FINAL),
        report(ReportStatus.RETRACTION, context=OrderContext()),
        accepted(Acceptance(text="a & b ^ c | d ~ e \\ f")),
        status_of(),
        order_message(header(status_out.MESSAGE_TYPE), ORDER, OrderContext(), control=status_out.TAKEN_BACK),
    ],
    ids=["report", "retraction", "answer", "status", "order"],
)
def test_an_independent_parser_reads_the_same_segments_and_fields(content: bytes) -> None:
    judged = parse_message(content.decode(), find_groups=False)

    ours = segments(content)
    assert [one.name for one in judged.children] == [one.name for one in ours]
    assert judged.msh.msh_10.to_er7() == "C1"
    assert judged.pid.pid_5.to_er7() == "PAT-TROIS^DOMINIQUE^^^^^L"
    assert [finding.text for finding in validate(content.decode()) if finding.severity == "E"] == []


@pytest.mark.parametrize(
    ("zone", "said"), [("Europe/Paris", "20260106163000+0100"), ("Indian/Reunion", "20260106193000+0400")]
)
def test_times_are_those_of_the_hospitals_wall_with_their_offset(zone: str, said: str) -> None:
    local = replace(header(results_out.MESSAGE_TYPE), zone=ZoneInfo(zone))
    made = Report(
        version=1, status=ReportStatus.FINAL, signed_at=datetime(2026, 1, 6, 15, 30, tzinfo=UTC), text="x", pdf=b"",
        study_instance_uid="1.2", author=None,
    )  # fmt: skip

    assert one(report_message(local, ORDER, CONTEXT, made), "OBR").text(7) == said
