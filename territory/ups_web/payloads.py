"""What UPS-RS carries: data sets as DICOM JSON, queries as parameters of an address, warnings as headers.

For: between bytes and values. Not for: routes, or what is decided (`pacs.worklist.ups`).

Only JSON is spoken: a body of another media type is refused with 415, an answer of another one with 406. The standard
has XML too; nobody whom this node was tried with asks for it.

References
----------
PS3.18 8.3.3, 8.3.4 (query parameters), 8.5 (status codes), 11.1.3 (media types), F.2 (DICOM JSON Model)
"""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from foundation.errors import PeerError
from pacs.archive.matching import KEY_DEPTH_MAX
from pacs.archive.query_values import Element, Item, from_json
from pacs.status import Status
from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups.model import UpsRefused

JSON_TYPE: Final = "application/dicom+json"
_JSON_TYPES: Final = frozenset({JSON_TYPE, "application/json"})
_ACCEPTED: Final = frozenset({*_JSON_TYPES, "application/*", "*/*"})

BODY_BYTES_MAX: Final = 1024 * 1024
"""A work item that names 5,000 instances."""

LIMIT_MAX: Final = 1000
"""Work items of one answer when a client names a limit."""

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_AET: Final = re.compile(r"[!-\[\]-~][ -\[\]-~]{0,15}")
_NOT_KEYS: Final = frozenset({"includefield", "limit", "offset", "fuzzymatching", "accept", "charset"})
_STRUCTURED_VRS: Final = frozenset({"SQ", "PN"})
"""Whose values are objects in JSON: under another VR they could not be read."""
_BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


