"""The ten complaints that users of on-call schedulers make most (domain reference, section 2.3): none can be made here.

One test or more for each, named for it; the issue numbers are those where the complaint was read.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.case.commands_report import acknowledge_report, send_report
from oncall.case.event import CaseId, Event
from oncall.directory import ChannelKind, Directory, LineId, PersonId, ProviderId
from oncall.engine.ports import Store
from oncall.engine.sql_store import SqlStore
from oncall.messages import MessageState, NotSent
from oncall.rota.calendar import events_of
from oncall.rota.coverage import absence_conflicts, coverage_gaps, double_bookings
from oncall.rota.documents import roster_from_json, roster_to_json
from oncall.rota.ical import Feed, calendar_text
from oncall.rota.ledger import ledger
from oncall.rota.legal import LegalLimits, may_add
from oncall.rota.legal import Rule as LegalRule
from oncall.rota.model import (
    Absence,
    DayKind,
    Line,
    LineKind,
    Override,
    OverrideKind,
    Roster,
    Rotation,
    Shift,
    ShiftRule,
)
from oncall.rota.swaps import (
    SwapAction,
    SwapContext,
    SwapPart,
    SwapRefused,
    SwapRequest,
    SwapState,
    ask,
    end,
    take,
    with_overrides,
)
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from oncall.strict_json import canonical, parse
from tests.harness.small_territory import (
    BEGIN,
    CHANGE,
    END,
    at,
    directory,
    engine,
    in_force,
    memory_store,
    ready_case,
    roster,
    run_until,
    without_contacts,
)

PARIS = ZoneInfo("Europe/Paris")
PEOPLE = tuple(map(PersonId, ("anna", "boris", "diane")))
FRENCH_ZONES = ("Europe/Paris", "America/Miquelon", "Indian/Reunion", "America/Martinique", "Pacific/Tahiti")


def nightly(
    zone: str = "Europe/Paris", *, days: DayKind = DayKind.EVERY_DAY, people: tuple[PersonId, ...] = PEOPLE
) -> Roster:
    """Return a roster of one line, nights 18:30 to 08:30 in turns."""
    line = Line(
        line_id=LineId("night"), name="night", kind=LineKind.DUTY, provider_id=ProviderId("pool"), time_zone=zone,
        commune="42218", rules=(ShiftRule(name="night", start=time(18, 30), end=time(8, 30), days=days),),
    )  # fmt: skip
    rotation = Rotation(line_id=line.line_id, participants=people, first_day=date(2025, 12, 1))
    return Roster(version="n1", lines=(line,), rotations=(rotation,))


def year(planned: Roster, known: Directory | None = None) -> tuple[Timeline, Span]:
    """Return the roster resolved over 2026 and 2027."""
    within = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 12, 31, tzinfo=UTC))
    return Timeline(planned, known or directory(), within), within


def told(store: Store, case_id: str) -> list[tuple[datetime, str]]:
    """Return who was paged about a case, and when."""
    return [
        (event.recorded_at, event.fact.payload["person_id"])
        for event in store.events_of(CaseId(case_id))
        if event.type == "escalation.notified"
    ]


def of_type(store: Store, case_id: str, event_type: str) -> list[Event]:
    return [event for event in store.events_of(CaseId(case_id)) if event.type == event_type]


@pytest.mark.parametrize("zone", FRENCH_ZONES)
def test_complaint_1_a_clock_change_opens_no_gap_and_books_nobody_twice(zone: str) -> None:
    """Grafana OnCall #5247, #3261, #5455, #2950; OneUptime #1890."""
    timeline, within = year(nightly(zone))

    assert coverage_gaps(timeline, within) == ()
    assert double_bookings(timeline, within) == ()


def test_complaint_1_the_nights_of_the_clock_changes_have_their_real_length() -> None:
    timeline, _ = year(nightly())

    def hours_of_night(day: date) -> float:
        evening = datetime.combine(day, time(22), PARIS)
        return timeline.on_duty(evening)[0].span.hours

    assert hours_of_night(date(2026, 3, 28)) == 13
    assert hours_of_night(date(2026, 10, 24)) == 15
    assert hours_of_night(date(2027, 3, 27)) == 13


def test_complaint_2_daily_shifts_in_paris_survive_the_way_through_a_document() -> None:
    """Grafana OnCall #4197: daily shifts in Europe/Paris came out broken through the API."""
    there_and_back = roster_from_json(parse(canonical(roster_to_json(nightly()))))
    timeline, within = year(there_and_back)

    assert there_and_back == nightly()
    local = {
        (shift.span.start.astimezone(PARIS).strftime("%H:%M"), shift.span.end.astimezone(PARIS).strftime("%H:%M"))
        for shift in timeline.shifts
        if shift.span.start > within.start and shift.span.end < within.end
    }
    assert local == {("18:30", "08:30")}


