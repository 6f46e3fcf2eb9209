"""The directory as a JSON document, and back: strict in both directions.

For: publishing, editing and importing who and where. Not for: storing versions (`oncall.documents_store`).

Invariants: reading what was written gives an equal directory; every reference (a site's contacts and providers, a
person's sites, privileges and provider) leads to something in the same document; an unknown key is refused.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from oncall.directory import (
    TELERADIOLOGY_SHARE_MAX,
    ChannelKind,
    Competence,
    ContactDuty,
    ContactMethod,
    Directory,
    Person,
    PersonId,
    Provider,
    ProviderHours,
    ProviderId,
    ProviderKind,
    ReportChannel,
    ReportChannelKind,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.strict_json import DocumentInvalid, Record, Value, duplicates, unique

FORMAT: Final = "telegarde-directory/1"
_Id = TypeVar("_Id", bound=str)
_Item = TypeVar("_Item")
# A region, not a country: more is a mistake in the document.
SITES_MAX: Final = 1_000
PERSONS_MAX: Final = 20_000
PROVIDERS_MAX: Final = 500
_WITHIN_ONE_MAX: Final = 1_000
_WEEK_H: Final = 168.0

# The national register of professionals: 11 digits, the last one by Luhn's rule.
_RPPS: Final = re.compile(r"[0-9]{11}")
# E.164: a plus, then up to 15 digits.
_E164: Final = re.compile(r"\+[1-9][0-9]{5,14}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
# INSEE code of a commune: Corsica's begin with 2A and 2B.
_COMMUNE: Final = re.compile(r"(?:[0-9]{2}|2A|2B)[0-9]{3}")
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_AE_TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}")


def directory_to_json(directory: Directory) -> dict[str, Any]:
    """Return the document of a directory: lists sorted by identifier, defaults left out."""
    return {
        "format": FORMAT,
        "providers": [_provider_to_json(one) for _, one in sorted(directory.providers.items())],
        "sites": [_site_to_json(one) for _, one in sorted(directory.sites.items())],
        "persons": [_person_to_json(one) for _, one in sorted(directory.persons.items())],
    }


def directory_from_json(document: Value) -> Directory:
    """Read a directory.

    Raises
    ------
    DocumentInvalid
        With every problem that could be found, each with its place.
    """
    record = document.record(("format", "providers", "sites", "persons"))
    if record["format"].text() != FORMAT:
        raise record["format"].wrong(f"{FORMAT} is wanted")
    problems: list[str] = []
    providers = _listed(record, "providers", _provider, PROVIDERS_MAX, problems)
    sites = _listed(record, "sites", _site, SITES_MAX, problems)
    persons = _listed(record, "persons", _person, PERSONS_MAX, problems)
    for name, ids in (
        ("providers", [one.provider_id for one in providers]),
        ("sites", [one.site_id for one in sites]),
        ("persons", [one.person_id for one in persons]),
    ):
        problems += duplicates(name, ids)
    if not problems:
        problems = [*_dangling(providers, sites, persons), *_shared_ae_titles(sites)]
    if problems:
        raise DocumentInvalid(problems)
    return Directory(
        sites={one.site_id: one for one in sites},
        persons={one.person_id: one for one in persons},
        providers={one.provider_id: one for one in providers},
    )


def _listed(
    record: Record, key: str, read: Callable[[Value], _Item], items_max: int, problems: list[str]
) -> list[_Item]:
    # What is wrong with the sites must not hide what is wrong with the persons.
    try:
        return record[key].each(read, items_max=items_max)
    except DocumentInvalid as error:
        problems.extend(error.problems)
        return []


def _dangling(providers: list[Provider], sites: list[Site], persons: list[Person]) -> list[str]:
    known_providers = {one.provider_id for one in providers}
    known_sites = {one.site_id for one in sites}
    known_persons = {one.person_id for one in persons}
    problems = []
    for site in sites:
        place = f"sites[{site.site_id}]"
        problems += [
            f"{place}.provider_order: no provider {one}" for one in site.provider_order if one not in known_providers
        ]
        problems += [
            f"{place}.contacts.{duty}: no person {one}"
            for duty, contacts in site.contacts.items()
            for one in contacts
            if one not in known_persons
        ]
    for person in persons:
        place = f"persons[{person.person_id}]"
        if person.provider_id is not None and person.provider_id not in known_providers:
            problems.append(f"{place}.provider_id: no provider {person.provider_id}")
        problems += [f"{place}.sites: no site {one}" for one in sorted(person.sites - known_sites)]
        problems += [f"{place}.privileges: no site {one}" for one in sorted(person.privileges - known_sites)]
    return problems


def _shared_ae_titles(sites: list[Site]) -> list[str]:
    # Two hospitals behind one AE title would mix up whose study it is.
    owner: dict[str, SiteId] = {}
    return [
        f"sites[{site.site_id}].ae_titles: {title} is already of site {owner[title]}"
        for site in sites
        for title in sorted(site.ae_titles)
        if owner.setdefault(title, site.site_id) != site.site_id
    ]


def identifier(value: Value) -> str:
    """Read an identifier: letters, digits, ``.``, ``_`` and ``-``, at most 64."""
    if not isinstance(value.raw, str) or not _IDENTIFIER.fullmatch(value.raw):
        raise value.wrong("an identifier of up to 64 letters, digits, dots, dashes and underscores is wanted")
    return value.raw


def _identifiers(record: Record, key: str, kind: Callable[[str], _Id]) -> list[_Id]:
    found = record.each(key, identifier, items_max=_WITHIN_ONE_MAX)
    unique(f"{record.place}.{key}", found)
    return [kind(one) for one in found]


def _provider(value: Value) -> Provider:
    record = value.record(("provider_id", "name", "kind", "time_zone"), ("hours",))
    return Provider(
        provider_id=ProviderId(identifier(record["provider_id"])),
        name=record["name"].text(),
        kind=record["kind"].one_of(ProviderKind),
        time_zone=record["time_zone"].time_zone(),
        hours=tuple(record.each("hours", _hours, items_max=_WITHIN_ONE_MAX)),
    )


def _hours(value: Value) -> ProviderHours:
    record = value.record(("weekdays", "start", "end"), ("on_holidays",))
    return ProviderHours(
        weekdays=frozenset(record["weekdays"].each(lambda day: day.whole(0, 6), items_max=7)),
        start=record["start"].wall_time(),
        end=record["end"].wall_time(),
        on_holidays=record.get("on_holidays", Value.flag, default=False),
    )


def _site(value: Value) -> Site:
    record = value.record(
        ("site_id", "name", "time_zone", "commune"),
        ("ae_titles", "issuer", "contacts", "services", "provider_order", "report_channels"),
    )
    commune = record["commune"]
    if not _COMMUNE.fullmatch(commune.text()):
        raise commune.wrong("an INSEE code of a commune is wanted, like 42218: holidays depend on it")
    return Site(
        site_id=SiteId(identifier(record["site_id"])),
        name=record["name"].text(),
        time_zone=record["time_zone"].time_zone(),
        commune=commune.text(),
        ae_titles=frozenset(record.each("ae_titles", _ae_title, items_max=_WITHIN_ONE_MAX)),
        issuer=record.get("issuer", Value.any_text, ""),
        contacts=record.get("contacts", _contacts, {}),
        services=frozenset(record.each("services", identifier, items_max=_WITHIN_ONE_MAX)),
        provider_order=tuple(_identifiers(record, "provider_order", ProviderId)),
        report_channels=tuple(record.each("report_channels", _report_channel, items_max=_WITHIN_ONE_MAX)),
    )


def _report_channel(value: Value) -> ReportChannel:
    record = value.record(("kind", "address"))
    kind = record["kind"].one_of(ReportChannelKind)
    address = record["address"]
    match kind:
        case ReportChannelKind.EMAIL:
            if not _EMAIL.fullmatch(address.text()):
                raise address.wrong("an e-mail address is wanted")
        case ReportChannelKind.DICOM:
            _ae_title(address)
        case ReportChannelKind.HL7:
            identifier(address)
    return ReportChannel(kind=kind, address=address.text())


def _ae_title(value: Value) -> str:
    title = value.text()
    if not _AE_TITLE.fullmatch(title) or title.strip() != title:
        raise value.wrong("an AE title of 1 to 16 printable characters is wanted (PS3.5 6.2)")
    return title


def _contacts(value: Value) -> Mapping[ContactDuty, tuple[PersonId, ...]]:
    record = value.record((), [duty.value for duty in ContactDuty])
    return {ContactDuty(duty): tuple(_identifiers(record, duty, PersonId)) for duty in value.members()}


def _person(value: Value) -> Person:
    record = value.record(
        ("person_id", "name", "role"),
        (
            *("rpps", "provider_id", "sites", "privileges", "competences", "contact_methods"),
            *("teleradiology_share_max", "weekly_hours", "language"),
        ),
    )
    role = record["role"].one_of(Role)
    return Person(
        person_id=PersonId(identifier(record["person_id"])),
        name=record["name"].text(),
        role=role,
        rpps=record.get("rpps", _rpps, None),
        provider_id=record.get("provider_id", lambda one: ProviderId(identifier(one)), None),
        sites=frozenset(_identifiers(record, "sites", SiteId)),
        privileges=frozenset(_identifiers(record, "privileges", SiteId)),
        competences=record.get("competences", _competences, {}),
        contact_methods=tuple(record.each("contact_methods", _contact_method, items_max=_WITHIN_ONE_MAX)),
        teleradiology_share_max=record.get(
            "teleradiology_share_max", lambda share: share.number(0, 1), TELERADIOLOGY_SHARE_MAX
        ),
        weekly_hours=record.get("weekly_hours", lambda hours: hours.number(0, _WEEK_H), 39.0),
        language=_language(record),
    )


def _language(record: Record) -> str:
    language = record.get("language", Value.text, "fr")
    if language not in ("fr", "en"):
        raise record["language"].wrong("fr or en is wanted")
    return language


def _rpps(value: Value) -> str | None:
    number = value.text()
    if not _RPPS.fullmatch(number) or not has_luhn_key(number):
        raise value.wrong("an RPPS number has 11 digits, the last one computed by Luhn's rule; check it")
    return number


def has_luhn_key(digits: str) -> bool:
    """Tell whether the last digit is the key of the others by Luhn's rule (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _competences(value: Value) -> Mapping[SubSpecialty, Competence]:
    value.record((), [one.value for one in SubSpecialty])
    return {SubSpecialty(name): level.one_of(Competence) for name, level in value.members().items()}


