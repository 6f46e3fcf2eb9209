"""The generator's problem: seats in groups, who cannot take which and why, and what else binds each person.

Seats of one span whose lines are for the same people are one group: readers 1, 2 and 3 of an evening are alike, and a
solver that does not tell them apart searches a third as much. Nothing here knows the solver.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from typing import Final

from foundation.errors import PeerError
from oncall.directory import LineId, Person, PersonId
from oncall.local_time import first_instant, local_day
from oncall.rota import generate_texts as texts
from oncall.rota import ledger, legal
from oncall.rota.generation import Cap, CapKind, Demand, GenerationRequest, Mix
from oncall.rota.legal import Rule, Work
from oncall.rota.model import Absence, Line, LineKind, OverrideKind, Session, Shift, ShiftPlan
from oncall.rota.slots import Slot, slots_on
from oncall.rota.timeline import Timeline
from oncall.spans import Span

_DEEP_NIGHT_H_MIN: Final = 2.0
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Seats that are alike: as many people as lines are needed. ``burden_min`` are weighted minutes."""

    number: int
    span: Span
    day: date
    slots: tuple[Slot, ...]
    lines: tuple[Line, ...]
    eligible: frozenset[PersonId]
    burden_min: int
    is_night: bool
    is_deep_night: bool
    is_weekend: bool
    is_holiday: bool

    @property
    def is_home(self) -> bool:
        """Whether it is spent at home."""
        return self.lines[0].kind is not LineKind.DUTY


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """At most `limit` of the groups' weights that one person takes, because of `demand`."""

    demand: Demand
    person_id: PersonId
    weights: Mapping[int, int]
    limit: int


@dataclass(kw_only=True, slots=True)
class Problem:
    """Everything that a model is built from; `windows` and `forbidden` grow when a roster found is not legal yet.

    ``blocked`` tells why a person cannot be in a group; ``conflicts`` are pairs of groups that nobody takes both of,
    True when they overlap; ``locked`` are plans that keep somebody in a group.
    """

    request: GenerationRequest
    groups: tuple[Group, ...]
    people: tuple[PersonId, ...]
    fixed: Mapping[PersonId, list[Work]]
    blocked: dict[tuple[PersonId, int], list[Demand]]
    conflicts: tuple[tuple[int, int, bool], ...]
    locked: tuple[tuple[ShiftPlan, int, Demand], ...]
    locked_plans: tuple[ShiftPlan, ...]
    rest: Mapping[PersonId, Demand]
    cover: tuple[Demand, ...]
    windows: list[Window]
    mixes: tuple[tuple[Mix, Demand, tuple[int, ...]], ...]
    forbidden: list[tuple[Demand, PersonId, frozenset[int]]] = field(default_factory=list)

    def demands(self) -> tuple[Demand, ...]:
        """Return everything that could be in a conflict, without repetition."""
        found: dict[Demand, None] = dict.fromkeys(self.cover)
        for reasons in self.blocked.values():
            found.update(dict.fromkeys(reasons))
        found.update(dict.fromkeys(self.rest.values()))
        found.update(dict.fromkeys(demand for _, _, demand in self.locked))
        found.update(dict.fromkeys(window.demand for window in self.windows))
        found.update(dict.fromkeys(demand for _, demand, _ in self.mixes))
        return tuple(found)


def problem_of(request: GenerationRequest) -> Problem:
    """Return the problem that a request poses.

    Raises
    ------
    PeerError
        If it names lines or people that are not there, or a locked plan that does not fill whole seats.
    """
    _check(request)
    zone = request.limits.time_zone
    groups = _groups(request)
    locked_plans, seats = _locked(request, groups)
    people = (*request.people, *sorted({plan.person_id for plan, _ in seats} - set(request.people)))
    fixed = _fixed_works(request, people)
    rest = {person_id: texts.rest(person_id) for person_id in people}
    blocked: dict[tuple[PersonId, int], list[Demand]] = {}
    absences: defaultdict[PersonId, list[Absence]] = defaultdict(list)
    for absence in request.roster.absences:
        absences[absence.person_id].append(absence)
    candidates = [_candidate(request, group) for group in groups]
    for person_id in people:
        for group, candidate in zip(groups, candidates, strict=True):
            away = [one for one in absences[person_id] if one.span.overlaps(group.span)]
            if reasons := _reasons(request, group, candidate, fixed[person_id], away, rest[person_id]):
                blocked[person_id, group.number] = reasons
    return Problem(
        request=request,
        groups=groups,
        people=people,
        fixed=fixed,
        blocked=blocked,
        conflicts=tuple(_conflicts(request, groups)),
        locked=tuple((plan, number, texts.locked(plan, zone)) for plan, number in seats),
        locked_plans=locked_plans,
        rest=rest,
        cover=tuple(texts.cover(group.slots, group.span, zone) for group in groups),
        windows=[window for person_id in people for window in _windows(request, groups, person_id, fixed[person_id])],
        mixes=tuple(_mixes(request, groups)),
    )


