"""The attributes of work items that are named in code: tags, and short ways to write values.

For: `pacs.worklist.ups` and whoever makes work items. Not for: which of them must be there
(`pacs.worklist.ups.requirements`).

References
----------
PS3.3 C.30 (Unified Procedure Step), PS3.4 Table CC.2.5-3, PS3.6
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from pacs.archive.query_values import Element, Item
from pacs.worklist.order import Code

SPECIFIC_CHARACTER_SET: Final = 0x00080005
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
ACCESSION_NUMBER: Final = 0x00080050
CODE_VALUE: Final = 0x00080100
CODING_SCHEME_DESIGNATOR: Final = 0x00080102
CODING_SCHEME_VERSION: Final = 0x00080103
CODE_MEANING: Final = 0x00080104
REFERENCED_SOP_CLASS_UID: Final = 0x00081150
REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155
REFERENCED_SOP_SEQUENCE: Final = 0x00081199
TRANSACTION_UID: Final = 0x00081195
RETRIEVE_AE_TITLE: Final = 0x00080054
ISSUER_OF_ACCESSION_NUMBER_SEQUENCE: Final = 0x00080051
ADMITTING_DIAGNOSES_DESCRIPTION: Final = 0x00081080
ADMITTING_DIAGNOSES_CODE_SEQUENCE: Final = 0x00081084

PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
ISSUER_OF_PATIENT_ID: Final = 0x00100021
PATIENT_BIRTH_DATE: Final = 0x00100030
PATIENT_SEX: Final = 0x00100040
OTHER_PATIENT_IDS_SEQUENCE: Final = 0x00101002
ADMISSION_ID: Final = 0x00380010
ISSUER_OF_ADMISSION_ID_SEQUENCE: Final = 0x00380014

STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E

REQUESTING_PHYSICIAN: Final = 0x00321032
REQUESTING_SERVICE: Final = 0x00321033
REQUESTED_PROCEDURE_DESCRIPTION: Final = 0x00321060
REQUESTED_PROCEDURE_CODE_SEQUENCE: Final = 0x00321064

ORDER_PLACER_IDENTIFIER_SEQUENCE: Final = 0x00400026
ORDER_FILLER_IDENTIFIER_SEQUENCE: Final = 0x00400027
COMMENTS_ON_STEP: Final = 0x00400400
REQUESTED_PROCEDURE_ID: Final = 0x00401001
PLACER_ORDER_NUMBER: Final = 0x00402016
FILLER_ORDER_NUMBER: Final = 0x00402017
SCHEDULED_START: Final = 0x00404005
SCHEDULED_EXPIRATION: Final = 0x00404008
HUMAN_PERFORMER_CODE_SEQUENCE: Final = 0x00404009
MODIFICATION_DATE_TIME: Final = 0x00404010
EXPECTED_COMPLETION: Final = 0x00404011
SCHEDULED_WORKITEM_CODE_SEQUENCE: Final = 0x00404018
PERFORMED_WORKITEM_CODE_SEQUENCE: Final = 0x00404019
INPUT_INFORMATION_SEQUENCE: Final = 0x00404021
SCHEDULED_STATION_NAME_CODE_SEQUENCE: Final = 0x00404025
SCHEDULED_STATION_CLASS_CODE_SEQUENCE: Final = 0x00404026
SCHEDULED_STATION_LOCATION_CODE_SEQUENCE: Final = 0x00404027
PERFORMED_STATION_NAME_CODE_SEQUENCE: Final = 0x00404028
OUTPUT_INFORMATION_SEQUENCE: Final = 0x00404033
SCHEDULED_HUMAN_PERFORMERS_SEQUENCE: Final = 0x00404034
ACTUAL_HUMAN_PERFORMERS_SEQUENCE: Final = 0x00404035
HUMAN_PERFORMER_ORGANIZATION: Final = 0x00404036
HUMAN_PERFORMER_NAME: Final = 0x00404037
INPUT_READINESS_STATE: Final = 0x00404041
PERFORMED_START: Final = 0x00404050
PERFORMED_END: Final = 0x00404051
CANCELLATION_DATE_TIME: Final = 0x00404052
REFERENCED_REQUEST_SEQUENCE: Final = 0x0040A370
TYPE_OF_INSTANCES: Final = 0x0040E020
DICOM_RETRIEVAL_SEQUENCE: Final = 0x0040E021

PROCEDURE_STEP_STATE: Final = 0x00741000
PROGRESS_INFORMATION_SEQUENCE: Final = 0x00741002
PROCEDURE_STEP_PROGRESS: Final = 0x00741004
PROGRESS_DESCRIPTION: Final = 0x00741006
COMMUNICATIONS_URI_SEQUENCE: Final = 0x00741008
CONTACT_URI: Final = 0x0074100A
CONTACT_DISPLAY_NAME: Final = 0x0074100C
DISCONTINUATION_REASON_CODE_SEQUENCE: Final = 0x0074100E
PRIORITY: Final = 0x00741200
WORKLIST_LABEL: Final = 0x00741202
PROCEDURE_STEP_LABEL: Final = 0x00741204
SCHEDULED_PROCESSING_PARAMETERS_SEQUENCE: Final = 0x00741210
PERFORMED_PROCEDURE_SEQUENCE: Final = 0x00741216
REPLACED_PROCEDURE_STEP_SEQUENCE: Final = 0x00741224
DELETION_LOCK: Final = 0x00741230
RECEIVING_AE: Final = 0x00741234
REQUESTING_AE: Final = 0x00741236
REASON_FOR_CANCELLATION: Final = 0x00741238
SCP_STATUS: Final = 0x00741242
SUBSCRIPTION_LIST_STATUS: Final = 0x00741244
STEP_LIST_STATUS: Final = 0x00741246

PATIENT_TAGS: Final = frozenset(
    {PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID, PATIENT_BIRTH_DATE, PATIENT_SEX, OTHER_PATIENT_IDS_SEQUENCE}
)
"""Attributes that say who the patient is."""


def value(vr: str, text: str) -> Element:
    """Return an attribute with a text; '' has no value."""
    return Element(vr=vr, text=text)


def sequence(*items: Item) -> Element:
    """Return a sequence of items."""
    return Element(vr="SQ", items=items)


def date_time(at: datetime) -> Element:
    """Return an instant as DT with its offset: seconds, in UTC."""
    return Element(vr="DT", text=f"{at.astimezone(UTC):%Y%m%d%H%M%S}+0000")


def code_item(code: Code) -> Item:
    """Return a coded concept as an item (PS3.3 8.8)."""
    item = {
        CODE_VALUE: value("SH", code.value),
        CODING_SCHEME_DESIGNATOR: value("SH", code.scheme),
        CODE_MEANING: value("LO", code.meaning),
    }
    if code.scheme_version:
        item[CODING_SCHEME_VERSION] = value("SH", code.scheme_version)
    return item


def codes(*of: Code) -> Element:
    """Return a code sequence."""
    return sequence(*map(code_item, of))


def text_of(item: Item, tag: int) -> str:
    """Return the text of an attribute; '' when it is not there."""
    element = item.get(tag)
    return "" if element is None else element.text


def first_item(item: Item, tag: int) -> Item:
    """Return the first item of a sequence; an empty one when there is none."""
    element = item.get(tag)
    return element.items[0] if element is not None and element.items else {}


def has_value(item: Item, tag: int) -> bool:
    """Say whether an attribute is there and has a value or an item."""
    element = item.get(tag)
    return element is not None and bool(element.text or element.items)


def picked(item: Item, tags: Iterable[int]) -> Item:
    """Return those attributes that are there."""
    return {tag: item[tag] for tag in tags if tag in item}
