"""Who and what a report is about, as FHIR resources: patient, signer, organisations, studies, key images.

Source: FHIR R4 Patient, Practitioner, Organization, ImagingStudy, Media; French registers by OID (reference 1.5).
"""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from oncall.report_documents.fhir_values import Resource, coding, oid_identifier, reference, without_empty
from oncall.report_documents.identifiers import part_uuid
from oncall.report_documents.person_name import as_pn, components, displayed, groups
from oncall.report_documents.source import DocumentSource, ExaminedStudy

RPPS_OID: Final = "1.2.250.1.71.4.2.1"
FINESS_OID: Final = "1.2.250.1.71.4.2.2"

_DICOM_UID: Final = "urn:dicom:uid"
_MODALITIES: Final = "http://dicom.nema.org/resources/ontology/DCM"
_GENDERS: Final = {"M": "male", "F": "female", "O": "other"}
# The groups of a PN: alphabetic, ideographic, phonetic (ISO 21090 EN representation).
_SCRIPTS: Final = ("ABC", "IDE", "SYL")
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


def patient(source: DocumentSource) -> Resource:
    """Return the Patient with a name for each script."""
    subject = source.subject
    local = {"value": subject.patient_id}
    if subject.issuer_oid:
        local = oid_identifier(subject.issuer_oid, subject.patient_id)
    if subject.issuer:
        local = {**local, "assigner": {"display": subject.issuer}}  # type: ignore[dict-item]  # JSON of two shapes
    national = [oid_identifier(subject.ins.oid, subject.ins.matricule)] if subject.ins is not None else []
    names = [_human_name(group, script) for group, script in zip(groups(subject.name), _SCRIPTS, strict=True) if group]
    return without_empty(
        {
            "resourceType": "Patient",
            "id": str(part_uuid(source, "patient")),
            "identifier": [*national, local],
            "name": names,
            "gender": _GENDERS.get(subject.sex, "unknown"),
            "birthDate": subject.birth_date.isoformat() if subject.birth_date else "",
        }
    )


def author(source: DocumentSource) -> Resource:
    """Return the signer as Practitioner."""
    person = source.version.author
    family, given, _middle, prefix, _suffix = components(as_pn(person.name))
    name = without_empty({"text": person.name, "family": family, "given": _words(given), "prefix": _words(prefix)})
    return without_empty(
        {
            "resourceType": "Practitioner",
            "id": str(part_uuid(source, "author")),
            "identifier": [oid_identifier(RPPS_OID, person.rpps)] if person.rpps else [],
            "name": [name],
        }
    )


def site(source: DocumentSource) -> Resource:
    """Return the hospital as Organization."""
    exam = source.exam
    return without_empty(
        {
            "resourceType": "Organization",
            "id": str(part_uuid(source, "site")),
            "identifier": [oid_identifier(FINESS_OID, exam.finess)] if exam.finess else [],
            "name": exam.site_name,
        }
    )


def organisation(source: DocumentSource) -> Resource:
    """Return whom the signer reads for as Organization."""
    return {
        "resourceType": "Organization",
        "id": str(part_uuid(source, "organisation")),
        "name": source.version.author.organisation,
    }


def imaging_studies(source: DocumentSource) -> list[Resource]:
    """Return the studies that the report is about."""
    return [_imaging_study(source, number, study) for number, study in enumerate(source.exam.studies)]


def media(source: DocumentSource) -> list[Resource]:
    """Return the key images by their UIDs."""
    return [
        without_empty(
            {
                "resourceType": "Media",
                "id": str(part_uuid(source, f"media-{number}")),
                "identifier": [{"system": _DICOM_UID, "value": f"urn:oid:{image.sop_instance_uid}"}],
                "status": "completed",
                "type": coding("http://terminology.hl7.org/CodeSystem/media-type", "image", "Image"),
                "subject": reference(source, "patient"),
                "content": without_empty(
                    {
                        "contentType": "application/dicom",
                        "url": f"urn:oid:{image.sop_instance_uid}",
                        "title": image.note,
                    }
                ),
            }
        )
        for number, image in enumerate(source.version.content.key_images)
    ]


def _imaging_study(source: DocumentSource, number: int, study: ExaminedStudy) -> Resource:
    """Return one study by its UID and accession number."""
    accession = coding("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN", "Accession ID")
    identifiers: list[Resource] = [{"system": _DICOM_UID, "value": f"urn:oid:{study.study_instance_uid}"}]
    if study.accession_number:
        identifiers.append({"type": accession, "value": study.accession_number})
    started = ""
    if study.study_date is not None and study.study_time is not None:
        zone = ZoneInfo(source.exam.time_zone)
        started = datetime.combine(study.study_date, study.study_time.replace(microsecond=0), zone).isoformat()
    elif study.study_date is not None:
        started = study.study_date.isoformat()
    return without_empty(
        {
            "resourceType": "ImagingStudy",
            "id": str(part_uuid(source, f"study-{number}")),
            "identifier": identifiers,
            "status": "available",
            "modality": [{"system": _MODALITIES, "code": study.modality}] if study.modality else [],
            "subject": reference(source, "patient"),
            "started": started,
            "description": study.description,
        }
    )


def _human_name(group: str, script: str) -> Resource:
    """Return one group of a PN as a HumanName."""
    family, given, middle, prefix, suffix = components(group)
    return without_empty(
        {
            "extension": [{"url": _REPRESENTATION, "valueCode": script}],
            "use": "official",
            "text": displayed(group)[0],
            "family": family,
            "given": _words(given) + _words(middle),
            "prefix": _words(prefix),
            "suffix": _words(suffix),
        }
    )


def _words(text: str) -> list[str]:
    """Return a component as a list, empty when there is none."""
    return [text] if text else []
