"""The pace of a sender on a virtual clock: stalls are diagnosed, slowness on purpose is caught, hurry is left alone."""

import random

import pytest

from pacs.scp.stall import MESSAGES_MIN, PROGRESS_BYTES_MIN, STALL_S_MAX, STALL_S_MIN, StallWatch

PERIOD_S = 60.0
NAGLE_S = 0.040
PDU_BYTES = 16_384


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Sender:
    """Sends messages to a watch, waiting as told before their last segment."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.watch = StallWatch(PERIOD_S, self.clock)

    def send(self, *, wait_s: float, messages: int = 1) -> None:
        for _ in range(messages):
            self.watch.begin_message()
            for gap_s in (0.0001, 0.0001, wait_s):
                self.clock.now_s += gap_s
                assert not self.watch.is_too_slow(PDU_BYTES)
            self.watch.end_message()
            # Between messages the sender may do what it likes.
            self.clock.now_s += 0.5


def test_a_wait_of_40_ms_in_every_image_is_diagnosed_with_its_length() -> None:
    sender = Sender()
    sender.send(wait_s=NAGLE_S, messages=MESSAGES_MIN)
    assert sender.watch.typical_stall_ms() == pytest.approx(40.0)


def test_half_the_images_are_enough_and_the_quick_ones_do_not_dilute_the_figure() -> None:
    sender = Sender()
    for _ in range(MESSAGES_MIN):
        sender.send(wait_s=NAGLE_S)
        sender.send(wait_s=0.0002)
    assert sender.watch.typical_stall_ms() == pytest.approx(40.0)


def test_less_than_half_of_the_images_is_no_diagnosis() -> None:
    sender = Sender()
    sender.send(wait_s=NAGLE_S, messages=MESSAGES_MIN)
    sender.send(wait_s=0.0002, messages=MESSAGES_MIN + 1)
    assert sender.watch.typical_stall_ms() is None


def test_few_images_prove_nothing() -> None:
    sender = Sender()
    sender.send(wait_s=NAGLE_S, messages=MESSAGES_MIN - 1)
    assert sender.watch.typical_stall_ms() is None


@pytest.mark.parametrize("wait_s", [0.0002, STALL_S_MIN * 0.9, STALL_S_MAX * 1.1, 2.0])
def test_other_waits_are_not_nagles(wait_s: float) -> None:
    sender = Sender()
    sender.send(wait_s=wait_s, messages=3 * MESSAGES_MIN)
    assert sender.watch.typical_stall_ms() is None


def test_waits_that_vary_as_a_loaded_machine_varies_them_are_still_diagnosed() -> None:
    sender, chance = Sender(), random.Random(7)
    for _ in range(200):
        sender.send(wait_s=NAGLE_S + chance.uniform(0, 0.012))
    found = sender.watch.typical_stall_ms()
    assert found is not None
    assert 40.0 <= found <= 52.0


def test_a_message_that_brings_little_in_a_whole_period_is_too_slow() -> None:
    sender = Sender()
    sender.watch.begin_message()
    for second in range(1, int(PERIOD_S) + 1):
        sender.clock.now_s += 1
        assert sender.watch.is_too_slow(1) == (second == PERIOD_S)


def test_a_message_that_brings_enough_in_every_period_may_take_for_ever() -> None:
    sender = Sender()
    sender.watch.begin_message()
    for _ in range(1000):
        sender.clock.now_s += PERIOD_S / 2
        assert not sender.watch.is_too_slow(PROGRESS_BYTES_MIN // 2)


def test_what_a_message_brought_before_does_not_excuse_the_period_after() -> None:
    sender = Sender()
    sender.watch.begin_message()
    sender.clock.now_s += PERIOD_S
    assert not sender.watch.is_too_slow(100 * PROGRESS_BYTES_MIN)
    sender.clock.now_s += PERIOD_S
    assert sender.watch.is_too_slow(PROGRESS_BYTES_MIN - 1)


def test_between_messages_nothing_is_too_slow() -> None:
    sender = Sender()
    sender.send(wait_s=0.001)
    sender.clock.now_s += 10 * PERIOD_S
    assert not sender.watch.is_too_slow(1)


def test_a_command_set_that_is_not_whole_after_a_period_is_stuck() -> None:
    sender = Sender()
    assert not sender.watch.is_stuck(False)
    sender.clock.now_s += PERIOD_S - 1
    assert not sender.watch.is_stuck(False)
    sender.clock.now_s += 1
    assert sender.watch.is_stuck(False)


def test_whatever_is_completed_begins_the_wait_for_the_next_anew() -> None:
    sender = Sender()
    for _ in range(10):
        assert not sender.watch.is_stuck(False)
        sender.clock.now_s += PERIOD_S - 1
        assert not sender.watch.is_stuck(True)
        sender.clock.now_s += PERIOD_S