class BadRequest(PeerError):
    """A request that cannot be understood; ``status`` is what HTTP answers."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


def check_accept(header: str, parameter: str | None) -> None:
    """Refuse a client that takes no JSON."""
    wanted = parameter or header
    types = {part.split(";")[0].strip().lower() for part in wanted.split(",")} - {""}
    if types and not types & _ACCEPTED:
        raise BadRequest(f"only {JSON_TYPE} is answered", HTTPStatus.NOT_ACCEPTABLE)


def read_dataset(body: bytes, content_type: str, *, may_be_empty: bool = False) -> Item:
    """Return the data set of a request: a DICOM JSON object, or an array with one.

    Raises
    ------
    BadRequest
        415 for another media type, 400 for what is no such data set.
    """
    if not body and may_be_empty:
        return {}
    if content_type.split(";")[0].strip().lower() not in _JSON_TYPES:
        raise BadRequest(f"send {JSON_TYPE}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        sent: Any = json.loads(body)
        if isinstance(sent, list) and len(sent) == 1:
            sent = sent[0]
        if not isinstance(sent, dict):
            raise BadRequest("the body is a DICOM JSON object, or an array with one")
        _check_depth(sent, 0)
        return _public(from_json(sent))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise BadRequest("the body is not DICOM JSON (PS3.18 F.2)") from error


def written(datasets: Sequence[Item]) -> bytes:
    """Return data sets as a JSON array."""
    return json.dumps([to_json(one) for one in datasets], ensure_ascii=False).encode()


def keys_of(parameters: Sequence[tuple[str, str]]) -> Item:
    """Return the matching and return keys that an address names, by keyword or tag, nested by dots.

    Raises
    ------
    BadRequest
        If an attribute is not known.
    """
    keys: dict[int, Element] = {}
    for name, text in parameters:
        if name == "includefield":
            if text.lower() != "all":
                for one in text.split(","):
                    _put(keys, one.strip().split("."), "", is_kept=True)
        elif name not in _NOT_KEYS:
            _put(keys, name.split("."), text, is_kept=False)
    return keys


def filter_of(texts: Sequence[str]) -> Item:
    """Return the matching keys of a filtered subscription: ``attribute=value``, separated by commas (PS3.18 11.10.1.2).

    Raises
    ------
    BadRequest
        If it is no such list.
    """
    pairs = [pair.partition("=") for text in texts for pair in text.split(",") if pair]
    if any(not separator for _, separator, _ in pairs):
        raise BadRequest("a filter is a list of attribute=value")
    return keys_of([(name.strip(), value) for name, _, value in pairs])


def number_of(parameters: Mapping[str, str], name: str) -> int | None:
    """Return a whole number that an address names; None when it does not."""
    text = parameters.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"{name} is a whole number")
    return int(text)


def ae_title(text: str) -> str:
    """Return an AE title that an address names (PS3.5 6.2, VR AE)."""
    if _AET.fullmatch(text) is None:
        raise BadRequest("an AE title has 1 to 16 characters, none of them a backslash or a control character")
    return text.rstrip(" ")


def status_of(error: UpsRefused, *, is_update: bool = False, is_claim: bool = False) -> HTTPStatus:
    """Return what HTTP answers to a refusal (PS3.18 11.4.3.1 to 11.11.3.1)."""
    if error.status is Status.UPS_UNKNOWN:
        return HTTPStatus.GONE if error.is_gone else HTTPStatus.NOT_FOUND
    if error.status is Status.UPS_NO_LONGER_UPDATABLE and is_update:
        return HTTPStatus.BAD_REQUEST
    if error.status is Status.UPS_TRANSACTION_UID_WRONG and is_claim:
        # Somebody else was faster: the request is in order, the work item is not free.
        return HTTPStatus.CONFLICT
    return _STATUSES.get(error.status, HTTPStatus.CONFLICT)


def warning_of(error: UpsRefused, *, is_update: bool = False, has_lock: bool = True) -> str:
    """Return the words of the Warning header that the standard has for a refusal."""
    if error.status is Status.UPS_TRANSACTION_UID_WRONG:
        return f"The Transaction UID is {'incorrect' if has_lock else 'missing'}."
    if error.status is Status.UPS_NOT_YET_IN_PROGRESS and is_update:
        return "The target URI did not reference a claimed Workitem."
    if error.status in _STATUSES or error.status is Status.UPS_UNKNOWN:
        return f"{error}."
    return "The submitted request is inconsistent with the current state of the Workitem."


WARNINGS: Final = {
    Status.UPS_CREATED_WITH_MODIFICATIONS: "The Workitem was created with modifications.",
    Status.UPS_ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    Status.UPS_ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
}
"""The words of the Warning header that the standard has for what was carried out, or was so already."""

_STATUSES: Final = {
    Status.NOT_AUTHORIZED: HTTPStatus.FORBIDDEN,
    Status.MISSING_ATTRIBUTE: HTTPStatus.BAD_REQUEST,
    Status.INVALID_ATTRIBUTE_VALUE: HTTPStatus.BAD_REQUEST,
    Status.INVALID_ARGUMENT_VALUE: HTTPStatus.BAD_REQUEST,
    Status.UPS_NOT_CREATED_SCHEDULED: HTTPStatus.BAD_REQUEST,
    Status.UPS_SCHEDULED_BY_CREATION_ONLY: HTTPStatus.BAD_REQUEST,
    Status.UPS_TRANSACTION_UID_WRONG: HTTPStatus.BAD_REQUEST,
    Status.UPS_ACTION_NOT_APPROPRIATE: HTTPStatus.BAD_REQUEST,
    Status.DUPLICATE_SOP_INSTANCE: HTTPStatus.CONFLICT,
}


def _check_depth(value: Any, depth: int) -> None:  # whatever JSON holds
    if depth > 4 * KEY_DEPTH_MAX:
        raise BadRequest("sequences are nested too deep")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(one, depth + 1)


def _public(item: Item) -> Item:
    """Leave out private and unknown attributes and bulk data, as DIMSE does (`pacs.worklist.attribute_list`).

    A VR is that of the dictionary, whatever was sent: PS3.18 itself prints a wrong one in an example.
    """
    kept: dict[int, Element] = {}
    for one, element in item.items():
        if one >> 16 & 1 or not dictionary_has_tag(one):
            continue
        vr = dictionary_VR(one).split(" or ")[0]
        if vr in _BULK_VRS:
            continue
        if (vr in _STRUCTURED_VRS or element.vr in _STRUCTURED_VRS) and vr != element.vr:
            raise BadRequest(f"({one >> 16:04X},{one & 0xFFFF:04X}) has the VR {vr}")
        items = tuple(map(_public, element.items))
        kept[one] = Element(vr="SQ", items=items) if vr == "SQ" else Element(vr=vr, text=element.text)
    return kept


def _put(keys: dict[int, Element], path: Sequence[str], text: str, *, is_kept: bool) -> None:
    one = _tag(path[0])
    vr = dictionary_VR(one).split(" or ")[0]
    if len(path) > 1:
        if vr != "SQ" or len(path) > KEY_DEPTH_MAX:
            raise BadRequest(f"{path[0][:32]} is no sequence")
        known = keys.get(one)
        nested = dict(known.items[0]) if known is not None and known.items else {}
        _put(nested, path[1:], text, is_kept=is_kept)
        keys[one] = Element(vr="SQ", items=(nested,))
    elif not (is_kept and one in keys):
        keys[one] = Element(vr=vr, text="" if vr == "SQ" else text.replace(",", "\\") if vr == "UI" else text)


def _tag(name: str) -> int:
    found = int(name, 16) if _TAG.fullmatch(name) else tag_for_keyword(name)
    try:
        if found is not None:
            dictionary_VR(found)
            return int(found)
    except KeyError:
        pass
    raise BadRequest("an attribute of the query is not known; name it by its keyword or as eight hexadecimal digits")
