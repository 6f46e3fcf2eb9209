"""What a document is made of: a signed version, those before it, who the patient is, what was examined. Frozen values.

For: one argument for every kind of document, gathered once by whoever delivers or exports. Not for: finding any of it.

Invariant: two sources that are equal give the same bytes of every document. The subject is a snapshot: when a
patient's identity changes after signing, a document made anew bears the new one, and the signed version stays.
"""

from dataclasses import dataclass, field
from datetime import date, time

from oncall.report.content import CodedConcept
from oncall.report.version import ReportVersion, SignedVersion, VersionKind


@dataclass(frozen=True, kw_only=True, slots=True)
class NationalIdentity:
    """A qualified *identité nationale de santé*: the matricule and the OID of who issued it.

    ``birthplace`` is the INSEE code of the place of birth; a document with strict rules for the five traits (CDA) bears
    the national identity only when it is known.
    """

    matricule: str
    oid: str
    birthplace: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The patient as the archive names them now.

    ``name`` is a DICOM PN: up to three groups by ``=`` (alphabetic, ideographic, phonetic), components by ``^``
    (PS3.5 6.2.1.2). ``issuer`` is the namespace of ``patient_id``; ``issuer_oid`` its OID where the site has one.
    ``sex`` is M, F, O or empty.
    """

    name: str
    patient_id: str
    issuer: str = ""
    issuer_oid: str = ""
    birth_date: date | None = None
    sex: str = ""
    ins: NationalIdentity | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminedStudy:
    """One study that the report is about.

    ``study_date`` and ``study_time`` are the modality's own, in local time. ``body_part`` is the modality's Body Part
    Examined. ``procedure_code`` is the LOINC code of the procedure (scheme ``LN``) where the exam has one.
    """

    study_instance_uid: str
    modality: str = ""
    description: str = ""
    accession_number: str = ""
    accession_issuer: str = ""
    study_id: str = ""
    study_date: date | None = None
    study_time: time | None = None
    body_part: str = ""
    procedure_code: CodedConcept | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamFacts:
    """Where, when and for whom it was examined; the first study is the one that documents are filed with.

    ``time_zone`` is IANA: instants are printed in the hospital's local time. ``finess`` is the legal number of the
    site; ``referring_rpps`` is a number of the register. ``referring_physician`` and ``requester`` are plain names
    ("Dr Anne Martin"); the first may be a DICOM PN, as the study has it.
    """

    site_name: str
    time_zone: str
    studies: tuple[ExaminedStudy, ...]
    finess: str = ""
    requester: str = ""
    requester_service: str = ""
    referring_physician: str = ""
    referring_rpps: str = ""
    procedure: str = ""

    def __post_init__(self) -> None:
        """Check that there is something to report on."""
        assert self.studies, "a report is about at least one study"

    @property
    def study(self) -> ExaminedStudy:
        """Return the study that documents are filed with."""
        return self.studies[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDocument:
    """A DICOM document of an earlier version as the archive has it; ``kind`` is ``sr``, ``pdf`` or ``kos``."""

    version: int
    kind: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentSource:
    """Everything that a document of one version shows.

    ``history`` holds the versions of the case before this one, oldest first. ``is_retracted`` says that a later
    version withdrew this one: documents made from now on must say so. ``stored_documents`` is what the archive has of
    earlier versions; an earlier document that is not among them is referred to by the UID that it would have now, which
    is right unless the patient's identity or the exam changed in between.
    """

    signed: SignedVersion
    subject: Subject
    exam: ExamFacts
    history: tuple[SignedVersion, ...] = field(default=())
    is_retracted: bool = False
    stored_documents: tuple[StoredDocument, ...] = ()

    @property
    def version(self) -> ReportVersion:
        """Return what was signed."""
        return self.signed.version

    @property
    def is_withdrawn(self) -> bool:
        """Say whether nobody may rely on what this version says."""
        return self.is_retracted or self.version.kind is VersionKind.RETRACTION
