"""A territory that does not exist: 18 hospitals, 30 radiologists, and everybody who is called at night.

For: ``telegarde demo`` and tests of the command line. Not for: any real service. Names are invented; telephone
numbers are of the ranges that ARCEP keeps for fiction, addresses of example domains (RFC 2606). The INSEE
codes are real, because public holidays depend on them: one hospital is in Moselle, one on La Réunion, with a clock of
its own.

Invariant: the same directory at each call.
"""

from dataclasses import dataclass
from datetime import time
from typing import Final

from oncall.directory import (
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
    Role,
    Site,
    SiteId,
    SubSpecialty,
)

POOL: Final = ProviderId("gie-trois-rivieres")
COMPANY: Final = ProviderId("nuit-imagerie")
POOL_READERS: Final = 25
RADIOLOGISTS: Final = 30
COORDINATORS: Final = 5
_EVERY_DAY: Final = frozenset(range(7))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hospital:
    site_id: str
    name: str
    commune: str
    services: tuple[str, ...] = ("CT",)
    time_zone: str = "Europe/Paris"


_HOSPITALS: Final = (
    _Hospital(
        site_id="fontclaire",
        name="CHU de Fontclaire",
        commune="42218",
        services=("CT", "MR", "stroke_unit", "trauma_centre"),
    ),
    _Hospital(site_id="rivelonne", name="CH de Rivelonne", commune="42187", services=("CT", "MR", "stroke_unit")),
    _Hospital(site_id="montbrel", name="CH du Montbrel", commune="42147", services=("CT", "MR")),
    _Hospital(site_id="valfleury", name="CH de Valfleury", commune="42207", services=("CT", "MR")),
    _Hospital(site_id="aubierre", name="CH d'Aubierre", commune="42095"),
    _Hospital(site_id="rochebrune", name="CH de Rochebrune", commune="42094"),
    _Hospital(site_id="belmont", name="Hôpital de Belmont-le-Vieux", commune="42019"),
    _Hospital(site_id="charlune", name="Hôpital de Charlune", commune="42052"),
    _Hospital(site_id="pilat", name="Hôpital du Haut-Pilat", commune="42023"),
    _Hospital(site_id="velay", name="CH du Velay", commune="43157", services=("CT", "MR", "stroke_unit")),
    _Hospital(site_id="brivelle", name="CH de Brivelle", commune="43040"),
    _Hospital(site_id="annelay", name="CH d'Annelay", commune="07010", services=("CT", "MR")),
    _Hospital(site_id="tarentin", name="CH de Tarentin", commune="69243"),
    _Hospital(site_id="givreux", name="CH de Givreux", commune="69091"),
    _Hospital(site_id="vichelle", name="CH de Vichelle", commune="03310", services=("CT", "MR")),
    _Hospital(site_id="montluce", name="CH de Montluce", commune="03185", services=("CT", "MR")),
    # Good Friday and 26 December are holidays here and nowhere else in the territory.
    _Hospital(site_id="sarrelle", name="CH de Sarrelle", commune="57630"),
    # Two or three hours ahead of the others, and no clock change.
    _Hospital(site_id="piton", name="Hôpital du Piton", commune="97411", time_zone="Indian/Reunion"),
)

_READERS: Final = (
    *("Zoé Aubanel", "Marc Besson", "Claire Chabrol", "Denis Daumas", "Élise Escoffier", "Fabien Faure"),
    *("Gaëlle Grangier", "Hugo Hérault", "Inès Izard", "Julien Jourdan", "Karine Lacombe", "Laurent Malherbe"),
    *("Manon Navarre", "Nicolas Olivier", "Odile Peyron", "Paul Quintin", "Rachel Rigaud", "Simon Sabatier"),
    *("Thérèse Tissot", "Ugo Vallet", "Valérie Vernay", "William Wagner", "Xavier Ximénès", "Yasmine Yvart"),
    *("Adèle Zimmer", "Bruno Arnoux", "Cécile Bonnafé", "David Castel", "Émilie Delorme", "Franck Espinasse"),
)
_COORDINATOR_NAMES: Final = ("Aline Fabre", "Basile Gontier", "Coralie Hugon", "Didier Imbert", "Estelle Jaume")
_EXPERTISE: Final = (
    SubSpecialty.NEURO,
    SubSpecialty.ABDOMEN,
    SubSpecialty.TRAUMA,
    SubSpecialty.CHEST,
    SubSpecialty.MSK,
    SubSpecialty.CARDIAC,
    SubSpecialty.PAEDIATRIC,
)


def demo_directory() -> Directory:
    """Return the demonstration territory's directory."""
    persons = [
        *(_radiologist(number) for number in range(1, RADIOLOGISTS + 1)),
        *(_coordinator(number) for number in range(1, COORDINATORS + 1)),
        *(person for place, hospital in enumerate(_HOSPITALS) for person in _staff(place, hospital)),
    ]
    return Directory(
        sites={SiteId(one.site_id): _site(one) for one in _HOSPITALS},
        persons={person.person_id: person for person in persons},
        providers={provider.provider_id: provider for provider in _providers()},
    )


def reader_id(number: int) -> PersonId:
    """Return the identifier of radiologist `number`, from 1."""
    return PersonId(f"r{number:02d}")


def coordinator_id(number: int) -> PersonId:
    """Return the identifier of coordinator `number`, from 1."""
    return PersonId(f"c{number:02d}")


