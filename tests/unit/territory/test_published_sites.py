"""What the directory in force says of hospitals to the DICOM services."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from foundation.database import Database, sqlite_url
from foundation.errors import Unavailable
from oncall.directory import Directory, SiteId
from oncall.documents_store import publish_directory
from pacs.scp.access import Admitted, Call, Load, Rejected, RejectedBy
from pacs.upper_layer.associate import AssociateReject, RejectResult, RejectSource
from territory.adapters import sites_of_callers
from territory.demo_territory import demo_directory
from territory.published_sites import PublishedSites, SiteNotPublished
from tests.harness.orders import NOW
from tests.harness.worklist import RIGHTS

SITE = SiteId(sorted(demo_directory().sites)[0])
CALL = Call(called_aet="TELEGARDE", calling_aet="CT1", address="127.0.0.1", certificate_names=None)
IDLE = Load(associations=0, associations_of_peer=0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(sqlite_url(tmp_path / "index.sqlite"))
    opened.create_tables()
    yield opened
    opened.close()


@pytest.fixture
def directory() -> Directory:
    directory = demo_directory()
    site = dataclasses.replace(directory.sites[SITE], ae_titles=frozenset({"CT1"}), time_zone="Indian/Reunion")
    return dataclasses.replace(directory, sites={**directory.sites, SITE: site})


def publish(database: Database, directory: Directory, *, minutes: int = 0) -> None:
    with database.write(durable=True) as connection:
        publish_directory(connection, directory, by="test", now=NOW + timedelta(minutes=minutes))


def test_a_console_is_of_the_one_hospital_that_has_its_title(database: Database, directory: Directory) -> None:
    publish(database, directory)
    sites = PublishedSites(database)
    assert sites.site_of("CT1") == SITE
    assert sites.site_of("CT9") == ""


def test_a_new_version_of_the_directory_is_in_force_at_once(database: Database, directory: Directory) -> None:
    sites = PublishedSites(database)
    assert sites.site_of("CT1") == ""
    publish(database, directory)
    assert sites.zone_of(SITE) == ZoneInfo("Indian/Reunion")
    moved = dataclasses.replace(directory.sites[SITE], time_zone="Europe/Paris", ae_titles=frozenset())
    publish(database, dataclasses.replace(directory, sites={**directory.sites, SITE: moved}), minutes=1)
    assert sites.zone_of(SITE) == ZoneInfo("Europe/Paris")
    assert sites.site_of("CT1") == ""


def test_a_hospital_that_no_directory_has_has_no_clock(database: Database) -> None:
    with pytest.raises(SiteNotPublished):
        PublishedSites(database).zone_of("elsewhere")


def admitted(call: Call, load: Load) -> Admitted | Rejected:
    del call, load
    return Admitted(rights=dataclasses.replace(RIGHTS, site=""))


def test_who_is_admitted_gets_the_site_that_the_directory_knows(tmp_path: Path) -> None:
    decision = sites_of_callers(admitted, {"CT1": "roanne"}.__getitem__)(CALL, IDLE)
    assert isinstance(decision, Admitted)
    assert decision.rights.site == "roanne"
    # A database without tables: no site, and so no orders, but storing goes on.
    without_tables = Database(sqlite_url(tmp_path / "empty.sqlite"))
    decision = sites_of_callers(admitted, PublishedSites(without_tables).site_of)(CALL, IDLE)
    assert isinstance(decision, Admitted)
    assert decision.rights.site == ""
    without_tables.close()


def test_who_is_rejected_is_not_asked_for_a_site() -> None:
    answer = AssociateReject(result=RejectResult.PERMANENT, source=RejectSource.SERVICE_USER, reason=3)
    rejected = Rejected(answer=answer, rejected_by=RejectedBy.CALLING_AET)

    def never(calling_aet: str) -> str:
        raise Unavailable(calling_aet)

    assert sites_of_callers(lambda _call, _load: rejected, never)(CALL, IDLE) is rejected
