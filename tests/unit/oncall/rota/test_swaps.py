"""Swaps and give-aways: who may do what, what the law refuses and in which words, reminders, shifts that move."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from foundation.database import Database
from foundation.errors import Refused
from oncall.directory import PersonId, ProviderId, Site, SiteId
from oncall.rota import swap_store
from oncall.rota.legal import LegalLimits, Rule, violations
from oncall.rota.model import Absence, Roster, Rotation, Session, ShiftPlan
from oncall.rota.swaps import (
    NEXT,
    REMINDERS_BEFORE,
    SwapAction,
    SwapContext,
    SwapPart,
    SwapRefused,
    SwapRequest,
    SwapState,
    approve,
    ask,
    due_reminders,
    end,
    expire,
    follow,
    reminded,
    take,
    with_overrides,
)
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.unit.oncall.rota.rosters import WHOLE_NIGHT, directory, line, local, readers

READER = line("reader-1", WHOLE_NIGHT)
OTHER = line("reader-2", WHOLE_NIGHT)
PEOPLE = readers(4)
R1, R2, R3, R4 = PEOPLE
CHIEF = PersonId("chief")
DAY = date(2026, 6, 10)
NOW = local(date(2026, 5, 1), "08:00", "09:00").start
WITHIN = Span(
    start=local(date(2026, 4, 1), "00:00", "01:00").start, end=local(date(2026, 9, 1), "00:00", "01:00").start
)


def plan(person: PersonId, day: date, on: str = "reader-1") -> ShiftPlan:
    of = {"reader-1": READER, "reader-2": OTHER}[on]
    return ShiftPlan(shift_id=f"{on}:{day}", line_id=of.line_id, person_id=person, span=local(day, "18:30", "08:30"))


# r1 on the 10th, r2 on the 12th, r3 on the 11th and the 13th of the other line.
ROSTER = Roster(
    version="1",
    lines=(READER, OTHER),
    plans=(
        plan(R1, DAY),
        plan(R2, DAY + timedelta(days=2)),
        plan(R3, DAY + timedelta(days=1), "reader-2"),
        plan(R3, DAY + timedelta(days=3), "reader-2"),
    ),
)


def context(roster: Roster = ROSTER, **more: object) -> SwapContext:
    who = directory(PEOPLE)
    parts = {
        "roster": roster,
        "timeline": Timeline(roster, who, WITHIN),
        "directory": who,
        "limits": LegalLimits(),
        "managers": frozenset({CHIEF}),
        **more,
    }
    return SwapContext(**parts)  # type: ignore[arg-type] # keywords are passed on as they come


def part(person: PersonId, day: date, on: str = "reader-1") -> SwapPart:
    planned = plan(person, day, on)
    return SwapPart(line_id=planned.line_id, person_id=person, span=planned.span, rule="night")


def give_away(**more: object) -> SwapRequest:
    asked = {"swap_id": "s1", "given": part(R1, DAY), "created_at": NOW, **more}
    return SwapRequest(**asked)  # type: ignore[arg-type] # keywords are passed on as they come


def swap(**more: object) -> SwapRequest:
    return give_away(wanted=part(R2, DAY + timedelta(days=2)), **more)


def test_a_give_away_that_is_taken_puts_the_taker_on_the_line() -> None:
    taken, overrides = take(give_away(), R2, R2, NOW, context())

    roster = with_overrides(ROSTER, overrides, "2")
    (on_duty,) = Timeline(roster, directory(PEOPLE), WITHIN).on_duty(local(DAY, "23:00", "23:30").start, READER.line_id)
    assert taken.state is SwapState.APPROVED
    assert (taken.taken_by, on_duty.person_id) == (R2, R2)
    assert on_duty.origin == "override:swap:s1:given"
    assert with_overrides(roster, overrides, "3").overrides == roster.overrides


def test_a_swap_changes_both_shifts_or_none() -> None:
    taken, overrides = take(swap(), R2, R2, NOW, context())

    timeline = Timeline(with_overrides(ROSTER, overrides, "2"), directory(PEOPLE), WITHIN)
    on = [shift.person_id for shift in timeline.line_shifts(READER.line_id)]
    assert taken.state is SwapState.APPROVED
    assert on == [R2, R1]


def test_a_back_to_back_night_is_refused_and_the_refusal_says_which_rule_and_which_shift() -> None:
    with pytest.raises(SwapRefused) as refused:
        take(give_away(), R3, R3, NOW, context())

    (violation,) = refused.value.violations
    assert violation.rule is Rule.REST_11_H
    assert "10 h between 'reader-1 2026-06-10 18:30-08:30' and 'reader-2 2026-06-11 18:30-08:30'" in str(refused.value)
    assert "11 are needed" in refused.value.message_en
    assert "Repos insuffisant : 10 h entre" in refused.value.message_fr


def test_a_swap_is_refused_when_the_shift_taken_in_return_is_too_close() -> None:
    close = (*ROSTER.plans, plan(R1, DAY + timedelta(days=3), "reader-2"))
    roster = replace(
        ROSTER, plans=tuple(one for one in close if not (one.person_id == R3 and one.span.start.day == 13))
    )

    with pytest.raises(SwapRefused, match=r"r01 cannot take reader-1.*reader-2 2026-06-13") as refused:
        take(swap(), R2, R2, NOW, context(roster))

    assert {one.rule for one in refused.value.violations} == {Rule.REST_11_H}


def test_what_is_given_in_the_same_act_is_no_obstacle() -> None:
    """r1's night of the 10th against r2's of the 11th: each alone would be two nights in a row."""
    roster = replace(ROSTER, plans=(plan(R1, DAY), plan(R2, DAY + timedelta(days=1))))
    request = give_away(wanted=part(R2, DAY + timedelta(days=1)))

    taken, overrides = take(request, R2, R2, NOW, context(roster))

    assert taken.state is SwapState.APPROVED
    assert len(overrides) == 2
    with pytest.raises(SwapRefused):
        take(give_away(), R2, R2, NOW, context(roster))


def test_a_part_of_a_shift_can_be_given_and_the_rest_stays() -> None:
    evening = replace(part(R1, DAY), span=local(DAY, "18:30", "23:00"), rule="")

    _, overrides = take(give_away(given=evening), R2, R2, NOW, context())

    timeline = Timeline(with_overrides(ROSTER, overrides, "2"), directory(PEOPLE), WITHIN)
    night = timeline.line_shifts(READER.line_id, local(DAY, "18:30", "08:30"))
    assert [shift.person_id for shift in night] == [R2, R1]


@pytest.mark.parametrize("obstacle", ["absence", "session", "privilege"])
def test_whatever_stands_against_the_taker_is_refused(obstacle: str) -> None:
    away = Absence(person_id=R2, span=local(DAY, "18:00", "23:00"), kind="congress")
    morning = Session(person_id=R2, span=local(DAY + timedelta(days=1), "08:30", "12:30"))
    at = context()
    if obstacle == "absence":
        at = context(replace(ROSTER, absences=(away,)))
    if obstacle == "session":
        at = context(replace(ROSTER, sessions=(morning,)))
    if obstacle == "privilege":
        roanne = Site(
            site_id=SiteId("roanne"), name="Roanne", time_zone="Europe/Paris", commune="42187",
            provider_order=(ProviderId("pool"),),
        )  # fmt: skip
        persons = dict(at.directory.persons)
        persons[R1] = replace(persons[R1], privileges=frozenset({roanne.site_id}))
        at = replace(at, directory=replace(at.directory, sites={roanne.site_id: roanne}, persons=persons))

    with pytest.raises(SwapRefused, match={"absence": "congress", "session": "hospital session 2026-06-11",
                                           "privilege": "no privilege at roanne"}[obstacle]):  # fmt: skip
        take(give_away(), R2, R2, NOW, at)


def test_approval_is_a_managers_and_asks_the_law_again() -> None:
    taken, overrides = take(give_away(needs_approval=True), R2, R2, NOW, context())
    busy = replace(ROSTER, plans=(*ROSTER.plans, plan(R2, DAY + timedelta(days=1))))

    assert (taken.state, overrides) == (SwapState.TAKEN, ())
    with pytest.raises(SwapRefused, match="may not approve: only managers may"):
        approve(taken, R2, NOW, context())
    with pytest.raises(SwapRefused, match="10 h"):
        approve(taken, CHIEF, NOW, context(busy))
    approved, made = approve(taken, CHIEF, NOW, context())
    assert (approved.state, len(made)) == (SwapState.APPROVED, 1)


def test_managers_may_do_everything_and_others_only_what_is_theirs() -> None:
    by_chief, _ = take(give_away(), R2, CHIEF, NOW, context())
    assert (by_chief.taken_by, by_chief.changed_by) == (R2, CHIEF)
    assert end(give_away(), SwapAction.WITHDRAW, CHIEF, NOW, context()).state is SwapState.WITHDRAWN
    assert end(give_away(), SwapAction.REFUSE, CHIEF, NOW, context(), "no").reason == "no"
    taken = replace(give_away(), state=SwapState.TAKEN, taken_by=R2)
    assert end(taken, SwapAction.RELEASE, R2, NOW, context()).taken_by is None
    for action, actor in ((SwapAction.WITHDRAW, R2), (SwapAction.REFUSE, R2), (SwapAction.RELEASE, R3)):
        with pytest.raises(SwapRefused, match="may not"):
            end(taken, action, actor, NOW, context())
    with pytest.raises(SwapRefused, match="may not"):
        take(give_away(), R2, R3, NOW, context())
    with pytest.raises(SwapRefused, match="may not"):
        ask(give_away(), R2, NOW, context())
    assert ask(give_away(), CHIEF, NOW, context()).state is SwapState.OPEN


def test_only_those_to_whom_it_is_offered_may_take_it() -> None:
    for request, taker in ((give_away(offered_to=frozenset({R4})), R2), (swap(), R4), (give_away(), R1)):
        with pytest.raises(SwapRefused, match="not offered"):
            take(request, taker, taker, NOW, context())


@pytest.mark.parametrize("state", list(SwapState))
@pytest.mark.parametrize("action", [SwapAction.RELEASE, SwapAction.REFUSE, SwapAction.WITHDRAW])
def test_an_action_that_the_state_table_does_not_have_is_refused(state: SwapState, action: SwapAction) -> None:
    request = replace(give_away(), state=state, taken_by=R2)
    if (state, action) in NEXT:
        assert end(request, action, CHIEF, NOW, context()).state is NEXT[state, action]
    else:
        with pytest.raises(SwapRefused, match=f"is {state}"):
            end(request, action, CHIEF, NOW, context())


def test_nobody_is_offered_their_own_shift() -> None:
    with pytest.raises(SwapRefused, match="cannot be offered to the one who has it"):
        ask(give_away(offered_to=frozenset({R1})), R1, NOW, context())


def test_a_shift_that_has_begun_is_frozen_and_its_request_is_past_due() -> None:
    begun = part(R1, DAY).span.start
    assert expire(give_away(), begun - timedelta(seconds=1)).state is SwapState.OPEN
    assert expire(give_away(), begun).state is SwapState.PAST_DUE
    with pytest.raises(SwapRefused, match="has begun"):
        take(give_away(), R2, R2, begun, context())
    with pytest.raises(SwapRefused, match="has begun"):
        ask(give_away(), R1, begun, context())


def test_somebody_elses_shift_cannot_be_given() -> None:
    with pytest.raises(SwapRefused, match="r04 is not on reader-1"):
        ask(give_away(given=part(R4, DAY)), R4, NOW, context())


def test_a_request_follows_its_shift_when_it_is_moved_and_can_still_be_taken() -> None:
    later = replace(WHOLE_NIGHT, start=WHOLE_NIGHT.start.replace(hour=19))
    moved_line = replace(READER, rules=(later,))
    rotations = (Rotation(line_id=READER.line_id, participants=(R1, R2), first_day=DAY),)
    before = Roster(version="1", lines=(READER,), rotations=rotations)
    after = replace(before, version="2", lines=(moved_line,))

    followed = follow(give_away(), context(after))
    _, overrides = take(followed, R3, R3, NOW, context(after))

    assert follow(give_away(), context(before)) == give_away()
    assert followed.given.span == local(DAY, "19:30", "08:30")
    assert overrides[0].span == local(DAY, "19:30", "08:30")


def test_a_request_whose_shift_went_to_somebody_else_ends_by_itself_and_says_why() -> None:
    gone = replace(ROSTER, plans=(replace(ROSTER.plans[0], person_id=R4), *ROSTER.plans[1:]))

    followed = follow(give_away(), context(gone))

    assert followed.state is SwapState.WITHDRAWN
    assert "no longer r01's" in followed.reason


def test_reminders_are_sent_from_four_weeks_to_twelve_hours_before_once_each() -> None:
    start = part(R1, DAY).span.start
    request, sent = give_away(created_at=start - timedelta(weeks=5)), []
    now = request.created_at
    while now < start:
        for reminder in due_reminders(request, now):
            sent.append(reminder.before)
            request = reminded(request, now)
        now += timedelta(minutes=30)

    assert tuple(sent) == REMINDERS_BEFORE


def test_of_reminders_that_were_missed_only_the_newest_is_sent_and_none_from_before_the_request() -> None:
    start = part(R1, DAY).span.start
    late = give_away(created_at=start - timedelta(days=10))

    (reminder,) = due_reminders(late, start - timedelta(hours=30))

    assert reminder.before == timedelta(days=2)
    assert due_reminders(reminded(late, start - timedelta(hours=30)), start - timedelta(hours=29)) == ()
    assert due_reminders(late, start) == ()
    assert due_reminders(replace(late, state=SwapState.APPROVED), start - timedelta(hours=30)) == ()


def test_every_swap_over_a_clock_change_between_two_nights_in_a_row_is_refused() -> None:
    """The rest between two nights is 10 h on every date, also where the wall clock seems to show another."""
    for day in (date(2026, 3, 27), date(2026, 3, 28), date(2026, 10, 23), date(2026, 10, 24), date(2027, 3, 27)):
        roster = Roster(version="1", lines=(READER, OTHER),
                        plans=(plan(R1, day), plan(R2, day + timedelta(days=1), "reader-2")))  # fmt: skip
        within = Span(
            start=plan(R1, day).span.start - timedelta(days=9), end=plan(R1, day).span.end + timedelta(days=9)
        )
        at = context(roster, timeline=Timeline(roster, directory(PEOPLE), within))

        with pytest.raises(SwapRefused, match="10 h between"):
            take(give_away(given=part(R1, day)), R2, R2, within.start, at)


def test_no_swap_that_is_accepted_leaves_anybody_with_less_than_the_law() -> None:
    """Every give-away and swap among four people over two weeks: accepted means legal, refused means it was not."""
    plans = tuple(
        plan(PEOPLE[(day * 2 + (on == "reader-2")) % 4], DAY + timedelta(days=day), on)
        for day in range(0, 10, 2)
        for on in ("reader-1", "reader-2")
    )
    roster, who = Roster(version="1", lines=(READER, OTHER), plans=plans), directory(PEOPLE)
    at, outcomes = context(roster), {True: 0, False: 0}
    for given in plans:
        for taker in PEOPLE:
            if taker == given.person_id:
                continue
            request = give_away(given=SwapPart(line_id=given.line_id, person_id=given.person_id, span=given.span))
            changed = replace(
                roster, plans=tuple(replace(one, person_id=taker) if one is given else one for one in plans)
            )
            shifts = Timeline(changed, who, WITHIN).shifts
            is_legal = not violations(taker, shifts, (), LegalLimits(), WITHIN, lines=roster.lines)
            try:
                take(request, taker, taker, NOW, at)
            except SwapRefused:
                assert not is_legal, (given, taker)
            else:
                assert is_legal, (given, taker)
            outcomes[is_legal] += 1

    assert min(outcomes.values()) > 5


def test_a_request_is_kept_in_the_database_and_only_one_of_two_takers_gets_it(database: Database) -> None:
    with database.write(durable=True) as connection:
        swap_store.add(connection, swap(offered_to=frozenset({R2}), reminded_at=NOW), NOW)
    with database.read() as connection:
        loaded = swap_store.load(connection, "s1")
        assert swap_store.unsettled(connection) == (loaded,)
    taken, _ = take(loaded, R2, R2, NOW, context())
    with database.write(durable=True) as connection:
        swap_store.save(connection, taken, NOW, before=loaded)

    with pytest.raises(Refused, match="has changed meanwhile"), database.write(durable=True) as connection:
        swap_store.save(connection, replace(loaded, taken_by=R3), NOW, before=loaded)

    with database.read() as connection:
        assert swap_store.load(connection, "s1") == taken
        assert swap_store.unsettled(connection) == ()
        with pytest.raises(Refused, match="no swap request"):
            swap_store.load(connection, "s2")


def test_a_request_reads_back_as_it_was_written() -> None:
    for request in (swap(), give_away(needs_approval=True, reason="congrès", taken_by=R3)):
        assert swap_store.request_of(swap_store.values_of(request)) == request
