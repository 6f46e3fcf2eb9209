"""The way in: from the first byte of a data set to the confirmation that it is safe. The only source of success.

An association streams each data set into its lane (`InstanceStream`). At the last fragment the stream reads the header,
completes the member, syncs it, and submits it to the group commit: whoever finds no commit running leads and commits
the rows of everybody waiting in one transaction; the next waiter leads the next batch. There are no extra threads and
no hand-over when one association is alone.

Invariants
----------
* `Receipt.STORED` and `Receipt.ALREADY_STORED` are returned only when the bytes are on stable storage and every reader
  of the index sees the instance.
* An error before the commit leaves nothing behind: the next member overwrites. An error whose outcome is not known
  (the commit's answer was lost) leaves the bytes where they are, because a row may point to them.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from foundation import log
from foundation.clock import Clock
from foundation.errors import TelegardeError, Unavailable
from pacs.archive import file_meta
from pacs.archive.attributes import Level
from pacs.archive.header import (
    InstanceHeader,
    LevelDescription,
    UnusableDataSet,
    describe_levels,
    inflate,
    is_uncompressed_header,
    read_header,
)
from pacs.archive.index import CommitUncertain, IndexWriter, Kind, LevelsNeeded, Outcome, Place
from pacs.archive.index_rows import Arrival
from pacs.archive.mending import mend
from pacs.archive.recall import LaneRecall
from storage_tiers.lane import Lane, LanePool, MemberWriter
from storage_tiers.local_packs import LocalPacks, PackUnreadable
from storage_tiers.pack import FILE_BYTES_MAX, Member

# Rows of one transaction: bounds how long a waiter waits for a batch that it is not part of.
BATCH_INSTANCES_MAX: Final = 64
# From here on the header of an ordinary image is complete; it is read then, and again at the end if it was not.
HEADER_EARLY_BYTES: Final = 65_536
# Bytes compared at a time when the same object comes again.
_COMPARE_CHUNK_BYTES: Final = 1024 * 1024


class Receipt(Enum):
    """What a sender may be told about an instance."""

    STORED = "stored"
    ALREADY_STORED = "already_stored"
    # Kept and served, but its header could not be read to the end.
    STORED_DAMAGED = "stored_damaged"
    # Other bytes under this UID are served; these were kept as evidence, or refused by policy.
    KEPT_AS_EVIDENCE = "kept_as_evidence"
    CONFLICT_REFUSED = "conflict_refused"


class NotAsAnnounced(UnusableDataSet):
    """The data set carries another SOP Class or Instance UID than the request announced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """What the request says about the data set to come; ``issuer`` is the calling AE's configured one or ''."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str
    issuer: str


class Ingest:
    """What the streams of one process share.

    Parameters
    ----------
    lanes : LanePool
        The journal.
    packs : LocalPacks
        Reads stored bytes back when the same UID comes again.
    index : IndexWriter
        The index.
    clock : Clock
        For times of receipt.
    """

    def __init__(self, lanes: LanePool, packs: LocalPacks, index: IndexWriter, clock: Clock) -> None:
        self.lanes = lanes
        self.packs = packs
        self.index = index
        self.clock = clock
        self.group = GroupCommit(index, clock)
        index.recall_from(LaneRecall(lanes, packs))

    def look_after_index(self) -> None:
        """About once a second: give a database server that was away what it lost, and mark how far all is indexed."""
        now_s = self.clock.now().timestamp()
        try:
            self.index.look(now_s=now_s)
            self.index.mark_indexed(now_s=now_s)
        except Unavailable as error:
            # Health and the next sender are told; here it is only tried again.
            log.debug("index_away", message=str(error))

    def open_stream(self) -> "InstanceStream":
        """Return a stream for one association."""
        return InstanceStream(self)


class InstanceStream:
    """Receives the instances of one association, one after another; used by one thread."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._lane: Lane | None = None
        self._writer: MemberWriter | None = None
        self._announcement: Announcement | None = None
        self._header: InstanceHeader | None = None
        self._beginning: bytes | memoryview = b""
        self._is_header_late = False
        self._has_looked_early = False

    def begin(self, announcement: Announcement) -> None:
        """Start an instance.

        Raises
        ------
        foundation.errors.DiskFull
            If there is no room; nothing has been written.
        """
        if self._lane is None or self._ingest.lanes.is_worn(self._lane):
            self.close()
            self._lane = self._ingest.lanes.acquire()
            self._writer = MemberWriter(self._lane)
        assert self._writer is not None
        self._announcement = announcement
        self._header = None
        self._is_header_late = False
        self._has_looked_early = False
        self._beginning = b""
        self._writer.begin(
            file_meta.encode(
                sop_class_uid=announcement.sop_class_uid,
                sop_instance_uid=announcement.sop_instance_uid,
                transfer_syntax_uid=announcement.transfer_syntax_uid,
                source_aet=announcement.calling_aet,
            )
        )

    def room(self, length: int) -> memoryview:
        """Return where the next bytes, at most `length`, may be received; empty when `write` must do."""
        assert self._writer is not None
        return self._writer.room(length)

    def advance(self, length: int) -> None:
        """Append what was received into the last `room`.

        Raises
        ------
        UnusableDataSet
            As `write`.
        """
        writer = self._writer
        assert writer is not None
        writer.advance(length)
        if not self._has_looked_early and writer.dataset_length_bytes >= HEADER_EARLY_BYTES:
            self._look_early(writer)

    def write(self, fragment: memoryview) -> None:
        """Append a fragment; the bytes are copied.

        Raises
        ------
        foundation.errors.Unavailable, UnusableDataSet
            Then the instance cannot be stored: `abandon` it, drain the rest and answer.
        """
        writer = self._writer
        assert writer is not None
        if writer.try_write(fragment):
            if not self._has_looked_early and writer.dataset_length_bytes >= HEADER_EARLY_BYTES:
                self._look_early(writer)
            return
        # What was read of the header lies in the buffer that is about to be reused.
        self._beginning = bytes(self._beginning)
        if self._header is None and not self._is_header_late:
            # The buffer is about to be reused: the header is in what has come so far, or is read back at the end.
            try:
                self._read_header(bytes(writer.staged_dataset()), is_complete=False)
            except NotAsAnnounced:
                raise
            except UnusableDataSet:
                self._is_header_late = True
        if writer.dataset_length_bytes + len(fragment) > FILE_BYTES_MAX - file_meta.LENGTH_BYTES_MAX:
            raise UnusableDataSet("the data set is larger than a pack member can be")
        writer.write(fragment)

    def finish(self) -> Receipt:
        """Make the instance durable and visible.

        Raises
        ------
        foundation.errors.Unavailable
            It is not stored (or, when the commit's answer was lost, not known to be); the sender must send it again.
        UnusableDataSet
            Its UIDs cannot be read or are not those announced; nothing is stored.
        """
        writer, announcement, lane = self._writer, self._announcement, self._lane
        assert writer is not None
        assert announcement is not None
        assert lane is not None
        if self._header is None and not self._is_header_late:
            self._read_header(writer.staged_dataset(), is_complete=True)
        # What was read may lie in the lane's buffer, which `complete` goes on to use.
        described = None if self._is_header_late else self._describe()
        member = writer.complete(
            sop_instance_uid=announcement.sop_instance_uid,
            issuer=announcement.issuer,
            calling_aet=announcement.calling_aet,
            received_at_s=self._ingest.clock.now().timestamp(),
        )
        if described is None:
            described = self._read_back(lane.name, member)
        writer.sync()
        header, levels, problem = described
        arrival = Arrival(
            lane.name,
            member,
            header,
            announcement.transfer_syntax_uid,
            announcement.issuer,
            levels,
            bool(problem),
        )
        try:
            outcome = self._submit(arrival)
        except CommitUncertain:
            writer.keep()
            raise
        return self._conclude(arrival, outcome, writer)

    @property
    def dataset_length_bytes(self) -> int:
        """How many bytes of the present data set were taken."""
        return 0 if self._writer is None else self._writer.dataset_length_bytes

    @property
    def study_instance_uid(self) -> bytes:
        """The value as sent of the instance that was finished last."""
        assert self._header is not None, "asked of what was finished"
        return self._header.identity.study_instance_uid

    def abandon(self) -> None:
        """Forget the instance begun: the next one overwrites it."""
        self._announcement = None
        self._beginning = b""

    def close(self) -> None:
        """Give the lane back."""
        lane, self._lane, self._writer = self._lane, None, None
        self._beginning = b""
        if lane is not None:
            self._ingest.lanes.release(lane)

    def _read_header(self, beginning: bytes | memoryview, *, is_complete: bool) -> None:
        announcement = self._announcement
        assert announcement is not None
        syntax = announcement.transfer_syntax_uid
        is_deflated = not is_uncompressed_header(syntax)
        if is_deflated:
            beginning, is_complete = inflate(beginning), False
        header = read_header(beginning, syntax, is_complete=is_complete)
        if is_deflated:
            # Lengths inside say nothing about the length of what was sent.
            header = replace(header, length_bytes_min=0)
        sop_class = header.identity.sop_class_uid.decode("ascii")
        if header.sop_instance_uid != announcement.sop_instance_uid or sop_class != announcement.sop_class_uid:
            raise NotAsAnnounced("SOP Class or Instance UID of the data set differ from the request's")
        self._header = header
        self._beginning = beginning

    def _look_early(self, writer: MemberWriter) -> None:
        """Read the header while pixels are on their way: at one association the sender then waits for less."""
        self._has_looked_early = True
        try:
            self._read_header(writer.staged_dataset(), is_complete=False)
        except NotAsAnnounced:
            raise
        except UnusableDataSet:
            return
        assert self._header is not None
        if self._header.problem or self._header.length_bytes_min <= writer.dataset_length_bytes:
            # The header may go on: it is read when more of it is there.
            self._header = None

    def _submit(self, arrival: Arrival) -> Outcome:
        try:
            return self._ingest.group.submit(arrival)
        except LevelsNeeded:
            # The index has forgotten the series since it was asked: it was away, or has seen too many others.
            syntax, identity = arrival.transfer_syntax_uid, arrival.header.identity
            if self._is_header_late:
                with self._window(arrival.pack_name, arrival.member) as window:
                    levels, _ = describe_levels(window, syntax, identity)
            else:
                levels, _ = describe_levels(self._beginning, syntax, identity)
            return self._ingest.group.submit(replace(arrival, levels=levels))

    def _describe(self) -> tuple[InstanceHeader, Mapping[Level, LevelDescription] | None, str]:
        """Return the header, the level descriptions that the index needs for a new series, and what is wrong."""
        header, announcement, writer = self._header, self._announcement, self._writer
        assert header is not None
        assert announcement is not None
        assert writer is not None
        problem = header.problem
        if not problem and header.length_bytes_min > writer.dataset_length_bytes:
            problem = "the data set ends inside an element"
        if self._ingest.index.knows_series(header.identity, announcement.issuer):
            return header, None, problem
        levels, undecoded = describe_levels(self._beginning, announcement.transfer_syntax_uid, header.identity)
        return header, levels, problem or undecoded

    def _read_back(
        self, pack: str, member: Member
    ) -> tuple[InstanceHeader, Mapping[Level, LevelDescription] | None, str]:
        """Read the header from the lane: long sequences can push the UIDs beyond the buffer."""
        with self._window(pack, member) as window:
            try:
                self._read_header(window, is_complete=True)
                return self._describe()
            finally:
                self._beginning = b""

    def _window(self, pack: str, member: Member) -> AbstractContextManager[memoryview]:
        offset = member.file_offset + member.dataset_offset
        return self._ingest.packs.mapped(pack, offset, member.file_length_bytes - member.dataset_offset)

    def _conclude(self, arrival: Arrival, outcome: Outcome, writer: MemberWriter) -> Receipt:
        # ALREADY_INDEXED: these very bytes got their row in a transaction that seemed to fail.
        if outcome.kind in {Kind.STORED, Kind.ALREADY_INDEXED}:
            writer.keep()
            return Receipt.STORED_DAMAGED if arrival.is_damaged else Receipt.STORED
        if outcome.kind is Kind.CONFLICT_KEPT:
            writer.keep()
            return Receipt.KEPT_AS_EVIDENCE
        if outcome.kind is Kind.CONFLICT_REFUSED:
            return Receipt.CONFLICT_REFUSED
        assert outcome.existing is not None
        if self._is_same(arrival, outcome.existing):
            return Receipt.ALREADY_STORED
        if self._mend(arrival, outcome.existing, writer):
            return Receipt.STORED
        # Equal digests of different bytes do not happen by accident. Nothing is confirmed.
        log.error(
            "digest_collision", sop_instance=arrival.header.sop_instance_uid, calling_aet=arrival.member.calling_aet
        )
        return Receipt.CONFLICT_REFUSED

    def _mend(self, arrival: Arrival, existing: Place, writer: MemberWriter) -> bool:
        try:
            is_mended = mend(self._ingest.packs, self._ingest.index, arrival, existing)
        except CommitUncertain:
            writer.keep()
            raise
        except LevelsNeeded as error:
            raise Unavailable("the index was away meanwhile; send it again") from error
        if is_mended:
            writer.keep()
        return is_mended

    def _is_same(self, arrival: Arrival, existing: Place) -> bool:
        """Compare the data set just written with the stored one, byte by byte; what cannot be read is not the same."""
        packs, member = self._ingest.packs, arrival.member
        length = member.file_length_bytes - member.dataset_offset
        if existing.file_length_bytes - existing.dataset_offset != length:
            return False
        ours, theirs = member.file_offset + member.dataset_offset, existing.file_offset + existing.dataset_offset
        for start in range(0, length, _COMPARE_CHUNK_BYTES):
            step = min(_COMPARE_CHUNK_BYTES, length - start)
            sent = packs.read(arrival.pack_name, ours + start, step)
            try:
                stored = packs.read(existing.pack, theirs + start, step)
            except PackUnreadable:
                return False
            if sent != stored:
                return False
        return True


