"""Unified Procedure Steps with pynetdicom as SCU, and as the AE that receives event reports (PS3.4 CC)."""

import queue
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

import pacs.worklist.ups.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.scp.services import Peer
from pacs.scu.association import PeerAddress, Timeouts
from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups.model import EVENT, PULL, PUSH, QUERY, WATCH, Caller
from pacs.worklist.ups.relay import ATTEMPTS_MAX, FIRST_WAIT, EventRelay
from pacs.worklist.ups.scp import UpsService
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.worklist import Worklist
from tests.harness.node import RIGHTS, node_policy, running_node
from tests.harness.peers import LOOPBACK, free_port, wait_until
from tests.harness.workitems import LOCK, NIGHT, OTHER_LOCK, UID, NoTasks, new_step, performed

GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
WATCHER = "WATCHER"


@dataclass(frozen=True)
class Running:
    """A node, what it stands on, and where its events go."""

    port: int
    database: Database
    clock: ManualClock
    watcher_port: int

    def relay(self) -> EventRelay:
        """Return a relay that has told everybody of its start."""
        relay = self.new_relay()
        relay.turn()
        return relay

    def new_relay(self) -> EventRelay:
        address = PeerAddress(host=LOOPBACK, port=self.watcher_port, ae_title=WATCHER)
        timeouts = Timeouts(connect_s=5.0, associate_s=5.0, response_s=5.0)
        return EventRelay(
            self.database, self.clock, addresses={WATCHER: address}, calling_aet="TELEGARDE", timeouts=timeouts
        )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    clock, watcher_port = ManualClock(NIGHT), free_port()
    with closing(Database(sqlite_url(tmp_path / "index.sqlite"))) as database:
        database.create_tables()

        def caller_of(peer: Peer) -> Caller:
            sites = frozenset({peer.rights.site}) if peer.rights.site else None
            return Caller(name=peer.calling_aet, sites=sites)

        def subscriber_of(aet: str) -> Subscriber | None:
            return Subscriber(aet=aet) if aet == WATCHER else None

        service = UpsService(Worklist(database, clock, NoTasks()), caller_of, subscriber_of)
        policy = node_policy(
            rights=replace(RIGHTS, may_workitems=True), services=dict.fromkeys((PUSH, PULL, WATCH, QUERY), service)
        )
        with running_node(database, tmp_path / "packs", policy=policy) as running:
            yield Running(port=running.port, database=database, clock=clock, watcher_port=watcher_port)


