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
from oncall.report.mrrt_controls import EXTENSION, Controls, collapsed, control_document, object_of, words_of
from oncall.report.mrrt_metadata import (
    DECLARATION,
    META,
    codes_of,
    identifier_of,
    language_of,
    metadata_of,
    origin_of,
    version_of,
)
from oncall.report.template import VALUE, Template, escaped
from oncall.report.template_documents import FORMAT, templates_from_json
from oncall.strict_json import Value

FILE_BYTES_MAX: Final = 10 * 1024 * 1024
"""Of one file; published ones have up to 100 kB."""

_LEFT_OUT_MAX: Final = 100
_SHOWN_CHARACTERS_MAX: Final = 60
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
_SILENT: Final = frozenset({"datalist"})
_UNREAD: Final = frozenset(
    {
        "template_attributes",
        "coded_content",
        "script",
        "style",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "video",
        "audio",
        "canvas",
        "svg",
        "math",
        "base",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A template and, in English for whoever imports it, what of the file it does not have."""

    template: Template
    left_out: tuple[str, ...] = ()


class _LabelText(str):
    """The text of a label beside its control: part of a sentence, but no sentence of its own."""

    __slots__ = ()


class _Gap(_LabelText):
    """Where a box was left out: the words around it say nothing without it."""

    __slots__ = ()


@dataclass(kw_only=True, slots=True)
class _Section:
    chapter: Chapter
    level: int
    name: str
    heading: str = ""


_Part = str | dict[str, Any]


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    controls: Controls
    left_out: list[str] = field(default_factory=list)
    lines: dict[Chapter, list[Any]] = field(default_factory=lambda: {one: [] for one in Chapter})
    fields: list[dict[str, Any]] = field(default_factory=list)
    sections: list[_Section] = field(default_factory=list)
    block: list[_Part] = field(default_factory=list)

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
    if DECLARATION.search(content):
        raise Refused("the file declares entities or a document type of its own; remove the declarations")
    root = _parsed(content)
    metadata = metadata_of(root)
    codes, left_out = codes_of(root)
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
        "template_id": template_id or identifier_of(metadata, root),
        "version": version or version_of(metadata),
        "language": (language or language_of(metadata)).value,
        "title": metadata.get("dcterms.title") or collapsed(root.findtext("head/title") or "") or "?",
        "origin": (own.get("origin") if META in metadata else origin_of(metadata)) or None,
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
            reading.block.append(document or _Gap())


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
    if not fields:
        _sentence(parts, section, reading)
        return
    before = ""
    for number, one in enumerate(parts):
        if isinstance(one, str):
            before = "" if isinstance(one, _LabelText) else before + one
            continue
        _finish(one, section, words_of(before).strip(" :;,°"))
        parts[number + 1 : number + 2] = [_without_unit(following, one) for following in parts[number + 1 : number + 2]]
        before = ""
    labels = [one.pop("label_text") for one in fields]
    is_own = [one.pop("is_own") for one in fields]
    reading.fields.extend(fields)
    if not any(is_own):
        _phrase(parts, fields, labels, section, reading)


def _sentence(parts: Sequence[_Part], section: _Section, reading: _Reading) -> None:
    """Keep words without a question as a line of the frame; what only leads to something is none."""
    texts = [one for one in parts if isinstance(one, str)]
    words = words_of("".join(one for one in texts if not isinstance(one, _LabelText)))
    # The label of boxes stands on a line before them.
    if not words:
        return
    if any(isinstance(one, _Gap) for one in texts):
        reading.note(f"the words around a box: «{_shown(words)}»")
    elif words.endswith(":"):
        reading.note(f"heading «{_shown(words)}»")
    else:
        reading.lines[section.chapter].append(collapsed(escaped("".join(texts))))


def _phrase(
    parts: Sequence[_Part],
    fields: Sequence[dict[str, Any]],
    labels: Sequence[str],
    section: _Section,
    reading: _Reading,
) -> None:
    """Keep the sentence around the questions of a block."""
    sentence = collapsed("".join(escaped(one) if isinstance(one, str) else f"{{{one['field_id']}}}" for one in parts))
    own_text = words_of("".join(one for one in parts if isinstance(one, str)))
    only = fields[0]
    if any(one["kind"] == "yes_no" for one in fields) or any(isinstance(one, _Gap) for one in parts):
        around = words_of(" ".join(one for one in parts if isinstance(one, str) and not isinstance(one, _LabelText)))
        if around and around not in labels:
            reading.note(f"the words around a box: «{_shown(around)}»")
    elif len(fields) > 1:
        reading.lines[section.chapter].append(sentence)
    elif own_text not in ("", labels[0]):
        only["phrase"] = sentence.replace(f"{{{only['field_id']}}}", f"{{{VALUE}}}")
    elif not labels[0] and only["kind"] == "text":
        only["phrase"] = f"{{{VALUE}}}"


def _without_unit(following: _Part, one: dict[str, Any]) -> _Part:
    """Return what follows a measurement without its unit, that the answer is written with."""
    unit = one.get("unit", "")
    if not unit or not isinstance(following, str):
        return following
    text = following.lstrip(" \t\r\n\u00a0")
    return text[len(unit) :] if text.lower().startswith(unit.lower()) else following


def _finish(one: dict[str, Any], section: _Section, before: str) -> None:
    """Give a question its chapter, its group, and, when the file has no label for it, the words before it."""
    one["chapter"] = section.chapter.value
    heading = words_of(section.heading or section.name).rstrip(" :")
    if section.level > 1 and heading and "group" not in one:
        one["group"] = heading
    name = one.pop("name_text")
    is_chapter = one["kind"] == "text" and heading
    one["label"] = one["label"] or before or (heading if is_chapter else name) or heading or one["field_id"]


def _ordered(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fields in the order that they had before they were exported, when each says which."""
    numbers = [one.pop("number", None) for one in fields]
    if not all(isinstance(one, int) for one in numbers):
        return fields
    return [one for _, one in sorted(zip(numbers, fields, strict=True), key=lambda pair: pair[0])]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}..."
