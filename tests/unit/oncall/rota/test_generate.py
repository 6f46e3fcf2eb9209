"""Generated rosters: legal, complete, even; locked cells hold; what is impossible is explained by a smallest set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from foundation.errors import PeerError, Refused
from oncall.directory import Competence, Directory, LineId, PersonId, SubSpecialty
from oncall.rota.coverage import coverage_gaps
from oncall.rota.generate import generate, with_generated
from oncall.rota.generate_explain import minimal
from oncall.rota.generation import (
    Cap,
    CapKind,
    DemandKind,
    GeneratedRoster,
    GenerationRequest,
    Infeasible,
    Mix,
    Progress,
)
from oncall.rota.legal import Severity, violations
from oncall.rota.model import Absence, LineKind, Override, OverrideKind, Roster, Session, ShiftPlan
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.unit.oncall.rota.rosters import (
    DEEP_NIGHT,
    EVENING,
    SATURDAY,
    SUNDAY,
    WHOLE_NIGHT,
    directory,
    line,
    local,
    readers,
)

FIRST_DAY = date(2026, 10, 12)
READER_1 = line("reader-1", EVENING, DEEP_NIGHT, SATURDAY, SUNDAY)
READER_2 = line("reader-2", EVENING)
BACKUP = line("backup", WHOLE_NIGHT, kind=LineKind.BACKUP)
LINES = (READER_1, READER_2, BACKUP)


def request(people: int = 8, days: int = 21, **more: object) -> GenerationRequest:
    pool = readers(people)
    asked = {
        "roster": Roster(version="draft", lines=LINES),
        "directory": directory(pool),
        "first_day": FIRST_DAY,
        "until": FIRST_DAY + timedelta(days=days),
        "people": pool,
        "search_s_max": 1.0,
        **more,
    }
    return GenerationRequest(**asked)  # type: ignore[arg-type] # keywords are passed on as they come


def filled(asked: GenerationRequest) -> tuple[Roster, GeneratedRoster]:
    generated = generate(asked)
    assert isinstance(generated, GeneratedRoster), generated
    return with_generated(asked.roster, asked, generated, "generated"), generated


def explained(asked: GenerationRequest) -> Infeasible:
    found = generate(asked)
    assert isinstance(found, Infeasible), found
    return found


def timeline_of(roster: Roster, who: Directory) -> Timeline:
    return Timeline(roster, who, Span(start=datetime(2026, 9, 1, tzinfo=UTC), end=datetime(2027, 3, 1, tzinfo=UTC)))


def broken(roster: Roster, asked: GenerationRequest) -> list[str]:
    """Return everything that the law forbids in a roster, judged from its timeline alone."""
    timeline = timeline_of(roster, asked.directory)
    return [
        one.message_en
        for person in asked.directory.persons.values()
        for one in violations(
            person.person_id, timeline.shifts, roster.sessions, asked.limits, timeline.within,
            lines=roster.lines, person=person, absences=roster.absences,
        )
        if one.severity is not Severity.NOTICE
    ]  # fmt: skip


def test_every_seat_is_filled_once_and_nothing_breaks_the_law_across_the_clock_change() -> None:
    asked = request()

    roster, _ = filled(asked)

    timeline = timeline_of(roster, asked.directory)
    days = Span(start=local(FIRST_DAY, "18:30", "19:00").start, end=local(asked.until, "00:30", "01:00").start)
    assert coverage_gaps(timeline, days) == ()
    assert broken(roster, asked) == []
    assert Counter(Counter((s.line_id, s.span) for s in timeline.shifts).values()) == {1: len(timeline.shifts)}


def test_the_load_is_even_and_the_ledger_agrees() -> None:
    asked = request(search_s_max=4.0)

    _, generated = filled(asked)

    assert generated.spread.deep_nights <= 1
    assert generated.spread.backups <= 1
    assert generated.spread.weekends <= 2
    assert generated.spread.burden_hours <= 10


def test_a_half_time_reader_has_about_half() -> None:
    half = PersonId("r01")

    roster, _ = filled(request(parts={half: 0.5}, search_s_max=4.0))

    hours = Counter(dict.fromkeys(readers(8), 0.0))
    for plan in roster.plans:
        hours[plan.person_id] += plan.span.hours if plan.line_id != BACKUP.line_id else 0
    others = [hours[one] for one in readers(8) if one != half]
    assert 0.35 < hours[half] / (sum(others) / len(others)) < 0.65


def test_locked_cells_hold_and_other_plans_give_way() -> None:
    day = FIRST_DAY + timedelta(days=3)
    locked = ShiftPlan(
        shift_id="mine", line_id=READER_1.line_id, person_id=PersonId("r05"), span=local(day, "18:30", "08:30"),
        locked=True,
    )  # fmt: skip
    loose = replace(locked, shift_id="loose", person_id=PersonId("r06"), span=local(day, "18:30", "00:30"),
                    line_id=READER_2.line_id, locked=False)  # fmt: skip

    roster, _ = filled(request(roster=Roster(version="1", lines=LINES, plans=(locked, loose))))

    assert locked in roster.plans
    assert loose not in roster.plans
    on_line = timeline_of(roster, directory(readers(8))).line_shifts(READER_1.line_id, locked.span)
    assert {shift.person_id for shift in on_line} == {"r05"}


def test_a_swap_that_was_agreed_stays_and_is_rested_around() -> None:
    day = FIRST_DAY + timedelta(days=3)
    swap = Override(
        override_id="swap-1", line_id=READER_1.line_id, kind=OverrideKind.REPLACE, span=local(day, "18:30", "00:30"),
        added=PersonId("r02"), removed=PersonId("r03"),
    )  # fmt: skip
    asked = request(roster=Roster(version="1", lines=LINES, overrides=(replace(swap, removed=None),)))

    roster, _ = filled(asked)

    (evening,) = timeline_of(roster, asked.directory).on_duty(local(day, "20:00", "21:00").start, READER_1.line_id)
    assert evening.person_id == "r02"
    assert broken(roster, asked) == []


def test_absences_sessions_and_what_comes_before_are_respected() -> None:
    away = Absence(person_id=PersonId("r01"), span=local(FIRST_DAY, "00:00", "23:00"))
    long_away = replace(away, span=Span(start=away.span.start, end=away.span.start + timedelta(days=14)))
    mornings = tuple(
        Session(person_id=PersonId("r02"), span=local(FIRST_DAY + timedelta(days=day), "08:30", "12:30"))
        for day in range(21)
    )
    before = ShiftPlan(
        shift_id="before", line_id=READER_1.line_id, person_id=PersonId("r03"),
        span=local(FIRST_DAY - timedelta(days=1), "18:30", "08:30"),
    )  # fmt: skip
    asked = request(roster=Roster(version="1", lines=LINES, absences=(long_away,), sessions=mornings, plans=(before,)))

    roster, _ = filled(asked)

    assert before in roster.plans
    assert broken(roster, asked) == []
    assert not [one for one in roster.plans if one.person_id == "r01" and one.span.overlaps(long_away.span)]


def test_a_cap_holds_in_every_window_of_days() -> None:
    cap = Cap(kind=CapKind.NIGHT_SHIFTS, count_max=2, days=5)

    roster, _ = filled(request(caps=(cap,)))

    nights = [
        one
        for one in roster.plans
        if (one.line_id != BACKUP.line_id and one.span.start.hour >= 16) or one.span.start.hour < 2
    ]
    for first in range(21):
        days = {FIRST_DAY + timedelta(days=first + number) for number in range(5)}
        counts = Counter(
            one.person_id for one in nights if date.fromisoformat(one.shift_id.rsplit(":", 1)[1]) in days
            and one.line_id != BACKUP.line_id
        )  # fmt: skip
        assert max(counts.values(), default=0) <= 2


def test_somebody_able_is_there_whenever_a_mix_is_asked() -> None:
    pool = readers(8)
    who = directory(pool)
    able = {
        one: replace(who.persons[one], competences={SubSpecialty.NEURO: Competence.EXPERT}) for one in pool[:4]
    }  # fmt: skip
    mix = Mix(needed=SubSpecialty.NEURO, lines=frozenset({READER_1.line_id, READER_2.line_id}))

    roster, _ = filled(request(directory=replace(who, persons={**who.persons, **able}), mixes=(mix,)))

    timeline = timeline_of(roster, who)
    for day in range(21):
        evening = timeline.on_duty(local(FIRST_DAY + timedelta(days=day), "20:00", "21:00").start)
        assert any(shift.person_id in able for shift in evening if shift.line_id != BACKUP.line_id)


def test_who_may_take_a_line_is_respected() -> None:
    seniors = frozenset(readers(3))

    roster, _ = filled(request(eligible={BACKUP.line_id: seniors}))

    assert {plan.person_id for plan in roster.plans if plan.line_id == BACKUP.line_id} <= seniors


def test_progress_is_told_while_searching() -> None:
    told: list[Progress] = []

    generate(request(people=6, days=14), told.append)

    assert told
    assert told[-1].rosters_found >= 1


def test_two_locked_nights_in_a_row_are_named_with_the_rest_that_they_break() -> None:
    nights = tuple(
        ShiftPlan(
            shift_id=f"night-{number}", line_id=READER_1.line_id, person_id=PersonId("r01"), locked=True,
            span=local(FIRST_DAY + timedelta(days=number), "18:30", "08:30"),
        )
        for number in (2, 3)
    )  # fmt: skip
    asked = request(roster=Roster(version="1", lines=LINES, plans=nights))

    found = explained(asked)

    assert sorted((one.kind, one.subject) for one in found.conflict) == [
        (DemandKind.LOCKED, "night-2"),
        (DemandKind.LOCKED, "night-3"),
        (DemandKind.REST, "r01"),
    ]
    assert found.is_minimal
    assert "keep r01 on reader-1 2026-10-14 18:30-08:30 (locked)" in found.message_en
    assert "garder r01" in found.message_fr
    for kept in nights:
        assert isinstance(generate(replace(asked, roster=replace(asked.roster, plans=(kept,)))), GeneratedRoster)


def test_too_few_people_on_one_evening_are_named_one_by_one_and_each_absence_lifted_is_enough() -> None:
    evening = local(FIRST_DAY + timedelta(days=4), "17:00", "23:00")
    absences = tuple(Absence(person_id=one, span=evening, kind="congress") for one in readers(8)[2:])
    asked = request(roster=Roster(version="1", lines=LINES, absences=absences))

    found = explained(asked)

    kinds = Counter(one.kind for one in found.conflict)
    assert found.is_minimal
    assert kinds[DemandKind.ABSENCE] == 6
    for lifted_absence in absences:
        left = tuple(one for one in absences if one is not lifted_absence)
        assert isinstance(generate(replace(asked, roster=replace(asked.roster, absences=left))), GeneratedRoster)


def test_when_everybodys_share_is_too_small_the_kinds_are_named() -> None:
    asked = request(days=10, directory=directory(readers(8), share=0.005))

    found = explained(asked)

    assert found.is_minimal
    assert DemandKind.TELERADIOLOGY_SHARE in {one.kind for one in found.conflict}
    assert DemandKind.COVER in {one.kind for one in found.conflict}


def test_a_shift_that_nobody_may_work_is_the_whole_conflict() -> None:
    too_long = line("long", replace(WHOLE_NIGHT, name="too long", start=EVENING.start.replace(hour=17)))
    asked = request(roster=Roster(version="1", lines=(too_long,)), days=3)

    found = explained(asked)

    assert {one.kind for one in found.conflict} == {DemandKind.COVER, DemandKind.AMPLITUDE}
    assert len(found.conflict) == 2
    assert "lasts 15 h, at most 14 h" in found.message_en


def test_one_person_kept_on_two_seats_at_once_is_a_conflict() -> None:
    both = tuple(
        ShiftPlan(
            shift_id=on.line_id, line_id=on.line_id, person_id=PersonId("r01"), span=local(FIRST_DAY, "18:30", "00:30"),
            locked=True,
        )
        for on in (READER_1, READER_2)
    )  # fmt: skip

    found = explained(request(roster=Roster(version="1", lines=LINES, plans=both)))

    assert {one.subject for one in found.conflict} == {"reader-1", "reader-2"}


def test_what_cannot_be_asked_says_so() -> None:
    part = ShiftPlan(
        shift_id="part", line_id=READER_1.line_id, person_id=PersonId("r01"), span=local(FIRST_DAY, "19:00", "00:30"),
        locked=True,
    )  # fmt: skip

    with pytest.raises(PeerError, match="a part of a seat"):
        generate(request(roster=Roster(version="1", lines=LINES, plans=(part,))))
    with pytest.raises(PeerError, match="not in the roster"):
        generate(request(lines=frozenset({LineId("nowhere")})))
    with pytest.raises(PeerError, match="not in the directory"):
        generate(request(people=3, directory=directory(readers(2))))
    frozen = Roster(version="1", lines=LINES, frozen_until=local(FIRST_DAY, "23:00", "23:30").end)
    with pytest.raises(Refused, match="frozen"):
        generate(request(roster=frozen))


@pytest.mark.parametrize("blame", [{3}, {0, 9}, {1, 4, 7}, {2, 3, 4, 5, 6}], ids=str)
def test_the_smallest_set_that_fails_is_found_among_many(blame: set[int]) -> None:
    asked: list[list[int]] = []

    def fails(members: Sequence[int]) -> bool:
        asked.append(list(members))
        return blame <= set(members)

    assert set(minimal(range(10), fails) or ()) == blame
    assert minimal(range(10), fails, enough=len(blame)) is not None
    assert minimal(range(10), fails, enough=len(blame) - 1) is None or len(blame) == 1
