"""Whom the targets of a ladder mean now: people on duty, in order, with the rule that forbids calling somebody.

For: resolving `Target` to `Callee` values when a step begins, and finding contacts that could break an escalation
before a night does (complaint 9). Not for: who is on duty (`oncall.rota.timeline`) or the rules of rest
(`oncall.rota.legal`); their answers are passed in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from oncall.chain import Callee
from oncall.directory import ChannelKind, ContactDuty, Directory, Person, PersonId, Site, SubSpecialty
from oncall.ladder import Target
from oncall.rota.model import Line, LineKind, Shift

# Whom a hospital is alarmed through, first first; radiographers are beside the scanner and reach a physician on foot.
ALARMED_DUTIES = (
    ContactDuty.EMERGENCY_PHYSICIAN,
    ContactDuty.SENIOR,
    ContactDuty.ADMINISTRATOR_ON_DUTY,
    ContactDuty.RADIOGRAPHER,
)

# Whom a hospital calls itself when every page went unanswered.
_CALLED_BACK = (Target.COORDINATOR, Target.ASSIGNED_READER, Target.SENIOR, Target.ANOTHER_READER)

# Whom the coordinator calls there when nobody of the hospital has taken note.
_CALLED_THERE = (
    Target.EMERGENCY_PHYSICIAN,
    Target.HOSPITAL_SENIOR,
    Target.ADMINISTRATOR_ON_DUTY,
    Target.HOSPITAL,
)


def callees(
    site: Site,
    needs: SubSpecialty,
    directory: Directory,
    on_duty: Sequence[tuple[Line, Shift]],
    *,
    assigned: PersonId | None = None,
    refusals: Mapping[PersonId, str] | None = None,
) -> dict[Target, tuple[Callee, ...]]:
    """Return the people whom each target means, best first.

    Parameters
    ----------
    site : Site
        Of the case: its privileges, its contacts and its order of providers count.
    needs : SubSpecialty
        Of the case: more competent people come first, who cannot read it are refused.
    on_duty : sequence of (Line, Shift)
        Everybody on duty at this moment, on every kind of line.
    assigned : PersonId or None
        The reader who has the case.
    refusals : mapping, optional
        Rules that forbid calling somebody now (rest, weekly hours), by person; from `oncall.rota.legal`.
    """
    rules = dict(refusals or {})
    here = [(line, shift) for line, shift in on_duty if not line.sites or site.site_id in line.sites]
    present = {line.provider_id for line, _ in here if line.kind is LineKind.DUTY}
    # The provider that has the night now: the first of the site's order with a reader on duty (the 23:30 baton).
    own_provider = next((provider for provider in site.provider_order if provider in present), None)

    def of(kind: LineKind, *, is_own: bool | None) -> tuple[Callee, ...]:
        found = [
            (line, directory.persons[shift.person_id])
            for line, shift in here
            if line.kind is kind
            and shift.person_id in directory.persons
            and (is_own is None or is_own == (own_provider is None or line.provider_id == own_provider))
        ]
        ranked = sorted(found, key=lambda pair: _rank(pair[0], pair[1], site, needs))
        must_read = kind is not LineKind.COORDINATOR
        return tuple(_callee(person, rules, site, needs, must_read=must_read) for person in _once(p for _, p in ranked))

    reader = None if assigned is None else directory.persons.get(assigned)
    return {
        Target.ASSIGNED_READER: () if reader is None else (_callee(reader, rules, site, needs, must_read=False),),
        Target.ANOTHER_READER: of(LineKind.DUTY, is_own=True),
        Target.NEUROLOGIST: _named(site, directory, (ContactDuty.NEUROLOGIST,)),
        Target.SENIOR: of(LineKind.SENIOR, is_own=None),
        Target.BACKUP: of(LineKind.BACKUP, is_own=True),
        Target.NEIGHBOUR_PROVIDER: of(LineKind.DUTY, is_own=False) if own_provider is not None else (),
        Target.COORDINATOR: of(LineKind.COORDINATOR, is_own=None),
        Target.EMERGENCY_PHYSICIAN: _named(site, directory, (ContactDuty.EMERGENCY_PHYSICIAN,)),
        Target.HOSPITAL_SENIOR: _named(site, directory, (ContactDuty.SENIOR,)),
        Target.ADMINISTRATOR_ON_DUTY: _named(site, directory, (ContactDuty.ADMINISTRATOR_ON_DUTY,)),
        Target.HOSPITAL: hospital_callees(site, directory),
    }


def hospital_callees(site: Site, directory: Directory) -> tuple[Callee, ...]:
    """Return everybody whom a hospital names for an alarm, those without a contact method included."""
    return _named(site, directory, ALARMED_DUTIES)


def _named(site: Site, directory: Directory, duties: Iterable[ContactDuty]) -> tuple[Callee, ...]:
    named = [person_id for duty in duties for person_id in site.contacts.get(duty, ())]
    people = _once(directory.persons[person_id] for person_id in named if person_id in directory.persons)
    return tuple(Callee(person_id=person.person_id, methods=person.contact_methods) for person in people)


def phone_to_call(found: Mapping[Target, Sequence[Callee]], *, alarmed: PersonId) -> str:
    """Return the number that a hospital calls when nobody answered; empty when nobody on duty has one.

    The coordinator, then the reader who has the case, the senior and the other readers: silence on one channel does not
    mean that a voice does not wake them. Never the number of who is alarmed.
    """
    return _first_number(found, _CALLED_BACK, alarmed)


def phone_of_hospital(found: Mapping[Target, Sequence[Callee]], *, alarmed: PersonId) -> str:
    """Return the number at which a hospital is called; empty when nobody there has one. Never that of who is told."""
    return _first_number(found, _CALLED_THERE, alarmed)


def _first_number(found: Mapping[Target, Sequence[Callee]], targets: Sequence[Target], alarmed: PersonId) -> str:
    for target in targets:
        for callee in found.get(target, ()):
            numbers = {method.kind: method.address for method in reversed(callee.methods)}
            number = numbers.get(ChannelKind.VOICE) or numbers.get(ChannelKind.SMS) or ""
            if number and callee.person_id != alarmed:
                return number
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactDefect:
    """Something that would make an escalation silent: `rule` is ``no_contact_method``, ``unknown_person`` or
    ``no_hospital_contact``; `who` a person or a site.
    """

    rule: str
    who: str


def contact_defects(directory: Directory, rostered: Iterable[PersonId]) -> tuple[ContactDefect, ...]:
    """Return what must be mended before a roster is published: nobody on it, and no hospital, may be out of reach."""
    found = []
    for person_id in sorted(set(rostered)):
        person = directory.persons.get(person_id)
        if person is None:
            found.append(ContactDefect(rule="unknown_person", who=person_id))
        elif not person.contact_methods:
            found.append(ContactDefect(rule="no_contact_method", who=person_id))
    for site in directory.sites.values():
        reachable = any(callee.methods for callee in hospital_callees(site, directory))
        if not reachable:
            found.append(ContactDefect(rule="no_hospital_contact", who=site.site_id))
    return tuple(found)


def _rank(line: Line, person: Person, site: Site, needs: SubSpecialty) -> tuple[int, int, str, str]:
    order = site.provider_order
    provider = order.index(line.provider_id) if line.provider_id in order else len(order)
    return provider, -int(person.competence(needs) or 0), line.line_id, person.person_id


def _callee(
    person: Person, rules: Mapping[PersonId, str], site: Site, needs: SubSpecialty, *, must_read: bool
) -> Callee:
    refusal = rules.get(person.person_id, "")
    if must_read and not refusal:
        if site.site_id not in person.privileges:
            refusal = "no_privilege"
        elif person.competence(needs) is None:
            refusal = "not_competent"
    return Callee(person_id=person.person_id, methods=person.contact_methods, refusal=refusal)


def _once(people: Iterable[Person]) -> list[Person]:
    return list({person.person_id: person for person in people}.values())
