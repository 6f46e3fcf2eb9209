"""The pack: a plain tar file of ``.dcm`` members that describes, proves and recovers itself.

A member is a pax extended header, a ustar header and the file, so any tar opens a pack. The pax records hold what the
index would lose in a disaster: digests, the issuing hospital, the calling AE, the time of receipt. Every member begins
at a multiple of `ALIGNMENT`, so that it can be written past the page cache (``O_DIRECT``); the gap before the next one
is a pax global header with a comment, which every tar reader skips.

Invariants
----------
* A member counts only if its headers parse, its ``TELEGARDE.member`` record carries the pack's own random nonce and
  its digests hold. Whatever bytes a peer sends inside an instance can therefore never pass for a member.
* The prefix is written last: an unfinished member is invisible, and the next one overwrites it.

References
----------
POSIX.1-2017 pax, "pax Interchange Format"; PS3.10 7.1 for the member's content.
"""

import functools
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import xxhash

BLOCK: Final = 512
# Members begin here: the file system's block, so that direct writes never touch half a block.
ALIGNMENT: Final = 4096
# Extended header (1 block), its records (2 blocks, always filled by a comment) and the file's own header (1 block).
PREFIX_BYTES: Final = 4 * BLOCK
_PAX_BYTES: Final = 2 * BLOCK
# A ustar size field holds 11 octal digits. PS3.5 allows elements of 4 GiB; nothing real comes near.
FILE_BYTES_MAX: Final = 8 * 1024**3 - 1
# Issuer in UTF-8 (64 characters) is the longest free value; the rest of the records is below 600 bytes.
_VALUE_BYTES_MAX: Final = 256

MANIFEST_NAME: Final = "telegarde-pack.json"
FOOTER_NAME: Final = "telegarde-pack-end.json"
FORMAT_VERSION: Final = 1
# How the name of a member's extended header begins; the digest of its records follows.
_PREFIX_NAME: Final = b"PaxHeaders/"
# Read at a time when the next member is looked for; a multiple of ALIGNMENT.
_SEARCH_BYTES: Final = 1024 * 1024


class PackDamaged(ValueError):
    """The bytes at an offset are not the member that was expected there."""


