"""Blocks of MLLP: found in every cut of a stream, bounded, and found again after whatever is none."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.worklist.hl7.framing import (
    BEGINNING_BYTES,
    OUTSIDE_BYTES_MAX,
    Block,
    BlockFault,
    BlockReader,
    NoBlocks,
    block_of,
)

CONTENT = st.binary(max_size=200).map(lambda raw: raw.replace(b"\x0b", b"").replace(b"\x1c", b""))
NOISE = st.binary(max_size=20).map(lambda raw: raw.replace(b"\x0b", b""))


def read(stream: bytes, *, cuts: tuple[int, ...] = (), bytes_max: int = 1000) -> list[Block]:
    """Return the blocks of a stream that comes in these pieces."""
    reader = BlockReader(bytes_max)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [block for start, end in itertools.pairwise(edges) for block in reader.feed(stream[start:end])]


@given(st.lists(st.tuples(NOISE, CONTENT), max_size=5), st.lists(st.integers(min_value=0), max_size=6))
def test_blocks_come_out_whole_however_the_stream_is_cut(parts: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(noise + block_of(content) for noise, content in parts)

    assert read(stream, cuts=tuple(cuts)) == [Block(content=content) for _, content in parts]


@given(st.binary(max_size=400), st.lists(st.integers(min_value=0), max_size=6))
def test_any_bytes_give_the_same_blocks_in_every_cut(stream: bytes, cuts: list[int]) -> None:
    assert read(stream, cuts=tuple(cuts), bytes_max=50) == read(stream, bytes_max=50)


def test_a_block_without_the_last_carriage_return_ends_all_the_same() -> None:
    assert read(b"\x0bone\x1c\x0btwo\x1c\r") == [Block(content=b"one"), Block(content=b"two")]


def test_a_block_that_another_begins_in_is_cut_short_and_the_other_is_whole() -> None:
    assert read(b"\x0bhal" + block_of(b"whole")) == [
        Block(content=b"hal", fault=BlockFault.CUT_SHORT),
        Block(content=b"whole"),
    ]


def test_a_block_that_is_too_long_is_held_no_further_and_the_next_one_is_read() -> None:
    reader = BlockReader(100_000)

    assert list(reader.feed(b"\x0b" + b"a" * 99_999)) == []
    for _ in range(100):
        assert list(reader.feed(b"a" * 10_000)) == []
        assert reader.held_bytes <= 100_000
    blocks = list(reader.feed(b"\x1c\r" + block_of(b"next")))

    assert blocks == [Block(content=b"a" * BEGINNING_BYTES, fault=BlockFault.TOO_LONG), Block(content=b"next")]


def test_a_stream_that_is_no_mllp_is_given_up() -> None:
    reader = BlockReader(1000)
    list(reader.feed(b"x" * OUTSIDE_BYTES_MAX))

    with pytest.raises(NoBlocks):
        list(reader.feed(b"x"))


def test_bytes_outside_blocks_are_counted_anew_after_each_block() -> None:
    reader = BlockReader(1000)
    for _ in range(3):
        # With the carriage return after the block before.
        assert list(reader.feed(b"x" * (OUTSIDE_BYTES_MAX - 1) + block_of(b"m"))) == [Block(content=b"m")]
