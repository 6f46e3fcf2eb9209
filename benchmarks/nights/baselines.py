"""What the engine is compared with: fixed hospital silos, first in first out, and simple rules that call backups.

For: the nights benchmark, through the same world as the engine (`oncall.simulation.night`). Not for: use at a
hospital. These know what the engine knows: arrivals so far, expected times, the roster. None is told a true reading
time.

`simple_rules` is the best of the simple rules of the on-call domain reference, section 3.6: P1 first, late cases
last, and up to two backups called when a list schedule of the current queue predicts a breach.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from oncall.reading.board import Urgency
from oncall.simulation.arrivals import ArrivedCase, expected_read_min
from oncall.simulation.night import BackupOrders, Duty, Staffing

HOUR_MIN: Final = Decimal(60)
_EXTENSION_MIN: Final = Decimal(30)

#: The order in which a list schedule takes waiting cases, at a time.
Order = Callable[[ArrivedCase, Decimal], tuple[object, ...]]


def first_in_first_out(case: ArrivedCase, now_min: Decimal) -> tuple[object, ...]:
    """Order by arrival alone."""
    return (case.ready_min, case.case_id)


def p1_first_late_last(case: ArrivedCase, now_min: Decimal) -> tuple[object, ...]:
    """P1 by arrival, then what can still be in time by its deadline, then what is late already."""
    would_be_done_min = now_min + Decimal(expected_read_min(case.exam))
    is_late = would_be_done_min > case.ready_min + HOUR_MIN
    return (case.urgency is not Urgency.P1, is_late and case.urgency is not Urgency.P1, case.ready_min, case.case_id)


@dataclass(kw_only=True)
class _Reader:
    until_min: Decimal
    is_backup: bool
    expected_free_min: Decimal


@dataclass(kw_only=True)
class Pool:
    """All readers share one list; backups are called when the current queue's list schedule predicts a breach."""

    order: Order
    backups: Sequence[str] = ()
    backups_max: int = 0
    _waiting: dict[str, ArrivedCase] = field(default_factory=dict)
    _opened: dict[str, ArrivedCase] = field(default_factory=dict)
    _readers: dict[str, _Reader] = field(default_factory=dict)
    _coming: dict[str, Decimal] = field(default_factory=dict)
    _reading: set[str] = field(default_factory=set)

    def images_complete(self, case: ArrivedCase, now_min: Decimal) -> None:
        """Put it on the list."""
        self._waiting[case.case_id] = case

    def on_duty(self, duty: Duty, now_min: Decimal) -> None:
        """Let a reader take from the list."""
        self._coming.pop(duty.person, None)
        self._readers[duty.person] = _Reader(
            until_min=duty.until_min, is_backup=duty.is_backup, expected_free_min=now_min
        )

    def off_duty(self, person: str, now_min: Decimal) -> None:
        """Give a reader nothing more."""
        del self._readers[person]

    def next_case(self, person: str, now_min: Decimal) -> str | None:
        """Return the first of the list."""
        case = min(self._waiting.values(), key=lambda case: self.order(case, now_min))
        self._opened[case.case_id] = self._waiting.pop(case.case_id)
        self._readers[person].expected_free_min = now_min + Decimal(expected_read_min(case.exam))
        self._reading.add(person)
        return case.case_id

    def signed(self, case_id: str, person: str, now_min: Decimal) -> None:
        """Note that a reader is free."""
        self._reading.remove(person)
        if person in self._readers:
            self._readers[person].expected_free_min = now_min

    def lost(self, person: str, case_id: str | None, now_min: Decimal) -> None:
        """Take a reader off, and put what they had open back on the list."""
        del self._readers[person]
        self._reading.discard(person)
        if case_id is not None:
            self._waiting[case_id] = self._opened[case_id]

    def minute(self, now_min: Decimal) -> BackupOrders:
        """Call a backup, or keep those who are there, when a breach is predicted."""
        if self.backups_max == 0 or not self._waiting or not self._is_breach_predicted(now_min):
            return BackupOrders()
        there = {name: reader for name, reader in self._readers.items() if reader.is_backup}
        # Who would leave within the minute is kept while breaches are predicted.
        ending = {
            name: reader.until_min + _EXTENSION_MIN for name, reader in there.items() if reader.until_min <= now_min + 1
        }
        for name, until_min in ending.items():
            self._readers[name].until_min = until_min
        calls: tuple[str, ...] = ()
        away = self._readers.keys() | self._coming.keys() | self._reading
        at_home = [name for name in self.backups if name not in away]
        if len(there) + len(self._coming) < self.backups_max and at_home:
            calls = (at_home[0],)
            self._coming[calls[0]] = now_min + 15
        return BackupOrders(calls=calls, until_min=ending)

    def _is_breach_predicted(self, now_min: Decimal) -> bool:
        free = [(max(now_min, reader.expected_free_min), reader.until_min) for reader in self._readers.values()]
        free += [(arrives_min, arrives_min + HOUR_MIN) for arrives_min in self._coming.values()]
        heapq.heapify(free)
        for case in sorted(self._waiting.values(), key=lambda case: self.order(case, now_min)):
            while free and free[0][0] >= free[0][1]:
                heapq.heappop(free)
            if not free:
                return True
            start_min, until_min = heapq.heappop(free)
            done_min = start_min + Decimal(expected_read_min(case.exam))
            if done_min > case.ready_min + HOUR_MIN >= now_min:
                return True
            heapq.heappush(free, (done_min, until_min))
        return False


