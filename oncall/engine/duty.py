"""What happens on a night that belongs to no single case: backups called, readers gone, handovers, mass alerts.

Such facts have a log of their own, one stream from noon to noon UTC, chained like a case's. `Duty` is the fold over
them. Streams share the table of case events; their id begins with `STREAM_PREFIX`, which no case's does.

Invariants: payloads hold no patient data; a called backup is called once until released; who is unavailable stays so
until back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from foundation.errors import PeerError
from foundation.instants import instant_of_us, instant_of_us_or_none
from oncall.case.event import CaseId, Event, Fact
from oncall.directory import LineId, PersonId, SiteId
from oncall.rota.model import Shift, call
from oncall.spans import Span

STREAM_PREFIX: Final = "duty:"
_NOON: Final = timedelta(hours=12)


class DutyType(StrEnum):
    """Everything that can happen to a night, in the past tense."""

    BACKUP_CALLED = "backup.called"
    BACKUP_CONFIRMED = "backup.confirmed"
    BACKUP_DECLINED = "backup.declined"
    BACKUP_EXTENDED = "backup.extended"
    BACKUP_RELEASED = "backup.released"
    BACKUP_REFUSED = "backup.refused_by_rule"
    READER_UNAVAILABLE = "reader.unavailable"
    READER_BACK = "reader.back"
    HANDOVER_OFFERED = "handover.offered"
    HANDOVER_ACCEPTED = "handover.accepted"
    PROVIDER_TOOK_OVER = "provider.took_over"
    CONTACT_TEST_SENT = "contact_test.sent"
    CONTACT_TEST_ANSWERED = "contact_test.answered"
    CONTACT_TEST_FAILED = "contact_test.failed"
    NOTICE_REPEATED = "notice.repeated"
    NO_NOTIFICATION_SENT = "duty.no_notification_sent"
    ESCALATION = "duty.escalation"
    ESCALATION_ACKNOWLEDGED = "duty.escalation_acknowledged"
    SITE_LINK_LOST = "site_link.lost"
    SITE_LINK_BACK = "site_link.back"
    MASS_ALERT_STARTED = "mass_alert.started"
    MASS_ALERT_ENDED = "mass_alert.ended"
    MASS_ALERT_REHEARSED = "mass_alert.rehearsed"


_REQUIRED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        DutyType.BACKUP_CALLED: frozenset({"person_id", "line_id", "arrives_at_us", "until_us"}),
        DutyType.BACKUP_CONFIRMED: frozenset({"person_id"}),
        DutyType.BACKUP_DECLINED: frozenset({"person_id"}),
        DutyType.BACKUP_EXTENDED: frozenset({"person_id", "until_us"}),
        DutyType.BACKUP_RELEASED: frozenset({"person_id"}),
        DutyType.READER_UNAVAILABLE: frozenset({"person_id", "reason"}),
        DutyType.READER_BACK: frozenset({"person_id"}),
        DutyType.SITE_LINK_LOST: frozenset({"site_id"}),
        DutyType.SITE_LINK_BACK: frozenset({"site_id"}),
        DutyType.MASS_ALERT_STARTED: frozenset({"recall_id", "place", "people", "by"}),
        DutyType.MASS_ALERT_ENDED: frozenset({"recall_id", "board", "by"}),
        DutyType.MASS_ALERT_REHEARSED: frozenset({"recall_id", "place", "people", "by"}),
    }
)


def stream_of(now: datetime) -> CaseId:
    """Return the stream that a fact recorded at `now` (aware UTC) goes into."""
    return CaseId(f"{STREAM_PREFIX}{(now - _NOON).date().isoformat()}")


def is_stream(case_id: CaseId) -> bool:
    """Tell a duty stream from a case."""
    return case_id.startswith(STREAM_PREFIX)


@dataclass(frozen=True, kw_only=True, slots=True)
class CalledBackup:
    """Somebody called from home: reads from `arrives_at`, planned until `until` (UTC); `confirmed_at` is their yes."""

    person_id: PersonId
    line_id: LineId
    called_at: datetime
    arrives_at: datetime
    until: datetime
    confirmed_at: datetime | None = None

    @property
    def worked(self) -> Shift | None:
        """What they work, or worked, as a shift for the law and the ledger; None when let go before they arrived."""
        if self.until <= self.arrives_at:
            return None
        return call(self.line_id, self.person_id, Span(start=self.arrives_at, end=self.until))


@dataclass(frozen=True, kw_only=True, slots=True)
class Duty:
    """The night beside its cases. ``calls`` counts backup calls, ``released`` are those let go again.

    ``links_lost`` are the hospitals that should be sending and do not, and since when (UTC).
    """

    backups: Mapping[PersonId, CalledBackup] = field(default_factory=dict)
    released: tuple[CalledBackup, ...] = ()
    unavailable: Mapping[PersonId, str] = field(default_factory=dict)
    declined_at: Mapping[PersonId, datetime] = field(default_factory=dict)
    calls: int = 0
    links_lost: Mapping[SiteId, datetime] = field(default_factory=dict)


# What is kept of released backups: their duty counts for the law's average of 17 weeks, at eight calls a night.
_RELEASED_KEPT: Final = 1024

CALLS: Final = frozenset(
    {
        DutyType.BACKUP_CALLED,
        DutyType.BACKUP_CONFIRMED,
        DutyType.BACKUP_DECLINED,
        DutyType.BACKUP_EXTENDED,
        DutyType.BACKUP_RELEASED,
    }
)
"""Facts that say what called backups worked."""


def check(fact: Fact) -> None:
    """Refuse a fact that no night knows.

    Raises
    ------
    PeerError
        If its type is unknown or a payload key is missing.
    """
    if fact.type not in set(DutyType):
        raise PeerError(f"no event of a night is called {fact.type!r}; oncall.engine.duty lists them")
    missing = _REQUIRED.get(fact.type, frozenset()) - fact.payload.keys()
    if missing:
        raise PeerError(f"{fact.type} needs {sorted(missing)} in its payload")


def apply(duty: Duty, event: Event) -> Duty:
    """Return the night after one more of its events; types that change nothing are only kept in the log."""
    payload, at = event.fact.payload, event.fact.occurred_at
    person_id = PersonId(str(payload.get("person_id", "")))
    match event.type:
        case DutyType.BACKUP_CALLED:
            called = CalledBackup(
                person_id=person_id,
                line_id=LineId(payload["line_id"]),
                called_at=at,
                arrives_at=instant_of_us(payload["arrives_at_us"]),
                until=instant_of_us(payload["until_us"]),
            )
            return replace(duty, backups={**duty.backups, person_id: called}, calls=duty.calls + 1)
        case DutyType.BACKUP_CONFIRMED:
            return _changed(duty, person_id, confirmed_at=at)
        case DutyType.BACKUP_EXTENDED:
            return _changed(duty, person_id, until=instant_of_us(payload["until_us"]))
        case DutyType.BACKUP_DECLINED:
            declined = {**duty.declined_at, person_id: at}
            return replace(_without(duty, person_id), declined_at=declined)
        case DutyType.BACKUP_RELEASED:
            backup = duty.backups.get(person_id)
            # Who had a case open stayed longer than planned, and nobody is let go before that: they worked until now.
            kept = () if backup is None else (replace(backup, until=at),)
            return replace(_without(duty, person_id), released=(*duty.released, *kept)[-_RELEASED_KEPT:])
        case DutyType.READER_UNAVAILABLE:
            return replace(duty, unavailable={**duty.unavailable, person_id: str(payload["reason"])})
        case DutyType.SITE_LINK_LOST:
            lost = {**duty.links_lost, SiteId(payload["site_id"]): instant_of_us_or_none(payload.get("since_us")) or at}
            return replace(duty, links_lost=lost)
        case DutyType.SITE_LINK_BACK:
            still = {site: since for site, since in duty.links_lost.items() if site != payload["site_id"]}
            return replace(duty, links_lost=still)
        case DutyType.READER_BACK:
            left = {gone: why for gone, why in duty.unavailable.items() if gone != person_id}
            return replace(duty, unavailable=left)
    return duty


def _changed(duty: Duty, person_id: PersonId, **changes: Any) -> Duty:
    backup = duty.backups.get(person_id)
    if backup is None:
        return duty
    return replace(duty, backups={**duty.backups, person_id: replace(backup, **changes)})


def _without(duty: Duty, person_id: PersonId) -> Duty:
    return replace(duty, backups={one: backup for one, backup in duty.backups.items() if one != person_id})
