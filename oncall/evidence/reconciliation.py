"""Reconciling two copies of a case's dossier: every difference, down to the event and the field; and nothing twice.

For: `reconcile`, of the copies of two centres, of two nodes, or of two dates. Not for: whether a copy is whole and
sealed (`oncall.evidence.verification`), which is asked of both first.

Events are matched by their ids, other items by what they are about. One event that differs changes the hashes and
numbers of all that follow and whatever was drawn from it: those are consequences and are not listed again. What is one
side's only by design (``own``, anchors made since, the head) is listed apart and is no difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from foundation.errors import PeerError
from oncall.evidence.difference import Difference, What, field_differences, list_steps
from oncall.evidence.dossier import OBJECTS, SECTIONS, Side, item_digest
from oncall.evidence.sections import NONE_RECORDED
from oncall.evidence.verification import event_name, item_name

# What follows from the event before and from the place, not from the event itself.
_LINKS: Final = frozenset({"seq", "prev_hash"})
# Drawn from all events together: when an event differs, these follow.
_SUMMARIES: Final = frozenset({"people", "clocks", "subject", "messages", "deliveries", "own"})
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "people": ("who",),
    "times": ("event_id",),
    "clocks": ("case_id", "clock", "subject"),
    "messages": ("message_key",),
    "deliveries": ("delivery_id",),
    "documents": ("case_id", "version", "kind", "made_of"),
    "own": ("message_key",),
}


class CopiesUnrelated(PeerError):
    """The two files are not about the same case: there is nothing to reconcile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """What two copies, ``a`` and ``b``, do not share; MISSING is missing in b, ADDED is in b only."""

    differences: tuple[Difference, ...]
    by_design: tuple[Difference, ...]


def reconcile(a: Mapping[str, Any], b: Mapping[str, Any]) -> Reconciled:
    """Compare two dossiers, as `oncall.evidence.verification.verify` read them.

    Raises
    ------
    CopiesUnrelated
        If they share no case.
    """
    logs = [{item["body"]["case_id"] for item in copy["events"]} for copy in (a, b)]
    if not logs[0] & logs[1] and a["head"]["case_id"] != b["head"]["case_id"]:
        raise CopiesUnrelated("the two dossiers are of two cases; give two copies of one")
    events, differing = _events(a["events"], b["events"])
    differences, by_design = list(events), []
    for section, side in SECTIONS.items():
        if section in {"events", "head"} or (section in _SUMMARIES and differing and side is Side.SHARED):
            continue
        found = [one for one in _section(section, a[section], b[section]) if not _follows(one, differing)]
        if side is Side.SHARED:
            differences += [one.difference for one in found]
        elif side is Side.OWN:
            by_design += [one.difference for one in found]
        else:
            # An anchor that both hold is one anchor; one that was made since is not missing.
            differences += [one.difference for one in found if one.difference.what is What.ALTERED]
            by_design += [one.difference for one in found if one.difference.what is not What.ALTERED]
    by_design += _heads(a["head"], b["head"])
    return Reconciled(differences=tuple(differences), by_design=tuple(by_design))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    difference: Difference
    event_ids: frozenset[str]


def _events(a: Sequence[Any], b: Sequence[Any]) -> tuple[list[Difference], frozenset[str]]:
    """Return how two chains differ, and the ids of the events that do."""
    mine, theirs = ({item["body"]["event_id"]: item for item in copy} for copy in (a, b))
    found, differing = [], set()
    a_ids, b_ids = ([item["body"]["event_id"] for item in copy] for copy in (a, b))
    for step in list_steps(a_ids, b_ids):
        before = None if step.before is None else a[step.before]
        after = None if step.after is None else b[step.after]
        if step.what is What.ALTERED and not _is_one_event(before, after):
            found += [_event(What.MISSING, before, step.before), _event(What.ADDED, after, step.after)]
        elif step.what is What.ALTERED:
            found += _altered(before, after, step.before)
        elif step.what is What.MOVED:
            detail = f"it is event {after['body']['seq']} there" if after is not None else ""
            found.append(_event(What.MOVED, before, step.before, detail))
            if before is not None and after is not None:
                found += _altered(before, after, step.before)
        else:
            shown, place = (before, step.before) if before is not None else (after, step.after)
            found.append(_event(step.what, shown, place))
        differing |= {one["body"]["event_id"] for one in (before, after) if one is not None}
    for place, event_id in enumerate(a_ids):
        if event_id in theirs and event_id not in differing:
            altered = _altered(mine[event_id], theirs[event_id], place)
            if altered:
                found += altered
                differing.add(event_id)
    if not found and [item["hash"] for item in a] != [item["hash"] for item in b]:
        # The same facts, chained otherwise: somebody made a chain anew.
        place = next(
            number for number, (one, other) in enumerate(zip(a, b, strict=True)) if one["hash"] != other["hash"]
        )
        found += [_event(What.ALTERED, a[place], place, "the same fact is chained otherwise", field="hash")]
    return sorted(found, key=_by_item), frozenset(differing)


