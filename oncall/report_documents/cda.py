"""The report as CDA R2, IMG-CR-IMG 2024.01, with its PDF inside.

For: the French shared record and the hospitals' systems. Not for: its transport (HL7 v2, XDM), or coded measurements.

Invariants: sections, codes and templates are those of the volet: exactly one conclusion, at least one act with its
technique and object catalogue, at most one of any other; the addendum has its author; a notice stands before the
conclusion, in the title and in bold; no text of a person is ever read as markup.
Source: domain reference 1.6; CI-SIS IMG-CR-IMG 2024.01 (examples and Schematron published by ANS).
"""

import base64
import uuid
from typing import Final

from lxml import etree

from oncall.report.content import Chapter, KeyImage
from oncall.report.version import VersionKind
from oncall.report_documents.cda_elements import (
    DCM,
    LOINC,
    SNOMED,
    XSI,
    child,
    code,
    paragraphs,
    section,
    signer,
    table,
    templates,
    time_stamp,
)
from oncall.report_documents.cda_header import header, modality_name, procedure
from oncall.report_documents.identifiers import part_uuid
from oncall.report_documents.outline import Outline, Part, Row, outline
from oncall.report_documents.person_name import displayed
from oncall.report_documents.source import DocumentSource, ExaminedStudy
from oncall.report_documents.texts import text as words

_PAST: Final = (
    ("11348-0", "Antécédents médicaux"),
    ("47519-4", "Antécédents chirurgicaux"),
    ("64100-1", "Contre-indications"),
)


# Body Part Examined (PS3.16 annex L) in the volet's list of anatomical sites.
_ANATOMY: Final = {
    "HEAD": ("302548004", "tête entière"),
    "BRAIN": ("258335003", "encéphale entier"),
    "SKULL": ("731717004", "crâne entier"),
    "NECK": ("302550007", "cou entier"),
    "CHEST": ("302551006", "thorax entier"),
    "ABDOMEN": ("302553009", "abdomen entier"),
    "PELVIS": ("229765004", "pelvis entier"),
    "SPINE": ("44300000", "colonne vertébrale entière"),
    "CSPINE": ("361684008", "colonne vertébrale cervicale entière"),
    "TSPINE": ("243931006", "colonne thoracique entière"),
    "LSPINE": ("361686005", "colonne vertébrale lombaire entière"),
    "WHOLEBODY": ("38266002", "corps entier"),
}


def cda(source: DocumentSource, pdf: bytes | None = None) -> bytes:
    """Return the document as UTF-8 XML; with the PDF among its attached documents when it is given."""
    said = outline(source)
    root = header(source, said)
    body = child(child(root, "component"), "structuredBody")
    # An addendum is told from the report that it adds to; otherwise the one part is the report.
    added = [part for part in said.parts if part.version.kind is VersionKind.ADDENDUM]
    whole = next((part for part in said.parts if part.version.kind is not VersionKind.ADDENDUM), said.parts[0])
    if added:
        _addendum(body, source, added)
    _indication(body, source, whole)
    for number, study in enumerate(source.exam.studies):
        _act(body, source, whole, study, number)
    _results(body, source, whole)
    _conclusion(body, source, said, whole)
    if pdf is not None:
        _attached(body, source, said, pdf)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return written


def _addendum(body: etree._Element, source: DocumentSource, added: list[Part]) -> None:
    """Add what was added, newest first, by its signer (at most one section: several addenda share it)."""
    roots = ("1.2.840.10008.9.6", "1.2.250.1.213.1.1.2.210")
    made, text = section(body, roots, ("55107-7", LOINC, "Addendum"), "Addendum", part_uuid(source, "cda addendum"))
    for part in added:
        paragraphs(text, f"{part.heading}\n{part.byline}", is_bold=True)
        for one in part.sections:
            paragraphs(text, one.label, is_bold=True)
            paragraphs(text, one.text)
        table(text, (*part.answers, *part.doses))
    author = child(made, "author")
    child(author, "time", value=time_stamp(source, added[0].version.signed_at))
    signer(author, source, added[0].version, tag="assignedAuthor")


def _indication(body: etree._Element, source: DocumentSource, part: Part) -> None:
    """Add why the exam was asked for; the patient's history is a section that must be there and is not known here."""
    written = _chapter(part, Chapter.INDICATION)
    if not written:
        return
    language = source.version.content.language
    title = words("indication", language)
    roots = ("1.2.840.10008.9.2", "1.2.250.1.213.1.1.2.205")
    coded = ("55752-0", LOINC, "Informations cliniques")
    made, _text = section(body, roots, coded, title, part_uuid(source, "cda clinical"))
    roots = ("1.2.840.10008.9.7", "1.2.250.1.213.1.1.2.211")
    _made, text = section(made, roots, ("55115-0", LOINC, "Demande"), title, part_uuid(source, "cda request"))
    paragraphs(text, written)
    roots = ("2.16.840.1.113883.10.20.22.2.39", "1.2.250.1.213.1.1.2.213")
    coded = ("11329-0", LOINC, "Historique médical")
    past, text = section(made, roots, coded, "Historique médical", part_uuid(source, "cda history"))
    unknown = words("not_stated", language)
    for value, display in _PAST:
        row = child(child(text, "paragraph"), "content", f"{display} : {unknown}")
        row.set("ID", f"history-{value}")
        _unknown_observation(past, value, display, unknown, part_uuid(source, f"cda {value}"))


