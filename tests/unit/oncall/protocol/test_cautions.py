"""What asks for thought before contrast: known dangers need a signature, unknown ones are said."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.protocol.cautions import NEEDS_SIGNATURE, Caution, PatientFacts, age_at, cautions, egfr
from pacs.worklist.order import OrderPatient
from territory.order_cautions import patient_facts
from tests.unit.oncall.protocol.protocols import protocol

IODINE = protocol("ct-abdomen").contrast
GADOLINIUM = protocol("mr-brain").contrast
SAFE = PatientFacts(sex="M", age=60, allergies="", egfr=80.0)
C = Caution


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        (SAFE, ()),
        (PatientFacts(sex="M", age=60, allergies="", egfr=29.9), (C.EGFR_LOW,)),
        (PatientFacts(sex="M", age=60, allergies="", egfr=30.0), ()),
        (PatientFacts(sex="M", age=60, allergies="iodine", egfr=80.0), (C.ALLERGY,)),
        (PatientFacts(sex="M", age=60), (C.ALLERGY_UNKNOWN, C.EGFR_UNKNOWN)),
        (PatientFacts(sex="F", age=30, allergies="", egfr=90.0, pregnancy_status=3), (C.PREGNANT,)),
        (PatientFacts(sex="F", age=30, allergies="", egfr=90.0, pregnancy_status=2), (C.PREGNANCY_POSSIBLE,)),
        (PatientFacts(sex="F", age=30, allergies="", egfr=90.0), (C.PREGNANCY_UNKNOWN,)),
        (PatientFacts(sex="F", age=30, allergies="", egfr=90.0, pregnancy_status=1), ()),
        (PatientFacts(sex="F", age=70, allergies="", egfr=90.0), ()),
        (PatientFacts(allergies="", egfr=20.0), (C.EGFR_LOW, C.PREGNANCY_UNKNOWN)),
    ],
)
def test_each_danger_of_a_scan_of_the_trunk_with_contrast_is_named(
    patient: PatientFacts, expected: tuple[Caution, ...]
) -> None:
    assert cautions(IODINE, patient, is_unborn_exposed=True) == expected


def test_without_contrast_kidneys_and_allergies_do_not_matter() -> None:
    dangerous = PatientFacts(sex="F", age=30, allergies="iodine", egfr=10.0, pregnancy_status=3)
    assert cautions(None, dangerous, is_unborn_exposed=False) == ()
    assert cautions(None, dangerous, is_unborn_exposed=True) == (C.PREGNANT,)
    # An MR exposes nobody; gadolinium does.
    assert C.PREGNANT in cautions(GADOLINIUM, dangerous, is_unborn_exposed=False)


@given(
    sex=st.sampled_from(["", "F", "M", "O"]),
    age=st.none() | st.integers(0, 110),
    status=st.sampled_from([None, 1, 2, 3, 4]),
    allergies=st.sampled_from([None, "", "iodine"]),
    kidneys=st.none() | st.floats(1, 150),
)
def test_what_is_unknown_is_never_less_than_a_caution_and_what_is_said_never_hides(
    sex: str, age: int | None, status: int | None, allergies: str | None, kidneys: float | None
) -> None:
    patient = PatientFacts(sex=sex, age=age, pregnancy_status=status, allergies=allergies, egfr=kidneys)
    found = cautions(IODINE, patient, is_unborn_exposed=True)
    assert (C.ALLERGY_UNKNOWN in found) is (allergies is None)
    assert (C.EGFR_UNKNOWN in found) is (kidneys is None)
    if status == 3:
        assert found[0] in NEEDS_SIGNATURE
        assert C.PREGNANT in found
    signs = [one in NEEDS_SIGNATURE for one in found]
    assert signs == sorted(signs, reverse=True), "the gravest come first"


@pytest.mark.parametrize(
    # Worked by hand from the published equation (142 x min^a x max^-1.2 x 0.9938^age x 1.012 for women).
    ("creatinine", "age", "sex", "expected"),
    [(80.0, 60, "M", 97.13), (180.0, 75, "F", 25.03), (53.0, 25, "F", 127.7), (400.0, 50, "M", 14.98)],
)
def test_the_glomerular_filtration_rate_is_that_of_ckd_epi_2021(
    creatinine: float, age: int, sex: str, expected: float
) -> None:
    found = egfr(creatinine, age, sex)
    assert found == pytest.approx(expected, abs=0.05)


def test_without_a_sex_the_lower_estimate_counts_and_a_child_has_none() -> None:
    both = [egfr(100.0, 50, sex) or 0.0 for sex in "FM"]
    assert egfr(100.0, 50, "") == min(both)
    assert egfr(100.0, 12, "F") is None


def test_an_age_turns_on_the_birthday() -> None:
    assert age_at("19760229", date(2026, 2, 28)) == 49
    assert age_at("19760229", date(2026, 3, 1)) == 50
    assert [age_at(wrong, date(2026, 3, 1)) for wrong in ("", "1976", "19761301", "20270101")] == [None] * 4


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ("eGFR 25 mL/min/1.73m2", 25.0),
        ("creatinine 180 umol/L; eGFR 31,5 mL/min", 31.5),
        ("creatinine 80 umol/L", 97.13),
        ("creatinine 0.905 mg/dL; anticoagulant: apixaban", 97.13),
        ("creatinine 180 bottles", None),
        ("creatinine high", None),
        ("", None),
    ],
)
def test_kidneys_are_read_from_an_order_and_what_cannot_be_read_stays_unknown(
    alerts: str, expected: float | None
) -> None:
    patient = OrderPatient(patient_id="1", issuer="N", sex="M", birth_date="19660101", medical_alerts=alerts)
    found = patient_facts(patient, date(2026, 11, 22)).egfr
    assert found == (None if expected is None else pytest.approx(expected, abs=0.05))


@pytest.mark.parametrize(("said", "expected"), [("", None), ("none known", ""), ("Aucune", ""), ("iode", "iode")])
def test_nobody_asked_about_allergies_is_another_thing_than_none(said: str, expected: str | None) -> None:
    patient = OrderPatient(patient_id="1", issuer="N", allergies=said)
    assert patient_facts(patient, date(2026, 11, 22)).allergies == expected