def _contact_method(value: Value) -> ContactMethod:
    record = value.record(("kind", "address"))
    kind = record["kind"].one_of(ChannelKind)
    address = record["address"].text()
    if kind in (ChannelKind.SMS, ChannelKind.VOICE) and not _E164.fullmatch(address):
        raise record["address"].wrong("a number in E.164 is wanted, like +33123456789")
    if kind is ChannelKind.EMAIL and not _EMAIL.fullmatch(address):
        raise record["address"].wrong("an e-mail address is wanted")
    return ContactMethod(kind=kind, address=address)


def _provider_to_json(provider: Provider) -> dict[str, Any]:
    written: dict[str, Any] = {
        "provider_id": provider.provider_id,
        "name": provider.name,
        "kind": provider.kind.value,
        "time_zone": provider.time_zone,
    }
    if provider.hours:
        written["hours"] = [
            {
                "weekdays": sorted(hours.weekdays),
                "start": hours.start.isoformat("minutes"),
                "end": hours.end.isoformat("minutes"),
                "on_holidays": hours.on_holidays,
            }
            for hours in provider.hours
        ]
    return written


def _site_to_json(site: Site) -> dict[str, Any]:
    written: dict[str, Any] = {
        "site_id": site.site_id,
        "name": site.name,
        "time_zone": site.time_zone,
        "commune": site.commune,
        "ae_titles": sorted(site.ae_titles),
        "issuer": site.issuer,
        "contacts": {duty.value: list(persons) for duty, persons in sorted(site.contacts.items())},
        "services": sorted(site.services),
        "provider_order": list(site.provider_order),
        "report_channels": [{"kind": one.kind.value, "address": one.address} for one in site.report_channels],
    }
    optional = ("ae_titles", "issuer", "contacts", "services", "provider_order", "report_channels")
    return _without_empty(written, optional)


def _person_to_json(person: Person) -> dict[str, Any]:
    written: dict[str, Any] = {
        "person_id": person.person_id,
        "name": person.name,
        "role": person.role.value,
        "rpps": person.rpps,
        "provider_id": person.provider_id,
        "sites": sorted(person.sites),
        "privileges": sorted(person.privileges),
        "competences": {one.value: level.name.lower() for one, level in sorted(person.competences.items())},
        "contact_methods": [{"kind": one.kind.value, "address": one.address} for one in person.contact_methods],
        "teleradiology_share_max": person.teleradiology_share_max,
        "weekly_hours": person.weekly_hours,
        "language": person.language,
    }
    return _without_empty(written, ("rpps", "provider_id", "sites", "privileges", "competences", "contact_methods"))


def _without_empty(written: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    optional = frozenset(keys)
    return {key: value for key, value in written.items() if value or key not in optional}
