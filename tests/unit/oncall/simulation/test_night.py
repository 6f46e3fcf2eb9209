"""The world of a night keeps its rules, whatever is decided in it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from oncall.reading.board import ExamKind, Urgency
from oncall.simulation.arrivals import ArrivedCase, Night, NightCase
from oncall.simulation.night import BackupOrders, Duty, Staffing, simulate


def case(name: str, ready_min: float | str, read_min: float | str) -> NightCase:
    """A head CT of the only hospital."""
    return NightCase(
        arrived=ArrivedCase(
            case_id=name, ready_min=Decimal(ready_min), site="H", urgency=Urgency.P2, exam=ExamKind.HEAD
        ),
        read_min=Decimal(read_min),
    )


def night(*cases: NightCase) -> Night:
    return Night(name="test", cases=cases)


@dataclass
class Scripted:
    """First in first out, with the backup orders of a script by minute."""

    orders: dict[int, BackupOrders] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    choose: Callable[[str, Sequence[str]], str | None] = lambda person, waiting: waiting[0]

    def images_complete(self, case: ArrivedCase, now_min: Decimal) -> None:
        self.waiting.append(case.case_id)

    def on_duty(self, duty: Duty, now_min: Decimal) -> None:
        self.heard.append(("on", duty.person))

    def off_duty(self, person: str, now_min: Decimal) -> None:
        self.heard.append(("off", person))

    def next_case(self, person: str, now_min: Decimal) -> str | None:
        chosen = self.choose(person, self.waiting)
        if chosen is not None:
            self.waiting.remove(chosen)
        return chosen

    def signed(self, case_id: str, person: str, now_min: Decimal) -> None:
        self.heard.append(("signed", case_id))

    def lost(self, person: str, case_id: str | None, now_min: Decimal) -> None:
        self.heard.append(("lost", person))
        if case_id is not None:
            self.waiting.append(case_id)

    def minute(self, now_min: Decimal) -> BackupOrders:
        return self.orders.get(int(now_min), BackupOrders())


def test_a_reader_whose_duty_ends_finishes_the_case_in_hand_and_begins_no_other() -> None:
    cases = [case("a", 1469, 40), case("b", 1469, 40), case("c", 1469, 40), case("d", 1470, 1)]

    result = simulate(night(*cases), Staffing(evening=3, deep_night=1), Scripted())

    done = {outcome.case_id: (outcome.start_min, outcome.done_min) for outcome in result.outcomes}
    assert done["c"] == (1469, 1509)
    assert done["d"] == (1509, 1510)
    assert next(outcome for outcome in result.outcomes if outcome.case_id == "d").reader == "reader-1"


def test_readers_who_come_at_the_change_begin_then() -> None:
    cases = [case("a", 1460, 60), case("b", 1460, 60)]

    result = simulate(night(*cases), Staffing(evening=1, deep_night=2), Scripted())

    assert [(outcome.reader, outcome.start_min) for outcome in result.outcomes] == [
        ("reader-1", 1460),
        ("reader-2", 1470),
    ]


def test_a_backup_reads_fifteen_minutes_after_the_call_and_is_paid_for_an_hour() -> None:
    cases = [case("a", 1110, 300), case("b", 1111, 10)]
    script = Scripted(orders={1120: BackupOrders(calls=("backup-1",))})

    result = simulate(night(*cases), Staffing(evening=1, deep_night=1), script)

    assert result.outcomes[1].start_min == 1135
    assert result.outcomes[1].is_backup
    (backup,) = result.backups
    assert (backup.called_min, backup.arrived_min, backup.released_min) == (1120, 1135, 1195)
    assert result.backup_hours == 1.0


def test_what_a_backup_finishes_after_the_hour_is_paid() -> None:
    cases = [case("a", 1110, 300), case("b", 1111, "70.25")]
    script = Scripted(orders={1120: BackupOrders(calls=("backup-1",))})

    (backup,) = simulate(night(*cases), Staffing(evening=1, deep_night=1), script).backups

    assert backup.released_min == Decimal("1205.25")
    assert backup.paid_min == Decimal("70.25")


def test_a_backup_is_kept_when_ordered_and_sent_home_no_sooner_than_after_the_paid_hour() -> None:
    script = Scripted(
        orders={
            1120: BackupOrders(calls=("backup-1", "backup-2")),
            1150: BackupOrders(until_min={"backup-1": Decimal(1150), "backup-2": Decimal(1230)}),
            1220: BackupOrders(until_min={"backup-2": Decimal(1250)}),
            1240: BackupOrders(until_min={"backup-2": Decimal(1240)}),
        }
    )

    result = simulate(night(case("a", 1110, 300)), Staffing(evening=1, deep_night=1), script)

    assert [backup.released_min for backup in result.backups] == [1195, 1240]


def test_who_was_sent_home_may_be_called_again_and_each_call_has_a_name_of_its_own() -> None:
    cases = [case("a", 1110, 500), case("b", 1140, 10), case("c", 1300, 10)]
    call = BackupOrders(calls=("backup-1",))

    result = simulate(night(*cases), Staffing(evening=1, deep_night=1), Scripted(orders={1120: call, 1290: call}))

    assert [outcome.reader for outcome in result.outcomes] == ["reader-1", "backup-1", "backup-1/2"]
    assert [(each.reader, each.arrived_min) for each in result.backups] == [("backup-1", 1135), ("backup-1/2", 1305)]


def test_cases_that_arrive_at_once_come_by_their_names_whatever_the_order_of_the_list() -> None:
    cases = [case("b", 1200, 5), case("a", 1200, 5), case("c", 1200, 5)]

    results = [simulate(night(*order), Staffing(evening=1, deep_night=1), Scripted()) for order in (cases, cases[::-1])]

    for result in results:
        assert {outcome.case_id: outcome.start_min for outcome in result.outcomes} == {"a": 1200, "b": 1205, "c": 1210}


def test_what_is_left_in_the_morning_is_read_by_the_day() -> None:
    cases = [case(f"c{number:02d}", 1949, 100) for number in range(20)]

    result = simulate(night(*cases), Staffing(evening=1, deep_night=1), Scripted())

    assert max(outcome.done_min for outcome in result.outcomes) == 1949 + 20 * 100


def test_times_add_up_to_the_last_digit() -> None:
    cases = [case("a", "1110.1234567890123456789", "0.10000000000000000000001"), case("b", "1110.2", "7.3")]

    result = simulate(night(*cases), Staffing(evening=1, deep_night=1), Scripted())

    assert str(result.outcomes[0].done_min) == "1110.22345678901234567890001"
    assert result.outcomes[1].start_min == result.outcomes[0].done_min


minutes = st.decimals(min_value=1110, max_value=1950, places=2)
lengths = st.decimals(min_value="0.01", max_value=90, places=2)


@given(
    times=st.lists(st.tuples(minutes, lengths), min_size=1, max_size=40),
    evening=st.integers(1, 4),
    deep_night=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    calls=st.dictionaries(st.integers(1110, 1900), st.integers(1, 120), max_size=6),
)
def test_whatever_is_decided_every_case_is_read_once_by_somebody_who_is_there(
    times: list[tuple[Decimal, Decimal]], evening: int, deep_night: int, seed: int, calls: dict[int, int]
) -> None:
    dice = random.Random(seed)
    cases = {f"c{number}": case(f"c{number}", *each) for number, each in enumerate(times)}

    def choose(person: str, waiting: Sequence[str]) -> str | None:
        # Somebody who waits for no reason is allowed, but not until the end.
        return None if dice.random() < 0.2 and len(waiting) > 1 else dice.choice(waiting)

    orders = {minute: BackupOrders(calls=(f"backup-{number}",)) for number, minute in enumerate(sorted(calls), start=1)}
    staffing = Staffing(evening=evening, deep_night=deep_night, callable_backups=6)

    result = simulate(night(*cases.values()), staffing, Scripted(orders=orders, choose=choose))

    assert [outcome.case_id for outcome in result.outcomes] == list(cases)
    duties = {duty.person: (duty.from_min, duty.until_min) for duty in staffing.duties()}
    paid = {backup.reader: backup for backup in result.backups}
    by_reader: dict[str, list[tuple[Decimal, Decimal]]] = {}
    for outcome in result.outcomes:
        assert outcome.start_min >= cases[outcome.case_id].arrived.ready_min
        assert outcome.done_min - outcome.start_min == cases[outcome.case_id].read_min
        by_reader.setdefault(outcome.reader, []).append((outcome.start_min, outcome.done_min))
        if outcome.is_backup:
            assert paid[outcome.reader].arrived_min <= outcome.start_min
            assert outcome.done_min <= paid[outcome.reader].released_min
        else:
            assert duties[outcome.reader][0] <= outcome.start_min < duties[outcome.reader][1]
    for reads in by_reader.values():
        reads.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(reads))
    assert len(result.backups) == len(calls)
    assert all(backup.arrived_min - backup.called_min == 15 for backup in result.backups)
    assert all(backup.paid_min >= 60 for backup in result.backups)
