"""Reading command sets: group 0000 in implicit VR little endian.

For: `dimse`, the name under which it is used. Not for: data sets, or assembling fragments (`pdata`).

Invariants: whatever bytes come in, the outcome is a `Command` or `RemoteProtocolError`. A command whose frame is
sound but whose arguments are not is a `Command` with an `error`: its data set, if any, still follows on the wire and
must be taken in before the failure is answered.

References
----------
PS3.7 6.3 (command set structure), 9.3 and 10.3 (messages), Annex E; PS3.5 6.2, 9.1
"""

from __future__ import annotations

import struct
from typing import Final

from pacs.upper_layer.command_elements import (
    DATA_SET_REQUIRED,
    ELEMENTS,
    NO_DATA_SET,
    REQUIRED_ELEMENTS,
    CommandField,
    ElementVr,
    Priority,
)
from pacs.upper_layer.errors import CommandError, RemoteProtocolError
from pacs.upper_layer.repertoire import decode_text, is_uid

__all__ = ["Command", "decode_command"]

_RESPONSE_BIT: Final = 0x8000
_ELEMENT_HEADER: Final = struct.Struct("<HHL")

_COMMAND_FIELD: Final = ELEMENTS["command_field"].number
_MESSAGE_ID: Final = ELEMENTS["message_id"].number
_MESSAGE_ID_BEING_RESPONDED_TO: Final = ELEMENTS["message_id_being_responded_to"].number
_DATA_SET_TYPE: Final = ELEMENTS["data_set_type"].number
_STATUS: Final = ELEMENTS["status"].number
_AFFECTED_SOP_INSTANCE_UID: Final = ELEMENTS["affected_sop_instance_uid"].number
_REQUESTED_SOP_INSTANCE_UID: Final = ELEMENTS["requested_sop_instance_uid"].number

_UID_NUMBERS: Final = frozenset(row.number for row in ELEMENTS.values() if row.vr is ElementVr.UNIQUE_IDENTIFIER)
_NUMBERS: Final = frozenset(row.number for row in ELEMENTS.values() if row.vr is ElementVr.UNSIGNED_SHORT)


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
        return decode_text(self._raw(command))


class _OptionalText(_Element):
    """An AE or LO that may be absent, without padding."""

    __slots__ = ()

    def __get__(self, command: Command, owner: type) -> str | None:
        raw = command.elements.get(self.number)
        return None if raw is None else decode_text(raw)


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
    if command_field in DATA_SET_REQUIRED and _frame_number(elements, _DATA_SET_TYPE) == NO_DATA_SET:
        return CommandError("the data set is missing", status=0x0212, offending_element=_DATA_SET_TYPE)
    for number, raw in elements.items():
        if number in _NUMBERS:
            if len(raw) != 2:
                return CommandError("a number has a wrong length", status=0x0212, offending_element=number)
        elif number in _UID_NUMBERS and raw and not is_uid(raw.rstrip(b"\0 ")):
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
