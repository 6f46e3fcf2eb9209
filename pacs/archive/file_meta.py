"""The Part 10 head that we put in front of a received data set: preamble, prefix and File Meta Information.

References
----------
PS3.10 7.1; PS3.7 D.3.3.2 (implementation identification)
"""

import functools
import struct
from typing import Final

# Registered nowhere: derived from a UUID as PS3.5 B.2 allows.
IMPLEMENTATION_CLASS_UID: Final = "2.25.231045981604928364012845930271845601283"
IMPLEMENTATION_VERSION_NAME: Final = "TELEGARDE_0_1"
# Five UIDs of 64 bytes, two short strings, preamble and element headers stay far below.
LENGTH_BYTES_MAX: Final = 1024


def encode(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_aet: str) -> bytes:
    """Return preamble, ``DICM`` and the group 0002 elements, Explicit VR Little Endian."""
    before, after = _fixed_parts(sop_class_uid, transfer_syntax_uid, source_aet)
    instance = _short(0x0003, b"UI", sop_instance_uid.encode("ascii"), b"\0")
    length = len(before) + len(instance) + len(after)
    return b"%b\x02\x00\x00\x00UL\x04\x00%b%b%b%b" % (_PREAMBLE, struct.pack("<I", length), before, instance, after)


def transfer_syntax_uid(head: bytes) -> str:
    """Return the Transfer Syntax UID of a head that `encode` wrote; '' when there is none.

    References
    ----------
    PS3.10 7.1
    """
    position = 132
    while position + 8 <= len(head):
        group, element, vr, length = struct.unpack_from("<HH2sH", head, position)
        position += 8
        if vr == b"OB":
            (length,) = struct.unpack_from("<I", head, position)
            position += 4
        if (group, element) == (0x0002, 0x0010):
            return head[position : position + length].rstrip(b"\0 ").decode("ascii")
        position += length
    return ""


_PREAMBLE: Final = bytes(128) + b"DICM"


@functools.lru_cache(maxsize=1024)
def _fixed_parts(sop_class_uid: str, transfer_syntax_uid: str, source_aet: str) -> tuple[bytes, bytes]:
    before = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
    before += _short(0x0002, b"UI", sop_class_uid.encode("ascii"), b"\0")
    after = _short(0x0010, b"UI", transfer_syntax_uid.encode("ascii"), b"\0")
    after += _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii"), b"\0")
    after += _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" ")
    if source_aet:
        after += _short(0x0016, b"AE", source_aet.encode("ascii", "replace"), b" ")
    return before, after


def _short(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    if len(value) % 2:
        value += pad
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value
