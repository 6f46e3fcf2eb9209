"""The engine of ``telegarde send``: C-STORE of many files over several associations at once.

Each association is a thread; while it waits for a response it reads its next file, and data sets go from the page cache
to the socket without being copied or parsed. Threads and not processes, because what takes time (reading, sending,
waiting) runs without Python's lock.

Not for: what C-MOVE sends (`pacs.scp.retrieve_move`).

Invariants: every instance found is counted once: sent, failed, or skipped with a reason; one counts as sent only when
the peer answered that it keeps it. An instance whose association broke is sent again on a new one; the peer, which may
have kept it, must take the same bytes twice (PS3.4 B.2.3 lets it).

References
----------
PS3.4 B (Storage); PS3.7 9.1.1
"""

import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import ConnectFailed, PeerUnavailable
from pacs.scu.sources import Skipped, Source, SourceReader, find_sources
from pacs.scu.store import ContextChooser, dataset_for, plan_contexts, send_instance
from pacs.status import Status, is_success_or_warning
from pacs.transcode import TranscodingImpossible
from pacs.upper_layer.associate import PresentationContextProposal

PARALLEL_MAX: Final = 64
"""Associations at once: beyond this a peer only queues them."""

ATTEMPTS_MAX: Final = 3
"""How many associations in a row may fail without one instance getting through, before a thread gives up."""

TRIES_MAX: Final = 2
"""How many associations may end on one instance: one that makes the peer crash must not stop all the others."""

PROGRESS_INTERVAL_S: Final = 0.1

# Reasons of failures that are no status of the peer.
NOT_ACCEPTED: Final = "not_accepted"
NOT_TRANSCODABLE: Final = "not_transcodable"
NOT_READABLE: Final = "not_readable"
NOT_ANSWERED: Final = "not_answered"
NOT_SENT: Final = "not_sent"


@dataclass(frozen=True, kw_only=True, slots=True)
class SendProgress:
    """How far sending is; `instances` counts what is to be sent, `done` what was sent or failed."""

    instances: int
    done: int
    bytes_sent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SendReport:
    """What came of it.

    Attributes
    ----------
    instances : int
        Found and to be sent.
    sent : int
        The peer answered that it keeps them; ``warnings`` of these with a warning.
    failed : int
        All others; ``failures`` counts them by status (four hexadecimal digits) or reason.
    transcoded : int
        Of those sent, in another transfer syntax than stored.
    bytes_sent : int
        Of data sets, as sent.
    seconds : float
        From the first association to the end of the last; looking for files took ``scan_seconds`` before that.
    skipped : tuple of Skipped
        Files that are no instances.
    errors : tuple of str
        What ended associations, each kind once.
    """

    instances: int
    sent: int
    warnings: int
    failed: int
    failures: dict[str, int]
    transcoded: int
    bytes_sent: int
    seconds: float
    scan_seconds: float
    skipped: tuple[Skipped, ...]
    errors: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything found was sent."""
        return self.failed == 0


def send(
    paths: Iterable[Path],
    *,
    host: str,
    port: int,
    calling_aet: str,
    called_aet: str,
    parallel: int = 1,
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    on_progress: Callable[[SendProgress], None] | None = None,
) -> SendReport:
    """Send everything found below some paths.

    Parameters
    ----------
    paths : iterable of Path
        DICOM files, packs (``.tar``) and directories.
    parallel : int
        Associations at once, 1 to `PARALLEL_MAX`.
    tls : ssl.SSLContext or None
        None for plain TCP.
    on_progress : callable or None
        Called in the caller's thread, ten times a second and at the end.

    Returns
    -------
    SendReport
        Also when the peer could not be reached: look at ``failed`` and ``errors``.
    """
    assert 1 <= parallel <= PARALLEL_MAX
    began_s = time.monotonic()
    sources: list[Source] = []
    skipped: list[Skipped] = []
    for found in find_sources(paths):
        if isinstance(found, Source):
            sources.append(found)
        else:
            skipped.append(found)
    scanned_s = time.monotonic()
    peer = PeerAddress(host=host, port=port, ae_title=called_aet, tls=tls)
    sending = _Sending(peer, calling_aet, timeouts or Timeouts(), sources)
    sending.run(parallel, on_progress)
    tally = sending.tally
    return SendReport(
        instances=len(sources),
        sent=tally.sent,
        warnings=tally.warnings,
        failed=len(sources) - tally.sent,
        failures=dict(tally.failures),
        transcoded=tally.transcoded,
        bytes_sent=tally.bytes_sent,
        seconds=time.monotonic() - scanned_s,
        scan_seconds=scanned_s - began_s,
        skipped=tuple(skipped),
        errors=tuple(tally.errors),
    )


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    warnings: int = 0
    transcoded: int = 0
    bytes_sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    # A dictionary for its order: distinct messages.
    errors: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Instances that fit the presentation contexts of one association; threads take from the left."""

    proposals: tuple[PresentationContextProposal, ...]
    sources: deque[Source]


