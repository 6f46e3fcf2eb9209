"""Report templates as IHE RAD MRRT HTML5 files (RSNA radreport.org and others): the subset that is read.

For: `read_mrrt`, from a file's bytes to a template and a list of what was left out. Not for: writing such files
(`oncall.report.mrrt_export`); running, showing or fetching anything of them.

Read are: Dublin Core metadata (``dcterms.*``), ``template_attributes`` with ``coded_content`` in a ``text/xml`` script,
sections by ``data-section-name`` or their LOINC code, headings, labels, ``input`` (text, number, date, time, checkbox,
radio, list), ``select``, ``textarea``, and the sentences around them. Subsections are groups. What `mrrt_export` wrote
comes back as it was, by its ``data-telegarde`` attributes.

Invariants: nothing is fetched, no entity is expanded, no script is looked at; a file with a document type of its own is
refused; what is not understood is named in ``left_out``, never dropped in silence; what comes out has passed the strict
reader of `oncall.report.template_documents`.

Source: IHE Radiology Technical Framework Supplement MRRT, rev. 1.6, volume 3 section 8.1, and published examples.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree, html

from foundation.errors import Refused
from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import Chapter
from oncall.report.mrrt_controls import EXTENSION, Controls, collapsed, control_document, object_of
from oncall.report.template import TEMPLATE_ID, TEMPLATE_VERSION, VALUE, Template, escaped
from oncall.report.template_documents import FORMAT, templates_from_json
from oncall.strict_json import Value

FILE_BYTES_MAX: Final = 10 * 1024 * 1024
"""Of one file; published ones have up to 100 kB."""

META: Final = "telegarde.template"
"""Where `mrrt_export` keeps what MRRT has no word for, of the template as a whole: a JSON object."""

_LEFT_OUT_MAX: Final = 100
_SHOWN_CHARACTERS_MAX: Final = 60
# A document type with declarations, or an entity, has no place in HTML5: somebody tries something.
_DECLARATION: Final = re.compile(rb"<!(?:ENTITY|ELEMENT|ATTLIST|NOTATION)|<!DOCTYPE[^>]*\[", re.IGNORECASE)
# By LOINC and RadLex code, or by a word of the name.
_SECTIONS: Final[Sequence[tuple[Chapter, str]]] = (
    (Chapter.CONCLUSION, "19005-8 rid13170 impression conclusion synthèse synthese summary"),
    (Chapter.INDICATION, "55752-0 18785-6 rid13166 rid49442 clinical indication indications history renseignements"),
    (
        Chapter.TECHNIQUE,
        "55111-9 18834-2 rid1559 rid28483 procedure technique protocol protocole comparison comparaison examination",
    ),
    (
        Chapter.RESULTS,
        "59776-5 18782-3 rid28486 findings finding observations results résultats resultats résultat",
    ),
)
_BLOCKS: Final = frozenset(
    {"p", "div", "li", "ol", "ul", "tr", "table", "tbody", "thead", "br", "hr", "dl", "dt", "dd", "form", "fieldset"}
)
_HEADINGS: Final = frozenset({"header", "h1", "h2", "h3", "h4", "h5", "h6", "legend", "caption"})
_CONTROLS: Final = frozenset({"input", "select", "textarea"})
_SILENT: Final = frozenset({"datalist", "template_attributes", "coded_content"})
_UNREAD: Final = frozenset(
    {"script", "style", "link", "img", "iframe", "object", "embed", "video", "audio", "canvas", "svg", "math", "base"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A template and, in English for whoever imports it, what of the file it does not have."""

    template: Template
    left_out: tuple[str, ...] = ()


class _LabelText(str):
    """The text of a label beside its control: part of a sentence, but no sentence of its own."""

    __slots__ = ()


@dataclass(kw_only=True, slots=True)
class _Section:
    chapter: Chapter
    level: int
    name: str
    heading: str = ""


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    controls: Controls
    left_out: list[str] = field(default_factory=list)
    lines: dict[Chapter, list[Any]] = field(default_factory=lambda: {one: [] for one in Chapter})
    fields: list[dict[str, Any]] = field(default_factory=list)
    sections: list[_Section] = field(default_factory=list)
    block: list[str | dict[str, Any]] = field(default_factory=list)

    def note(self, what: str) -> None:
        if what not in self.left_out:
            self.left_out.append(what)


