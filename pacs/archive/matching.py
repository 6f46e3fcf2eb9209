"""What a query key matches: the semantics of PS3.4 C.2.2.2, in one place and without a database.

`compile_key` turns a key into a `Matcher`, or into None when everything matches it. The index query narrows in SQL and
lets these matchers decide, so SQLite, PostgreSQL and this module cannot disagree about an answer.

Choices that the standard leaves to us, or where we differ from it (all are in the conformance statement):

- An entity without a value matches universal keys and the empty value key ``""`` only. PS3.4 C.2.2.1.2 would have it
  match every value; no archive in use does that, and a study without an accession number would answer for all.
- Person names: see `pacs.archive.person_name`. A key of one component group is compared with the first group of the
  name, and with the others too when it holds East Asian characters; trailing components may be left out.
- IS and DS are compared as numbers. Dates and times: see `pacs.archive.query_time`.
- Several values in a key, other than UIDs, match when any of them does, or when all do if Multiple Value Matching was
  negotiated. Wildcards in VRs that have none are refused, but a lone ``*`` or ``-`` is universal.

References
----------
PS3.4 C.2.2.2 (matching), C.2.2.3 (multiple values), C.5.1.1 (what is negotiated)
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from pydicom.datadict import dictionary_has_tag, dictionary_VM

from foundation.errors import PeerError
from pacs.archive import query_time
from pacs.archive.person_name import (
    fold_characters,
    fold_group,
    has_east_asian,
    name_parts,
    person_name_key,
    phonetic_key,
)
from pacs.archive.query_values import SINGLE_VALUE_VRS, Element, Item

# PS3.4 C.2.2.2.4.
_WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_NUMBER_VRS: Final = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
_TIME_VRS: Final = frozenset({"DA", "TM", "DT"})
# A text key longer than any value of a short VR is no key, it only costs time. Lists of UIDs are not bounded by this.
KEY_CHARACTERS_MAX: Final = 4096
# Sequences in sequences, deeper than in any information model.
KEY_DEPTH_MAX: Final = 8
# Words whose sound is remembered during one fuzzy query.
_SOUNDS_REMEMBERED_MAX: Final = 8192
_UID: Final = re.compile(r"[0-9.]{1,64}")
# Long enough for any DS (16 characters) and FD, short enough that an exponent stays harmless.
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?")
_EMPTY_VALUE: Final = '""'


class InvalidKey(PeerError):
    """A key that has no meaning: answered as a failure, never as "no matches".

    Parameters
    ----------
    tag : int
        The offending element.
    reason : str
        What is wrong with it, without its value.
    """

    def __init__(self, tag: int, reason: str) -> None:
        super().__init__(f"({tag >> 16:04X},{tag & 0xFFFF:04X}): {reason}")
        self.tag = tag
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchingOptions:
    """What was negotiated (PS3.4 C.5.1.1).

    ``zone`` is the one of indexed date-times that name none, ``key_zone`` that of keys.
    """

    fuzzy_names: bool = False
    combined_date_time: bool = False
    all_values: bool = False
    zone: tzinfo = UTC
    key_zone: tzinfo = UTC


class TextMatcher(Protocol):
    """Decides about the text of an attribute (`Element.text`)."""

    def matches(self, text: str) -> bool:
        """Say whether an entity with this value matches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wildcard:
    """Text with ``*`` and ``?``. Linear in the length of the text for each segment: no pattern can make it slow.

    ``segments`` are what stands between the asterisks; each is split at its question marks.
    """

    segments: tuple[tuple[str, ...], ...]
    _compiled: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _last_length: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = tuple(re.compile(".".join(map(re.escape, pieces)), re.DOTALL) for pieces in self.segments)
        object.__setattr__(self, "_compiled", compiled)
        last = self.segments[-1]
        object.__setattr__(self, "_last_length", sum(map(len, last)) + len(last) - 1)

    @property
    def has_wildcards(self) -> bool:
        """False when the pattern is plain text."""
        return len(self.segments) > 1 or len(self.segments[0]) > 1

    @property
    def is_universal(self) -> bool:
        """True for one or more asterisks and nothing else."""
        return len(self.segments) > 1 and all(pieces == ("",) for pieces in self.segments)

    @property
    def prefix(self) -> str:
        """The literal text that every match begins with."""
        return self.segments[0][0]

    @property
    def literals(self) -> Iterable[str]:
        """All literal pieces, in order."""
        return (piece for pieces in self.segments for piece in pieces)

    def matches(self, text: str) -> bool:
        """Say whether the whole of `text` matches."""
        first, *middle = self._compiled
        if not middle:
            return first.fullmatch(text) is not None
        found = first.match(text)
        if found is None:
            return False
        position = found.end()
        *middle, last = middle
        for segment in middle:
            found = segment.search(text, position)
            if found is None:
                return False
            position = found.end()
        tail = len(text) - self._last_length
        return tail >= position and last.fullmatch(text, tail) is not None


