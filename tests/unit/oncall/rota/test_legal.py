"""The law of rest: what is refused, what is flagged, and the words for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from oncall.directory import Directory, LineId, Person, PersonId, ProviderId, Role, SiteId
from oncall.rota.legal import LegalLimits, Rule, Severity, Violation, may_add, violations
from oncall.rota.model import Absence, Line, LineKind, Roster, Session, Shift, call
from oncall.spans import Span

PARIS = ZoneInfo("Europe/Paris")
LIMITS = LegalLimits()
ANNE = PersonId("anne")
YEAR = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2028, 1, 1, tzinfo=UTC))


def line(name: str = "reader-1", kind: LineKind = LineKind.DUTY, sites: frozenset[SiteId] = frozenset()) -> Line:
    return Line(
        line_id=LineId(name), name=name, kind=kind, provider_id=ProviderId("pool"), time_zone="Europe/Paris",
        commune="42218", rules=(), sites=sites,
    )  # fmt: skip


READER = line()
BACKUP = line("backup", LineKind.BACKUP)


def span(day: date, start: str, end: str) -> Span:
    """Return a local span; the end is on the next day when it is not later."""
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    end_day = day + timedelta(days=last <= first)
    return Span(start=datetime.combine(day, first, PARIS), end=datetime.combine(end_day, last, PARIS))


def night(day: date, on: Line = READER) -> Shift:
    return shift(day, "18:30", "08:30", on)


def shift(day: date, start: str, end: str, on: Line = READER, origin: str = "plan:1") -> Shift:
    return Shift(line_id=on.line_id, person_id=ANNE, span=span(day, start, end), origin=origin)


def session(day: date, start: str, end: str) -> Session:
    return Session(person_id=ANNE, span=span(day, start, end))


@dataclass
class Resolved:
    """A timeline that answers with given shifts."""

    shifts: Sequence[Shift]

    def shifts_of(self, person_id: PersonId, within: Span) -> Sequence[Shift]:
        return [one for one in self.shifts if one.person_id == person_id and one.span.overlaps(within)]


def person(share: float = 0.2, weekly_hours: float = 39.0, sites: frozenset[SiteId] = frozenset()) -> Person:
    return Person(
        person_id=ANNE, name="Anne", role=Role.RADIOLOGIST, teleradiology_share_max=share, weekly_hours=weekly_hours,
        sites=sites,
    )  # fmt: skip


def broken(shifts: Sequence[Shift] = (), sessions: Sequence[Session] = (), **more: object) -> tuple[Violation, ...]:
    return violations(ANNE, shifts, sessions, LIMITS, YEAR, lines=[READER, BACKUP], **more)  # type: ignore[arg-type] # keywords are passed on as they come


def added(
    new: Span,
    shifts: Sequence[Shift] = (),
    sessions: tuple[Session, ...] = (),
    *,
    on: Line = READER,
    absences: tuple[Absence, ...] = (),
    who: Person | None = None,
    is_emergency: bool = False,
    instead_of: Sequence[Shift] = (),
) -> tuple[Violation, ...]:
    roster = Roster(version="1", lines=(READER, BACKUP), sessions=sessions, absences=absences)
    directory = Directory(sites={}, persons={ANNE: who or person(share=1.0)}, providers={})
    return may_add(
        ANNE, new, on, Resolved(shifts), roster, directory, LIMITS, is_emergency=is_emergency, instead_of=instead_of
    )  # fmt: skip


def rules(found: Sequence[Violation]) -> list[Rule]:
    return [one.rule for one in found]


def test_two_nights_in_a_row_leave_ten_hours_and_are_refused_on_every_date() -> None:
    for day in (date(2026, 1, 1) + timedelta(days=n) for n in range(800)):
        first, second = night(day), night(day + timedelta(days=1))

        (found,) = (one for one in added(second.span, [first]) if one.rule is Rule.REST_11_H)

        assert second.span.start - first.span.end == timedelta(hours=10)
        assert found.shifts[0] == first
        assert "10 h between 'reader-1" in found.message_en
        assert Rule.REST_11_H in rules(added(first.span, [second])), "nor may the earlier one come later"


def test_a_night_every_other_day_is_legal() -> None:
    assert broken([night(date(2026, 5, day)) for day in (1, 3, 5)]) == ()


@pytest.mark.parametrize(
    ("day", "hours", "flagged"),
    [
        pytest.param(date(2026, 3, 28), 13, False, id="march-2026"),
        pytest.param(date(2026, 10, 24), 15, True, id="october-2026"),
        pytest.param(date(2027, 3, 27), 13, False, id="march-2027-easter"),
        pytest.param(date(2027, 10, 30), 15, True, id="october-2027"),
        pytest.param(date(2026, 6, 1), 14, False, id="any-other"),
    ],
)
def test_the_october_night_of_fifteen_hours_is_flagged_and_not_forbidden(
    day: date, hours: int, *, flagged: bool
) -> None:
    found = broken([night(day)])

    assert night(day).span.hours == hours
    assert [(one.rule, one.severity) for one in found] == [(Rule.AMPLITUDE_14_H, Severity.NOTICE)] * flagged
    assert added(night(day).span) == ()


def test_a_shift_planned_longer_than_fourteen_hours_is_forbidden() -> None:
    (found,) = added(span(date(2026, 6, 1), "18:00", "08:30"))

    assert (found.rule, found.severity) == (Rule.AMPLITUDE_14_H, Severity.LAW)
    assert "14.5 h" in found.message_en


@pytest.mark.parametrize(
    ("before", "after", "is_legal"),
    [
        pytest.param(("18:30", "00:30", 1), ("00:30", "08:30", 2), True, id="the-whole-night-in-two-shifts"),
        pytest.param(("18:30", "00:30", 1), ("08:30", "18:30", 2), False, id="day-eight-hours-after-the-evening"),
        pytest.param(("18:30", "00:30", 1), ("11:30", "18:30", 2), True, id="eleven-hours-after-the-evening"),
        pytest.param(("18:30", "00:30", 1), ("11:29", "18:30", 2), False, id="a-minute-less"),
        pytest.param(("00:30", "08:30", 1), ("18:30", "00:30", 1), False, id="evening-ten-hours-after-deep-night"),
        pytest.param(("00:30", "08:30", 1), ("08:30", "12:30", 1), False, id="morning-straight-after-the-night"),
        pytest.param(("00:30", "08:30", 1), ("00:30", "08:30", 2), True, id="deep-nights-in-a-row"),
        pytest.param(("18:30", "00:30", 1), ("18:30", "00:30", 2), True, id="evenings-in-a-row"),
        pytest.param(("09:00", "12:30", 1), ("14:00", "19:00", 1), True, id="a-day-with-lunch"),
        pytest.param(("08:30", "18:30", 1), ("18:30", "08:30", 1), True, id="day-and-night-24-h"),
        pytest.param(("08:00", "18:30", 1), ("18:30", "08:30", 1), False, id="more-than-24-h"),
    ],
)
def test_rest_between_two_works(before: tuple[str, str, int], after: tuple[str, str, int], *, is_legal: bool) -> None:
    first = shift(date(2026, 6, before[2]), before[0], before[1])
    second = shift(date(2026, 6, after[2]), after[0], after[1])

    assert (broken([first, second]) == ()) is is_legal
    assert (added(second.span, [first]) == ()) is is_legal
    assert (added(first.span, [second]) == ()) is is_legal


def test_after_the_derogation_of_24_h_rest_is_as_long() -> None:
    work = [session(date(2026, 6, 1), "08:30", "18:30")]
    on_end = [night(date(2026, 6, 1))]

    early = broken([*on_end, shift(date(2026, 6, 3), "08:00", "12:00")], work)
    late = broken([*on_end, shift(date(2026, 6, 3), "08:30", "12:00")], work)

    assert rules(early) == [Rule.REST_11_H]
    assert "24 are needed" in early[0].message_en
    assert late == ()


def test_spring_takes_an_hour_of_the_rest_that_the_wall_clock_shows() -> None:
    evening = shift(date(2026, 3, 28), "18:30", "00:30")

    assert broken([evening], [session(date(2026, 3, 29), "12:30", "18:00")]) == ()
    assert rules(broken([evening], [session(date(2026, 3, 29), "11:30", "18:00")])) == [Rule.REST_11_H]


def test_a_hospital_session_after_a_night_is_named_in_the_refusal() -> None:
    (found,) = added(night(date(2026, 6, 1)).span, sessions=(session(date(2026, 6, 2), "14:00", "18:00"),))

    assert "hospital session 2026-06-02 14:00-18:00" in found.message_en
    assert "vacation hospitalière" in found.message_fr


def test_being_backup_at_home_is_no_work_and_the_call_is() -> None:
    at_home = shift(date(2026, 6, 1), "18:30", "08:30", BACKUP)
    morning = (session(date(2026, 6, 2), "08:30", "12:30"),)

    assert broken([at_home], morning) == ()
    assert added(span(date(2026, 6, 1), "19:00", "20:00"), [at_home], morning, is_emergency=True) == ()
    (found,) = added(span(date(2026, 6, 1), "23:00", "23:59"), [at_home], morning, is_emergency=True)
    assert found.rule is Rule.REST_11_H


def test_a_call_out_of_the_backup_line_is_no_double_booking_and_a_planned_duty_is() -> None:
    at_home = shift(date(2026, 6, 1), "18:30", "08:30", BACKUP)
    duty = span(date(2026, 6, 1), "22:00", "23:00")

    assert added(duty, [at_home], is_emergency=True) == ()
    assert rules(added(duty, [at_home])) == [Rule.DOUBLE_BOOKING]
    assert broken([at_home, shift(date(2026, 6, 1), "22:00", "23:00", origin="override:call")]) == ()
    assert rules(broken([at_home, shift(date(2026, 6, 1), "22:00", "23:00")])) == [Rule.DOUBLE_BOOKING]


def test_a_call_is_refused_to_somebody_who_reads_already() -> None:
    reading = shift(date(2026, 6, 1), "18:30", "00:30")

    assert Rule.DOUBLE_BOOKING in rules(added(span(date(2026, 6, 1), "22:00", "23:00"), [reading], is_emergency=True))


def test_a_hand_over_in_the_repeated_hour_is_no_double_booking_of_who_stays() -> None:
    evening = shift(date(2026, 10, 24), "18:30", "02:30")
    repeated = Span(start=evening.span.start, end=evening.span.end + timedelta(hours=1))
    morning = shift(date(2026, 10, 25), "02:30", "06:00")

    both = [Shift(line_id=evening.line_id, person_id=ANNE, span=repeated, origin="plan:1"), morning]

    assert repeated.overlaps(morning.span)
    assert broken(both) == ()
    assert rules(broken([both[0], shift(date(2026, 10, 25), "01:00", "06:00")])) == [Rule.DOUBLE_BOOKING]


def test_an_absence_forbids_every_shift_in_it() -> None:
    away = Absence(person_id=ANNE, span=span(date(2026, 6, 1), "00:00", "23:00"), kind="leave")

    assert rules(added(night(date(2026, 6, 1)).span, absences=(away,))) == [Rule.ABSENT]
    assert rules(broken([night(date(2026, 6, 1), BACKUP)], absences=[away])) == [Rule.ABSENT]


def weeks_of_work(weeks: int, hours_a_day: int) -> tuple[Session, ...]:
    start = datetime(2026, 1, 5, 8, tzinfo=UTC)
    begins = [start + timedelta(weeks=week, days=day) for week in range(weeks) for day in range(5)]
    return tuple(
        Session(person_id=ANNE, span=Span(start=one, end=one + timedelta(hours=hours_a_day))) for one in begins
    )


def test_forty_eight_hours_a_week_may_be_reached_over_seventeen_weeks_and_not_passed() -> None:
    full = weeks_of_work(17, 9)  # 45 h a week leave 51 h in 17 weeks.
    saturdays = [shift(date(2026, 1, 10) + timedelta(weeks=week), "08:30", "18:30") for week in range(5)]
    last = Span(start=datetime(2026, 4, 25, 8, tzinfo=UTC), end=datetime(2026, 4, 25, 9, tzinfo=UTC))

    assert broken(saturdays, full) == ()
    assert added(last, saturdays, full) == ()
    longer = Span(start=last.start, end=last.end + timedelta(minutes=5))
    (found,) = added(longer, saturdays, full)
    assert found.rule is Rule.WEEK_48_H_OVER_4_MONTHS
    assert "48" in found.message_en


def test_a_short_peak_is_averaged() -> None:
    assert broken([], weeks_of_work(4, 12)) == ()


def test_the_teleradiology_share_is_of_contract_hours_and_names_the_shift() -> None:
    nights = [night(date(2026, 1, 3) + timedelta(days=12 * n)) for n in range(9)]  # 126 h of 663 h: 19 %.
    one_more = night(date(2026, 4, 28)).span

    (found,) = added(one_more, nights, who=person())

    assert violations(ANNE, nights, (), LIMITS, YEAR, lines=[READER], person=person()) == ()
    assert (found.rule, found.severity) == (Rule.TELERADIOLOGY_SHARE, Severity.CHARTER)
    assert "20%" in found.message_en
    assert "reader-1 2026-04-28" in found.message_en
    assert added(one_more, nights, who=person(), is_emergency=True) == (), "the charter yields to an emergency"
    assert added(one_more, nights, who=person(share=0.22)) == ()


def test_what_was_worked_when_called_counts_for_the_teleradiology_share() -> None:
    nights = [night(date(2026, 1, 3) + timedelta(days=12 * n)) for n in range(9)]  # 126 h of 663 h: 19 %.
    called = call(BACKUP.line_id, ANNE, span(date(2026, 4, 20), "19:00", "23:00"))
    one_more = span(date(2026, 4, 28), "18:30", "22:30")

    assert added(one_more, nights, who=person()) == ()
    assert rules(added(one_more, [*nights, night(date(2026, 4, 20), BACKUP), called], who=person())) == [
        Rule.TELERADIOLOGY_SHARE
    ]


def test_a_call_within_the_own_shift_at_home_is_no_double_booking() -> None:
    called = call(BACKUP.line_id, ANNE, span(date(2026, 6, 1), "20:00", "22:00"))

    assert broken([night(date(2026, 6, 1), BACKUP), called]) == ()


def test_duty_for_the_own_hospital_is_no_teleradiology() -> None:
    home = frozenset({SiteId("roanne")})
    own = line("own", sites=home)
    nights = [night(date(2026, 1, 3) + timedelta(days=3 * n), own) for n in range(20)]

    here = violations(ANNE, nights, (), LIMITS, YEAR, lines=[own], person=person(sites=home))
    elsewhere = violations(ANNE, nights, (), LIMITS, YEAR, lines=[own], person=person())

    assert here == ()
    assert rules(elsewhere) == [Rule.TELERADIOLOGY_SHARE]


def test_what_is_given_away_in_the_same_act_does_not_stand_against_the_new_shift() -> None:
    given, taken = night(date(2026, 6, 1)), night(date(2026, 6, 2))

    assert Rule.REST_11_H in rules(added(taken.span, [given]))
    assert added(taken.span, [given], instead_of=[given]) == ()
