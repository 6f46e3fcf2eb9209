"""The clairvoyant: what last night's readers could have had in time, and why each late report was late.

For: turning blame into evidence. Not for: deciding anything, or for reading the database (`oncall.figures.nights`).
Pure. Source: domain reference, sections 3.3 and 5 (idea 2).

What is known afterwards goes into the program of `oncall.figures.bound`: when the images were complete, how long each
report was really read, who was on duty or called, who was silent, which transfers stalled. A reader reads one case at a
time: where several were open, the one opened last was being read.

Each late case gets the first cause that holds, the same for the same night:

1. **own length**: it was read for longer than its hour; nobody could have had it in time.
2. **order**: with the same readers, silences and transfers it could have been in time, beside everything that was.
3. **silence**: it could have been, had everybody answered.
4. **transfer**: it could have been, had no transfer stalled and no image come late.
5. **capacity**: none of these: unavoidable with these reader hours.

The plan breaks readings off and hands them over at no cost, and every reader reads everything: what it calls capacity
is that for certain, what it calls avoidable a real night might still have missed. Cases from before the night take no
capacity in it.

Invariants: what was in time is in time in every plan; ``in_time <= bound``; what is labelled order is possible
together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from oncall.directory import PersonId
from oncall.figures.bound import Chair, Job, also_in_time, most_in_time
from oncall.figures.row import Cause
from oncall.spans import Span, subtract, union

# A report that was signed in no time at all was still read.
_READ_MIN: Final = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A case open with one reader, without the time in which it was laid aside. ``is_final``: it led to the report."""

    case_id: str
    person_id: PersonId
    spans: tuple[Span, ...]
    is_final: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedCase:
    """A case whose hour began in the night. ``signed_at`` is None while it is not reported.

    ``late_images_at`` is when the last image came that its reader had to wait for. ``expected_read_s`` is for what
    nobody has read to its end.
    """

    case_id: str
    site_id: str
    urgency: int
    exam: str
    images_at: datetime
    deadline_at: datetime
    signed_at: datetime | None
    opened_at: datetime | None
    expected_read_s: float
    stalled: timedelta = timedelta(0)
    late_images_at: datetime | None = None

    @property
    def is_in_time(self) -> bool:
        """Whether it was reported within its hour."""
        return self.signed_at is not None and self.signed_at <= self.deadline_at


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedNight:
    """What happened: cases, everything that was read, who was there and who was silent then."""

    within: Span
    cases: tuple[PlayedCase, ...]
    turns: tuple[Turn, ...]
    duties: Mapping[PersonId, Sequence[Span]]
    silences: Mapping[PersonId, Sequence[Span]]


