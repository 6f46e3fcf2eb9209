"""The report for FHIR R4: a DiagnosticReport, and a document Bundle with everything it refers to and its signature.

For: portals, the second copy of the evidence, and whoever speaks FHIR. Not for: a server; these are values of JSON.

Invariants: a status is never more final than the version; a withdrawn report is ``entered-in-error``; every reference
of the Bundle is to an entry of it; identifiers are those of the other documents.
Source: FHIR R4 DiagnosticReport, Bundle (document), Composition, Provenance; French identifiers by OID (ANS).
"""

import base64
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from oncall.report.content import Chapter
from oncall.report.version import VersionKind
from oncall.report_documents.fhir_parties import author, imaging_studies, media, organisation, patient, site
from oncall.report_documents.fhir_values import (
    Resource,
    coding,
    entry,
    local_instant,
    readable_resource,
    reference,
    without_empty,
)
from oncall.report_documents.identifiers import DocumentKind, document_uuid, part_uuid, set_uuid
from oncall.report_documents.narrative import division, narrative, notices, part_blocks
from oncall.report_documents.outline import Outline, base_of, outline
from oncall.report_documents.source import DocumentSource

LOINC: Final = "http://loinc.org"
REPORT_CODE: Final = coding(LOINC, "18748-4", "Diagnostic imaging study")

_STATUS: Final = {
    VersionKind.PRELIMINARY: "preliminary",
    VersionKind.FINAL: "final",
    VersionKind.ADDENDUM: "appended",
    VersionKind.REPLACEMENT: "corrected",
    VersionKind.RETRACTION: "entered-in-error",
}
# A Composition knows fewer states (FHIR composition-status).
_COMPOSITION_STATUS: Final = {
    "preliminary": "preliminary",
    "final": "final",
    "appended": "amended",
    "corrected": "amended",
    "entered-in-error": "entered-in-error",
}


def diagnostic_report(source: DocumentSource, *, pdf: bytes | None = None) -> Resource:
    """Return the DiagnosticReport; with the PDF as its presented form when it is given."""
    version, exam = source.version, source.exam
    said = outline(source)
    report = without_empty(
        {
            "resourceType": "DiagnosticReport",
            "id": str(part_uuid(source, "report")),
            "language": version.content.language.value,
            "text": {"status": "generated", "div": narrative(said)},
            "identifier": [
                {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{set_uuid(source, DocumentKind.FHIR)}"},
                {"system": "urn:telegarde:report-version", "value": f"{version.case_id}/{version.version}"},
            ],
            "basedOn": [
                {"type": "ServiceRequest", "identifier": {"type": _ACCESSION, "value": study.accession_number}}
                for study in exam.studies
                if study.accession_number
            ],
            "status": status(source),
            "category": [coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")],
            "code": {**REPORT_CODE, "text": said.title},
            "subject": reference(source, "patient", said.patient_name),
            "effectiveDateTime": _examined_at(source),
            "issued": local_instant(source, version.signed_at),
            "performer": [reference(source, "organisation", version.author.organisation)]
            if version.author.organisation
            else [],
            "resultsInterpreter": [reference(source, "author", version.author.name)],
            "imagingStudy": [reference(source, f"study-{number}") for number in range(len(exam.studies))],
            "media": [
                {"comment": image.note, "link": reference(source, f"media-{number}")}
                for number, image in enumerate(version.content.key_images)
            ],
            "conclusion": _conclusion(said),
            "presentedForm": [_attachment(source, pdf, said.title)] if pdf is not None else [],
        }
    )
    made: Resource = readable_resource(report)
    return made


def bundle(source: DocumentSource, *, pdf: bytes | None = None) -> Resource:
    """Return a document Bundle: Composition first, then the report, who and what it is about, and the signature."""
    version = source.version
    entries = [
        entry(source, "composition", _composition(source, outline(source))),
        entry(source, "report", diagnostic_report(source, pdf=pdf)),
        entry(source, "patient", patient(source)),
        entry(source, "author", author(source)),
        entry(source, "site", site(source)),
        *([entry(source, "organisation", organisation(source))] if version.author.organisation else []),
        *(entry(source, f"study-{number}", one) for number, one in enumerate(imaging_studies(source))),
        *(entry(source, f"media-{number}", one) for number, one in enumerate(media(source))),
        entry(source, "provenance", _provenance(source)),
    ]
    document = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{document_uuid(source, DocumentKind.FHIR)}"},
        "type": "document",
        "timestamp": local_instant(source, version.signed_at),
        "entry": entries,
    }
    made: Resource = readable_resource(document)
    return made


def status(source: DocumentSource) -> str:
    """Return the status of the DiagnosticReport."""
    return "entered-in-error" if source.is_withdrawn else _STATUS[source.version.kind]


_ACCESSION: Final = coding("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN", "Accession ID")


def _composition(source: DocumentSource, said: Outline) -> Resource:
    """Return what makes a Bundle a document: titles, chapters, who answers for it, what it follows."""
    version = source.version
    signed_at = local_instant(source, version.signed_at)
    attester = {"mode": "legal", "time": signed_at, "party": reference(source, "author", version.author.name)}
    sections = [
        {"title": part.heading or said.title, "text": {"status": "generated", "div": division(*part_blocks(part))}}
        for part in said.parts
        if part_blocks(part)
    ]
    if said.notices:
        text = {"status": "generated", "div": division(*notices(said))}
        sections.insert(0, {"title": said.notices[0].title, "text": text})
    return without_empty(
        {
            "resourceType": "Composition",
            "id": str(part_uuid(source, "composition")),
            "language": version.content.language.value,
            "text": {"status": "generated", "div": narrative(said)},
            "identifier": {
                "system": "urn:ietf:rfc:3986",
                "value": f"urn:uuid:{set_uuid(source, DocumentKind.FHIR)}",
            },
            "status": _COMPOSITION_STATUS[status(source)],
            "type": REPORT_CODE,
            "subject": reference(source, "patient", said.patient_name),
            "date": signed_at,
            "author": [reference(source, "author", version.author.name)],
            "title": said.title or said.kind,
            "attester": [attester] if version.kind is not VersionKind.PRELIMINARY else [],
            "custodian": reference(source, "site", source.exam.site_name),
            "relatesTo": _relations(source),
            "section": [*sections, {"title": said.kind, "entry": [reference(source, "report")]}],
        }
    )


def _relations(source: DocumentSource) -> list[Resource]:
    """Return which earlier document this one replaces or adds to."""
    version = source.version
    former = {signed.version.version for signed in source.history}
    if version.kind is VersionKind.ADDENDUM:
        code, number = "appends", base_of(source)[0].version
    elif version.replaces in former:
        code, number = "replaces", version.replaces
    elif former:
        code, number = "replaces", max(former)
    else:
        return []
    uuid = document_uuid(source, DocumentKind.FHIR, version=number)
    return [{"code": code, "targetIdentifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid}"}}]


