"""The demonstration territory: as large as promised, the same each time, and legal for two whole years."""

from collections import Counter
from functools import cache

from oncall.callees import contact_defects
from oncall.directory import Directory, Role
from oncall.directory_documents import directory_from_json, directory_to_json
from oncall.public_holidays import is_public_holiday
from oncall.rota.documents import roster_from_json, roster_to_json
from oncall.rota.legal import LegalLimits, Rule, Severity, violations
from oncall.rota.model import LineKind, Roster
from oncall.rota.timeline import Timeline
from oncall.strict_json import Value
from territory.demo_roster import COVERED, demo_roster
from territory.demo_territory import demo_directory


@cache
def territory() -> tuple[Directory, Roster]:
    directory = demo_directory()
    return directory, demo_roster(directory)


def test_it_has_eighteen_hospitals_and_thirty_radiologists_who_can_be_reached() -> None:
    directory, roster = territory()

    assert len(directory.sites) == 18
    assert Counter(person.role for person in directory.persons.values())[Role.RADIOLOGIST] == 30
    assert contact_defects(directory, {plan.person_id for plan in roster.plans}) == ()


def test_one_hospital_has_more_holidays_and_one_another_clock() -> None:
    directory, _ = territory()
    sites = directory.sites.values()

    good_friday = next(plan.span.start for plan in territory()[1].plans if f"{plan.span.start:%m-%d}" == "04-03").date()
    assert [site.site_id for site in sites if is_public_holiday(good_friday, site.commune)] == ["sarrelle"]
    assert [site.site_id for site in sites if site.time_zone != "Europe/Paris"] == ["piton"]


def test_both_documents_are_read_back_as_they_are() -> None:
    directory, roster = territory()

    read = directory_from_json(Value(place="document", raw=directory_to_json(directory)))
    assert read == directory
    assert roster_from_json(Value(place="document", raw=roster_to_json(roster)), read) == roster


def test_two_years_of_duty_break_no_rule_and_only_the_long_nights_are_flagged() -> None:
    directory, roster = territory()
    timeline = Timeline(roster, directory, COVERED)

    found = [
        violation
        for person in directory.persons.values()
        for violation in violations(
            person.person_id,
            timeline.shifts_of(person.person_id),
            roster.sessions,
            LegalLimits(),
            COVERED,
            lines=roster.lines,
            person=person,
            absences=roster.absences,
        )
    ]

    assert [one.message_en for one in found if one.severity is not Severity.NOTICE] == []
    assert sorted((one.rule, f"{one.span.start:%Y-%m-%d}") for one in found) == [
        (Rule.AMPLITUDE_14_H, "2026-10-24"),
        (Rule.AMPLITUDE_14_H, "2027-10-30"),
    ]


def test_duty_is_shared_out_evenly_among_the_pool() -> None:
    directory, roster = territory()
    duty = {line.line_id for line in roster.lines if line.kind is LineKind.DUTY}
    hours: Counter[str] = Counter()
    for plan in roster.plans:
        if plan.line_id in duty and directory.persons[plan.person_id].provider_id == "gie-trois-rivieres":
            hours[plan.person_id] += round(plan.span.hours)

    assert len(hours) == 25
    assert max(hours.values()) < 1.1 * min(hours.values())


def test_it_is_the_same_at_each_call() -> None:
    assert (demo_directory(), demo_roster(demo_directory())) == territory()
