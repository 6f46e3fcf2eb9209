"""What the log of a case says about its order on the worklist."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts, NewRequest, open_from_request
from oncall.case.event import CaseId
from oncall.case.sql_log import SqlCaseLog
from oncall.case.state import Case
from oncall.directory import PersonId, SiteId
from oncall.followers import Followers
from oncall.reading.board import ExamKind, Urgency
from pacs.worklist import orders
from pacs.worklist.order import OrderState
from territory.worklist_states import WorklistStates
from tests.harness.orders import NOW, order
from tests.harness.worklist import place_all

ORDER = order(1)
CASE = CaseId(f"order-{ORDER.order_id}")
REQUEST = NewRequest(
    site_id=SiteId(ORDER.site_id), exam=ExamKind.STROKE, urgency=Urgency.P1, request_id=str(ORDER.order_id)
)
CONTEXT = Context(now=NOW)


class Night:
    """A case with an order, and its follower."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = SqlCaseLog(database)
        self._followers = Followers(database, [WorklistStates()], ManualClock(NOW))
        place_all(database, [ORDER])
        self._seq = 0
        self.record(open_from_request(REQUEST, CONTEXT))

    def record(self, facts: Facts) -> OrderState:
        """Record facts of the case and let the follower see them; return the order's state."""
        self._seq = self._log.append(CASE, self._seq, facts, NOW)[-1].seq
        self._followers.take()
        return self.state

    def record_of(self, case_id: CaseId, facts: Facts) -> None:
        """Begin another case."""
        self._log.append(case_id, 0, facts, NOW)
        self._followers.take()

    @property
    def case(self) -> Case:
        """The case as its log leaves it."""
        case = self._log.case(CASE)
        assert case is not None
        return case

    @property
    def state(self) -> OrderState:
        """The order's state."""
        with self._database.read() as connection:
            known = orders.find(connection, ORDER.order_id)
        assert known is not None
        return known.state

    def begin_exam(self) -> None:
        """Say that the exam runs, as MPPS does."""
        with self._database.write(durable=True) as connection:
            orders.set_state(connection, ORDER.order_id, OrderState.IN_PROGRESS, NOW)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    yield Night(database)
    database.close()


def test_a_request_that_is_refused_leaves_the_worklist_and_comes_back_when_it_is_taken_up_again(night: Night) -> None:
    assert night.state is OrderState.SCHEDULED
    assert night.record(commands.refuse(night.case, CONTEXT, motive="MR instead")) is OrderState.CANCELLED
    assert night.record(commands.reopen(night.case, CONTEXT, reason="MR is broken")) is OrderState.SCHEDULED


def test_a_request_that_is_withdrawn_leaves_the_worklist(night: Night) -> None:
    assert night.record(commands.withdraw(night.case, CONTEXT, motive="better")) is OrderState.CANCELLED


def test_images_that_come_although_the_request_was_withdrawn_bring_nothing_back(night: Night) -> None:
    night.record(commands.withdraw(night.case, CONTEXT, motive="better"))
    came = commands.complete_images(night.case, CONTEXT, rule="radiographer")
    assert night.record(came) is OrderState.CANCELLED


def read(night: Night) -> OrderState:
    reader = PersonId("anna")
    night.record(commands.complete_images(night.case, CONTEXT, rule="radiographer"))
    night.record(commands.assign(night.case, reader, CONTEXT, reason="test"))
    night.record(commands.claim(night.case, reader, CONTEXT, transaction_uid="2.25.1"))
    return night.record(commands_report.sign(night.case, reader, CONTEXT, transaction_uid="2.25.1"))


def test_an_order_whose_report_is_signed_is_done_although_no_console_said_so(night: Night) -> None:
    assert read(night) is OrderState.COMPLETED


def test_an_exam_that_runs_by_mpps_is_left_to_it(night: Night) -> None:
    night.begin_exam()
    assert read(night) is OrderState.IN_PROGRESS


def test_a_case_without_an_order_changes_nothing(night: Night) -> None:
    alone = CaseId("alone")
    facts = open_from_request(NewRequest(site_id=SiteId("roanne"), exam=ExamKind.STROKE, urgency=Urgency.P1), CONTEXT)
    night.record_of(alone, facts)
    assert night.state is OrderState.SCHEDULED
