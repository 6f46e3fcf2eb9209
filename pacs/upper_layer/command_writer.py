"""Writing command sets: group 0000 in implicit VR little endian.

For: `dimse`, the name under which it is used. Not for: data sets, or cutting into fragments (`pdu`).

Invariants: elements ascend by tag, values have an even length, the group length is right. What goes wrong here is
our mistake (`LocalProtocolError`), and an answer never fails because of what the request held.

References
----------
PS3.7 6.3.1, 9.3, 10.3, Annex E; PS3.5 6.2, 9.1
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from pacs.upper_layer.command_elements import ELEMENTS, NO_DATA_SET, CommandField, ElementVr, Priority
from pacs.upper_layer.command_reader import Command
from pacs.upper_layer.errors import LocalProtocolError
from pacs.upper_layer.limits import AE_TITLE_BYTES_MAX
from pacs.upper_layer.repertoire import is_uid

__all__ = ["encode_command", "response", "store_request", "store_response"]

_ERROR_COMMENT_CHARACTERS_MAX: Final = 64
"""PS3.5 6.2, VR LO."""

_RESPONSE_BIT: Final = 0x8000
_DATA_SET_FOLLOWS: Final = 0x0001
_UNSIGNED_SHORT: Final = struct.Struct("<H")
_UNSIGNED_LONG: Final = struct.Struct("<L")
_ELEMENT_HEADER: Final = struct.Struct("<HHL")

_AFFECTED_SOP_CLASS_UID: Final = ELEMENTS["affected_sop_class_uid"].number
_COMMAND_FIELD: Final = ELEMENTS["command_field"].number
_MESSAGE_ID_BEING_RESPONDED_TO: Final = ELEMENTS["message_id_being_responded_to"].number
_DATA_SET_TYPE: Final = ELEMENTS["data_set_type"].number
_STATUS: Final = ELEMENTS["status"].number
_AFFECTED_SOP_INSTANCE_UID: Final = ELEMENTS["affected_sop_instance_uid"].number

_Value = int | str | Sequence[int]


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT_HEADER.pack(0, number, len(value)) + value


def _uid_value(uid: str) -> bytes:
    raw = uid.encode("ascii", "replace")
    if not is_uid(raw):
        raise LocalProtocolError("a UID must be 1 to 64 digits and dots")
    return raw + b"\0" if len(raw) & 1 else raw


def _text_value(text: str, length_max: int) -> bytes:
    raw = text.encode("ascii", "replace")[:length_max]
    return raw + b" " if len(raw) & 1 else raw


def _value(keyword: str, vr: ElementVr, value: _Value) -> bytes:
    if vr is ElementVr.UNSIGNED_SHORT and isinstance(value, int):
        if not 0 <= value <= 0xFFFF:
            raise LocalProtocolError(f"{keyword} does not fit two bytes")
        return _UNSIGNED_SHORT.pack(value)
    if vr is ElementVr.UNIQUE_IDENTIFIER and isinstance(value, str):
        return _uid_value(value)
    if vr is ElementVr.APPLICATION_ENTITY and isinstance(value, str):
        if len(value) > AE_TITLE_BYTES_MAX:
            raise LocalProtocolError(f"{keyword} is longer than 16 characters")
        return _text_value(value, AE_TITLE_BYTES_MAX)
    if vr is ElementVr.LONG_STRING and isinstance(value, str):
        return _text_value(value, _ERROR_COMMENT_CHARACTERS_MAX)
    if vr is ElementVr.ATTRIBUTE_TAGS and isinstance(value, Sequence) and not isinstance(value, str):
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
    raise LocalProtocolError(f"{keyword} has a value of the wrong type")


def encode_command(**fields: _Value | None) -> bytes:
    """Write a command set with its group length.

    Parameters
    ----------
    **fields : int, str or sequence of int, or None
        Values by keyword, see `ELEMENTS`; None leaves the element out. Tags are (group << 16) | element. An
        error comment is cut to 64 characters of ASCII, because a comment must never stop an answer.

    Raises
    ------
    LocalProtocolError
        If a keyword is unknown or a value does not fit its element.

    References
    ----------
    PS3.7 6.3.1, Annex E.1
    """
    parts: list[tuple[int, bytes]] = []
    for keyword, value in fields.items():
        definition = ELEMENTS.get(keyword)
        if definition is None:
            raise LocalProtocolError(f"{keyword} is not in the command dictionary")
        if value is not None:
            number, vr = definition
            parts.append((number, _element(number, _value(keyword, vr, value))))
    parts.sort()
    body = b"".join([element for _, element in parts])
    return _element(0, _UNSIGNED_LONG.pack(len(body))) + body


def response(request: Command, status: int, *, has_dataset: bool = False, **fields: _Value | None) -> bytes:
    """Write the response to any request.

    Parameters
    ----------
    request : Command
        What is answered; its message ID, SOP Class and SOP Instance (and event or action type) are repeated.
    status : int
        DIMSE status.
    has_dataset : bool
        Whether a data set follows (C-FIND pending, N-GET, ...).
    **fields
        More elements, such as the sub-operation counts; they win over what is repeated.

    Raises
    ------
    LocalProtocolError
        If there is no response to such a message: it is a response itself, or a C-CANCEL.

    References
    ----------
    PS3.7 9.3, 10.3
    """
    if request.is_response or request.command_field == CommandField.C_CANCEL_RQ:
        raise LocalProtocolError("only a request other than C-CANCEL has a response")
    repeated: dict[str, _Value | None] = {
        "affected_sop_class_uid": _first_of(request, "affected_sop_class_uid", "requested_sop_class_uid"),
        "affected_sop_instance_uid": _first_of(request, "affected_sop_instance_uid", "requested_sop_instance_uid"),
    }
    for keyword in ("event_type_id", "action_type_id"):
        raw = request.elements.get(ELEMENTS[keyword].number)
        # PS3.7 10.3.1 and 10.3.4: only a success names the type again.
        if raw is not None and len(raw) == 2 and status == 0:
            repeated[keyword] = _UNSIGNED_SHORT.unpack(raw)[0]
    repeated.update(fields)
    return encode_command(
        command_field=request.command_field | _RESPONSE_BIT,
        message_id_being_responded_to=request.message_id,
        data_set_type=_DATA_SET_FOLLOWS if has_dataset else NO_DATA_SET,
        status=status,
        **repeated,
    )


def _first_of(request: Command, *keywords: str) -> str | None:
    """Return the first of these UIDs that the request holds and that may be repeated."""
    for keyword in keywords:
        raw = request.elements.get(ELEMENTS[keyword].number)
        if raw:
            uid = raw.rstrip(b"\0 ")
            if is_uid(uid):
                return uid.decode("ascii")
    return None


_STORE_RESPONSE_HEAD: Final = struct.Struct("<HHLL HHL")
_STORE_RESPONSE_NUMBERS: Final = struct.Struct("<HHLH HHLH HHLH HHLH")


def store_response(
    message_id: int,
    sop_class_uid: str,
    sop_instance_uid: str,
    status: int,
    error_comment: str = "",
) -> bytes:
    """Write a C-STORE-RSP: what `encode_command` writes, several times faster.

    Raises
    ------
    LocalProtocolError
        If a value does not fit. So a command with an `error` is answered with `response`, which leaves out
        the UIDs that are none.

    References
    ----------
    PS3.7 9.3.1.2
    """
    sop_class = _uid_value(sop_class_uid)
    sop_instance = _uid_value(sop_instance_uid)
    # Both UIDs, with 8 bytes of header each, and four numbers of 10 bytes with theirs.
    body_bytes = len(sop_class) + len(sop_instance) + 56
    comment = b""
    if error_comment:
        comment = _element(0x0902, _text_value(error_comment, _ERROR_COMMENT_CHARACTERS_MAX))
        body_bytes += len(comment)
    if not (0 <= message_id <= 0xFFFF and 0 <= status <= 0xFFFF):
        raise LocalProtocolError("a message ID or a status does not fit two bytes")
    return b"".join(
        (
            _STORE_RESPONSE_HEAD.pack(0, 0, 4, body_bytes, 0, _AFFECTED_SOP_CLASS_UID, len(sop_class)),
            sop_class,
            _STORE_RESPONSE_NUMBERS.pack(
                *(0, _COMMAND_FIELD, 2, CommandField.C_STORE_RSP),
                *(0, _MESSAGE_ID_BEING_RESPONDED_TO, 2, message_id),
                *(0, _DATA_SET_TYPE, 2, NO_DATA_SET),
                *(0, _STATUS, 2, status),
            ),
            comment,
            _ELEMENT_HEADER.pack(0, _AFFECTED_SOP_INSTANCE_UID, len(sop_instance)),
            sop_instance,
        )
    )


def store_request(
    message_id: int,
    sop_class_uid: str,
    sop_instance_uid: str,
    *,
    priority: int = Priority.MEDIUM,
    move_originator_aet: str | None = None,
    move_originator_message_id: int | None = None,
) -> bytes:
    """Write a C-STORE-RQ.

    References
    ----------
    PS3.7 9.3.1.1
    """
    return encode_command(
        affected_sop_class_uid=sop_class_uid,
        command_field=CommandField.C_STORE_RQ,
        message_id=message_id,
        priority=priority,
        data_set_type=_DATA_SET_FOLLOWS,
        affected_sop_instance_uid=sop_instance_uid,
        move_originator_aet=move_originator_aet,
        move_originator_message_id=move_originator_message_id,
    )
