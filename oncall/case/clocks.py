"""The clocks C1 to C9 of a case, read at an instant: what has elapsed, what is due when, and whether it was missed.

Clock       from -> to                                          default target
----------  --------------------------------------------------  ---------------------------------
C1 answer   request.submitted -> protocol.sent or .refused       10 min, P1 5 min
C2 images   protocol.acknowledged -> images.complete             none: the site's, shown
C3 ack      assign.made -> assign.acknowledged                   5 min, P1 2 min
C4 report   images.complete -> report.signed                     the contract's deadline: the hour
C5          request.submitted -> report.delivered                none: published
C6 critical critical.declared -> acknowledged                    by category: 15 min, 4 h, 3 days
C7 onset    last known well -> 4 h 30                            countdown
C8 second   report.signed -> second read                         48 h
C9 known    report.delivered -> acknowledged by the ED           60 min, P1 15 min

C4 never pauses and is never restarted: neither by late instances nor by matching, triage or reopening. C1 leaves out
the time in which the requester was asked something, and shows it (`paused_s`). All durations are differences of UTC
instants: across a clock change they are what elapsed. Source: domain reference, sections 1.9 and 4.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from oncall.case.commands import HOUR_S
from oncall.case.commands_report import CRITICAL_DUE_S
from oncall.case.regions import ReadingState, RequestState
from oncall.case.state import Case
from oncall.reading.board import Urgency


class Clock(StrEnum):
    """The nine clocks."""

    ANSWER = "C1"
    IMAGES = "C2"
    ACKNOWLEDGEMENT = "C3"
    REPORT = "C4"
    PERCEIVED = "C5"
    CRITICAL = "C6"
    ONSET = "C7"
    SECOND_READ = "C8"
    KNOWN_TO_ED = "C9"


def _by_urgency(p1_s: float, others_s: float) -> Mapping[Urgency, float]:
    return MappingProxyType({Urgency.P1: p1_s, Urgency.P2: others_s, Urgency.P3: others_s})


ONSET_WINDOW_S: Final = 4.5 * 3600
"""Thrombolysis window from last known well (section 1.9)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockTargets:
    """Targets in seconds. Those of C4 are stored in the case at T1 and not read from here afterwards."""

    version: str = "clocks-1"
    answer_s: Mapping[Urgency, float] = field(default_factory=lambda: _by_urgency(300.0, 600.0))
    acknowledgement_s: Mapping[Urgency, float] = field(default_factory=lambda: _by_urgency(120.0, 300.0))
    hour_s: float = HOUR_S
    critical_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType(dict(CRITICAL_DUE_S)))
    onset_s: float = ONSET_WINDOW_S
    second_read_s: float = 48 * 3600.0
    known_to_ed_s: Mapping[Urgency, float] = field(default_factory=lambda: _by_urgency(900.0, 3600.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One clock of a case at an instant.

    ``stopped_at`` is None while it runs. ``elapsed_s`` leaves `paused_s` out. ``due_at`` is None for a clock without a
    target. ``subject`` tells clocks of one kind apart (the critical finding).
    """

    clock: Clock
    started_at: datetime
    stopped_at: datetime | None
    elapsed_s: float
    due_at: datetime | None = None
    paused_s: float = 0.0
    is_paused: bool = False
    subject: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it has not stopped."""
        return self.stopped_at is None

    def is_missed(self, now: datetime) -> bool:
        """Tell whether it stopped after it was due, or runs on after that."""
        return self.due_at is not None and (self.stopped_at or now) > self.due_at

    def left_s(self, now: datetime) -> float | None:
        """Return how long until it is due (negative: overdue); None when it has stopped or has no target."""
        if self.due_at is None or self.stopped_at is not None or self.is_paused:
            return None
        return (self.due_at - now).total_seconds()


DEFAULT_TARGETS: Final = ClockTargets()

_NEVER_ANSWERED: Final = frozenset({RequestState.WITHDRAWN, RequestState.EXPIRED, RequestState.MERGED})


def read_clocks(case: Case, now: datetime, targets: ClockTargets = DEFAULT_TARGETS) -> tuple[Reading, ...]:
    """Return every clock of the case that has started, C1 first."""
    readings = (
        _answer(case, now, targets),
        _images(case, now),
        _acknowledgement(case, now, targets),
        _report(case, now),
        _perceived(case, now),
        *_criticals(case, now, targets),
        _onset(case, now, targets),
        _second_read(case, now, targets),
        _known_to_ed(case, now, targets),
    )
    return tuple(reading for reading in readings if reading is not None)


def late_images_s(case: Case, now: datetime) -> float | None:
    """Return how long images have been late or known to be missing: a sub-clock that is shown, C4 runs on.

    It stops when evidence says that they are complete again; None when none ever were.
    """
    images = case.images
    if images.reopened_at is not None:
        return _elapsed(images.reopened_at, now)
    if images.late_since is None:
        return None
    return _elapsed(images.late_since, images.complete_again_at or now)


def _answer(case: Case, now: datetime, targets: ClockTargets) -> Reading | None:
    request = case.request
    if request.submitted_at is None:
        return None
    paused_s = request.clarification_s
    is_paused = request.clarification_asked_at is not None and request.answered_at is None
    if is_paused and request.clarification_asked_at is not None:
        paused_s += _elapsed(request.clarification_asked_at, now)
    # An exam that was made without a protocol waits for none.
    is_moot = case.is_closed or case.images.complete_at is not None
    if request.answered_at is None and (is_moot or request.state in _NEVER_ANSWERED):
        return None
    stopped = request.answered_at
    return Reading(
        clock=Clock.ANSWER,
        started_at=request.submitted_at,
        stopped_at=stopped,
        elapsed_s=max(0.0, _elapsed(request.submitted_at, stopped or now) - paused_s),
        due_at=request.submitted_at + timedelta(seconds=targets.answer_s[case.urgency] + paused_s),
        paused_s=paused_s,
        is_paused=is_paused,
    )


def _images(case: Case, now: datetime) -> Reading | None:
    return _plain(Clock.IMAGES, case.protocol.acknowledged_at, case.images.complete_at, now)


def _acknowledgement(case: Case, now: datetime, targets: ClockTargets) -> Reading | None:
    reading = case.reading
    if reading.state is ReadingState.CANCELLED:
        return None
    return _plain(
        Clock.ACKNOWLEDGEMENT,
        reading.assigned_at,
        reading.acknowledged_at,
        now,
        targets.acknowledgement_s[case.urgency],
    )


def _report(case: Case, now: datetime) -> Reading | None:
    images = case.images
    if images.complete_at is None:
        return None
    signed = case.report.signed_at
    if signed is None and case.is_closed:
        return None
    return Reading(
        clock=Clock.REPORT,
        started_at=images.complete_at,
        stopped_at=signed,
        elapsed_s=_elapsed(images.complete_at, signed or now),
        due_at=images.deadline_at,
    )


def _perceived(case: Case, now: datetime) -> Reading | None:
    delivered = case.delivery.first_delivered_at
    if delivered is None and case.is_closed:
        return None
    return _plain(Clock.PERCEIVED, case.request.submitted_at, delivered, now)


def _criticals(case: Case, now: datetime, targets: ClockTargets) -> tuple[Reading, ...]:
    return tuple(
        Reading(
            clock=Clock.CRITICAL,
            started_at=one.declared_at,
            stopped_at=one.acknowledged_at,
            elapsed_s=_elapsed(one.declared_at, one.acknowledged_at or now),
            due_at=one.due_at or one.declared_at + timedelta(seconds=targets.critical_s[one.category]),
            subject=one.critical_id,
        )
        for one in case.criticals
    )


def _onset(case: Case, now: datetime, targets: ClockTargets) -> Reading | None:
    # It stops with the report: what follows (thrombolysis) is recorded as an action and not timed here.
    signed = case.report.signed_at
    if signed is None and case.is_closed:
        return None
    return _plain(Clock.ONSET, case.request.onset_at, signed, now, targets.onset_s)


def _second_read(case: Case, now: datetime, targets: ClockTargets) -> Reading | None:
    report = case.report
    if report.double_read_required_at is None or report.signed_at is None:
        return None
    return Reading(
        clock=Clock.SECOND_READ,
        started_at=report.signed_at,
        stopped_at=report.double_read_done_at,
        elapsed_s=_elapsed(report.signed_at, report.double_read_done_at or now),
        due_at=report.double_read_due_at or report.signed_at + timedelta(seconds=targets.second_read_s),
    )


def _known_to_ed(case: Case, now: datetime, targets: ClockTargets) -> Reading | None:
    delivery = case.delivery
    if delivery.acknowledged_at is None and case.is_closed:
        return None
    # Delivery begins anew with each version; the clock is that of the version now on its way.
    return _plain(
        Clock.KNOWN_TO_ED,
        delivery.delivered_at,
        delivery.acknowledged_at,
        now,
        targets.known_to_ed_s[case.urgency],
    )


def _plain(
    clock: Clock, started: datetime | None, stopped: datetime | None, now: datetime, target_s: float | None = None
) -> Reading | None:
    if started is None:
        return None
    return Reading(
        clock=clock,
        started_at=started,
        stopped_at=stopped,
        elapsed_s=_elapsed(started, stopped or now),
        due_at=None if target_s is None else started + timedelta(seconds=target_s),
    )


def _elapsed(start: datetime, end: datetime) -> float:
    """Return seconds between two UTC instants; facts may be reported out of order, durations are never negative."""
    return max(0.0, (end - start).total_seconds())
