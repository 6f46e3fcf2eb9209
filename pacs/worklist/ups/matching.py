"""What a query or a filter matches: keys compiled once, then asked of any number of work items.

For: C-FIND, the search of UPS-RS and filtered subscriptions, which match alike (CC.2.3.3.1). Not for: rows; what can be
narrowed there is in `narrowing`.

References
----------
PS3.4 CC.2.8.3, C.2.2.2 (matching), Table CC.2.5-3; PS3.18 8.3.4
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement

from pacs.archive.matching import Matcher, MatchingOptions, compile_key, matches_element
from pacs.archive.query_values import Element, Item
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.model import State
from pacs.worklist.ups.schema import ups_workitem

_NOT_MATCHED = frozenset({tag.SPECIFIC_CHARACTER_SET, tag.TRANSACTION_UID})
"""What a key may name but nobody may ask: the lock above all (CC.2.5.1.3: cannot be queried)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """Compiled matching keys; without any, everything matches."""

    matchers: tuple[tuple[int, Matcher], ...] = field(repr=False)
    states: frozenset[State] | None = None
    label: str = ""
    uids: frozenset[str] = frozenset()

    def matches(self, dataset: Item) -> bool:
        """Say whether a work item matches all keys."""
        return all(matches_element(matcher, dataset.get(one)) for one, matcher in self.matchers)

    def narrowing(self) -> list[ColumnElement[bool]]:
        """Return what of it the rows can be asked; `matches` decides."""
        column = ups_workitem.c
        asked: list[ColumnElement[bool]] = []
        if self.states is not None:
            asked.append(column.state.in_(sorted(one.value for one in self.states)))
        if self.label:
            asked.append(column.worklist_label == self.label)
        if self.uids:
            asked.append(column.uid.in_(sorted(self.uids)))
        return asked


def compile_keys(keys: Item, options: MatchingOptions | None = None) -> Keys:
    """Compile the keys of a query.

    Raises
    ------
    pacs.archive.matching.InvalidKey
        If one has no meaning for its VR.
    """
    matchers = []
    for one, key in sorted(keys.items()):
        if one in _NOT_MATCHED:
            continue
        matcher = compile_key(one, key, options or MatchingOptions())
        if matcher is not None:
            matchers.append((one, matcher))
    return Keys(
        matchers=tuple(matchers),
        states=_states(tag.text_of(keys, tag.PROCEDURE_STEP_STATE)),
        label=_exact(tag.text_of(keys, tag.WORKLIST_LABEL)),
        uids=_uids(tag.text_of(keys, tag.SOP_INSTANCE_UID)),
    )


def picked(dataset: Item, wanted: Item) -> Item:
    """Return what an answer holds: the attributes that were asked for, empty where the work item has none.

    A sequence that is asked for with an item gives these attributes of each of its items; without, all of them.
    """
    return {one: _picked(dataset.get(one), key) for one, key in wanted.items() if one not in _NOT_MATCHED}


def _picked(element: Element | None, key: Element) -> Element:
    if element is None:
        return Element(vr=key.vr)
    if not element.items or not key.items or not key.items[0]:
        return element
    return Element(vr="SQ", items=tuple(picked(item, key.items[0]) for item in element.items))


def _states(text: str) -> frozenset[State] | None:
    if not text or set(text) & set("*?"):
        return None
    named: Iterable[str] = text.split("\\")
    return frozenset(state for state in State if state.value in named)


def _exact(text: str) -> str:
    # A row holds the beginning of a label only; what is longer is left to the matcher.
    return "" if set(text) & set('*?\\"') or len(text) >= 64 else text.strip(" ")


def _uids(text: str) -> frozenset[str]:
    return frozenset() if set(text) & set('*?"') else frozenset(one.strip(" ") for one in text.split("\\") if one)
