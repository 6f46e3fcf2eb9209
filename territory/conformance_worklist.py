"""Facts of the conformance statement about the Modality Worklist: its attributes, how each is matched, its limits.

For: `territory.conformance`. What is listed is read from `pacs.worklist.item`; how a key is matched is asked of the
code that matches (`territory.conformance_queries`).

References
----------
PS3.2 N.5.2.1; PS3.4 Table K.6-1
"""

from collections.abc import Mapping
from typing import Final

from pydicom.datadict import dictionary_description

from pacs.scp import find_identifier
from pacs.worklist import item, orders
from pacs.worklist.item import STEP_SEQUENCE, tag
from territory import conformance_markdown as markdown
from territory.conformance_queries import matching_types

# PS3.4 Table K.6-1: matching key type R; all others are optional.
_REQUIRED: Final = frozenset(
    map(
        tag,
        (
            *("ScheduledProcedureStepSequence", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate"),
            *("ScheduledProcedureStepStartTime", "Modality", "ScheduledPerformingPhysicianName"),
            *("PatientName", "PatientID"),
        ),
    )
)
_REMARKS: Final[Mapping[int, str]] = {
    item.STATION_AET: "An order for any scanner matches every key and is answered with the scanner that asks",
    item.START_DATE: "By the clocks of the hospital; with ranges of date and time one span",
    item.START_TIME: "As the date",
    item.PROTOCOL_CODES: "Left out without a protocol; with Protocol Context Sequence (0040,0440)",
    tag("RequestedProcedureCodeSequence"): "Left out when the order has no code",
    tag("OtherPatientIDsSequence"): "With the INS when its identity is qualified",
    item.TIMEZONE_OFFSET: "A value says in which zone dates and times are asked and answered",
    tag("PatientName"): f"`{item.UNKNOWN_NAME}` when nobody knows it",
    tag("RequestedProcedurePriority"): "STAT and HIGH come first",
    item.STEP_COMMENTS: "The protocol as text, with its version",
    item.REQUEST_COMMENTS: "Clinical question, then the protocol as text",
}


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use.

    Raises
    ------
    ValueError
        If a key that PS3.4 requires is none of an item's.
    """
    missing = _REQUIRED - item.ATTRIBUTES.keys() - item.STEP_ATTRIBUTES.keys()
    if missing:
        raise ValueError(f"required keys that a worklist item does not have: {sorted(missing)}")
    return {
        "keys_worklist": _keys(item.ATTRIBUTES),
        "keys_worklist_step": _keys(item.STEP_ATTRIBUTES),
        "limits_worklist": markdown.table(
            ["Limit", "Value"],
            [
                ["Answers to one query", "`find_results_max`"],
                ["Open orders of one hospital", markdown.number(orders.ORDERS_MAX)],
                ["Identifier, inflated", f"{markdown.number(find_identifier.IDENTIFIER_BYTES_MAX)} bytes"],
                ["Elements of an identifier, in all its items", markdown.number(find_identifier.ELEMENTS_MAX)],
            ],
        ),
    }


def _keys(attributes: Mapping[int, str]) -> str:
    rows = [
        [
            markdown.text(dictionary_description(number)),
            markdown.tag(number),
            vr,
            "R" if number in _REQUIRED else "O",
            "SEQUENCE" if number == STEP_SEQUENCE else ", ".join(matching_types(number, vr)),
            _REMARKS.get(number, ""),
        ]
        for number, vr in sorted(attributes.items())
    ]
    return markdown.table(["Attribute", "Tag", "VR", "Type", "Matching", "Remarks"], rows)
