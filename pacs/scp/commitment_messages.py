"""Action information in, event information out: the data sets of the Storage Commitment Push Model.

For: bytes to values and back, in each transfer syntax of `presentation.MESSAGE_TRANSFER_SYNTAXES`. Not for: what is
answered or when (`pacs.scp.commitment`).

Invariants: whatever a peer sends, the outcome is `ActionInformation` or `InvalidActionInformation` with a status;
memory is bounded by `REFERENCES_MAX` and `ACTION_BYTES_MAX`.

References
----------
PS3.4 J.3.2 (N-ACTION, Table J.3-1), J.3.3 (N-EVENT-REPORT, Table J.3-2); PS3.7 10.1.1, 10.1.4; PS3.5 A.5 (deflate)
"""

import zlib
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from foundation.errors import PeerError
from pacs.archive.commitment import Failure, Reference, Result
from pacs.archive.header import is_uid
from pacs.archive.query_values import Item
from pacs.scp.find_identifier import UnreadableIdentifier, decode_identifier
from pacs.scp.presentation import STORAGE_COMMITMENT_PUSH_MODEL
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, encode_command

STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known SOP Instance that requests and reports name (PS3.4 J.3.5)."""

REQUEST_STORAGE_COMMITMENT: Final = 1
"""Action Type ID (PS3.4 J.3.2.1)."""

EVENT_ALL_COMMITTED: Final = 1
EVENT_FAILURES_EXIST: Final = 2
"""Event Type IDs (PS3.4 J.3.3.1)."""

REFERENCES_MAX: Final = 100_000
"""Instances of one request: a whole-body study has some 10,000; more would hold up its association too long."""

ACTION_BYTES_MAX: Final = 32 * 1024 * 1024
"""Longest action information, inflated: `REFERENCES_MAX` references of the longest UIDs are 17 MB."""

_ELEMENTS_MAX: Final = 4 * REFERENCES_MAX
"""Two elements a reference, and what peers add to it without need."""

_IMPLICIT: Final = "1.2.840.10008.1.2"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

_TRANSACTION_UID: Final = 0x00081195
_REFERENCED_SOP_SEQUENCE: Final = 0x00081199
_REFERENCED_SOP_CLASS_UID: Final = 0x00081150
_REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155


class InvalidActionInformation(PeerError):
    """A request that cannot be carried out; `status` answers it (PS3.7 10.1.4.1.10)."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionInformation:
    """What a peer asks: a transaction and its instances, each once."""

    transaction_uid: str
    references: tuple[Reference, ...] = field(repr=False)


def decode_action_information(dataset: bytes, transfer_syntax_uid: str) -> ActionInformation:
    """Read the data set of an N-ACTION-RQ.

    Raises
    ------
    InvalidActionInformation
        If it is no such data set, or names more than `REFERENCES_MAX` instances.
    """
    try:
        keys = decode_identifier(
            dataset, transfer_syntax_uid, bytes_max=ACTION_BYTES_MAX, elements_max=_ELEMENTS_MAX
        ).keys
    except UnreadableIdentifier as error:
        raise InvalidActionInformation(str(error), Status.INVALID_ARGUMENT_VALUE) from error
    transaction_uid = _uid(keys, _TRANSACTION_UID)
    items = keys[_REFERENCED_SOP_SEQUENCE].items if _REFERENCED_SOP_SEQUENCE in keys else ()
    if not items:
        raise InvalidActionInformation("Referenced SOP Sequence is missing or empty", Status.INVALID_ARGUMENT_VALUE)
    if len(items) > REFERENCES_MAX:
        raise InvalidActionInformation(f"more than {REFERENCES_MAX} instances", Status.RESOURCE_LIMITATION)
    references = (
        Reference(_uid(item, _REFERENCED_SOP_CLASS_UID), _uid(item, _REFERENCED_SOP_INSTANCE_UID)) for item in items
    )
    return ActionInformation(transaction_uid=transaction_uid, references=tuple(dict.fromkeys(references)))


def _uid(item: Item, tag: int) -> str:
    uid = item[tag].text if tag in item else ""
    if not is_uid(uid.encode("ascii", "replace")):
        raise InvalidActionInformation(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is no UID", Status.INVALID_ARGUMENT_VALUE)
    return uid


def encode_event_information(transaction_uid: str, result: Result, transfer_syntax_uid: str) -> bytes:
    """Write the data set of an N-EVENT-REPORT-RQ (PS3.4 Table J.3-2)."""
    event = Dataset()
    event.TransactionUID = transaction_uid
    if result.failed:
        event.FailedSOPSequence = [_failed_item(failure) for failure in result.failed]
    if result.committed:
        event.ReferencedSOPSequence = [_item(reference) for reference in result.committed]
    written = DicomBytesIO()
    written.is_implicit_VR = transfer_syntax_uid == _IMPLICIT
    written.is_little_endian = transfer_syntax_uid != _BIG_ENDIAN
    write_dataset(written, event)
    if transfer_syntax_uid != _DEFLATED:
        return written.getvalue()
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(written.getvalue()) + deflater.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _failed_item(failure: Failure) -> Dataset:
    item = _item(failure.reference)
    item.FailureReason = int(failure.reason)
    return item


def encode_event_report(message_id: int, result: Result) -> bytes:
    """Write the command set of an N-EVENT-REPORT-RQ (PS3.7 10.3.1.1)."""
    return encode_command(
        affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
        command_field=CommandField.N_EVENT_REPORT_RQ,
        message_id=message_id,
        data_set_type=1,
        affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
        event_type_id=EVENT_FAILURES_EXIST if result.failed else EVENT_ALL_COMMITTED,
    )


def is_taken(answer: Command, message_id: int) -> bool:
    """Say whether a response means that the peer has taken the report."""
    return (
        answer.command_field == CommandField.N_EVENT_REPORT_RSP
        and answer.message_id_being_responded_to == message_id
        and answer.status == Status.SUCCESS
    )
