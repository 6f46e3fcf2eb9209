"""Whom a step means: by provider, competence and rule, and which contacts would break an escalation."""

from datetime import UTC, datetime, time

from oncall.callees import callees, contact_defects, phone_to_call
from oncall.chain import Callee
from oncall.directory import (
    ChannelKind,
    Competence,
    ContactDuty,
    ContactMethod,
    Directory,
    LineId,
    Person,
    PersonId,
    ProviderId,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.ladder import Target
from oncall.rota.model import Line, LineKind, Shift, ShiftRule
from oncall.spans import Span

SITE = SiteId("ambert")
POOL, COMPANY = ProviderId("pool"), ProviderId("company")
NIGHT = Span(start=datetime(2026, 11, 21, 17, 30, tzinfo=UTC), end=datetime(2026, 11, 22, 7, 30, tzinfo=UTC))


def person(name: str, level: Competence | None = Competence.COMPETENT, *, has_method: bool = True) -> Person:
    return Person(
        person_id=PersonId(name),
        name=name,
        role=Role.RADIOLOGIST,
        privileges=frozenset({SITE}),
        competences={} if level is None else {SubSpecialty.NEURO: level},
        contact_methods=(ContactMethod(kind=ChannelKind.SMS, address="+33600000000"),) if has_method else (),
    )


def on(name: str, who: str, kind: LineKind = LineKind.DUTY, provider: ProviderId = POOL) -> tuple[Line, Shift]:
    line = Line(
        line_id=LineId(name),
        name=name,
        kind=kind,
        provider_id=provider,
        time_zone="Europe/Paris",
        commune="63003",
        rules=(ShiftRule(name="night", start=time(18, 30), end=time(8, 30)),),
    )
    return line, Shift(line_id=line.line_id, person_id=PersonId(who), span=NIGHT, origin="plan:x")


def directory(*people: Person, contacts: dict[ContactDuty, tuple[PersonId, ...]] | None = None) -> Directory:
    site = Site(
        site_id=SITE,
        name="Ambert",
        time_zone="Europe/Paris",
        commune="63003",
        contacts=contacts or {},
        provider_order=(POOL, COMPANY),
    )
    return Directory(sites={SITE: site}, persons={one.person_id: one for one in people}, providers={})


def names(found: dict[Target, tuple[object, ...]], target: Target) -> list[str]:
    return [f"{callee.person_id}:{callee.refusal}" for callee in found[target]]  # type: ignore[attr-defined]  # a Callee


def test_the_most_competent_reader_is_asked_first_and_who_cannot_read_it_is_refused_by_rule() -> None:
    people = directory(person("ann"), person("bob", Competence.EXPERT), person("cyd", None))
    duty = [on("r1", "ann"), on("r2", "bob"), on("r3", "cyd")]

    found = callees(people.sites[SITE], SubSpecialty.NEURO, people, duty)

    assert names(found, Target.ANOTHER_READER) == ["bob:", "ann:", "cyd:not_competent"]


def test_a_rule_of_rest_and_a_missing_privilege_are_named() -> None:
    people = directory(person("ann"), person("bob"))
    duty = [on("b1", "ann", LineKind.BACKUP)]

    found = callees(people.sites[SITE], SubSpecialty.NEURO, people, duty, refusals={PersonId("ann"): "REST_11_H"})

    assert names(found, Target.BACKUP) == ["ann:REST_11_H"]


def test_the_neighbour_is_whoever_does_not_have_the_night_now() -> None:
    people = directory(person("ann"), person("bob"))
    both = [on("r1", "ann"), on("c1", "bob", provider=COMPANY)]
    after_the_baton = both[1:]

    early = callees(people.sites[SITE], SubSpecialty.NEURO, people, both)
    late = callees(people.sites[SITE], SubSpecialty.NEURO, people, after_the_baton)

    assert (names(early, Target.ANOTHER_READER), names(early, Target.NEIGHBOUR_PROVIDER)) == (["ann:"], ["bob:"])
    assert (names(late, Target.ANOTHER_READER), names(late, Target.NEIGHBOUR_PROVIDER)) == (["bob:"], [])


def test_the_hospital_is_alarmed_through_its_emergency_physician_first() -> None:
    people = directory(
        person("admin"),
        person("doctor"),
        contacts={
            ContactDuty.ADMINISTRATOR_ON_DUTY: (PersonId("admin"),),
            ContactDuty.EMERGENCY_PHYSICIAN: (PersonId("doctor"), PersonId("gone")),
        },
    )

    found = callees(people.sites[SITE], SubSpecialty.NEURO, people, [])

    assert names(found, Target.HOSPITAL) == ["doctor:", "admin:"]


def test_contacts_that_would_break_an_escalation_are_found_before_a_night_does() -> None:
    people = directory(person("ann"), person("bob", has_method=False))

    defects = contact_defects(people, [PersonId("ann"), PersonId("bob"), PersonId("zed")])

    assert [(defect.rule, defect.who) for defect in defects] == [
        ("no_contact_method", "bob"),
        ("unknown_person", "zed"),
        ("no_hospital_contact", "ambert"),
    ]


def reachable(name: str, *methods: tuple[ChannelKind, str]) -> Callee:
    return Callee(
        person_id=PersonId(name),
        methods=tuple(ContactMethod(kind=kind, address=address) for kind, address in methods),
    )


def test_a_hospital_calls_the_coordinator_by_voice_before_anybody_else() -> None:
    coordinator = reachable(
        "coline",
        (ChannelKind.EMAIL, "coline@example.org"),
        (ChannelKind.SMS, "+33600000001"),
        (ChannelKind.VOICE, "+33600000002"),
        (ChannelKind.VOICE, "+33600000003"),
    )
    reader = reachable("ann", (ChannelKind.VOICE, "+33600000009"))

    found = {Target.ASSIGNED_READER: (reader,), Target.COORDINATOR: (coordinator,)}

    assert phone_to_call(found, alarmed=PersonId("doctor")) == "+33600000002"


def test_nobody_is_told_to_call_themselves_or_an_address_without_a_number() -> None:
    mail_only = reachable("coline", (ChannelKind.EMAIL, "coline@example.org"))
    reader = reachable("ann", (ChannelKind.SMS, "+33600000009"))
    senior = reachable("sam", (ChannelKind.SMS, "+33600000008"))

    found = {Target.COORDINATOR: (mail_only,), Target.ASSIGNED_READER: (reader,), Target.SENIOR: (senior,)}

    assert phone_to_call(found, alarmed=PersonId("doctor")) == "+33600000009"
    assert phone_to_call(found, alarmed=PersonId("ann")) == "+33600000008"
    assert phone_to_call({Target.COORDINATOR: (mail_only,)}, alarmed=PersonId("doctor")) == ""
