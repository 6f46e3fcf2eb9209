"""Values that the tests of exchange share: a small territory, and lines that cross both clock changes."""

from datetime import UTC, date, datetime, time
from functools import cache

from oncall.directory import (
    ChannelKind,
    ContactMethod,
    Directory,
    LineId,
    Person,
    PersonId,
    Provider,
    ProviderId,
    ProviderKind,
    Role,
)
from oncall.rota.model import Line, LineKind, Roster, Rotation, ShiftRule
from oncall.rota.timeline import Timeline
from oncall.spans import Span

POOL = ProviderId("pool")
NIGHT = LineId("reader-1")
LATE = LineId("late")
NAMES = {"r01": "Dr Zoé Élan", "r02": "Dr Marc Oury", "r03": "Dr Anne Tilly"}
PERSONS = tuple(PersonId(one) for one in NAMES)
YEAR = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))
OCTOBER = Span(start=datetime(2026, 10, 20, tzinfo=UTC), end=datetime(2026, 10, 30, tzinfo=UTC))


def directory() -> Directory:
    return Directory(
        sites={},
        persons={
            PersonId(person_id): Person(
                person_id=PersonId(person_id),
                name=name,
                role=Role.RADIOLOGIST,
                contact_methods=(ContactMethod(kind=ChannelKind.EMAIL, address=f"{person_id}@example.org"),),
            )
            for person_id, name in NAMES.items()
        },
        providers={
            POOL: Provider(provider_id=POOL, name="Pool", kind=ProviderKind.PUBLIC_POOL, time_zone="Europe/Paris")
        },
    )


def line(line_id: LineId, *rules: ShiftRule, kind: LineKind = LineKind.DUTY) -> Line:
    return Line(
        line_id=line_id,
        name=f"Ligne {line_id}",
        kind=kind,
        provider_id=POOL,
        time_zone="Europe/Paris",
        commune="42218",
        rules=rules,
    )


def roster(version: str = "v1") -> Roster:
    """Nights from 18:30, and shifts that change hands at 02:30, which comes twice in October and never in March."""
    return Roster(
        version=version,
        lines=(
            line(NIGHT, ShiftRule(name="night", start=time(18, 30), end=time(8, 30))),
            line(
                LATE,
                ShiftRule(name="first", start=time(18, 30), end=time(2, 30)),
                ShiftRule(name="second", start=time(2, 30), end=time(8, 30)),
            ),
        ),
        rotations=(
            Rotation(line_id=NIGHT, participants=PERSONS, first_day=date(2026, 1, 1)),
            Rotation(line_id=LATE, participants=PERSONS, first_day=date(2026, 1, 1)),
        ),
    )


@cache
def timeline(of: Roster | None = None, within: Span = YEAR) -> Timeline:
    return Timeline(of or roster(), directory(), within)
