"""The header of the report as CDA R2: what it is, whose, by whom, for which order and study, what it replaces.

For: IMG-CR-IMG 2024.01 of the CI-SIS. Not for: sections.

Invariants: all versions of a case share a set; an earlier version is named as replaced, since each document is whole;
what is not known says so by a null flavour and is never made up.
Source: domain reference 1.6; CI-SIS IMG-CR-IMG 2024.01 as ANS publishes it by examples and Schematron; PS3.20.
"""

from typing import Final

from lxml import etree

from oncall.language import Language
from oncall.report_documents.cda_elements import (
    CDA,
    DCM,
    FINESS,
    LOINC,
    PS3_20,
    RPPS,
    XSI,
    child,
    code,
    local_root,
    local_time_stamp,
    organisation,
    person,
    signer,
    templates,
    time_stamp,
)
from oncall.report_documents.identifiers import DocumentKind, document_uuid, set_uuid
from oncall.report_documents.outline import Outline
from oncall.report_documents.person_name import components, groups
from oncall.report_documents.source import DocumentSource, ExaminedStudy

_LANGUAGES: Final = {Language.FRENCH: "fr-FR", Language.ENGLISH: "en-US"}
_GENDERS: Final = {"M": ("M", "Masculin"), "F": ("F", "Féminin"), "O": ("UN", "Indifférencié")}
_CIVILITIES: Final = {"m": "M", "mr": "M", "mme": "MME", "mrs": "MME", "ms": "MME", "mlle": "MME"}
_MODALITIES: Final = {
    "CT": "Tomodensitométrie",
    "MR": "Imagerie par résonance magnétique",
    "US": "Échographie",
    "CR": "Radiographie numérique indirecte",
    "DX": "Radiographie numérique directe",
    "XA": "Angiographie",
    "NM": "Scintigraphie",
    "PT": "Tomographie par émission de positons",
}


def modality_name(modality: str) -> str:
    """Return what a modality is called, its code when it has no name here."""
    return _MODALITIES.get(modality, modality or "inconnue")