def _is_one_event(before: Any, after: Any) -> bool:
    """Tell one event whose id was changed from two events."""
    same = {key for key in before["body"] if before["body"].get(key) == after["body"].get(key)} - _LINKS
    return len(same) >= len(before["body"]) - len(_LINKS) - 1


def _altered(before: Any, after: Any, place: int | None) -> list[Difference]:
    one, other = ({key: value for key, value in item["body"].items() if key not in _LINKS} for item in (before, after))
    return [_event(What.ALTERED, before, place, detail, field=path) for path, detail in field_differences(one, other)]


def _event(what: What, item: Any, place: int | None, detail: str = "", *, field: str = "") -> Difference:
    return Difference(
        what=what,
        section="events",
        item=(place or 0) + 1,
        name=event_name(item, place or 0),
        field=field,
        detail=detail,
    )


def _section(section: str, a: Any, b: Any) -> Iterator[_Found]:
    if section in OBJECTS:
        for path, detail in field_differences(a, b):
            difference = Difference(what=What.ALTERED, section=section, field=path, detail=detail)
            yield _Found(difference=difference, event_ids=frozenset())
        return
    mine, theirs = _keyed(section, a), _keyed(section, b)
    for key, (place, item) in mine.items():
        if key not in theirs:
            yield _found(What.MISSING, section, place, item)
        elif theirs[key][1] != item:
            for path, detail in field_differences(item, theirs[key][1]):
                yield _found(What.ALTERED, section, place, item, field=path, detail=detail)
    for key, (place, item) in theirs.items():
        if key not in mine:
            yield _found(What.ADDED, section, place, item)
    common = [[key for key in copy if key in mine and key in theirs] for copy in (mine, theirs)]
    for step in list_steps([repr(key) for key in common[0]], [repr(key) for key in common[1]]):
        if step.before is not None:
            place, item = mine[common[0][step.before]]
            yield _found(What.MOVED, section, place, item)


def _keyed(section: str, items: Sequence[Any]) -> dict[Any, tuple[int, Any]]:
    """Return items by what they are about; what comes again has a number."""
    found: dict[Any, tuple[int, Any]] = {}
    for place, item in enumerate([] if items == [dict(NONE_RECORDED)] else items):
        key, again = _key(section, item), 0
        while (key, again) in found:
            again += 1
        found[key, again] = (place, item)
    return found


def _key(section: str, item: Any) -> Any:
    if section == "report":
        return item["version"]["case_id"], item["version"]["version"]
    if section == "anchors":
        return item["anchor"]["statement"]["number"]
    if "event_id" in item:
        return item["event_id"], item.get("kind", "")
    named = _KEYS.get(section)
    if named is None or not set(named) <= set(item):
        return item_digest(item)
    return tuple(item[key] for key in named)


def _found(what: What, section: str, place: int, item: Any, *, field: str = "", detail: str = "") -> _Found:
    difference = Difference(
        what=what, section=section, item=place + 1, name=item_name(section, item, place), field=field, detail=detail
    )
    event_id = item.get("event_id")
    return _Found(difference=difference, event_ids=frozenset([event_id] if isinstance(event_id, str) else []))


def _follows(found: _Found, differing: frozenset[str]) -> bool:
    return bool(found.event_ids) and found.event_ids <= differing


def _heads(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(what=What.ALTERED, section="head", field=path, detail=detail)
        for path, detail in field_differences(a, b)
        if not path.startswith("covers")
    ]


def _by_item(one: Difference) -> int:
    return one.item