def parse_wildcard(text: str) -> Wildcard:
    """Split a key at its wildcards."""
    return Wildcard(segments=tuple(tuple(segment.split("?")) for segment in text.split("*")))


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactText:
    """Single Value Matching of text: the very same characters."""

    value: str

    def matches(self, text: str) -> bool:
        return text == self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class UidSet:
    """Single Value or List of UID Matching."""

    uids: frozenset[str]

    def matches(self, text: str) -> bool:
        return text in self.uids


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberValue:
    """Single Value Matching of a number, by value: 7, +7 and 007 are one."""

    value: Decimal

    def matches(self, text: str) -> bool:
        return _number(text) == self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class NoValue:
    """Empty Value Matching (PS3.4 C.2.2.2.7); a value that reads ``""`` itself matches too."""

    def matches(self, text: str) -> bool:
        return text in ("", _EMPTY_VALUE)


@dataclass(frozen=True, kw_only=True, slots=True)
class NameMatch:
    """Literal matching of person names without case, accents, width (PS3.4 C.2.2.2.1.1).

    ``groups`` are folded patterns by component group, None where all match. With ``any_group`` the only pattern may
    match any component group of the name.
    """

    groups: tuple[Wildcard | None, ...]
    any_group: bool

    def matches(self, text: str) -> bool:
        return self.matches_key(person_name_key(text))

    def matches_key(self, key: str) -> bool:
        """Like `matches`, for a name already folded by `person_name_key`."""
        names = key.split("=")
        if self.any_group:
            pattern = self.groups[0]
            return pattern is None or any(_matches_group(pattern, name) for name in names)
        padded = names + [""] * (len(self.groups) - len(names))
        return all(
            pattern is None or _matches_group(pattern, name) for pattern, name in zip(self.groups, padded, strict=False)
        )


def _matches_group(pattern: Wildcard, name: str) -> bool:
    if not name:
        return False
    # Trailing components may be left out of the name: DUPONT^* finds DUPONT.
    carets = sum(literal.count("^") for literal in pattern.literals)
    return pattern.matches(name + "^" * (carets - name.count("^")))


