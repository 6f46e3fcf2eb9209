"""Elements of a CDA R2 document and the parts of it that many sections share.

For: building XML from values; nothing here is text that could hold markup. Not for: the order of a document.
Source: HL7 CDA R2 (POCD_HD000040), CI-SIS "Structuration minimale"; registers by OID (domain reference 1.5).
"""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from lxml import etree

from oncall.report.version import ReportVersion
from oncall.report_documents.characters import readable
from oncall.report_documents.identifiers import as_uid
from oncall.report_documents.outline import Row
from oncall.report_documents.person_name import as_pn, components
from oncall.report_documents.source import DocumentSource

CDA: Final = "urn:hl7-org:v3"
PS3_20: Final = "urn:dicom-org:ps3-20"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

LOINC: Final = "2.16.840.1.113883.6.1"
SNOMED: Final = "2.16.840.1.113883.6.96"
DCM: Final = "1.2.840.10008.2.16.4"
RPPS: Final = "1.2.250.1.71.4.2.1"
FINESS: Final = "1.2.250.1.71.4.2.2"

_TITLES: Final = {"dr": "DR", "pr": "PR", "prof": "PR"}

_LOCAL_NAMESPACE: Final = uuid.UUID("0c6f0b5e-5b0c-5d6e-8a35-0f7b0f1c3e11")
"""Names the namespace of an issuer that has no OID."""


def child(parent: etree._Element, tag: str, text: str = "", **attributes: str) -> etree._Element:
    """Add an element of CDA and return it."""
    made = etree.SubElement(parent, f"{{{CDA}}}{tag}", attributes)
    if text:
        made.text = readable(text)
    return made


def code(parent: etree._Element, tag: str, value: str, system: str, name: str, display: str) -> etree._Element:
    """Add a coded value."""
    return child(parent, tag, code=value, displayName=display, codeSystem=system, codeSystemName=name)


def templates(parent: etree._Element, *roots: str) -> None:
    """Say which templates an element follows."""
    for root in roots:
        child(parent, "templateId", root=root)


def local_root(issuer: str) -> str:
    """Return the OID of an issuer that has none: the same name always gives the same OID."""
    return as_uid(uuid.uuid5(_LOCAL_NAMESPACE, issuer))


def time_stamp(source: DocumentSource, instant: datetime) -> str:
    """Return an instant with the hospital's offset (HL7 TS)."""
    return f"{instant.astimezone(ZoneInfo(source.exam.time_zone)):%Y%m%d%H%M%S%z}"


def local_time_stamp(source: DocumentSource, day: date, at: str) -> str:
    """Return a local date and time (HHMMSS) with the offset that the hospital's clocks had then."""
    local = datetime.strptime(f"{day:%Y%m%d}{at}", "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo(source.exam.time_zone))
    return f"{local:%Y%m%d%H%M%S%z}"


def person(parent: etree._Element, tag: str, plain_name: str) -> None:
    """Add a professional's name; here a civility is a prefix and a title a suffix, each of a closed list."""
    name = child(child(parent, tag), "name")
    family, given, _middle, prefix, _suffix = components(as_pn(plain_name))
    titles = [_TITLES.get(word.rstrip(".").lower(), "") for word in prefix.split()]
    for part, value in (("given", given), ("family", family), ("suffix", next((one for one in titles if one), ""))):
        if value:
            child(name, part, value)


def signer(parent: etree._Element, source: DocumentSource, version: ReportVersion, *, tag: str) -> None:
    """Add the radiologist who signed a version, with whom they read for."""
    author = version.author
    role = child(parent, tag)
    if author.rpps:
        child(role, "id", root=RPPS, extension=author.rpps)
    else:
        child(role, "id", root=local_root("telegarde"), extension=str(author.person_id))
    child(
        role,
        "code",
        code="G15_10/SM44",
        displayName="Médecin - Radio-diagnostic (SM)",
        codeSystem="1.2.250.1.213.1.1.4.5",
    )
    child(role, "addr", nullFlavor="NAV")
    child(role, "telecom", nullFlavor="NAV")
    person(role, "assignedPerson", author.name)
    represented = child(role, "representedOrganization")
    organisation(represented, source, author.organisation or source.exam.site_name)
    child(
        represented,
        "standardIndustryClassCode",
        code="ETABLISSEMENT",
        displayName="Etablissement de santé",
        codeSystem="1.2.250.1.213.1.1.4.9",
    )


def organisation(element: etree._Element, source: DocumentSource, name: str) -> None:
    """Fill an organisation: by its number in the register when it is the hospital's own."""
    exam = source.exam
    if exam.finess:
        child(element, "id", root=FINESS, extension=f"1{exam.finess}")
    else:
        child(element, "id", root=local_root(exam.site_name))
    child(element, "name", name)
    child(element, "telecom", nullFlavor="NAV")
    child(element, "addr", nullFlavor="NAV")


def section(
    parent: etree._Element,
    template_roots: Sequence[str],
    coded: tuple[str, str, str],
    title: str,
    identifier: uuid.UUID,
) -> tuple[etree._Element, etree._Element]:
    """Add a section and return it with its text; ``coded`` is code, system and display."""
    made = child(child(parent, "component"), "section")
    templates(made, *template_roots)
    child(made, "id", root=str(identifier).upper())
    value, system, display = coded
    code(made, "code", value, system, "LOINC" if system == LOINC else "DCM", display)
    child(made, "title", title)
    return made, child(made, "text")


def paragraphs(text: etree._Element, written: str, *, is_bold: bool = False) -> None:
    """Add each line of a text as a paragraph."""
    for line in readable(written).split("\n"):
        if line.strip():
            paragraph = child(text, "paragraph")
            if is_bold:
                child(paragraph, "content", line, styleCode="Bold")
            else:
                paragraph.text = line


def table(text: etree._Element, rows: Sequence[Row]) -> None:
    """Add labels and values."""
    if rows:
        body = child(child(text, "table", border="0"), "tbody")
        for row in rows:
            line = child(body, "tr")
            child(line, "td", row.label)
            child(line, "td", row.value)