def in_turn(association: Association, operation: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operation that waits until pynetdicom's reactor runs again.

    Between two operations it is let go and stopped; when it has not woken by then, it runs on beside the second one and
    swallows its answer as a message that nobody expects.
    """

    def asked(*arguments: Any, **named: Any) -> Any:
        wait_until(lambda: not association._is_paused, what="pynetdicom's reactor to run")
        return operation(*arguments, **named)

    return asked


@contextmanager
def associated(node: Running, *contexts: str) -> Iterator[Association]:
    ae = AE("WORKSTATION")
    for context in contexts or (PUSH, PULL, WATCH, QUERY):
        ae.add_requested_context(context)
    association = ae.associate(LOOPBACK, node.port, ae_title="TELEGARDE")
    assert association.is_established
    for name in ("send_n_create", "send_n_set", "send_n_get", "send_n_action"):
        setattr(association, name, in_turn(association, getattr(association, name)))
    try:
        yield association
    finally:
        association.release()


def dataset(item: Any) -> Dataset:
    made = Dataset.from_json(to_json(item))
    made.SpecificCharacterSet = "ISO_IR 192"
    return made


def create(association: Association, uid: str = UID, **changes: str) -> int:
    status, _ = association.send_n_create(dataset(new_step(**changes)), PUSH, uid)
    return int(status.Status)


def change(association: Association, state: str, lock: str = LOCK, uid: str = UID) -> int:
    asked = Dataset()
    asked.ProcedureStepState = state
    asked.TransactionUID = lock
    status, _ = association.send_n_action(asked, 1, PUSH, uid, meta_uid=PULL)
    return int(status.Status)


def act(association: Association, action: int, uid: str, meta: str = WATCH, **said: Any) -> int:
    asked = Dataset()
    for keyword, value in said.items():
        setattr(asked, keyword, value)
    status, _ = association.send_n_action(asked if said else None, action, PUSH, uid, meta_uid=meta)
    return int(status.Status)


def set_values(association: Association, values: Dataset, lock: str = LOCK, uid: str = UID) -> int:
    if lock:
        values.TransactionUID = lock
    status, _ = association.send_n_set(values, PUSH, uid, meta_uid=PULL)
    return int(status.Status)


def get(association: Association, uid: str = UID, tags: list[int] | None = None) -> tuple[int, Dataset | None]:
    status, found = association.send_n_get(tags, PUSH, uid, meta_uid=PULL)
    return int(status.Status), found


def find(association: Association, model: str = PULL, **keys: Any) -> list[Dataset]:
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    answers = list(association.send_c_find(identifier, model))
    assert answers[-1][0].Status == 0x0000, f"{answers[-1][0].Status:04X}"
    return [found for _, found in answers[:-1]]


def test_a_work_item_is_pushed_pulled_reported_and_completed(node: Running) -> None:
    with associated(node) as association:
        assert create(association) == 0x0000
        assert create(association) == 0x0111
        assert change(association, "COMPLETED") == 0xC310
        assert change(association, "IN PROGRESS") == 0x0000
        assert change(association, "IN PROGRESS", OTHER_LOCK) == 0xC301
        assert change(association, "SCHEDULED") == 0xC303
        assert set_values(association, dataset(performed()), OTHER_LOCK) == 0xC301
        assert change(association, "COMPLETED") == 0xC304
        assert set_values(association, dataset(performed())) == 0x0000
        assert change(association, "COMPLETED") == 0x0000
        assert change(association, "COMPLETED") == 0xB306
        assert set_values(association, dataset(performed())) == 0xC300


def test_what_is_read_back_is_what_was_pushed_without_the_lock(node: Running) -> None:
    with associated(node) as association:
        create(association, name="MÜLLER^ZOË")
        change(association, "IN PROGRESS")

        status, found = get(association)
        some, few = get(association, tags=[0x00100010, 0x00741000])
        lock, _ = get(association, tags=[0x00081195, 0x00741000])

    assert (status, some, lock) == (0x0000, 0x0000, 0x0001)
    assert found is not None
    assert few is not None
    assert (str(found.PatientName), found.ProcedureStepState) == ("MÜLLER^ZOË", "IN PROGRESS")
    assert found.ScheduledWorkitemCodeSequence[0].CodeValue == "110005"
    assert "TransactionUID" not in found
    assert sorted(few.keys()) == [0x00080005, 0x00100010, 0x00741000]


@pytest.mark.parametrize("model", [PULL, WATCH, QUERY])
def test_a_worklist_is_queried_by_each_sop_class_that_may(node: Running, model: str) -> None:
    with associated(node) as association:
        create(association)
        create(association, f"{UID}.2", priority="LOW")
        create(association, f"{UID}.3", worklist="DAY")
        code = Dataset()
        code.CodeValue = "110005"

        found = find(
            association,
            model,
            ProcedureStepState="SCHEDULED",
            WorklistLabel="NIGHT",
            ScheduledWorkitemCodeSequence=[code],
            SOPInstanceUID="",
            PatientName="",
            TransactionUID="",
        )

    assert [one.SOPInstanceUID for one in found] == [UID, f"{UID}.2"], "urgent ones first"
    assert found[0].PatientName == "DUPONT^MARIE"
    assert "TransactionUID" not in found[0]


@pytest.mark.parametrize(
    ("key", "value", "status"), [("ScheduledProcedureStepStartDateTime", "yesterday", 0xC001), ("", "", 0xA900)]
)
def test_a_query_without_meaning_is_a_failure(node: Running, key: str, value: str, status: int) -> None:
    identifier = Dataset()
    if key:
        identifier.add_new(key, "LO", value)
    else:
        identifier.SpecificCharacterSet = "ISO_IR 192"
    with associated(node, PULL) as association:
        (answer, _), *_ = association.send_c_find(identifier, PULL)

    assert answer.Status == status


def test_operations_are_those_of_the_sop_class_that_was_negotiated(node: Running) -> None:
    with associated(node) as association:
        create(association)

        assert act(association, 1, UID, WATCH, ProcedureStepState="IN PROGRESS", TransactionUID=LOCK) == 0x0123
        assert act(association, 3, UID, PULL, ReceivingAE=WATCHER, DeletionLock="FALSE") == 0x0123
        status, _ = association.send_n_set(dataset(performed()), PUSH, UID, meta_uid=WATCH)
        assert status.Status == 0x0211


def test_a_cancel_request_cancels_what_nobody_has_claimed(node: Running) -> None:
    with associated(node) as association:
        create(association)

        assert act(association, 2, UID, PUSH, ReasonForCancellation="wrong patient") == 0x0000
        assert act(association, 2, UID, PUSH) == 0xB304
        assert act(association, 2, "1.2.3", PUSH) == 0xC307
        _, found = get(association)

    assert found is not None
    progress = found.ProcedureStepProgressInformationSequence[0]
    assert (found.ProcedureStepState, progress.ReasonForCancellation) == ("CANCELED", "wrong patient")


def test_an_ae_without_the_right_gets_no_context(tmp_path: Path) -> None:
    with (
        closing(Database(sqlite_url(tmp_path / "index.sqlite"))) as database,
    ):
        database.create_tables()
        with running_node(database, tmp_path / "packs", policy=node_policy()) as running:
            ae = AE("WORKSTATION")
            ae.add_requested_context(PULL)
            association = ae.associate(LOOPBACK, running.port, ae_title="TELEGARDE")

    assert not association.is_established
    assert not association.accepted_contexts


# Event reports


@dataclass(frozen=True)
class Heard:
    """One N-EVENT-REPORT as it arrived."""

    uid: str
    event_type: int
    state: str
    information: Dataset


@contextmanager
def watching(port: int, answers: Callable[[], int] = lambda: 0x0000) -> Iterator["queue.Queue[Heard]"]:
    heard: queue.Queue[Heard] = queue.Queue()

    def take(event: Any) -> tuple[int, Dataset | None]:
        information = event.event_information if event.request.EventInformation is not None else Dataset()
        uid, state = event.request.AffectedSOPInstanceUID, information.get("ProcedureStepState", "")
        heard.put(Heard(uid, event.event_type, state, information))
        return answers(), None

    ae = AE(WATCHER)
    ae.add_supported_context(EVENT, scu_role=False, scp_role=True)
    server = ae.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    try:
        yield heard
    finally:
        server.shutdown()


def everything(heard: "queue.Queue[Heard]") -> list[tuple[str, int, str]]:
    return [(one.uid, one.event_type, one.state) for one in iter_of(heard)]


def iter_of(heard: "queue.Queue[Heard]") -> Iterator[Heard]:
    while not heard.empty():
        yield heard.get()


def test_a_subscribed_ae_is_told_on_an_association_of_ours(node: Running) -> None:
    relay = node.relay()
    with associated(node) as association, watching(node.watcher_port) as heard:
        create(association)
        assert act(association, 3, UID, WATCH, ReceivingAE=WATCHER, DeletionLock="TRUE") == 0x0000
        change(association, "IN PROGRESS")
        set_values(association, dataset(performed()))
        change(association, "COMPLETED")

        assert relay.turn() == 3

        assert everything(heard) == [(UID, 1, "SCHEDULED"), (UID, 1, "IN PROGRESS"), (UID, 1, "COMPLETED")]
        assert relay.turn() == 0
        assert act(association, 4, UID, WATCH, ReceivingAE=WATCHER) == 0x0000


def test_subscriptions_to_all_filtered_and_suspended(node: Running) -> None:
    relay = node.relay()
    with associated(node) as association, watching(node.watcher_port) as heard:
        code = {"ReceivingAE": WATCHER, "DeletionLock": "FALSE"}
        assert act(association, 3, FILTERED, WATCH, **code, ScheduledProcedureStepPriority="HIGH") == 0x0000
        create(association)
        create(association, f"{UID}.2", priority="LOW")
        assert act(association, 5, FILTERED, WATCH, ReceivingAE=WATCHER) == 0x0000
        create(association, f"{UID}.3")
        relay.turn()

        assert everything(heard) == [(UID, 1, "SCHEDULED")]
        assert act(association, 3, FILTERED, WATCH, **code) == 0x0115
        assert act(association, 5, UID, WATCH, ReceivingAE=WATCHER) == 0xC314
        assert act(association, 3, UID, WATCH, ReceivingAE="STRANGER", DeletionLock="FALSE") == 0xC308
        assert act(association, 3, GLOBAL, WATCH, ReceivingAE=WATCHER) == 0x0115
        assert act(association, 4, GLOBAL, WATCH, ReceivingAE=WATCHER) == 0x0000


def test_a_cancel_request_reaches_the_performer(node: Running) -> None:
    relay = node.relay()
    with associated(node) as association, watching(node.watcher_port) as heard:
        create(association)
        change(association, "IN PROGRESS")
        assert act(association, 2, UID, PUSH, ReasonForCancellation="moved") == 0xC312
        act(association, 3, UID, WATCH, ReceivingAE=WATCHER, DeletionLock="FALSE")
        assert act(association, 2, UID, PUSH, ReasonForCancellation="moved", ContactDisplayName="Dr Roy") == 0x0000
        relay.turn()

        told = list(iter_of(heard))[-1]
    assert (told.event_type, told.information.RequestingAE) == (2, "WORKSTATION")
    assert (told.information.ReasonForCancellation, told.information.ContactDisplayName) == ("moved", "Dr Roy")


def test_a_restarted_node_says_so_to_every_subscriber(node: Running) -> None:
    with associated(node) as association, watching(node.watcher_port) as heard:
        act(association, 3, GLOBAL, WATCH, ReceivingAE=WATCHER, DeletionLock="FALSE")

        node.new_relay().turn()

        (told,) = iter_of(heard)
    assert (told.event_type, told.information.SCPStatus) == (4, "RESTARTED")
    assert told.information.SubscriptionListStatus == "WARM START"


def test_events_wait_for_an_ae_that_is_away_and_are_given_up_in_the_end(node: Running) -> None:
    relay = node.relay()
    with associated(node) as association:
        create(association)
        act(association, 3, UID, WATCH, ReceivingAE=WATCHER, DeletionLock="FALSE")
        assert relay.turn() == 0
        with watching(node.watcher_port) as heard:
            assert relay.turn() == 0, "it waits before it tries again"
            node.clock.advance(FIRST_WAIT)
            assert relay.turn() == 1
            assert everything(heard) == [(UID, 1, "SCHEDULED")]

        change(association, "IN PROGRESS")
        with watching(node.watcher_port, lambda: 0x0110) as heard:
            for _ in range(ATTEMPTS_MAX + 1):
                relay.turn()
                node.clock.advance(timedelta(minutes=1))
            assert len(everything(heard)) == ATTEMPTS_MAX
