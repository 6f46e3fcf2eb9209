"""Which deliveries a version needs, and how long a failed one waits."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from oncall.case.state import Case
from oncall.delivery.model import TRANSITIONS, Delivery, DeliveryChannel, DeliveryState, RecipientKind
from oncall.delivery.plan import channels_of, for_others, plan
from oncall.delivery.policy import DEFAULT_POLICY, DeliveryPolicy, wait_after
from oncall.directory import Directory, PersonId, ReportChannel, ReportChannelKind, SiteId
from oncall.report.version import SignedVersion, VersionKind
from tests.harness import reports
from tests.harness.small_territory import BEGIN, at, directory, engine, ready_case

C = DeliveryChannel
NORTH = SiteId("north")


@pytest.fixture
def case() -> Case:
    runner = engine()
    return runner.case(ready_case(runner, "case-1", at(5)))


@pytest.fixture
def signed(tmp_path: Path) -> SignedVersion:
    return reports.signed(tmp_path / "keys")


def known(*channels: ReportChannel) -> Directory:
    territory = directory()
    site = replace(territory.sites[NORTH], report_channels=channels)
    return replace(territory, sites={**territory.sites, NORTH: site})


def ways(deliveries: tuple[Delivery, ...]) -> set[tuple[str, str]]:
    return {(one.channel.value, one.address) for one in deliveries}


def test_each_channel_of_the_department_is_used_and_the_archive_always(case: Case, signed: SignedVersion) -> None:
    named = known(
        ReportChannel(kind=ReportChannelKind.EMAIL, address="urgences@north.example"),
        ReportChannel(kind=ReportChannelKind.DICOM, address="NORTH_PACS"),
        ReportChannel(kind=ReportChannelKind.HL7, address="north"),
    )

    planned = plan(signed, case, named, DEFAULT_POLICY, BEGIN)

    assert ways(planned) == {
        ("web", ""), ("archive", ""), ("email", "urgences@north.example"), ("dicom", "NORTH_PACS"), ("hl7", "north")
    }  # fmt: skip
    assert planned == plan(signed, case, named, DEFAULT_POLICY, BEGIN)
    assert len({one.delivery_id for one in planned}) == 5


def test_a_department_without_a_mailbox_is_written_to_at_its_emergency_physician(case: Case) -> None:
    assert channels_of(known().sites[NORTH], known()) == ((C.EMAIL, "emma@oncall.example"),)


def test_a_hospital_that_the_directory_does_not_know_has_its_page_and_the_archive(
    case: Case, signed: SignedVersion
) -> None:
    nobody = Directory(sites={}, persons={}, providers={})

    assert ways(plan(signed, case, nobody, DEFAULT_POLICY, BEGIN)) == {("web", ""), ("archive", "")}


def test_who_opened_an_earlier_version_is_written_to_unless_the_department_is(
    case: Case, signed: SignedVersion
) -> None:
    planned = plan(
        signed, case, known(), DEFAULT_POLICY, BEGIN, opened_by=[PersonId("edgar"), PersonId("emma"), PersonId("gone")]
    )

    told = [one.recipient for one in planned if one.recipient_kind is RecipientKind.READER_OF_EARLIER_VERSION]
    assert told == ["edgar"]


def test_who_got_an_earlier_version_is_told_although_the_directory_names_them_no_longer(
    case: Case, signed: SignedVersion
) -> None:
    before = plan(
        signed, case, known(ReportChannel(kind=ReportChannelKind.DICOM, address="OLD_PACS")), DEFAULT_POLICY, BEGIN
    )
    now = replace(before[0], version=2, kind=VersionKind.ADDENDUM)

    assert ("dicom", "OLD_PACS") in ways(for_others(now, before, ()))


@given(
    attempts=some.integers(1, 200), first=some.floats(0.1, 60), ratio=some.floats(1, 100), jitter=some.floats(0, 0.9)
)
def test_a_wait_is_bounded_and_the_same_whoever_asks(attempts: int, first: float, ratio: float, jitter: float) -> None:
    policy = DeliveryPolicy(first_wait_s=first, wait_max_s=first * ratio, jitter=jitter)

    wait = wait_after("d1", attempts, policy)

    shortest = min(first * 2.0 ** min(attempts - 1, 60), first * ratio) * (1 - jitter)
    assert timedelta(0) < wait <= timedelta(seconds=first * ratio) + timedelta(microseconds=1)
    assert wait >= timedelta(seconds=shortest) - timedelta(microseconds=1)
    assert wait == wait_after("d1", attempts, policy)


def test_deliveries_that_fail_together_do_not_come_back_together() -> None:
    assert len({wait_after(f"d{number}", 5, DEFAULT_POLICY) for number in range(50)}) == 50


def test_no_state_of_a_delivery_that_has_not_arrived_is_without_a_way_on() -> None:
    for state in (DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.SENDING, DeliveryState.GIVEN_UP):
        assert TRANSITIONS[state] - {DeliveryState.SUPERSEDED, DeliveryState.ACKNOWLEDGED}
    assert set(TRANSITIONS) == set(DeliveryState)
