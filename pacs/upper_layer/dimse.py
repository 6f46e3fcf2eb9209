"""Command sets: group 0000 in implicit VR little endian, to and from values.

For: reading what is asked (`decode_command`), writing what is answered. Not for: data sets, assembling fragments
(`connection`), or statuses of services.

Invariants: whatever bytes come in, the outcome is a `Command` or `RemoteProtocolError`. A command whose frame is
sound but whose arguments are not is a `Command` with an `error`: its data set, if any, still follows on the wire and
must be taken in before the failure is answered.

References
----------
PS3.7 6.3 (command set structure), 9.3 and 10.3 (messages), Annex E; PS3.5 6.2, 9.1
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from pacs.upper_layer.command_elements import (
    ELEMENTS,
    NO_DATA_SET,
    REQUIRED_ELEMENTS,
    CommandField,
    ElementVr,
    Priority,
)
from pacs.upper_layer.errors import CommandError, LocalProtocolError, RemoteProtocolError
from pacs.upper_layer.limits import AE_TITLE_BYTES_MAX, UID_BYTES_MAX

__all__ = [
    "NO_DATA_SET",
    "Command",
    "CommandField",
    "Priority",
    "decode_command",
    "encode_command",
    "response",
    "store_request",
    "store_response",
]

_ERROR_COMMENT_CHARACTERS_MAX: Final = 64
"""PS3.5 6.2, VR LO."""

_RESPONSE_BIT: Final = 0x8000
_DATA_SET_FOLLOWS: Final = 0x0001
_UNSIGNED_SHORT: Final = struct.Struct("<H")
_UNSIGNED_LONG: Final = struct.Struct("<L")
_ELEMENT_HEADER: Final = struct.Struct("<HHL")
_UID_CHARACTERS: Final = b"0123456789."

_AFFECTED_SOP_CLASS_UID: Final = ELEMENTS["affected_sop_class_uid"].number
_COMMAND_FIELD: Final = ELEMENTS["command_field"].number
_MESSAGE_ID: Final = ELEMENTS["message_id"].number
_MESSAGE_ID_BEING_RESPONDED_TO: Final = ELEMENTS["message_id_being_responded_to"].number
_DATA_SET_TYPE: Final = ELEMENTS["data_set_type"].number
_STATUS: Final = ELEMENTS["status"].number
_AFFECTED_SOP_INSTANCE_UID: Final = ELEMENTS["affected_sop_instance_uid"].number
_REQUESTED_SOP_INSTANCE_UID: Final = ELEMENTS["requested_sop_instance_uid"].number

_UID_NUMBERS: Final = frozenset(row.number for row in ELEMENTS.values() if row.vr is ElementVr.UNIQUE_IDENTIFIER)
_NUMBER_LENGTHS: Final = {row.number: 2 for row in ELEMENTS.values() if row.vr is ElementVr.UNSIGNED_SHORT}


class _Element:
    """Reads one element of a `Command` when asked for; the base of the typed ones below."""

    __slots__ = ("number",)
    number: int

    def __set_name__(self, owner: type, name: str) -> None:
        self.number = ELEMENTS[name].number

    def _raw(self, command: Command) -> bytes:
        raw = command.elements.get(self.number)
        if raw is None:
            raise CommandError("a required argument is missing", status=0x0212, offending_element=self.number)
        return raw


class _Number(_Element):
    """A required US."""

    __slots__ = ()

    def __get__(self, command: Command, owner: type) -> int:
        return _unsigned_short(self._raw(command), self.number)


class _OptionalNumber(_Element):
    """A US that may be absent."""

    __slots__ = ()

    def __get__(self, command: Command, owner: type) -> int | None:
        raw = command.elements.get(self.number)
        return None if raw is None else _unsigned_short(raw, self.number)


class _Text(_Element):
    """A required UI or AE, without padding."""

    __slots__ = ()

    def __get__(self, command: Command, owner: type) -> str:
        return _text(self._raw(command))


class _OptionalText(_Element):
    """An AE or LO that may be absent, without padding."""

    __slots__ = ()

    def __get__(self, command: Command, owner: type) -> str | None:
        raw = command.elements.get(self.number)
        return None if raw is None else _text(raw)


class _Tags(_Element):
    """An AT with any number of values, each (group << 16) | element; empty when absent."""

    __slots__ = ()

    def __get__(self, command: Command, owner: type) -> tuple[int, ...]:
        raw = command.elements.get(self.number, b"")
        if len(raw) % 4:
            raise CommandError("a list of tags has a wrong length", status=0x0212, offending_element=self.number)
        words = struct.unpack(f"<{len(raw) // 2}H", raw)
        return tuple(group << 16 | element for group, element in zip(words[::2], words[1::2], strict=True))


def _unsigned_short(raw: bytes, number: int) -> int:
    if len(raw) != 2:
        raise CommandError("a number has a wrong length", status=0x0212, offending_element=number)
    return raw[0] | raw[1] << 8


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace").strip(" \0")


class Command:
    """A decoded command set; immutable.

    Each attribute is an element of the command dictionary by keyword. Reading one that the standard requires, but the
    peer left out, raises `CommandError`; the optional ones are None when absent.

    Attributes
    ----------
    elements : dict of int to bytes
        Raw values by element number; not to be changed.
    command_field, message_id, ... :
        See PS3.7 Annex E.1. `priority` is MEDIUM when absent.
    has_dataset : bool
        Whether a data set follows on the wire.
    error : CommandError or None
        Why the command cannot be carried out, with the status that answers; None when it is sound.
    """

    __slots__ = ("command_field", "data_set_type", "elements", "error")

    elements: Final[dict[int, bytes]]
    command_field: Final[int]
    data_set_type: Final[int]
    error: Final[CommandError | None]

    affected_sop_class_uid = _Text()
    requested_sop_class_uid = _Text()
    message_id = _Number()
    message_id_being_responded_to = _Number()
    move_destination = _Text()
    status = _Number()
    offending_elements = _Tags()
    error_comment = _OptionalText()
    error_id = _OptionalNumber()
    affected_sop_instance_uid = _Text()
    requested_sop_instance_uid = _Text()
    event_type_id = _Number()
    attribute_identifier_list = _Tags()
    action_type_id = _Number()
    number_of_remaining_suboperations = _OptionalNumber()
    number_of_completed_suboperations = _OptionalNumber()
    number_of_failed_suboperations = _OptionalNumber()
    number_of_warning_suboperations = _OptionalNumber()
    move_originator_aet = _OptionalText()
    move_originator_message_id = _OptionalNumber()

    def __init__(self, elements: dict[int, bytes]) -> None:
        self.elements = elements
        self.command_field = _frame_number(elements, _COMMAND_FIELD)
        self.data_set_type = _frame_number(elements, _DATA_SET_TYPE)
        self.error = _argument_error(self.command_field, elements)

    @property
    def has_dataset(self) -> bool:
        """Whether a data set follows on the wire."""
        return self.data_set_type != NO_DATA_SET

    @property
    def is_response(self) -> bool:
        """Whether this answers a request of ours."""
        return self.command_field & _RESPONSE_BIT != 0

    @property
    def priority(self) -> int:
        """Priority (0000,0700); MEDIUM when absent."""
        raw = self.elements.get(ELEMENTS["priority"].number)
        if raw is None:
            return Priority.MEDIUM
        return _unsigned_short(raw, ELEMENTS["priority"].number)

    def __contains__(self, keyword: str) -> bool:
        """Whether the element with this keyword was sent."""
        return ELEMENTS[keyword].number in self.elements

    def __repr__(self) -> str:
        # Arguments stay out: a move destination or an error comment may say more than a log should.
        return f"Command({self.command_field:04X}H, has_dataset={self.has_dataset})"


def _frame_number(elements: dict[int, bytes], number: int) -> int:
    """Read a number without which the message cannot even be answered."""
    raw = elements.get(number)
    if raw is None or len(raw) != 2:
        raise RemoteProtocolError(f"element (0000,{number:04X}) is missing or no number")
    return raw[0] | raw[1] << 8


def _argument_error(command_field: int, elements: dict[int, bytes]) -> CommandError | None:
    """Judge the arguments of a command, once what is needed for an answer is known to be there."""
    if command_field & _RESPONSE_BIT:
        _frame_number(elements, _MESSAGE_ID_BEING_RESPONDED_TO)
        _frame_number(elements, _STATUS)
    elif command_field == CommandField.C_CANCEL_RQ:
        _frame_number(elements, _MESSAGE_ID_BEING_RESPONDED_TO)
    else:
        _frame_number(elements, _MESSAGE_ID)
    required = REQUIRED_ELEMENTS.get(command_field)
    if required is None:
        return CommandError("the operation is not known", status=0x0211, offending_element=_COMMAND_FIELD)
    for keyword in required:
        number = ELEMENTS[keyword].number
        if not elements.get(number):
            return CommandError(f"{keyword} is missing", status=0x0212, offending_element=number)
    for number, raw in elements.items():
        if number in _NUMBER_LENGTHS:
            if len(raw) != 2:
                return CommandError("a number has a wrong length", status=0x0212, offending_element=number)
        elif number in _UID_NUMBERS:
            uid = raw.rstrip(b"\0 ")
            if len(uid) > UID_BYTES_MAX or uid.translate(None, _UID_CHARACTERS):
                is_instance = number in (_AFFECTED_SOP_INSTANCE_UID, _REQUESTED_SOP_INSTANCE_UID)
                return CommandError(
                    "a UID breaks the rules for UIDs",
                    status=0x0117 if is_instance else 0x0212,
                    offending_element=number,
                )
    return None


def decode_command(data: bytes | bytearray | memoryview) -> Command:
    """Read a whole command set.

    Parameters
    ----------
    data : bytes-like
        Implicit VR little endian; not kept.

    Returns
    -------
    Command
        Look at its `error` before carrying it out.

    Raises
    ------
    RemoteProtocolError
        If the elements do not add up, one is repeated or outside group 0000, or the command field, the data set type,
        the message ID or (in a response) the status cannot be read: an answer could refer to nothing.

    Notes
    -----
    The group length is not believed, and elements out of order are taken: neither can be misunderstood, and both occur.

    References
    ----------
    PS3.7 6.3.1
    """
    raw = bytes(data)
    size = len(raw)
    unpack = _ELEMENT_HEADER.unpack_from
    elements: dict[int, bytes] = {}
    place = 0
    while place < size:
        if size - place < 8:
            raise RemoteProtocolError("an element of a command set is cut off")
        group, number, length = unpack(raw, place)
        start = place + 8
        place = start + length
        if group or place > size:
            raise RemoteProtocolError("a command set is not well formed")
        if number in elements:
            raise RemoteProtocolError("an element of a command set is repeated")
        elements[number] = raw[start:place]
    return Command(elements)


# --- writing -------------------------------------------------------------------------------------

_Value = int | str | Sequence[int]


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT_HEADER.pack(0, number, len(value)) + value


def _uid_value(uid: str) -> bytes:
    raw = uid.encode("ascii")
    if len(raw) > UID_BYTES_MAX:
        raise LocalProtocolError("a UID is longer than 64 characters")
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
    unknown = fields.keys() - ELEMENTS.keys()
    if unknown:
        raise LocalProtocolError(f"not in the command dictionary: {', '.join(sorted(unknown))}")
    parts: list[bytes] = []
    for keyword, (number, vr) in ELEMENTS.items():
        value = fields.get(keyword)
        if value is not None:
            parts.append(_element(number, _value(keyword, vr, value)))
    body = b"".join(parts)
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

    References
    ----------
    PS3.7 9.3, 10.3
    """
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
            if len(uid) <= UID_BYTES_MAX and not uid.translate(None, _UID_CHARACTERS):
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
