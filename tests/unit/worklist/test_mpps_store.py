"""Performed steps as they are kept: tied to the orders of their hospital and patient, nothing is lost."""

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from sqlalchemy import delete

from foundation import outbox
from foundation.database import Database
from pacs.contracts import TOPIC_PERFORMED_STEP
from pacs.worklist import mpps_store, orders
from pacs.worklist.mpps import PerformedStep
from pacs.worklist.mpps_attributes import why_not_created
from pacs.worklist.mpps_schema import performed_step, performed_step_order, performed_step_study
from pacs.worklist.mpps_states import StepState
from pacs.worklist.mpps_store import Caller, Changed, StepRefused
from pacs.worklist.order import Order, OrderState
from tests.harness.orders import NOW, order
from tests.harness.performed_steps import MPPS_UID, code, created, ended, image, item, series

LATER = NOW + timedelta(minutes=7)
CT1 = Caller(calling_aet="CT1", site_id="roanne")
ELSEWHERE = Caller(calling_aet="CT9", site_id="feurs")


def placed(database: Database, one: Order | None = None) -> Order:
    with database.write(durable=True) as connection:
        return orders.place(connection, one or order(), NOW).order


def create(database: Database, dataset: Dataset, uid: str = MPPS_UID, caller: Caller = CT1) -> PerformedStep:
    with database.write(durable=True) as connection:
        return mpps_store.create(connection, uid, item(dataset), caller, NOW)


def change(database: Database, dataset: Dataset, uid: str = MPPS_UID, caller: Caller = CT1) -> Changed:
    with database.write(durable=True) as connection:
        return mpps_store.change(connection, uid, item(dataset), caller, LATER)


def refused(database: Database, dataset: Dataset, *, caller: Caller = CT1, is_new: bool = False) -> tuple[int, str]:
    with pytest.raises(StepRefused) as raised:
        (create if is_new else change)(database, dataset, caller=caller)
    return raised.value.refusal.status, raised.value.refusal.comment


def state_of(database: Database, one: Order) -> OrderState:
    with database.read() as connection:
        found = orders.find(connection, one.order_id)
    assert found is not None
    return found.state


