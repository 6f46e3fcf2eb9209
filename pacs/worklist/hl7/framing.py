"""MLLP: messages in blocks, out of a stream and into it, without sockets.

For: finding blocks in bytes as they come, within a bound of memory, and going on after whatever is none. Not for:
sockets and time-outs (`pacs.worklist.hl7.listener`, `pacs.worklist.hl7.sender`) or what a block says.

A block is 0x0B, the message, 0x1C, 0x0D. The character sets of HL7 that may be framed hold neither 0x0B nor 0x1C, so
one inside a block means that the block before it never ended, or that it ended here without its 0x0D.

Invariants
----------
* However the stream is cut into pieces, the same blocks come out.
* No more than one block's limit is held; of a longer block only its beginning is, and its end is still found.

References
----------
HL7 Version 3 Standard: Transport Specification - MLLP, Release 1; HL7 2.5.1 appendix C (as commonly implemented)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

START: Final = 0x0B
END: Final = 0x1C
AFTER_END: Final = 0x0D

BEGINNING_BYTES: Final = 65_536
"""What is kept of a block that is too long: enough for its MSH, and to see whose it is."""

OUTSIDE_BYTES_MAX: Final = 65_536
"""Bytes outside blocks between two of them: a peer that sends more speaks another protocol."""


class BlockFault(StrEnum):
    """Why a block cannot be read."""

    TOO_LONG = "too_long"
    CUT_SHORT = "cut_short"  # another began before it ended


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """What one block held.

    Attributes
    ----------
    content : bytes
        Without the block's own characters; only the beginning when `fault` is set.
    fault : BlockFault or None
    """

    content: bytes
    fault: BlockFault | None = None


class NoBlocks(Exception):
    """The stream is not MLLP: too much of it lies outside blocks."""


class BlockReader:
    """Finds the blocks of one stream.

    Parameters
    ----------
    block_bytes_max : int
        Of a block's content; longer ones come out as `BlockFault.TOO_LONG`.
    """

    def __init__(self, block_bytes_max: int) -> None:
        self._bytes_max = block_bytes_max
        self._content: bytearray | None = None
        self._is_too_long = False
        self._outside_bytes = 0

    @property
    def is_inside(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._content is not None

    @property
    def held_bytes(self) -> int:
        """How much of the present block is held."""
        return 0 if self._content is None else len(self._content)

    def feed(self, received: bytes | memoryview) -> Iterator[Block]:
        """Take the next bytes of the stream and yield the blocks that end in them.

        Raises
        ------
        NoBlocks
            If more than `OUTSIDE_BYTES_MAX` lie outside blocks.
        """
        piece = bytes(received)
        position = 0
        while position < len(piece):
            if self._content is None:
                position = self._look_for_start(piece, position)
            else:
                position, block = self._look_for_end(piece, position)
                if block is not None:
                    yield block

    def _look_for_start(self, piece: bytes, position: int) -> int:
        start = piece.find(START, position)
        skipped = (len(piece) if start < 0 else start) - position
        self._outside_bytes += skipped
        if self._outside_bytes > OUTSIDE_BYTES_MAX:
            raise NoBlocks(f"more than {OUTSIDE_BYTES_MAX} bytes came outside blocks of MLLP")
        if start < 0:
            return len(piece)
        self._begin()
        return start + 1

    def _look_for_end(self, piece: bytes, position: int) -> tuple[int, Block | None]:
        content = self._content
        assert content is not None
        found = [at for at in (piece.find(END, position), piece.find(START, position)) if at >= 0]
        at = min(found, default=len(piece))
        self._take(content, memoryview(piece)[position:at])
        if at == len(piece):
            return at, None
        block = self._finished(content, is_cut=piece[at] == START)
        if piece[at] == START:
            self._begin()
        else:
            self._content = None
        return at + 1, block

    def _begin(self) -> None:
        self._content = bytearray()
        self._is_too_long = False
        self._outside_bytes = 0

    def _take(self, content: bytearray, more: memoryview) -> None:
        if self._is_too_long:
            return
        if len(content) + len(more) <= self._bytes_max:
            content += more
            return
        self._is_too_long = True
        content += more[: max(0, BEGINNING_BYTES - len(content))]
        del content[BEGINNING_BYTES:]

    def _finished(self, content: bytearray, *, is_cut: bool) -> Block:
        if self._is_too_long:
            return Block(content=bytes(content), fault=BlockFault.TOO_LONG)
        return Block(content=bytes(content), fault=BlockFault.CUT_SHORT if is_cut else None)


def is_framable(content: bytes) -> bool:
    """Say whether a message can be a block: it holds none of a block's own characters."""
    return START not in content and END not in content


def block_of(content: bytes) -> bytes:
    """Return a message as a block of MLLP."""
    assert is_framable(content)
    return b"%c%b%c%c" % (START, content, END, AFTER_END)
