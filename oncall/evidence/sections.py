"""What a dossier says of a case, drawn from its log: acts, people, times, clocks, incidents, who saw and told what.

For: the items of R.6316-4 beside the report, each entry naming the event it is drawn from. Not for: the report itself,
messages and documents, which have rows of their own (`oncall.evidence.gathering`), or words for people
(`oncall.evidence.texts`).

Invariants: nothing is left out because it embarrasses somebody: the lists of types are by what an event is, and what is
not listed here is still in the chain of events that every dossier carries whole. An empty list says so. Instants are
UTC and local with their offset. Source: domain reference, sections 1.7, 4.2 and 4.5.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from foundation.instants import instant_of_us
from oncall.case.clocks import read_clocks
from oncall.case.event import Event
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, PersonId

NONE_RECORDED: Final[Mapping[str, Any]] = {"none_recorded": True}
"""Stands in a list that would be empty, so that nobody wonders whether it was forgotten."""

CLOCK_TOLERANCE: Final = timedelta(seconds=2)
"""By how much a fact may have happened after it was recorded before somebody's clock is called wrong."""

INCIDENTS: Final[Mapping[str, str]] = {
    E.REQUEST_REJECTED_TECHNICAL: "transfer",
    E.IMAGES_STALLED: "transfer",
    E.IMAGES_RESUMED: "transfer",
    E.IMAGES_LATE_INSTANCE: "transfer",
    E.PRIORS_UNAVAILABLE: "transfer",
    E.IMAGES_QUALITY_REJECTED: "images",
    E.IMAGES_DELETED: "images",
    E.IMAGES_CONFLICT: "conflict",
    E.IDENTITY_MISMATCH_BLOCKED: "conflict",
    E.IDENTITY_IN_TWO_PATIENTS: "conflict",
    E.EXAM_ADVERSE_EVENT: "exam",
    E.EXAM_DISCONTINUED: "exam",
    E.PROTOCOL_DEVIATION_DETECTED: "exam",
    E.PAGE_FAILED: "contact",
    E.ASSIGN_TIMEOUT: "silence",
    E.ESCALATION_NO_NOTIFICATION_SENT: "silence",
    E.ESCALATION_SKIPPED_EMPTY_STEP: "silence",
    E.ESCALATION_EXHAUSTED: "silence",
    E.READER_UNAVAILABLE: "contact",
    E.CRITICAL_ESCALATED: "contact",
    E.REPORT_DELIVERY_FAILED: "delivery",
    E.REPORT_NOT_ACCESSED_ALERT: "delivery",
    E.REPORT_RETRACTED: "report",
    E.MODE_DEGRADED_ENTERED: "degraded",
    E.MODE_DEGRADED_LEFT: "degraded",
    E.CLOCK_SKEW_DETECTED: "clock",
    E.CLOCK_BREACHED: "deadline",
}
"""Technical incidents (R.6316-4, 5°) by kind; a call attempt that reached nobody is one too."""

_REACHED: Final = frozenset({"answered", "reached"})
_ACTS: Final = ("request.", "protocol.", "exam.", "patient.")
_ACTS_TOO: Final = frozenset({E.IMAGES_COMPLETE, E.FINDING_FIRST_COMMUNICATED, E.ACTION_RECORDED})
_ACCESSES: Final = ("read.", "priors.")
_ACCESSES_TOO: Final = frozenset({E.REPORT_ACCESSED, E.REPORT_ACKNOWLEDGED_BY_ED, E.EVIDENCE_SEALED})
_COMMUNICATIONS: Final = ("critical.", "discrepancy.", "finding.")
_COMMUNICATIONS_TOO: Final = frozenset(
    {
        E.REPORT_SENT,
        E.REPORT_DELIVERED,
        E.REPORT_DELIVERY_FAILED,
        E.REPORT_ACCESSED,
        E.REPORT_ACKNOWLEDGED_BY_ED,
        E.REPORT_NOT_ACCESSED_ALERT,
        E.REPORT_PUBLISHED,
    }
)
_IDENTITY: Final = "identity."
# Keys of payloads that name somebody.
PEOPLE_KEYS: Final = (
    "person_id", "from_person_id", "to_person_id", "of_person_id", "signer", "author", "radiologist", "radiographer",
    "clinician", "recipient", "requester",
)  # fmt: skip

Entry = dict[str, Any]


def acts(events: Iterable[Event]) -> list[Entry]:
    """Return acts and prescriptions: request, triage, protocol, exam, contrast (R.6316-4, 2°)."""
    return _entries(events, lambda one: one.type.startswith(_ACTS) or one.type in _ACTS_TOO)


def accesses(events: Iterable[Event]) -> list[Entry]:
    """Return who opened images and report, and when."""
    return _entries(events, lambda one: one.type.startswith(_ACCESSES) or one.type in _ACCESSES_TOO)


