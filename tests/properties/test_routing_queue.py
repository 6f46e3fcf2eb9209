"""In whatever order things happen, nothing is claimed that was not answered for, and nothing is forgotten.

A model destination, workers that die, links that break, persons who decide: the queue on a real database.
"""

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from pacs.routing import queue
from pacs.routing.model import Item, ItemState, StudyId
from tests.harness.routing import QUICK, START, items_of

STUDIES = st.integers(1, 3)
IMAGES = st.lists(st.integers(0, 5), min_size=1, max_size=4)
WORKERS = st.sampled_from(["a-1", "a-2", "b-1"])


class RoutingQueue(RuleBasedStateMachine):
    """One destination, three studies, three workers."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.database = Database(sqlite_url(Path(self.directory.name) / "index.sqlite"))
        self.database.create_tables()
        self.now = START
        self.asked: set[tuple[int, str]] = set()
        self.answered: set[tuple[int, str]] = set()
        self.held: dict[str, list[Item]] = {}

    def teardown(self) -> None:
        """Remove the database."""
        self.database.close()
        self.directory.cleanup()

    @rule(number=STUDIES, images=IMAGES, is_emergency=st.booleans())
    def images_come(self, number: int, images: list[int], is_emergency: bool) -> None:
        """Queue images that were not queued before, and some that still wait."""
        uids = {f"1.{number}.{image}" for image in images}
        new = uids - {uid for study, uid in self.answered if study == number}
        with self.database.write(durable=True) as connection:
            queue.enqueue(
                connection, "chu", self.study(number), [("1", uid) for uid in sorted(new)], self.now,
                rule="all", is_emergency=is_emergency, seen_event_id=0,
            )  # fmt: skip
        self.asked |= {(number, uid) for uid in new}

    @rule(worker=WORKERS)
    def somebody_leases(self, worker: str) -> None:
        """Take the next item; it is the most urgent of those that are due."""
        due = [one for one in items_of(self.database) if self.is_due(one)]
        with self.database.write(durable=True) as connection:
            item = queue.lease(connection, "chu", self.now, worker=worker)
        assert (item is None) == (not due)
        if item is not None:
            assert item.item_id == due[0].item_id
            self.held.setdefault(worker, []).append(item)

    @rule(worker=WORKERS, data=st.data(), reason=st.sampled_from(["", "status_A700", "interrupted"]))
    def a_worker_ends_an_attempt(self, worker: str, data: st.DataObject, reason: str) -> None:
        """Some arrive, some may not; then the lease ends, if it is still this worker's."""
        if not self.held.get(worker):
            return
        item = self.held[worker].pop()
        with self.database.read() as connection:
            waiting = list(queue.unsent(connection, item.item_id))
        arrived = waiting[: data.draw(st.integers(0, len(waiting)))]
        failed = [(one, reason) for one in waiting[len(arrived) :][:1] if reason]
        self.answered |= {(self.number_of(item), uid) for _, uid in arrived}
        with self.database.write(durable=True) as connection:
            queue.record(connection, item.item_id, arrived, failed)
            queue.settle(
                connection, item.item_id, self.now,
                worker=worker, policy=QUICK, brought=len(arrived), reason=reason if failed else "",
            )  # fmt: skip

    @rule(worker=WORKERS)
    def a_worker_finds_the_destination_away(self, worker: str) -> None:
        """Put an item back."""
        if self.held.get(worker):
            item = self.held[worker].pop()
            with self.database.write(durable=True) as connection:
                queue.release(connection, item.item_id, self.now, worker=worker, reason="unreachable")

    @rule(node=st.sampled_from(["a-", "b-"]))
    def a_node_dies_and_comes_back(self, node: str) -> None:
        """Forget what its workers hold; the next life releases it."""
        self.held = {worker: items for worker, items in self.held.items() if not worker.startswith(node)}
        with self.database.write(durable=True) as connection:
            queue.release_interrupted(connection, self.now, gone=node)

    @rule(seconds=st.sampled_from([1, 15, 200]))
    def time_passes(self, seconds: int) -> None:
        """Leases may run out."""
        self.now += timedelta(seconds=seconds)
        with self.database.write(durable=True) as connection:
            queue.release_interrupted(connection, self.now)

    @rule(number=STUDIES, is_giving_up=st.booleans())
    def somebody_decides(self, number: int, is_giving_up: bool) -> None:
        """Give up or retry, which may be refused."""
        for item in items_of(self.database):
            if self.number_of(item) == number:
                decide = queue.give_up if is_giving_up else queue.retry
                try:
                    with self.database.write(durable=True) as connection:
                        decide(connection, item.item_id, self.now, by="Roy")
                except Refused:
                    pass

    @invariant()
    def nothing_is_claimed_and_nothing_is_forgotten(self) -> None:
        """Compare the queue with what the destination has answered for."""
        for item in items_of(self.database):
            number = self.number_of(item)
            asked = {uid for study, uid in self.asked if study == number}
            answered = {uid for study, uid in self.answered if study == number}
            assert (item.instances, item.sent) == (len(asked), len(answered))
            with self.database.read() as connection:
                waiting = {uid for _, uid in queue.unsent(connection, item.item_id)}
                unsent = sum(queue.reasons(connection, item.item_id).values())
            assert unsent == len(asked - answered)
            assert waiting <= asked - answered
            if item.state is ItemState.SENT:
                assert asked == answered
            if item.state is ItemState.GIVEN_UP:
                assert asked > answered
                assert not waiting
            if waiting:
                assert item.state in {ItemState.QUEUED, ItemState.FAILED, ItemState.SENDING}

    def is_due(self, item: Item) -> bool:
        """Say whether a worker may take it now."""
        return item.state in {ItemState.QUEUED, ItemState.FAILED} and item.due_at <= self.now

    @staticmethod
    def study(number: int) -> StudyId:
        """Return a study's identity."""
        return StudyId(issuer="NORTH", patient_id="P", study_instance_uid=f"1.{number}")

    @staticmethod
    def number_of(item: Item) -> int:
        """Return the number of an item's study."""
        return int(item.study.study_instance_uid.split(".")[1])


TestRoutingQueue = RoutingQueue.TestCase
TestRoutingQueue.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
