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

from foundation.errors import TelegardeError
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import ConnectFailed, PeerUnavailable
from pacs.scu.pipeline import Ready, send_all
from pacs.scu.sources import READ_BYTES_MAX, Skipped, Source, SourceReader, find_sources
from pacs.scu.store import ContextChooser, dataset_for, plan_contexts
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
            _Worker(self, batch).run()

    def open(self, proposals: tuple[PresentationContextProposal, ...]) -> RequestorAssociation:
        """Open one association."""
        return RequestorAssociation(
            self._peer, calling_aet=self._calling_aet, contexts=proposals, timeouts=self._timeouts
        )

    def take(self, sources: deque[Source]) -> Source | None:
        """Take the next instance; None when there is none, or sending is to stop."""
        if self._is_stopping:
            return None
        try:
            return sources.popleft()
        except IndexError:
            return None

    def give_back(self, sources: deque[Source], source: Source, *, was_tried: bool) -> None:
        """Put an unanswered instance back, unless it has ended too many associations."""
        with self._lock:
            self._tries[source] += was_tried
            if self._tries[source] < TRIES_MAX:
                sources.appendleft(source)
            else:
                self.tally.failures[NOT_ANSWERED] += 1

    def answered(self, ready: Ready, status: int) -> None:
        """Count an answer."""
        with self._lock:
            tally = self.tally
            if is_success_or_warning(status):
                tally.sent += 1
                tally.bytes_sent += ready.size_bytes
                tally.transcoded += ready.context.is_transcoding
                tally.warnings += status != Status.SUCCESS
            else:
                tally.failures[f"{status:04X}"] += 1

    def failed(self, reason: str) -> None:
        """Count an instance that could not be sent."""
        with self._lock:
            self.tally.failures[reason] += 1

    def note_error(self, error: Exception) -> None:
        """Remember what ended an association, once."""
        with self._lock:
            self.tally.errors[str(error)] = None


class _Unsendable(TelegardeError):
    """An instance that this association cannot take; ``reason`` is how it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Worker:
    """One association at a time, in one thread; a `pacs.scu.pipeline.Supply`."""

    def __init__(self, sending: _Sending, batch: _Batch) -> None:
        self._sending = sending
        self._batch = batch
        self._reader = SourceReader()
        self._answered = 0

    def run(self) -> None:
        """Send until nothing is left, or the peer does not serve us."""
        breaks = 0
        while breaks < ATTEMPTS_MAX and self._batch.sources:
            self._answered = 0
            try:
                send_all(self._sending.open(self._batch.proposals), self)
            except PeerUnavailable as error:
                self._sending.note_error(error)
                if isinstance(error, ConnectFailed) or not error.is_retryable:
                    return
                breaks = 1 if self._answered else breaks + 1
            except TelegardeError as error:
                # A name or value that cannot be sent at all; no other association would fare better.
                self._sending.note_error(error)
                return
            else:
                return

    def take(self) -> Source | None:
        """Return the next instance of this batch."""
        return self._sending.take(self._batch.sources)

    def size_bytes(self, item: Source) -> int:
        """Return how much memory it takes: what is mapped takes none."""
        return item.length_bytes if item.length_bytes <= READ_BYTES_MAX else 0

    def prepare(self, item: Source, chooser: ContextChooser) -> Ready:
        """Read an instance; see `Supply`."""
        context = chooser.choose(item.kind)
        if context is None:
            raise _Unsendable(NOT_ACCEPTED)
        try:
            dataset = dataset_for(self._reader.read_dataset(item), item.kind, context)
        except TranscodingImpossible as error:
            self._sending.note_error(error)
            raise _Unsendable(NOT_TRANSCODABLE) from error
        except OSError as error:
            raise _Unsendable(NOT_READABLE) from error
        return Ready(item.meta.sop_class_uid, item.meta.sop_instance_uid, context, dataset, len(dataset))

    def answered(self, item: Source, ready: Ready, status: int) -> None:
        """Count an answer."""
        del item
        self._answered += 1
        self._sending.answered(ready, status)

    def failed(self, item: Source, error: TelegardeError) -> None:
        """Count an instance that could not be sent."""
        del item
        self._sending.failed(error.reason if isinstance(error, _Unsendable) else NOT_SENT)

    def give_back(self, item: Source, *, was_tried: bool) -> None:
        """Put an instance back for another association."""
        self._sending.give_back(self._batch.sources, item, was_tried=was_tried)