def test_complaint_3_nobody_is_paged_after_an_answer_and_only_that_case_falls_silent() -> None:
    """Grafana OnCall #4654, #4760."""
    store = memory_store()
    runner = engine(store)
    runner.run_due(BEGIN)
    answered, silent = ready_case(runner, "C1", at(1)), ready_case(runner, "C2", at(1))
    reader = runner.case(answered).reading.assigned_to
    assert reader is not None

    runner.acknowledge(answered, reader, at(2))
    run_until(runner, at(30))

    assert [when for when, _ in told(store, answered)] == [at(1)]
    assert len(told(store, silent)) > 5
    with store.queue() as queue:
        pending = queue.status(of_type(store, answered, "escalation.notified")[0].fact.payload["message_key"])
    # What no channel has taken yet is taken back.
    assert pending is not None
    assert pending.state is MessageState.CANCELLED


def test_complaint_3_calls_go_on_until_somebody_is_reached() -> None:
    """Grafana OnCall #2622."""
    store = memory_store()
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))

    run_until(runner, at(120))

    alarms = [when for when, who in told(store, case_id) if who == "emma"]
    assert len(alarms) > 10
    runner.acknowledge(case_id, PersonId("boris"), at(121))
    runner.claim(case_id, PersonId("boris"), at(125), transaction_uid="1.2")
    run_until(runner, at(180))
    assert [when for when, _ in told(store, case_id) if when > at(121)] == []


def test_complaint_4_an_escalation_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    """Grafana OnCall #1206."""
    database = Database(sqlite_url(tmp_path / "oncall.sqlite"))
    database.create_tables()
    store = SqlStore(database)
    first = engine(store, worker="first")
    first.run_due(BEGIN)
    case_id = ready_case(first, "C1", at(1))
    run_until(first, at(7))
    before = told(store, case_id)

    # Down for ten minutes; a second life finds the chain in its timer's row.
    second = engine(store, worker="second")
    second.run_due(at(17))

    new = told(store, case_id)[len(before) :]
    database.close()
    assert [who for _, who in before] == ["anna", "anna", "boris"]
    # One step, not all that were missed.
    assert [(when, who) for when, who in new] == [(at(17), "serge")]


def test_complaint_4_what_was_answered_is_not_paged_again_months_later() -> None:
    """Grafana OnCall #3111."""
    store = memory_store()
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    runner.acknowledge(case_id, PersonId("anna"), at(2))
    runner.claim(case_id, PersonId("anna"), at(3), transaction_uid="1.2")
    runner.sign(case_id, PersonId("anna"), at(12), transaction_uid="1.2")
    for command in (lambda case, by: send_report(case, by, channel="web"),
                    lambda case, by: acknowledge_report(case, "Dr Emma", by)):  # fmt: skip
        runner.execute(case_id, command, at(13))
    before = told(store, case_id)

    engine(store, worker="two").run_due(END + timedelta(days=100))

    assert told(store, case_id) == before


def test_complaint_5_hours_and_burden_of_everybody_are_reported() -> None:
    """Grafana OnCall #1304."""
    timeline, _ = year(nightly())
    autumn = Span(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))

    rows = {row.person_id: row for row in ledger(timeline.shifts, timeline.roster.lines, autumn)}

    assert set(rows) == set(PEOPLE)
    assert sum(row.nights for row in rows.values()) == pytest.approx(31, abs=1)
    # 31 nights of 14 h and one hour that the clocks gave, less what the first and last share with other months.
    whole = sum(
        (shift.span.intersection(autumn) or shift.span).hours
        for shift in timeline.shifts
        if shift.span.overlaps(autumn)
    )
    assert sum(row.hours for row in rows.values()) == pytest.approx(whole)


def test_complaint_6_leave_over_duty_is_found_and_nobody_on_leave_is_on_duty() -> None:
    """Grafana OnCall #322."""
    planned = nightly()
    timeline, within = year(planned)
    hers = next(shift for shift in timeline.shifts if shift.person_id == "anna" and shift.span.start > within.start)
    on_leave = replace(planned, absences=(Absence(person_id=PersonId("anna"), span=hers.span),))

    after, _ = year(on_leave)

    assert [(one.person_id, one.span) for one in absence_conflicts(after, within)] == [("anna", hers.span)]
    assert all(shift.person_id != "anna" for shift in after.on_duty(hers.span.start))
    assert [gap.span for gap in coverage_gaps(after, within)] == [hers.span]