def read_mrrt(
    content: bytes,
    *,
    template_id: str = "",
    version: str = "",
    language: Language | None = None,
    exams: Iterable[ExamKind] = (),
    modalities: Iterable[str] = (),
) -> Imported:
    """Read a template.

    Parameters
    ----------
    content : bytes
        The file, in UTF-8 or as it declares itself.
    template_id, version, language : optional
        Instead of the file's own; the version is else its date, the identifier else made of its own.
    exams, modalities : iterable
        What it is for, which these files do not say in a way to rely on.

    Raises
    ------
    Refused
        If it is too large, no such file, in another language, or has a document type with declarations.
    oncall.strict_json.DocumentInvalid
        If what it asks cannot be a template here; every problem with its place.
    """
    if len(content) > FILE_BYTES_MAX:
        raise Refused(f"a template file has at most {FILE_BYTES_MAX} bytes")
    if b"\x00" in content:
        # UTF-16, in which nothing of what follows would be found, or no text at all.
        raise Refused("the file is no text in UTF-8; convert it")
    if _DECLARATION.search(content):
        raise Refused("the file declares entities or a document type of its own; remove the declarations")
    root = _parsed(content)
    metadata = _metadata(root)
    codes, left_out = _codes(root)
    reading = _Reading(controls=Controls(root, codes), left_out=left_out)
    body = root.find("body")
    for element in root.iterfind("head/*"):
        if element.tag in _UNREAD and element.get("type") != "text/xml":
            reading.note(f"<{element.tag}>")
    if body is not None:
        _walk(body, reading)
    own = object_of(metadata[META], "the template", reading.note) if META in metadata else {}
    document: dict[str, Any] = {
        "format": FORMAT,
        "template_id": template_id or _identifier(metadata, root),
        "version": version or _version(metadata),
        "language": (language or _language(metadata)).value,
        "title": metadata.get("dcterms.title") or collapsed(root.findtext("head/title") or "") or "?",
        "origin": (own.get("origin") if META in metadata else _origin(metadata)) or None,
        "exams": [one.value for one in exams] or own.get("exams", []),
        "modalities": list(modalities) or own.get("modalities", []),
        "chapters": {chapter.value: lines for chapter, lines in reading.lines.items() if lines},
        "fields": _ordered(reading.fields),
        **{key: own[key] for key in ("is_dose_wanted", "notices") if key in own},
    }
    (template,) = templates_from_json(Value(place="document", raw=document))
    if META not in metadata and not (_is_template(root, metadata) and (template.fields or template.lines)):
        raise Refused("no section, question or sentence was found in the file; is it an MRRT template?")
    more = len(reading.left_out) - _LEFT_OUT_MAX
    shown = reading.left_out[:_LEFT_OUT_MAX] + ([f"... and {more} more"] if more > 0 else [])
    return Imported(template=template, left_out=tuple(shown))


