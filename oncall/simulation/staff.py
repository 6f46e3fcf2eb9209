"""The people of a simulated night as a directory and a roster, so that the engine's own roster code says who is there.

For: `oncall.simulation.run`. Not for: a real territory (`territory.demo_territory`). Everybody may read everything of
every site: the bound that results are compared with knows no skills.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from oncall.directory import (
    ChannelKind,
    Competence,
    ContactMethod,
    Directory,
    LineId,
    Person,
    PersonId,
    Provider,
    ProviderId,
    ProviderKind,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.rota.model import Line, LineKind, Roster, ShiftPlan
from oncall.rota.timeline import Timeline
from oncall.simulation.arrivals import NIGHT_ENDS_MIN, NIGHT_STARTS_MIN
from oncall.simulation.night import Staffing
from oncall.spans import Span

# A Friday evening in winter: 00:00 local time, an hour ahead of UTC, and no clock changes.
EVENING: Final = datetime(2026, 11, 19, 23, tzinfo=UTC)
UTC_OFFSET_S: Final = 3600.0
TIME_ZONE: Final = "Europe/Paris"

_POOL: Final = ProviderId("pool")
_COMMUNE: Final = "42218"


def instant(minutes: Decimal) -> datetime:
    """Return minutes after 00:00 of the evening's day as an instant, to the microsecond."""
    return EVENING + timedelta(microseconds=int((minutes * 60_000_000).to_integral_value()))


def at_s(minutes: Decimal) -> float:
    """Return minutes after 00:00 of the evening's day as seconds since 1970 UTC."""
    return EVENING.timestamp() + float(minutes * 60)


def at_min(instant_s: float) -> Decimal:
    """Return seconds since 1970 UTC as minutes after 00:00 of the evening's day, to the microsecond."""
    return Decimal(round((instant_s - EVENING.timestamp()) * 1_000_000)) / 60_000_000


def territory(staffing: Staffing, sites: Iterable[str]) -> Directory:
    """Return a directory in which everybody of `staffing` may read everything of every site."""
    site_ids = sorted(SiteId(site) for site in sites)
    names = [duty.person for duty in staffing.duties()] + list(staffing.backups())
    return Directory(
        sites={
            site_id: Site(site_id=site_id, name=site_id, time_zone=TIME_ZONE, commune=_COMMUNE, provider_order=(_POOL,))
            for site_id in site_ids
        },
        persons={PersonId(name): _radiologist(name, frozenset(site_ids)) for name in names},
        providers={_POOL: Provider(provider_id=_POOL, name="pool", kind=ProviderKind.PUBLIC_POOL, time_zone=TIME_ZONE)},
    )


def _radiologist(name: str, site_ids: frozenset[SiteId]) -> Person:
    return Person(
        person_id=PersonId(name),
        name=name,
        role=Role.RADIOLOGIST,
        provider_id=_POOL,
        privileges=site_ids,
        competences=dict.fromkeys(SubSpecialty, Competence.COMPETENT),
        contact_methods=(ContactMethod(kind=ChannelKind.CONSOLE, address=name),),
    )


def roster(staffing: Staffing) -> Roster:
    """Return the roster of the night: a line for each chair, and one for each radiologist who may be called."""
    duties = [(duty.person, _span(duty.from_min, duty.until_min), LineKind.DUTY) for duty in staffing.duties()]
    at_home = [
        (person, _span(NIGHT_STARTS_MIN, NIGHT_ENDS_MIN + 720), LineKind.BACKUP) for person in staffing.backups()
    ]
    return Roster(
        version="simulated",
        lines=tuple(_line(person, kind) for person, _, kind in duties + at_home),
        plans=tuple(
            ShiftPlan(shift_id=person, line_id=LineId(person), person_id=PersonId(person), span=span)
            for person, span, _ in duties + at_home
        ),
    )


def timeline(plan: Roster, directory: Directory) -> Timeline:
    """Resolve the night's roster for a week to both sides."""
    return Timeline(plan, directory, Span(start=EVENING - timedelta(days=7), end=EVENING + timedelta(days=70)))


def _line(person: str, kind: LineKind) -> Line:
    return Line(
        line_id=LineId(person),
        name=person,
        kind=kind,
        provider_id=_POOL,
        time_zone=TIME_ZONE,
        commune=_COMMUNE,
        rules=(),
    )


def _span(from_min: Decimal, until_min: Decimal) -> Span:
    return Span(start=instant(from_min), end=instant(until_min))
