"""Reports to sign: contents in several scripts, and versions of them signed with keys in a directory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.language import Language
from oncall.report.canonical import digest_of
from oncall.report.content import Answer, CodedConcept, Dose, KeyImage, ReportContent
from oncall.report.signing import Ed25519Keys
from oncall.report.version import Author, ReportVersion, SeenStudy, SignedVersion, VersionKind

SIGNED_AT: Final = datetime(2026, 10, 25, 0, 45, 30, 123456, tzinfo=UTC)
AUTHOR: Final = Author(
    person_id=PersonId("dr-lefevre"), name="Lefèvre^Zoé", rpps="10001234567", organisation="CHU de Grenoble"
)


def content(**changed: object) -> ReportContent:
    """Return a whole report with accents, Greek and Japanese."""
    values: dict[str, object] = {
        "language": Language.FRENCH,
        "title": "Scanner cérébral sans injection",
        "template_id": "stroke",
        "template_version": "1",
        "indication": "Déficit brutal de l'hémicorps droit. Πληροφορία; 患者は山田様",
        "technique": "Acquisition hélicoïdale.",
        "results": "Pas d'hémorragie.\nHyperdensité de l'artère sylvienne gauche.",
        "conclusion": "Occlusion M1 gauche.",
        "answers": (
            Answer(
                field_id="aspects",
                label="Score ASPECTS",
                value=8,
                concept=CodedConcept(code="113345001", scheme="SCT", meaning="Score"),
            ),
            Answer(field_id="volume", label="Volume", value=12.5, unit="mL"),
            Answer(field_id="bleeding", label="Hémorragie", value=False),
            Answer(field_id="vessels", label="Vaisseaux", value=("M1", "M2 αριστερά")),
        ),
        "doses": (Dose(quantity="DLP", value=5, unit="mGy.cm"),),
        "key_images": (
            KeyImage(
                study_instance_uid="2.25.1",
                series_instance_uid="2.25.2",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sop_instance_uid="2.25.3",
                frames=(1, 3),
                note="occlusion",
            ),
        ),
    }
    return ReportContent(**{**values, **changed})  # type: ignore[arg-type]  # a test names what differs


def version(**changed: object) -> ReportVersion:
    """Return the first final version of a report."""
    values: dict[str, object] = {
        "case_id": CaseId("case-1"),
        "version": 1,
        "kind": VersionKind.FINAL,
        "content": content(),
        "author": AUTHOR,
        "signed_at": SIGNED_AT,
        "patient_key": "patient-1",
        "seen": (
            SeenStudy(issuer="GRE", study_instance_uid="2.25.1", instances=312),
            SeenStudy(
                issuer="GRE",
                study_instance_uid="2.25.9",
                instances=1,
                is_prior=True,
                modality="CT",
                study_date="20250101",
                description="Crâne",
            ),
        ),
    }
    return ReportVersion(**{**values, **changed})  # type: ignore[arg-type]  # a test names what differs


def signed(directory: Path, **changed: object) -> SignedVersion:
    """Return `version` with the signature of its author, whose key lies in the directory."""
    made = version(**changed)
    digest = digest_of(made)
    return SignedVersion(
        version=made, digest=digest, signature=Ed25519Keys(directory).sign(made.author.person_id, digest)
    )
