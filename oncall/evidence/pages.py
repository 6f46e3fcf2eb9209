"""The dossier as pages that a lawyer can read: PDF/A-3, with the dossier itself inside.

For: showing a sealed dossier, in French or English, in the hospital's local time. Not for: proof; that is the file
inside and the seal over all (`oncall.evidence.pdf_file`).

Invariants: pages are drawn from the sealed dossier alone, so they can say nothing that it does not; nothing is cut,
however long; an empty list says so.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from foundation.instants import instant_of_us
from oncall.evidence.dossier import PLATFORM, Sealed, fingerprint
from oncall.evidence.pdf_file import ATTACHMENT, KEYWORD, sealed
from oncall.evidence.sections import NONE_RECORDED
from oncall.evidence.texts import field_label, text, word
from oncall.language import Language
from oncall.protocol.payload import asked_in_words
from oncall.report.content import Chapter
from oncall.report.signing import Signer
from oncall.report_documents.person_name import displayed
from oncall.report_documents.typesetting import has_glyphs, typeset

Words = Callable[[str, Language], str]
"""What an event's type, or a word that the log keeps, is called."""

_SOURCE: Final = """
#set document(keywords: (data.keyword,))
#pdf.attach(data.attachment, bytes(data.dossier), relationship: "source", mime-type: "application/json",
  description: data.title)
#let ink = rgb("#12355b")
#let alarm = rgb("#b00020")
#let mono(body) = text(font: "DejaVu Sans Mono", size: 6.8pt, body)
#let paragraphs(body) = for line in body.split("\\n") { par(line) }
#let labelled(rows) = grid(columns: (4.6cm, 1fr), column-gutter: 0.6em, row-gutter: 0.6em,
  ..rows.map(row => (text(fill: luma(90), row.at(0)), row.at(1))).flatten())
#set page(margin: (x: 1.8cm, top: 2.3cm, bottom: 2cm),
  header: { set text(size: 8.5pt); grid(columns: (1fr, auto), strong(data.running), data.copy)
    line(length: 100%, stroke: 0.5pt + luma(150)) },
  footer: context { set text(size: 8pt, fill: luma(85)); line(length: 100%, stroke: 0.5pt + luma(150))
    grid(columns: (1fr, auto), data.footer, [#data.page #counter(page).display() / #counter(page).final().first()]) })
#set text(size: 9.5pt)
#show heading: set text(fill: ink)
#show heading.where(level: 1): set text(size: 18pt)
#show heading.where(level: 2): set text(size: 12.5pt)
#show heading.where(level: 2): set block(above: 1.5em, below: 0.7em)
#show heading.where(level: 3): set text(size: 10.5pt)
#show heading.where(level: 3): set block(above: 1em, below: 0.6em)

= #data.title
#text(size: 11pt, data.copy)
#v(0.4em)
#block(width: 100%, fill: luma(244), inset: 9pt, radius: 2pt, labelled(data.facts))
#quiet(data.about)

#for section in data.sections {
  heading(level: section.level, section.heading)
  if section.note != "" { quiet(section.note) }
  for part in section.parts {
    let colour = if part.is_withdrawn { alarm } else { ink }
    block(width: 100%, stroke: (left: 3pt + colour), inset: (left: 9pt, y: 3pt), {
      heading(level: 3, part.heading)
      if part.is_withdrawn { text(fill: alarm, weight: "bold", part.mark) }
      labelled(part.facts)
      for chapter in part.chapters {
        if chapter.text != "" { heading(level: 3, chapter.label); paragraphs(chapter.text) }
      }
    })
  }
  if section.rows.len() > 0 {
    set text(size: 8.2pt)
    set par(leading: 0.45em)
    table(columns: section.widths.map(one => if one == 0 { auto } else { one * 1fr }),
      stroke: (x: none, y: 0.4pt + luma(190)), inset: (x: 3pt, y: 3.5pt), align: left + top,
      fill: (_, row) => if row == 0 { luma(232) },
      table.header(..section.columns.map(strong)),
      ..section.rows.flatten().map(cell => if cell.starts-with("#:") { mono(cell.slice(2)) } else { cell }))
  }
}
"""
# Marks a cell that is a digest: in small letters of one width.
_MONO: Final = "#:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows of one section; ``widths`` are shares of the line, 0 for as wide as its words."""

    columns: tuple[str, ...]
    widths: tuple[int, ...]
    rows: Sequence[Sequence[str]]


