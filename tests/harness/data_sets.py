"""Data sets written element by element, so that a test says exactly which bytes a sender sends.

For: ingest, header and engine tests. Not for: realistic images (`benchmarks.studies`) or files of real machines
(`tests.harness.sample_files`).
"""

import struct
import zlib
from collections.abc import Mapping

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"

_LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
UNDEFINED = 0xFFFFFFFF

Elements = Mapping[int, tuple[str, bytes]]


def element(
    tag: int, vr: str, value: bytes, syntax: str = EXPLICIT_LITTLE, *, stated_length: int | None = None
) -> bytes:
    """Return one data element; `stated_length` lies about the length of the value.

    References
    ----------
    PS3.5 7.1
    """
    order = ">" if syntax == EXPLICIT_BIG else "<"
    length = len(value) if stated_length is None else stated_length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT_LITTLE:
        return head + struct.pack("<I", length) + value
    if vr in _LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "I", length) + value
    return head + vr.encode() + struct.pack(order + "H", length) + value


def text(value: str) -> bytes:
    """Return a value padded with a space to an even length."""
    raw = value.encode()
    return raw + b" " if len(raw) % 2 else raw


def uid(value: str) -> bytes:
    """Return a UID padded with NUL to an even length."""
    raw = value.encode()
    return raw + b"\0" if len(raw) % 2 else raw


def written(elements: Elements, syntax: str = EXPLICIT_LITTLE) -> bytes:
    """Return a data set of these elements in ascending order, deflated when the transfer syntax says so."""
    body = b"".join(element(tag, vr, value, syntax) for tag, (vr, value) in sorted(elements.items()))
    if syntax == DEFLATED:
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = squeezer.compress(body) + squeezer.flush()
        return deflated + b"\0" * (len(deflated) % 2)
    return body


def image_elements(
    sop_instance_uid: str,
    *,
    series_instance_uid: str = "1.2.3.1",
    study_instance_uid: str = "1.2.3",
    patient_id: str = "P1",
    issuer: str = "",
    patient_name: str = "Doe^Jane",
    modality: str = "CT",
    sop_class_uid: str = CT_IMAGE,
    pixels: bytes = b"",
    extra: Elements | None = None,
    syntax: str = EXPLICIT_LITTLE,
) -> dict[int, tuple[str, bytes]]:
    """Return the elements of a small image; `extra` adds elements or replaces them."""
    order = ">" if syntax == EXPLICIT_BIG else "<"
    elements = {
        0x00080016: ("UI", uid(sop_class_uid)),
        0x00080018: ("UI", uid(sop_instance_uid)),
        0x00080020: ("DA", b"20260102"),
        0x00080030: ("TM", b"101112"),
        0x00080050: ("SH", text("A1")),
        0x00080060: ("CS", text(modality)),
        0x00081030: ("LO", text("Head")),
        0x0008103E: ("LO", text("Axial")),
        0x00100010: ("PN", text(patient_name)),
        0x00100020: ("LO", text(patient_id)),
        0x00100030: ("DA", b"19700102"),
        0x00100040: ("CS", text("F")),
        0x0020000D: ("UI", uid(study_instance_uid)),
        0x0020000E: ("UI", uid(series_instance_uid)),
        0x00200010: ("SH", text("1")),
        0x00200011: ("IS", text("1")),
        0x00200013: ("IS", text("1")),
        0x00280010: ("US", struct.pack(order + "H", 16)),
        0x00280011: ("US", struct.pack(order + "H", 8)),
    }
    if issuer:
        elements[0x00100021] = ("LO", text(issuer))
    if pixels:
        elements[0x7FE00010] = ("OW", pixels)
    return elements | dict(extra or {})


def image(sop_instance_uid: str, *, syntax: str = EXPLICIT_LITTLE, **options: object) -> bytes:
    """Return the data set of a small image; options as for `image_elements`."""
    return written(image_elements(sop_instance_uid, syntax=syntax, **options), syntax)  # type: ignore[arg-type]


def nested_sequences(depth: int, *, is_defined: bool, syntax: str = EXPLICIT_LITTLE, tag: int = 0x00081140) -> bytes:
    """Return an element with `depth` sequences inside each other, of defined or of undefined length.

    References
    ----------
    PS3.5 7.5
    """
    order = ">" if syntax == EXPLICIT_BIG else "<"

    def marker(number: int, length: int) -> bytes:
        return struct.pack(order + "HHI", 0xFFFE, number, length)

    if not is_defined:
        opening = element(tag, "SQ", b"", syntax, stated_length=UNDEFINED) + marker(0xE000, UNDEFINED)
        return opening * depth + (marker(0xE00D, 0) + marker(0xE0DD, 0)) * depth
    # From the inside out, without building each level's content anew: headers in front, all of known length.
    headers, inside = [], 0
    for _ in range(depth):
        item = marker(0xE000, inside)
        outer = element(tag, "SQ", b"", syntax, stated_length=inside + len(item))
        headers.append(outer + item)
        inside += len(outer) + len(item)
    return b"".join(reversed(headers))