def tomorrow(planned: Roster) -> tuple[SwapContext, Shift, SwapRequest]:
    """Return the context of swaps, a shift of anna's that is to come, and her request to be relieved of it."""
    timeline, _ = year(planned)
    hers = next(one for one in timeline.shifts if one.person_id == "anna" and one.span.start > BEGIN)
    known = directory()
    # Teleradiology is these people's whole work: its share forbids nothing here.
    persons = {one: replace(person, teleradiology_share_max=1.0) for one, person in known.persons.items()}
    context = SwapContext(
        roster=planned, timeline=timeline, directory=replace(known, persons=persons), limits=LegalLimits(),
        managers=frozenset({PersonId("coline")}),
    )  # fmt: skip
    given = SwapPart(line_id=hers.line_id, person_id=hers.person_id, span=hers.span, rule=hers.rule)
    return context, hers, ask(SwapRequest(swap_id="s1", given=given, created_at=BEGIN), hers.person_id, BEGIN, context)


def test_complaint_7_what_is_offered_can_be_taken_and_then_is_on_the_roster() -> None:
    """Grafana OnCall #4538."""
    planned = nightly(people=(*PEOPLE, PersonId("bruno"), PersonId("basile")))
    context, hers, request = tomorrow(planned)
    free = next(one for one in planned.rotations[0].participants[1:] if not violations_of(context, one, hers))

    taken, overrides = take(request, free, free, BEGIN, context)

    after, _ = year(with_overrides(planned, overrides, "n2"))
    assert taken.state is SwapState.APPROVED
    assert [shift.person_id for shift in after.on_duty(hers.span.start)] == [free]


def violations_of(context: SwapContext, person_id: PersonId, shift: Shift) -> bool:
    return bool(
        may_add(
            person_id, shift.span, context.roster.lines[0], year(context.roster)[0], context.roster, context.directory,
            context.limits,
        )
    )  # fmt: skip


def test_complaint_7_a_swap_that_breaks_the_law_of_rest_is_refused_with_rule_and_shift() -> None:
    planned = nightly()
    context, hers, request = tomorrow(planned)
    night_before = next(one for one in year(planned)[0].shifts if one.span.end.date() == hers.span.start.date())

    with pytest.raises(SwapRefused) as refused:
        take(request, night_before.person_id, night_before.person_id, BEGIN, context)

    assert {one.rule for one in refused.value.violations} >= {LegalRule.REST_11_H}
    assert "night" in str(refused.value)


def test_complaint_7_what_the_law_forbids_does_not_wait_for_approval_to_be_refused() -> None:
    planned = nightly()
    context, hers, request = tomorrow(planned)
    night_before = next(one for one in year(planned)[0].shifts if one.span.end.date() == hers.span.start.date())

    with pytest.raises(SwapRefused) as refused:
        take(replace(request, needs_approval=True), night_before.person_id, night_before.person_id, BEGIN, context)

    assert {one.rule for one in refused.value.violations} >= {LegalRule.REST_11_H}


def test_complaint_7_a_manager_can_act_for_those_concerned() -> None:
    """Grafana OnCall #3132, #3106."""
    context, _, request = tomorrow(nightly())

    withdrawn = end(request, SwapAction.WITHDRAW, PersonId("coline"), BEGIN, context)
    with pytest.raises(SwapRefused):
        end(request, SwapAction.WITHDRAW, PersonId("emma"), BEGIN, context)

    assert withdrawn.state is SwapState.WITHDRAWN


def test_complaint_8_an_empty_step_does_not_wait() -> None:
    """GoAlert #4548."""
    planned = roster()
    nobody_senior = replace(planned, plans=tuple(plan for plan in planned.plans if plan.line_id != "senior"))
    store = memory_store()
    runner = engine(store, in_force(nobody_senior))
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))

    run_until(runner, at(11))

    skipped = of_type(store, case_id, "escalation.skipped_empty_step")
    assert [event.fact.payload["step"] for event in skipped] == ["senior"]
    assert {when for when, who in told(store, case_id) if who in {"bruno", "basile"}} == {skipped[0].recorded_at}


def test_complaint_8_a_hole_in_the_roster_is_reported_and_does_not_leave_a_case_alone() -> None:
    """GoAlert #2878, Grafana OnCall #3511."""
    planned = roster()
    no_reader = replace(planned, plans=tuple(plan for plan in planned.plans if not plan.line_id.startswith("reader")))
    rules = in_force(no_reader)
    store = memory_store()
    runner = engine(store, rules)
    runner.run_due(BEGIN)

    case_id = ready_case(runner, "C1", at(1))

    holes = {gap.line_id for gap in coverage_gaps(rules.timeline, Span(start=BEGIN, end=END))}
    assert {"reader1", "reader2"} <= holes
    assert told(store, case_id) == [(at(1), "serge")]


