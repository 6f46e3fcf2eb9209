"""A reader's workstation claims reading tasks over DIMSE: pynetdicom against the services of a DICOM worker."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

import territory.bootstrap  # noqa: F401  # adds every table to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.case.event import CaseId
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules
from oncall.engine.sql_store import SqlStore
from oncall.followers import Followers
from oncall.notify import Sender
from pacs.scp.services import Peer
from pacs.worklist.ups.model import PULL, PUSH, WATCH, Caller
from pacs.worklist.ups.scp import UpsService
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.tasks import TaskOwner
from pacs.worklist.ups.worklist import Worklist
from territory.reading_task_attributes import task_uid
from territory.reading_tasks import ReadingTaskProjection
from territory.task_owner import EngineTasks, EngineTurns
from territory.ups_parts import LateTasks
from tests.harness.node import RIGHTS, node_policy, running_node
from tests.harness.peers import LOOPBACK
from tests.harness.small_territory import at, directory, in_force, request

SECRET = b"a secret of the test only"
CASE = CaseId("case-1")
UID = task_uid(CASE, 1)
LOCK = "1.2.3.4"


@dataclass(frozen=True)
class Running:
    """A node whose worker owns no engine until somebody claims."""

    port: int
    engine: Engine

    @property
    def case(self) -> Case:
        self.engine.open_cases(at(3))
        return self.engine.case(CASE)

    @property
    def reader(self) -> PersonId:
        reader = self.case.reading.assigned_to
        assert reader is not None
        return reader

    @property
    def workstation(self) -> str:
        """The AE title of the assigned reader's."""
        return f"WS_{self.reader.upper()}"

    def associate(self, aet: str) -> Association:
        ae = AE(aet)
        for context in (PUSH, PULL, WATCH):
            ae.add_requested_context(context)
        association = ae.associate(LOOPBACK, self.port, ae_title="TELEGARDE")
        assert association.is_established
        return association


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    clock, rules = ManualClock(at(3)), FixedRules(in_force())
    with closing(Database(sqlite_url(tmp_path / "index.sqlite"))) as database:
        database.create_tables()
        store, sender = SqlStore(database), Sender(answer_url="", secret=SECRET)
        engine = Engine(store, rules, sender, worker="oncall")
        projection = ReadingTaskProjection(database, SECRET, lambda now: directory(), node_aet="TELEGARDE")

        def make() -> TaskOwner:
            turns = EngineTurns(lambda: Engine(store, rules, sender, worker="dicom"), clock)
            return EngineTasks(turns, projection, database, clock, lambda now: directory())

        def caller_of(peer: Peer) -> Caller:
            # A workstation bears its person's name; the settings say so in `person`.
            person_id = peer.calling_aet.removeprefix("WS_").lower() if peer.calling_aet.startswith("WS_") else ""
            return Caller(name=peer.calling_aet, sites=None if person_id else frozenset({"north"}), person_id=person_id)

        def subscriber_of(aet: str) -> Subscriber | None:
            return None

        service = UpsService(Worklist(database, clock, LateTasks(make)), caller_of, subscriber_of)
        policy = node_policy(
            rights=replace(RIGHTS, may_workitems=True), services=dict.fromkeys((PUSH, PULL, WATCH), service)
        )
        engine.open_case(CASE, request(), at(0))
        engine.complete_images(CASE, at(2), rule="quiet")
        Followers(database, [projection], clock).take()
        with running_node(database, tmp_path / "packs", policy=policy) as running:
            yield Running(port=running.port, engine=engine)


def change(association: Association, state: str, lock: str = LOCK, uid: str = UID) -> int:
    asked = Dataset()
    asked.ProcedureStepState = state
    asked.TransactionUID = lock
    status, _ = association.send_n_action(asked, 1, PUSH, uid, meta_uid=PULL)
    return int(status.Status)


def test_a_workstation_claims_for_its_person_and_the_signature_completes(node: Running) -> None:
    association = node.associate(node.workstation)
    try:
        assert change(association, "IN PROGRESS") == 0x0000
        assert (node.case.reading.claimed_by, node.case.reading.transaction_uid) == (node.reader, LOCK)
        assert change(association, "COMPLETED") == 0xC304

        node.engine.sign(CASE, node.reader, at(3), transaction_uid=LOCK)

        assert change(association, "COMPLETED") == 0xB306
    finally:
        association.release()


def test_an_ae_where_nobody_is_known_to_work_claims_nothing(node: Running) -> None:
    association = node.associate("RIS_NORTH")
    try:
        assert change(association, "IN PROGRESS") == 0x0124
    finally:
        association.release()
    assert node.case.reading.claimed_by is None


def test_what_was_given_back_is_another_work_item(node: Running) -> None:
    association = node.associate(node.workstation)
    try:
        change(association, "IN PROGRESS")
        assert change(association, "CANCELED", "1.2.9") == 0xC301
        assert change(association, "CANCELED") == 0x0000

        assert node.case.reading.work_item == 2
        assert change(association, "IN PROGRESS", "1.2.5") == 0xC301
        second = task_uid(CASE, 2)
        status, found = association.send_n_get([0x00741000, 0x00741224], PUSH, second, meta_uid=PULL)
    finally:
        association.release()
    assert (status.Status, found.ProcedureStepState) == (0x0000, "SCHEDULED")
    assert found.ReplacedProcedureStepSequence[0].ReferencedSOPInstanceUID == UID
    assert node.case.reading.state in {ReadingState.QUEUED, ReadingState.ASSIGNED}


def test_only_who_speaks_for_the_hospital_withdraws_a_reading_task(node: Running) -> None:
    association = node.associate(node.workstation)
    try:
        status, _ = association.send_n_action(None, 2, PUSH, UID, meta_uid=WATCH)
    finally:
        association.release()
    assert status.Status == 0xC313
    assert node.case.reading.state is ReadingState.ASSIGNED
