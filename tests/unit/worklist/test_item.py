"""An order as a console is given it: what is there, what is never sent, and which hour the clock on the wall shows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.archive.query_values import Element, Item
from pacs.worklist import item as worklist
from pacs.worklist.item import tag, worklist_item
from pacs.worklist.order import Code, InsStatus, Order, OrderPatient, OrderPriority, OrderState
from pacs.worklist.orders import scheduled_step_id
from tests.harness.orders import NOW, STROKE_PROTOCOL, full_order, order

PARIS = ZoneInfo("Europe/Paris")


def item_of(shown: Order, *, now: datetime = NOW, zone: ZoneInfo = PARIS) -> Item:
    return worklist_item(shown, zone=zone, now=now)


def step_of(item: Item) -> Item:
    (step,) = item[worklist.STEP_SEQUENCE].items
    return step


def text(item: Item, keyword: str) -> str:
    return item[tag(keyword)].text


def items(item: Item, keyword: str) -> tuple[Item, ...]:
    return item[tag(keyword)].items


@pytest.mark.parametrize(
    "keyword",
    [
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "Modality",
        "ScheduledProcedureStepDescription",
        "ScheduledProcedureStepID",
    ],
)
def test_attributes_of_a_step_that_must_have_a_value_have_one(keyword: str) -> None:
    bare = order(description="", patient=OrderPatient(patient_id="1", issuer="N"))
    assert text(step_of(item_of(bare)), keyword)


@pytest.mark.parametrize(
    "keyword", ["RequestedProcedureID", "RequestedProcedureDescription", "PatientName", "PatientID"]
)
def test_attributes_of_a_request_that_must_have_a_value_have_one(keyword: str) -> None:
    bare = order(description="", patient=OrderPatient(patient_id="1", issuer="N"))
    assert text(item_of(bare), keyword)


def test_every_attribute_of_the_tables_is_there_and_no_other() -> None:
    item = item_of(full_order())
    assert item.keys() == worklist.ATTRIBUTES.keys()
    assert step_of(item).keys() == worklist.STEP_ATTRIBUTES.keys()
    assert all(element.vr == worklist.ATTRIBUTES[number] for number, element in item.items())


def test_a_code_sequence_has_items_or_is_not_there() -> None:
    item = item_of(order())
    assert tag("RequestedProcedureCodeSequence") not in item
    assert tag("ScheduledProtocolCodeSequence") not in step_of(item)


def test_what_is_dangerous_for_the_patient_is_given() -> None:
    item = item_of(full_order())
    assert text(item, "Allergies") == "Iode"
    assert text(item, "MedicalAlerts") == "Pacemaker"
    assert text(item, "PregnancyStatus") == "4"
    assert text(item, "PatientWeight") == "61.5"
    assert text(item, "PatientState") == "Intubée"
    assert text(item, "SpecialNeeds") == "Brancard"
    assert text(item, "RequestedProcedurePriority") == "STAT"


def test_a_long_list_of_allergies_is_given_whole_in_several_values() -> None:
    allergies = ", ".join(f"substance number {number}" for number in range(30))
    given_text = text(item_of(order(patient=replace(order().patient, allergies=allergies))), "Allergies")
    values = given_text.split("\\")
    assert max(map(len, values)) <= 64
    assert " ".join(values) == allergies


def test_the_protocol_is_given_as_codes_with_its_parameters_and_as_text() -> None:
    step = step_of(item_of(full_order()))
    (protocol,) = items(step, "ScheduledProtocolCodeSequence")
    volume, coverage = items(protocol, "ProtocolContextSequence")
    assert text(protocol, "CodeValue") == "CTSTROKE"
    assert (text(volume, "ValueType"), text(volume, "NumericValue")) == ("NUMERIC", "50")
    assert text(items(volume, "MeasurementUnitsCodeSequence")[0], "CodeValue") == "mL"
    assert (text(coverage, "ValueType"), text(coverage, "TextValue")) == ("TEXT", "arch-vertex")
    assert text(step, "ScheduledProcedureStepDescription") == STROKE_PROTOCOL.title
    assert text(step, "RequestedContrastAgent") == "Iomeprol 400"
    comments = text(step, "CommentsOnTheScheduledProcedureStep")
    assert "Perfusion unless creatinine is not known." in comments
    assert "Contrast: Iomeprol 400" in comments
    assert comments in text(item_of(full_order()), "RequestedProcedureComments")


def test_a_protocol_in_free_words_has_a_code_too_because_consoles_show_codes() -> None:
    free = replace(STROKE_PROTOCOL, codes=(), protocol_id="", version=3)
    step = step_of(item_of(replace(full_order(), protocol=free)))
    (protocol,) = items(step, "ScheduledProtocolCodeSequence")
    assert (text(protocol, "CodeValue"), text(protocol, "CodingSchemeDesignator")) == ("V3", "99TELEGARDE")
    assert text(protocol, "CodeMeaning") == STROKE_PROTOCOL.title


def test_a_code_that_is_longer_than_a_code_value_is_given_as_long_code_value() -> None:
    long_code = Code(value="1.2.250.1.213.4.22.1", scheme="X", meaning="Long")
    (code,) = items(item_of(order(procedure=long_code)), "RequestedProcedureCodeSequence")
    assert code[tag("LongCodeValue")] == Element(vr="UC", text=long_code.value)
    assert tag("CodeValue") not in code


@pytest.mark.parametrize("status", list(InsStatus))
def test_an_ins_goes_out_only_when_it_is_qualified(status: InsStatus) -> None:
    patient = full_order().patient
    assert patient.ins is not None
    changed = replace(patient, ins=replace(patient.ins, status=status))
    others = items(item_of(replace(full_order(), patient=changed)), "OtherPatientIDsSequence")
    has_ins = patient.ins.matricule in [text(other, "PatientID") for other in others]
    assert has_ins is (status is InsStatus.QUALIFIED)


@pytest.mark.parametrize(
    ("oid", "issuer"),
    [
        ("1.2.250.1.213.1.4.8", "ASIP-SANTE-INS-NIR"),
        ("1.2.250.1.213.1.4.10", "ASIP-SANTE-INS-NIR"),
        ("1.2.250.1.213.1.4.9", "ASIP-SANTE-INS-NIA"),
    ],
)
def test_an_ins_names_its_authority(oid: str, issuer: str) -> None:
    patient = full_order().patient
    assert patient.ins is not None
    changed = replace(patient, ins=replace(patient.ins, oid=oid))
    *_, ins = items(item_of(replace(full_order(), patient=changed)), "OtherPatientIDsSequence")
    assert (text(ins, "IssuerOfPatientID"), text(ins, "TypeOfPatientID")) == (issuer, "TEXT")
    (qualifiers,) = items(ins, "IssuerOfPatientIDQualifiersSequence")
    assert (text(qualifiers, "UniversalEntityID"), text(qualifiers, "UniversalEntityIDType")) == (oid, "ISO")


@pytest.mark.parametrize(
    ("scheduled_at", "zone", "shown"),
    [
        (datetime(2026, 7, 14, 10, 5, 9, tzinfo=UTC), "Europe/Paris", ("20260714", "120509", "+0200")),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "Europe/Paris", ("20270101", "003000", "+0100")),
        # The hour that the clocks of the October night show twice.
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Paris", ("20261025", "023000", "+0200")),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Paris", ("20261025", "023000", "+0100")),
        # The hour that the March night leaves out.
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "Europe/Paris", ("20260329", "030000", "+0200")),
        (datetime(2026, 7, 14, 20, 0, tzinfo=UTC), "Indian/Reunion", ("20260715", "000000", "+0400")),
        (datetime(2026, 7, 14, 1, 0, tzinfo=UTC), "America/Cayenne", ("20260713", "220000", "-0300")),
    ],
)
def test_a_step_starts_when_the_clock_of_its_hospital_shows_it(
    scheduled_at: datetime, zone: str, shown: tuple[str, str, str]
) -> None:
    item = item_of(order(scheduled_at=scheduled_at), zone=ZoneInfo(zone), now=scheduled_at)
    step = step_of(item)
    start = (text(step, "ScheduledProcedureStepStartDate"), text(step, "ScheduledProcedureStepStartTime"))
    assert (*start, text(item, "TimezoneOffsetFromUTC")) == shown


def dates(shown: Order, now: datetime) -> str:
    step = step_of(item_of(shown, now=now))
    return text(step, "ScheduledProcedureStepStartDate") + text(step, "ScheduledProcedureStepStartTime")


def test_an_emergency_that_nobody_has_begun_is_todays_past_midnight() -> None:
    before_midnight = datetime(2026, 11, 21, 22, 50, tzinfo=UTC)
    emergency = order(scheduled_at=before_midnight, priority=OrderPriority.STAT)
    past_midnight = before_midnight + timedelta(minutes=20)
    assert dates(emergency, before_midnight) == "20261121235000"
    assert dates(emergency, past_midnight) == "20261122000000"
    # What waits for its day, what runs, and what nobody did within a day stay where they were.
    assert dates(replace(emergency, priority=OrderPriority.ROUTINE), past_midnight) == "20261121235000"
    assert dates(replace(emergency, state=OrderState.IN_PROGRESS), past_midnight) == "20261121235000"
    assert dates(emergency, before_midnight + timedelta(hours=25)) == "20261121235000"


def test_the_step_says_whether_its_exam_has_started() -> None:
    assert text(step_of(item_of(order())), "ScheduledProcedureStepStatus") == "SCHEDULED"
    started = replace(order(), state=OrderState.IN_PROGRESS)
    assert text(step_of(item_of(started)), "ScheduledProcedureStepStatus") == "STARTED"


def test_the_request_is_called_by_the_hospitals_number_or_by_ours() -> None:
    assert text(item_of(full_order()), "RequestedProcedureID") == "F9"
    # A number that does not fit would be cut off, and so be another number.
    long_number = replace(full_order(), filler_order_number="F" * 17)
    assert text(item_of(long_number), "RequestedProcedureID") == scheduled_step_id(long_number.order_id)


_MOST = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "LT": 10_240, "DA": 8, "TM": 14, "DS": 16}
_ANY = st.text(max_size=200)


def _check(item: Item, table: Mapping[int, str]) -> None:
    for number, element in item.items():
        if element.vr == "SQ":
            for nested in element.items:
                _check(nested, table)
            continue
        if element.vr in ("LT", "UT", "UC"):
            values = [element.text]
        else:
            values = element.text.split("\\")
            assert element.text.replace("\\", "").isprintable(), hex(number)
        most = _MOST.get(element.vr)
        assert most is None or max(map(len, values)) <= most, hex(number)
        assert all(value == value.strip(" ") for value in values if element.vr in ("LO", "SH"))


@given(name=_ANY, allergies=_ANY, reason=_ANY, question=_ANY, title=_ANY, free=_ANY, value=_ANY, birth=_ANY, code=_ANY)
def test_whatever_an_order_says_each_value_fits_its_representation(
    name: str, allergies: str, reason: str, question: str, title: str, free: str, value: str, birth: str, code: str
) -> None:
    patient = replace(full_order().patient, name=name, allergies=allergies, birth_date=birth, state=free)
    parameter = replace(STROKE_PROTOCOL.parameters[0], value=value)
    protocol = replace(STROKE_PROTOCOL, title=title, text=free, parameters=(parameter,), pre_medication=free)
    said = replace(
        full_order(),
        patient=patient,
        reason=reason,
        clinical_question=question,
        protocol=protocol,
        procedure=Code(value=code, scheme=free, meaning=title),
        requester=name,
    )
    _check(item_of(said), worklist.ATTRIBUTES)
