"""What an MRRT file says of itself: its metadata, and the codes of what it asks.

For: names, versions, languages and origins from ``dcterms``, codes by identifier from ``coded_content``. Not for: its
form (`oncall.report.mrrt`).

Invariants: the XML within the HTML is parsed without entities, document type, or network; one that declares any is
refused; of several codes for one thing the first is taken, and that is noted.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from lxml import etree, html

from foundation.errors import Refused
from oncall.language import Language
from oncall.report.mrrt_controls import collapsed
from oncall.report.template import TEMPLATE_ID, TEMPLATE_VERSION

META: Final = "telegarde.template"
"""Where `mrrt_export` keeps what MRRT has no word for, of the template as a whole: a JSON object."""

# A document type with declarations, or an entity, has no place in HTML5: somebody tries something.
DECLARATION: Final = re.compile(rb"<!(?:ENTITY|ELEMENT|ATTLIST|NOTATION)|<!DOCTYPE[^>]*\[", re.IGNORECASE)
"""What would make a parser expand or fetch something."""

_SCHEMES: Final[Mapping[str, str]] = {"LOINC": "LN", "SNOMEDCT": "SCT", "SNOMED": "SCT", "SNOMED-CT": "SCT"}
_SHOWN_CHARACTERS_MAX: Final = 60
# Longest code, scheme and meaning of a template's document.
_CODE_MAX: Final = 64
_SCHEME_MAX: Final = 16


def metadata_of(root: html.HtmlElement) -> dict[str, str]:
    """Return the metadata by name; of several under one name, the first."""
    found: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = meta.get("name")
        if name:
            found.setdefault(name if name == META else name.lower(), meta.get("content", ""))
    return found


def codes_of(root: html.HtmlElement) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the code of each identifier that ``coded_content`` has one for, and what was left out of it.

    Raises
    ------
    Refused
        If the XML declares entities or a document type.
    """
    found: dict[str, dict[str, str]] = {}
    left_out: list[str] = []
    for script in root.iter("script"):
        if script.get("type", "").strip().lower() != "text/xml":
            continue
        text = (script.text_content() or "").strip().removeprefix("<!--").removesuffix("-->").strip()
        # Once more: what was not UTF-8 is only now in characters that can be looked at.
        if DECLARATION.search(text.encode()) or "<!DOCTYPE" in text.upper():
            raise Refused("the coded content declares entities or a document type; remove the declarations")
        # Recovering, because files in circulation leave <code> open; the parser has nothing to expand or fetch.
        parser = etree.XMLParser(
            recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
        )
        tree = etree.fromstring(text.encode(), parser) if text else None
        if tree is None:
            left_out.append("template_attributes: cannot be read as XML")
            continue
        for entry in tree.iter("entry"):
            name = entry.get("origtxt") or entry.get("ORIGTXT") or ""
            codes = [code for code in entry.iter("code") if _value(code)]
            if not name or not codes:
                continue
            found[name] = _code(codes[0])
            if len(codes) > 1:
                left_out.append(f"codes of {name[:_SHOWN_CHARACTERS_MAX]} after the first")
    return found, left_out


def identifier_of(metadata: Mapping[str, str], root: html.HtmlElement) -> str:
    """Return a template identifier: the file's own if it can be one, else one made of it."""
    own = metadata.get("dcterms.identifier") or metadata.get("dcterms.title") or root.findtext("head/title") or ""
    short = re.sub(r"[^a-z0-9]+", "-", own.lower().removeprefix("http://www.radreport.org/")).strip("-")
    return own if TEMPLATE_ID.fullmatch(own) else short[-36:].strip("-") or "imported"


def version_of(metadata: Mapping[str, str]) -> str:
    """Return the version that the file names, else its date."""
    own = (metadata.get("dcterms.hasversion") or metadata.get("dcterms.date") or "").strip()
    return own if TEMPLATE_VERSION.fullmatch(own) else re.sub(r"[^0-9A-Za-z.]+", "-", own).strip("-.")[:24] or "1"


def language_of(metadata: Mapping[str, str]) -> Language:
    """Return the file's language.

    Raises
    ------
    Refused
        If it is neither French nor English, or not said.
    """
    own = metadata.get("dcterms.language", "").strip().lower()[:2]
    if own not in {one.value for one in Language}:
        raise Refused(f"the file's language is {own or 'not said'}; French and English are read: say which it is")
    return Language(own)


def origin_of(metadata: Mapping[str, str]) -> str:
    """Return who made the file and under which licence, as it says."""
    keys = ("identifier", "creator", "publisher", "rights", "license")
    return "; ".join(text for key in keys if (text := collapsed(metadata.get(f"dcterms.{key}", ""))))[:2_000]


def _code(element: Any) -> dict[str, str]:
    """Return a code as DICOM writes it: RadLex identifiers without their address, schemes by their designator."""
    scheme = element.get("scheme", "").strip().upper() or "99MRRT"
    value = _value(element)
    meaning = collapsed(element.get("meaning", "")) or value
    return {
        "code": value[:_CODE_MAX],
        "scheme": _SCHEMES.get(scheme, scheme)[:_SCHEME_MAX],
        "meaning": meaning[:_CODE_MAX],
    }


def _value(element: Any) -> str:
    return str(element.get("value", "")).strip().rsplit("/", 1)[-1].strip()
