"""DIMSE status codes by service, each with the clause that defines it. Numbers appear nowhere else.

References
----------
PS3.7 Annex C, PS3.4 B.2.3 (Storage), C.4.1.1.4 (C-FIND), C.4.2.1.5 (C-MOVE), C.4.3.1.4 (C-GET), J.3 (Commitment)
"""

from enum import IntEnum


class Status(IntEnum):
    """A status that Telegarde answers; the docstring of each member is the comment beside it."""

    SUCCESS = 0x0000  # PS3.7 C.1.1
    CANCEL = 0xFE00  # PS3.7 C.3.1: sub-operations or matching stopped by C-CANCEL
    PENDING = 0xFF00  # PS3.7 C.2.1: matches or sub-operations go on
    PENDING_WITH_WARNING = 0xFF01  # PS3.4 C.4.1.1.4: an optional key was not supported for matching

    INVALID_ATTRIBUTE_VALUE = 0x0106  # PS3.7 C.5
    ATTRIBUTE_LIST_ERROR = 0x0107  # PS3.7 C.4.2: some attributes were not taken, or are not there
    PROCESSING_FAILURE = 0x0110  # PS3.7 C.5
    DUPLICATE_SOP_INSTANCE = 0x0111  # PS3.7 C.5: policy refuses other bytes under a known UID
    NO_SUCH_OBJECT_INSTANCE = 0x0112  # PS3.7 C.5
    NO_SUCH_ARGUMENT = 0x0114  # PS3.7 C.5
    INVALID_ARGUMENT_VALUE = 0x0115  # PS3.7 C.5
    NO_SUCH_SOP_CLASS = 0x0118  # PS3.7 C.5
    CLASS_INSTANCE_CONFLICT = 0x0119  # PS3.7 C.5
    MISSING_ATTRIBUTE = 0x0120  # PS3.7 C.5
    MISSING_ATTRIBUTE_VALUE = 0x0121  # PS3.7 C.5
    SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5
    NO_SUCH_ACTION_TYPE = 0x0123  # PS3.7 C.5
    NOT_AUTHORIZED = 0x0124  # PS3.7 C.5
    DUPLICATE_INVOCATION = 0x0210  # PS3.7 C.5
    UNRECOGNIZED_OPERATION = 0x0211  # PS3.7 C.5
    MISTYPED_ARGUMENT = 0x0212  # PS3.7 C.5
    RESOURCE_LIMITATION = 0x0213  # PS3.7 C.5

    OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3, C.4.1.1.4: disk, database or result cap
    OUT_OF_RESOURCES_NUMBER_OF_MATCHES = 0xA701  # PS3.4 C.4.2.1.5: unable to calculate number of matches
    OUT_OF_RESOURCES_SUBOPERATIONS = 0xA702  # PS3.4 C.4.2.1.5: unable to perform sub-operations
    MOVE_DESTINATION_UNKNOWN = 0xA801  # PS3.4 C.4.2.1.5
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900  # PS3.4 B.2.3; for queries: identifier does not match SOP Class
    # PS3.4 B.2.3 (C-STORE): the object served under this UID has other data elements; yours is kept as evidence.
    COERCION_OF_DATA_ELEMENTS = 0xB000
    SUBOPERATIONS_COMPLETE_WITH_FAILURES = 0xB000  # PS3.4 C.4.2.1.5: the same number, another service
    WARNING_DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xB007  # PS3.4 B.2.3: kept, but it cannot be decoded to its end
    UPS_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001  # PS3.4 CC.2.6.4, CC.2.7.4
    UPS_CREATED_WITH_MODIFICATIONS = 0xB300  # PS3.4 CC.2.5.4
    UPS_DELETION_LOCK_NOT_GRANTED = 0xB301  # PS3.4 CC.2.3.4
    UPS_ALREADY_CANCELED = 0xB304  # PS3.4 CC.2.1.4, CC.2.2.4
    UPS_VALUES_COERCED = 0xB305  # PS3.4 CC.2.6.4
    UPS_ALREADY_COMPLETED = 0xB306  # PS3.4 CC.2.1.4
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 B.2.3: Error: Cannot understand (C000 to CFFF)
    UNABLE_TO_PROCESS = 0xC001  # PS3.4 C.4.1.1.4, C.4.2.1.5: Unable to process (C000 to CFFF)
    UPS_NO_LONGER_UPDATABLE = 0xC300  # PS3.4 CC.2.1.4
    UPS_TRANSACTION_UID_WRONG = 0xC301  # PS3.4 CC.2.1.4: the correct Transaction UID was not provided
    UPS_ALREADY_IN_PROGRESS = 0xC302  # PS3.4 CC.2.1.4
    UPS_SCHEDULED_BY_CREATION_ONLY = 0xC303  # PS3.4 CC.2.1.4
    UPS_FINAL_STATE_REQUIREMENTS_NOT_MET = 0xC304  # PS3.4 CC.2.1.4
    UPS_UNKNOWN = 0xC307  # PS3.4 CC.2.1.4: no such UPS is managed here
    UPS_RECEIVING_AE_UNKNOWN = 0xC308  # PS3.4 CC.2.3.4
    UPS_NOT_CREATED_SCHEDULED = 0xC309  # PS3.4 CC.2.5.4
    UPS_NOT_YET_IN_PROGRESS = 0xC310  # PS3.4 CC.2.1.4, CC.2.6.4
    UPS_IS_COMPLETED = 0xC311  # PS3.4 CC.2.2.4
    UPS_PERFORMER_UNREACHABLE = 0xC312  # PS3.4 CC.2.2.4
    UPS_PERFORMER_REFUSES = 0xC313  # PS3.4 CC.2.2.4
    UPS_ACTION_NOT_APPROPRIATE = 0xC314  # PS3.4 CC.2.3.4
    UPS_NO_EVENT_REPORTS = 0xC315  # PS3.4 CC.2.3.4


def is_success_or_warning(status: int) -> bool:
    """Say whether a C-STORE response means that the peer keeps the instance (PS3.7 C.1, C.4)."""
    return status == 0x0000 or status in {0x0001, 0x0107, 0x0116} or 0xB000 <= status <= 0xBFFF