def averages_window(problem: Problem, person_id: PersonId, rule: Rule, within: Span) -> Window:
    """Return what keeps one person within the 48 h or the teleradiology share over one reference window."""
    person = problem.request.directory.persons[person_id]
    return _average(problem.request, problem.groups, person, problem.fixed[person_id], rule, within)


def reference_span(request: GenerationRequest) -> Span:
    """Return the days to fill with a reference period and two days on both sides: what the law looks at."""
    reach = timedelta(weeks=request.limits.reference_weeks, days=2)
    zone = request.limits.time_zone
    inside = _days_span(request, zone)
    return Span(start=inside.start - reach, end=inside.end + reach)


def _check(request: GenerationRequest) -> None:
    known = {line.line_id for line in request.roster.lines}
    if (
        unknown := (request.lines | request.eligible.keys() | {one for mix in request.mixes for one in mix.lines})
        - known
    ):
        message = f"these lines are not in the roster: {', '.join(sorted(unknown))}; add them or leave them out"
        raise PeerError(message)
    if unknown_people := set(request.people) - request.directory.persons.keys():
        message = f"these people are not in the directory: {', '.join(sorted(unknown_people))}; add them"
        raise PeerError(message)
    if request.until <= request.first_day:
        message = f"the days to fill end before they begin: {request.first_day} to {request.until}"
        raise PeerError(message)


def lines_to_fill(request: GenerationRequest) -> list[Line]:
    """Return the lines whose seats are asked for."""
    return [line for line in request.roster.lines if not request.lines or line.line_id in request.lines]


def _groups(request: GenerationRequest) -> tuple[Group, ...]:
    alike: defaultdict[tuple[object, ...], list[tuple[Slot, Line]]] = defaultdict(list)
    for line in lines_to_fill(request):
        eligible = request.eligible.get(line.line_id, frozenset(request.people))
        for number in range((request.until - request.first_day).days):
            for slot in slots_on(line, request.first_day + timedelta(days=number)):
                key = (slot.span.start, slot.span.end, line.kind, tuple(sorted(line.sites)), tuple(sorted(eligible)),
                       line.time_zone, line.commune)  # fmt: skip
                alike[key].append((slot, line))
    in_time = sorted(alike.values(), key=lambda members: (members[0][0].span, members[0][1].line_id))
    return tuple(_group(request, number, members) for number, members in enumerate(in_time))


def _group(request: GenerationRequest, number: int, members: Sequence[tuple[Slot, Line]]) -> Group:
    slot, line = members[0]
    parts = list(ledger.parts_of(slot.span, line))
    return Group(
        number=number,
        span=slot.span,
        day=slot.day,
        slots=tuple(slot for slot, _ in members),
        lines=tuple(line for _, line in members),
        eligible=request.eligible.get(line.line_id, frozenset(request.people)),
        burden_min=round(60 * ledger.burden(slot.span, line, request.weights)),
        is_night=any(part.night is not None for part in parts),
        is_deep_night=sum(part.span.hours for part in parts if part.is_deep_night) >= _DEEP_NIGHT_H_MIN,
        is_weekend=any(part.is_weekend for part in parts),
        is_holiday=any(part.is_holiday for part in parts),
    )


def _locked(
    request: GenerationRequest, groups: Sequence[Group]
) -> tuple[tuple[ShiftPlan, ...], list[tuple[ShiftPlan, int]]]:
    """Return the locked plans of the seats, and for each seat that somebody keeps, by plan or override, its group."""
    by_line: defaultdict[LineId, list[tuple[Slot, int]]] = defaultdict(list)
    for group in groups:
        for slot in group.slots:
            by_line[slot.line_id].append((slot, group.number))
    agreed = [
        ShiftPlan(shift_id=one.override_id, line_id=one.line_id, person_id=one.added, span=one.span, locked=True)
        for one in request.roster.overrides
        if one.kind is OverrideKind.REPLACE and one.added is not None
    ]
    plans, seats = [], []
    for plan in (*(plan for plan in request.roster.plans if plan.locked), *agreed):
        touched = [(slot, number) for slot, number in by_line[plan.line_id] if slot.span.overlaps(plan.span)]
        if any(slot.span.start < plan.span.start or plan.span.end < slot.span.end for slot, _ in touched):
            message = f"{plan.shift_id} keeps a part of a seat of {plan.line_id}; lock or replace whole seats"
            raise PeerError(message)
        if touched and plan not in agreed:
            plans.append(plan)
        seats += [(plan, number) for _, number in touched]
    return tuple(plans), seats