def _provenance(source: DocumentSource) -> Resource:
    """Return who made the report and the signature over the version's digest."""
    signed, version = source.signed, source.version
    who = reference(source, "author", version.author.name)
    agent = {"type": coding("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "author"), "who": who}
    if version.author.organisation:
        agent["onBehalfOf"] = reference(source, "organisation", version.author.organisation)
    digest = {"identifier": {"system": "urn:telegarde:report-version-sha256", "value": signed.digest}}
    return without_empty(
        {
            "resourceType": "Provenance",
            "id": str(part_uuid(source, "provenance")),
            "target": [reference(source, "report"), reference(source, "composition")],
            "recorded": local_instant(source, version.signed_at),
            "reason": [{"text": version.reason}] if version.reason else [],
            "agent": [agent],
            # What was signed is the version; this document is made of it.
            "entity": [{"role": "source", "what": {**digest, "display": f"{version.case_id}/{version.version}"}}],
            "signature": [
                {
                    "type": [
                        {
                            "system": "urn:iso-astm:E1762-95:2013",
                            "code": "1.2.840.10065.1.12.1.1",
                            "display": "Author's Signature",
                        }
                    ],
                    "when": local_instant(source, version.signed_at),
                    "who": who,
                    "targetFormat": "application/json",
                    "sigFormat": f"application/x-{signed.signature.algorithm}",
                    "data": base64.b64encode(signed.signature.value).decode(),
                }
            ],
        }
    )


def _conclusion(said: Outline) -> str:
    """Return the conclusion of the newest part, after what must be read first."""
    first = said.parts[0]
    texts = [one.text for one in first.sections if one.chapter is Chapter.CONCLUSION]
    return "\n".join([*(f"{one.title}\n{one.text}" for one in said.notices), *texts])


def _attachment(source: DocumentSource, pdf: bytes, title: str) -> Resource:
    """Return the PDF inside the report."""
    return {
        "contentType": "application/pdf",
        "language": source.version.content.language.value,
        "data": base64.b64encode(pdf).decode(),
        "title": title,
        "creation": local_instant(source, source.version.signed_at),
    }


def _examined_at(source: DocumentSource) -> str:
    """Return when the first study was made, as exactly as it is known."""
    study = source.exam.study
    if study.study_date is None:
        return ""
    if study.study_time is None:
        return study.study_date.isoformat()
    local = datetime.combine(study.study_date, study.study_time.replace(microsecond=0), ZoneInfo(source.exam.time_zone))
    return local.isoformat()