class RangeReader(Protocol):
    """Positioned reads of one pack, on whatever tier it is."""

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Return up to `length` bytes from `offset`; fewer only at the end of the pack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One file in a pack: where it is and what its pax records say.

    ``file_offset`` is the offset in the pack of the Part 10 file; ``end`` the offset of whatever follows the member.
    ``dataset_digest`` is XXH3-128 of the data set, ``head_digest`` XXH3-64 of preamble and file meta.
    """

    sop_instance_uid: str
    file_offset: int
    file_length_bytes: int
    dataset_offset: int
    dataset_digest: bytes
    head_digest: int
    issuer: str
    calling_aet: str
    received_at_s: float
    end: int


def new_nonce() -> str:
    """Return the random text that ties members to one pack (128 bits)."""
    return secrets.token_hex(16)


def aligned(length_bytes: int) -> int:
    """Round up to the alignment of members."""
    return (length_bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def manifest_member(nonce: str, *, created_at_s: float) -> bytes:
    """Return the first member of a pack: a JSON file that names the format and the nonce.

    Returns
    -------
    bytes
        `ALIGNMENT` bytes, for offset 0.
    """
    content = json.dumps({"format": "telegarde-pack", "version": FORMAT_VERSION, "nonce": nonce}).encode()
    member = _ustar_header(MANIFEST_NAME, len(content), b"0", created_at_s) + content
    member += bytes(-len(member) % BLOCK)
    return member + filler(ALIGNMENT - len(member))


def footer(nonce: str, *, members: int, sealed_at_s: float) -> bytes:
    """Return what ends a sealed pack: a JSON file and the two zero blocks that end a tar."""
    content = json.dumps({"nonce": nonce, "members": members}).encode()
    content = content.ljust(BLOCK - 1) + b"\n"
    return _ustar_header(FOOTER_NAME, len(content), b"0", sealed_at_s) + content + bytes(2 * BLOCK)


def read_manifest(reader: RangeReader) -> str:
    """Return the nonce of a pack.

    Raises
    ------
    PackDamaged
        If the pack does not begin with our manifest.
    """
    block = bytes(reader.read(0, ALIGNMENT))
    name, size, _ = _parse_ustar_header(block[:BLOCK])
    if name != MANIFEST_NAME or size > ALIGNMENT - BLOCK:
        raise PackDamaged("no manifest at the beginning of the pack")
    try:
        manifest = json.loads(block[BLOCK : BLOCK + size])
        nonce = str(manifest["nonce"])
    except (ValueError, KeyError, TypeError) as error:
        raise PackDamaged("the manifest of the pack cannot be read") from error
    return nonce


def member_prefix(member: Member, *, nonce: str) -> bytes:
    """Return the `PREFIX_BYTES` that stand in front of a file."""
    of_sender, comment = _sender_records(nonce, member.issuer, member.calling_aet)
    records = of_sender + _MEMBER_RECORDS % (
        member.dataset_digest.hex().encode(),
        member.head_digest,
        member.dataset_offset,
        member.received_at_s,
    )
    records += comment
    # The records are guarded by a digest of their own, in the name of the extended header.
    guard = f"PaxHeaders/{xxhash.xxh3_64_hexdigest(records)}"
    return (
        _ustar_header(guard, _PAX_BYTES, b"x", member.received_at_s)
        + records
        + _ustar_header(f"{member.sop_instance_uid}.dcm", member.file_length_bytes, b"0", member.received_at_s)
    )


# Records whose values have a fixed width, so that their lengths are constants (POSIX pax: decimal length first).
_MEMBER_RECORDS: Final = (
    b"55 TELEGARDE.xxh3-128=%b\n43 TELEGARDE.head-xxh3-64=%016x\n37 TELEGARDE.dataset-offset=%08d\n27 mtime=%017.6f\n"
)
_MEMBER_RECORDS_BYTES: Final = 55 + 43 + 37 + 27


@functools.lru_cache(maxsize=1024)
def _sender_records(nonce: str, issuer: str, calling_aet: str) -> tuple[bytes, bytes]:
    """Return the records that stay the same for a sender and a pack, and the comment that fills up the rest."""
    records = _record("TELEGARDE.member", nonce)
    records += _record("TELEGARDE.issuer", issuer)
    records += _record("TELEGARDE.calling-aet", calling_aet)
    return records, _comment(_PAX_BYTES - len(records) - _MEMBER_RECORDS_BYTES)


def padding_after(file_length_bytes: int) -> bytes:
    """Return what follows a file: zeros to the block, then a filler up to `ALIGNMENT` of the whole member."""
    zeros = bytes(-file_length_bytes % BLOCK)
    length = PREFIX_BYTES + file_length_bytes + len(zeros)
    return zeros + filler(aligned(length) - length)


@functools.cache
def filler(gap_bytes: int) -> bytes:
    """Return a pax global header of exactly `gap_bytes` (0 or a multiple of 512) that says nothing."""
    if gap_bytes == 0:
        return b""
    size = gap_bytes - BLOCK
    return _ustar_header("pax_global_header", size, b"g", 0.0) + (_comment(size) if size else b"")


def read_member(reader: RangeReader, offset: int, *, nonce: str) -> Member:
    """Return the member whose prefix begins at `offset`; its digests are not checked here.

    Raises
    ------
    PackDamaged
        If there is no complete prefix of this pack at that offset.
    """
    prefix = bytes(reader.read(offset, PREFIX_BYTES))
    if len(prefix) < PREFIX_BYTES:
        raise PackDamaged(f"the pack ends at {offset}")
    guard, pax_size, kind = _parse_ustar_header(prefix[:BLOCK])
    records = prefix[BLOCK : BLOCK + _PAX_BYTES]
    if kind != b"x" or pax_size != _PAX_BYTES or guard != f"PaxHeaders/{xxhash.xxh3_64_hexdigest(records)}":
        raise PackDamaged(f"no member begins at {offset}")
    name, size, kind = _parse_ustar_header(prefix[-BLOCK:])
    values = _parse_records(records)
    if kind != b"0" or values.get("TELEGARDE.member") != nonce or not name.endswith(".dcm"):
        raise PackDamaged(f"the member at {offset} is not of this pack")
    try:
        return Member(
            sop_instance_uid=name.removesuffix(".dcm"),
            file_offset=offset + PREFIX_BYTES,
            file_length_bytes=size,
            dataset_offset=int(values["TELEGARDE.dataset-offset"]),
            dataset_digest=bytes.fromhex(values["TELEGARDE.xxh3-128"]),
            head_digest=int(values["TELEGARDE.head-xxh3-64"], 16),
            issuer=values["TELEGARDE.issuer"],
            calling_aet=values["TELEGARDE.calling-aet"],
            received_at_s=float(values["mtime"]),
            end=offset + aligned(PREFIX_BYTES + size),
        )
    except (KeyError, ValueError) as error:
        raise PackDamaged(f"the records of the member at {offset} cannot be read") from error


def check_member(reader: RangeReader, member: Member, *, chunk_bytes: int = 4 * 1024 * 1024) -> None:
    """Prove every byte of a member.

    Raises
    ------
    PackDamaged
        If a digest does not hold or bytes are missing.
    """
    head = reader.read(member.file_offset, member.dataset_offset)
    if xxhash.xxh3_64_intdigest(head) != member.head_digest:
        raise PackDamaged(f"the file meta at {member.file_offset} has changed")
    digest = xxhash.xxh3_128()
    position = member.file_offset + member.dataset_offset
    end = member.file_offset + member.file_length_bytes
    while position < end:
        chunk = reader.read(position, min(chunk_bytes, end - position))
        if not chunk:
            raise PackDamaged(f"the pack ends inside the member at {member.file_offset}")
        digest.update(chunk)
        position += len(chunk)
    if digest.digest() != member.dataset_digest:
        raise PackDamaged(f"the data set at {member.file_offset} has changed")


def scan(reader: RangeReader, *, nonce: str) -> Iterator[Member]:
    """Walk the members of a pack from its beginning to the end of the file.

    Only prefixes are read: call `check_member` for proof. A prefix that is damaged hides where its member ends; the
    members behind it are found all the same, because nothing but a genuine prefix carries the nonce.
    """
    offset: int | None = ALIGNMENT
    while offset is not None:
        try:
            member = read_member(reader, offset, nonce=nonce)
        except PackDamaged:
            offset = _find_prefix(reader, offset + ALIGNMENT)
            continue
        yield member
        offset = member.end


def is_like_prefix(reader: RangeReader, offset: int, *, nonce: str) -> bool:
    """Say whether a member's prefix, sound or damaged, stands at `offset`."""
    prefix = bytes(reader.read(offset, PREFIX_BYTES))
    return prefix.startswith(_PREFIX_NAME) or nonce.encode() in prefix[BLOCK:]


