"""The national identity in messages: its key, its status, and that only a qualified one leaves."""

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.worklist.hl7.ins import ins_as_cx, is_matricule, read_ins
from pacs.worklist.hl7.patients_in import read_patient
from pacs.worklist.hl7.reading import Segment, segments_of
from pacs.worklist.order import Ins, InsStatus
from tests.harness.hospital_messages import INS, OWN_ID, SENDER, pid

MATRICULE = "279035121518989"


def segment(text: str) -> Segment:
    return segments_of(hl7.parse(f"MSH|^~\\&|A\r{text}\r"))[1]


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        (MATRICULE, True),
        ("279035121518988", False),
        ("27903512151898", False),
        ("2790351215189AA", False),
        ("188022A12345625", False),
        ("", False),
    ],
    ids=["right", "wrong-key", "short", "letters", "corsica-wrong-key", "nothing"],
)
def test_a_matricule_counts_only_with_its_right_key(text: str, is_good: bool) -> None:
    assert is_matricule(text) is is_good


@pytest.mark.parametrize("place", ["2A", "2B"])
def test_a_matricule_of_corsica_has_a_key_too(place: str) -> None:
    digits = int("18802" + {"2A": "19", "2B": "18"}[place] + "123456")

    assert is_matricule(f"18802{place}123456{97 - digits % 97:02}")


@given(position=st.integers(0, 14), digit=st.sampled_from("0123456789"))
def test_one_wrong_digit_of_a_matricule_is_noticed(position: int, digit: str) -> None:
    changed = MATRICULE[:position] + digit + MATRICULE[position + 1 :]

    assert is_matricule(changed) is (changed == MATRICULE)


@pytest.mark.parametrize(
    ("reliability", "status"),
    [("VALI", InsStatus.QUALIFIED), ("PROV", InsStatus.RETRIEVED), ("", InsStatus.RETRIEVED)],
)
def test_an_ins_is_qualified_only_when_the_identity_was_validated(reliability: str, status: InsStatus) -> None:
    found = read_ins(segment(pid(reliability=reliability)))

    assert found is not None
    assert found.status is status
    assert found.may_be_sent is (status is InsStatus.QUALIFIED)


def test_an_ins_with_a_wrong_key_is_left_out_and_the_patient_is_known_by_the_hospitals_number() -> None:
    said = read_patient(segment(pid((OWN_ID, INS.replace("89^", "88^")))), SENDER)

    assert said.patient is not None
    assert (said.patient.patient_id, said.patient.ins) == ("P1", None)


def test_a_patient_without_a_number_of_the_hospital_is_known_by_a_qualified_ins_only() -> None:
    proved = read_patient(segment(pid((INS,))), SENDER)
    doubtful = read_patient(segment(pid((INS,), reliability="PROV")), SENDER)

    assert proved.patient is not None
    assert (proved.patient.patient_id, proved.patient.issuer) == (MATRICULE, "1.2.250.1.213.1.4.10")
    assert doubtful.patient is None
    assert doubtful.error is not None
    assert doubtful.error.field == 3


def test_visit_and_record_numbers_are_no_patients() -> None:
    said = read_patient(segment(pid(("V1^^^NORTH^VN", "R1^^^NORTH^AN"))), SENDER)

    assert said.error is not None


def test_the_hospitals_own_number_comes_before_those_of_others() -> None:
    said = read_patient(segment(pid(("X9^^^REGION^PI", "P1^^^NORTH^PI"))), SENDER)

    assert said.patient is not None
    assert (said.patient.patient_id, said.patient.other_ids) == ("P1", (("X9", "REGION"),))


def test_a_number_that_names_no_authority_is_the_senders() -> None:
    said = read_patient(segment(pid(("P1",))), SENDER)

    assert said.patient is not None
    assert said.patient.issuer == "NORTH"


def test_allergies_are_read_with_their_severity() -> None:
    first = segment("AL1|1|DA|IOD^Produit de contraste iodé|SV|Choc~Urticaire")

    said = read_patient(segment(pid()), SENDER, allergies=(first,))

    assert said.patient is not None
    assert said.patient.allergies == "Produit de contraste iodé! (Choc\nUrticaire)"


@pytest.mark.parametrize("status", list(InsStatus))
def test_only_a_qualified_ins_can_be_written(status: InsStatus) -> None:
    ins = Ins(matricule=MATRICULE, oid="1.2.250.1.213.1.4.10", status=status)

    if status is InsStatus.QUALIFIED:
        assert ins_as_cx(ins)[0] == MATRICULE
    else:
        with pytest.raises(AssertionError):
            ins_as_cx(ins)
