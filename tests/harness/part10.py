"""Part 10 files cut into head and data set, without any library that would decode or repair them.

References
----------
PS3.10 7.1
"""

import struct
from dataclasses import dataclass
from pathlib import Path

_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


@dataclass(frozen=True, kw_only=True)
class Part10:
    """One file: the values of its group 0002 by element number, and its data set as it stands."""

    meta: dict[int, bytes]
    dataset: bytes

    def uid(self, element: int) -> str:
        """Return a UID of the file meta information; '' when it is not there."""
        return self.meta.get(element, b"").rstrip(b"\0 ").decode("ascii")

    @property
    def transfer_syntax_uid(self) -> str:
        """Return the transfer syntax; '' when the file does not say."""
        return self.uid(0x0010)


def read_part10(path: Path) -> Part10 | None:
    """Read a file; None when it has no preamble or no file meta information."""
    content = path.read_bytes()
    if content[128:132] != b"DICM":
        return None
    meta: dict[int, bytes] = {}
    position = 132
    while content[position : position + 2] == b"\x02\x00":
        element, vr, length = struct.unpack_from("<H2sH", content, position + 2)
        position += 8
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from("<I", content, position)
            position += 4
        meta[element] = content[position : position + length]
        position += length
    return Part10(meta=meta, dataset=content[position:]) if meta else None
