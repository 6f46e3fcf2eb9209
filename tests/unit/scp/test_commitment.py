"""Storage Commitment as SCP, through an association in memory: statuses, order of steps, what is reported."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from foundation.clock import ManualClock
from foundation.database import Database
from pacs.archive.commitment import Failure, FailureReason, Ledger, Reference, Result
from pacs.scp import commitment_messages
from pacs.scp.association import AssociationLost
from pacs.scp.commitment import CommitmentService
from pacs.scp.commitment_messages import (
    STORAGE_COMMITMENT_INSTANCE,
    InvalidActionInformation,
    decode_action_information,
    encode_event_information,
)
from pacs.scp.presentation import MESSAGE_TRANSFER_SYNTAXES, STORAGE_COMMITMENT_PUSH_MODEL
from pacs.scp.services import Rights
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, decode_command, encode_command, response
from tests.harness.lookup_rows import CT_IMAGE, add_instances
from tests.harness.stored_files import StoredFiles
from tests.unit.scp.association_double import EXPLICIT_LITTLE, AssociationDouble, Sent, context_of

IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
UIDS = ["1.2.3.1.1", "1.2.3.1.2"]
PUSH = context_of(STORAGE_COMMITMENT_PUSH_MODEL)


def encoded(dataset: Dataset, transfer_syntax: str = EXPLICIT_LITTLE) -> bytes:
    written = DicomBytesIO()
    written.is_implicit_VR = transfer_syntax == IMPLICIT
    written.is_little_endian = transfer_syntax != BIG_ENDIAN
    write_dataset(written, dataset)
    plain = written.getvalue()
    if transfer_syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflater.compress(plain) + deflater.flush()
    return plain


def asked(*uids: str, sop_class_uid: str = CT_IMAGE, transaction_uid: str = "2.25.7") -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    dataset.ReferencedSOPSequence = items
    return dataset


def action(**changes: Any) -> Command:
    fields: dict[str, Any] = {
        "requested_sop_class_uid": STORAGE_COMMITMENT_PUSH_MODEL,
        "command_field": CommandField.N_ACTION_RQ,
        "message_id": 5,
        "data_set_type": 1,
        "requested_sop_instance_uid": STORAGE_COMMITMENT_INSTANCE,
        "action_type_id": 1,
    }
    return decode_command(encode_command(**(fields | changes)))


def taken(sent: Sent, status: int = Status.SUCCESS) -> Command:
    return decode_command(response(sent.command, status))


def decoded(data: bytes, transfer_syntax: str = EXPLICIT_LITTLE) -> Dataset:
    if transfer_syntax == DEFLATED:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    return read_dataset(BytesIO(data), transfer_syntax == IMPLICIT, transfer_syntax != BIG_ENDIAN)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    add_instances(database, UIDS)
    return Ledger(database, ManualClock(datetime(2026, 1, 31, tzinfo=UTC)))


@pytest.fixture
def service(ledger: Ledger) -> CommitmentService:
    return CommitmentService(ledger, StoredFiles())


def test_a_sound_request_is_answered_and_then_reported_on_the_same_association(
    service: CommitmentService, ledger: Ledger
) -> None:
    association = AssociationDouble(answer=taken)

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    (answered,) = association.sent
    assert answered.command.command_field == CommandField.N_ACTION_RSP
    assert answered.command.status == Status.SUCCESS
    assert answered.command.message_id_being_responded_to == 5
    (reported,) = association.requested
    assert reported.command.command_field == CommandField.N_EVENT_REPORT_RQ
    assert reported.command.event_type_id == 1
    assert reported.command.affected_sop_instance_uid == STORAGE_COMMITMENT_INSTANCE
    event_information = decoded(reported.dataset)
    assert event_information.TransactionUID == "2.25.7"
    assert [item.ReferencedSOPInstanceUID for item in event_information.ReferencedSOPSequence] == UIDS
    assert "FailedSOPSequence" not in event_information
    assert ledger.counts()["delivered"] == 1


def test_failures_are_reported_one_by_one_with_their_reasons(ledger: Ledger) -> None:
    association = AssociationDouble(answer=taken)
    service = CommitmentService(ledger, StoredFiles(corrupt={UIDS[1]}))

    service.handle(association, PUSH, action(), encoded(asked(*UIDS, "9.9.9")))

    (reported,) = association.requested
    assert reported.command.event_type_id == 2
    event_information = decoded(reported.dataset)
    assert [item.ReferencedSOPInstanceUID for item in event_information.ReferencedSOPSequence] == UIDS[:1]
    assert [
        (item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID, item.FailureReason)
        for item in event_information.FailedSOPSequence
    ] == [(UIDS[1], CT_IMAGE, 0x0110), ("9.9.9", CT_IMAGE, 0x0112)]


def test_when_nothing_is_committed_there_is_no_referenced_sequence(ledger: Ledger) -> None:
    association = AssociationDouble(answer=taken)

    CommitmentService(ledger, StoredFiles()).handle(association, PUSH, action(), encoded(asked("9.9.9")))

    assert "ReferencedSOPSequence" not in decoded(association.requested[0].dataset)


def test_the_request_is_on_disk_before_it_is_answered(service: CommitmentService, ledger: Ledger) -> None:
    seen: list[dict[str, int]] = []

    class Watching(AssociationDouble):
        def send(self, context_id: int, command: bytes, dataset: Any = None) -> None:
            seen.append(ledger.counts())
            super().send(context_id, command, dataset)

    service.handle(Watching(answer=taken), PUSH, action(), encoded(asked(*UIDS)))

    assert seen == [{"requested": 1, "checked": 0, "delivered": 0, "given_up": 0}]


def test_the_outcome_is_kept_before_it_is_reported(service: CommitmentService, ledger: Ledger) -> None:
    seen: list[int] = []

    def answer(sent: Sent) -> Command:
        seen.append(ledger.counts()["checked"])
        return taken(sent)

    service.handle(AssociationDouble(answer=answer), PUSH, action(), encoded(asked(*UIDS)))

    assert seen == [1]


def test_an_association_that_is_lost_leaves_the_report_to_the_relay(service: CommitmentService, ledger: Ledger) -> None:
    def lost(sent: Sent) -> Command:
        raise AssociationLost("released")

    with pytest.raises(AssociationLost):
        service.handle(AssociationDouble(answer=lost), PUSH, action(), encoded(asked(*UIDS)))

    due = ledger.claim_due()
    assert due is not None
    assert due.result == Result(committed=tuple(Reference(CT_IMAGE, uid) for uid in UIDS), failed=())


def test_a_peer_that_goes_on_gets_its_report_on_another_association(service: CommitmentService, ledger: Ledger) -> None:
    association = AssociationDouble(goes_on=True)

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    assert association.requested == []
    due = ledger.claim_due()
    assert due is not None
    assert due.result is not None


def test_a_report_answered_with_failure_is_tried_again_later(service: CommitmentService, ledger: Ledger) -> None:
    association = AssociationDouble(answer=lambda sent: taken(sent, Status.PROCESSING_FAILURE))

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    assert ledger.counts()["checked"] == 1
    assert ledger.claim_due() is None


def test_a_stop_during_the_check_leaves_the_request_to_the_relay(service: CommitmentService, ledger: Ledger) -> None:
    association = AssociationDouble(is_stopping=True)

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    assert [sent.command.status for sent in association.sent] == [Status.SUCCESS]
    due = ledger.claim_due()
    assert due is not None
    assert due.result is None


@pytest.fixture
def lookup_away(database: Database) -> Iterator[None]:
    """Nobody can find instances from now on; the ledger works."""

    def lose(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM sop_lookup" in statement:
            raise OperationalError(statement, {}, Exception("gone"))

    event.listen(database.engine, "before_cursor_execute", lose)
    yield
    event.remove(database.engine, "before_cursor_execute", lose)


@pytest.mark.usefixtures("lookup_away")
def test_a_database_lost_after_the_answer_is_not_reported_as_failed_instances(
    service: CommitmentService, ledger: Ledger
) -> None:
    association = AssociationDouble()

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    assert len(association.sent) == 1
    assert association.requested == []
    assert ledger.counts()["requested"] == 1


def test_a_database_that_is_away_is_answered_with_resource_limitation(
    service: CommitmentService, database: Database
) -> None:
    def lose(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        raise OperationalError(statement, {}, Exception("gone"))

    event.listen(database.engine, "before_cursor_execute", lose)
    association = AssociationDouble()

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))
    event.remove(database.engine, "before_cursor_execute", lose)

    assert [sent.command.status for sent in association.sent] == [Status.RESOURCE_LIMITATION]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"action_type_id": 2}, Status.NO_SUCH_ACTION_TYPE),
        ({"requested_sop_instance_uid": "1.2.3"}, Status.NO_SUCH_OBJECT_INSTANCE),
        ({"requested_sop_class_uid": CT_IMAGE}, Status.NO_SUCH_SOP_CLASS),
        ({"command_field": CommandField.N_GET_RQ}, Status.UNRECOGNIZED_OPERATION),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_answered_by_its_status(
    service: CommitmentService, ledger: Ledger, changes: dict[str, Any], status: Status
) -> None:
    association = AssociationDouble()

    service.handle(association, PUSH, action(**changes), encoded(asked(*UIDS)))

    assert [sent.command.status for sent in association.sent] == [status]
    assert sum(ledger.counts().values()) == 0


def test_a_peer_without_the_right_is_not_authorized(service: CommitmentService, ledger: Ledger) -> None:
    rights = Rights(may_store=True, may_query=True, may_retrieve=True, move_destinations=None, issuer="")
    association = AssociationDouble(rights=rights)

    service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    assert [sent.command.status for sent in association.sent] == [Status.NOT_AUTHORIZED]
    assert sum(ledger.counts().values()) == 0


def test_a_transaction_uid_used_for_other_instances_is_an_invalid_argument(service: CommitmentService) -> None:
    service.handle(AssociationDouble(answer=taken), PUSH, action(), encoded(asked(UIDS[0])))
    association = AssociationDouble()

    service.handle(association, PUSH, action(), encoded(asked(UIDS[1])))

    assert [sent.command.status for sent in association.sent] == [Status.INVALID_ARGUMENT_VALUE]


def test_the_same_request_again_is_answered_and_reported_again(service: CommitmentService, ledger: Ledger) -> None:
    association = AssociationDouble(answer=taken)

    for _ in range(2):
        service.handle(association, PUSH, action(), encoded(asked(*UIDS)))

    assert [sent.command.status for sent in association.sent] == [Status.SUCCESS, Status.SUCCESS]
    assert len(association.requested) == 2
    assert sum(ledger.counts().values()) == 1


# --- data sets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transfer_syntax", MESSAGE_TRANSFER_SYNTAXES)
def test_requests_are_read_and_reports_written_in_every_transfer_syntax_offered(transfer_syntax: str) -> None:
    read = decode_action_information(encoded(asked(*UIDS), transfer_syntax), transfer_syntax)
    assert read.transaction_uid == "2.25.7"
    assert read.references == tuple(Reference(CT_IMAGE, uid) for uid in UIDS)

    result = Result(
        committed=read.references[:1], failed=(Failure(read.references[1], FailureReason.CLASS_INSTANCE_CONFLICT),)
    )
    written = encode_event_information("2.25.7", result, transfer_syntax)

    assert len(written) % 2 == 0
    event_information = decoded(written, transfer_syntax)
    assert event_information.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == UIDS[0]
    assert event_information.FailedSOPSequence[0].FailureReason == 0x0119


def without(keyword: str, *, in_item: bool = False) -> Dataset:
    dataset = asked(*UIDS)
    del (dataset.ReferencedSOPSequence[0] if in_item else dataset)[keyword]
    return dataset


def of_undefined_length() -> Dataset:
    dataset = asked(*UIDS)
    dataset["ReferencedSOPSequence"].is_undefined_length = True
    for item in dataset.ReferencedSOPSequence:
        item.is_undefined_length_sequence_item = True
    return dataset


def test_sequences_of_undefined_length_are_read() -> None:
    assert len(decode_action_information(encoded(of_undefined_length()), EXPLICIT_LITTLE).references) == 2


def test_an_instance_named_twice_counts_once() -> None:
    assert len(decode_action_information(encoded(asked("1.2", "1.2")), EXPLICIT_LITTLE).references) == 1


NESTED = b"".join(
    struct.pack("<HH2sHI", 0x0008, 0x1199, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    for _ in range(10_000)
)
BAD_UID = struct.pack("<HH2sH", 0x0008, 0x1195, b"UI", 4) + b"abc\0"


@pytest.mark.parametrize(
    "dataset",
    [
        b"",
        b"\x08",
        b"garbage that is no data set at all, whatever it may be",
        BAD_UID,
        NESTED,
        encoded(asked(*UIDS))[:-7],
        encoded(without("TransactionUID")),
        encoded(without("ReferencedSOPSequence")),
        encoded(without("ReferencedSOPClassUID", in_item=True)),
        encoded(without("ReferencedSOPInstanceUID", in_item=True)),
        encoded(asked()),
    ],
    ids=["empty", "one byte", "garbage", "bad uid", "nested", "cut off", "no transaction", "no sequence", "no class",
         "no instance", "no item"],
)  # fmt: skip
@pytest.mark.parametrize("transfer_syntax", [EXPLICIT_LITTLE, IMPLICIT, DEFLATED])
def test_what_is_no_request_is_an_invalid_argument(dataset: bytes, transfer_syntax: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidActionInformation) as caught:
            decode_action_information(dataset, transfer_syntax)

    assert caught.value.status == Status.INVALID_ARGUMENT_VALUE


def test_a_deflated_request_cannot_grow_without_bound() -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = b"".join(deflater.compress(bytes(1024 * 1024)) for _ in range(33)) + deflater.flush()

    with pytest.raises(InvalidActionInformation, match="more than"):
        decode_action_information(bomb, DEFLATED)


def test_more_instances_than_the_bound_are_a_resource_limitation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_messages, "REFERENCES_MAX", 2)

    assert len(decode_action_information(encoded(asked("1.1", "1.2")), EXPLICIT_LITTLE).references) == 2
    with pytest.raises(InvalidActionInformation) as caught:
        decode_action_information(encoded(asked("1.1", "1.2", "1.3")), EXPLICIT_LITTLE)
    assert caught.value.status == Status.RESOURCE_LIMITATION
