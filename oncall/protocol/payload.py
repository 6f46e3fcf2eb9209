"""A sent protocol as the case's log keeps it, and back.

For: the payloads of ``protocol.sent`` and ``protocol.superseded``: the keys ``version``, ``author``, ``protocol_id``,
``text``, ``reason`` and ``protocol`` (what is asked, from the library: no patient data). Not for: documents of the
library. Invariants: reading what was written gives an equal value; an event of before this was kept (no ``protocol``)
is read as a protocol in words.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from oncall.case.event import Event
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.language import Language
from oncall.protocol import wording
from oncall.protocol.documents import (
    code_to_json,
    contrast_to_json,
    phase_to_json,
    read_codes,
    read_contrast,
    read_phases,
)
from oncall.protocol.model import SentProtocol
from oncall.strict_json import Record, Value

SENT: Final = frozenset({EventType.PROTOCOL_SENT, EventType.PROTOCOL_SUPERSEDED})
"""Events that put a version of the protocol in force."""

_ANY_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)

_OPTIONAL: Final = (
    "title", "modality", "language", "library_version", "codes", "phases", "contrast", "preparation", "instructions",
)  # fmt: skip


def asked_to_json(sent: SentProtocol) -> dict[str, Any]:
    """Return the payload key ``protocol``: everything but who, when and the radiologist's own words."""
    written: dict[str, Any] = {
        "title": sent.title,
        "modality": sent.modality,
        "language": sent.language.value,
        "library_version": sent.library_version,
        "codes": [code_to_json(one) for one in sent.codes],
        "phases": [phase_to_json(one) for one in sent.phases],
        "contrast": None if sent.contrast is None else contrast_to_json(sent.contrast),
        "preparation": sent.preparation,
        "instructions": sent.instructions,
    }
    return {key: value for key, value in written.items() if value not in ("", [], None)}


def sent_in(event: Event) -> SentProtocol:
    """Return the protocol that an event of `SENT` puts in force.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If the payload is damaged.
    """
    return _sent(event.fact.payload, event.fact.occurred_at)


def protocol_in_force(case: Case) -> SentProtocol | None:
    """Return the protocol that was sent last for a case, or None.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If its payload is damaged.
    """
    protocol = case.protocol
    return None if protocol.sent_at is None or not protocol.said else _sent(protocol.said, protocol.sent_at)


def asked_in_words(asked: Mapping[str, Any]) -> str:
    """Return what the payload key ``protocol`` asks, in the protocol's own language, as one line.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If it is damaged.
    """
    sent = _sent({"version": 0, "protocol": asked}, _ANY_TIME)
    return " / ".join((wording.title_of(sent), *wording.lines(sent)))


def _sent(payload: Mapping[str, Any], sent_at: datetime) -> SentProtocol:
    asked = Value(place="protocol", raw=payload.get("protocol") or {})
    record = asked.record((), _OPTIONAL)
    author = payload.get("author")
    return SentProtocol(
        version=payload["version"],
        author=PersonId(author) if author else None,
        sent_at=sent_at,
        protocol_id=payload.get("protocol_id") or "",
        text=payload.get("text") or "",
        reason=payload.get("reason") or "",
        title=_text(record, "title"),
        modality=_text(record, "modality"),
        language=record.get("language", lambda one: one.one_of(Language), Language.FRENCH),
        library_version=_text(record, "library_version"),
        codes=read_codes(record),
        phases=read_phases(record),
        contrast=read_contrast(record),
        preparation=_text(record, "preparation"),
        instructions=_text(record, "instructions"),
    )


def _text(record: Record, key: str) -> str:
    return record.get(key, Value.any_text, "")
