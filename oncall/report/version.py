"""One version of a report as it was signed: content, signer, instant, what the signer could see; and its digest.

For: the value that is signed, stored, sent and proved. Not for: making signatures (`oncall.report.signing`), rows
(`oncall.report.store`), or which version may follow which (`oncall.report.states`).

Invariants: a version never changes; its number is one more than the one before, whose digest it holds, so that versions
of a case form a chain; ``digest`` covers everything of the version but signature and time stamp.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.report.content import ReportContent


class VersionKind(StrEnum):
    """What a version is to those before it."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    ADDENDUM = "addendum"
    REPLACEMENT = "replacement"
    RETRACTION = "retraction"


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Who signs, as the directory named them at that instant."""

    person_id: PersonId
    name: str
    rpps: str = ""
    organisation: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenStudy:
    """A study as it stood when the version was signed: of the case itself, or a prior that was on the list."""

    issuer: str
    study_instance_uid: str
    instances: int
    is_prior: bool = False
    modality: str = ""
    study_date: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportVersion:
    """A version. ``signed_at`` is UTC; ``patient_key`` is the case's opaque key at that instant, never a name.

    ``replaces`` is the version that a replacement stands for or a retraction withdraws; ``previous_digest`` is that of
    the version before it, empty for the first. ``seen`` freezes which images and priors the signer could see.
    """

    case_id: CaseId
    version: int
    kind: VersionKind
    content: ReportContent
    author: Author
    signed_at: datetime
    patient_key: str
    reason: str = ""
    replaces: int | None = None
    previous_digest: str = ""
    seen: tuple[SeenStudy, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A signature over a digest; ``algorithm`` is ``ed25519`` to begin with, ``public_key`` and ``value`` raw bytes."""

    algorithm: str
    key_id: str
    public_key: bytes
    value: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedVersion:
    """A version with its proof: SHA-256 ``digest`` in lower-case hexadecimal; ``time_stamp`` is an RFC 3161 answer."""

    version: ReportVersion
    digest: str
    signature: Signature
    time_stamp: bytes | None = None
