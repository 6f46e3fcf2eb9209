"""Does the slow preparation of the next items in a thread, while the caller sends the present one.

For: reading (and transcoding) instances ahead of a C-MOVE or C-GET; the disk, or a slower tier, then works while the
network does, and the caller can go on reporting while a read takes long. Not for: parallel reading; packs lie in order.

Invariants: one thread, results in order; at most `ITEMS_AHEAD_MAX` results and `BYTES_AHEAD_MAX` bytes wait, but for a
single item that is larger by itself; the thread ends with the iteration, however that ends.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from foundation.errors import TelegardeError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Two: one being read while one waits is all that overlaps; more only takes memory.
ITEMS_AHEAD_MAX: Final = 2
# An instance larger than this is only read when it is its turn.
BYTES_AHEAD_MAX: Final = 32 * 1024 * 1024
# How often the caller hears of a wait; see `pacs.scu.transport.TICK_S`.
_TICK_S: Final = 0.5


class ReadAhead(Generic[Item, Result]):
    """Iterates over (item, result or error), preparing ahead; a context manager, whose end is that of the thread.

    Parameters
    ----------
    items : sequence
        In the order wanted.
    prepare : callable
        Runs in the thread; a `TelegardeError` it raises is handed over as the result of its item.
    size_bytes : callable
        How much memory the result of an item takes, about.
    on_wait : callable
        Runs in the caller's thread at least every half second of waiting; what it raises ends the iteration.
    """

    def __init__(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Result],
        size_bytes: Callable[[Item], int],
        on_wait: Callable[[], None],
    ) -> None:
        self._items = items
        self._prepare = prepare
        self._size_bytes = size_bytes
        self._on_wait = on_wait
        self._wanted: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        self._requested = 0
        self._bytes_ahead = 0

    def __enter__(self) -> Self:
        """Start the thread."""
        threading.Thread(target=self._run, name="read-ahead", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the thread to end after what it is doing; it is not waited for, a slow tier may hold it long."""
        self._wanted.put(None)

    def __iter__(self) -> Iterator[tuple[Item, Result | TelegardeError]]:
        """Yield every item with its result, in order."""
        for index, item in enumerate(self._items):
            if self._requested <= index:
                self._request()
            result = self._next_result()
            self._bytes_ahead -= self._size_bytes(item)
            # Before the caller works on this one, so that the next is prepared meanwhile.
            self._request_ahead_of(index)
            if isinstance(result, BaseException) and not isinstance(result, TelegardeError):
                raise result
            yield item, result

    def _request_ahead_of(self, index: int) -> None:
        while self._requested < len(self._items) and self._requested - index <= ITEMS_AHEAD_MAX:
            if self._bytes_ahead + self._size_bytes(self._items[self._requested]) > BYTES_AHEAD_MAX:
                return
            self._request()

    def _request(self) -> None:
        item = self._items[self._requested]
        self._requested += 1
        self._bytes_ahead += self._size_bytes(item)
        self._wanted.put(item)

    def _next_result(self) -> Result | BaseException:
        while True:
            try:
                return self._results.get(timeout=_TICK_S)
            except queue.Empty:
                self._on_wait()

    def _run(self) -> None:
        while (item := self._wanted.get()) is not None:
            try:
                result: Result | BaseException = self._prepare(item)
            except BaseException as error:  # noqa: BLE001  # the edge of a thread: it is raised again in the caller's
                result = error
            self._results.put(result)
