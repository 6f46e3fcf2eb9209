"""Read what the index needs from the beginning of a data set, without decoding the rest.

Two speeds. `read_header` runs for every instance: it walks the top-level elements of the bytes as received and picks
the few values that identify the instance (about 25 us for a CT header). `describe_levels` runs once per new patient,
study or series: it decodes all attributes that the index keeps, with pydicom.

A peer decides what comes, so: no recursion (sequences are skipped with a counter), no read outside the buffer, and a
data set that cannot be walked to its end is still described as far as it could be, and marked.

References
----------
PS3.5 7.1 (data elements), 7.5 (sequences), A.4/A.5 (transfer syntaxes)
"""

import io
import json
import struct
import threading
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import xxhash
from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from typing_extensions import Buffer

from foundation.errors import PeerError
from pacs.archive.attributes import JSON_ATTRIBUTES, LEVEL_ATTRIBUTES, Level, Source
from pacs.archive.query_time import date_value

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99"})

# Sequences of undefined length inside each other; real objects stay below ten.
SEQUENCE_DEPTH_MAX: Final = 64
# How much of a deflated data set is inflated to find its header; a zip bomb ends here.
INFLATED_BYTES_MAX: Final = 4 * 1024 * 1024
# Longest JSON of further attributes kept per level; beyond it the longest values are left to the stored bytes.
ATTRIBUTES_JSON_CHARACTERS_MAX: Final = 32_768

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_PATIENT_ID: Final = 0x00100020
_ISSUER_OF_PATIENT_ID: Final = 0x00100021
_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E
_INSTANCE_NUMBER: Final = 0x00200013
_NUMBER_OF_FRAMES: Final = 0x00280008
_ROWS: Final = 0x00280010
_COLUMNS: Final = 0x00280011
_WANTED: Final = frozenset(
    {
        _SPECIFIC_CHARACTER_SET,
        _SOP_CLASS_UID,
        _SOP_INSTANCE_UID,
        _PATIENT_ID,
        _ISSUER_OF_PATIENT_ID,
        _STUDY_INSTANCE_UID,
        _SERIES_INSTANCE_UID,
        _INSTANCE_NUMBER,
        _NUMBER_OF_FRAMES,
        _ROWS,
        _COLUMNS,
    }
)
_PIXEL_DATA_FIRST: Final = 0x7FE00008
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
# Instead of a length: an element of undefined length has no end in the bytes at hand.
_NO_END: Final = -1
# Patient ID and its issuer have 64 characters (PS3.5 6.2), in the longest encodings four bytes each.
_RAW_BYTES_MAX: Final = 256
# PS3.5 7.1.2: these have two reserved bytes and a length of four.
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())

_VRS: Final = _SHORT_VRS | _LONG_VRS


class UnusableDataSet(PeerError):
    """The identifying UIDs cannot be read: nothing can be kept under any name."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The raw values that say where an instance belongs: equal identities share patient, study and series rows."""

    specific_character_set: bytes
    patient_id: bytes
    issuer_of_patient_id: bytes
    study_instance_uid: bytes
    series_instance_uid: bytes
    sop_class_uid: bytes


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What every instance has of its own.

    ``problem`` is '' for a well-formed header. ``length_bytes_min`` is how long the data set must be to hold what its
    last element begun says, 0 when that is not known.
    """

    identity: Identity
    sop_instance_uid: str
    instance_number: str
    rows: int | None
    columns: int | None
    number_of_frames: int | None
    problem: str
    length_bytes_min: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelDescription:
    """One level's row as the index keeps it: ``columns`` by column name (text), ``attributes`` as DICOM JSON text."""

    columns: Mapping[str, str]
    attributes: str


def is_uncompressed_header(transfer_syntax_uid: str) -> bool:
    """Say whether the header can be read from the bytes as they are."""
    return transfer_syntax_uid not in DEFLATED


def inflate(dataset: memoryview | bytes) -> bytes:
    """Return the first bytes of a deflated data set (PS3.5 A.5), at most `INFLATED_BYTES_MAX`.

    Raises
    ------
    UnusableDataSet
        If it is not deflated.
    """
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, INFLATED_BYTES_MAX)
    except zlib.error as error:
        raise UnusableDataSet("the data set is not deflated as its transfer syntax says") from error