class _Sending:
    """Shared by the threads of one `send`."""

    def __init__(self, peer: PeerAddress, calling_aet: str, timeouts: Timeouts, sources: list[Source]) -> None:
        self.tally = _Tally()
        self._peer = peer
        self._calling_aet = calling_aet
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._total = len(sources)
        self._is_stopping = False
        self._tries: Counter[Source] = Counter()
        self._batches: list[_Batch] = []
        batch_of: dict[str, _Batch] = {}
        for proposals in plan_contexts(source.kind for source in sources):
            batch = _Batch(proposals, deque())
            self._batches.append(batch)
            batch_of.update((proposal.abstract_syntax, batch) for proposal in proposals)
        for source in sources:
            batch_of[source.meta.sop_class_uid].sources.append(source)

    def run(self, parallel: int, on_progress: Callable[[SendProgress], None] | None) -> None:
        """Send everything with so many threads; returns when all have ended."""
        threads = [
            threading.Thread(target=self._work, name=f"send-{number}") for number in range(min(parallel, self._total))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(PROGRESS_INTERVAL_S)
                    if on_progress is not None:
                        on_progress(self._progress())
        except BaseException:
            # Ctrl-C, or the caller's own: each thread ends after the instance in hand.
            self._is_stopping = True
            for thread in threads:
                thread.join()
            raise
        left = sum(len(batch.sources) for batch in self._batches)
        if left:
            self.tally.failures[NOT_SENT] += left
        if on_progress is not None:
            on_progress(self._progress())

    def _progress(self) -> SendProgress:
        with self._lock:
            tally = self.tally
            done = tally.sent + tally.failures.total()
            return SendProgress(instances=self._total, done=done, bytes_sent=tally.bytes_sent)

    def _work(self) -> None:
        for batch in self._batches:
            worker = _Worker(self, batch)
            worker.run()

    # --- for the workers -------------------------------------------------------------------------

    def open(self, proposals: tuple[PresentationContextProposal, ...]) -> RequestorAssociation:
        return RequestorAssociation(
            self._peer, calling_aet=self._calling_aet, contexts=proposals, timeouts=self._timeouts
        )

    def take(self, batch: _Batch) -> Source | None:
        """Take the next instance; None when there is none, or sending is to stop."""
        if self._is_stopping:
            return None
        try:
            return batch.sources.popleft()
        except IndexError:
            return None

    def give_back(self, batch: _Batch, source: Source, *, was_tried: bool) -> None:
        """Put an unanswered instance back, unless it has ended too many associations."""
        with self._lock:
            self._tries[source] += was_tried
            if self._tries[source] < TRIES_MAX:
                batch.sources.appendleft(source)
            else:
                self.tally.failures[NOT_ANSWERED] += 1

    def answered(self, status: int, size_bytes: int, *, is_transcoded: bool) -> None:
        with self._lock:
            tally = self.tally
            if is_success_or_warning(status):
                tally.sent += 1
                tally.bytes_sent += size_bytes
                tally.transcoded += is_transcoded
                tally.warnings += status != Status.SUCCESS
            else:
                tally.failures[f"{status:04X}"] += 1

    def failed(self, reason: str) -> None:
        with self._lock:
            self.tally.failures[reason] += 1

    def note_error(self, error: Exception) -> None:
        with self._lock:
            self.tally.errors[str(error)] = None


@dataclass(frozen=True, slots=True)
class _Ready:
    source: Source
    context_id: int
    dataset: memoryview
    is_transcoded: bool


class _Worker:
    """One association at a time, in one thread."""

    def __init__(self, sending: _Sending, batch: _Batch) -> None:
        self._sending = sending
        self._batch = batch
        self._reader = SourceReader()
        self._chooser = ContextChooser(())
        self._answered = 0

    def run(self) -> None:
        breaks = 0
        while breaks < ATTEMPTS_MAX:
            source = self._sending.take(self._batch)
            if source is None:
                return
            self._answered = 0
            try:
                self._send_from(source)
            except _Broken as broken:
                self._sending.note_error(broken.error)
                self._sending.give_back(self._batch, broken.source, was_tried=broken.was_tried)
                if isinstance(broken.error, ConnectFailed) or not broken.error.is_retryable:
                    return
                breaks = 1 if self._answered else breaks + 1
            else:
                return

    def _send_from(self, source: Source) -> None:
        """Send this instance and all that follow, on one association."""
        try:
            association = self._sending.open(self._batch.proposals)
        except PeerUnavailable as error:
            raise _Broken(source, error, was_tried=False) from error
        self._chooser = ContextChooser(
            (context.context_id, context.abstract_syntax, context.transfer_syntax)
            for context in association.contexts.values()
        )
        try:
            ready = self._prepare(source)
            while ready is not None:
                ready = self._exchange(association, ready)
        except BaseException:
            association.abort()
            raise
        association.release()

    def _exchange(self, association: RequestorAssociation, ready: "_Ready") -> "_Ready | None":
        """Send one instance, read the next one while the peer works on it, and take the answer."""
        following: _Ready | None = None
        meta = ready.source.meta
        try:
            message_id = send_instance(
                association, ready.context_id, meta.sop_class_uid, meta.sop_instance_uid, ready.dataset
            )
            following = self._prepare(self._sending.take(self._batch))
            status = association.receive_response(message_id).status
        except PeerUnavailable as error:
            if following is not None:
                self._sending.give_back(self._batch, following.source, was_tried=False)
            raise _Broken(ready.source, error, was_tried=True) from error
        self._answered += 1
        self._sending.answered(status, len(ready.dataset), is_transcoded=ready.is_transcoded)
        return following

    def _prepare(self, source: Source | None) -> _Ready | None:
        """Read this instance, or the first after it that can be sent."""
        while source is not None:
            context = self._chooser.choose(source.kind)
            if context is None:
                self._sending.failed(NOT_ACCEPTED)
            else:
                try:
                    dataset = dataset_for(self._reader.read_dataset(source), source.kind, context)
                except TranscodingImpossible as error:
                    self._sending.note_error(error)
                    self._sending.failed(NOT_TRANSCODABLE)
                except OSError:
                    self._sending.failed(NOT_READABLE)
                else:
                    return _Ready(source, context.context_id, dataset, context.is_transcoding)
            source = self._sending.take(self._batch)
        return None


class _Broken(Exception):
    """An association ended, or did not begin, before this instance was answered."""

    def __init__(self, source: Source, error: PeerUnavailable, *, was_tried: bool) -> None:
        super().__init__(str(error))
        self.source = source
        self.error = error
        self.was_tried = was_tried