def test_complaint_9_somebody_without_a_contact_is_passed_over_at_once_and_that_is_said() -> None:
    """Grafana OnCall #1326."""
    store = memory_store()
    runner = engine(store, in_force(people=without_contacts(directory(), "anna", "boris")))
    runner.run_due(BEGIN)

    case_id = ready_case(runner, "C1", at(1))

    reasons = {
        event.fact.payload["person_id"]: event.fact.payload["reason"]
        for event in of_type(store, case_id, "escalation.no_notification_sent")
    }
    assert reasons["anna"] == reasons["boris"] == "no_contact_method"
    assert told(store, case_id) == [(at(1), "serge")]


def test_complaint_9_a_page_that_no_channel_could_send_goes_out_by_another_at_once() -> None:
    store = memory_store()
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    with store.queue() as queue:
        (page,) = queue.lease(ChannelKind.SMS, at(1), worker="sender", limit=9).messages
        queue.settle(page.message_key, NotSent(reason="gateway_down"), at(1), worker="sender", is_repeatable=True)

    runner.run_due(at(1.1))

    channels = [event.fact.payload["channel"] for event in of_type(store, case_id, "escalation.notified")]
    assert channels == ["sms", "email"]
    assert of_type(store, case_id, "escalation.no_notification_sent")[0].fact.payload["reason"] == "gateway_down"


def test_complaint_9_no_rate_limit_holds_a_page_back() -> None:
    """GoAlert #4188: a rate limit delayed a page by 16 minutes."""
    store = memory_store()
    runner = engine(store)
    runner.run_due(BEGIN)
    # Only boris reads for the east.
    for number in range(5):
        ready_case(runner, f"C{number}", at(1), site_id="east")

    with store.queue() as queue:
        pages = queue.lease(ChannelKind.SMS, at(1), worker="sender", limit=99).messages

    assert sorted(page.case_id or "" for page in pages if page.person_id == "boris") == ["C0", "C1", "C2", "C3", "C4"]


def test_complaint_10_who_comes_on_duty_is_told_how_many_cases_are_open() -> None:
    """GoAlert #583, Grafana OnCall #4190."""
    store = memory_store()
    runner = engine(store)
    ready_case(runner, "C1", CHANGE - timedelta(minutes=2))

    run_until(runner, CHANGE)

    with store.queue() as queue:
        sent = [
            message
            for kind in (ChannelKind.SMS, ChannelKind.EMAIL)
            for message in queue.lease(kind, CHANGE, worker="sender", limit=99).messages
            if message.person_id == "diane" and message.message_key.startswith("handover")
        ]
    assert len(sent) == 1
    assert "1 dossiers ouverts" in sent[0].text


def test_complaint_10_a_calendar_feed_has_every_shift_with_its_zone() -> None:
    """Grafana OnCall #3061."""
    timeline, _ = year(nightly())
    shifts = [shift for shift in timeline.shifts if shift.person_id == "anna"]
    about = Feed(title="Anna", stamped_at=BEGIN, is_own=True, time_zone="Europe/Paris")

    text = calendar_text(
        tuple(events_of(shifts).values()), about, lines={line.line_id: line for line in timeline.roster.lines},
        directory=directory(),
    )  # fmt: skip

    assert text.count(b"BEGIN:VEVENT") == len(shifts)
    assert b"TZID:Europe/Paris" in text


def test_complaint_10_weekday_exclusions_skip_nobody_in_a_rotation() -> None:
    """GoAlert #55, OneUptime #2413: with two people and every second day excluded, one never had a shift."""
    timeline, _ = year(nightly(days=DayKind.SATURDAY, people=PEOPLE[:2]))

    counts = {one: len(timeline.shifts_of(one)) for one in PEOPLE[:2]}

    assert abs(counts[PEOPLE[0]] - counts[PEOPLE[1]]) <= 1
    assert min(counts.values()) > 50


def test_complaint_10_what_was_removed_by_hand_is_not_filled_twice() -> None:
    """LinkedIn oncall doubled shifts after one was deleted by hand; GoAlert #2196 wanted additions."""
    planned = nightly()
    timeline, within = year(planned)
    hers = next(shift for shift in timeline.shifts if shift.person_id == "anna" and shift.span.start > within.start)
    removed = Override(
        override_id="o1", line_id=LineId("night"), kind=OverrideKind.REPLACE, span=hers.span, removed=PersonId("anna"),
        added=PersonId("diane"),
    )  # fmt: skip

    after, _ = year(replace(planned, overrides=(removed,)))

    assert [shift.person_id for shift in after.on_duty(hers.span.start)] == ["diane"]
    assert len(after.shifts) == len(timeline.shifts)


def test_complaint_10_a_called_backup_may_be_added_beside_the_roster() -> None:
    planned = nightly()
    extra = Override(
        override_id="o1", line_id=LineId("night"), kind=OverrideKind.ADD, added=PersonId("serge"),
        span=Span(start=BEGIN, end=END),
    )  # fmt: skip

    after, _ = year(replace(planned, overrides=(extra,)))

    assert "serge" in {shift.person_id for shift in after.on_duty(BEGIN)}
