"""Reports made up for the tests of documents: a stroke, what may follow it, and names of three scripts."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.language import Language
from oncall.report.content import Answer, CodedConcept, Dose, KeyImage, ReportContent
from oncall.report.version import Author, ReportVersion, Signature, SignedVersion, VersionKind
from oncall.report_documents.source import DocumentSource, ExamFacts, ExaminedStudy, NationalIdentity, Subject

SIGNED_AT: Final = datetime(2026, 3, 28, 23, 41, 7, tzinfo=UTC)
STUDY_UID: Final = "1.2.826.0.1.3680043.10.1457.1"
CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT: Final = "1.2.840.10008.5.1.4.1.1.2.1"

STROKE: Final = ReportContent(
    language=Language.FRENCH,
    title="Scanner cérébral et angioscanner des troncs supra-aortiques",
    template_id="stroke",
    template_version="1",
    indication="Hémiplégie gauche et héminégligence d'apparition brutale, NIHSS 14. Vu normal pour la dernière fois à "
    "21 h 50.\nPas d'anticoagulant connu. Suspicion d'accident vasculaire cérébral : thrombolyse ? thrombectomie ?",
    technique="Acquisition hélicoïdale sans injection, puis angioscanner de la crosse aortique au vertex après 60 mL "
    "d'iomeprol 400 mgI/mL à 4 mL/s, puis perfusion.",
    results="Pas d'hémorragie intracrânienne. Effacement du ruban insulaire droit, ASPECTS 8.\n"
    "Occlusion du segment M1 de l'artère cérébrale moyenne droite, thrombus de 9 mm ; collatéralité bonne.\n"
    "Perfusion : cœur d'infarctus ≈ 12 mL (DSC < 30 %), hypoperfusion 86 mL (Tmax > 6 s), rapport 7,2.\n"
    "Pas de sténose carotidienne ≥ 50 %. Variante : artère vertébrale gauche naissant de la crosse.",
    conclusion="Infarctus sylvien droit récent, peu étendu (ASPECTS 8), sur occlusion M1 droite, avec pénombre.\n"
    "Pas d'hémorragie : pas de contre-indication radiologique à la thrombolyse. Thrombectomie à discuter sans délai.",
    answers=(
        Answer(field_id="haemorrhage", label="Hémorragie intracrânienne", value=False),
        Answer(
            field_id="aspects",
            label="Score ASPECTS",
            value=8,
            unit="1",
            concept=CodedConcept(code="ASPECTS", scheme="99TELEGARDE", meaning="ASPECTS score"),
        ),
        Answer(field_id="occlusion", label="Occlusion", value=("M1 droite",)),
        Answer(field_id="thrombus", label="Longueur du thrombus", value=9.0, unit="mm"),
    ),
    doses=(
        Dose(quantity="PDL total", value=1245.3, unit="mGy.cm"),
        Dose(quantity="IDSV (cerveau)", value=47.2, unit="mGy"),
    ),
    key_images=(
        KeyImage(
            study_instance_uid=STUDY_UID,
            series_instance_uid=f"{STUDY_UID}.2",
            sop_class_uid=CT_IMAGE,
            sop_instance_uid=f"{STUDY_UID}.2.118",
            note="Occlusion M1 droite",
        ),
        KeyImage(
            study_instance_uid=STUDY_UID,
            series_instance_uid=f"{STUDY_UID}.4",
            sop_class_uid=ENHANCED_CT,
            sop_instance_uid=f"{STUDY_UID}.4.1",
            frames=(7, 8),
            note="Hypoperfusion sylvienne droite",
        ),
    ),
)

AUTHOR: Final = Author(
    person_id=PersonId("moreau"), name="Dr Gaëlle Moreau", rpps="10003456789", organisation="GIE Téléradiologie"
)

SUBJECT: Final = Subject(
    name="LEFÈVRE^Éloïse^^Mme",
    patient_id="P-20451",
    issuer="CH-ROANNE",
    birth_date=date(1951, 11, 3),
    sex="F",
    ins=NationalIdentity(matricule="251114218700342", oid="1.2.250.1.213.1.4.10", birthplace="42187"),
)

NAMES: Final = {
    "accented": "D'AŸ-LÖWENBRÜCK^Zoé Maëlys^^Mme",
    "greek": "ΠΑΠΑΔΟΠΟΎΛΟΥ^Ελένη",
    "japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう",
}

EXAM: Final = ExamFacts(
    site_name="Centre hospitalier de Roanne",
    time_zone="Europe/Paris",
    finess="420780033",
    requester="Dr Hugo Périer",
    requester_service="Urgences",
    referring_physician="Dr Anne-Lise Garçon",
    referring_rpps="10009876543",
    studies=(
        ExaminedStudy(
            study_instance_uid=STUDY_UID,
            modality="CT",
            description="TDM crâne + ATSA",
            accession_number="A2603280417",
            study_id="417",
            body_part="HEAD",
            study_date=date(2026, 3, 28),
            study_time=time(23, 58, 12),
        ),
    ),
)


def signed(
    version: int = 1,
    kind: VersionKind = VersionKind.FINAL,
    content: ReportContent = STROKE,
    *,
    replaces: int | None = None,
    reason: str = "",
) -> SignedVersion:
    """Return a signed version; its signature has the right length, no more: documents do not check it."""
    return SignedVersion(
        version=ReportVersion(
            case_id=CaseId("case-0417"),
            version=version,
            kind=kind,
            content=content,
            author=AUTHOR,
            signed_at=SIGNED_AT + timedelta(minutes=37 * (version - 1)),
            patient_key="k-20451",
            replaces=replaces,
            reason=reason,
            previous_digest="" if version == 1 else f"{version - 1:064x}",
        ),
        digest=f"{version:064x}",
        signature=Signature(algorithm="ed25519", key_id="moreau-1", public_key=bytes(32), value=bytes(range(64))),
    )


def source(of: SignedVersion | None = None, *history: SignedVersion, name: str = SUBJECT.name) -> DocumentSource:
    """Return what a document is made of."""
    return DocumentSource(signed=of or signed(), history=history, subject=replace(SUBJECT, name=name), exam=EXAM)


def empty(title: str = STROKE.title, **texts: str) -> ReportContent:
    """Return content that says only what is given."""
    return ReportContent(language=Language.FRENCH, title=title, **texts)  # type: ignore[arg-type]  # chapters' names


def addendum() -> DocumentSource:
    """Return an addendum with the report that it adds to."""
    said = empty(results="Après relecture avec l'examen de 2024 : le micro-anévrisme de 2 mm est ancien.")
    added = signed(2, VersionKind.ADDENDUM, said, reason="Examen antérieur reçu après signature")
    return source(added, signed())


def replacement() -> DocumentSource:
    """Return a replacement with what it replaces."""
    changed = replace(STROKE, conclusion="Occlusion M1 droite. Le côté était inversé dans la première version.")
    return source(
        signed(2, VersionKind.REPLACEMENT, changed, replaces=1, reason="Côté inversé dans la conclusion"), signed()
    )


def retraction() -> DocumentSource:
    """Return a retraction with what it withdraws."""
    withdrawn = signed(2, VersionKind.RETRACTION, empty(), replaces=1, reason="Compte rendu d'un autre patient")
    return source(withdrawn, signed())


def preliminary() -> DocumentSource:
    """Return first findings."""
    return source(signed(1, VersionKind.PRELIMINARY, empty(conclusion="Occlusion M1 droite. Pas d'hémorragie.")))


def withdrawn() -> DocumentSource:
    """Return a report that a later version withdrew."""
    return replace(source(), is_retracted=True)


VARIANTS: Final = {
    "final": source,
    "preliminary": preliminary,
    "addendum": addendum,
    "replacement": replacement,
    "retraction": retraction,
    "withdrawn": withdrawn,
}
