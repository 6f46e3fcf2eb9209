"""Whatever clients ask in whatever order, a work item obeys the standard (PS3.4 CC.1.1), and subscribers see it."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pacs.worklist.ups.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.model import State, UpsRefused
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.worklist import Asking
from tests.harness.workitems import READER, UID, discontinued, new_step, performed, told, worklist

LOCKS = st.sampled_from(["", "1.2.1", "1.2.2", "1.2.3"])
WATCHER = Subscriber(aet="WATCHER")


class WorkitemMachine(RuleBasedStateMachine):
    """A model of one work item beside the real one."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.database = Database(sqlite_url(Path(self.directory.name) / "index.sqlite"))
        self.database.create_tables()
        self.steps = worklist(self.database)
        self.state = "SCHEDULED"
        self.lock = ""
        self.has_results = self.has_reason = False
        self.seen = ["SCHEDULED"]

    @initialize()
    def create(self) -> None:
        self.steps.create(new_step(), UID, READER)
        self.steps.subscribe(UID, Asking(subscriber=WATCHER), READER)

    def is_done(self, what: str, lock: str) -> bool:
        try:
            if what == "results":
                self.steps.update(UID, performed(), lock, READER)
            elif what == "reason":
                self.steps.update(UID, discontinued(), lock, READER)
            elif what == "request cancel":
                self.steps.request_cancel(UID, {}, READER)
            else:
                return int(self.steps.change_state(UID, State(what), lock, READER).status) == 0
        except UpsRefused:
            return False
        return True

    @rule(lock=LOCKS)
    def claim(self, lock: str) -> None:
        is_right = self.state == "SCHEDULED" and bool(lock)
        assert self.is_done("IN PROGRESS", lock) == is_right
        if is_right:
            self.state, self.lock = "IN PROGRESS", lock
            self.seen.append(self.state)

    @rule(lock=LOCKS, what=st.sampled_from(["results", "reason"]))
    def report(self, lock: str, what: str) -> None:
        is_right = lock == (self.lock if self.state == "IN PROGRESS" else "") and self.state in {
            "SCHEDULED",
            "IN PROGRESS",
        }
        assert self.is_done(what, lock) == is_right
        if is_right:
            self.has_results |= what == "results"
            self.has_reason |= what == "reason"

    @rule(lock=LOCKS)
    def complete(self, lock: str) -> None:
        is_right = self.state == "IN PROGRESS" and lock == self.lock and self.has_results
        assert self.is_done("COMPLETED", lock) == is_right
        if is_right:
            self.state = "COMPLETED"
            self.seen.append(self.state)

    @rule(lock=LOCKS)
    def cancel(self, lock: str) -> None:
        is_right = self.state == "IN PROGRESS" and lock == self.lock and self.has_reason
        assert self.is_done("CANCELED", lock) == is_right
        if is_right:
            self.state = "CANCELED"
            self.seen.append(self.state)

    @rule(lock=LOCKS)
    def schedule(self, lock: str) -> None:
        assert not self.is_done("SCHEDULED", lock)

    @precondition(lambda self: self.state != "COMPLETED")
    @rule()
    def request_cancel(self) -> None:
        assert self.is_done("request cancel", "")
        if self.state == "SCHEDULED":
            self.seen += ["IN PROGRESS", "CANCELED"]
            self.state = "CANCELED"

    @invariant()
    def shows_what_the_model_says(self) -> None:
        if self.seen == ["SCHEDULED"] and not told(self.database, "WATCHER"):
            return
        dataset = self.steps.get(UID, READER)
        assert tag.text_of(dataset, tag.PROCEDURE_STEP_STATE) == self.state
        assert tag.TRANSACTION_UID not in dataset
        assert [state for _, kind, state in told(self.database, "WATCHER") if kind == 1] == self.seen

    def teardown(self) -> None:
        self.database.close()
        self.directory.cleanup()


WorkitemMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestWorkitemMachine = WorkitemMachine.TestCase
