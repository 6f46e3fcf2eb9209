"""An order's night through the real parts: earlier exams before the protocol, the exam as its scanner tells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.case.event import CaseId
from oncall.case.regions import ExamState, StudyKey
from oncall.case.state import Case, fold
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.engine.sql_store import SqlStore
from oncall.rota.documents import roster_to_json
from pacs.worklist import mpps_store, orders
from pacs.worklist.mpps_store import Caller
from pacs.worklist.order import Order, OrderPatient, OrderPriority, OrderState
from territory.bootstrap import journal_directory
from territory.oncall_parts import OncallParts
from territory.settings import load
from territory.settings_model import Settings
from tests.harness.archive_parts import open_archive
from tests.harness.data_sets import image, text
from tests.harness.orders import order
from tests.harness.performed_steps import MPPS_UID, created, ended, item, series
from tests.harness.small_territory import at, directory, roster

SCANNER = Caller(calling_aet="CT1", site_id="north")
PRIOR = "1.2.700"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "telegarde.toml"
    file.write_text(f'[archive]\ndata_dir = "{tmp_path / "data"}"\n\n[dicom]\naet = ["TELEGARDE"]\n')
    (tmp_path / "data" / "packs").mkdir(parents=True)
    return load(file)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_url)
    opened.create_tables()
    with opened.write(durable=True) as connection:
        publish(connection, DocumentKind.DIRECTORY, "d1", directory_to_json(directory()), by="test", now=at(0))
        publish(connection, DocumentKind.ROSTER, "r1", roster_to_json(roster()), by="test", now=at(0))
    yield opened
    opened.close()


@contextmanager
def parts(settings: Settings, clock: ManualClock) -> Iterator[OncallParts]:
    opened = OncallParts(settings, worker="test", clock=clock)
    try:
        yield opened
    finally:
        opened.close()


def store_prior(settings: Settings, database: Database) -> None:
    """Store a head CT of the patient, of yesterday, in another hospital's name under the same identifier's link."""
    yesterday = at(0) - timedelta(hours=20)
    with open_archive(database, journal_directory(settings.archive.data_dir)) as archive:
        archive.store(
            image(
                f"{PRIOR}.1.1",
                study_instance_uid=PRIOR,
                series_instance_uid=f"{PRIOR}.1",
                patient_id="N-1",
                extra={
                    0x00080020: ("DA", text(f"{yesterday:%Y%m%d}")),
                    0x00080030: ("TM", text(f"{yesterday:%H%M%S}")),
                    0x00081030: ("LO", text("SCANNER CEREBRAL")),
                },
            ),
            f"{PRIOR}.1.1",
        )


def placed(database: Database) -> Order:
    wanted = order(
        site_id="north", exam="head", urgency="2", priority=OrderPriority.STAT, scheduled_at=at(5),
        patient=OrderPatient(patient_id="N-1", issuer="NORTH", name="Durand^Zoe"),
    )  # fmt: skip
    with database.write(durable=True) as connection:
        return orders.place(connection, wanted, at(5)).order


def case_of(database: Database, one: Order) -> Case:
    return fold(SqlStore(database).events_of(CaseId(f"order-{one.order_id}")))


def test_an_ordered_exam_is_searched_for_begun_and_completed_in_its_case(
    settings: Settings, database: Database
) -> None:
    clock = ManualClock(at(5))
    store_prior(settings, database)
    asked = placed(database)
    with parts(settings, clock) as night:
        night.settle()
        request = case_of(database, asked).request
        assert [(one.study, one.outcome) for one in request.prior_exams] == [(StudyKey("NORTH", PRIOR), "found")]
        assert [(one.is_ready, one.instances) for one in request.priors] == [(True, 1)]

        clock.set(at(20))
        with database.write(durable=True) as connection:
            mpps_store.create(connection, MPPS_UID, item(created(asked)), SCANNER, at(20))
        night.settle()
        assert case_of(database, asked).acquisition.state is ExamState.STARTED

        clock.set(at(30))
        done = ended("COMPLETED", series(1, 2), CommentsOnRadiationDose="TotalDLP=812.5")
        with database.write(durable=True) as connection:
            mpps_store.change(connection, MPPS_UID, item(done), SCANNER, at(30))
        night.settle()

    case = case_of(database, asked)
    assert case.acquisition.state is ExamState.COMPLETED
    assert case.acquisition.expected_instances == 2
    with database.read() as connection:
        found = orders.find(connection, asked.order_id)
    assert found is not None
    assert found.state is OrderState.COMPLETED
