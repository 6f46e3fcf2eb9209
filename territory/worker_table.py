"""What worker processes and their supervisor share: each worker's state, its heartbeat, and who is connected.

A fixed table in anonymous shared memory, inherited by descriptor: no file stays behind, nothing is parsed, and a worker
killed at any moment leaves at worst its own rows, which the supervisor clears when it reaps it. Limits on associations
(in all, and per peer) are therefore exact over all workers, not a share of them for each.

Layout, in native unsigned 64-bit words: a header (workers, associations_max), then for each worker its process id, its
state, its last heartbeat (nanoseconds of CLOCK_MONOTONIC, which all processes share) and one word for each association
it may hold: 0 when free, else the hash of the peer.

Invariants: a word is written only by the process that owns it (the supervisor owns a dead worker's); deciding whether
one more fits, and taking its word, happens under one lock, which the kernel lets go when its holder dies.
"""

import fcntl
import mmap
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import xxhash

_WORD_BYTES: Final = 8
_HEADER_WORDS: Final = 2
# Words of a worker before its associations: process id, state, heartbeat.
_PID, _STATE, _BEAT = range(3)
_WORKER_WORDS: Final = 3


class WorkerState(IntEnum):
    """What a worker says of itself."""

    ABSENT = 0
    STARTING = 1
    READY = 2
    STOPPING = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerReport:
    """One worker as its row shows it; `silent_s` is the age of its last heartbeat."""

    worker: int
    pid: int
    state: WorkerState
    silent_s: float
    associations: int


class WorkerTable:
    """The shared table; made by the supervisor, attached to by each worker.

    Parameters
    ----------
    descriptor : int
        Of the shared memory; this object owns it from here on.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self._words = memoryview(self._memory).cast("Q")
        self.workers, self.associations_max = self._words[:_HEADER_WORDS].tolist()
        # POSIX record locks belong to a process, so its own threads need a lock of theirs.
        self._thread_lock = threading.Lock()

    @classmethod
    def create(cls, *, workers: int, associations_max: int) -> "WorkerTable":
        """Make an empty table for so many workers; one worker may hold every association there is."""
        words = _HEADER_WORDS + workers * (_WORKER_WORDS + associations_max)
        descriptor = os.memfd_create("telegarde-workers")
        os.ftruncate(descriptor, words * _WORD_BYTES)
        with mmap.mmap(descriptor, 0) as memory, memoryview(memory).cast("Q") as header:
            header[0], header[1] = workers, associations_max
        return cls(descriptor)

    def row(self, worker: int) -> "WorkerRow":
        """Return the row of one worker, for that worker to write."""
        return WorkerRow(self, worker)

    def reports(self) -> list[WorkerReport]:
        """Return every worker's row as it is now."""
        now_ns = time.monotonic_ns()
        found = []
        for worker in range(self.workers):
            at = self._row_at(worker)
            pid, state, beat_ns = self._words[at : at + _WORKER_WORDS].tolist()
            taken = self.associations_max - self._associations(worker).tolist().count(0)
            silent_s = (now_ns - beat_ns) / 1e9 if beat_ns else 0.0
            found.append(
                WorkerReport(
                    worker=worker, pid=pid, state=WorkerState(state), silent_s=max(0.0, silent_s), associations=taken
                )
            )
        return found

    def clear(self, worker: int) -> None:
        """Forget a worker that has ended: only for the supervisor, after it reaped the process."""
        at = self._row_at(worker)
        words = _WORKER_WORDS + self.associations_max
        self._memory[at * _WORD_BYTES : (at + words) * _WORD_BYTES] = bytes(words * _WORD_BYTES)

    def close(self) -> None:
        """Let go of the shared memory."""
        self._words.release()
        self._memory.close()
        os.close(self.descriptor)

    def _row_at(self, worker: int) -> int:
        if not 0 <= worker < self.workers:
            raise IndexError(f"worker {worker} of {self.workers}")
        return _HEADER_WORDS + worker * (_WORKER_WORDS + self.associations_max)

    def _associations(self, worker: int) -> memoryview:
        begin = self._row_at(worker) + _WORKER_WORDS
        return self._words[begin : begin + self.associations_max]

    def _everybody(self) -> list[int]:
        return [word for worker in range(self.workers) for word in self._associations(worker).tolist() if word]

    def _lock(self) -> "_TableLock":
        return _TableLock(self.descriptor, self._thread_lock)


class WorkerRow:
    """One worker's row: what it says of itself, and the associations it holds."""

    def __init__(self, table: WorkerTable, worker: int) -> None:
        self._table = table
        self._at = table._row_at(worker)
        self.worker = worker

    def report(self, state: WorkerState) -> None:
        """Say what this worker is doing; counts as a heartbeat."""
        self._table._words[self._at + _PID] = os.getpid()
        self.beat()
        self._table._words[self._at + _STATE] = state

    def beat(self) -> None:
        """Say that this worker is alive now."""
        self._table._words[self._at + _BEAT] = time.monotonic_ns()

    def reserve(self, peer: str, admit: Callable[[int, int], bool]) -> int | None:
        """Take a place for an association with this peer, if it is admitted.

        Parameters
        ----------
        peer : str
            Whose associations count together: its AE title.
        admit : callable
            Gets the number of associations open now, in all and of this peer, over all workers, and decides; nobody
            else can take a place meanwhile.

        Returns
        -------
        int or None
            The ticket for `leave`; None when it was not admitted, or the node is full.
        """
        word = _word_of(peer)
        with self._table._lock():
            open_now = self._table._everybody()
            if not admit(len(open_now), open_now.count(word)) or len(open_now) >= self._table.associations_max:
                return None
            ticket = self._table._associations(self.worker).tolist().index(0)
            self._table._associations(self.worker)[ticket] = word
            return ticket

    def leave(self, ticket: int) -> None:
        """Give the place back."""
        self._table._associations(self.worker)[ticket] = 0


class _TableLock:
    def __init__(self, descriptor: int, thread_lock: threading.Lock) -> None:
        self._descriptor = descriptor
        self._thread_lock = thread_lock

    def __enter__(self) -> None:
        self._thread_lock.acquire()
        # lockf, not flock: the descriptor is inherited, and flock locks belong to the open file that all share.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        self._thread_lock.release()


def _word_of(peer: str) -> int:
    # Two peers with one hash would share a limit: at 64 bits that is not worth a longer row.
    return xxhash.xxh3_64_intdigest(peer.encode("utf-8", "surrogateescape")) or 1
