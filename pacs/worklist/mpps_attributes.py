"""Which attributes a performed step must have, may change, and is made of: Table F.7.2-1 as data.

For: judging and merging the attribute lists of N-CREATE and N-SET. Not for: the states (`pacs.worklist.mpps_states`),
or what a step means to us (`pacs.worklist.mpps`).

Type 1 attributes are demanded. Type 2 ones that are left out count as empty: many modalities leave out what they do not
know, and nobody is safer when what they did is not recorded.

References
----------
PS3.4 Table F.7.2-1 (N-CREATE, N-SET and final state), its notes 1 to 3; F.7.2.2.2
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pacs.archive.header import is_uid
from pacs.archive.query_values import Element, Item
from pacs.status import Status
from pacs.worklist.mpps_states import FINAL_STATES, Refusal, StepState

STATUS: Final = 0x00400252
SCHEDULED_STEP_ATTRIBUTES: Final = 0x00400270
PERFORMED_SERIES: Final = 0x00400340
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
REFERENCED_SOP_CLASS_UID: Final = 0x00081150
REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155
REFERENCED_IMAGES: Final = 0x00081140
REFERENCED_NON_IMAGES: Final = 0x00400220
_PATIENT_ID: Final = 0x00100020
_ISSUER_OF_PATIENT_ID: Final = 0x00100021

# What a step cannot do without when it is created.
_CREATED_WITH: Final = (
    SCHEDULED_STEP_ATTRIBUTES,
    0x00400253,  # Performed Procedure Step ID
    0x00400241,  # Performed Station AE Title
    0x00400244,  # Performed Procedure Step Start Date
    0x00400245,  # Performed Procedure Step Start Time
    STATUS,
    0x00080060,  # Modality
)

_ENDED_WITH: Final = (
    0x00400250,  # Performed Procedure Step End Date
    0x00400251,  # Performed Procedure Step End Time
    PERFORMED_SERIES,  # note 2: a series, though there may be no images in it
)

_SERIES_HAVE: Final = (0x00181030, SERIES_INSTANCE_UID)  # Protocol Name
_REFERENCES_HAVE: Final = (REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID)

_FIXED: Final = frozenset(
    {
        SCHEDULED_STEP_ATTRIBUTES,
        0x00080060,  # Modality
        0x00081120,  # Referenced Patient Sequence
        0x00100010,  # Patient's Name
        _PATIENT_ID,
        _ISSUER_OF_PATIENT_ID,
        0x00100024,  # Issuer of Patient ID Qualifiers Sequence
        0x00100030,  # Patient's Birth Date
        0x00100040,  # Patient's Sex
        0x00101002,  # Other Patient IDs Sequence
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00400241,  # Performed Station AE Title
        0x00400242,  # Performed Station Name
        0x00400243,  # Performed Location
        0x00400244,  # Performed Procedure Step Start Date
        0x00400245,  # Performed Procedure Step Start Time
        0x00400253,  # Performed Procedure Step ID
    }
)
"""What N-CREATE says once and N-SET may not change."""

_WHOSE: Final = (_PATIENT_ID, _ISSUER_OF_PATIENT_ID)


def text_of(item: Item, tag: int) -> str:
    """Return the text of an attribute, '' when it is not there."""
    element = item.get(tag)
    return "" if element is None else element.text.strip()


def items_of(item: Item, tag: int) -> tuple[Item, ...]:
    """Return the items of a sequence, none when it is not there."""
    element = item.get(tag)
    return () if element is None else element.items


def why_not_created(attributes: Item) -> Refusal | None:
    """Say why a step cannot be created from these attributes, None when it can."""
    return _first_missing(attributes, _CREATED_WITH) or _bad_steps(attributes) or _bad_series(attributes)


def why_not_changed(known: Item, said: Item) -> Refusal | None:
    """Say why a modification list cannot be taken, None when it can.

    A list that names another patient is refused: a step whose patient was wrong is discontinued and a new one created
    (PS3.4 F.7.2.2.3, note 1).
    """
    for tag in _WHOSE:
        if tag in said and tag in known and text_of(said, tag) not in {"", text_of(known, tag)}:
            return Refusal(Status.INVALID_ATTRIBUTE_VALUE, f"{_name(tag)}: a step's patient cannot be changed")
    return _bad_series(said)


def why_not_ended(attributes: Item, state: StepState) -> Refusal | None:
    """Say why a step with these attributes, the change included, cannot be in a final state; None when it can."""
    return _first_missing(attributes, _ENDED_WITH) if state in FINAL_STATES else None


def changed(known: Item, said: Item) -> Item:
    """Return the attributes after a modification list: what it may change is replaced whole, the rest stays."""
    taken = {tag: element for tag, element in said.items() if tag not in _FIXED}
    return MappingProxyType({**known, **taken})


def ignored(known: Item, said: Item) -> tuple[int, ...]:
    """Return the attributes of a modification list that would be other ones and are not taken."""
    return tuple(sorted(tag for tag in said.keys() & _FIXED if said[tag] != known.get(tag, Element(vr=said[tag].vr))))


def _first_missing(attributes: Item, tags: tuple[int, ...]) -> Refusal | None:
    for tag in tags:
        element = attributes.get(tag)
        if element is None:
            return Refusal(Status.MISSING_ATTRIBUTE, f"{_name(tag)} is missing")
        if not (element.items if element.vr == "SQ" else element.text.strip()):
            return Refusal(Status.MISSING_ATTRIBUTE_VALUE, f"{_name(tag)} has no value")
    return None


def _bad_steps(attributes: Item) -> Refusal | None:
    for step in items_of(attributes, SCHEDULED_STEP_ATTRIBUTES):
        bad = _first_missing(step, (STUDY_INSTANCE_UID,)) or _bad_uid(step, (STUDY_INSTANCE_UID,))
        if bad is not None:
            return bad
    return None


def _bad_series(attributes: Item) -> Refusal | None:
    for series in items_of(attributes, PERFORMED_SERIES):
        bad = _first_missing(series, _SERIES_HAVE) or _bad_uid(series, (SERIES_INSTANCE_UID,))
        if bad is not None:
            return bad
        for reference in references_of(series):
            bad = _first_missing(reference, _REFERENCES_HAVE) or _bad_uid(reference, _REFERENCES_HAVE)
            if bad is not None:
                return bad
    return None


def references_of(series: Item) -> Iterator[Item]:
    """Yield what a performed series refers to: images, then other instances."""
    yield from items_of(series, REFERENCED_IMAGES)
    yield from items_of(series, REFERENCED_NON_IMAGES)


def _bad_uid(item: Item, tags: tuple[int, ...]) -> Refusal | None:
    for tag in tags:
        if not is_uid(text_of(item, tag).encode("ascii", "replace")):
            return Refusal(Status.INVALID_ATTRIBUTE_VALUE, f"{_name(tag)} is no UID")
    return None


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def selected(attributes: Item, tags: tuple[int, ...]) -> tuple[Item, tuple[int, ...]]:
    """Return what N-GET is answered, and which attributes were asked for that the step has not; no tags means all."""
    if not tags:
        return attributes, ()
    wanted: Mapping[int, Element] = {tag: attributes[tag] for tag in tags if tag in attributes}
    return wanted, tuple(tag for tag in tags if tag not in attributes)
