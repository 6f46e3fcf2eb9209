"""Who reads a report a second time: never who signed it, only who may read for the hospital, the least busy first."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from oncall.case.event import GENESIS_HASH, CaseId
from oncall.case.regions import ReportPart, ReportState, ReportVersion
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId, ProviderId, SiteId
from oncall.reading.policy import DEFAULT as READING
from oncall.second_reading.choice import choose, is_day
from oncall.second_reading.policy import SecondReadingPolicy
from tests.harness.small_territory import directory

POLICY = SecondReadingPolicy(version="t")
SIGNED_AT = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
ANNA, BORIS, DIANE = map(PersonId, ("anna", "boris", "diane"))


def signed(site_id: str = "north", *signers: str) -> Case:
    versions = tuple(
        ReportVersion(version=number, kind=EventType.REPORT_SIGNED, signed_at=SIGNED_AT, signer=signer)
        for number, signer in enumerate(signers or ("anna",), start=1)
    )
    return Case(
        case_id=CaseId("C1"), seq=1, head_hash=GENESIS_HASH, opened_at=SIGNED_AT, site_id=SiteId(site_id),
        report=ReportPart(state=ReportState.SIGNED, versions=versions),
    )  # fmt: skip


def test_nobody_who_signed_a_version_reads_it_a_second_time() -> None:
    choice = choose(signed("north", "anna", "diane"), (ANNA, DIANE, BORIS), {}, directory(), READING, POLICY)

    assert choice.person_id == BORIS
    assert choice.excluded == ((ANNA, "first_reader"), (DIANE, "first_reader"))


def test_who_may_not_read_for_the_hospital_may_not_read_for_it_a_second_time() -> None:
    choice = choose(
        signed("east", "boris"), (ANNA, PersonId("coline"), PersonId("nobody")), {}, directory(), READING, POLICY
    )

    assert choice.person_id is None
    assert [rule for _, rule in choice.excluded] == ["no_privilege", "not_a_radiologist", "unknown_person"]


def test_the_reader_with_the_fewest_still_to_read_is_given_it() -> None:
    busy = {BORIS: 2, DIANE: 1}

    assert choose(signed(), (BORIS, DIANE), busy, directory(), READING, POLICY).person_id == DIANE
    full = replace(POLICY, open_max=1)
    assert choose(signed(), (BORIS, DIANE), busy, directory(), READING, full).person_id is None


def test_a_provider_does_not_review_itself_where_that_is_asked_for() -> None:
    known = directory()
    other = replace(known.persons[DIANE], provider_id=ProviderId("company"))
    known = replace(known, persons={**known.persons, DIANE: other})
    apart = replace(POLICY, is_other_provider_wanted=True)

    choice = choose(signed(), (BORIS, DIANE), {DIANE: 3}, known, READING, apart)

    assert (choice.person_id, choice.excluded) == (DIANE, ((BORIS, "same_provider"),))


@pytest.mark.parametrize(
    ("instant", "is_by_day"),
    [
        # Clocks go back on 25 October 2026: 08:00 in Paris is 06:00 UTC the day before and 07:00 UTC that day.
        ("2026-10-24T06:00:00+00:00", True),
        ("2026-10-25T06:59:59+00:00", False),
        ("2026-10-25T07:00:00+00:00", True),
        ("2026-10-25T19:00:00+00:00", False),
        # Clocks go forward on 28 March 2027.
        ("2027-03-27T06:59:59+00:00", False),
        ("2027-03-28T06:00:00+00:00", True),
        ("2027-03-28T18:00:00+00:00", False),
    ],
)
def test_day_is_the_hospitals_wall_time_on_both_nights_on_which_clocks_change(instant: str, is_by_day: bool) -> None:
    assert is_day(datetime.fromisoformat(instant), "Europe/Paris", POLICY) is is_by_day