@dataclass(frozen=True, kw_only=True, slots=True)
class LateCase:
    """A case that missed its hour, and why. ``elapsed_s`` and ``read_s`` are None while it is not reported."""

    case_id: str
    site_id: str
    urgency: int
    exam: str
    images_at: datetime
    cause: Cause
    elapsed_s: float | None
    read_s: float | None
    waited_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The clairvoyant's view of a night; the bounds are numbers of cases in time that nobody could have exceeded.

    ``bound`` is for everything as it happened, the others with one perturbation removed (deadlines stay).
    ``reader_hours`` is what was there, silence included.
    """

    within: Span
    cases: int
    in_time: int
    bound: int
    bound_without_silence: int
    bound_without_transfers: int
    reader_hours: float
    late: tuple[LateCase, ...]

    @property
    def ratio(self) -> float | None:
        """In time, of what could have been; None of a night in which nothing could."""
        return self.in_time / self.bound if self.bound else None

    def causes(self) -> Mapping[str, Cause]:
        """Return the cause of each late case by its id."""
        return {one.case_id: one.cause for one in self.late}


def judge(night: PlayedNight) -> Verdict:
    """Return what could have been of a night."""
    read = _read_times(night)
    read_min = [_read_min(case, read) for case in night.cases]
    there = _chairs(night, with_silence=True)
    awake = _chairs(night, with_silence=False)
    as_it_was = [_job(night, case, minutes) for case, minutes in zip(night.cases, read_min, strict=True)]
    in_time = frozenset(index for index, case in enumerate(night.cases) if case.is_in_time)
    at_once = [_job_at_once(night, case, minutes) for case, minutes in zip(night.cases, read_min, strict=True)]
    causes = _causes(night, as_it_was, at_once, there, awake, in_time)
    late = tuple(
        _late(case, causes[index], read.get(case.case_id))
        for index, case in enumerate(night.cases)
        if index not in in_time
    )
    bound = most_in_time(as_it_was, there)
    eased = _eased(as_it_was, at_once, frozenset(range(len(as_it_was))))
    return Verdict(
        within=night.within,
        cases=len(night.cases),
        in_time=len(in_time),
        bound=bound,
        # Where nobody was silent and nothing stalled it is the same program: that takes seconds for nothing.
        bound_without_silence=bound if awake == there else max(bound, most_in_time(as_it_was, awake)),
        bound_without_transfers=bound if eased == as_it_was else max(bound, most_in_time(eased, there)),
        reader_hours=sum(span.hours for spans in _hours(night, with_silence=False).values() for span in spans),
        late=tuple(sorted(late, key=lambda one: (one.images_at, one.case_id))),
    )


def _causes(
    night: PlayedNight,
    as_it_was: Sequence[Job],
    at_once: Sequence[Job],
    there: Sequence[Chair],
    awake: Sequence[Chair],
    in_time: frozenset[int],
) -> Mapping[int, Cause]:
    causes: dict[int, Cause] = {}
    for index, job in enumerate(as_it_was):
        if index not in in_time and job.read_min > _minutes(
            night.cases[index].deadline_at - night.cases[index].images_at
        ):
            causes[index] = Cause.OWN_LENGTH
    kept = in_time
    for cause, jobs, chairs in (
        (Cause.ORDER, as_it_was, there),
        (Cause.SILENCE, as_it_was, awake),
        (Cause.TRANSFER, _eased(as_it_was, at_once, kept), there),
    ):
        left = set(range(len(jobs))) - kept - causes.keys()
        if not left:
            break
        if cause is not Cause.ORDER and (list(jobs), list(chairs)) == (list(as_it_was), list(there)):
            continue
        # Without the cases that no plan can save the program is a small one.
        wanted = sorted(kept | left)
        found = also_in_time([jobs[index] for index in wanted], chairs, frozenset(map(wanted.index, kept)))
        if found is None:
            # The solver gave up: what it did not say is not made up.
            return {**dict.fromkeys(left, Cause.WAITING), **causes}
        causes.update(dict.fromkeys((wanted[place] for place in found), cause))
        if cause is Cause.ORDER:
            kept = kept | {wanted[place] for place in found}
    return {index: causes.get(index, Cause.CAPACITY) for index in range(len(as_it_was))}


def _eased(as_it_was: Sequence[Job], at_once: Sequence[Job], kept: frozenset[int]) -> list[Job]:
    """Return the jobs without transfers that stalled; what was in time keeps its deadline, so that it stays so."""
    return [
        Job(ready_min=early.ready_min, due_min=real.due_min, read_min=real.read_min) if index in kept else early
        for index, (real, early) in enumerate(zip(as_it_was, at_once, strict=True))
    ]


def _late(case: PlayedCase, cause: Cause, read: timedelta | None) -> LateCase:
    return LateCase(
        case_id=case.case_id,
        site_id=case.site_id,
        urgency=case.urgency,
        exam=case.exam,
        images_at=case.images_at,
        cause=cause,
        elapsed_s=None if case.signed_at is None else (case.signed_at - case.images_at).total_seconds(),
        read_s=None if read is None or case.signed_at is None else read.total_seconds(),
        waited_s=None if case.opened_at is None else max(0.0, (case.opened_at - case.images_at).total_seconds()),
    )


def _job(night: PlayedNight, case: PlayedCase, read_min: float) -> Job:
    """Return the case as it came: not to be read before the images that its reader waited for."""
    ready_at = case.images_at
    if case.late_images_at is not None:
        begun_at = case.opened_at or case.late_images_at
        ready_at = max(ready_at, min(case.late_images_at, begun_at))
    return Job(ready_min=_at(night, ready_at), due_min=_at(night, case.deadline_at), read_min=read_min)


def _job_at_once(night: PlayedNight, case: PlayedCase, read_min: float) -> Job:
    """Return the case with all its images as soon as they would have been there; its hour begins then."""
    return Job(
        ready_min=_at(night, case.images_at - case.stalled),
        due_min=_at(night, case.deadline_at - case.stalled),
        read_min=read_min,
    )


def _read_min(case: PlayedCase, read: Mapping[str, timedelta]) -> float:
    if case.signed_at is None or case.case_id not in read:
        return max(_READ_MIN, case.expected_read_s / 60)
    return max(_READ_MIN, _minutes(read[case.case_id]))


def _read_times(night: PlayedNight) -> dict[str, timedelta]:
    """Return how long each report was read, one case at a time: of several open ones the one opened last."""
    by_person: dict[PersonId, list[tuple[Span, Turn]]] = {}
    for turn in night.turns:
        for span in turn.spans:
            by_person.setdefault(turn.person_id, []).append((span, turn))
    found: dict[str, timedelta] = {turn.case_id: timedelta(0) for turn in night.turns if turn.is_final}
    for spans in by_person.values():
        instants = sorted({instant for span, _ in spans for instant in (span.start, span.end)})
        for start, end in pairwise(instants):
            active = [
                (span.start, turn.case_id, turn) for span, turn in spans if span.start <= start and end <= span.end
            ]
            if active:
                turn = max(active, key=lambda one: one[:2])[2]
                if turn.is_final:
                    found[turn.case_id] += end - start
    return found


def _hours(night: PlayedNight, *, with_silence: bool) -> dict[PersonId, list[Span]]:
    """Return who was there when: on duty or called, and whenever they read; silent ones were not."""
    reading: dict[PersonId, list[Span]] = {}
    for turn in night.turns:
        reading.setdefault(turn.person_id, []).extend(turn.spans)
    there: dict[PersonId, list[Span]] = {}
    for person_id in sorted({*night.duties, *reading}):
        duty: Iterable[Span] = night.duties.get(person_id, ())
        if with_silence:
            duty = subtract(duty, night.silences.get(person_id, ()))
        there[person_id] = union([*duty, *reading.get(person_id, ())])
    return there


def _chairs(night: PlayedNight, *, with_silence: bool) -> list[Chair]:
    ends = {(person_id, span.end) for person_id, spans in night.duties.items() for span in union(spans)}
    return [
        Chair(
            from_min=_at(night, span.start),
            until_min=_at(night, span.end),
            # Who goes home finishes what they have begun; who falls silent does not.
            may_finish=(person_id, span.end) in ends,
        )
        for person_id, spans in _hours(night, with_silence=with_silence).items()
        for span in spans
    ]


def _at(night: PlayedNight, instant: datetime) -> float:
    return _minutes(instant - night.within.start)


def _minutes(duration: timedelta) -> float:
    return duration / timedelta(minutes=1)
