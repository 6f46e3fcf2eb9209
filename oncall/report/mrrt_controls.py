"""The controls of an MRRT form as fields of a template document: inputs, selection lists, text areas, boxes.

For: `control_document`, one control, or one group of boxes, to one field's JSON object. Not for: where it stands and
the sentence around it (`oncall.report.mrrt`).

Invariants: identifiers are made so that they are the template's kind of identifiers and each is there once; a value
that cannot be read is noted, never guessed. Selected values are defaults: offered, not answered.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from lxml import html

from oncall.report.template import FIELD_ID, VALUE

EXTENSION: Final = "data-telegarde"
"""The attribute in which `oncall.report.mrrt_export` keeps what MRRT has no word for: a JSON object."""

_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_ID_CHARACTERS_MAX: Final = 40
_CHOICE_CHARACTERS_MAX: Final = 64
_NO_QUESTIONS: Final = frozenset({"hidden", "submit", "button", "reset", "image", "file", "password"})
_KINDS: Final[Mapping[str, str]] = {
    "number": "number", "range": "number", "numeric": "number", "integer": "number", "real": "number",
    "date": "date", "time": "time", "datetime-local": "date_time", "datetime": "date_time",
}  # fmt: skip
# What the extension may say of a field: keys of a template document, and which field it was.
_OWN_KEYS: Final = frozenset(
    {"field_id", "label", "kind", "group", "phrase", "phrase_no", "shown_when", "default", "concept", "unit", "number"}
)
_OWN_CHOICE_KEYS: Final = frozenset({"choice_id", "label", "phrase", "is_exclusive", "code"})

Note = Callable[[str], None]


def collapsed(text: str) -> str:
    """Return a text as HTML shows it: white space is one space, none at the ends."""
    return _SPACES.sub(" ", text).strip(" ")


def object_of(text: str | None, what: str, note: Note) -> dict[str, Any]:
    """Return the JSON object of an extension; an empty one, noted, when it is none."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        note(f"{EXTENSION} of {what}: no JSON object")
        return {}
    return found


def words_of(text: str) -> str:
    """Return a text as it is read, without the spaces that only move things: a no-break space alone is no word."""
    return collapsed(text.replace("\u00a0", " "))


def _is_free_label(element: html.HtmlElement | None) -> bool:
    """Say whether an element is a label that says of no control that it is its own."""
    if element is None or element.tag != "label" or element.get("for"):
        return False
    return next(element.iter("input", "select", "textarea"), None) is None