@dataclass(kw_only=True)
class Silo:
    """Each reader reads some hospitals and no others, first in first out: what there was before the territory."""

    site_shares: Mapping[str, float]
    _waiting: dict[str, ArrivedCase] = field(default_factory=dict)
    _opened: dict[str, ArrivedCase] = field(default_factory=dict)
    _readers: set[str] = field(default_factory=set)
    _reader_of: dict[str, str] = field(default_factory=dict)

    def images_complete(self, case: ArrivedCase, now_min: Decimal) -> None:
        """Put it on the list of its hospital's reader."""
        self._waiting[case.case_id] = case

    def on_duty(self, duty: Duty, now_min: Decimal) -> None:
        """Deal the hospitals anew."""
        self._readers.add(duty.person)
        self._deal()

    def off_duty(self, person: str, now_min: Decimal) -> None:
        """Deal the hospitals anew."""
        self._readers.remove(person)
        self._deal()

    def next_case(self, person: str, now_min: Decimal) -> str | None:
        """Return the oldest case of the reader's hospitals."""
        mine = [case for case in self._waiting.values() if self._reader_of[case.site] == person]
        if not mine:
            return None
        case = min(mine, key=lambda case: first_in_first_out(case, now_min))
        self._opened[case.case_id] = self._waiting.pop(case.case_id)
        return case.case_id

    def signed(self, case_id: str, person: str, now_min: Decimal) -> None:
        """Nothing to note: a free reader asks."""

    def lost(self, person: str, case_id: str | None, now_min: Decimal) -> None:
        """Deal the hospitals anew, and put what the reader had open back on the list."""
        if case_id is not None:
            self._waiting[case_id] = self._opened[case_id]
        self.off_duty(person, now_min)

    def minute(self, now_min: Decimal) -> BackupOrders:
        """Call nobody."""
        return BackupOrders()

    def _deal(self) -> None:
        """Give each hospital, the biggest first, to the reader who has the fewest cases to expect."""
        load = dict.fromkeys(sorted(self._readers), 0.0)
        for site in sorted(self.site_shares, key=lambda site: (-self.site_shares[site], site)):
            if load:
                least = min(load, key=lambda reader: (load[reader], reader))
                self._reader_of[site] = least
                load[least] += self.site_shares[site]


def shares_of(cases: Iterable[ArrivedCase]) -> dict[str, float]:
    """Return each hospital's share of these cases: for nights whose hospitals the model does not know."""
    found: dict[str, float] = {}
    for case in cases:
        found[case.site] = found.get(case.site, 0.0) + 1.0
    return {site: count / sum(found.values()) for site, count in found.items()}


def fifo() -> Pool:
    """First in first out, nobody is called."""
    return Pool(order=first_in_first_out)


def fifo_with_backup(staffing: Staffing) -> Pool:
    """First in first out; one backup at a time."""
    return Pool(order=first_in_first_out, backups=staffing.backups(), backups_max=1)


def simple_rules(staffing: Staffing) -> Pool:
    """P1 first, late last; up to two backups at a time."""
    return Pool(order=p1_first_late_last, backups=staffing.backups(), backups_max=2)