def read_footer(reader: RangeReader, offset: int, *, nonce: str) -> int | None:
    """Return the number of members that the footer at `offset` counts; None when there is no footer of this pack."""
    block = bytes(reader.read(offset, 2 * BLOCK))
    try:
        name, size, _ = _parse_ustar_header(block[:BLOCK])
        footer_values = json.loads(block[BLOCK : BLOCK + size]) if name == FOOTER_NAME else {}
        return int(footer_values["members"]) if footer_values["nonce"] == nonce else None
    except (ValueError, KeyError, TypeError):
        return None


def _find_prefix(reader: RangeReader, offset: int) -> int | None:
    """Return the first place from `offset` on, a multiple of `ALIGNMENT`, where a prefix seems to begin."""
    while chunk := bytes(reader.read(offset, _SEARCH_BYTES)):
        found = chunk.find(_PREFIX_NAME)
        while found >= 0:
            if found % ALIGNMENT == 0:
                return offset + found
            found = chunk.find(_PREFIX_NAME, found + 1)
        offset += len(chunk)
    return None


def _record(key: str, value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > _VALUE_BYTES_MAX or "\n" in value:
        raise ValueError(f"the pax record {key} is too long or has a line feed")
    body = b" " + key.encode() + b"=" + encoded + b"\n"
    # The length counts its own digits (POSIX pax): our records are 10 to 999 bytes.
    length = len(body) + 2
    if length > 99:
        length = len(body) + 3
    return str(length).encode() + body


def _comment(length: int) -> bytes:
    body = b" comment=" + b" " * (length - len(b" comment=") - len(str(length)) - 1) + b"\n"
    return str(length).encode() + body


_RECORD: Final = re.compile(rb"(\d{1,4}) ([^=\n]+)=")


def _parse_records(records: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    position = 0
    while position < len(records):
        match = _RECORD.match(records, position)
        if match is None or int(match[1]) < len(match[0]):
            raise PackDamaged("the pax records cannot be read")
        end = position + int(match[1])
        values[match[2].decode(errors="replace")] = records[match.end() : end - 1].decode(errors="replace")
        position = end
    return values


def _ustar_header(name: str, size: int, kind: bytes, mtime_s: float) -> bytes:
    if size > FILE_BYTES_MAX:
        raise ValueError(f"{size} bytes do not fit a pack member")
    fields = b"%b0000640\x000000000\x000000000\x00%011o\x00%011o\x00" % (
        name.encode().ljust(100, b"\0"),
        size,
        max(0, int(mtime_s)),
    )
    # The checksum counts its own eight bytes as spaces; what follows the type flag never changes.
    checksum = sum(fields) + 8 * 0x20 + kind[0] + _USTAR_TAIL_SUM
    return b"%b%06o\0 %b%b" % (fields, checksum, kind, _USTAR_TAIL)


# Link name (100), magic and version, then owner, group, devices and prefix: all empty.
_USTAR_TAIL: Final = bytes(100) + b"ustar\x0000" + bytes(BLOCK - 265)
_USTAR_TAIL_SUM: Final = sum(_USTAR_TAIL)


def _parse_ustar_header(block: bytes) -> tuple[str, int, bytes]:
    if len(block) < BLOCK or block[257:262] != b"ustar":
        raise PackDamaged("not a tar header")
    try:
        stated = int(block[148:154], 8)
        size = int(block[124:135], 8)
    except ValueError as error:
        raise PackDamaged("not a tar header") from error
    if stated != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise PackDamaged("the checksum of the tar header does not hold")
    return block[0:100].rstrip(b"\0").decode(errors="replace"), size, block[156:157]
