"""The figures of a span of time: distributions on every clock, the hour, breaches and their causes, by whom and where.

For: what the command line, the pages and the monthly report show. Not for: reading the log (`oncall.figures.projection`
does, and is asked first). All arithmetic is over every case of the span; nothing is sampled or approximated.

Definitions
-----------
* **Percentile p**: nearest rank, the smallest observed value that at least p % of the observed values do not exceed
  (``inverted_cdf``). It is always a value that somebody waited.
* **The hour**: of the cases whose hour is decided, because it was reported or its deadline has passed, how many were
  reported by the contract's deadline. It is never told without p95, p99, maximum, the wait of P1 and the hospital that
  fares worst: alone it rewards letting late patients rot (domain reference, section 3.4).
* **Share**: a count of a count. Under `SHARE_OF_MIN` cases no percentage is given.

Sources: domain reference, sections 3.4 and 4.3.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, func, select

from foundation.errors import Refused
from foundation.instants import microseconds
from oncall.case.clocks import Clock
from oncall.directory import SiteId
from oncall.figures.redundancy import RedundantExams, redundant_exams
from oncall.figures.row import Cause, Outcome, Period
from oncall.schema import oncall_case_figure

SHARE_OF_MIN: Final = 10
"""Of fewer cases counts are told and no percentage."""

DIMENSIONS: Final = ("site", "class", "period", "provider", "reader")
"""What figures are told apart by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureQuery:
    """Which cases: counted from `since` (in) to `until` (out), aware; of some sites, empty means all.

    ``by`` are the `DIMENSIONS` that groups are told for. ``shows_readers`` says that whoever asks may see who read:
    without it the figures of readers are left out.

    Raises
    ------
    Refused
        If the end is not after the beginning, or a dimension is unknown.
    """

    since: datetime
    until: datetime
    sites: frozenset[SiteId] = frozenset()
    by: tuple[str, ...] = DIMENSIONS
    shows_readers: bool = False

    def __post_init__(self) -> None:
        if self.until <= self.since:
            raise Refused("figures are of a span of time: its end comes after its beginning")
        if unknown := set(self.by) - set(DIMENSIONS):
            raise Refused(f"figures are not told by {', '.join(sorted(unknown))}: choose of {', '.join(DIMENSIONS)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """From 0 to 1; None of too few."""
        return None if self.of < SHARE_OF_MIN else self.count / self.of


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """Of ``n`` values, seconds; None when there is none."""

    n: int
    median_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockFigures:
    """One clock: those that stopped, how many of them late, and how many run on, overdue or not."""

    clock: Clock
    elapsed: Distribution
    late: int
    running: int
    overdue: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """From images complete to the signed report, all that has to be told together.

    ``in_time`` is of the cases whose hour is decided. ``p1_wait`` is from images complete to the first opening,
    ``p1_finding`` to the first communicated finding. ``worst_site`` is the hospital with the lowest share, among those
    with `SHARE_OF_MIN` cases if there are any; ``breaches`` counts late ones by cause, overdue ones among them.
    """

    in_time: Share
    elapsed: Distribution
    p1_wait: Distribution
    p1_finding: Distribution
    worst_site: SiteId | None
    worst_site_in_time: Share | None
    breaches: Mapping[Cause, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The figures of one value of a dimension; the key is an identifier, '' for cases that have none."""

    key: str
    cases: int
    hour: Hour
    clocks: tuple[ClockFigures, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All figures of a query. ``is_empty`` says that there is no case: nothing went well then, and nothing badly.

    ``outcomes`` counts every case; merged and moved ones are measured in the case that they went to.
    """

    query: FigureQuery
    now: datetime
    cases: int
    outcomes: Mapping[Outcome, int]
    hour: Hour
    clocks: tuple[ClockFigures, ...]
    reassigned: int
    second_readings: int
    redundant: RedundantExams = field(default_factory=RedundantExams)
    groups: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there was no case at all."""
        return self.cases == 0


def summary(
    connection: Connection, query: FigureQuery, now: datetime, *, causes: Mapping[str, Cause] | None = None
) -> Summary:
    """Return the figures of a query, from the rows that `oncall.figures.projection.catch_up` left.

    Parameters
    ----------
    now : datetime
        What is overdue is so at this instant (aware).
    causes : mapping of str to Cause, optional
        What the clairvoyant said of late cases, by case id (`oncall.figures.nights.causes_between`); of the others what
        the case alone tells.
    """
    rows = Rows.load(connection, query)
    redundant = redundant_exams(connection, query.since, query.until, query.sites)
    return replace(summarise(rows, query, now, causes=causes or {}), redundant=redundant)


_NUMBERS: Final = (
    "urgency", "images_at_us", "read_at_us", "finding_at_us", "wait_us", "running_clocks", "late_clocks", "assignments",
    "second_read_at_us",
    *(f"c{number}_us" for number in range(1, 10)),
    *(f"c{number}_due_us" for number in range(1, 10)),
)  # fmt: skip
_TEXTS: Final = ("outcome", "site_id", "period", "provider_id", "reader_id", "cause")
# Of integers that may be missing; no instant or duration of ours is so small.
_MISSING: Final = -(2**63)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The columns of the rows of a query, as arrays of one length; a number that is missing is `_MISSING`.

    Texts are kept as places in ``keys``, which are sorted: few texts come again and again.
    """

    numbers: Mapping[str, Any]
    texts: Mapping[str, Any]
    keys: Mapping[str, tuple[str, ...]]
    case_ids: Any
    count: int

    @classmethod
    def load(cls, connection: Connection, query: FigureQuery) -> "Rows":
        """Read them."""
        column = oncall_case_figure.c
        wanted = select(
            *(func.coalesce(column[name], _MISSING) for name in _NUMBERS),
            *(column[name] for name in _TEXTS),
            column.case_id,
        ).where(column.counted_at_us >= microseconds(query.since), column.counted_at_us < microseconds(query.until))
        if query.sites:
            wanted = wanted.where(column.site_id.in_(sorted(query.sites)))
        found = connection.execute(wanted).all()
        columns: list[Sequence[Any]] = (
            list(zip(*found, strict=True)) if found else [()] * (len(_NUMBERS) + len(_TEXTS) + 1)
        )
        texts, keys = {}, {}
        for name, values in zip(_TEXTS, columns[len(_NUMBERS) : -1], strict=True):
            keys[name] = tuple(sorted(set(values)))
            place = {key: number for number, key in enumerate(keys[name])}
            texts[name] = np.fromiter(map(place.__getitem__, values), dtype=np.int64, count=len(found))
        return cls(
            numbers={
                name: np.array(values, dtype=np.int64)
                for name, values in zip(_NUMBERS, columns[: len(_NUMBERS)], strict=True)
            },
            texts=texts,
            keys=keys,
            case_ids=np.array(columns[-1], dtype=object),
            count=len(found),
        )

    def only(self, chosen: Any) -> "Rows":
        """Return the rows at a mask or at indices."""
        case_ids = self.case_ids[chosen]
        return Rows(
            numbers={name: values[chosen] for name, values in self.numbers.items()},
            texts={name: values[chosen] for name, values in self.texts.items()},
            keys=self.keys,
            case_ids=case_ids,
            count=len(case_ids),
        )

    def counts(self, name: str) -> Mapping[str, int]:
        """Return how often each text of a column comes."""
        found = np.bincount(self.texts[name], minlength=len(self.keys[name])).tolist()
        return {key: number for key, number in zip(self.keys[name], found, strict=True) if number}


def summarise(rows: Rows, query: FigureQuery, now: datetime, *, causes: Mapping[str, Cause]) -> Summary:
    """Return the figures of rows; pure."""
    now_us = microseconds(now)
    elsewhere = [place for place, key in enumerate(rows.keys["outcome"]) if Outcome(key) in _ELSEWHERE]
    counted = rows.only(~np.isin(rows.texts["outcome"], elsewhere))
    groups = {
        dimension: _groups(counted, dimension, now_us, causes)
        for dimension in query.by
        if dimension != "reader" or query.shows_readers
    }
    outcomes = {Outcome(name): number for name, number in rows.counts("outcome").items()}
    return Summary(
        query=query,
        now=now,
        cases=rows.count,
        outcomes=MappingProxyType(outcomes),
        hour=_hour(counted, now_us, causes),
        clocks=_clocks(counted, now_us),
        reassigned=int(np.count_nonzero(counted.numbers["assignments"] > 1)),
        second_readings=int(np.count_nonzero(counted.numbers["second_read_at_us"] != _MISSING)),
        groups=MappingProxyType(groups),
    )


def distribution(values_us: Any) -> Distribution:
    """Return the distribution of microseconds: nearest-rank percentiles."""
    if not len(values_us):
        return Distribution(n=0)
    median, p95, p99 = np.percentile(values_us, [50, 95, 99], method="inverted_cdf").tolist()
    return Distribution(
        n=len(values_us), median_s=median / 1e6, p95_s=p95 / 1e6, p99_s=p99 / 1e6, max_s=int(values_us.max()) / 1e6
    )


_ELSEWHERE: Final = frozenset({Outcome.MERGED, Outcome.MOVED})
_KEYS: Final = {"site": "site_id", "period": "period", "provider": "provider_id", "reader": "reader_id"}


def _groups(rows: Rows, dimension: str, now_us: int, causes: Mapping[str, Cause]) -> tuple[Group, ...]:
    if dimension == "class":
        places, keys = rows.numbers["urgency"], [f"P{number}" for number in range(4)]
    else:
        places, keys = rows.texts[_KEYS[dimension]], list(rows.keys[_KEYS[dimension]])
    found = []
    for number in np.unique(places).tolist():
        mine = rows.only(np.flatnonzero(places == number))
        group = Group(
            key=keys[number], cases=mine.count, hour=_hour(mine, now_us, causes), clocks=_clocks(mine, now_us)
        )
        found.append(group)
    return tuple(sorted(found, key=_order)) if dimension == "period" else tuple(found)


def _order(group: Group) -> int:
    return list(Period).index(Period(group.key))


def _clocks(rows: Rows, now_us: int) -> tuple[ClockFigures, ...]:
    found = []
    for number, clock in enumerate(Clock):
        elapsed, due = rows.numbers[f"c{number + 1}_us"], rows.numbers[f"c{number + 1}_due_us"]
        running = (rows.numbers["running_clocks"] >> number) & 1 == 1
        found.append(
            ClockFigures(
                clock=clock,
                elapsed=distribution(elapsed[elapsed != _MISSING]),
                late=int(np.count_nonzero((rows.numbers["late_clocks"] >> number) & 1)),
                running=int(np.count_nonzero(running)),
                overdue=int(np.count_nonzero(running & (due != _MISSING) & (due < now_us))),
            )
        )
    return tuple(found)


_C4_BIT: Final = 1 << 3


def _hour(rows: Rows, now_us: int, causes: Mapping[str, Cause]) -> Hour:
    elapsed = rows.numbers["c4_us"]
    is_reported = elapsed != _MISSING
    is_late = (rows.numbers["late_clocks"] & _C4_BIT) != 0
    is_overdue = _is_overdue(rows, now_us)
    is_decided = is_reported | is_overdue
    in_time = is_reported & ~is_late
    is_p1 = rows.numbers["urgency"] == 1
    wait, finding, images = (rows.numbers[name] for name in ("wait_us", "finding_at_us", "images_at_us"))
    told = is_p1 & (finding != _MISSING) & (images != _MISSING)
    worst, worst_share = _worst_site(rows, in_time, is_decided)
    return Hour(
        in_time=Share(count=int(np.count_nonzero(in_time)), of=int(np.count_nonzero(is_decided))),
        elapsed=distribution(elapsed[is_reported]),
        p1_wait=distribution(wait[is_p1 & (wait != _MISSING)]),
        p1_finding=distribution(np.maximum(0, finding[told] - images[told])),
        worst_site=worst,
        worst_site_in_time=worst_share,
        breaches=_breaches(rows, is_decided & ~in_time, causes),
    )


def _is_overdue(rows: Rows, now_us: int) -> Any:
    due = rows.numbers["c4_due_us"]
    return ((rows.numbers["running_clocks"] & _C4_BIT) != 0) & (due != _MISSING) & (due < now_us)


def _worst_site(rows: Rows, in_time: Any, is_decided: Any) -> tuple[SiteId | None, Share | None]:
    sites, keys = rows.texts["site_id"], rows.keys["site_id"]
    of = np.bincount(sites[is_decided], minlength=len(keys))
    if not of.any():
        return None, None
    count = np.bincount(sites[in_time], minlength=len(keys))
    # A hospital of three cases is not the worst because one of them was late, unless there are only such.
    enough = of >= SHARE_OF_MIN if (of >= SHARE_OF_MIN).any() else of > 0
    place = int(np.argmin(np.where(enough, count / np.maximum(of, 1), 2.0)))
    return SiteId(keys[place]), Share(count=int(count[place]), of=int(of[place]))


def _breaches(rows: Rows, breached: Any, causes: Mapping[str, Cause]) -> Mapping[Cause, int]:
    own = [Cause(key) if key else Cause.WAITING for key in rows.keys["cause"]]
    found: Counter[Cause] = Counter()
    for case_id, place in zip(rows.case_ids[breached].tolist(), rows.texts["cause"][breached].tolist(), strict=True):
        found[causes.get(case_id, own[place])] += 1
    return MappingProxyType({cause: found[cause] for cause in Cause if cause in found})
