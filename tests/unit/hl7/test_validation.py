"""What the validator says of good messages and of broken ones: each rule is broken once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.worklist.hl7.finding import Severity
from pacs.worklist.hl7.validation import is_good, validate
from tests.harness.hospital_messages import adt, emergency, flow_1, flow_2, flow_4, pid, plain_order


@pytest.mark.parametrize(
    "text",
    [
        flow_1(),
        flow_1(*emergency()),
        flow_2(),
        flow_4(),
        adt("A08", pid(), "PV1||N"),
    ],
    ids=["flow-1", "flow-1-emergency", "flow-2", "flow-4", "adt"],
)
def test_a_good_message_has_no_findings(text: str) -> None:
    assert validate(text) == ()


def test_the_emergency_extension_leaves_flow_1_conformant() -> None:
    assert {one.rule for one in validate(flow_1(*emergency()))} == set()


@pytest.mark.parametrize(
    ("text", "was", "becomes", "place", "rule"),
    [
        (flow_1(), "|FRA|", "||", "MSH-17", "TLR flux 1"),
        (flow_1(), "UNICODE UTF-8", "ASCII", "MSH-18", "TLR flux 1"),
        (flow_1(), "1.0^CISIS_TLR_HL7_V2", "", "MSH-21", "TLR flux 1"),
        (flow_1(), "ORC|NW", "ORC|XO", "ORC[1]-1", "TLR flux 1"),
        (flow_1(), "OPN101^^1.2.250.1.748.12345678.12^ISO", "OPN101", "ORC[1]-2.3", "TLR flux 1"),
        (flow_1(), "STRUCTURE_IMAGERIE", "PLATEFORME_TLR", "ORC[1]-17", "TLR flux 1"),
        (flow_1(), "FINEG^^^420000001", "FINEG", "ORC[1]-21.10", "TLR flux 1"),
        (flow_1(), "Déficit brutal", "", "OBR[1]-13", "TLR flux 1"),
        (flow_1(), "|1.2|24028007", "||24028007", "OBX[3]-4", "TLR flux 1"),
        (flow_1(), "^SCT||||||O", "^XX||||||O", "OBX[2]-5.3", "TLR flux 1"),
        (flow_1(), "170|cm|||||O", "170||||||O", "OBX[5]-6", "TLR flux 1"),
        (flow_1(), "MAJEUR|||O", "GRAVE|||O", "OBX[4]-8", "TLR flux 1"),
        (flow_1(), "68|kg|||||O", "68|kg|||||F", "OBX[6]-11", "TLR flux 1"),
        (flow_1(), "PV1||E", "PV1||", "PV1-2", "TLR flux 1"),
        (flow_1(), "V77^^^NORTH&1.2.250.1.999.1&ISO^VN", "", "PV1-19", "TLR flux 1"),
        (flow_2(), "ORC|CA", "ORC|NW", "ORC[1]-1", "TLR flux 2"),
        (flow_4(), "|1.2|0123456789", "|2.2|0123456789", "OBX-4 1.m", "TLR flux 4"),
        (flow_4(), "730^jours", "", "TQ1[1]-6", "TLR flux 4"),
        (flow_4(), "|1.2.250.1.999.4.1|", "||", "IPC[1]-3", "TLR flux 4"),
        (flow_4(), "^TEXT^^Base64^", "^TEXT^^^", "OBX[1]-5", "TLR flux 4"),
        (flow_1(), "279035121518989", "279035121518988", "PID[1]-3(2).1", "INS"),
        (flow_1(), "|VALI", "|PROV", "PID[1]-32", "INS"),
        (flow_1(*emergency()), "||S^Immédiat", "||Z^Immédiat", "OBX[8]-5.1", "emergency extension"),
        (flow_1(*emergency()), "FILIERE_URGENCE^^", "FILIERE_ROUGE^^", "OBX[9]-3.1", "emergency extension"),
        (flow_1(*emergency()), "202601061500+0100", "15:00", "OBX[11]-5", "emergency extension"),
        (plain_order(), "ORC|NW|4711^RIS|F4711^RIS", "OBX|1", "ORM_O01_ORDER_DETAIL", "HL7 2.5.1"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_found_at_its_place(text: str, was: str, becomes: str, place: str, rule: str) -> None:
    broken = text.replace(was, becomes)
    assert broken != text

    findings = validate(broken)

    assert not is_good(findings)
    assert rule in {one.rule for one in findings}
    if rule != "HL7 2.5.1":
        assert (place, rule) in {(one.place, one.rule) for one in findings}


@pytest.mark.parametrize("code", ["MODALITE_IMAGERIE", "REGION_ANATOMIQUE"])
def test_an_observation_that_flow_1_requires_is_missed(code: str) -> None:
    lines = [line for line in flow_1().split("\r") if code not in line]

    assert any(code in one.text for one in validate("\r".join(lines)))


def test_findings_never_hold_a_value_of_the_message() -> None:
    text = flow_1().replace("OPN101", "SECRET" * 40).replace("DOMINIQUE", "SECRET" * 60).replace("|F||", "|SECRET||")

    findings = validate(text)

    assert [(one.place, one.severity) for one in findings] == [("PID.PID_8", Severity.WARNING)]
    assert "SECRET" not in repr(findings)


@pytest.mark.parametrize("text", ["", "hello", "MSH", "MSH|", "MSH|^~\\&", "PID|1\rMSH|^~\\&|A\r"])
def test_what_is_no_message_is_said_so_and_never_raises(text: str) -> None:
    assert any(one.severity is Severity.ERROR for one in validate(text))


@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_a_mutated_message_is_judged_and_never_raises(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([flow_1(*emergency()), flow_4(), plain_order()]))
    at = data.draw(st.integers(0, len(text) - 1))
    until = data.draw(st.integers(at, min(len(text), at + 30)))
    put = data.draw(st.text(st.sampled_from("|^~\\&\rMSHPIDOBX0^|"), max_size=8))

    assert isinstance(validate(text[:at] + put + text[until:]), tuple)


def test_lines_may_end_as_editors_write_them() -> None:
    assert validate(flow_1().replace("\r", "\r\n")) == ()