def _fixed_works(request: GenerationRequest, people: Sequence[PersonId]) -> dict[PersonId, list[Work]]:
    """What people do that is not to be generated: other lines and days, sessions, and who comes in addition."""
    within = reference_span(request)
    filled = {line.line_id: line.time_zone for line in lines_to_fill(request)}
    added = {f"override:{one.override_id}" for one in request.roster.overrides if one.kind is OverrideKind.ADD}
    kept: defaultdict[PersonId, list[Shift]] = defaultdict(list)
    for shift in Timeline(request.roster, request.directory, within).shifts:
        zone = filled.get(shift.line_id)
        is_inside = zone is not None and request.first_day <= local_day(shift.span.start, zone) < request.until
        if not is_inside or shift.origin in added:
            kept[shift.person_id].append(shift)
    sessions: defaultdict[PersonId, list[Session]] = defaultdict(list)
    for session in request.roster.sessions:
        if session.span.overlaps(within):
            sessions[session.person_id].append(session)
    return {
        person_id: legal.works_of(
            person_id,
            kept[person_id],
            sessions[person_id],
            lines=request.roster.lines,
            person=request.directory.persons.get(person_id),
        )
        for person_id in people
    }


def _candidate(request: GenerationRequest, group: Group) -> Work:
    """A seat of the group as rest sees it; a backup who must stay callable is bound like a reader on duty."""
    line = group.lines[0]
    if line.kind is LineKind.BACKUP and request.keeps_backups_callable:
        line = replace(line, kind=LineKind.DUTY)
    return legal.new_work(PersonId("anybody"), group.span, line, None)


def _reasons(
    request: GenerationRequest,
    group: Group,
    new: Work,
    works: Sequence[Work],
    absences: Sequence[Absence],
    rest: Demand,
) -> list[Demand]:
    """Why somebody, with what they do anyway, cannot take a seat of the group; averages are looked at later."""
    zone = request.limits.time_zone
    reasons: list[Demand] = [texts.absence(absence, zone) for absence in absences]
    if any(_is_close(work, new, request) for work in works if not work.is_home):
        reasons.append(rest)
    for violation in legal.around(works, new, request.limits):
        if violation.rule is Rule.REST_11_H:
            reasons.append(rest)
        elif violation.rule is Rule.DOUBLE_BOOKING:
            other = next(shift for shift in violation.shifts if shift is not new.shift)
            reasons.append(texts.elsewhere(other, zone))
        elif violation.rule is Rule.AMPLITUDE_14_H:
            reasons.append(texts.amplitude(group.slots[0], group.span.hours))
    return list(dict.fromkeys(reasons))


def _is_close(work: Work, new: Work, request: GenerationRequest) -> bool:
    """Tell whether nobody is given `new` beside `work`: what is planned ahead does without derogations."""
    reach_s = request.limits.continuous_h_max * 3600
    if work.end_s + reach_s <= new.start_s or new.end_s + reach_s <= work.start_s:
        return False
    first, second = (work, new) if work.start_s <= new.start_s else (new, work)
    return first.end_s <= second.start_s and legal.is_too_close(first, second, request.limits)


def _conflicts(request: GenerationRequest, groups: Sequence[Group]) -> Iterator[tuple[int, int, bool]]:
    """Pairs of groups, the earlier first, that the law gives to nobody together, whoever it is."""
    reach = timedelta(hours=request.limits.continuous_h_max)
    ordered = sorted(groups, key=lambda group: group.span.start)
    works = {group.number: _candidate(request, group) for group in ordered}
    for place, first in enumerate(ordered):
        for second in ordered[place + 1 :]:
            if second.span.start >= first.span.end + reach:
                break
            if first.span.overlaps(second.span):
                yield first.number, second.number, True
            elif not (first.is_home and second.is_home) and legal.is_too_close(
                works[first.number], works[second.number], request.limits
            ):
                yield first.number, second.number, False


def _windows(
    request: GenerationRequest, groups: Sequence[Group], person_id: PersonId, works: Sequence[Work]
) -> Iterator[Window]:
    person = request.directory.persons.get(person_id)
    if person is None:
        return
    inside = _days_span(request, request.limits.time_zone)
    length = timedelta(weeks=request.limits.reference_weeks)
    # Windows wholly within the days are a day longer, and one begins each day: each stands for all that begin on it.
    # Of those that reach out one a week is looked at; what falls between is added when a roster found breaks it.
    daily = [inside.start + timedelta(days=day) for day in range(max(1, (inside.end - length - inside.start).days + 1))]
    weekly = [inside.start + timedelta(weeks=week) for week in range(-request.limits.reference_weeks + 1, 0)]
    weekly += [daily[-1] + timedelta(weeks=week) for week in range(1, request.limits.reference_weeks)]
    windows = [Span(start=start, end=start + length) for start in weekly]
    windows += [Span(start=start, end=start + length + _DAY) for start in daily]
    kept: list[Window] = []
    for within in windows:
        for rule in (Rule.WEEK_48_H_OVER_4_MONTHS, Rule.TELERADIOLOGY_SHARE):
            window = _average(request, groups, person, works, rule, within)
            if sum(weight for weight in window.weights.values() if weight > 0) > window.limit:
                kept.append(window)
    yield from (window for window in kept if not any(_is_implied(window, other) for other in kept))
    yield from _cap_windows(request, groups, person_id)