class Controls:
    """What has to be known of a whole file to read one control: labels, groups of boxes, lists, codes."""

    def __init__(self, root: html.HtmlElement, codes: Mapping[str, dict[str, str]]) -> None:
        self.codes = codes
        self.with_own_tail: set[html.HtmlElement] = set()
        self.lists = {one.get("id", ""): one for one in root.iter("datalist")}
        self._labels: dict[str, str] = {}
        self._groups: defaultdict[tuple[str, str], list[html.HtmlElement]] = defaultdict(list)
        self._done: set[tuple[str, str]] = set()
        self._ids: set[str] = {VALUE}
        self._box_labels: dict[html.HtmlElement, str] = {}
        self._taken: set[html.HtmlElement] = set()
        # Boxes are kept: an element of lxml is the same object only as long as somebody holds it.
        for label in root.iter("label"):
            self._labels.setdefault(label.get("for", ""), label.text_content())
        self._labelled = {
            name
            for one in root.iter("input", "select", "textarea")
            for name in (one.get("id"), one.get("name"))
            if name
        }
        for box in root.iter("input"):
            if self._group_key(box)[1]:
                self._groups[self._group_key(box)].append(box)
            if box.get("type", "").strip().lower() in ("checkbox", "radio"):
                self._box_labels[box] = self._box_label(box)

    def is_beside(self, element: html.HtmlElement) -> bool:
        """Say whether an element is the label of a control, or of a group of boxes, that stands elsewhere."""
        if element.tag != "label" or next(element.iter("input", "select", "textarea"), None) is not None:
            return False
        return element.get("for", "") in self._labelled or element in self._taken

    def is_around_box(self, element: html.HtmlElement | None) -> bool:
        """Say whether an element is a label with one of several boxes in it: its text is that of a choice."""
        if element is None or element.tag != "label":
            return False
        box = next(element.iter("input"), None)
        return box is not None and len(self._groups.get(self._group_key(box), ())) > 1

    def group_of(self, box: html.HtmlElement) -> list[html.HtmlElement] | None:
        """Return the boxes of one question at its first box, nothing at the others; None for a box of its own."""
        key = self._group_key(box)
        if len(self._groups.get(key, ())) < 2:
            return None
        if key in self._done:
            return []
        self._done.add(key)
        return self._groups[key]

    def label_for(self, name: str) -> str:
        """Return the label for a group of boxes; empty when none is."""
        return self._labels.get(name, "") if name else ""

    def label_of(self, element: html.HtmlElement) -> str:
        """Return the label as it stands in the file: for the control, around it, or of a box beside it."""
        if element in self._box_labels:
            return self._box_labels[element]
        label = self._labels.get(element.get("id", "")) if element.get("id") else None
        if label is None and element.getparent() is not None and element.getparent().tag == "label":
            label = element.getparent().text_content()
        return label or ""

    def _box_label(self, box: html.HtmlElement) -> str:
        """Return what a box says when it is ticked; empty when the words around it could be another's."""
        label = self.label_of(box)
        if label:
            return label
        before, after = box.getprevious(), box.getnext()
        text_before = (before.tail if before is not None else box.getparent().text) or ""
        if _is_free_label(before) and before not in self._taken and not words_of(text_before):
            self._taken.add(before)
            return str(before.text_content())
        if words_of(text_before):
            # "right [] left []": what stands behind a box may be the next one's.
            return ""
        if words_of(box.tail or ""):
            self.with_own_tail.add(box)
            return str(box.tail)
        if _is_free_label(after):
            self._taken.add(after)
            return str(after.text_content())
        return ""

    def new_id(self, wanted: str) -> str:
        """Return a field identifier near to what the file calls it, that no other field has."""
        plain = re.sub(r"[^a-z0-9]+", "_", wanted.lower()).strip("_")[:_ID_CHARACTERS_MAX].strip("_")
        if not FIELD_ID.fullmatch(plain):
            plain = f"f_{plain}"[:_ID_CHARACTERS_MAX].strip("_")
        found, number = plain, 1
        while found in self._ids:
            number += 1
            found = f"{plain[: _ID_CHARACTERS_MAX - 5]}_{number}"
        self._ids.add(found)
        return found

    def _group_key(self, box: html.HtmlElement) -> tuple[str, str]:
        kind = box.get("type", "").strip().lower()
        return (kind, box.get("name", "").strip() if kind in ("checkbox", "radio") else "")


def control_document(element: html.HtmlElement, controls: Controls, note: Note) -> dict[str, Any] | None:
    """Return the field of a control: None for what asks nothing or was asked by the first box of its group.

    An empty one stands for a box that was left out, because nobody could say what it asks.

    ``label_text`` is the label as it stands in the file, ``name_text`` what its name says, and ``is_own`` says that the
    field was exported from here; all three are to be taken out again.
    """
    kind = (element.get("type") or "text").strip().lower()
    if element.tag == "input" and kind in _NO_QUESTIONS:
        note(f"<input> of type {kind}")
        return None
    if element.get("data-field-merge-flag", "").upper() == "Y":
        note("texts taken over from other systems (data-field-merge-flag)")
    if element.tag == "input" and kind in ("checkbox", "radio"):
        group = controls.group_of(element)
        if group == []:
            return None
        boxed = _group(group, kind, controls, note) if group else _box(element, controls, note)
        if boxed is None:
            return {}
        found = boxed
    elif element.tag == "select":
        several = element.get("multiple") is not None
        found = _list(list(element.iter("option")), "choices" if several else "choice", controls, note)
    elif element.get("list") in controls.lists:
        note("free text beside a list of proposals: only what the list proposes can be chosen")
        found = _list(list(controls.lists[element.get("list")].iter("option")), "choice", controls, note)
    elif element.tag == "textarea":
        found = _with_default({"kind": "text"}, element.text_content())
    else:
        found = _typed(element, kind, note)
    return _asked(element, found, controls, note)


def _asked(element: html.HtmlElement, found: dict[str, Any], controls: Controls, note: Note) -> dict[str, Any]:
    """Return a field with its identifier, label, code and what an export said of it."""
    in_group = "label_text" in found
    raw_label = words_of(found.pop("label_text", "") if in_group else controls.label_of(element))
    name = (not in_group and element.get("id")) or element.get("name") or element.get("id") or raw_label
    own = object_of(element.get(EXTENSION), "a field", note)
    field_id = own.get("field_id")
    if isinstance(field_id, str):
        controls.new_id(field_id)
    else:
        field_id = controls.new_id(name)
    document = {
        "field_id": field_id,
        "label": raw_label.rstrip(" :") or words_of(element.get("title", "")),
        **found,
        "is_required": (element.get("data-field-completion-action") or "").upper() in ("ALERT", "PROHIBIT"),
        "label_text": raw_label,
        "name_text": words_of((element.get("name") or "").replace("_", " ")),
        "is_own": bool(own),
    }
    code = controls.codes.get(element.get("id", "")) or (
        controls.codes.get(element.get("name", "")) if in_group else None
    )
    if code is not None:
        document["concept"] = code
    for key in own.keys() - _OWN_KEYS:
        note(f"{EXTENSION} of a field: {key[:_ID_CHARACTERS_MAX]}")
    return document | {key: value for key, value in own.items() if key in _OWN_KEYS}


