"""Layout of PDUs and of presentation data values (PDVs), without their meaning.

For: headers, the fixed PDUs (reject, release, abort), and cutting messages into P-DATA-TF. Not for: A-ASSOCIATE
items (`associate_codec`), order (`fsm`, `connection`) or command sets (`dimse`).

Invariants: big endian. Data sets are never copied: what is sent is headers and slices of the caller's buffer.

References
----------
PS3.8 9.3 (PDU structure), Annex E (PDV encoding)
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from pacs.upper_layer.associate import AssociateReject
from pacs.upper_layer.limits import PDU_HEADER_BYTES, PDV_HEADER_BYTES

__all__ = [
    "COMMAND_BIT",
    "LAST_BIT",
    "PDU_HEADER",
    "PDV_HEADER",
    "PduType",
    "encode_abort",
    "encode_associate_reject",
    "encode_release_request",
    "encode_release_response",
    "fragment_command",
    "fragment_dataset",
    "with_header",
]


class PduType(IntEnum):
    """First byte of a PDU (PS3.8 9.3.2 to 9.3.8)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


PDU_HEADER: Final = struct.Struct(">BxL")
"""Type, reserved, length of what follows."""

PDV_HEADER: Final = struct.Struct(">LBB")
"""Length of what follows (2 + data), presentation context ID, message control header."""

COMMAND_BIT: Final = 0x01
LAST_BIT: Final = 0x02
"""Message control header (PS3.8 Annex E.2); the other six bits are sent as 0 and not looked at."""

_BOTH_HEADERS: Final = struct.Struct(">BxLLBB")
_FIXED_PDU: Final = struct.Struct(">BxLxBBB")


def with_header(pdu_type: PduType, content: bytes) -> bytes:
    """Put the PDU header before `content`."""
    return PDU_HEADER.pack(pdu_type, len(content)) + content


def encode_associate_reject(reject: AssociateReject) -> bytes:
    """Write an A-ASSOCIATE-RJ PDU (PS3.8 9.3.4)."""
    return _FIXED_PDU.pack(PduType.ASSOCIATE_RJ, 4, reject.result, reject.source, reject.reason)


def encode_release_request() -> bytes:
    """Write an A-RELEASE-RQ PDU (PS3.8 9.3.6)."""
    return _FIXED_PDU.pack(PduType.RELEASE_RQ, 4, 0, 0, 0)


def encode_release_response() -> bytes:
    """Write an A-RELEASE-RP PDU (PS3.8 9.3.7)."""
    return _FIXED_PDU.pack(PduType.RELEASE_RP, 4, 0, 0, 0)


def encode_abort(source: int, reason: int) -> bytes:
    """Write an A-ABORT PDU (PS3.8 9.3.8)."""
    return _FIXED_PDU.pack(PduType.ABORT, 4, 0, source, reason)


def _header(context_id: int, control: int, data_bytes: int) -> bytes:
    return _BOTH_HEADERS.pack(PduType.P_DATA_TF, data_bytes + PDV_HEADER_BYTES, data_bytes + 2, context_id, control)


def fragment_command(context_id: int, command: bytes, payload_max: int) -> bytes:
    """Write a command set as P-DATA-TF PDUs of one fragment each.

    Parameters
    ----------
    context_id : int
        Presentation context.
    command : bytes
        A whole encoded command set.
    payload_max : int
        Most bytes of data in a fragment; even.
    """
    size = len(command)
    if size <= payload_max:
        return _header(context_id, COMMAND_BIT | LAST_BIT, size) + command
    parts: list[bytes] = []
    for start in range(0, size, payload_max):
        piece = command[start : start + payload_max]
        is_last = start + payload_max >= size
        control = COMMAND_BIT | LAST_BIT if is_last else COMMAND_BIT
        parts += (_header(context_id, control, len(piece)), piece)
    return b"".join(parts)


def fragment_dataset(
    context_id: int, dataset: memoryview, payload_max: int, *, is_last: bool
) -> list[memoryview | bytes]:
    """Cut a data set, or a part of one, into P-DATA-TF PDUs without copying it.

    Parameters
    ----------
    context_id : int
        Presentation context.
    dataset : memoryview
        Contiguous bytes; the slices returned refer to it, so it must not change until they are sent.
    payload_max : int
        Most bytes of data in a fragment; even.
    is_last : bool
        Whether the data set ends here. If so at least one fragment is made, even for no bytes.

    Returns
    -------
    list of bytes and memoryview
        Header, slice, header, slice, ... for a gathering write. Each header is 12 bytes: PDU and PDV.
    """
    size = len(dataset)
    # All but the last fragment of a call are alike, so they share one header object.
    whole, rest = divmod(size, payload_max)
    if rest == 0 and whole and is_last:
        whole, rest = whole - 1, payload_max
    buffers: list[memoryview | bytes] = []
    start = 0
    if whole:
        header = _header(context_id, 0, payload_max)
        for start in range(0, whole * payload_max, payload_max):
            buffers.append(header)
            buffers.append(dataset[start : start + payload_max])
        start = whole * payload_max
    if is_last or rest:
        buffers.append(_header(context_id, LAST_BIT if is_last else 0, rest))
        if rest:
            buffers.append(dataset[start:])
    return buffers


assert _BOTH_HEADERS.size == PDU_HEADER_BYTES + PDV_HEADER_BYTES
