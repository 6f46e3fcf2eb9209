"""What the on-call directory in force says of hospitals to the DICOM services: whose console it is, and its time zone.

For: `territory.bootstrap`, because `pacs` knows no directory. Not for: who may do what; the settings say that.

Invariants: what is answered is of the version in force at that moment; nothing is guessed: a title of two hospitals is
of none, and a hospital that is not there has no time zone.
"""

from dataclasses import dataclass, field
from datetime import tzinfo
from threading import Lock
from types import MappingProxyType
from zoneinfo import ZoneInfo

from sqlalchemy import select

from foundation.database import Database
from foundation.errors import Unavailable
from oncall.directory import Site
from oncall.directory_documents import directory_from_json
from oncall.documents_store import DocumentKind
from oncall.schema import oncall_document
from oncall.strict_json import parse


class SiteNotPublished(Unavailable):
    """No directory in force has this hospital."""


@dataclass(frozen=True, slots=True)
class _InForce:
    version: str = ""
    sites: MappingProxyType[str, Site] = field(default_factory=lambda: MappingProxyType({}))


class PublishedSites:
    """The hospitals of the directory in force; one object serves all threads.

    Parameters
    ----------
    database : Database
        Where directories are published.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._known = _InForce()

    def site_of(self, calling_aet: str) -> str:
        """Return the one hospital that has this AE title; '' when none or several do.

        Raises
        ------
        foundation.database.DatabaseAway
            If the database does not answer.
        """
        sites = [site.site_id for site in self._in_force().values() if calling_aet in site.ae_titles]
        return sites[0] if len(sites) == 1 else ""

    def zone_of(self, site_id: str) -> tzinfo:
        """Return the time zone of a hospital's clocks.

        Raises
        ------
        SiteNotPublished
            If no directory in force has the hospital: another zone would show wrong times.
        foundation.database.DatabaseAway
            If the database does not answer.
        """
        site = self._in_force().get(site_id)
        if site is None:
            raise SiteNotPublished(
                f"the directory in force has no site {site_id}; publish one that has it (telegarde oncall import)"
            )
        return ZoneInfo(site.time_zone)

    def _in_force(self) -> MappingProxyType[str, Site]:
        documents = oncall_document.c
        newest = select(documents.version).where(documents.kind == DocumentKind.DIRECTORY.value)
        with self._database.read() as connection:
            version = connection.execute(newest.order_by(documents.published_at_us.desc()).limit(1)).scalar()
            known = self._known
            if version is None or version == known.version:
                return known.sites
            body = connection.execute(
                select(documents.body).where(
                    documents.kind == DocumentKind.DIRECTORY.value, documents.version == version
                )
            ).scalar_one()
        directory = directory_from_json(parse(body))
        read = _InForce(version, MappingProxyType({str(key): site for key, site in directory.sites.items()}))
        with self._lock:
            self._known = read
        return read.sites