def header(source: DocumentSource, said: Outline) -> etree._Element:
    """Return a ClinicalDocument with everything but its body."""
    version = source.version
    root = etree.Element(f"{{{CDA}}}ClinicalDocument", nsmap={None: CDA, "xsi": XSI, "ps3-20": PS3_20})
    child(root, "realmCode", code="FR")
    child(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    # HL7 France, CI-SIS, PS3.20: imaging report, general header, imaging header.
    templates(root, "2.16.840.1.113883.2.8.2.1", "1.2.250.1.213.1.1.1.1")
    templates(root, "1.2.840.10008.9.1", "1.2.840.10008.9.20", "1.2.840.10008.9.21")
    child(root, "templateId", root="1.2.250.1.213.1.1.1.45", extension="2024.01")
    child(root, "id", root=str(document_uuid(source, DocumentKind.CDA)).upper())
    code(root, "code", "18748-4", LOINC, "LOINC", "CR d’imagerie médicale")
    child(root, "title", " - ".join(part for part in (said.mark, said.kind, said.title) if part))
    child(root, "effectiveTime", value=time_stamp(source, version.signed_at))
    child(root, "confidentialityCode", code="N", displayName="Normal", codeSystem="2.16.840.1.113883.5.25")
    child(root, "languageCode", code=_LANGUAGES[version.content.language])
    child(root, "setId", root=str(set_uuid(source, DocumentKind.CDA)).upper())
    child(root, "versionNumber", value=str(version.version))
    _patient(root, source)
    author = child(root, "author")
    child(author, "time", value=time_stamp(source, version.signed_at))
    signer(author, source, version, tag="assignedAuthor")
    custodian = child(child(root, "custodian"), "assignedCustodian")
    organisation(child(custodian, "representedCustodianOrganization"), source, source.exam.site_name)
    legal = child(root, "legalAuthenticator")
    child(legal, "time", value=time_stamp(source, version.signed_at))
    child(legal, "signatureCode", code="S")
    signer(legal, source, version, tag="assignedEntity")
    _referring_physician(root, source)
    for study in source.exam.studies:
        _order(root, study)
    for study in source.exam.studies:
        _documentation(root, source, study)
    _replaced(root, source)
    _encounter(root, source)
    return root


def _patient(root: etree._Element, source: DocumentSource) -> None:
    """Add the patient: national identity first where it is known, then the hospital's."""
    subject = source.subject
    role = child(child(root, "recordTarget"), "patientRole")
    ins = subject.ins if subject.ins is not None and subject.ins.birthplace else None
    if ins is not None:
        child(role, "id", extension=ins.matricule, root=ins.oid)
    issuer = subject.issuer_oid or local_root(subject.issuer or source.exam.site_name)
    child(role, "id", extension=subject.patient_id, root=issuer)
    child(role, "addr", nullFlavor="NAV")
    child(role, "telecom", nullFlavor="NAV")
    patient = child(role, "patient", classCode="PSN")
    alphabetic, *others = groups(subject.name)
    _patient_name(patient, alphabetic or next((group for group in others if group), ""))
    gender, display = _GENDERS.get(subject.sex, ("", ""))
    if gender:
        child(
            patient,
            "administrativeGenderCode",
            code=gender,
            displayName=display,
            codeSystem="2.16.840.1.113883.5.1",
        )
    else:
        child(patient, "administrativeGenderCode", nullFlavor="UNK")
    if subject.birth_date is not None:
        child(patient, "birthTime", value=f"{subject.birth_date:%Y%m%d}")
    else:
        child(patient, "birthTime", nullFlavor="UNK")
    if ins is not None:
        place = child(child(child(patient, "birthplace"), "place"), "addr")
        child(place, "county", ins.birthplace)


def _patient_name(patient: etree._Element, group: str) -> None:
    """Add a name; CI-SIS allows one, other scripts are in the text.

    The archive's family name is taken for that of birth, as French identity rules have it.
    """
    name = child(patient, "name")
    family, given, middle, prefix, suffix = components(group)
    civility = _CIVILITIES.get(prefix.rstrip(".").lower(), "")
    if civility:
        child(name, "prefix", civility)
    if family:
        child(name, "family", family, qualifier="BR")
    if given:
        child(name, "given", " ".join(part for part in (given, middle) if part))
        child(name, "given", given, qualifier="BR")
    if suffix:
        child(name, "suffix", suffix)


def _referring_physician(root: etree._Element, source: DocumentSource) -> None:
    """Add the physician who follows the patient, where the register's number is known."""
    exam = source.exam
    if not (exam.referring_physician and exam.referring_rpps):
        return
    participant = child(root, "participant", typeCode="INF")
    child(
        participant,
        "functionCode",
        code="PCP",
        displayName="Médecin Traitant",
        codeSystem="2.16.840.1.113883.5.88",
    )
    child(participant, "time", nullFlavor="NA")
    entity = child(participant, "associatedEntity", classCode="PROV")
    child(entity, "id", root=RPPS, extension=exam.referring_rpps)
    child(entity, "addr", nullFlavor="NAV")
    child(entity, "telecom", nullFlavor="NAV")
    person(entity, "associatedPerson", exam.referring_physician)


def _order(root: etree._Element, study: ExaminedStudy) -> None:
    """Add the order by its accession number (PS3.20 imaging header)."""
    if not study.accession_number:
        return
    order = child(child(root, "inFulfillmentOf"), "order")
    child(order, "id", nullFlavor="UNK")
    issuer = local_root(study.accession_issuer or "accession number")
    etree.SubElement(order, f"{{{PS3_20}}}accessionNumber", {"root": issuer, "extension": study.accession_number})


def _documentation(root: etree._Element, source: DocumentSource, study: ExaminedStudy) -> None:
    """Add what was done: the study, its modality, when, and who read it."""
    event = child(child(root, "documentationOf"), "serviceEvent", classCode="ACT")
    child(event, "id", root=study.study_instance_uid)
    procedure(event, study)
    started = child(child(event, "effectiveTime"), "low")
    if study.study_date is None:
        started.set("nullFlavor", "UNK")
    elif study.study_time is None:
        started.set("value", f"{study.study_date:%Y%m%d}")
    else:
        started.set("value", local_time_stamp(source, study.study_date, f"{study.study_time:%H%M%S}"))
    signer(child(event, "performer", typeCode="PRF"), source, source.version, tag="assignedEntity")


def procedure(parent: etree._Element, study: ExaminedStudy) -> etree._Element:
    """Add the procedure's code of LOINC where the exam has one, else its words; with the modality beside it."""
    coded = study.procedure_code
    if coded is not None and coded.scheme == "LN":
        made = code(parent, "code", coded.code, LOINC, "LOINC", coded.meaning)
    else:
        made = child(parent, "code", nullFlavor="OTH")
        child(made, "originalText", study.description or modality_name(study.modality))
    modality = code(made, "translation", study.modality or "OT", DCM, "DCM", modality_name(study.modality))
    code(child(modality, "qualifier"), "name", "121139", DCM, "DCM", "Modalité d'imagerie")
    return made


def _replaced(root: etree._Element, source: DocumentSource) -> None:
    """Name the document of the version before, which this one stands for."""
    former = [signed.version.version for signed in source.history if signed.version.version < source.version.version]
    if former:
        parent = child(child(root, "relatedDocument", typeCode="RPLC"), "parentDocument")
        child(parent, "id", root=str(document_uuid(source, DocumentKind.CDA, version=max(former))).upper())


def _encounter(root: etree._Element, source: DocumentSource) -> None:
    """Say that it was an emergency, and where."""
    exam = source.exam
    encounter = child(child(root, "componentOf"), "encompassingEncounter")
    child(encounter, "code", code="EMER", displayName="Urgence", codeSystem="2.16.840.1.113883.5.4")
    child(child(encounter, "effectiveTime"), "low", nullFlavor="UNK")
    facility = child(child(encounter, "location"), "healthCareFacility")
    if exam.finess:
        child(facility, "id", root=FINESS, extension=f"1{exam.finess}")
    else:
        child(facility, "id", root=local_root(exam.site_name))
    child(facility, "code", code="SA01", displayName="Etablissement public de santé", codeSystem="1.2.250.1.71.4.2.4")
    place = child(facility, "location")
    child(place, "name", exam.site_name)
    child(place, "addr", nullFlavor="NAV")
