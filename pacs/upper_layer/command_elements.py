"""The command dictionary: elements of group 0000, command fields, and what each message must hold.

For: `dimse`, and whoever names a command element. Not for: bytes.

References
----------
PS3.7 Annex E.1 (command dictionary), 9.3 and 10.3 (messages), Annex C (status codes)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = [
    "DATA_SET_REQUIRED",
    "ELEMENTS",
    "NO_DATA_SET",
    "REQUIRED_ELEMENTS",
    "CommandField",
    "ElementDefinition",
    "ElementVr",
    "Priority",
]

NO_DATA_SET: Final = 0x0101
"""Command Data Set Type (0000,0800) of a message without data set; any other value announces one."""


class CommandField(IntEnum):
    """Command Field (0000,0100)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF


class Priority(IntEnum):
    """Priority (0000,0700)."""

    MEDIUM = 0x0000
    HIGH = 0x0001
    LOW = 0x0002


class ElementVr(Enum):
    """The value representations that occur in command sets."""

    UNSIGNED_SHORT = "US"
    UNSIGNED_LONG = "UL"
    UNIQUE_IDENTIFIER = "UI"
    APPLICATION_ENTITY = "AE"
    LONG_STRING = "LO"
    ATTRIBUTE_TAGS = "AT"


class ElementDefinition(NamedTuple):
    """Element number within group 0000 and value representation."""

    number: int
    vr: ElementVr


def _elements() -> dict[str, ElementDefinition]:
    us, ui, ae = (
        ElementVr.UNSIGNED_SHORT,
        ElementVr.UNIQUE_IDENTIFIER,
        ElementVr.APPLICATION_ENTITY,
    )
    row = ElementDefinition
    return {
        "command_group_length": row(0x0000, ElementVr.UNSIGNED_LONG),
        "affected_sop_class_uid": row(0x0002, ui),
        "requested_sop_class_uid": row(0x0003, ui),
        "command_field": row(0x0100, us),
        "message_id": row(0x0110, us),
        "message_id_being_responded_to": row(0x0120, us),
        "move_destination": row(0x0600, ae),
        "priority": row(0x0700, us),
        "data_set_type": row(0x0800, us),
        "status": row(0x0900, us),
        "offending_elements": row(0x0901, ElementVr.ATTRIBUTE_TAGS),
        "error_comment": row(0x0902, ElementVr.LONG_STRING),
        "error_id": row(0x0903, us),
        "affected_sop_instance_uid": row(0x1000, ui),
        "requested_sop_instance_uid": row(0x1001, ui),
        "event_type_id": row(0x1002, us),
        "attribute_identifier_list": row(0x1005, ElementVr.ATTRIBUTE_TAGS),
        "action_type_id": row(0x1008, us),
        "number_of_remaining_suboperations": row(0x1020, us),
        "number_of_completed_suboperations": row(0x1021, us),
        "number_of_failed_suboperations": row(0x1022, us),
        "number_of_warning_suboperations": row(0x1023, us),
        "move_originator_aet": row(0x1030, ae),
        "move_originator_message_id": row(0x1031, us),
    }


ELEMENTS: Final[Mapping[str, ElementDefinition]] = MappingProxyType(_elements())
"""By keyword in snake_case, in ascending order of tag. Retired elements are not listed: they are skipped when read."""

_REQUIRED_OF_REQUESTS: Final = {
    CommandField.C_STORE_RQ: ("affected_sop_class_uid", "affected_sop_instance_uid"),
    CommandField.C_GET_RQ: ("affected_sop_class_uid",),
    CommandField.C_FIND_RQ: ("affected_sop_class_uid",),
    CommandField.C_MOVE_RQ: ("affected_sop_class_uid", "move_destination"),
    CommandField.C_ECHO_RQ: ("affected_sop_class_uid",),
    CommandField.N_EVENT_REPORT_RQ: (
        "affected_sop_class_uid",
        "affected_sop_instance_uid",
        "event_type_id",
    ),
    CommandField.N_GET_RQ: ("requested_sop_class_uid", "requested_sop_instance_uid"),
    CommandField.N_SET_RQ: ("requested_sop_class_uid", "requested_sop_instance_uid"),
    CommandField.N_ACTION_RQ: (
        "requested_sop_class_uid",
        "requested_sop_instance_uid",
        "action_type_id",
    ),
    CommandField.N_CREATE_RQ: ("affected_sop_class_uid",),
    CommandField.N_DELETE_RQ: ("requested_sop_class_uid", "requested_sop_instance_uid"),
}

REQUIRED_ELEMENTS: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType(
    {int(command_field): _REQUIRED_OF_REQUESTS.get(command_field, ()) for command_field in CommandField}
)
"""Per known command field, what a message must hold beyond what every message must.

Every message must hold Command Field, Data Set Type and its Message ID (a response and a cancel: the ID responded
to), a response also Status. Priority is mandatory too, but it has a harmless default and is left out by some devices.
"""

DATA_SET_REQUIRED: Final = frozenset(
    {
        CommandField.C_STORE_RQ,
        CommandField.C_FIND_RQ,
        CommandField.C_GET_RQ,
        CommandField.C_MOVE_RQ,
        CommandField.N_SET_RQ,
    }
)
"""Requests that mean nothing without the data set that they must announce (PS3.7 9.3, 10.3)."""