def _is_implied(window: Window, other: Window) -> bool:
    """Tell whether `other` is strictly stronger: the same groups and more, with no more room."""
    if window is other or window.demand != other.demand or other.limit > window.limit:
        return False
    is_more = len(other.weights) > len(window.weights) or other.limit < window.limit
    return is_more and all(other.weights.get(number, 0) >= weight for number, weight in window.weights.items())


def _average(
    request: GenerationRequest,
    groups: Sequence[Group],
    person: Person,
    works: Sequence[Work],
    rule: Rule,
    within: Span,
) -> Window:
    """One average as a linear bound in minutes (thousandths for the share)."""
    weeks = request.limits.reference_weeks
    worked = {
        group.number: shared.duration.total_seconds() / 60
        for group in groups
        if not group.is_home and (shared := group.span.intersection(within)) is not None
    }
    fixed = _minutes([work for work in works if not work.is_home], within)
    if rule is Rule.WEEK_48_H_OVER_4_MONTHS:
        weights = {number: round(minutes) for number, minutes in worked.items()}
        limit = round(request.limits.week_h_max * weeks * 60 - fixed)
        return Window(
            demand=texts.week_48_h(person.person_id), person_id=person.person_id, weights=weights, limit=max(limit, 0)
        )
    remote = {group.number for group in groups if legal.is_teleradiology(group.lines[0], person)}
    fixed_remote = _minutes([work for work in works if work.is_teleradiology], within)
    contract = person.weekly_hours * weeks * 60
    # With more than the contract in other work, new work of any kind widens the base; else the contract is the base.
    own = person.teleradiology_share_max if fixed >= contract else 0.0
    weights = {
        number: round(1000 * minutes * ((number in remote) - own))
        for number, minutes in worked.items()
        if number in remote or own
    }
    limit = int(1000 * (person.teleradiology_share_max * max(fixed, contract) - fixed_remote))
    demand = texts.share(person.person_id, person.teleradiology_share_max)
    return Window(demand=demand, person_id=person.person_id, weights=weights, limit=max(limit, 0))


def _cap_windows(request: GenerationRequest, groups: Sequence[Group], person_id: PersonId) -> Iterator[Window]:
    for cap in request.caps:
        if cap.person_id not in {None, person_id}:
            continue
        demand = texts.cap(cap, person_id)
        last = None
        for number in range((request.until - request.first_day).days):
            first_day = request.first_day + timedelta(days=number)
            inside = [group for group in groups if first_day <= group.day < first_day + timedelta(days=cap.days)]
            weights = {group.number: 1 for group in inside if _is_counted(cap, group)}
            if weights != last and len(weights) > cap.count_max:
                yield Window(demand=demand, person_id=person_id, weights=weights, limit=cap.count_max)
            last = weights


def _is_counted(cap: Cap, group: Group) -> bool:
    match cap.kind:
        case CapKind.SHIFTS:
            return True
        case CapKind.NIGHT_SHIFTS:
            return group.is_night and not group.is_home
        case CapKind.WEEKEND_SHIFTS:
            return group.is_weekend and not group.is_home


def _mixes(request: GenerationRequest, groups: Sequence[Group]) -> Iterator[tuple[Mix, Demand, tuple[int, ...]]]:
    for mix in request.mixes:
        spans: defaultdict[Span, list[int]] = defaultdict(list)
        for group in groups:
            if any(line.line_id in mix.lines for line in group.lines):
                spans[group.span].append(group.number)
        for span, numbers in sorted(spans.items()):
            yield mix, texts.mix(mix, span, request.limits.time_zone), tuple(numbers)


def _minutes(works: Sequence[Work], within: Span) -> float:
    shared = (work.shift.span.intersection(within) for work in works)
    return sum(span.duration.total_seconds() / 60 for span in shared if span is not None)


def _days_span(request: GenerationRequest, zone: str) -> Span:
    return Span(
        start=first_instant(request.first_day, time(0), zone),
        end=first_instant(request.until, time(0), zone),
    )