def _parsed(content: bytes) -> html.HtmlElement:
    encoding = "utf-8" if _is_utf8(content) else None
    parser = html.HTMLParser(encoding=encoding, no_network=True, huge_tree=False, remove_pis=True)
    try:
        root = html.document_fromstring(content, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        raise Refused("the file cannot be read as HTML") from None
    if any(error.level_name == "FATAL" for error in parser.error_log):
        # What a parser gives up on is cut off: half a form would look like a whole one.
        raise Refused("the file is nested too deeply, or too large in one place, to be read as a whole")
    return root


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_template(root: html.HtmlElement, metadata: Mapping[str, str]) -> bool:
    return any(name.startswith("dcterms.") for name in metadata) or next(root.iter("section"), None) is not None


def _metadata(root: html.HtmlElement) -> dict[str, str]:
    """Return the metadata by name; of several under one name, the first."""
    found: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = meta.get("name")
        if name:
            found.setdefault(name if name == META else name.lower(), meta.get("content", ""))
    return found


def _codes(root: html.HtmlElement) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the code of each identifier that ``coded_content`` has one for, and what was left out of it."""
    found: dict[str, dict[str, str]] = {}
    left_out: list[str] = []
    for script in root.iter("script"):
        if script.get("type", "").strip().lower() != "text/xml":
            continue
        text = (script.text_content() or "").strip().removeprefix("<!--").removesuffix("-->").strip()
        # Once more: what was not UTF-8 is only now in characters that can be looked at.
        if _DECLARATION.search(text.encode()) or "<!DOCTYPE" in text.upper():
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
            codes = [code for code in entry.iter("code") if code.get("value")]
            if not name or not codes:
                continue
            found[name] = _code(codes[0])
            if len(codes) > 1:
                left_out.append(f"codes of {_shown(name)} after the first")
    return found, left_out


_SCHEMES: Final[Mapping[str, str]] = {
    "LOINC": "LN",
    "SNOMEDCT": "SCT",
    "SNOMED": "SCT",
    "SNOMED-CT": "SCT",
    "UCUM": "UCUM",
}


def _code(element: Any) -> dict[str, str]:
    """Return a code as DICOM writes it: RadLex identifiers without their address, schemes by their designator."""
    scheme = element.get("scheme", "").strip().upper() or "99MRRT"
    value = element.get("value", "").strip().rsplit("/", 1)[-1]
    meaning = collapsed(element.get("meaning", "")) or value
    return {"code": value[:64], "scheme": _SCHEMES.get(scheme, scheme)[:16], "meaning": meaning[:64]}


def _walk(body: html.HtmlElement, reading: _Reading) -> None:
    walker = etree.iterwalk(body, events=("start", "end"))
    for event, element in walker:
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            _enter(element, tag, reading)
            is_label = reading.controls.is_beside(element)
            if is_label:
                reading.block.append(_LabelText(element.text_content()))
            if not tag or is_label or tag in _UNREAD | _SILENT | _HEADINGS | _CONTROLS:
                walker.skip_subtree()
            elif element.text and not reading.controls.is_around_box(element):
                reading.block.append(element.text)
        else:
            if tag == "section":
                _flush(reading)
                reading.sections.pop()
            elif tag in _BLOCKS | _HEADINGS:
                _flush(reading)
            is_label = element in reading.controls.with_own_tail or reading.controls.is_around_box(element.getparent())
            if element.tail and element is not body and not is_label:
                reading.block.append(element.tail)
    _flush(reading)


def _enter(element: html.HtmlElement, tag: str, reading: _Reading) -> None:
    if any(name.startswith("on") for name in element.attrib):
        reading.note(f"what <{tag}> does by script")
    if tag in _UNREAD:
        reading.note(f"<{tag}>")
    elif tag == "section":
        _flush(reading)
        reading.sections.append(_section(element, reading))
    elif tag in _HEADINGS:
        _flush(reading)
        text = collapsed(element.text_content())
        if reading.sections and not reading.sections[-1].heading:
            reading.sections[-1].heading = text
        elif text:
            reading.note(f"heading «{_shown(text)}»")
    elif tag in ("td", "th"):
        reading.block.append(" ")
    elif tag in _BLOCKS:
        _flush(reading)
        if EXTENSION in element.attrib and tag == "p":
            _line(element, reading)
    elif tag in _CONTROLS:
        document = control_document(element, reading.controls, reading.note)
        if document is not None:
            reading.block.append(document)


def _section(element: html.HtmlElement, reading: _Reading) -> _Section:
    name = collapsed(element.get("data-section-name", "")) or collapsed(element.get("id", ""))
    code = reading.controls.codes.get(element.get("id", ""), {}).get("code", "").lower()
    level = len(reading.sections) + 1
    if reading.sections:
        return _Section(chapter=reading.sections[-1].chapter, level=level, name=name)
    words = {code, *re.split(r"[^\w-]+", name.lower())}
    for chapter, known in _SECTIONS:
        if words & set(known.split()):
            return _Section(chapter=chapter, level=level, name=name)
    reading.note(f"section «{_shown(name)}» is none of the four chapters: it stands in the results")
    return _Section(chapter=Chapter.RESULTS, level=2, name=name)


def _line(element: html.HtmlElement, reading: _Reading) -> None:
    """Take a line of a frame as it was exported, with its conditions."""
    line = object_of(element.get(EXTENSION), "a line", reading.note)
    if "text" in line and reading.sections:
        reading.lines[reading.sections[-1].chapter].append(line if line.get("shown_when") else line["text"])
        element.clear(keep_tail=True)


def _flush(reading: _Reading) -> None:
    """Make what stands between two breaks a line of the frame, a question, or a sentence with several."""
    parts, reading.block = reading.block, []
    section = reading.sections[-1] if reading.sections else _Section(chapter=Chapter.RESULTS, level=1, name="")
    fields = [one for one in parts if isinstance(one, dict)]
    for one in fields:
        _finish(one, section)
    sentence = collapsed("".join(escaped(one) if isinstance(one, str) else f"{{{one['field_id']}}}" for one in parts))
    labels = [one.pop("label_text") for one in fields]
    if not fields:
        # The label of boxes stands on a line before them.
        if sentence and not all(isinstance(one, _LabelText) or not collapsed(str(one)) for one in parts):
            reading.lines[section.chapter].append(sentence)
        return
    reading.fields.extend(fields)
    if any(one.pop("is_own") for one in fields):
        return
    only = fields[0]
    own_text = collapsed("".join(one for one in parts if isinstance(one, str)))
    if len(fields) == 1 and own_text in ("", labels[0], only.get("unit"), f"{labels[0]} {only.get('unit')}".strip()):
        if not labels[0] and only["kind"] == "text":
            only["phrase"] = f"{{{VALUE}}}"
    elif any(one["kind"] == "yes_no" for one in fields):
        reading.note(f"the words around a box: «{_shown(own_text)}»")
    elif len(fields) == 1:
        only["phrase"] = sentence.replace(f"{{{only['field_id']}}}", f"{{{VALUE}}}")
    else:
        reading.lines[section.chapter].append(sentence)


def _finish(one: dict[str, Any], section: _Section) -> None:
    """Give a question its chapter, its group, and a label when the file has none for it."""
    one["chapter"] = section.chapter.value
    heading = section.heading or section.name
    if section.level > 1 and heading and "group" not in one:
        one["group"] = heading.rstrip(" :")
    one["label"] = one["label"] or heading.rstrip(" :") or one["field_id"]


def _ordered(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fields in the order that they had before they were exported, when each says which."""
    numbers = [one.pop("number", None) for one in fields]
    if not all(isinstance(one, int) for one in numbers):
        return fields
    return [one for _, one in sorted(zip(numbers, fields, strict=True), key=lambda pair: pair[0])]


def _identifier(metadata: Mapping[str, str], root: html.HtmlElement) -> str:
    own = metadata.get("dcterms.identifier") or metadata.get("dcterms.title") or root.findtext("head/title") or ""
    short = re.sub(r"[^a-z0-9]+", "-", own.lower().removeprefix("http://www.radreport.org/")).strip("-")
    return own if TEMPLATE_ID.fullmatch(own) else short[-36:].strip("-") or "imported"


def _version(metadata: Mapping[str, str]) -> str:
    own = (metadata.get("dcterms.hasversion") or metadata.get("dcterms.date") or "").strip()
    return own if TEMPLATE_VERSION.fullmatch(own) else re.sub(r"[^0-9A-Za-z.]+", "-", own).strip("-.")[:24] or "1"


def _language(metadata: Mapping[str, str]) -> Language:
    own = metadata.get("dcterms.language", "").strip().lower()[:2]
    if own not in {one.value for one in Language}:
        raise Refused(f"the file's language is {own or 'not said'}; French and English are read: say which it is")
    return Language(own)


def _origin(metadata: Mapping[str, str]) -> str:
    keys = ("identifier", "creator", "publisher", "rights", "license")
    return "; ".join(text for key in keys if (text := collapsed(metadata.get(f"dcterms.{key}", ""))))[:2_000]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}..."