def _typed(element: html.HtmlElement, kind: str, note: Note) -> dict[str, Any]:
    declared = (element.get("data-field-type") or "").strip().lower()
    found: dict[str, Any] = {"kind": _KINDS.get(kind) or _KINDS.get(declared, "text")}
    value = element.get("value", "")
    if found["kind"] != "number":
        return _with_default(found, value)
    unit = element.get("data-field-units", "").strip()
    if unit:
        found |= {"kind": "measurement", "unit": unit[:_CHOICE_CHARACTERS_MAX]}
    for attribute, key in (("min", "minimum"), ("max", "maximum"), ("value", "default")):
        text = (element.get(attribute) or "").strip()
        if not text:
            continue
        try:
            found[key] = float(text)
        except ValueError:
            note(f"{attribute}={text[:_ID_CHARACTERS_MAX]}: no number")
    if element.get("step", "").strip() == "1":
        found["is_whole"] = True
    return found


def _with_default(found: dict[str, Any], value: str) -> dict[str, Any]:
    return found | {"default": value} if value.strip() else found


def _box(element: html.HtmlElement, controls: Controls, note: Note) -> dict[str, Any] | None:
    own = object_of(element.get(EXTENSION), "a field", note)
    if not own and not words_of(controls.label_of(element)) and not words_of(element.get("title", "")):
        # A yes to nobody knows what is worse than no question.
        note("a box whose label cannot be told from the words around it")
        return None
    found: dict[str, Any] = {"kind": "yes_no"}
    if element.get("checked") is not None:
        found["default"] = True
    return found


def _group(boxes: list[html.HtmlElement], kind: str, controls: Controls, note: Note) -> dict[str, Any]:
    """Return the field of boxes with one name, with the label of what is around them."""
    options = [(box, words_of(controls.label_of(box)) or words_of(box.get("value", ""))) for box in boxes]
    found = _choices(options, "choices" if kind == "checkbox" else "choice", "checked", controls, note)
    name = boxes[0].get("name", "")
    found["label_text"] = controls.label_for(name)
    return found


def _list(options: list[html.HtmlElement], kind: str, controls: Controls, note: Note) -> dict[str, Any]:
    # What is seen is what is meant: in circulation are files whose values say something else.
    offered = [(one, words_of(one.text_content()) or words_of(one.get("value", ""))) for one in options]
    # An option without a value, and a first one of dashes, stand for no answer.
    offered = [(one, label) for one, label in offered if label and one.get("value", label).strip()]
    if len(offered) > 1 and not offered[0][1].strip("-–.… ?"):
        offered = offered[1:]
    return _choices(offered, kind, "selected", controls, note)


def _choices(
    options: list[tuple[html.HtmlElement, str]], kind: str, mark: str, controls: Controls, note: Note
) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    chosen = []
    ids: set[str] = set()
    for element, label in options:
        own = object_of(element.get(EXTENSION), "a choice", note)
        choice_id = own.get("choice_id") if isinstance(own.get("choice_id"), str) else None
        choice_id = choice_id or _choice_id(element.get("value") or label, ids)
        if any(one["label"] == label for one in choices) and "label" not in own:
            note(f"choice «{label[:_CHOICE_CHARACTERS_MAX]}», there for the second time")
            continue
        ids.add(choice_id)
        choice: dict[str, Any] = {"choice_id": choice_id, "label": label}
        code = controls.codes.get(element.get("id", ""))
        if code is not None:
            choice["code"] = code
        choices.append(choice | {key: value for key, value in own.items() if key in _OWN_CHOICE_KEYS})
        if element.get(mark) is not None:
            chosen.append(choice_id)
    found: dict[str, Any] = {"kind": kind, "choices": choices}
    if chosen:
        found["default"] = chosen if kind == "choices" else chosen[0]
    return found


def _choice_id(wanted: str, ids: set[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", wanted.lower()).strip("_")[: _CHOICE_CHARACTERS_MAX - 5] or "choice"
    found, number = plain, 1
    while found in ids:
        number += 1
        found = f"{plain}_{number}"
    return found
