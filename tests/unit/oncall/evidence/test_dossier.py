"""What a dossier holds: the five items of R.6316-4, equal for both centres in what they share; cases of every kind."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import update

from foundation.errors import Refused
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.event import CaseId
from oncall.case.log import ChainBroken
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import SiteId
from oncall.evidence.dossier import PLATFORM, SECTIONS, Sealed, Side, shared_digest
from oncall.evidence.reconciliation import reconcile
from oncall.evidence.verification import verify
from oncall.reading.board import ExamKind, Urgency
from oncall.report.version import VersionKind
from oncall.schema import oncall_case_event
from tests.harness.evidence_case import CASE, CLERK, Place
from tests.harness.small_territory import at, ready_case
from tests.unit.oncall.evidence.conftest import BOTH

NONE = [{"none_recorded": True}]


def types(dossier: Sealed, section: str) -> list[str]:
    return [one["type"] for one in dossier.sections[section] if "type" in one]


def test_the_five_items_of_the_decree_are_in_it(here: Place) -> None:
    sections = here.dossier().sections

    report = sections["report"][0]
    assert report["version"]["content"]["results"] == "Pas d'hémorragie. Ñ Ω 所見"
    assert report["signature"]["key_id"].startswith("anna#")
    assert [one["type"] for one in sections["acts"]] == [
        "request.submitted",
        "images.complete",
        "exam.contrast_injected",
    ]
    people = {one["who"]: one for one in sections["people"]}
    assert people["anna"]["role"] == "radiologist"
    assert people["coline"]["acted_as"] == [{"role": "coordinator", "authentication": "token", "place": ""}]
    assert people["Dr Emma"]["name"] == ""
    signed = next(one for one in sections["times"] if one["type"] == "report.signed")
    assert signed["occurred_local"] == "2026-10-24T18:40:00+02:00"
    assert signed["occurred_utc"] == "2026-10-24T16:40:00+00:00"
    assert [one["clock"] for one in sections["clocks"]] == ["C3", "C4", "C5", "C6", "C9"]
    assert [(one["kind"], one["type"]) for one in sections["incidents"]] == [
        ("degraded", "mode.degraded_entered"),
        ("contact", "critical.call_attempt"),
        ("delivery", "report.delivery_failed"),
    ]


def test_who_saw_what_is_frozen_as_it_was_at_signing(here: Place) -> None:
    seen = next(one for one in here.dossier().sections["accesses"] if one["type"] == "seen_at_signing")

    assert [(one["study_instance_uid"], one["is_prior"]) for one in seen["studies"]] == [
        ("1.2.3", False),
        ("1.2.1", True),
    ]


def test_a_critical_finding_is_told_with_its_six_fields_and_what_was_read_back(here: Place) -> None:
    told = [one for one in here.dossier().sections["communications"] if one["type"].startswith("critical.")]

    said = {key: value for one in told for key, value in one["said"].items()}
    assert said["finding"] == "Hématome ñ"
    assert said["read_back"] == "Hématome, relu"
    assert {"identified_at", "radiologist", "recipient", "received_at", "method"} <= said.keys()


@BOTH
def test_both_centres_hold_the_same_bytes_of_what_they_share(here: Place) -> None:
    hospital, platform = here.both()

    shared = [name for name, side in SECTIONS.items() if side is Side.SHARED]
    assert [json.dumps(hospital.sections[name]) for name in shared] == [
        json.dumps(platform.sections[name]) for name in shared
    ]
    assert shared_digest(hospital.sections["manifest"]) == shared_digest(platform.sections["manifest"])
    found = reconcile(hospital.sections, platform.sections)
    assert found.differences == ()
    assert {one.section for one in found.by_design} == {"head", "own"}


def test_a_hospital_is_not_told_where_a_reader_is_called(here: Place) -> None:
    hospital, platform = here.both()

    assert b"+336" not in hospital.data
    assert b"+336" in platform.data


def test_a_sealing_is_recorded_in_the_cases_own_log_with_its_digest(here: Place) -> None:
    sealed = here.dossier()

    event = here.engine.case(CASE)
    with here.database.read() as connection:
        rows = connection.execute(oncall_case_event.select().where(oncall_case_event.c.seq == event.seq)).all()
    body = json.loads(next(row.body for row in rows if row.case_id == CASE))
    assert body["type"] == "evidence.sealed"
    assert body["payload"]["reference"] == sealed.reference == f"north:{sealed.digest}"
    assert body["actor"][0] == "coline"


def test_a_case_without_report_says_that_there_is_none(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))

    dossier = empty.dossier()

    assert dossier.sections["report"] == NONE
    assert dossier.sections["incidents"] == NONE
    assert dossier.sections["documents"] == NONE
    assert dossier.sections["anchors"] == NONE
    assert verify(dossier.data).is_proven


def test_addenda_and_a_retraction_are_all_there_beside_the_original(here: Place) -> None:
    here.sign(20, VersionKind.ADDENDUM, results="Complément", reason="relecture")
    here.sign(30, VersionKind.RETRACTION, results="Retiré", reason="autre patient")

    dossier = here.dossier()

    kinds = [one["version"]["kind"] for one in dossier.sections["report"]]
    assert kinds == ["final", "addendum", "retraction"]
    assert verify(dossier.data).is_proven


def test_a_report_of_sixty_thousand_characters_is_whole(here: Place) -> None:
    here.sign(20, VersionKind.ADDENDUM, results="é" * 60_000, reason="relecture")

    dossier = here.dossier()

    assert dossier.sections["report"][1]["version"]["content"]["results"] == "é" * 60_000
    assert verify(dossier.data).is_proven


def test_an_identity_corrected_after_signing_keeps_the_key_that_was_signed(here: Place) -> None:
    here.say(E.IDENTITY_CORRECTED, 25, patient_key="key-right", reason="bracelet", former_patient_key="key-north")

    dossier = here.dossier()

    assert dossier.sections["subject"]["patient_key"] == "key-right"
    assert dossier.sections["subject"]["former_patient_keys"] == ["key-north"]
    assert dossier.sections["report"][0]["version"]["patient_key"] == "key-north"
    assert "identity.corrected" in types(dossier, "identities")


@BOTH
def test_a_case_that_was_joined_with_another_carries_both_chains(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))
    other = CaseId("C2")
    request = NewRequest(
        site_id=SiteId("north"), exam=ExamKind.HEAD, urgency=Urgency.P2, modality="CT", patient_key="key-north"
    )
    empty.engine.open_case(other, request, at(6), actor=CLERK)
    if empty.engine.case(other).request.merged_into != CASE:
        empty.engine.join_request(CASE, other, at(7), actor=CLERK, reason="same patient")

    dossier = empty.dossier(case_id=other)

    assert {one["body"]["case_id"] for one in dossier.sections["events"]} == {"C1", "C2"}
    assert [one["case_id"] for one in dossier.sections["head"]["covers"]] == ["C1", "C2"]
    assert verify(dossier.data).is_proven


def test_a_clock_that_goes_ahead_is_an_incident_though_nobody_reported_it(here: Place) -> None:
    def command(case: Case, context: Context) -> Facts:
        return (replace(context, happened_at=at(40)).fact(E.ACTION_RECORDED, kind="thrombolysis"),)

    here.engine.execute(CASE, command, at(30), actor=CLERK)

    incidents = here.dossier().sections["incidents"]

    assert [(one["kind"], one["ahead_s"]) for one in incidents if "ahead_s" in one] == [("clock", 600.0)]


@pytest.mark.parametrize("centre", ["south", "nowhere"])
def test_a_hospital_whose_case_it_is_not_gets_no_copy(here: Place, centre: str) -> None:
    with pytest.raises(Refused, match="north, platform"):
        here.dossier(centre)


def test_a_case_that_nobody_knows_has_no_dossier(here: Place) -> None:
    with pytest.raises(Refused, match="no such case"):
        here.dossier(PLATFORM, case_id=CaseId("C9"))


def test_a_log_that_does_not_prove_itself_gives_no_dossier_and_says_where(here: Place) -> None:
    row = oncall_case_event.c
    with here.database.write(durable=True) as connection:
        connection.execute(update(oncall_case_event).where(row.case_id == CASE, row.seq == 3).values(hash="0" * 64))

    with pytest.raises(ChainBroken, match="event 3"):
        here.dossier()
