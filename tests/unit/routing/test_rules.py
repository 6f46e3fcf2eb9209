"""Which destinations a study goes to: each condition of a rule by itself, and never back to who sent it."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pacs.routing.hours import parse_hours
from pacs.routing.model import RouteRule, StudyFacts, StudyId
from pacs.routing.rules import destinations_of

PARIS = ZoneInfo("Europe/Paris")
CT_OF_NORTH = StudyFacts(
    study=StudyId(issuer="NORTH", patient_id="P1", study_instance_uid="1.2.3"),
    accession_number="A1",
    calling_aet="CT1",
    site_id="north",
    modalities=frozenset({"CT", "SR"}),
    first_received_at=datetime(2026, 7, 16, 20, 0, tzinfo=UTC),
)
RULE = RouteRule(name="rule", destinations=("chu",))


def goes(rule: RouteRule, facts: StudyFacts = CT_OF_NORTH) -> bool:
    return "chu" in destinations_of([rule], facts, PARIS, {})


@pytest.mark.parametrize(
    ("holds", "does_not"),
    [
        ({"sites": frozenset({"north"})}, {"sites": frozenset({"south"})}),
        ({"issuers": frozenset({"NORTH"})}, {"issuers": frozenset({"SOUTH"})}),
        ({"calling_aets": frozenset({"CT1", "MR1"})}, {"calling_aets": frozenset({"MR1"})}),
        ({"modalities": frozenset({"SR"})}, {"modalities": frozenset({"MR"})}),
        ({"hours": parse_hours("18:00-08:00")}, {"hours": parse_hours("08:00-18:00")}),
    ],
    ids=["site", "issuer", "calling AE", "modality", "hours"],
)
def test_each_condition_of_a_rule_decides_by_itself(holds: dict[str, object], does_not: dict[str, object]) -> None:
    assert goes(RULE)
    assert goes(replace(RULE, **holds))  # type: ignore[arg-type]
    assert not goes(replace(RULE, **does_not))  # type: ignore[arg-type]


def test_a_rule_for_emergencies_holds_for_them_only() -> None:
    rule = replace(RULE, is_for_emergencies=True)

    assert not goes(rule)
    assert goes(rule, replace(CT_OF_NORTH, is_emergency=True))


def test_a_site_that_is_not_known_matches_no_rule_for_sites() -> None:
    assert not goes(replace(RULE, sites=frozenset({"north"})), replace(CT_OF_NORTH, site_id=""))


def test_a_study_never_goes_back_to_the_ae_that_sent_it() -> None:
    rule = replace(RULE, destinations=("chu", "console"))

    found = destinations_of([rule], CT_OF_NORTH, PARIS, {"chu": "CHU", "console": "CT1"})

    assert found == {"chu": "rule"}


def test_of_two_rules_for_one_destination_the_first_is_named() -> None:
    rules = [replace(RULE, name="first"), replace(RULE, name="second", destinations=("chu", "archive"))]

    assert destinations_of(rules, CT_OF_NORTH, PARIS, {}) == {"chu": "first", "archive": "second"}