@dataclass(frozen=True, kw_only=True, slots=True)
class FuzzyName:
    """Fuzzy semantic matching of person names (PS3.4 C.2.2.2.1.1, negotiated).

    Every word of the key must match some word of the name, in any order and any component: it has wildcards and matches
    them, or is a single letter that the word begins with, or is the same word, or sounds the same
    (`pacs.archive.person_name.phonetic_key`).
    """

    parts: tuple[Wildcard, ...]
    # Names of an archive have few different words: each is listened to once for a query.
    _sound_of: Callable[[str], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sound_of", lru_cache(maxsize=_SOUNDS_REMEMBERED_MAX)(phonetic_key))

    def matches(self, text: str) -> bool:
        return self.matches_key(person_name_key(text))

    def matches_key(self, key: str) -> bool:
        """Like `matches`, for a name already folded by `person_name_key`."""
        names = name_parts(key)
        return bool(names) and all(any(self._is_like(part, name) for name in names) for part in self.parts)

    def _is_like(self, part: Wildcard, name: str) -> bool:
        if part.has_wildcards:
            return part.matches(name)
        word = part.prefix
        if len(word) == 1 and word.isascii():
            return name.startswith(word)
        return word == name or self._sound_of(word) == self._sound_of(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dates:
    """Single Value and Range Matching of DA."""

    range: query_time.DateRange

    def matches(self, text: str) -> bool:
        date = query_time.date_value(text)
        return (
            date is not None
            and (self.range.low is None or self.range.low <= date)
            and (self.range.high is None or date <= self.range.high)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Single Value and Range Matching of TM."""

    interval: query_time.Interval

    def matches(self, text: str) -> bool:
        value = query_time.time_value(text)
        return value is not None and self.interval.overlaps(*value)


@dataclass(frozen=True, kw_only=True, slots=True)
class DateTimes:
    """Single Value and Range Matching of DT; a value without an offset is in ``zone``."""

    interval: query_time.Interval
    zone: tzinfo

    def matches(self, text: str) -> bool:
        value = query_time.date_time_value(text, self.zone)
        return value is not None and self.interval.overlaps(*value)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyOf:
    """Several values in the key, of which one must match."""

    matchers: tuple[TextMatcher, ...]

    def matches(self, text: str) -> bool:
        return any(matcher.matches(text) for matcher in self.matchers)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyValue:
    """The attribute may have several values: one must match (PS3.4 C.2.2.3)."""

    matcher: TextMatcher

    def matches(self, text: str) -> bool:
        return any(self.matcher.matches(value.strip(" ")) for value in text.split("\\"))


@dataclass(frozen=True, kw_only=True, slots=True)
class AllValues:
    """Multiple Value Matching (PS3.4 C.2.2.2.8, negotiated): every value of the key matches some value."""

    matchers: tuple[TextMatcher, ...]

    def matches(self, text: str) -> bool:
        return all(matcher.matches(text) for matcher in self.matchers)


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceMatch:
    """Sequence Matching: some item matches all keys of the key's item (PS3.4 C.2.2.2.6)."""

    keys: tuple[tuple[int, "Matcher"], ...]

    def matches_item(self, item: Item) -> bool:
        """Say whether one item matches all item keys."""
        return all(matches_element(matcher, item.get(tag)) for tag, matcher in self.keys)

    def matches_items(self, items: Iterable[Item]) -> bool:
        """Say whether any of the items matches."""
        return any(self.matches_item(item) for item in items)


Matcher: TypeAlias = TextMatcher | SequenceMatch


def matches_element(matcher: Matcher, element: Element | None) -> bool:
    """Say whether an attribute matches; None when the entity does not have it."""
    if isinstance(matcher, SequenceMatch):
        return element is not None and matcher.matches_items(element.items)
    return matcher.matches("" if element is None else element.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class DateTimeSpan:
    """Combined date and time Range Matching (PS3.4 C.2.2.2.5.4, negotiated).

    Bounds are (date, microsecond of the day), the upper one excluded.
    """

    low: tuple[str, int] | None
    high: tuple[str, int] | None

    def matches(self, date_text: str, time_text: str) -> bool:
        """Say whether the moment overlaps the span; without a time it is the whole day."""
        date = query_time.date_value(date_text)
        if date is None:
            return False
        start, end = query_time.time_value(time_text) or (0, query_time.DAY_US)
        return (self.low is None or (date, end - 1) >= self.low) and (self.high is None or (date, start) < self.high)


def compile_date_time_span(date_text: str, time_text: str) -> DateTimeSpan | None:
    """Return the span of a pair of keys, or None when they are not ranges of the same form.

    Raises
    ------
    pacs.archive.query_time.NotATime
        If a key is invalid.
    """
    if "-" not in date_text or "-" not in time_text:
        return None
    # The ends belong to different days: a time range may well begin later in its day than it ends.
    dates = query_time.parse_date_range(date_text)
    first, last = (part.strip() for part in time_text.split("-", 1))
    if (dates.low is None, dates.high is None) != (not first, not last):
        return None
    low = high = None
    if dates.low is not None:
        start = query_time.parse_time_range(first).start
        assert start is not None
        low = (dates.low, start)
    if dates.high is not None:
        end = query_time.parse_time_range(last).end
        assert end is not None
        high = (dates.high, end)
    if low is not None and high is not None and high <= low:
        raise query_time.NotATime("a range that ends before it begins")
    return DateTimeSpan(low=low, high=high)


def compile_key(tag: int, key: Element, options: MatchingOptions, depth: int = 0) -> Matcher | None:
    """Return what decides about one key, or None when all entities match it (PS3.4 C.2.2.2.3).

    Raises
    ------
    InvalidKey
        If the key has no meaning for its VR.
    """
    if key.vr == "SQ":
        return _compile_sequence(tag, key, options, depth)
    text = key.text.strip(" ")
    if text.strip("*") == "" or (text == "-" and key.vr in _TIME_VRS):
        return None
    if key.vr == "UI":
        return _with_values(tag, key.vr, _compile_uids(tag, text))
    if len(text) > KEY_CHARACTERS_MAX:
        raise InvalidKey(tag, f"longer than {KEY_CHARACTERS_MAX} characters")
    if "\0" in text:
        # PostgreSQL stores no such text, so nothing could match it.
        raise InvalidKey(tag, "a NUL inside a value")
    values = [text] if key.vr in SINGLE_VALUE_VRS else [value.strip(" ") for value in text.split("\\")]
    values = [value for value in values if value]
    matchers = []
    for value in values:
        matcher = _compile_value(tag, key.vr, value, options)
        if matcher is None:
            return None
        matchers.append(matcher)
    if len(matchers) <= 1:
        return _with_values(tag, key.vr, matchers[0]) if matchers else None
    if options.all_values and _has_several_values(tag, key.vr):
        return AllValues(matchers=tuple(AnyValue(matcher=matcher) for matcher in matchers))
    return _with_values(tag, key.vr, AnyOf(matchers=tuple(matchers)))


def _with_values(tag: int, vr: str, matcher: TextMatcher) -> TextMatcher:
    return AnyValue(matcher=matcher) if _has_several_values(tag, vr) else matcher


def _has_several_values(tag: int, vr: str) -> bool:
    """Say whether an attribute may have several values; in one that may not, a backslash is a writing error."""
    if vr in SINGLE_VALUE_VRS:
        return False
    return not dictionary_has_tag(tag) or dictionary_VM(tag) != "1"


def _compile_sequence(tag: int, key: Element, options: MatchingOptions, depth: int) -> SequenceMatch | None:
    if depth >= KEY_DEPTH_MAX:
        raise InvalidKey(tag, f"sequences nested deeper than {KEY_DEPTH_MAX}")
    if len(key.items) > 1:
        raise InvalidKey(tag, "a sequence key has one item")
    compiled = []
    for item in key.items:
        for item_tag, item_key in item.items():
            matcher = compile_key(item_tag, item_key, options, depth + 1)
            if matcher is not None:
                compiled.append((item_tag, matcher))
    return SequenceMatch(keys=tuple(compiled)) if compiled else None


def _compile_uids(tag: int, text: str) -> UidSet:
    uids = frozenset(uid for value in text.split("\\") if (uid := value.strip(" \0")))
    if not all(_UID.fullmatch(uid) for uid in uids):
        raise InvalidKey(tag, "not a UID or a list of UIDs")
    return UidSet(uids=uids)


def _compile_value(tag: int, vr: str, value: str, options: MatchingOptions) -> TextMatcher | None:
    if value == _EMPTY_VALUE:
        return NoValue()
    if vr == "PN":
        return _compile_fuzzy_name(value) if options.fuzzy_names else _compile_name(value)
    if vr in _WILDCARD_VRS:
        pattern = parse_wildcard(value)
        if pattern.is_universal:
            return None
        return pattern if pattern.has_wildcards else ExactText(value=value)
    if vr in _TIME_VRS:
        return _compile_time(tag, vr, value, options)
    if vr in _NUMBER_VRS:
        number = _number(value)
        if number is None:
            raise InvalidKey(tag, "not a number")
        return NumberValue(value=number)
    if "*" in value or "?" in value:
        raise InvalidKey(tag, f"VR {vr} has no wildcards")
    return ExactText(value=value)


def _compile_time(tag: int, vr: str, value: str, options: MatchingOptions) -> TextMatcher:
    try:
        if vr == "DA":
            return Dates(range=query_time.parse_date_range(value))
        if vr == "TM":
            return Times(interval=query_time.parse_time_range(value))
        return DateTimes(interval=query_time.parse_date_time_range(value, options.key_zone), zone=options.zone)
    except query_time.NotATime as error:
        raise InvalidKey(tag, str(error)) from error


def _number(text: str) -> Decimal | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _compile_name(value: str) -> NameMatch | None:
    groups = [_compile_group(group) for group in value.split("=")]
    if all(group is None for group in groups):
        return None
    return NameMatch(groups=tuple(groups), any_group=len(groups) == 1 and has_east_asian(value))


def _compile_group(group: str) -> Wildcard | None:
    if "*" not in group and "?" not in group:
        folded = fold_group(group)
        return Wildcard(segments=((folded,),)) if folded else None
    trimmed = re.sub(r"\s*\^\s*", "^", re.sub(r"\s+", " ", group).strip()).rstrip("^")
    pattern = Wildcard(
        segments=tuple(tuple(fold_characters(piece) for piece in segment.split("?")) for segment in trimmed.split("*"))
    )
    return None if pattern.is_universal else pattern


def _compile_fuzzy_name(value: str) -> FuzzyName | None:
    parts = [parse_wildcard(part) for part in name_parts(person_name_key(value))]
    parts = [part for part in parts if not part.is_universal]
    return FuzzyName(parts=tuple(parts)) if parts else None
