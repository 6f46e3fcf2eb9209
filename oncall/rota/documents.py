"""A roster as a JSON document, and back: strict in both directions.

For: publishing, editing and importing a roster. Not for: storing versions (`oncall.documents_store`), other programs'
formats.

Invariants: reading what was written gives an equal roster; every line named is in the document, and every person in the
directory if one is given (but in history, which outlives people's contracts); an unknown key is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from oncall.directory import Directory, LineId, PersonId, ProviderId, SiteId
from oncall.ladder import Purpose
from oncall.ladder_documents import ladder_from_json, ladder_to_json
from oncall.public_holidays import is_commune
from oncall.rota.model import (
    Absence,
    DayKind,
    Line,
    LineKind,
    Override,
    OverrideKind,
    Roster,
    Rotation,
    Session,
    Shift,
    ShiftPlan,
    ShiftRule,
)
from oncall.spans import Span
from oncall.strict_json import DocumentInvalid, Record, Value, duplicates

FORMAT: Final = "telegarde-roster/1"
# A hundred hospitals with twenty years of history; more is a mistake in the document.
LINES_MAX: Final = 500
LADDERS_MAX: Final = 500
ROTATIONS_MAX: Final = 5_000
SHIFTS_MAX: Final = 500_000
_WITHIN_ONE_MAX: Final = 1_000
_PRIORITY_MAX: Final = 1_000
_SHIFTS_PER_TURN_MAX: Final = 1_000
_SECTIONS: Final = ("rotations", "plans", "overrides", "absences", "sessions", "history", "ladders")

_Item = TypeVar("_Item")


def roster_to_json(roster: Roster) -> dict[str, Any]:
    """Return the document of a roster, in the roster's order; what is empty or usual is left out."""
    written: dict[str, Any] = {
        "format": FORMAT,
        "version": roster.version,
        "lines": [_line_to_json(line) for line in roster.lines],
        "rotations": [_rotation_to_json(one) for one in roster.rotations],
        "plans": [_plan_to_json(one) for one in roster.plans],
        "overrides": [_override_to_json(one) for one in roster.overrides],
        "absences": [
            {"person_id": one.person_id, **_span_to_json(one.span), "kind": one.kind} for one in roster.absences
        ],
        "sessions": [_session_to_json(one) for one in roster.sessions],
        "history": [_history_to_json(one) for one in roster.history],
        "frozen_until": roster.frozen_until and _instant(roster.frozen_until),
        "ladders": [ladder_to_json(one) for one in roster.ladders],
    }
    return {key: value for key, value in written.items() if value or key == "lines"}


def roster_from_json(document: Value, directory: Directory | None = None) -> Roster:
    """Read a roster.

    Parameters
    ----------
    document : Value
        From `oncall.strict_json.parse`.
    directory : Directory, optional
        If given, the people, sites and providers that the roster names are looked up in it.

    Raises
    ------
    DocumentInvalid
        With every problem that could be found, each with its place.
    """
    record = document.record(("format", "version", "lines"), (*_SECTIONS, "frozen_until"))
    if record["format"].text() != FORMAT:
        raise record["format"].wrong(f"{FORMAT} is wanted")
    reading = _Reading(record)
    parts: dict[str, Any] = {
        "lines": reading.section("lines", _line, LINES_MAX),
        "rotations": reading.section("rotations", _rotation, ROTATIONS_MAX),
        "plans": reading.section("plans", _plan, SHIFTS_MAX),
        "overrides": reading.section("overrides", _override, SHIFTS_MAX),
        "absences": reading.section("absences", _absence, SHIFTS_MAX),
        "sessions": reading.section("sessions", _session, SHIFTS_MAX),
        "history": reading.section("history", _history, SHIFTS_MAX),
        "ladders": reading.section("ladders", ladder_from_json, LADDERS_MAX),
    }
    problems = reading.problems
    for section, attribute in (
        ("lines", "line_id"), ("plans", "shift_id"), ("overrides", "override_id"), ("ladders", "ladder_id")
    ):  # fmt: skip
        problems += duplicates(section, [getattr(one, attribute) for one in parts[section]])
    if not problems:
        problems += _dangling_lines(parts)
        problems += _dangling_names(parts, directory) if directory is not None else []
    if problems:
        raise DocumentInvalid(problems)
    frozen_until = record.get("frozen_until", Value.instant, None)
    try:
        return Roster(
            version=record["version"].text(), **parts, frozen_until=frozen_until and frozen_until.astimezone(UTC)
        )
    except ValueError as error:
        raise document.wrong(str(error)) from error