def _providers() -> tuple[Provider, ...]:
    # As the PIMM of Centre-Val de Loire: the public pool reads, from 23:30 on beside a private company.
    return (
        Provider(
            provider_id=POOL,
            name="GIE Imagerie des Trois-Rivières",
            kind=ProviderKind.PUBLIC_POOL,
            time_zone="Europe/Paris",
        ),
        Provider(
            provider_id=COMPANY,
            name="Nuit Imagerie SELARL",
            kind=ProviderKind.PRIVATE_COMPANY,
            time_zone="Europe/Paris",
            hours=(
                ProviderHours(weekdays=_EVERY_DAY, start=time(23, 30), end=time(8, 30)),
                ProviderHours(weekdays=frozenset({5, 6}), start=time(8, 30), end=time(18, 30), on_holidays=True),
            ),
        ),
    )


def _site(hospital: _Hospital) -> Site:
    contacts = {
        ContactDuty.EMERGENCY_PHYSICIAN: (_staff_id(hospital, "urg", 1), _staff_id(hospital, "urg", 2)),
        ContactDuty.RADIOGRAPHER: (_staff_id(hospital, "mer", 1), _staff_id(hospital, "mer", 2)),
        ContactDuty.ADMINISTRATOR_ON_DUTY: (_staff_id(hospital, "adm", 1),),
    }
    if "stroke_unit" in hospital.services:
        contacts[ContactDuty.NEUROLOGIST] = (_staff_id(hospital, "neuro", 1), _staff_id(hospital, "neuro", 2))
    title = hospital.site_id.upper()
    return Site(
        site_id=SiteId(hospital.site_id),
        name=hospital.name,
        time_zone=hospital.time_zone,
        commune=hospital.commune,
        ae_titles=frozenset(f"{title}_{service}" for service in hospital.services if service in ("CT", "MR")),
        issuer=title,
        contacts=contacts,
        services=frozenset(hospital.services),
        provider_order=(POOL, COMPANY),
    )


def _radiologist(number: int) -> Person:
    is_of_pool = number <= POOL_READERS
    expertise = _EXPERTISE[(number - 1) % len(_EXPERTISE)]
    competences = dict.fromkeys(SubSpecialty, Competence.COMPETENT)
    # Nobody reads everything equally well; each lacks confidence in one field and leads in another.
    competences[_EXPERTISE[(number + 2) % len(_EXPERTISE)]] = Competence.LAST_RESORT
    competences[expertise] = Competence.EXPERT
    if number % 3 == 1:
        competences[SubSpecialty.NEURO] = Competence.EXPERT
    sites = [SiteId(one.site_id) for one in _HOSPITALS]
    # The newest two of the pool have no convention with the island yet.
    privileges = [site for site in sites if number not in (24, 25) or site != "piton"]
    own_site = sites[(number - 1) % len(sites)]
    return Person(
        person_id=reader_id(number),
        name=f"Dr {_READERS[number - 1]}",
        role=Role.RADIOLOGIST,
        rpps=_rpps(number),
        provider_id=POOL if is_of_pool else COMPANY,
        sites=frozenset({own_site}) if is_of_pool else frozenset(),
        privileges=frozenset(privileges),
        competences=competences,
        contact_methods=_methods(f"r{number:02d}", number),
        # Those of the company have their own practice by day; the charter knows no exclusive teleradiologist.
        teleradiology_share_max=0.20 if is_of_pool else 0.5,
        weekly_hours=48.0 if is_of_pool else 39.0,
        language="en" if number == 22 else "fr",
    )


def _coordinator(number: int) -> Person:
    return Person(
        person_id=coordinator_id(number),
        name=f"Dr {_COORDINATOR_NAMES[number - 1]}",
        role=Role.COORDINATOR,
        provider_id=POOL,
        contact_methods=_methods(f"c{number:02d}", 100 + number),
    )


def _staff(place: int, hospital: _Hospital) -> list[Person]:
    wanted = [
        ("urg", "Urgentiste", Role.EMERGENCY_PHYSICIAN, 2),
        ("mer", "Manipulateur", Role.RADIOGRAPHER, 2),
        ("adm", "Administrateur de garde", Role.ADMINISTRATOR, 1),
    ]
    if "stroke_unit" in hospital.services:
        wanted.append(("neuro", "Neurologue", Role.NEUROLOGIST, 2))
    found: list[Person] = []
    for kind, word, role, count in wanted:
        for number in range(1, count + 1):
            person_id = _staff_id(hospital, kind, number)
            # Unique numbers: eight of each hospital, after those of the pool.
            serial = 200 + place * 8 + len(found)
            found.append(
                Person(
                    person_id=person_id,
                    name=f"{word} {number} ({hospital.name})",
                    role=role,
                    sites=frozenset({SiteId(hospital.site_id)}),
                    contact_methods=_methods(person_id, serial),
                )
            )
    return found


def _staff_id(hospital: _Hospital, kind: str, number: int) -> PersonId:
    return PersonId(f"{hospital.site_id}-{kind}{number}")


def _methods(name: str, serial: int) -> tuple[ContactMethod, ...]:
    mobile = f"+3363998{serial:04d}"
    return (
        ContactMethod(kind=ChannelKind.SMS, address=mobile),
        ContactMethod(kind=ChannelKind.VOICE, address=mobile),
        ContactMethod(kind=ChannelKind.EMAIL, address=f"{name}@garde.example"),
    )


def _rpps(number: int) -> str:
    """Return an RPPS number of a range that is not given out, with its key by Luhn's rule."""
    digits = f"99{number:08d}"
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 if place % 2 else 2)
        total += doubled - 9 if doubled > 9 else doubled
    return f"{digits}{-total % 10}"
