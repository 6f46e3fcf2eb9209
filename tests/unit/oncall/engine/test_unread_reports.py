"""A report that nobody acknowledges alarms the hospital, and only a named clinician ends it; on every store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oncall.case.commands_report import acknowledge_report, record_access
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.delivery.model import Delivery, DeliveryChannel, DeliveryNews, DeliveryState, RecipientKind, delivery_id
from oncall.directory import PersonId
from oncall.engine.deliveries import CONSUMER, UNREAD
from oncall.engine.engine import Engine
from oncall.engine.paging import running_chain
from oncall.engine.ports import Store
from oncall.reading.board import Urgency
from oncall.report.version import VersionKind
from tests.harness.report_night import ReportNight
from tests.harness.small_territory import at, run_until

EMMA = PersonId("emma")


class Hospital:
    """The case of a night, and what its deliveries say."""

    def __init__(self, store: Store, keys: Path) -> None:
        self.night = ReportNight(store, keys)

    def hears(self, version: int, minutes: float, state: DeliveryState = DeliveryState.DELIVERED) -> None:
        channel = DeliveryChannel.WEB
        kind = RecipientKind.EMERGENCY_DEPARTMENT
        delivery = Delivery(
            delivery_id=delivery_id(CaseId("C1"), version, kind, "north", channel, ""),
            case_id=CaseId("C1"), version=version, kind=VersionKind.FINAL, recipient_kind=kind, recipient="north",
            channel=channel, address="", planned_at=at(minutes),
        )  # fmt: skip
        position = self.night.store.cursor(CONSUMER)
        news = DeliveryNews(position=position + 1, occurred_at=at(minutes), delivery=delivery, state=state, reason="x")

        def read() -> tuple[int, Sequence[DeliveryNews]]:
            told = self.night.store.cursor(CONSUMER)
            return told, [news] if told == position else []

        self.engine.take_delivery_news(at(minutes), read)

    @property
    def engine(self) -> Engine:
        return self.night.engine

    @property
    def case(self) -> Case:
        return self.engine.case(CaseId("C1"))

    def alarm(self) -> str | None:
        return running_chain(self.case, UNREAD)

    def acknowledges(self, minutes: float, version: int | None = None) -> None:
        self.engine.execute(
            CaseId("C1"), lambda case, by: acknowledge_report(case, "Dr Emma", by, version=version), at(minutes)
        )


@pytest.fixture
def hospital(store: Store, tmp_path: Path) -> Hospital:
    return Hospital(store, tmp_path / "keys")


def test_a_delivered_report_that_nobody_acknowledges_alarms_the_emergency_physician_after_an_hour(
    hospital: Hospital,
) -> None:
    hospital.night.sign()
    hospital.hears(1, 11)

    run_until(hospital.engine, at(70.9))
    assert hospital.alarm() is None

    run_until(hospital.engine, at(71.1))
    assert hospital.alarm() is not None
    said = [event.type for event in hospital.night.store.events_of(CaseId("C1"))]
    assert "report.not_accessed_alert" in said
    paged = [
        event.fact.payload["person_id"]
        for event in hospital.night.store.events_of(CaseId("C1"))
        if event.type == "escalation.notified" and event.fact.payload["chain_id"] == hospital.alarm()
    ]
    assert paged == ["emma"]


def test_a_report_that_was_never_delivered_alarms_from_its_signature(hospital: Hospital) -> None:
    hospital.night.sign()

    run_until(hospital.engine, at(70.1))

    assert hospital.case.delivery.sent_at is None
    assert hospital.alarm() is not None


def test_neither_opening_nor_answering_a_page_ends_the_alarm(hospital: Hospital) -> None:
    hospital.night.sign()
    hospital.hears(1, 11)
    run_until(hospital.engine, at(72))
    first = hospital.alarm()

    hospital.engine.execute(CaseId("C1"), lambda case, by: record_access(case, EMMA, by, version=1), at(73))
    hospital.engine.acknowledge(CaseId("C1"), EMMA, at(73))
    run_until(hospital.engine, at(95))

    assert hospital.alarm() == first
    paged = [
        event.fact.payload["person_id"]
        for event in hospital.night.store.events_of(CaseId("C1"))
        if event.type == "escalation.notified" and event.fact.payload["chain_id"] == first
    ]
    assert paged[:2] == ["emma", "coline"]


def test_a_named_clinician_ends_the_alarm_at_once(hospital: Hospital) -> None:
    hospital.night.sign()
    hospital.hears(1, 11)
    run_until(hospital.engine, at(72))

    hospital.acknowledges(73, 1)
    run_until(hospital.engine, at(200))

    assert hospital.alarm() is None
    assert hospital.case.delivery.acknowledged_by == "Dr Emma"


def test_acknowledging_an_older_version_ends_nothing_of_the_newer(hospital: Hospital) -> None:
    hospital.night.sign()
    hospital.hears(1, 11)
    hospital.night.sign(VersionKind.ADDENDUM, 20)
    hospital.hears(2, 21)
    run_until(hospital.engine, at(82))
    assert hospital.alarm() is not None

    hospital.acknowledges(83, 1)

    assert hospital.alarm() is not None


def test_a_report_withdrawn_after_the_hospital_had_it_alarms_at_once(hospital: Hospital) -> None:
    hospital.night.sign()
    hospital.hears(1, 11)
    hospital.acknowledges(12, 1)

    hospital.night.sign(VersionKind.RETRACTION, 20)
    run_until(hospital.engine, at(20) + timedelta(seconds=2))

    assert hospital.alarm() is not None


def test_an_urgent_case_alarms_after_fifteen_minutes(hospital: Hospital) -> None:
    hospital.engine.execute(
        CaseId("C1"),
        lambda case, by: (by.fact(EventType.REQUEST_TRIAGED, urgency=int(Urgency.P1)),) if case else (),
        at(9),
    )
    hospital.night.sign()
    hospital.hears(1, 11)

    run_until(hospital.engine, at(25.9))
    assert hospital.alarm() is None
    run_until(hospital.engine, at(26.1))

    assert hospital.alarm() is not None


@pytest.mark.parametrize("delivered_at", ["2026-10-25T00:20:00+00:00", "2027-03-28T00:20:00+00:00"])
def test_an_hour_is_an_hour_for_an_unread_report_whatever_the_clocks_on_the_wall_do(
    hospital: Hospital, delivered_at: str
) -> None:
    # 02:20 in Paris comes again sixty minutes later in October; in March 01:20 is followed by 03:20.
    minutes = (datetime.fromisoformat(delivered_at) - at(0)).total_seconds() / 60
    hospital.night.sign(minutes=minutes)
    hospital.hears(1, minutes)

    hospital.engine.run_due(at(minutes + 59.9))
    assert hospital.alarm() is None

    hospital.engine.run_due(at(minutes + 60.1))
    assert hospital.alarm() is not None
