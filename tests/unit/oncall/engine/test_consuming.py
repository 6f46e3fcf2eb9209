"""A statement that is a defect is passed by alone; a database that is away passes nothing by."""

from datetime import datetime

import pytest

from foundation.errors import Unavailable
from foundation.outbox import OutboxEvent
from oncall.directory import SiteId
from oncall.engine.engine import Engine
from oncall.engine.orders import CONSUMER, OrderedExam, case_id_of
from oncall.engine.ports import MemoryStore
from tests.harness.small_territory import at, engine, memory_store


def order(name: str, exam: str = "head") -> OrderedExam:
    return OrderedExam(
        order_id=name, site_id=SiteId("north"), exam=exam, urgency="2", patient_key=f"key-{name}", modality="CT"
    )


class Hospital:
    """Orders as they were stated, and what their describer fails on."""

    def __init__(self, count: int) -> None:
        self.store: MemoryStore = memory_store()
        self.engine: Engine = engine(self.store)
        self.known = {f"o{number}": order(f"o{number}") for number in range(1, count + 1)}
        self.failing: dict[str, Exception] = {}
        for number, name in enumerate(self.known, start=1):
            payload = {"order_id": name, "site_id": "north", "change": "placed"}
            self.store.stated.append(
                OutboxEvent(event_id=number, topic="order/1", payload=payload, created_at_s=at(1).timestamp())
            )

    def describe(self, order_id: str) -> OrderedExam | None:
        if order_id in self.failing:
            raise self.failing[order_id]
        return self.known[order_id]

    def take(self, now: datetime) -> int:
        return self.engine.take_orders(now, self.describe)

    def opened(self) -> list[str]:
        return [name for name in self.known if self.store.events_of(case_id_of(name))]


@pytest.mark.parametrize("defects", [["o1"], ["o3"], ["o5"], ["o2", "o3"], ["o1", "o5"]])
def test_the_patients_beside_a_defect_have_their_cases(defects: list[str], caplog: pytest.LogCaptureFixture) -> None:
    hospital = Hospital(5)
    hospital.failing = dict.fromkeys(defects, ValueError("a defect"))
    assert hospital.take(at(2)) == 5
    assert hospital.opened() == [name for name in hospital.known if name not in defects]
    assert hospital.store.cursor(CONSUMER) == 5
    said = [one.getMessage() for one in caplog.records if "statement_passed_by" in one.getMessage()]
    assert [one.split("offset=")[1].split()[0] for one in said] == [name[1:] for name in defects]


def test_orders_that_cannot_be_asked_for_now_are_taken_later() -> None:
    hospital = Hospital(3)
    hospital.failing = {"o2": Unavailable("the database is away")}
    with pytest.raises(Unavailable):
        hospital.take(at(2))
    assert hospital.store.cursor(CONSUMER) == 0
    hospital.failing = {}
    assert hospital.take(at(3)) == 3
    assert hospital.opened() == ["o1", "o2", "o3"]