def stated(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        return [dict(event.payload) for event in outbox.read_after(connection, 0, topics=[TOPIC_PERFORMED_STEP])]


def find(database: Database, uid: str = MPPS_UID) -> PerformedStep | None:
    with database.read() as connection:
        return mpps_store.find(connection, uid)


def test_a_step_of_an_order_brings_it_through_the_exam_and_others_hear_of_each_step(database: Database) -> None:
    asked = placed(database)

    step = create(database, created(asked))
    assert (step.state, step.order_ids, step.is_unscheduled) == (StepState.IN_PROGRESS, (asked.order_id,), False)
    assert state_of(database, asked) is OrderState.IN_PROGRESS
    done = change(database, ended()).step

    assert done.state is StepState.COMPLETED
    assert state_of(database, asked) is OrderState.COMPLETED
    assert [one["state"] for one in stated(database)] == ["IN PROGRESS", "COMPLETED"]
    assert stated(database)[-1] == {
        "mpps_uid": MPPS_UID,
        "site_id": "roanne",
        "state": "COMPLETED",
        "order_ids": [asked.order_id],
        "study_instance_uids": [asked.study_instance_uid],
        "is_unscheduled": False,
        "is_of_another_patient": False,
        "calling_aet": "CT1",
    }


def test_everything_that_the_scanner_said_can_be_asked_for(database: Database) -> None:
    asked = placed(database)
    dose = Dataset()
    dose.RadiationMode, dose.CTDIvol = "CONTINUOUS", 51.3
    second = Dataset()
    second.RadiationMode, second.CTDIvol = "CONTINUOUS", 12.0
    create(database, created(asked))
    change(
        database,
        ended(
            "COMPLETED",
            series(1, 2, description="Native"),
            series(2, 3, description="Artériel"),
            PerformedProtocolCodeSequence=[code("CTSTROKE", "99TLG", "Stroke CT")],
            ExposureDoseSequence=[dose, second],
            CommentsOnRadiationDose="TotalDLP=1043.5\r\nEvent=1 DLP=40.0",
            ImageAndFluoroscopyAreaDoseProduct="0.7",
        ),
    )

    step = find(database)

    assert step is not None
    assert [one.description for one in step.series] == ["Native", "Artériel"]
    assert step.protocol_codes[0].value == "CTSTROKE"
    assert (step.dose.ctdivol_mgy, step.dose.dlp_mgy_cm, step.dose.area_dose_dgy_cm2) == (51.3, 1043.5, 0.7)
    assert (step.start, step.end) == ("20261120220500", "20261120221200")
    with database.read() as connection:
        made = mpps_store.references(connection, MPPS_UID)
        assert mpps_store.of_order(connection, asked.order_id) == (step,)
        assert mpps_store.of_study(connection, asked.study_instance_uid) == (step,)
        assert mpps_store.newest(connection, site_id="roanne", is_unscheduled=True) == ()
        assert mpps_store.newest(connection) == (step,)
        assert mpps_store.references(connection, "1.2.3") is None
    assert made is not None
    assert made.study_instance_uids == (asked.study_instance_uid,)
    assert len(made.sop_instance_uids) == 5


def test_a_step_that_nobody_ordered_is_kept_and_marked(database: Database) -> None:
    step = create(database, created(None))

    assert step.is_unscheduled
    assert not step.is_of_another_patient
    assert stated(database)[0]["is_unscheduled"] is True
    with database.read() as connection:
        assert mpps_store.newest(connection, site_id="roanne", is_unscheduled=True) == (step,)
        assert mpps_store.newest(connection, site_id="feurs") == ()


def test_a_step_is_tied_when_its_order_comes_after_it(database: Database) -> None:
    wanted = replace(order(), study_instance_uid="1.2.826.0.1.77.500")
    create(database, created(None, PatientID=wanted.patient.patient_id))
    asked = placed(database, wanted)

    change(database, ended())

    step = find(database)
    assert step is not None
    assert step.order_ids == (asked.order_id,)
    assert state_of(database, asked) is OrderState.COMPLETED


def test_a_step_names_its_order_by_accession_number_or_placer_order_number_too(database: Database) -> None:
    asked = placed(database, replace(order(), accession_number="ACC-7"))
    by_accession, by_placer = created(None, PatientID=asked.patient.patient_id), created(None, PatientID="")
    by_accession.ScheduledStepAttributesSequence[0].AccessionNumber = "ACC-7"
    by_placer.ScheduledStepAttributesSequence[0].PlacerOrderNumberImagingServiceRequest = asked.placer_order_number

    assert create(database, by_accession, "1.2.1").order_ids == (asked.order_id,)
    assert create(database, by_placer, "1.2.2").order_ids == (asked.order_id,)


def test_the_same_accession_number_of_another_hospital_is_another_order(database: Database) -> None:
    placed(database, replace(order(), accession_number="ACC-7"))
    theirs = created(None)
    theirs.ScheduledStepAttributesSequence[0].AccessionNumber = "ACC-7"

    assert create(database, theirs, caller=ELSEWHERE).is_unscheduled


def test_an_order_of_another_hospital_is_not_performed_whatever_the_step_names(database: Database) -> None:
    asked = placed(database)

    step = create(database, created(asked), caller=ELSEWHERE)

    assert step.is_unscheduled
    assert state_of(database, asked) is OrderState.SCHEDULED


def test_of_several_orders_of_a_study_the_one_that_is_named_is_performed(database: Database) -> None:
    uid = "1.2.826.0.1.77.900"
    head = placed(database, replace(order(1), study_instance_uid=uid))
    neck = placed(
        database, replace(order(2), study_instance_uid=uid, patient=order(1).patient, accession_number="ACC-NECK")
    )

    step = create(database, created(neck))

    assert step.order_ids == (neck.order_id,)
    assert state_of(database, head) is OrderState.SCHEDULED


def test_a_step_of_another_patient_is_kept_but_never_tied_to_the_order(database: Database) -> None:
    asked = placed(database)

    step = create(database, created(asked, PatientID="SOMEBODY-ELSE"))

    assert step.is_unscheduled
    assert step.is_of_another_patient
    assert state_of(database, asked) is OrderState.SCHEDULED


def test_the_same_patient_id_of_another_issuer_is_another_patient(database: Database) -> None:
    asked = placed(database)

    assert create(database, created(asked, IssuerOfPatientID="FEURS")).is_of_another_patient
    assert create(database, created(asked, IssuerOfPatientID=asked.patient.issuer), "1.2.9").order_ids


@pytest.mark.parametrize(
    ("patient_id", "issuer", "is_theirs"),
    [
        ("roanne-1", "", True),
        ("roanne-1", "ROANNE", True),
        ("", "", True),
        ("roanne-0", "", True),
        ("SE-7", "ST-ETIENNE", True),
        ("SE-7", "", False),
        ("SE-7", "ROANNE", False),
        ("roanne-2", "", False),
    ],
)
def test_a_former_identifier_is_the_patients_and_one_of_another_hospital_only_with_its_issuer(
    patient_id: str, issuer: str, *, is_theirs: bool
) -> None:
    patient = replace(order().patient, other_ids=(("roanne-0", "ROANNE"), ("SE-7", "ST-ETIENNE")))

    assert mpps_store.is_of_patient(patient, patient_id, issuer) == is_theirs


def test_a_step_sent_again_is_a_duplicate_and_changes_nothing(database: Database) -> None:
    asked = placed(database)
    create(database, created(asked))
    change(database, ended())

    assert refused(database, created(asked), is_new=True)[0] == 0x0111

    step = find(database)
    assert step is not None
    assert step.state is StepState.COMPLETED
    assert len(stated(database)) == 2


def test_the_same_change_sent_again_is_taken_and_not_told_twice(database: Database) -> None:
    create(database, created(placed(database)))
    running = Dataset()
    running.PerformedSeriesSequence = [series(1, 2)]
    change(database, running)

    assert change(database, running).step.state is StepState.IN_PROGRESS
    assert len(stated(database)) == 2


@pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
def test_what_has_ended_can_no_longer_be_changed(database: Database, final: str) -> None:
    create(database, created(placed(database)))
    change(database, ended(final))

    with pytest.raises(StepRefused) as raised:
        change(database, ended("COMPLETED"))

    assert (raised.value.refusal.status, raised.value.refusal.error_id) == (0x0110, 0xA506)


@pytest.mark.parametrize(
    "keyword",
    [
        "ScheduledStepAttributesSequence",
        "PerformedProcedureStepID",
        "PerformedStationAETitle",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "Modality",
    ],
)
def test_a_step_must_have_its_type_1_attributes_with_a_value(keyword: str) -> None:
    without, empty = created(None), created(None)
    delattr(without, keyword)
    setattr(empty, keyword, [] if keyword.endswith("Sequence") else "")

    refusals = [why_not_created(item(one)) for one in (without, empty)]

    assert [one and one.status for one in refusals] == [0x0120, 0x0121]
    assert why_not_created(item(created(None))) is None


def test_a_step_that_cannot_be_created_leaves_nothing_behind(database: Database) -> None:
    without = created(None)
    del without.Modality

    assert refused(database, without, is_new=True)[0] == 0x0120
    assert [
        refused(database, created(None, PerformedProcedureStepStatus=status), is_new=True)[0]
        for status in ("COMPLETED", "DISCONTINUED", "SCHEDULED")
    ] == [0x0106] * 3
    assert find(database) is None
    assert stated(database) == []


def test_a_step_does_not_end_without_what_its_final_state_needs(database: Database) -> None:
    create(database, created(placed(database)))
    no_date, no_time, no_series = ended(), ended(PerformedProcedureStepEndTime=""), ended(PerformedSeriesSequence=[])
    del no_date.PerformedProcedureStepEndDate

    # What was said when it was created is empty: it counts as said, without a value.
    assert [refused(database, one)[0] for one in (no_date, no_time, no_series)] == [0x0121] * 3
    known = find(database)
    assert known is not None
    assert known.state is StepState.IN_PROGRESS


def test_series_and_references_must_have_their_uids(database: Database) -> None:
    create(database, created(None))
    unnamed, no_uid, bad_reference = series(1, 1), series(1, 1), series(1, 1)
    del unnamed.ProtocolName
    no_uid.SeriesInstanceUID = ""
    wrong = image("1.2.3")
    del wrong.ReferencedSOPInstanceUID
    bad_reference.ReferencedImageSequence = [wrong]

    assert refused(database, ended("COMPLETED", unnamed)) == (0x0120, "(0018,1030) is missing")
    assert refused(database, ended("COMPLETED", no_uid))[0] == 0x0121
    assert refused(database, ended("COMPLETED", bad_reference))[0] == 0x0120


def test_a_change_never_moves_a_step_to_another_patient(database: Database) -> None:
    create(database, created(placed(database)))

    assert refused(database, ended(PatientID="SOMEBODY-ELSE"))[0] == 0x0106
    known = find(database)
    assert known is not None
    assert known.state is StepState.IN_PROGRESS


def test_what_only_creation_may_say_is_not_taken_from_a_change_and_said_to_be_ignored(database: Database) -> None:
    asked = placed(database)
    create(database, created(asked))

    changed = change(database, ended(PerformedProcedureStepID="OTHER", PatientName=asked.patient.name))

    assert changed.ignored == (0x00400253,)
    with database.read() as connection:
        assert mpps_store.attributes_of(connection, MPPS_UID)[0x00400253].text == "PPS1"


def test_a_scanner_of_another_hospital_finds_no_such_step(database: Database) -> None:
    create(database, created(placed(database)))

    assert refused(database, ended(), caller=ELSEWHERE)[0] == 0x0112
    with database.read() as connection, pytest.raises(StepRefused):
        mpps_store.attributes_of(connection, MPPS_UID, ELSEWHERE)


def test_a_caller_of_no_hospital_reaches_its_own_steps_and_no_order(database: Database) -> None:
    nowhere, other = Caller(calling_aet="DEMO", site_id=""), Caller(calling_aet="OTHER", site_id="")

    step = create(database, created(placed(database)), caller=nowhere)

    assert step.is_unscheduled
    assert refused(database, ended(), caller=other)[0] == 0x0112
    assert change(database, ended(), caller=nowhere).step.state is StepState.COMPLETED


def test_an_order_runs_while_one_of_its_steps_runs_and_stays_completed_when_a_repeat_is_given_up(
    database: Database,
) -> None:
    asked = placed(database)
    create(database, created(asked), "1.2.1")
    change(database, ended(), "1.2.1")
    assert state_of(database, asked) is OrderState.COMPLETED

    create(database, created(asked), "1.2.2")
    assert state_of(database, asked) is OrderState.IN_PROGRESS
    change(database, ended("DISCONTINUED"), "1.2.2")

    assert state_of(database, asked) is OrderState.COMPLETED


def test_an_order_whose_only_step_is_given_up_is_discontinued(database: Database) -> None:
    asked = placed(database)
    create(database, created(asked))
    reason = code("110514", "DCM", "Incorrect worklist entry selected")

    step = change(
        database, ended("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason])
    ).step

    assert state_of(database, asked) is OrderState.DISCONTINUED
    assert step.discontinuation_reason is not None
    assert step.discontinuation_reason.meaning == "Incorrect worklist entry selected"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from(["create", "running", "COMPLETED", "DISCONTINUED"]),
            st.sampled_from(["1.2.1", "1.2.2"]),
            st.sampled_from([CT1, ELSEWHERE]),
        ),
        max_size=12,
    )
)
def test_whatever_is_sent_in_whatever_order_a_final_step_never_changes(
    database: Database, requests: list[tuple[str, str, Caller]]
) -> None:
    with database.write(durable=True) as connection:
        for table in (performed_step, performed_step_order, performed_step_study):
            connection.execute(delete(table))
    finals: dict[str, PerformedStep] = {}
    for what, uid, caller in requests:
        dataset = created(None) if what == "create" else ended("IN PROGRESS" if what == "running" else what)
        with contextlib.suppress(StepRefused):
            (create if what == "create" else change)(database, dataset, uid, caller)
        step = find(database, uid)
        if uid in finals:
            assert step == finals[uid]
        elif step is not None and step.is_final:
            finals[uid] = step