def _unknown_observation(parent: etree._Element, value: str, display: str, said: str, identifier: uuid.UUID) -> None:
    """Add an observation that must be there and whose value is not known; ``said`` says so."""
    made = child(child(parent, "entry"), "observation", classCode="OBS", moodCode="EVN")
    templates(made, "2.16.840.1.113883.10.20.6.2.13", "1.2.250.1.213.1.1.3.150")
    child(made, "id", root=str(identifier).upper())
    code(made, "code", value, LOINC, "LOINC", display)
    child(child(made, "text"), "reference", value=f"#history-{value}")
    child(made, "statusCode", code="completed")
    child(made, "effectiveTime", nullFlavor="UNK")
    # Of type text: a code of the volet's list would state something.
    child(made, "value", said).set(f"{{{XSI}}}type", "ST")
    child(made, "targetSiteCode", nullFlavor="NA")


def _act(body: etree._Element, source: DocumentSource, part: Part, study: ExaminedStudy, number: int) -> None:
    """Add one study: how it was made, its dose, its objects. The report's technique and dose stand in the first."""
    language = source.version.content.language
    roots = ("1.2.840.10008.9.3", "1.2.250.1.213.1.1.2.206")
    coded = ("55111-9", LOINC, "Description de l'acte d’imagerie")
    identifier = part_uuid(source, f"cda act {number}")
    made, text = section(body, roots, coded, words("technique", language), identifier)
    modality = modality_name(study.modality)
    labels = (
        ("Patient", _patient_name(source), "patient"),
        (words("exam", language), study.description or modality, "exam"),
        ("Modalité", modality, "modality"),
    )
    body_rows = child(child(text, "table", border="0"), "tbody")
    for label, value, name in labels:
        row = child(body_rows, "tr")
        child(row, "td", label)
        child(child(row, "td"), "content", value).set("ID", f"act-{number}-{name}")
    if number == 0:
        paragraphs(text, _chapter(part, Chapter.TECHNIQUE))
    technique = child(child(made, "entry"), "procedure", moodCode="EVN", classCode="PROC")
    templates(technique, "1.2.840.10008.9.14", "1.2.250.1.213.1.1.3.153")
    child(technique, "id", root=str(part_uuid(source, f"cda technique {number}")).upper())
    coded_act = procedure(technique, study)
    # Here a translation would be the act's CCAM code, which is not known; the modality is the method.
    for translation in coded_act.findall("{*}translation"):
        coded_act.remove(translation)
    child(child(technique, "text"), "reference", value=f"#act-{number}-exam")
    method = code(technique, "methodCode", study.modality or "OT", DCM, "DCM", modality)
    child(child(method, "originalText"), "reference", value=f"#act-{number}-modality")
    anatomy = _ANATOMY.get(study.body_part.upper())
    if anatomy is not None:
        site = code(technique, "targetSiteCode", anatomy[0], SNOMED, "SNOMED CT", anatomy[1])
        site.set(f"{{{XSI}}}type", "CD")
    else:
        child(technique, "targetSiteCode", nullFlavor="UNK")
    if part.doses and number == 0:
        _dose(made, source, part)
    _catalogue(made, source, part, study, number)


def _patient_name(source: DocumentSource) -> str:
    """Return the name in all its scripts: the header may have one only."""
    return displayed(source.subject.name)[0]


def _dose(act: etree._Element, source: DocumentSource, part: Part) -> None:
    """Add the dose; who authorised the exposure is not known here."""
    title = words("dose", source.version.content.language)
    roots = ("1.2.840.10008.9.8", "1.2.250.1.213.1.1.2.215")
    coded = ("73569-6", LOINC, "Exposition aux rayonnements et informations de radioprotection")
    made, text = section(act, roots, coded, title, part_uuid(source, "cda dose"))
    table(text, part.doses)
    exposure = child(child(made, "entry"), "procedure", classCode="PROC", moodCode="EVN")
    templates(exposure, "1.2.250.1.213.1.1.3.165")
    code(exposure, "code", "121290", DCM, "DCM", "Exposition du patient aux rayonnements ionisants")
    role = child(child(exposure, "participant", typeCode="RESP"), "participantRole")
    child(role, "id", nullFlavor="UNK")
    code(role, "code", "113850", DCM, "DCM", "Autorisation d’irradiation")
    child(child(role, "playingEntity"), "name", nullFlavor="UNK")
    # The volet wants pregnancy stated; nobody told us, and "unknown" is a value of its list.
    state = child(child(made, "entry"), "observation", classCode="OBS", moodCode="EVN")
    templates(state, "2.16.840.1.113883.10.20.6.2.13", "1.2.250.1.213.1.1.3.150")
    child(state, "id", root=str(part_uuid(source, "cda pregnancy")).upper())
    code(state, "code", "364320009", SNOMED, "SNOMED CT", "statut de grossesse")
    child(state, "statusCode", code="completed")
    child(state, "effectiveTime", nullFlavor="UNK")
    code(state, "value", "261665006", SNOMED, "SNOMED CT", "inconnu").set(f"{{{XSI}}}type", "CD")
    child(state, "targetSiteCode", nullFlavor="NA")