def pdf(
    dossier: Sealed, signer: Signer, language: Language, words: Words, *, font_directories: Sequence[Path] = ()
) -> bytes:
    """Return a sealed dossier as a sealed PDF/A-3 that carries it, dated by the dossier.

    Raises
    ------
    foundation.errors.Unavailable
        If it could not be typeset.
    """
    shown = _Shown(dossier.sections, language, words, tuple(font_directories))
    data = {**shown.data(), "dossier": dossier.data.decode("ascii"), "attachment": ATTACHMENT, "keyword": KEYWORD}
    made_at = instant_of_us(dossier.sections["head"]["made_at_us"])
    pages = typeset(_SOURCE, data, made_at=made_at, font_directories=font_directories, standard="a-3b")
    return sealed(pages, signer)


class _Shown:
    """One dossier in words, in one language and in its hospital's time."""

    def __init__(self, sections: Mapping[str, Any], language: Language, words: Words, fonts: tuple[Path, ...]) -> None:
        self._sections = sections
        self._language = language
        self._words = words
        self._fonts = fonts
        self._zone = ZoneInfo(sections["head"]["centre"]["time_zone"])
        self._names = {one["who"]: one["name"] for one in sections["people"] if one.get("name")}

    def data(self) -> dict[str, object]:
        """Return everything that the source lays out."""
        head, say = self._sections["head"], self._say
        centre = head["centre"]
        copy = say("platform") if centre["kind"] == PLATFORM else centre["name"]
        digest = self._sections["seal"]["digest"]
        return {
            "title": say("title"),
            "author": "Telegarde",
            "language": self._language.value,
            "running": f"{say('title')}  ·  {say('case')} {head['case_id']}",
            "copy": f"{say('copy_of')} {copy}",
            "footer": f"{digest[:32]}…",
            "page": say("page"),
            "about": say("about"),
            "facts": self._facts(),
            "sections": list(self._all_sections()),
        }

    def _say(self, key: str) -> str:
        return text(key, self._language)

    def _facts(self) -> list[list[str]]:
        head, seal = self._sections["head"], self._sections["seal"]
        return [
            [self._say("case"), head["case_id"]],
            *self._patient(),
            [self._say("as_of"), self._local(instant_of_us(head["as_of_us"]))],
            [self._say("made"), self._local(instant_of_us(head["made_at_us"]))],
            [self._say("made_by"), self._name(head["made_by"])],
            [self._say("digest"), seal["digest"]],
            [self._say("key"), fingerprint(b64decode(seal["signature"]["public_key"]))],
            [self._say("stamped"), self._say("no" if seal["time_stamp"] is None else "yes")],
        ]

    def _patient(self) -> Iterable[list[str]]:
        subject = self._sections["subject"]
        described = subject["described"]
        if described is None:
            yield [self._say("patient"), self._say("not_described")]
        else:
            name, is_whole = displayed(described["name"], is_shown=lambda one: has_glyphs(one, self._fonts))
            yield [self._say("patient"), name if is_whole else f"{name} ({self._say('other_script')})"]
            yield [self._say("patient_id"), f"{described['patient_id']} {described['issuer']}"]
            if described["birth_date"]:
                yield [self._say("born"), described["birth_date"]]
            if described["sex"]:
                yield [self._say("sex"), described["sex"]]
            if described["ins"]:
                yield [self._say("ins"), described["ins"]["matricule"]]
        yield [self._say("patient_key"), subject["patient_key"]]

    def _all_sections(self) -> Iterable[dict[str, object]]:
        yield self._section("report", parts=self._versions(), empty="no_report")
        yield self._section("acts", self._told("acts"))
        yield self._section("people", self._people())
        yield self._section("times", self._timeline())
        yield self._section("clocks", self._clocks(), level=3)
        yield self._section("incidents", self._incidents())
        yield self._section("accesses", self._told("accesses"))
        yield self._section("seen", self._seen(), level=3)
        yield self._section("communications", self._told("communications"))
        yield self._section("identities", self._told("identities"))
        yield self._section("messages", self._messages())
        yield self._section("deliveries", self._deliveries())
        yield self._section("documents", self._documents())
        yield self._section("own", self._own())
        yield self._section("events", self._events(), note="events_note")
        yield self._section("anchors", self._anchors(), note="anchors_note", empty="not_anchored")

    def _section(
        self, key: str, table: Table | None = None, *, parts: Sequence[object] = (), note: str = "", level: int = 2,
        empty: str = "none_recorded",
    ) -> dict[str, object]:  # fmt: skip
        is_empty = not parts and (table is None or not table.rows)
        return {
            "heading": self._say(key),
            "level": level,
            "note": self._say(empty) if is_empty else self._say(note) if note else "",
            "parts": list(parts),
            "columns": [] if table is None else list(table.columns),
            "widths": [] if table is None else list(table.widths),
            "rows": [] if table is None else [list(row) for row in table.rows],
        }

    # The report

    def _versions(self) -> list[object]:
        signed = self._items("report")
        withdrawn = {
            (one["version"]["case_id"], number)
            for one in signed
            if one["version"]["kind"] == "retraction"
            for number in range(1, one["version"]["version"])
        }
        return [self._version(one, withdrawn) for one in signed]

    def _version(self, signed: Mapping[str, Any], withdrawn: set[tuple[str, int]]) -> dict[str, object]:
        version = signed["version"]
        content, author = version["content"], version["author"]
        who = ", ".join(
            part
            for part in (author["name"], author["rpps"] and f"RPPS {author['rpps']}", author["organisation"])
            if part
        )
        facts = [
            [self._say("signer"), who],
            [self._say("signed"), self._local(instant_of_us(version["signed_at_us"]))],
            [self._say("sha256"), signed["digest"]],
        ]
        if version["reason"]:
            facts.append([self._say("reason"), version["reason"]])
        doses = "\n".join(f"{one['quantity']} {one['value']:g} {one['unit']}" for one in content["doses"])
        answers = "\n".join(f"{one['label']} : {_plain(one['value'])} {one['unit']}" for one in content["answers"])
        chapters = [{"label": self._say(chapter.value), "text": content[chapter.value]} for chapter in Chapter]
        chapters += [{"label": content["title"], "text": answers}, {"label": self._say("dose"), "text": doses}]
        kind = word(version["kind"], self._language)
        return {
            "heading": f"{self._say('version')} {version['version']} : {kind}. {content['title']}",
            "facts": facts,
            "chapters": chapters,
            "is_withdrawn": (version["case_id"], version["version"]) in withdrawn,
            "mark": self._say("withdrawn"),
        }

    # Tables

    def _told(self, section: str) -> Table:
        entries = [one for one in self._items(section) if "event_id" in one]
        return Table(
            columns=(self._say("local"), self._say("what"), self._say("detail"), self._say("who")),
            widths=(0, 3, 6, 2),
            rows=[
                [self._at(one["occurred_utc"]), self._event(one["type"]), self._details(one["said"]), self._by(one)]
                for one in entries
            ],
        )

    def _incidents(self) -> Table:
        rows = []
        for one in self._items("incidents"):
            detail = self._details(one["said"])
            if "ahead_s" in one:
                detail = f"{self._say('ahead')} {one['ahead_s']:g} s"
            kind = word(one["kind"], self._language)
            rows.append([self._at(one["occurred_utc"]), kind, self._event(one["type"]), detail, self._by(one)])
        columns = ("local", "kind", "what", "detail", "who")
        return Table(columns=tuple(map(self._say, columns)), widths=(0, 2, 3, 5, 2), rows=rows)

    def _people(self) -> Table:
        rows = []
        for one in self._items("people"):
            acted = [(acting["role"], acting["authentication"]) for acting in one["acted_as"]]
            all_roles = [*([one["role"]] if one["role"] else []), *(role for role, _ in acted)]
            roles = ", ".join(word(role, self._language) for role in dict.fromkeys(all_roles))
            proofs = ", ".join(dict.fromkeys(proof for _, proof in acted if proof)) or "-"
            named = self._words(one["who"], self._language) if not one["name"] else one["name"]
            rows.append([named, one["rpps"] or "-", roles or "-", ", ".join(one["organisations"]) or "-", proofs])
        columns = ("name", "rpps", "role", "copy_of", "authentication")
        labels = [self._say(key) for key in columns]
        labels[3] = "Organisation"
        return Table(columns=tuple(labels), widths=(3, 2, 3, 3, 2), rows=rows)

    def _timeline(self) -> Table:
        bodies = {one["body"]["event_id"]: one["body"] for one in self._items("events")}
        rows = []
        for one in self._items("times"):
            body = bodies.get(one["event_id"], {"seq": "", "actor": [""]})
            late = one["recorded_utc"] != one["occurred_utc"]
            rows.append(
                [
                    str(body["seq"]),
                    self._at(one["occurred_utc"]),
                    self._event(one["type"]),
                    self._name(body["actor"][0]),
                    one["occurred_utc"][:19] + "Z",
                    self._at(one["recorded_utc"]) if late else "",
                ]
            )
        columns = (*map(self._say, ("number", "local", "what", "who")), "UTC", self._say("recorded"))
        return Table(columns=columns, widths=(0, 0, 5, 3, 0, 3), rows=rows)

    def _clocks(self) -> Table:
        rows = [
            [word(one["clock"], self._language) + (f" {one['subject']}" if one["subject"] else ""),
             self._at(one["began"]["utc"]), self._at(one["ended"]["utc"]) if one["ended"] else "-",
             self._at(one["due"]["utc"]) if one["due"] else "-", f"{one['elapsed_s'] / 60:.1f}",
             self._say("yes" if one["is_missed"] else "no")]
            for one in self._items("clocks")
        ]  # fmt: skip
        columns = ("clock", "began", "ended", "due", "minutes", "missed")
        return Table(columns=tuple(map(self._say, columns)), widths=(4, 3, 3, 3, 0, 0), rows=rows)

    def _seen(self) -> Table:
        rows = [
            [f"v{one['version']}", self._name(one["by"]), study["study_instance_uid"],
             " ".join(part for part in (study["modality"], study["study_date"], study["description"]) if part) or "-",
             str(study["instances"]), self._say("yes" if study["is_prior"] else "no")]
            for one in self._items("accesses")
            if one["type"] == "seen_at_signing"
            for study in one["studies"]
        ]  # fmt: skip
        columns = ("version", "signer", "study", "detail", "instances", "prior")
        return Table(columns=tuple(map(self._say, columns)), widths=(0, 2, 4, 3, 0, 0), rows=rows)

    def _messages(self) -> Table:
        rows = [
            [self._name(one["person_id"]), self._words(one["channel"], self._language),
             "; ".join(" ".join(part for part in (self._at(step["at"]), step["happened"], step["detail"]) if part)
                       for step in one["trace"])]
            for one in self._items("messages")
        ]  # fmt: skip
        return Table(columns=(self._say("name"), self._say("channel"), self._say("trace")), widths=(2, 0, 6), rows=rows)

    def _deliveries(self) -> Table:
        rows = []
        for one in self._items("deliveries"):
            trace = "; ".join(
                " ".join(part for part in (self._at(step["at"]), step["happened"], step["reason"]) if part)
                for step in one["trace"]
            )
            channel = self._words(one["channel"], self._language)
            rows.append([f"v{one['version']}", self._name(one["recipient"]), channel, trace])
        columns = ("version", "name", "channel", "trace")
        return Table(columns=tuple(map(self._say, columns)), widths=(0, 2, 0, 6), rows=rows)

    def _documents(self) -> Table:
        rows = [
            [one["kind"].replace("_", " "), f"v{one['version']}", _MONO + one["sha256"], str(one["size_bytes"])]
            for one in self._items("documents")
        ]
        columns = ("kind", "version", "sha256", "bytes")
        return Table(columns=tuple(map(self._say, columns)), widths=(2, 0, 6, 0), rows=rows)

    def _own(self) -> Table:
        rows = [
            [self._name(one["person_id"]), one["address"], _MONO + one["message_key"]] for one in self._items("own")
        ]
        return Table(columns=(self._say("name"), self._say("address"), "Message"), widths=(2, 3, 5), rows=rows)

    def _events(self) -> Table:
        rows = [
            [str(one["body"]["seq"]), self._event(one["body"]["type"]), _MONO + one["hash"]]
            for one in self._items("events")
        ]
        return Table(columns=(self._say("number"), self._say("what"), self._say("sha256")), widths=(0, 4, 7), rows=rows)

    def _anchors(self) -> Table:
        rows = []
        for one in self._items("anchors"):
            statement = one["anchor"]["statement"]
            made = self._local(instant_of_us(statement["made_at_us"]))
            if statement["late_s"]:
                made += f" ({self._say('anchor_late')}: {statement['late_s'] / 3600:.1f} h)"
            holds = ", ".join(str(leaf["seq"]) for leaf in one["leaves"])
            rows.append([str(statement["number"]), made, holds, _MONO + one["anchor"]["digest"]])
        columns = ("number", "made", "holds", "sha256")
        return Table(columns=tuple(map(self._say, columns)), widths=(0, 4, 0, 7), rows=rows)

    # Words

    def _items(self, section: str) -> list[Any]:
        items = self._sections[section]
        return [] if items == [dict(NONE_RECORDED)] else list(items)

    def _event(self, event_type: str) -> str:
        return self._words(event_type, self._language)

    def _by(self, entry: Mapping[str, Any]) -> str:
        return self._name(entry["by"])

    def _name(self, who: str) -> str:
        return self._names.get(who) or self._words(who, self._language)

    def _details(self, said: Mapping[str, Any]) -> str:
        return "; ".join(
            f"{field_label(key, self._language)} : {self._value(key, value)}" for key, value in said.items()
        )

    def _value(self, key: str, value: Any) -> str:
        if isinstance(value, bool):
            return self._say("yes" if value else "no")
        if key == "protocol" and isinstance(value, dict):
            return asked_in_words(value)
        if key.endswith("_at") and isinstance(value, str):
            return self._at(value)
        if isinstance(value, str):
            return self._name(value)
        return _plain(value)

    def _at(self, iso: str) -> str:
        return self._local(datetime.fromisoformat(iso))

    def _local(self, at: datetime) -> str:
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S %z")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
