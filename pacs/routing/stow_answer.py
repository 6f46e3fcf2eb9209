"""What a DICOMweb service says of the instances of one store request: pure reading of its answer.

For: telling instances that the service keeps from all others. Not for: sending (`pacs.routing.stow_sender`).

Invariant: an instance is kept only if the answer names it in Referenced SOP Sequence and not in Failed SOP Sequence;
what the status alone says ("200") confirms nothing.

References
----------
PS3.18 10.5.3 and Annex I.2 (Store Instances Response Payload), F.2 (DICOM JSON Model); PS3.3 C.12.1.1.11
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from foundation.errors import PeerError

ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of an answer: some hundred bytes for each of the instances of one request, and a lot of room."""

_FAILED_SOP_SEQUENCE: Final = "00081198"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"
_FAILURE_REASON: Final = "00081197"


class AnswerUnreadable(PeerError):
    """The answer is no DICOM JSON: nothing is known of any instance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StowAnswer:
    """SOP Instance UIDs that the service keeps; those it refused, with Failure Reason (0 when it gave none)."""

    kept: frozenset[str]
    refused: Mapping[str, int]


def read_answer(body: bytes) -> StowAnswer:
    """Read the payload of a store response.

    Raises
    ------
    AnswerUnreadable
        If it is no DICOM JSON.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise AnswerUnreadable("the answer to a store request is no JSON") from None
    # Some services wrap the one data set in an array, as they do for searches.
    data_set = parsed[0] if isinstance(parsed, list) and len(parsed) == 1 else parsed
    if not isinstance(data_set, dict):
        raise AnswerUnreadable("the answer to a store request is no DICOM JSON data set")
    refused = {
        uid: _number(item.get(_FAILURE_REASON))
        for item in _items(data_set.get(_FAILED_SOP_SEQUENCE))
        if (uid := _text(item.get(_REFERENCED_SOP_INSTANCE_UID)))
    }
    kept = {_text(item.get(_REFERENCED_SOP_INSTANCE_UID)) for item in _items(data_set.get(_REFERENCED_SOP_SEQUENCE))}
    return StowAnswer(kept=frozenset(kept - refused.keys() - {""}), refused=MappingProxyType(refused))


def _items(element: Any) -> Iterator[Mapping[str, Any]]:
    yield from (item for item in _values(element) if isinstance(item, dict))


def _text(element: Any) -> str:
    value = next(iter(_values(element)), "")
    return value if isinstance(value, str) else ""


def _number(element: Any) -> int:
    value = next(iter(_values(element)), 0)
    # A service may write numbers as text (PS3.18 F.2.3 allows it for IS and DS).
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len("65535"):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF else 0


def _values(element: Any) -> list[Any]:
    value = element.get("Value") if isinstance(element, dict) else None
    return value if isinstance(value, list) else []
