"""The queue of deliveries in both databases: planned with the signature, leased once, ended by people."""

from dataclasses import replace

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from foundation.errors import Refused
from oncall.case.commands_report import acknowledge_report, record_access
from oncall.case.event import SYSTEM
from oncall.delivery import authorisations, queue
from oncall.delivery.model import Authorisation, DeliveryChannel, DeliveryState, RecipientKind
from oncall.delivery.policy import DEFAULT_POLICY
from oncall.delivery.queue import Arrived, HandedOn, NotArrived
from oncall.directory import PersonId
from oncall.report.version import VersionKind
from tests.harness.deliveries import happened, of_channel, states, statuses, tell_case, worker
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at

C = DeliveryChannel
S = DeliveryState

GIVEN = Authorisation(
    case_id=CASE, recipient_kind=RecipientKind.TREATING_PHYSICIAN, recipient="rpps-10001234567", channel=C.DICOM,
    address="CABINET", given_at=at(1), recorded_by="emma",
)  # fmt: skip


def acknowledge(night: ReportNight, minutes: float, version: int | None = None) -> None:
    night.engine.execute(
        CASE, lambda case, context: acknowledge_report(case, "Dr Emma", context, version=version), at(minutes)
    )


def lease_one(database: Database, channel: DeliveryChannel, minutes: float, name: str = "one") -> str:
    with database.write(durable=True) as connection:
        (taken,) = queue.lease(connection, channel, at(minutes), worker=name, limit=1)
    return taken.delivery.delivery_id


def settle(database: Database, one: str, outcome: queue.Outcome, minutes: float, name: str = "one") -> DeliveryState:
    with database.write(durable=True) as connection:
        return queue.settle(connection, one, outcome, at(minutes), worker=name, policy=DEFAULT_POLICY)


def test_signing_plans_every_delivery_in_its_own_commit(database: Database, night: ReportNight) -> None:
    night.sign()

    assert states(database, CASE) == {(1, "web"): "queued", (1, "archive"): "queued", (1, "email"): "queued"}


