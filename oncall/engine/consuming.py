"""Taking what was stated in the outbox into cases, batch by batch; a statement that is a defect holds up nobody.

For: the engine's consumers of topics (orders, identities, performed steps, protocols, links of hospitals). Not for:
what a statement means, or the archive's own (`oncall.engine.relay`).

Invariants: the cursor moves in the commit of what it brought. A statement on which taking fails in a way that nobody
foresaw is logged as an error with its place in the outbox, stays there, and is passed by alone: the patients behind it
must not wait for a defect. A database that is away passes nothing by.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from foundation import log
from foundation.errors import TelegardeError
from foundation.outbox import OutboxEvent
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft
from oncall.engine.ports import Cursor

TakeBatch = Callable[[Draft, Sequence[OutboxEvent]], int]
"""Takes statements, oldest first, into a draft; returns how many: with fewer than all the next ones wait."""


class Consuming(Deciding):
    """A part of the engine that consumes the outbox."""

    def _consume(self, now: datetime, consumer: str, topics: Sequence[str], take: TakeBatch) -> int:
        """Take everything that was stated; return how many statements.

        Raises
        ------
        foundation.errors.Unavailable
            If the database, or what `take` asks, does not answer; what was not taken is taken later.
        """
        taken, batch_max = 0, 0
        while True:
            try:
                count = self._consume_batch(now, consumer, topics, take, batch_max)
            except TelegardeError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever the defect is, those behind it are patients too
                if batch_max == 1:
                    self._pass_by(now, consumer, topics, error)
                    taken += 1
                # One by one up to the defect, and in batches behind it.
                batch_max = 0 if batch_max == 1 else 1
                continue
            if count == 0:
                return taken
            taken += count

    def _consume_batch(
        self, now: datetime, consumer: str, topics: Sequence[str], take: TakeBatch, batch_max: int
    ) -> int:
        count = 0

        def decide(draft: Draft) -> None:
            nonlocal count
            position, stated = draft.stated(consumer, topics)
            events = stated[:batch_max] if batch_max else stated
            count = take(draft, events) if events else 0
            if count:
                draft.cursors.append(Cursor(consumer, position, events[count - 1].event_id))

        self._commit(now, decide)
        return count

    def _pass_by(self, now: datetime, consumer: str, topics: Sequence[str], error: Exception) -> None:
        def decide(draft: Draft) -> None:
            position, events = draft.stated(consumer, topics)
            draft.cursors.append(Cursor(consumer, position, events[0].event_id))
            log.error("statement_passed_by", action=consumer, offset=events[0].event_id, error=type(error).__name__)

        self._commit(now, decide)