def _catalogue(act: etree._Element, source: DocumentSource, part: Part, study: ExaminedStudy, number: int) -> None:
    """Add the study's UID and its key images."""
    language = source.version.content.language
    roots = ("2.16.840.1.113883.10.20.6.1.1", "1.2.250.1.213.1.1.2.217")
    title = "Catalogue d’objets DICOM"
    identifier = part_uuid(source, f"cda objects {number}")
    _made, text = section(act, roots, ("121181", DCM, title), title, identifier)
    images = [image for image in part.key_images if image.study_instance_uid == study.study_instance_uid]
    rows = [Row(label="Study Instance UID", value=study.study_instance_uid)]
    rows += [Row(label=words("image", language), value=_image_line(image)) for image in images]
    table(text, rows)


def _image_line(image: KeyImage) -> str:
    """Return what an image shows and its UID."""
    return " - ".join(value for value in (image.note, image.sop_instance_uid) if value)


def _results(body: etree._Element, source: DocumentSource, part: Part) -> None:
    """Add the results with the answers of the form."""
    written = _chapter(part, Chapter.RESULTS)
    if not written and not part.answers:
        return
    roots = ("2.16.840.1.113883.10.20.6.1.2", "1.2.250.1.213.1.1.2.208")
    title = words("results", source.version.content.language)
    coded = ("59776-5", LOINC, "Résultats de l'acte")
    _made, text = section(body, roots, coded, title, part_uuid(source, "cda results"))
    paragraphs(text, written)
    table(text, part.answers)


def _conclusion(body: etree._Element, source: DocumentSource, said: Outline, part: Part) -> None:
    """Add the conclusion, which must be there, after what must be read first."""
    language = source.version.content.language
    roots = ("1.2.840.10008.9.5", "1.2.250.1.213.1.1.2.209")
    title = words("conclusion", language)
    _made, text = section(body, roots, ("19005-8", LOINC, "Conclusions"), title, part_uuid(source, "cda conclusion"))
    for notice in said.notices:
        paragraphs(text, f"{notice.title}\n{notice.text}", is_bold=True)
    paragraphs(text, _chapter(part, Chapter.CONCLUSION))
    if len(text) == 0:
        paragraphs(text, words("not_stated", language))


def _attached(body: etree._Element, source: DocumentSource, said: Outline, pdf: bytes) -> None:
    """Add the PDF."""
    coded = ("55107-7", LOINC, "Documents ajoutés")
    roots = ("1.2.250.1.213.1.1.2.37",)
    made, text = section(body, roots, coded, "PDF", part_uuid(source, "cda attached"))
    head = child(child(text, "paragraph"), "content", said.title)
    head.set("ID", "attached-title")
    child(child(text, "paragraph"), "renderMultiMedia", referencedObject="ATTACHED-1")
    organizer = child(child(made, "entry"), "organizer", classCode="CLUSTER", moodCode="EVN")
    templates(organizer, "1.2.250.1.213.1.1.3.18")
    child(organizer, "id", root=str(part_uuid(source, "cda organizer")).upper())
    code(organizer, "code", "55107-7", LOINC, "LOINC", "Document attaché")
    child(organizer, "statusCode", code="completed")
    kind = child(child(organizer, "component", typeCode="COMP"), "observation", classCode="OBS", moodCode="EVN")
    templates(kind, "1.3.6.1.4.1.19376.1.5.3.1.4.13", "1.2.250.1.213.1.1.3.48", "1.2.250.1.213.1.1.3.48.18")
    child(kind, "id", root=str(part_uuid(source, "cda attached kind")).upper())
    code(kind, "code", "69764-9", LOINC, "LOINC", "Type de document")
    child(child(kind, "text"), "reference", value="#attached-title")
    child(kind, "statusCode", code="completed")
    child(kind, "effectiveTime", nullFlavor="NA")
    value = child(kind, "value")
    value.set(f"{{{XSI}}}type", "CD")
    child(child(value, "originalText"), "reference", value="#attached-title")
    media = child(child(organizer, "component"), "observationMedia", classCode="OBS", moodCode="EVN", ID="ATTACHED-1")
    content = child(media, "value", mediaType="application/pdf", representation="B64")
    content.text = base64.b64encode(pdf).decode()


def _chapter(part: Part, chapter: Chapter) -> str:
    """Return the text of a chapter, empty when it says nothing."""
    return "\n".join(one.text for one in part.sections if one.chapter is chapter)