def communications(events: Iterable[Event]) -> list[Entry]:
    """Return what was told to whom: findings with their read-back, discrepancies, the report's way to the hospital."""
    return _entries(events, lambda one: one.type.startswith(_COMMUNICATIONS) or one.type in _COMMUNICATIONS_TOO)


def identities(events: Iterable[Event]) -> list[Entry]:
    """Return how it was settled whose case it is; opaque keys only."""
    return _entries(events, lambda one: one.type.startswith(_IDENTITY) or one.seq == 1)


def incidents(events: Iterable[Event]) -> list[Entry]:
    """Return technical incidents, each with its kind (R.6316-4, 5°)."""
    found = []
    for event in events:
        kind = INCIDENTS.get(event.type, "")
        outcome = event.fact.payload.get("outcome")
        if event.type == E.CRITICAL_CALL_ATTEMPT and outcome not in _REACHED:
            kind = "contact"
        ahead = event.fact.occurred_at - event.recorded_at
        if ahead > CLOCK_TOLERANCE:
            found.append({**_entry(event), "kind": "clock", "ahead_s": ahead.total_seconds()})
        if kind:
            found.append({**_entry(event), "kind": kind})
    return found


def times(events: Iterable[Event], zone: ZoneInfo) -> list[Entry]:
    """Return when each event happened and was recorded, UTC and local (R.6316-4, 4°)."""
    return [
        {
            "event_id": event.event_id,
            "type": event.type,
            "occurred_utc": event.fact.occurred_at.isoformat(),
            "occurred_local": event.fact.occurred_at.astimezone(zone).isoformat(),
            "recorded_utc": event.recorded_at.isoformat(),
            "time_zone": zone.key,
        }
        for event in events
    ]


def clocks(case: Case, at: datetime, zone: ZoneInfo) -> list[Entry]:
    """Return the clocks C1 to C9 as they stood at an instant."""
    return [
        {
            "case_id": case.case_id,
            "clock": one.clock.value,
            "subject": one.subject,
            "began": _both(one.started_at, zone),
            "ended": None if one.stopped_at is None else _both(one.stopped_at, zone),
            "due": None if one.due_at is None else _both(one.due_at, zone),
            "elapsed_s": one.elapsed_s,
            "paused_s": one.paused_s,
            "is_missed": one.is_missed(at),
        }
        for one in read_clocks(case, at)
    ]


def people(events: Sequence[Event], directory: Directory) -> list[Entry]:
    """Return everybody whom the log names, as the directory describes them (R.6316-4, 3°).

    ``acted_as`` are the roles and authentications they acted with; it is empty for who is only named.
    """
    acted: dict[str, set[tuple[str, str, str]]] = {}
    for event in events:
        actor = event.fact.actor
        acted.setdefault(actor.who, set()).add((actor.role, actor.authentication, actor.place))
        if event.fact.on_behalf_of:
            acted.setdefault(event.fact.on_behalf_of, set())
        for key in PEOPLE_KEYS:
            named = event.fact.payload.get(key)
            if isinstance(named, str) and named:
                acted.setdefault(named, set())
    return [_person(who, acted[who], directory) for who in sorted(acted)]


def or_none_recorded(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return a list, or the one entry that says that there is nothing."""
    return list(entries) or [NONE_RECORDED]


def _person(who: str, acted: set[tuple[str, str, str]], directory: Directory) -> Entry:
    person = directory.persons.get(PersonId(who))
    provider = None if person is None or person.provider_id is None else directory.providers.get(person.provider_id)
    sites = [] if person is None else [directory.sites[site].name for site in person.sites if site in directory.sites]
    return {
        "who": who,
        "name": "" if person is None else person.name,
        "rpps": "" if person is None else person.rpps or "",
        "role": "" if person is None else person.role.value,
        "organisations": sorted([*([] if provider is None else [provider.name]), *sites]),
        "acted_as": [
            {"role": role, "authentication": authentication, "place": place}
            for role, authentication, place in sorted(acted)
        ],
    }


def _entries(events: Iterable[Event], is_wanted: Callable[[Event], bool]) -> list[Entry]:
    return [_entry(event) for event in events if is_wanted(event)]


def _entry(event: Event) -> Entry:
    return {
        "event_id": event.event_id,
        "type": event.type,
        "occurred_utc": event.fact.occurred_at.isoformat(),
        "by": event.fact.actor.who,
        "role": event.fact.actor.role,
        "said": dict(_said(key, value) for key, value in sorted(event.fact.payload.items())),
    }


def _said(key: str, value: Any) -> tuple[str, Any]:
    # Instants of payloads are microseconds for programs; here they are read by people.
    if key.endswith("_at_us") and isinstance(value, int):
        return key.removesuffix("_us"), instant_of_us(value).isoformat()
    return key, value


def _both(at: datetime, zone: ZoneInfo) -> dict[str, str]:
    return {"utc": at.isoformat(), "local": at.astimezone(zone).isoformat()}