class _Ticket:
    """One waiting arrival."""

    __slots__ = ("arrival", "error", "must_lead", "outcome", "turn")

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.outcome: Outcome | None = None
        self.error: Exception | None = None
        self.must_lead = False
        # Held until this ticket is done or must lead.
        self.turn = threading.Lock()
        self.turn.acquire()


class GroupCommit:
    """Leader and follower commit of arrivals from many threads."""

    def __init__(self, index: IndexWriter, clock: Clock) -> None:
        self._index = index
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._is_led = False

    def submit(self, arrival: Arrival) -> Outcome:
        """Return what the index made of an arrival, once its transaction has been committed.

        Raises
        ------
        DatabaseAway, CommitUncertain
            As `IndexWriter.commit`.
        """
        ticket = _Ticket(arrival)
        with self._lock:
            self._waiting.append(ticket)
            must_lead = not self._is_led
            self._is_led = True
        if not must_lead:
            ticket.turn.acquire()
            must_lead = ticket.must_lead
        if must_lead:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.outcome is not None
        return ticket.outcome

    def _lead(self) -> None:
        # Our own ticket is the oldest of those waiting, so it is always in the batch.
        with self._lock:
            batch = self._waiting[:BATCH_INSTANCES_MAX]
            del self._waiting[:BATCH_INSTANCES_MAX]
        try:
            self._commit(batch)
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].must_lead = True
                    self._waiting[0].turn.release()
                else:
                    self._is_led = False
            for ticket in batch[1:]:
                ticket.turn.release()

    def _commit(self, batch: Sequence[_Ticket]) -> None:
        try:
            outcomes = self._index.commit([t.arrival for t in batch], now_s=self._clock.now().timestamp())
        except TelegardeError as error:
            for ticket in batch:
                ticket.error = error
        except BaseException as error:
            if len(batch) == 1 and isinstance(error, LevelsNeeded):
                batch[0].error = error
                return
            if len(batch) == 1:
                batch[0].error = Unavailable(f"the index refused this instance ({type(error).__name__})")
                log.error("index_refused_instance", error=type(error).__name__)
                if not isinstance(error, Exception):
                    raise
                return
            # One odd row must not fail its neighbours: each again, alone.
            for ticket in batch:
                self._commit([ticket])
        else:
            for ticket, outcome in zip(batch, outcomes, strict=True):
                ticket.outcome = outcome
