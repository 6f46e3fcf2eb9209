"""Counts on the receiving path that do not depend on the machine: calls, events and copies per CT image."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pacs.upper_layer.connection import UpperLayer
from pacs.upper_layer.dimse import store_request
from pacs.upper_layer.events import Event
from tests.unit.upper_layer.pairs import CT_IMAGE_STORAGE, INSTANCE_UID, associated, feed, joined

CT_IMAGE_BYTES = 526 * 1024


def an_image_on_the_wire(pdu_length: int) -> tuple[bytes, bytes]:
    """Return the PDUs of the command and those of the data set."""
    sender = associated(acceptor_maximum_length=pdu_length).requestor
    command = sender.pdata_command(1, store_request(1, CT_IMAGE_STORAGE, INSTANCE_UID))
    return command, joined(sender.pdata_dataset(1, bytes(CT_IMAGE_BYTES)))


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def count_calls(action: Callable[[], object]) -> dict[str, int]:
    """Count Python calls and C calls while `action` runs."""
    counts = {"call": 0, "c_call": 0}

    def profile(_frame: FrameType, event: str, _argument: Any) -> None:
        if event in counts:
            counts[event] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(before)
    return counts


def receive(ul: UpperLayer, piece: bytes) -> list[Event]:
    ul.receive_buffer()[: len(piece)] = piece
    return ul.bytes_received(len(piece))


@pytest.mark.parametrize(
    ("pdu_length", "read_bytes", "fragments"),
    [(131_072, 65_536, 13), (131_072, 262_144, 7), (16_384, 65_536, 41), (16_384, 262_144, 35)],
)
def test_an_image_makes_one_event_per_piece_of_a_fragment_and_nothing_more(
    pdu_length: int, read_bytes: int, fragments: int
) -> None:
    ul = associated().acceptor
    events: list[Event] = []
    for piece in pieces(b"".join(an_image_on_the_wire(pdu_length)), read_bytes):
        events += receive(ul, piece)
    assert len(events) == 1 + fragments


def calls_for_data(pdu_length: int) -> dict[str, int]:
    """Count what receiving the data of one image costs, all of its bytes in reads of 256 KiB."""
    ul = associated().acceptor
    command, data = an_image_on_the_wire(pdu_length)
    feed(ul, command)
    reads = pieces(data, 262_144)

    def all_reads() -> None:
        for piece in reads:
            receive(ul, piece)

    return count_calls(all_reads)


def test_a_read_makes_a_fixed_number_of_python_calls_however_many_pdus_it_holds() -> None:
    # Three reads; each goes through receive (here), receive_buffer, bytes_received, _read, PDataReceiver.receive
    # and is_inside_pdu; and the counted function itself.
    assert calls_for_data(131_072)["call"] <= 3 * 6 + 1
    assert calls_for_data(16_384)["call"] <= 3 * 6 + 1


def test_a_pdu_costs_four_calls_into_c() -> None:
    few, many = calls_for_data(131_072)["c_call"], calls_for_data(16_384)["c_call"]
    # 5 PDUs against 33: two headers unpacked, one event made, one appended.
    assert many - few == 4 * (33 - 5)


def test_receiving_an_image_copies_and_keeps_nothing_of_it() -> None:
    ul = associated().acceptor
    reads = pieces(b"".join(an_image_on_the_wire(131_072)), 262_144)
    for piece in reads:
        receive(ul, piece)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(20):
            for piece in reads:
                receive(ul, piece)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 20 images of 526 KiB went through; what lives meanwhile is events and one command.
    assert kept < 4_096
    assert peak < 16_384