class _Reading:
    """Sections of one document; what is wrong in one does not hide what is wrong in the next."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.problems: list[str] = []

    def section(self, key: str, read: Callable[[Value], _Item], items_max: int) -> tuple[_Item, ...]:
        try:
            return tuple(self._record.each(key, read, items_max=items_max))
        except DocumentInvalid as error:
            self.problems += error.problems
            return ()


def _dangling_lines(parts: Mapping[str, tuple[Any, ...]]) -> list[str]:
    known = {line.line_id for line in parts["lines"]}
    ladders = {None, *(ladder.ladder_id for ladder in parts["ladders"] if ladder.purpose is Purpose.READER)}
    nowhere = [
        f"lines[{number}].ladder_id: {line.ladder_id} is no ladder of this roster that looks for a reader"
        for number, line in enumerate(parts["lines"])
        if line.ladder_id not in ladders
    ]
    return nowhere + [
        f"{section}[{number}].line_id: {one.line_id} is no line of this roster"
        for section in ("rotations", "plans", "overrides")
        for number, one in enumerate(parts[section])
        if one.line_id not in known
    ]


def _dangling_names(parts: Mapping[str, tuple[Any, ...]], directory: Directory) -> list[str]:
    problems: list[str] = []

    def look_up(place: str, names: Iterable[str | None], known: Iterable[str]) -> None:
        problems.extend(f"{place}: {name} is not in the directory" for name in names if name and name not in known)

    for number, line in enumerate(parts["lines"]):
        look_up(f"lines[{number}].provider_id", [line.provider_id], directory.providers)
        look_up(f"lines[{number}].sites", sorted(line.sites), directory.sites)
    for number, rotation in enumerate(parts["rotations"]):
        look_up(f"rotations[{number}].participants", rotation.participants, directory.persons)
    for number, override in enumerate(parts["overrides"]):
        look_up(f"overrides[{number}]", [override.added, override.removed], directory.persons)
    for section in ("plans", "absences", "sessions"):
        for number, one in enumerate(parts[section]):
            look_up(f"{section}[{number}].person_id", [one.person_id], directory.persons)
    for number, session in enumerate(parts["sessions"]):
        look_up(f"sessions[{number}].site_id", [session.site_id], directory.sites)
    return problems


def _line(value: Value) -> Line:
    record = value.record(
        ("line_id", "name", "kind", "provider_id", "time_zone", "commune"), ("rules", "sites", "ladder_id")
    )
    commune = record["commune"].text()
    if not is_commune(commune):
        raise record["commune"].wrong("an INSEE commune code like 42218 is wanted: public holidays depend on it")
    return Line(
        line_id=LineId(record["line_id"].text()),
        name=record["name"].text(),
        kind=record["kind"].one_of(LineKind),
        provider_id=ProviderId(record["provider_id"].text()),
        time_zone=record["time_zone"].time_zone(),
        commune=commune,
        rules=tuple(record.each("rules", _rule, items_max=_WITHIN_ONE_MAX)),
        sites=frozenset(SiteId(name) for name in record.each("sites", Value.text, items_max=_WITHIN_ONE_MAX)),
        ladder_id=record.get("ladder_id", Value.text, None),
    )


def _rule(value: Value) -> ShiftRule:
    record = value.record(("name", "start", "end"), ("days",))
    return ShiftRule(
        name=record["name"].text(),
        start=record["start"].wall_time(),
        end=record["end"].wall_time(),
        days=record.get("days", lambda days: days.one_of(DayKind), DayKind.EVERY_DAY),
    )


def _rotation(value: Value) -> Rotation:
    record = value.record(("line_id", "participants", "first_day"), ("until", "shifts_per_turn", "priority"))
    return Rotation(
        line_id=LineId(record["line_id"].text()),
        participants=tuple(
            PersonId(name) for name in record.each("participants", Value.text, items_max=_WITHIN_ONE_MAX)
        ),
        first_day=_day(record["first_day"]),
        until=record.get("until", _day, None),
        shifts_per_turn=record.get("shifts_per_turn", lambda one: one.whole(1, _SHIFTS_PER_TURN_MAX), 1),
        priority=record.get("priority", lambda one: one.whole(-_PRIORITY_MAX, _PRIORITY_MAX), 0),
    )


def _plan(value: Value) -> ShiftPlan:
    record = value.record(("shift_id", "line_id", "person_id", "start", "end"), ("locked",))
    return ShiftPlan(
        shift_id=record["shift_id"].text(),
        line_id=LineId(record["line_id"].text()),
        person_id=PersonId(record["person_id"].text()),
        span=_span(value, record),
        locked=record.get("locked", Value.flag, False),
    )


def _override(value: Value) -> Override:
    record = value.record(
        ("override_id", "line_id", "kind", "start", "end"), ("added", "removed", "reason", "created_at")
    )
    created_at = record.get("created_at", Value.instant, None)
    added, removed = (record.get(key, Value.text, None) for key in ("added", "removed"))
    try:
        return Override(
            override_id=record["override_id"].text(),
            line_id=LineId(record["line_id"].text()),
            kind=record["kind"].one_of(OverrideKind),
            span=_span(value, record),
            added=None if added is None else PersonId(added),
            removed=None if removed is None else PersonId(removed),
            reason=record.get("reason", Value.any_text, ""),
            created_at=created_at and created_at.astimezone(UTC),
        )
    except ValueError as error:
        raise value.wrong(str(error)) from error


def _absence(value: Value) -> Absence:
    record = value.record(("person_id", "start", "end"), ("kind",))
    person_id = PersonId(record["person_id"].text())
    return Absence(person_id=person_id, span=_span(value, record), kind=record.get("kind", Value.text, "leave"))


def _session(value: Value) -> Session:
    record = value.record(("person_id", "start", "end"), ("site_id",))
    site_id = record.get("site_id", Value.text, None)
    return Session(
        person_id=PersonId(record["person_id"].text()),
        span=_span(value, record),
        site_id=None if site_id is None else SiteId(site_id),
    )


def _history(value: Value) -> Shift:
    record = value.record(("line_id", "person_id", "start", "end"), ("rule",))
    return Shift(
        line_id=LineId(record["line_id"].text()),
        person_id=PersonId(record["person_id"].text()),
        span=_span(value, record),
        origin="history",
        rule=record.get("rule", Value.any_text, ""),
    )


def _span(value: Value, record: Record) -> Span:
    start, end = record["start"].instant(), record["end"].instant()
    if end <= start:
        raise value.wrong("the end is wanted after the start")
    return Span(start=start, end=end)


def _day(value: Value) -> date:
    try:
        return date.fromisoformat(value.text())
    except ValueError:
        raise value.wrong("a day like 2026-10-25 is wanted") from None


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()


def _span_to_json(span: Span) -> dict[str, Any]:
    return {"start": _instant(span.start), "end": _instant(span.end)}


def _line_to_json(line: Line) -> dict[str, Any]:
    written: dict[str, Any] = {
        "line_id": line.line_id,
        "name": line.name,
        "kind": line.kind.value,
        "provider_id": line.provider_id,
        "time_zone": line.time_zone,
        "commune": line.commune,
        "rules": [
            {
                "name": rule.name,
                "start": rule.start.isoformat("minutes"),
                "end": rule.end.isoformat("minutes"),
                "days": rule.days.value,
            }
            for rule in line.rules
        ],
    }
    optional = {"sites": sorted(line.sites), "ladder_id": line.ladder_id}
    return written | {key: value for key, value in optional.items() if value}


def _rotation_to_json(rotation: Rotation) -> dict[str, Any]:
    written: dict[str, Any] = {
        "line_id": rotation.line_id,
        "participants": list(rotation.participants),
        "first_day": rotation.first_day.isoformat(),
        "shifts_per_turn": rotation.shifts_per_turn,
        "priority": rotation.priority,
    }
    return written | ({} if rotation.until is None else {"until": rotation.until.isoformat()})


def _plan_to_json(plan: ShiftPlan) -> dict[str, Any]:
    written: dict[str, Any] = {
        "shift_id": plan.shift_id,
        "line_id": plan.line_id,
        "person_id": plan.person_id,
        **_span_to_json(plan.span),
    }
    return written | ({"locked": True} if plan.locked else {})


def _override_to_json(override: Override) -> dict[str, Any]:
    optional = {
        "added": override.added,
        "removed": override.removed,
        "reason": override.reason,
        "created_at": override.created_at and _instant(override.created_at),
    }
    return {
        "override_id": override.override_id,
        "line_id": override.line_id,
        "kind": override.kind.value,
        **_span_to_json(override.span),
        **{key: value for key, value in optional.items() if value},
    }


def _session_to_json(session: Session) -> dict[str, Any]:
    written: dict[str, Any] = {"person_id": session.person_id, **_span_to_json(session.span)}
    return written | ({} if session.site_id is None else {"site_id": session.site_id})


def _history_to_json(shift: Shift) -> dict[str, Any]:
    return {
        "line_id": shift.line_id,
        "person_id": shift.person_id,
        **_span_to_json(shift.span),
        **({"rule": shift.rule} if shift.rule else {}),
    }