def read_header(dataset: memoryview | bytes, transfer_syntax_uid: str, *, is_complete: bool) -> InstanceHeader:
    """Walk a data set's top level and return what identifies the instance.

    Parameters
    ----------
    dataset : memoryview or bytes
        The data set from its first byte, inflated, as much as there is; not kept.
    transfer_syntax_uid : str
        Any but a deflated one, which is read as Explicit VR Little Endian after `inflate`.
    is_complete : bool
        Whether `dataset` is all of it: then an element that runs over the end is a problem.

    Raises
    ------
    UnusableDataSet
        If Study, Series or SOP Instance UID or SOP Class UID is missing or not a UID.
    """
    end = len(dataset)
    big = transfer_syntax_uid == EXPLICIT_BIG
    found, problem, length_min = _walk(dataset, transfer_syntax_uid, _WANTED)
    if is_complete:
        if length_min > end:
            problem = "the data set ends inside an element"
    elif length_min == _NO_END:
        problem = ""
    empty = b""
    study = found.get(_STUDY_INSTANCE_UID, empty).rstrip(b"\0 ")
    series = found.get(_SERIES_INSTANCE_UID, empty).rstrip(b"\0 ")
    sop_instance = found.get(_SOP_INSTANCE_UID, empty).rstrip(b"\0 ")
    sop_class = found.get(_SOP_CLASS_UID, empty).rstrip(b"\0 ")
    for name, uid in (
        ("SOP Class UID", sop_class),
        ("SOP Instance UID", sop_instance),
        ("Study Instance UID", study),
        ("Series Instance UID", series),
    ):
        if not is_uid(uid):
            state = "missing" if not uid else "not a UID"
            raise UnusableDataSet(f"{name} is {state}" + (f" ({problem})" if problem else ""))
    return InstanceHeader(
        Identity(
            _bounded(found.get(_SPECIFIC_CHARACTER_SET, empty)),
            _bounded(found.get(_PATIENT_ID, empty).rstrip(b"\0 ")),
            _bounded(found.get(_ISSUER_OF_PATIENT_ID, empty).rstrip(b"\0 ")),
            study,
            series,
            sop_class,
        ),
        sop_instance.decode("ascii"),
        found.get(_INSTANCE_NUMBER, empty).replace(b"\0", b"").strip()[:16].decode("ascii", "replace"),
        _unsigned_short(found.get(_ROWS, empty), big),
        _unsigned_short(found.get(_COLUMNS, empty), big),
        _integer_string(found.get(_NUMBER_OF_FRAMES, empty)),
        problem,
        max(0, length_min),
    )


def is_uid(value: bytes) -> bool:
    """Say whether bytes can be a UID: digits and dots, at most 64 (PS3.5 9.1; leading zeros are tolerated)."""
    return 0 < len(value) <= 64 and not value.strip(b"0123456789.") and value[0] != 0x2E and value[-1] != 0x2E


def _walk(
    dataset: memoryview | bytes, transfer_syntax_uid: str, wanted: frozenset[int]
) -> tuple[dict[int, bytes], str, int]:
    # Some senders write the other kind of VR than they negotiated; the first element tells, as it does to pydicom.
    has_vr = bytes(dataset[4:6]) in _VRS
    if transfer_syntax_uid == IMPLICIT_LITTLE:
        if not has_vr:
            return _walk_implicit(dataset, len(dataset), wanted)
        found, problem, length_min = _walk_explicit(dataset, len(dataset), "<", wanted)
    else:
        if has_vr or transfer_syntax_uid == EXPLICIT_BIG:
            order = ">" if transfer_syntax_uid == EXPLICIT_BIG else "<"
            return _walk_explicit(dataset, len(dataset), order, wanted)
        found, problem, length_min = _walk_implicit(dataset, len(dataset), wanted)
    return found, problem or "explicit and implicit VR are mixed up", length_min


def _bounded(raw: bytes) -> bytes:
    """Shorten what no well-formed value is as long as, so that different values stay different: it is kept long."""
    return raw if len(raw) <= _RAW_BYTES_MAX else raw[:64] + xxhash.xxh3_128_digest(raw)


def _walk_explicit(
    data: memoryview | bytes, end: int, order: str, wanted: frozenset[int]
) -> tuple[dict[int, bytes], str, int]:
    """Return values by tag, what stopped the walk or '', and the length that the data set must have at least.

    That length is 0 when it is not known, and `_NO_END` when an element of undefined length has no end in `data`.
    """
    # The hot loop: one unpack, one set look-up and one comparison per element.
    element = struct.Struct(order + "HH2sH").unpack_from
    length32 = struct.Struct(order + "I").unpack_from
    found: dict[int, bytes] = {}
    position = 0
    previous = -1
    while position + 8 <= end:
        group, number, vr, length = element(data, position)
        tag = group << 16 | number
        if vr in _SHORT_VRS:
            value = position + 8
        elif vr in _LONG_VRS:
            value = position + 12
            if value > end:
                break
            (length,) = length32(data, position + 8)
        else:
            return found, f"no value representation at byte {position}", 0
        if tag <= previous:
            return found, f"elements out of order at byte {position}", 0
        previous = tag
        if tag >= _PIXEL_DATA_FIRST and length != _UNDEFINED:
            return found, "", value + length
        if length == _UNDEFINED:
            after = _skip_undefined(data, value, end, order, is_explicit=vr != b"UN")
            if after < 0:
                return found, f"the element at byte {position} does not end or is nested too deep", _NO_END
            position = after
            if tag >= _PIXEL_DATA_FIRST:
                return found, "", position
            continue
        position = value + length
        if tag in wanted and position <= end:
            found[tag] = bytes(data[value:position])
    return found, "", position if position >= end else position + 12


