"""Attribute values as queries see them: text and items, whatever they were stored in.

One form for keys, for values of the index (columns, DICOM JSON) and for values of stored headers, so that matching and
answering know one thing only. Not a DICOM data set: no private attributes, no bulk data, no encodings.

References
----------
PS3.18 F.2 (DICOM JSON Model)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# Values separated by backslash in these VRs would be told apart wrongly: backslash is text in them (PS3.5 6.2).
SINGLE_VALUE_VRS: Final = frozenset({"ST", "LT", "UT", "UR"})
_BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# The groups of a person name in DICOM JSON, in the order of PS3.5 6.2.1.
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")

Item: TypeAlias = Mapping[int, "Element"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """One attribute.

    ``text`` is decoded, without padding, its values separated by backslash, numbers in decimal; '' has no value. For SQ
    it is '' and ``items`` holds the items by tag.
    """

    vr: str
    text: str = ""
    items: tuple[Item, ...] = ()


def from_json(attributes: Mapping[str, Any]) -> Item:
    """Return the attributes of a DICOM JSON object by tag; bulk data is left out.

    Raises
    ------
    ValueError, TypeError, AttributeError, KeyError
        If it is not DICOM JSON: the index is damaged.
    """
    return {
        int(tag, 16): element_from_json(member) for tag, member in attributes.items() if "BulkDataURI" not in member
    }


def element_from_json(member: Mapping[str, Any]) -> Element:
    """Return one attribute of a DICOM JSON object; for errors see `from_json`."""
    vr: str = member["vr"]
    values = member.get("Value") or ()
    if vr == "SQ":
        return Element(vr=vr, items=tuple(from_json(item or {}) for item in values))
    if vr == "PN":
        return Element(vr=vr, text="\\".join(_name_from_json(value or {}) for value in values))
    return Element(vr=vr, text="\\".join("" if value is None else str(value) for value in values))


def _name_from_json(value: Mapping[str, str]) -> str:
    return "=".join(value.get(group, "") for group in _NAME_GROUPS).rstrip("=")


def from_dataset(dataset: Dataset, depth_max: int) -> Item:
    """Return the attributes of a stored header by tag; private attributes and bulk data are left out.

    Sequences nested deeper than `depth_max` are left out as well.
    """
    item: dict[int, Element] = {}
    for element in dataset:
        if element.tag.is_private or element.VR in _BULK_VRS:
            continue
        if element.VR != "SQ":
            item[int(element.tag)] = Element(vr=element.VR, text=_text_of(element))
        elif depth_max > 0:
            items = tuple(from_dataset(nested, depth_max - 1) for nested in element.value)
            item[int(element.tag)] = Element(vr="SQ", items=items)
    return item


def _text_of(element: DataElement) -> str:
    value = element.value
    if value is None:
        return ""
    values = value if isinstance(value, MultiValue | list | tuple) else (value,)
    if element.VR == "AT":
        return "\\".join(f"{int(tag):08X}" for tag in values)
    return "\\".join(str(one).strip(" \0") for one in values)