def test_a_newer_version_supersedes_what_is_on_its_way_but_never_the_archives_copy(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    mail = lease_one(database, C.EMAIL, 11)
    settle(database, mail, NotArrived(reason="refused_451"), 11)
    web = lease_one(database, C.WEB, 11)
    settle(database, web, Arrived(), 11)

    night.sign(VersionKind.ADDENDUM, 20)

    found = states(database, CASE)
    assert (found[1, "email"], found[1, "archive"], found[1, "web"]) == ("superseded", "queued", "delivered")
    assert {found[2, channel] for channel in ("web", "archive", "email")} == {"queued"}


def test_an_acknowledgement_ends_telling_of_its_version_and_of_no_newer_one(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    worker(database, ManualClock(at(11))).drain()
    tell_case(night, database, 11)
    night.sign(VersionKind.ADDENDUM, 20)
    worker(database, ManualClock(at(20))).drain()
    tell_case(night, database, 20)

    acknowledge(night, 21, version=1)

    assert states(database, CASE)[1, "web"] == "acknowledged"
    assert states(database, CASE)[2, "web"] == "delivered"
    assert night.engine.case(CASE).delivery.acknowledged_at is None


def test_an_acknowledged_version_is_still_filed_with_the_systems(database: Database, night: ReportNight) -> None:
    night.sign()
    settle(database, lease_one(database, C.WEB, 11), Arrived(), 11)
    tell_case(night, database, 11)

    acknowledge(night, 12)

    found = states(database, CASE)
    assert (found[1, "web"], found[1, "email"], found[1, "archive"]) == ("acknowledged", "acknowledged", "queued")
    assert of_channel(statuses(database, CASE), C.EMAIL).ended_by == "Dr Emma"


def test_who_opened_a_version_on_the_page_is_written_to_when_it_is_withdrawn(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    worker(database, ManualClock(at(11))).drain()
    tell_case(night, database, 11)
    edgar = PersonId("edgar")
    night.engine.execute(CASE, lambda case, context: record_access(case, edgar, context, version=1), at(12))

    night.sign(VersionKind.RETRACTION, 20)

    told = {
        one.delivery.recipient: one.delivery.address for one in statuses(database, CASE) if one.delivery.version == 2
    }
    assert told["edgar"] == "edgar@oncall.example"


def news(database: Database) -> tuple[queue.DeliveryNews, ...]:
    with database.read() as connection:
        return queue.news_after(connection, 0)


def test_a_delivery_is_leased_by_one_worker_and_only_it_settles(database: Database, night: ReportNight) -> None:
    night.sign()
    mail = lease_one(database, C.EMAIL, 11)

    with database.write(durable=True) as connection:
        assert queue.lease(connection, C.EMAIL, at(11), worker="two", limit=1) == ()
    assert settle(database, mail, HandedOn(), 11, "two") is S.SENDING
    assert settle(database, mail, HandedOn(), 11) is S.SENT
    assert happened(database, mail) == ["queued", "sending", "late_handedon", "sent"]


def test_what_a_dead_worker_left_is_queued_again_when_its_lease_has_run_out(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    mail = lease_one(database, C.EMAIL, 11)

    with database.write(durable=True) as connection:
        assert queue.release_interrupted(connection, at(11)) == 0
        assert queue.release_interrupted(connection, at(15)) == 1

    assert lease_one(database, C.EMAIL, 15, "two") == mail


def test_a_failure_repeated_for_the_same_reason_is_on_record_and_told_to_the_case_once(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    for minutes in (11, 20, 40):
        mail = lease_one(database, C.EMAIL, minutes)
        settle(database, mail, NotArrived(reason="refused_451"), minutes)

    assert happened(database, mail) == [
        "queued",
        "sending",
        "failed",
        "sending",
        "failed_again",
        "sending",
        "failed_again",
    ]
    assert [one.state for one in news(database)] == [S.FAILED]
    with database.read() as connection:
        assert [one.reason for one in queue.pending(connection) if one.delivery.channel is C.EMAIL] == ["refused_451"]


def test_nobody_but_the_requester_gets_a_report_without_the_patients_authorisation(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    assert {one.delivery.recipient_kind for one in statuses(database, CASE)} == {
        RecipientKind.EMERGENCY_DEPARTMENT, RecipientKind.ARCHIVE
    }  # fmt: skip

    with database.write(durable=True) as connection:
        authorisations.give(connection, GIVEN)
        authorisations.give(connection, GIVEN)
        new = queue.insert_authorised(connection, CASE, at(12))
        assert queue.insert_authorised(connection, CASE, at(12)) == ()

    assert [(one.recipient, one.channel, one.version) for one in new] == [("rpps-10001234567", C.DICOM, 1)]


def test_a_revoked_recipient_is_told_of_a_retraction_and_of_no_addendum(database: Database, night: ReportNight) -> None:
    with database.write(durable=True) as connection:
        authorisations.give(connection, GIVEN)
    night.sign()
    settle(database, lease_one(database, C.DICOM, 11), Arrived(), 11)
    with database.write(durable=True) as connection:
        assert authorisations.revoke(connection, CASE, GIVEN.recipient, at(12), by="emma") == 1

    night.sign(VersionKind.ADDENDUM, 20)
    night.sign(VersionKind.RETRACTION, 30)

    assert [version for version, channel in states(database, CASE) if channel == "dicom"] == [1, 3]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"recorded_by": " "}, "names the physician"),
        ({"recipient_kind": RecipientKind.EMERGENCY_DEPARTMENT}, "the requester has it anyway"),
        ({"channel": C.WEB}, "has an address"),
        ({"address": ""}, "has an address"),
    ],
    ids=["nobody recorded it", "the requester", "a page", "no address"],
)  # fmt: skip
def test_an_authorisation_that_is_not_one_is_refused(database: Database, changed: dict[str, str], wanted: str) -> None:
    with database.write(durable=True) as connection, pytest.raises(Refused, match=wanted):
        authorisations.give(connection, replace(GIVEN, **changed))  # type: ignore[arg-type]  # the table names what differs


def test_only_a_named_person_gives_a_delivery_up_and_it_can_be_tried_again(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    mail = of_channel(statuses(database, CASE), C.EMAIL).delivery.delivery_id
    with database.write(durable=True) as connection:
        with pytest.raises(Refused, match="name"):
            queue.give_up(connection, mail, at(12), by="")
        assert queue.give_up(connection, mail, at(12), by="Coline").ended_by == "Coline"
        assert queue.lease(connection, C.EMAIL, at(60), worker="one", limit=1) == ()
        assert mail in {one.delivery.delivery_id for one in queue.pending(connection)}

        assert queue.try_again(connection, mail, at(70), by="Coline").state is S.QUEUED


def test_a_report_that_turns_out_to_be_another_patients_is_delivered_again(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    settle(database, lease_one(database, C.WEB, 11), Arrived(), 11)

    night.engine.settle_identity(CASE, "key-other", at(20), actor=SYSTEM, reason="bracelet")

    assert states(database, CASE)[1, "web"] == "queued"