def _walk_implicit(data: memoryview | bytes, end: int, wanted: frozenset[int]) -> tuple[dict[int, bytes], str, int]:
    """As `_walk_explicit`."""
    element = struct.Struct("<HHI").unpack_from
    found: dict[int, bytes] = {}
    position = 0
    previous = -1
    while position + 8 <= end:
        group, number, length = element(data, position)
        tag = group << 16 | number
        if tag <= previous:
            return found, f"elements out of order at byte {position}", 0
        previous = tag
        value = position + 8
        if tag >= _PIXEL_DATA_FIRST and length != _UNDEFINED:
            return found, "", value + length
        if length == _UNDEFINED:
            after = _skip_undefined(data, value, end, "<", is_explicit=False)
            if after < 0:
                return found, f"the element at byte {position} does not end or is nested too deep", _NO_END
            position = after
            if tag >= _PIXEL_DATA_FIRST:
                return found, "", position
            continue
        position = value + length
        if tag in wanted and position <= end:
            found[tag] = bytes(data[value:position])
    return found, "", position if position >= end else position + 8


def _skip_undefined(data: memoryview | bytes, position: int, end: int, order: str, *, is_explicit: bool) -> int:
    """Return the position after a sequence of undefined length whose content begins at `position`; -1 if it has none.

    `stack` holds, for each open level, whether we are in a sequence (True: items follow) or in an item.
    """
    tag_pair = struct.Struct(order + "HHI").unpack_from
    explicit = struct.Struct(order + "HH2sH").unpack_from
    in_sequence = [True]
    while position + 8 <= end:
        group, number, length = tag_pair(data, position)
        tag = group << 16 | number
        if in_sequence[-1]:
            position += 8
            if tag == _SEQUENCE_END:
                in_sequence.pop()
                if not in_sequence:
                    return position
            elif tag != _ITEM:
                return -1
            elif length == _UNDEFINED:
                in_sequence.append(False)
            else:
                position += length
        elif tag == _ITEM_END:
            in_sequence.pop()
            position += 8
        elif is_explicit:
            _, _, vr, length = explicit(data, position)
            position += 8
            if vr in _LONG_VRS:
                if position + 4 > end:
                    return -1
                (length,) = struct.unpack_from(order + "I", data, position)
                position += 4
            elif vr not in _SHORT_VRS:
                return -1
            if length == _UNDEFINED:
                in_sequence.append(True)
            else:
                position += length
        else:
            position += 8
            if length == _UNDEFINED:
                in_sequence.append(True)
            else:
                position += length
        if len(in_sequence) > 2 * SEQUENCE_DEPTH_MAX:
            return -1
    return -1


def _unsigned_short(value: bytes, is_big: bool) -> int | None:
    return int.from_bytes(value, "big" if is_big else "little") if len(value) == 2 else None


def _integer_string(value: bytes) -> int | None:
    try:
        number = int(value)
    except ValueError:
        return None
    # PS3.5 6.2: an Integer String is a signed 32-bit number.
    return number if 0 <= number < 2**31 else None


# pydicom reports odd values as Python warnings; the switch is global to the interpreter, so one thread at a time.
_DECODE_LOCK: Final = threading.Lock()
_TAGS_BY_LEVEL: Final = {
    level: [a for a in LEVEL_ATTRIBUTES if a.level is level and a.source is Source.COLUMN]
    for level in (Level.PATIENT, Level.STUDY, Level.SERIES)
}
_DECODED_TAGS: Final = sorted(
    {a.tag for a in LEVEL_ATTRIBUTES if a.source in {Source.COLUMN, Source.JSON} and a.level is not Level.IMAGE}
    | {_SPECIFIC_CHARACTER_SET}
)
_LAST_DECODED_TAG: Final = _DECODED_TAGS[-1]
_COLUMN_TAGS: Final = frozenset(
    {a.tag for attributes in _TAGS_BY_LEVEL.values() for a in attributes} | {_SPECIFIC_CHARACTER_SET}
)


