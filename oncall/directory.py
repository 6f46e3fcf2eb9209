"""Who and where: hospitals (sites), people, providers, as values that decisions read. Loading and saving is elsewhere.

A provider (public pool, private company, local group) has hours of its own, so that one night can pass from one to
another at 23:30; a site names the providers it turns to, in order (territorial subsidiarity, G4 charter 2025).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from enum import IntEnum, StrEnum
from typing import Final, NewType

SiteId = NewType("SiteId", str)
PersonId = NewType("PersonId", str)
ProviderId = NewType("ProviderId", str)
LineId = NewType("LineId", str)

# Share of a radiologist's activity that may be teleradiology (G4 charter 2025).
TELERADIOLOGY_SHARE_MAX: Final = 0.20


class SubSpecialty(StrEnum):
    """What a case needs of its reader."""

    GENERAL = "general"
    NEURO = "neuro"
    TRAUMA = "trauma"
    ABDOMEN = "abdomen"
    CHEST = "chest"
    MSK = "msk"
    PAEDIATRIC = "paediatric"
    CARDIAC = "cardiac"


class Competence(IntEnum):
    """How well somebody reads a sub-specialty; absent means not at all."""

    LAST_RESORT = 1
    COMPETENT = 2
    EXPERT = 3


class Role(StrEnum):
    """What somebody is."""

    RADIOLOGIST = "radiologist"
    RADIOGRAPHER = "radiographer"
    EMERGENCY_PHYSICIAN = "emergency_physician"
    NEUROLOGIST = "neurologist"
    COORDINATOR = "coordinator"
    ADMINISTRATOR = "administrator"


class ContactDuty(StrEnum):
    """Whom a hospital answers with."""

    EMERGENCY_PHYSICIAN = "emergency_physician"
    RADIOGRAPHER = "radiographer"
    NEUROLOGIST = "neurologist"
    SENIOR = "senior"
    ADMINISTRATOR_ON_DUTY = "administrator_on_duty"


class ChannelKind(StrEnum):
    """How a message travels; each has an adapter in `oncall.channels`."""

    EMAIL = "email"
    SMS = "sms"
    VOICE = "voice"
    PUSH = "push"
    CONSOLE = "console"


class ReportChannelKind(StrEnum):
    """How an emergency department gets reports, beside its page, which each has."""

    EMAIL = "email"
    DICOM = "dicom"
    HL7 = "hl7"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportChannel:
    """One of them: a mailbox, the AE title of a configured peer, or the name of an HL7 destination."""

    kind: ReportChannelKind
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactMethod:
    """One way to reach somebody: an e-mail address, a number in E.164, a push topic or a console name."""

    kind: ChannelKind
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody who reads, scans, asks or is alarmed.

    ``contact_methods`` are tried in order. ``privileges`` are the sites whose convention covers this reader; ``sites``
    are those where a radiographer or emergency physician works. ``weekly_hours`` is the contract's.
    """

    person_id: PersonId
    name: str
    role: Role
    rpps: str | None = None
    provider_id: ProviderId | None = None
    sites: frozenset[SiteId] = frozenset()
    privileges: frozenset[SiteId] = frozenset()
    competences: Mapping[SubSpecialty, Competence] = field(default_factory=dict)
    contact_methods: tuple[ContactMethod, ...] = ()
    teleradiology_share_max: float = TELERADIOLOGY_SHARE_MAX
    weekly_hours: float = 39.0
    language: str = "fr"

    def competence(self, needed: SubSpecialty) -> Competence | None:
        """Return how well this person reads `needed`, or None when not at all."""
        return self.competences.get(needed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A hospital. ``commune`` is its INSEE code: public holidays are a property of (date, commune).

    ``contacts`` lists, by duty, who is called, in order. ``services`` are the modalities and pathways offered at night
    (``CT``, ``MR``, ``stroke_unit``). ``report_channels`` are those of its emergency department beside its page.
    """

    site_id: SiteId
    name: str
    time_zone: str
    commune: str
    ae_titles: frozenset[str] = frozenset()
    issuer: str = ""
    contacts: Mapping[ContactDuty, tuple[PersonId, ...]] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    provider_order: tuple[ProviderId, ...] = ()
    report_channels: tuple[ReportChannel, ...] = ()


class ProviderKind(StrEnum):
    """Public first, commercial last (G4 charter)."""

    LOCAL_GROUP = "local_group"
    PUBLIC_POOL = "public_pool"
    PRIVATE_COMPANY = "private_company"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderHours:
    """Hours in local wall time, from `start` to `end` (of the next day when not later), on weekdays 0 (Monday) to 6.

    ``on_holidays`` adds every public holiday of the site whatever its weekday.
    """

    weekdays: frozenset[int]
    start: time
    end: time
    on_holidays: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """A pool of readers under one contract; empty `hours` means always."""

    provider_id: ProviderId
    name: str
    kind: ProviderKind
    time_zone: str
    hours: tuple[ProviderHours, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The whole territory; keys equal the values' own ids."""

    sites: Mapping[SiteId, Site]
    persons: Mapping[PersonId, Person]
    providers: Mapping[ProviderId, Provider]


def methods_to_rows(methods: Iterable[ContactMethod]) -> list[list[str]]:
    """Return contact methods as rows of tables hold them: a list of kind and address each."""
    return [[method.kind.value, method.address] for method in methods]


def methods_of_rows(rows: Iterable[Sequence[str]]) -> tuple[ContactMethod, ...]:
    """Return the contact methods that `methods_to_rows` wrote."""
    return tuple(ContactMethod(kind=ChannelKind(kind), address=address) for kind, address in rows)
