"""Any roster, at any instant: the timeline says what reading the rules of `oncall.rota.resolution` aloud says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.directory import PersonId
from oncall.rota.coverage import coverage_gaps
from oncall.rota.documents import roster_from_json, roster_to_json
from oncall.rota.model import Absence, Override, OverrideKind, Roster, Rotation, ShiftPlan
from oncall.rota.slots import Slot, slots_on
from oncall.rota.timeline import Timeline, beginning, freeze
from oncall.spans import Span, gaps
from oncall.strict_json import canonical, parse
from tests.unit.oncall.rota.timeline_parts import DAY, NIGHT, NOBODY_YET, READER, line

# Four days with the clock change of October 2026 in them.
ZERO = datetime(2026, 10, 23, 22, tzinfo=UTC)
HOURS = 96
WINDOW = Span(start=ZERO, end=ZERO + timedelta(hours=HOURS))
FIRST_DAY = date(2026, 10, 22)

people = st.sampled_from([PersonId(letter) for letter in "ABC"])
hours = st.integers(-12, HOURS + 12)
spans = (
    st.tuples(hours, hours)
    .filter(lambda two: two[0] < two[1])
    .map(lambda two: Span(start=ZERO + timedelta(hours=two[0]), end=ZERO + timedelta(hours=two[1])))
)
rotations = st.builds(
    Rotation,
    line_id=st.just(READER),
    participants=st.lists(people, max_size=3).map(tuple),
    first_day=st.integers(0, 4).map(lambda n: FIRST_DAY + timedelta(days=n)),
    until=st.none() | st.integers(2, 6).map(lambda n: FIRST_DAY + timedelta(days=n)),
    shifts_per_turn=st.integers(1, 2),
    priority=st.integers(0, 1),
)
ages = st.none() | st.integers(0, 5).map(lambda n: ZERO - timedelta(days=n))


@st.composite
def overrides(draw: st.DrawFn, number: int) -> Override:
    kind = draw(st.sampled_from(OverrideKind))
    return Override(
        override_id=f"o{number}",
        line_id=READER,
        kind=kind,
        span=draw(spans),
        added=None if kind is OverrideKind.REMOVE else draw(people),
        removed=draw({OverrideKind.ADD: st.none(), OverrideKind.REMOVE: people}.get(kind, st.none() | people)),
        created_at=draw(ages),
    )


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    rules = draw(st.sampled_from([(NIGHT, DAY), (NIGHT,), ()]))
    return Roster(
        version="1",
        lines=(line(*rules),),
        rotations=tuple(draw(st.lists(rotations, max_size=3))),
        plans=tuple(
            ShiftPlan(shift_id=f"p{n}", line_id=READER, person_id=draw(people), span=draw(spans))
            for n in range(draw(st.integers(0, 3)))
        ),
        overrides=tuple(draw(overrides(n)) for n in range(draw(st.integers(0, 4)))),
        absences=tuple(Absence(person_id=draw(people), span=draw(spans)) for _ in range(draw(st.integers(0, 3)))),
    )


def all_slots(roster: Roster) -> list[Slot]:
    (only,) = roster.lines
    return [slot for n in range(8) for slot in slots_on(only, FIRST_DAY + timedelta(days=n))]


def said(roster: Roster, slots: list[Slot], at: datetime) -> set[PersonId]:
    """Return who is on duty by the rules, read aloud for one instant."""
    (only,) = roster.lines
    away = {one.person_id for one in roster.absences if at in one.span}
    seat: list[tuple[tuple[int, int], PersonId | None]] = [((0, 0), None) for slot in slots if at in slot.span]
    if not only.rules:
        asked = [one for one in roster.overrides if one.kind is OverrideKind.REPLACE and one.removed is None]
        seat += [((0, 0), None) for one in asked if at in one.span]
    for rotation in roster.rotations:
        turn = 0
        for slot in slots:
            if slot.day < rotation.first_day or (rotation.until is not None and slot.day >= rotation.until):
                continue
            if at in slot.span and rotation.participants:
                who = rotation.participants[turn // rotation.shifts_per_turn % len(rotation.participants)]
                seat.append(((1, rotation.priority), who))
            turn += 1
    seat += [((2, 0), plan.person_id) for plan in roster.plans if at in plan.span]
    extra: list[PersonId | None] = []
    for one in sorted(roster.overrides, key=lambda one: one.created_at or datetime.min.replace(tzinfo=UTC)):
        if at not in one.span:
            continue
        if one.kind is OverrideKind.ADD:
            extra.append(one.added)
        elif one.removed is None:
            best = max((strength for strength, who in seat if who not in away), default=None)
            seat = [(s, one.added if s == best and who not in away else who) for s, who in seat]
            extra = []
        else:
            seat = [(s, one.added if who == one.removed else who) for s, who in seat]
            extra = [one.added if who == one.removed else who for who in extra]
    best = max((strength for strength, who in seat if who not in away), default=None)
    return {who for who in [*(w for s, w in seat if s == best), *extra] if who is not None and who not in away}


def instants(roster: Roster) -> list[datetime]:
    """Return every instant at which something could change, a second before it, and every hour."""
    parts = [*roster.plans, *roster.overrides, *roster.absences]
    cuts = {end for part in parts for end in (part.span.start, part.span.end)}
    cuts |= {ZERO + timedelta(minutes=30 + 60 * n) for n in range(HOURS)}
    return sorted(at for cut in cuts for at in (cut - timedelta(seconds=1), cut) if at in WINDOW)


@settings(deadline=None)
@given(rosters())
def test_the_timeline_says_what_the_rules_say_at_every_instant(roster: Roster) -> None:
    timeline = Timeline(roster, NOBODY_YET, WINDOW)
    slots = all_slots(roster)

    for at in instants(roster):
        assert {shift.person_id for shift in timeline.on_duty(at)} == said(roster, slots, at), at


@settings(deadline=None)
@given(rosters())
def test_the_parts_of_a_timeline_agree(roster: Roster) -> None:
    timeline = Timeline(roster, NOBODY_YET, WINDOW)

    assert timeline.line_shifts(READER) == timeline.shifts
    assert sorted(timeline.shifts, key=str) == sorted(
        (shift for letter in "ABC" for shift in timeline.shifts_of(PersonId(letter))), key=str
    )
    for at in instants(roster):
        there = {shift for shift in timeline.shifts if at in shift.span}
        assert there == set(timeline.on_duty(at))
        assert len({shift.person_id for shift in there}) == len(there)
        after = timeline.next_change(at)
        until = WINDOW.end if after is None else after
        assert timeline.on_duty(until - timedelta(microseconds=1)) == timeline.on_duty(at)


@settings(deadline=None)
@given(rosters())
def test_a_gap_is_where_a_rule_wants_somebody_and_nobody_is(roster: Roster) -> None:
    timeline = Timeline(roster, NOBODY_YET, WINDOW)
    found = coverage_gaps(timeline, WINDOW)
    slots = all_slots(roster)

    for at in instants(roster):
        wanted = any(at in slot.span for slot in slots)
        assert any(at in gap.span for gap in found) == (wanted and not timeline.on_duty(at)), at


@settings(deadline=None)
@given(rosters(), st.lists(st.integers(0, 2 * HOURS - 1), min_size=1, max_size=3).map(sorted))
def test_what_was_frozen_stays_whatever_is_edited_afterwards(roster: Roster, halves: list[int]) -> None:
    since = min(beginning(roster) or ZERO, ZERO)
    before = Timeline(roster, NOBODY_YET, Span(start=since, end=WINDOW.end))
    frozen = roster
    for half in halves:
        until = ZERO + timedelta(minutes=30 * half)
        frozen = freeze(frozen, until, Timeline(frozen, NOBODY_YET, Span(start=since, end=WINDOW.end)))
    same = Timeline(frozen, NOBODY_YET, WINDOW)
    emptied = Timeline(replace(frozen, rotations=(), plans=(), overrides=(), absences=()), NOBODY_YET, WINDOW)

    for at in instants(roster):
        was = {shift.person_id for shift in before.on_duty(at)}
        assert {shift.person_id for shift in same.on_duty(at)} == was, at
        assert {shift.person_id for shift in emptied.on_duty(at)} == (was if at < until else set()), at


@settings(deadline=None)
@given(rosters(), st.integers(0, 2 * HOURS - 1))
def test_a_document_read_back_is_the_same_roster(roster: Roster, half: int) -> None:
    since = min(beginning(roster) or ZERO, ZERO)
    whole = Timeline(roster, NOBODY_YET, Span(start=since, end=WINDOW.end))
    for written in (roster, freeze(roster, ZERO + timedelta(minutes=30 * half), whole)):
        assert roster_from_json(parse(canonical(roster_to_json(written)))) == written


def test_the_window_of_these_properties_has_slots_and_hours_that_no_rule_wants() -> None:
    slots = all_slots(Roster(version="1", lines=(line(NIGHT, DAY),)))

    assert [hole.hours for hole in gaps(WINDOW, [slot.span for slot in slots])] == [10.0, 10.0, 10.0]
    assert 15 in [slot.span.hours for slot in slots]