def describe_levels(
    dataset: memoryview | bytes, transfer_syntax_uid: str, fallback: Identity
) -> tuple[dict[Level, LevelDescription], str]:
    """Decode the attributes that the index keeps for patient, study and series.

    Parameters
    ----------
    dataset : memoryview or bytes
        As for `read_header`.
    transfer_syntax_uid : str
        Its transfer syntax.
    fallback : Identity
        Used for the identifying columns when the rest cannot be decoded.

    Returns
    -------
    dict
        One description for each of PATIENT, STUDY and SERIES; text is Unicode without padding or NUL.
    str
        '' or what could not be decoded.
    """
    with _DECODE_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            decoded = _decode(dataset, transfer_syntax_uid)
            problem = ""
        except _UNDECODABLE as error:
            decoded = _decode_columns(dataset, transfer_syntax_uid)
            problem = f"pydicom cannot decode the header ({type(error).__name__})"
        levels = {level: _describe(decoded, level) for level in _TAGS_BY_LEVEL}
    patient = levels[Level.PATIENT].columns
    patient_id = patient["patient_id"] or _clean(fallback.patient_id.decode("latin-1")).strip()
    identifying = {
        Level.PATIENT: {"patient_id": _identifier(patient_id), "issuer": _identifier(patient["issuer"])},
        Level.STUDY: {"study_instance_uid": fallback.study_instance_uid.decode("ascii")},
        Level.SERIES: {"series_instance_uid": fallback.series_instance_uid.decode("ascii")},
    }
    return {
        level: LevelDescription(columns={**described.columns, **identifying[level]}, attributes=described.attributes)
        for level, described in levels.items()
    }, problem


def _identifier(text: str) -> str:
    """Shorten an identifier to the 64 characters of PS3.5 so that different ones stay different patients."""
    return text if len(text) <= 64 else f"{text[:47]}~{xxhash.xxh3_64_hexdigest(text.encode())}"


# What pydicom raises on broken input; anything else is a defect of ours.
_UNDECODABLE: Final = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError, LookupError, RecursionError,
    NotImplementedError, struct.error, OverflowError, UnicodeError, BytesWarning, BytesLengthException,
)  # fmt: skip


def _decode(dataset: memoryview | bytes, transfer_syntax_uid: str) -> Dataset:
    with io.BufferedReader(_ViewFile(dataset)) as file:
        return read_dataset(
            file,
            is_implicit_VR=transfer_syntax_uid == IMPLICIT_LITTLE,
            is_little_endian=transfer_syntax_uid != EXPLICIT_BIG,
            stop_when=lambda tag, _vr, _length: int(tag) > _LAST_DECODED_TAG,
            specific_tags=_DECODED_TAGS,
        )


def _decode_columns(dataset: memoryview | bytes, transfer_syntax_uid: str) -> Dataset:
    """Decode what has a column as far as our own walk gets: a broken sequence must not cost a patient's name."""
    found, _, _ = _walk(dataset, transfer_syntax_uid, _COLUMN_TAGS)
    # All of it is text, which is the same in every transfer syntax.
    plain = [struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in sorted(found.items())]
    try:
        return _decode(b"".join(plain), IMPLICIT_LITTLE)
    except _UNDECODABLE:
        return Dataset()


class _ViewFile(io.RawIOBase):
    """A file over a buffer that copies only what is read: the buffer may be a mapped object of gigabytes."""

    def __init__(self, view: memoryview | bytes) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, target: Buffer) -> int:
        into = memoryview(target).cast("B")
        chunk = self._view[self._position : self._position + len(into)]
        into[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def close(self) -> None:
        self._view = b""
        super().close()


def _describe(decoded: Dataset, level: Level) -> LevelDescription:
    columns = {}
    for attribute in _TAGS_BY_LEVEL[level]:
        try:
            text = _text(decoded[attribute.tag].value)
            if attribute.vr == "DA":
                # YYYY.MM.DD of old equipment would not fit the column, and would never be found by date.
                text = date_value(text) or text
            columns[attribute.column or ""] = text
        except _UNDECODABLE:
            columns[attribute.column or ""] = ""
    kept: dict[str, Any] = {}
    for attribute in JSON_ATTRIBUTES[level]:
        if attribute.tag not in decoded:
            continue
        try:
            one = Dataset()
            one[attribute.tag] = decoded[attribute.tag]
            value = one.to_json_dict()
            # What JSON cannot carry stays in the stored bytes; the check costs nothing beside pydicom.
            if len(json.dumps(value)) <= ATTRIBUTES_JSON_CHARACTERS_MAX // 8:
                kept.update(value)
        except _UNDECODABLE:
            continue
    text = json.dumps(kept, separators=(",", ":"), ensure_ascii=False).replace("\\u0000", "")
    if len(text) > ATTRIBUTES_JSON_CHARACTERS_MAX:
        text = "{}"
    return LevelDescription(columns=columns, attributes=_clean(text))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bytes | Sequence):
        # Not text, whatever VR the peer gave it.
        return ""
    if isinstance(value, MultiValue | list):
        return "\\".join(_text(one) for one in value)
    return _clean(str(value)).strip(" ")


def _clean(text: str) -> str:
    # PostgreSQL refuses NUL and lone surrogates in text.
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
