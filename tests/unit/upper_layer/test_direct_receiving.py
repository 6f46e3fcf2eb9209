"""Receiving past the buffer: the same data set, however its bytes are divided between buffer and destination."""

import random

import pytest

from pacs.upper_layer.connection import UpperLayer
from pacs.upper_layer.dimse import store_request
from pacs.upper_layer.events import CommandReceived, DataFragment
from tests.unit.upper_layer.pairs import associated, joined


def store_message(requestor: UpperLayer, data_set: bytes) -> bytes:
    command = store_request(1, "1.2.840.10008.5.1.4.1.1.2", "1.2.3")
    return requestor.pdata_command(1, command) + joined(requestor.pdata_dataset(1, memoryview(data_set)))


def received(acceptor: UpperLayer, stream: bytes, chooser: random.Random, *, is_direct: bool) -> tuple[bytes, int]:
    """Feed a stream in pieces of any size, directly when allowed and drawn; return the data sets and their number."""
    data_sets, whole, place = bytearray(), 0, 0
    while place < len(stream):
        room = acceptor.direct_room()
        step = chooser.randint(1, 40_000)
        if is_direct and room and chooser.random() < 0.7:
            direct = min(room, step, len(stream) - place)
            data_sets += stream[place : place + direct]
            whole += acceptor.directly_received(direct)
            place += direct
            continue
        buffer = acceptor.receive_buffer()
        length = min(step, len(buffer), len(stream) - place)
        buffer[:length] = stream[place : place + length]
        place += length
        for event in acceptor.bytes_received(length):
            if isinstance(event, DataFragment):
                data_sets += event.data
                whole += event.is_last
            else:
                assert isinstance(event, CommandReceived)
    return bytes(data_sets), whole


@pytest.mark.parametrize("seed", range(20))
def test_bytes_received_directly_are_those_that_the_buffer_would_have_held(seed: int) -> None:
    chooser = random.Random(seed)
    pair = associated()
    requestor, acceptor = pair.requestor, pair.acceptor
    data_sets = [chooser.randbytes(2 * chooser.randint(1, 200_000)) for _ in range(3)]
    stream = b"".join(store_message(requestor, one) for one in data_sets)

    assert received(acceptor, stream, chooser, is_direct=True) == (b"".join(data_sets), 3)


def test_nothing_is_received_directly_outside_a_data_set_fragment() -> None:
    pair = associated()
    requestor, acceptor = pair.requestor, pair.acceptor
    assert acceptor.direct_room() == 0
    stream = store_message(requestor, bytes(1000))
    buffer = acceptor.receive_buffer()
    buffer[: len(stream) - 1] = stream[:-1]
    acceptor.bytes_received(len(stream) - 1)

    assert acceptor.direct_room() == 1
    assert acceptor.directly_received(1)
    assert acceptor.direct_room() == 0
