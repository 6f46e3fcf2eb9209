"""Half-open spans of UTC time, and arithmetic on sets of them.

Every duty, absence and rest in `oncall` is a `Span`. Local wall time is turned into spans once, by `oncall.local_time`;
nothing here knows a time zone. Durations are differences of UTC instants: subtracting two aware datetimes that share a
local tzinfo is wall-clock arithmetic in Python, and wrong on two nights a year.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Span:
    """From `start` (in) to `end` (out); both aware, kept in UTC; never empty.

    Raises
    ------
    ValueError
        If an instant is naive, or the end is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            instant: datetime = getattr(self, name)
            if instant.tzinfo is None:
                message = f"a span's {name} is an aware instant; pass tzinfo=UTC"
                raise ValueError(message)
            if instant.tzinfo is not UTC:
                object.__setattr__(self, name, instant.astimezone(UTC))
        if self.end <= self.start:
            message = f"a span ends after it starts: {self.start.isoformat()} to {self.end.isoformat()}"
            raise ValueError(message)

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    @property
    def duration(self) -> timedelta:
        """Elapsed time, not wall time."""
        return self.end - self.start

    @property
    def hours(self) -> float:
        """Elapsed hours."""
        return self.duration.total_seconds() / 3600

    def overlaps(self, other: "Span") -> bool:
        """Tell whether some instant is in both."""
        return self.start < other.end and other.start < self.end

    def intersection(self, other: "Span") -> "Span | None":
        """Return what is in both, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start=start, end=end) if start < end else None


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same instants as sorted spans that neither touch nor overlap."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            if span.end > merged[-1].end:
                merged[-1] = Span(start=merged[-1].start, end=span.end)
        else:
            merged.append(span)
    return merged


def subtract(spans: Iterable[Span], removed: Iterable[Span]) -> list[Span]:
    """Return the instants of `spans` that are in none of `removed`, as sorted spans."""
    left = union(spans)
    for hole in union(removed):
        left = [rest for span in left for rest in _without(span, hole)]
    return left


def gaps(within: Span, covered: Iterable[Span]) -> list[Span]:
    """Return the parts of `within` that nothing covers."""
    return subtract([within], covered)


def total(spans: Sequence[Span]) -> timedelta:
    """Return the elapsed time in at least one of the spans."""
    return sum((span.duration for span in union(spans)), timedelta(0))


def _without(span: Span, hole: Span) -> list[Span]:
    if not span.overlaps(hole):
        return [span]
    rest = []
    if span.start < hole.start:
        rest.append(Span(start=span.start, end=hole.start))
    if hole.end < span.end:
        rest.append(Span(start=hole.end, end=span.end))
    return rest
