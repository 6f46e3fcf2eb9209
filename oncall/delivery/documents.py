"""The documents of a version as they were first made, kept: every channel sends, and every page shows, these bytes.

For: making once, keeping, finding. Not for: how a document looks (`oncall.report_documents`).

Invariant: the documents of a version are written in one transaction and never changed; whoever makes them second gets
the first ones. So a delivery that is repeated by another node, or after an upgrade, sends the same bytes. When the
patient or the exam was corrected meanwhile, others are made beside them, which are other instances by their UIDs.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from io import BytesIO
from types import MappingProxyType
from typing import Final

from pydicom import dcmread
from sqlalchemy import Connection, insert, select

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.faults import reach
from foundation.instants import microseconds
from oncall.case.event import CaseId
from oncall.delivery.model import Delivery
from oncall.report import store
from oncall.report.version import ReportVersion, SignedVersion, VersionKind
from oncall.report_documents.source import DocumentSource, ExamFacts, StoredDocument, Subject
from oncall.schema import oncall_report_document as table


class DocumentKind(StrEnum):
    """What is made of each version; DICOM ones are whole files (PS3.10)."""

    PDF = "pdf"
    STRUCTURED_REPORT = "structured_report"
    ENCAPSULATED_PDF = "encapsulated_pdf"
    KEY_OBJECTS = "key_objects"
    PLAIN_TEXT = "plain_text"


DICOM_KINDS: Final = (DocumentKind.STRUCTURED_REPORT, DocumentKind.ENCAPSULATED_PDF, DocumentKind.KEY_OBJECTS)
"""Those that an archive takes, in the order in which they are sent."""

_SHORT: Final = MappingProxyType(
    {
        DocumentKind.STRUCTURED_REPORT: "sr",
        DocumentKind.ENCAPSULATED_PDF: "pdf",
        DocumentKind.KEY_OBJECTS: "kos",
    }
)

Documents = Mapping[DocumentKind, bytes]

Maker = Callable[[DocumentSource], Documents]
"""Makes the documents of a source: deterministic, and without input or output."""

Described = tuple[Subject, ExamFacts]

Describer = Callable[[SignedVersion], Described]
"""Looks up who the patient is and what was examined; raises `NotDescribed` while that is not certain."""


class NotDescribed(Unavailable):
    """The patient or the exam cannot be looked up, or not for certain: no document is made; `reason` is a word."""

    def __init__(self, reason: str) -> None:
        super().__init__("the patient of a report is not certain in the archive's index; settle the identity")
        self.reason = reason


class DocumentStore:
    """Makes documents when they are first asked for.

    Parameters
    ----------
    database : Database
        With versions and documents.
    describe : Describer
    make : Maker
    clock : Clock
    """

    def __init__(self, database: Database, describe: Describer, make: Maker, clock: Clock) -> None:
        self._database = database
        self._describe = describe
        self._make = make
        self._clock = clock
        # Several channels ask for the same documents at the same moment; making them twice gains nothing.
        self._making = threading.Lock()

    def of_delivery(self, delivery: Delivery) -> Documents:
        """Return the documents of a delivery's version.

        Raises
        ------
        foundation.errors.Unavailable
            If the patient cannot be looked up, or the version cannot be read.
        """
        return self.of_version(delivery.case_id, delivery.version)

    def of_version(self, case_id: CaseId, version: int) -> Documents:
        """Return the documents of a version, made and kept if they were not; raises like `of_delivery`."""
        with self._making:
            source = self._source(case_id, version)
            with self._database.read() as connection:
                kept = find(connection, case_id, version, digest_of_facts(source))
            if kept:
                return kept
            made = self._make(source)
            reach("delivery.made")
            with self._database.write(durable=True) as connection:
                return keep(connection, source, made, microseconds(self._clock.now()))

    def _source(self, case_id: CaseId, version: int) -> DocumentSource:
        with self._database.read() as connection:
            versions = store.versions_of(connection, case_id)
        signed = next((one for one in versions if one.version.version == version), None)
        if signed is None:
            raise Unavailable("the version to deliver is not stored; restore the database from a backup")
        subject, exam = self._describe(signed)
        history = tuple(one for one in versions if one.version.version < version)
        with self._database.read() as connection:
            stored = tuple(one for earlier in history for one in _stored(connection, earlier.version))
        return DocumentSource(
            signed=signed,
            subject=subject,
            exam=exam,
            history=history,
            stored_documents=stored,
            is_retracted=any(
                one.version.kind is VersionKind.RETRACTION and one.version.version > version for one in versions
            ),
        )


def _stored(connection: Connection, version: ReportVersion) -> list[StoredDocument]:
    """Return the instances that were made of an earlier version, which later ones refer to."""
    kept = find(connection, version.case_id, version.version)
    return [_instance(version.version, kind, kept[kind]) for kind in DICOM_KINDS if kind in kept]


def _instance(version: int, kind: DocumentKind, file: bytes) -> StoredDocument:
    header = dcmread(BytesIO(file), specific_tags=["SeriesInstanceUID", "SOPInstanceUID"])
    return StoredDocument(
        version=version,
        kind=_SHORT[kind],
        series_instance_uid=str(header.SeriesInstanceUID),
        sop_instance_uid=str(header.SOPInstanceUID),
    )


def digest_of_facts(source: DocumentSource) -> str:
    """Return what tells documents of one version apart: the patient and the exam they show, and if it is withdrawn."""
    shown = repr((source.subject, source.exam, source.is_retracted))
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


def find(connection: Connection, case_id: CaseId, version: int, made_of: str = "") -> Documents:
    """Return the documents of a version that show these facts, or the last ones made; nothing when there are none."""
    wanted = select(table).where(table.c.case_id == case_id, table.c.version == version).order_by(table.c.made_at_us)
    rows = connection.execute(wanted.where(table.c.made_of == made_of) if made_of else wanted).all()
    newest = rows[-1].made_of if rows else ""
    return MappingProxyType({DocumentKind(row.kind): bytes(row.body) for row in rows if row.made_of == newest})


def keep(connection: Connection, source: DocumentSource, made: Documents, made_at_us: int) -> Documents:
    """Keep the documents of a source, unless somebody was faster; return those that are kept."""
    version, made_of = source.version, digest_of_facts(source)
    kept = find(connection, version.case_id, version.version, made_of)
    if kept:
        return kept
    connection.execute(
        insert(table),
        [
            {
                "case_id": version.case_id,
                "version": version.version,
                "made_of": made_of,
                "kind": kind.value,
                "digest": hashlib.sha256(body).hexdigest(),
                "made_at_us": made_at_us,
                "body": body,
            }
            for kind, body in made.items()
        ],
    )
    return made
