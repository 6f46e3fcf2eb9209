"""Performed steps over real sockets: pynetdicom as the scanner, DCMTK on what is sent and answered; PS3.4 F.7, F.8.

DCMTK has no MPPS client: dump2dcm makes the list that pynetdicom sends, dcmdump reads the one that is answered.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association

from foundation.clock import ManualClock
from foundation.database import Database
from pacs.scp.presentation import MPPS, MPPS_RETRIEVE
from pacs.upper_layer.dimse import CommandField, decode_command, encode_command
from pacs.worklist import mpps_store, orders
from pacs.worklist.mpps_service import MppsService
from pacs.worklist.order import Order, OrderState
from tests.harness.node import RIGHTS, Node, node_policy, running_node
from tests.harness.orders import NOW, order
from tests.harness.peers import LOOPBACK
from tests.harness.performed_steps import MPPS_UID, created, ended, series, written
from tests.unit.scp.association_double import AssociationDouble, context_of

SCANNER = replace(RIGHTS, may_worklist=True, site="roanne")
DUMP = """\
(0008,0005) CS [ISO_IR 192]
(0008,0060) CS [CT]
(0010,0010) PN [Durand1^Zoë]
(0010,0020) LO [roanne-1]
(0040,0241) AE [CT1]
(0040,0244) DA [20261120]
(0040,0245) TM [220500]
(0040,0252) CS [IN PROGRESS]
(0040,0253) SH [PPS1]
(0040,0270) SQ
(fffe,e000) -
(0008,0050) SH [{accession_number}]
(0020,000d) UI [{study_instance_uid}]
(fffe,e00d) -
(fffe,e0dd) -
(0040,0340) SQ
(fffe,e0dd) -
"""


@pytest.fixture
def node(database: Database, tmp_path: Path) -> Iterator[Node]:
    """Run a node that answers MPPS, for a scanner of one hospital."""
    service = MppsService(database, ManualClock(NOW))
    policy = node_policy(rights=SCANNER, services={MPPS: service, MPPS_RETRIEVE: service})
    journal = tmp_path / "packs"
    journal.mkdir()
    with running_node(database, journal, policy=policy) as running:
        yield running


@contextmanager
def scanner(node: Node) -> Iterator[Association]:
    ae = AE("CT1")
    ae.add_requested_context(MPPS)
    ae.add_requested_context(MPPS_RETRIEVE)
    association = ae.associate(LOOPBACK, node.port, ae_title="TELEGARDE")
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def placed(database: Database) -> Order:
    with database.write(durable=True) as connection:
        return orders.place(connection, order(), NOW).order


def state_of(database: Database, one: Order) -> OrderState:
    with database.read() as connection:
        found = orders.find(connection, one.order_id)
    assert found is not None
    return found.state


def asked(association: Association, *tags: int) -> tuple[Any, Any]:
    return association.send_n_get(list(tags), MPPS_RETRIEVE, MPPS_UID)


def test_a_scanner_reports_its_exam_from_the_first_image_to_the_last(node: Node, database: Database) -> None:
    one = placed(database)

    with scanner(node) as association:
        begun, _ = association.send_n_create(created(one), MPPS, MPPS_UID)
        assert state_of(database, one) is OrderState.IN_PROGRESS
        done, _ = association.send_n_set(ended("COMPLETED", series(1, 2), series(2, 3)), MPPS, MPPS_UID)
        answered, step = asked(association)

    assert (begun.Status, done.Status, answered.Status) == (0, 0, 0)
    assert state_of(database, one) is OrderState.COMPLETED
    assert step.PatientName == one.patient.name
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert [len(item.ReferencedImageSequence) for item in step.PerformedSeriesSequence] == [2, 3]
    assert step.ScheduledStepAttributesSequence[0].StudyInstanceUID == one.study_instance_uid


def test_what_is_repeated_unknown_or_over_is_answered_as_the_standard_says(node: Node, database: Database) -> None:
    one = placed(database)
    with scanner(node) as association:
        unknown, _ = association.send_n_set(ended(), MPPS, MPPS_UID)
        not_there, _ = asked(association)
        association.send_n_create(created(one), MPPS, MPPS_UID)
        again, _ = association.send_n_create(created(one), MPPS, MPPS_UID)
        unfinished, _ = association.send_n_set(ended(PerformedProcedureStepEndTime=""), MPPS, MPPS_UID)
        association.send_n_set(ended("DISCONTINUED"), MPPS, MPPS_UID)
        over, _ = association.send_n_set(ended(), MPPS, MPPS_UID)

    assert (unknown.Status, not_there.Status, again.Status, unfinished.Status) == (0x0112, 0x0112, 0x0111, 0x0121)
    assert (over.Status, over.ErrorID) == (0x0110, 0xA506)
    assert over.ErrorComment == "Performed Procedure Step Object may no longer be updated"
    assert state_of(database, one) is OrderState.DISCONTINUED


def test_n_get_answers_the_attributes_that_are_asked_for_and_says_which_the_step_has_not(
    node: Node, database: Database
) -> None:
    with scanner(node) as association:
        association.send_n_create(created(placed(database)), MPPS, MPPS_UID)
        some, step = asked(association, 0x00400252, 0x00080060)
        lacking, partly = asked(association, 0x00400252, 0x00400310)

    assert some.Status == 0
    assert sorted(element.keyword for element in step if element.tag != 0x00080005) == [
        "Modality",
        "PerformedProcedureStepStatus",
    ]
    assert lacking.Status == 0x0107
    assert partly.PerformedProcedureStepStatus == "IN PROGRESS"


def test_a_step_without_a_uid_is_given_one(node: Node, database: Database) -> None:
    with scanner(node) as association:
        status, _ = association.send_n_create(created(placed(database)), MPPS)
        assert status.Status == 0

    with database.read() as connection:
        (step,) = mpps_store.of_order(connection, order().order_id)
    assert step.mpps_uid.startswith("2.25.")


def test_what_dump2dcm_writes_is_taken_and_dcmdump_reads_what_is_answered(
    node: Node, database: Database, tmp_path: Path
) -> None:
    one = placed(database)
    text, made, answered = tmp_path / "step.txt", tmp_path / "step.dcm", tmp_path / "answer.dcm"
    text.write_text(
        DUMP.format(accession_number=one.accession_number, study_instance_uid=one.study_instance_uid), encoding="utf-8"
    )
    ran("dump2dcm", "+te", text, made)

    with scanner(node) as association:
        status, _ = association.send_n_create(_without_meta(made), MPPS, MPPS_UID)
        _, step = asked(association)
    step.save_as(answered, implicit_vr=True, little_endian=True)

    assert status.Status == 0
    assert state_of(database, one) is OrderState.IN_PROGRESS
    dumped = ran("dcmdump", "--read-dataset", answered)
    assert "[Durand1^Zoë]" in dumped
    assert one.study_instance_uid in dumped


def ran(tool: str, *arguments: str | Path) -> str:
    """Run a tool of DCMTK to its end; return what it wrote."""
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, check=True, timeout=60)
    return done.stdout.decode("utf-8", "replace")


def _without_meta(path: Path) -> Dataset:
    dataset = Dataset()
    dataset.update(dcmread(path))
    return dataset


def test_another_operation_or_a_caller_without_the_right_is_refused(database: Database) -> None:
    service = MppsService(database, ManualClock(NOW))
    create = decode_command(
        encode_command(
            affected_sop_class_uid=MPPS, command_field=CommandField.N_CREATE_RQ, message_id=1, data_set_type=1
        )
    )
    delete = decode_command(
        encode_command(
            requested_sop_class_uid=MPPS, requested_sop_instance_uid="1.2.3", command_field=CommandField.N_DELETE_RQ,
            message_id=1, data_set_type=0x0101,
        )
    )  # fmt: skip
    allowed, stranger = AssociationDouble(rights=SCANNER), AssociationDouble()

    service.handle(allowed, context_of(MPPS), delete, b"")
    service.handle(allowed, context_of(MPPS_RETRIEVE), create, written(created(None)))
    service.handle(stranger, context_of(MPPS), create, written(created(None)))

    assert [sent.command.status for sent in (*allowed.sent, *stranger.sent)] == [0x0211, 0x0211, 0x0124]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_attribute_lists_are_answered_and_never_harm_a_step(database: Database, data: st.DataObject) -> None:
    service = MppsService(database, ManualClock(NOW))
    is_set = data.draw(st.booleans())
    raw = bytearray(written(ended() if is_set else created(None)))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    uid = {"requested_sop_class_uid": MPPS, "requested_sop_instance_uid": MPPS_UID} if is_set else {}
    command = decode_command(
        encode_command(
            command_field=CommandField.N_SET_RQ if is_set else CommandField.N_CREATE_RQ, message_id=7, data_set_type=1,
            **uid or {"affected_sop_class_uid": MPPS, "affected_sop_instance_uid": UID(MPPS_UID)},
        )
    )  # fmt: skip
    association = AssociationDouble(rights=SCANNER)

    service.handle(association, context_of(MPPS), command, bytes(raw))

    (sent,) = association.sent
    assert sent.command.status in {0x0000, 0x0106, 0x0107, 0x0110, 0x0111, 0x0112, 0x0120, 0x0121}
    with database.read() as connection:
        step = mpps_store.find(connection, MPPS_UID)
    assert step is None or step.mpps_uid == MPPS_UID
