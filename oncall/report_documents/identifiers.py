"""The identifiers of documents, derived from what they are made of.

For: UIDs and UUIDs that come out the same each time a document is made. Not for: the case's own number or digests.

Invariant: one identifier, one content. What a document shows of the patient and the exam is part of its name, so that
a document made again after an identity was corrected is another instance, never other bytes under a known UID.
Source: PS3.5 B.2 (UIDs from UUIDs), RFC 9562 5.5 (UUIDs from names).
"""

import json
import uuid
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Final

from oncall.report_documents.source import DocumentSource

_NAMESPACE: Final = uuid.UUID("6f6f1f0c-2f0e-5f0a-9d3a-7d4be1a4c0de")
"""Of everything that is named here; any fixed value would do, and this one never changes."""


class DocumentKind(StrEnum):
    """What can be made of a version."""

    STRUCTURED_REPORT = "sr"
    ENCAPSULATED_PDF = "pdf"
    KEY_OBJECTS = "kos"
    CDA = "cda"
    FHIR = "fhir"


def document_uuid(source: DocumentSource, kind: DocumentKind, *, version: int | None = None) -> uuid.UUID:
    """Return the UUID of a document; of an earlier version when its number is given.

    A document of an earlier version is named as if it was made of the same subject and exam, and never withdrawn.
    """
    number = source.version.version if version is None else version
    is_withdrawn = source.is_retracted and version is None
    return _named("document", kind, source.version.case_id, number, is_withdrawn, source.subject, source.exam)


def document_uid(source: DocumentSource, kind: DocumentKind, *, version: int | None = None) -> str:
    """Return the SOP Instance UID of a document."""
    return as_uid(document_uuid(source, kind, version=version))


def set_uuid(source: DocumentSource, kind: DocumentKind) -> uuid.UUID:
    """Return what all versions of a document of this case have in common."""
    return _named("set", kind, source.version.case_id)


def series_uid(source: DocumentSource, kind: DocumentKind) -> str:
    """Return the Series Instance UID for all versions of a document: one series holds one patient's and one study's."""
    return as_uid(_named("series", kind, source.version.case_id, source.subject, source.exam.study.study_instance_uid))


def part_uuid(source: DocumentSource, name: str) -> uuid.UUID:
    """Return the UUID of something inside a version's documents."""
    return uuid.uuid5(document_uuid(source, DocumentKind.FHIR), name)


def as_uid(value: uuid.UUID) -> str:
    """Return a UUID as a DICOM UID."""
    return f"2.25.{value.int}"


def _named(*parts: object) -> uuid.UUID:
    """Return the UUID of a list of values."""
    return uuid.uuid5(_NAMESPACE, json.dumps([_facts(part) for part in parts], ensure_ascii=True))


def _facts(value: object) -> object:
    """Return a value for JSON. Fields at their default are left out, so that a new field renames no document."""
    if isinstance(value, tuple):
        return [_facts(item) for item in value]
    if is_dataclass(value):
        return {f.name: _facts(getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != f.default}
    return value if value is None or isinstance(value, str | int) else str(value)
