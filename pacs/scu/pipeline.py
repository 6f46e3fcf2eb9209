"""Sends instances over one association: while the peer works on one, the next is read.

The one engine of C-MOVE and ``telegarde send``, which supply the instances and keep the counts. Not for: opening
associations, or deciding what happens when one breaks.

Invariants: every instance taken is answered, failed or given back, exactly once and before `send_all` returns or
raises; at most one instance beyond the one in hand is in memory, and none beyond a large one.

References
----------
PS3.7 9.1.1 (C-STORE), 8.2 (one operation at a time)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from foundation.errors import TelegardeError
from pacs.scu.association import RequestorAssociation
from pacs.scu.errors import AssociationAborted, PeerUnavailable
from pacs.scu.store import ChosenContext, ContextChooser, MoveOriginator, send_instance
from pacs.upper_layer.dimse import Priority

Item = TypeVar("Item")

# A data set larger than this is not read before its turn: two of them would be in memory at once.
AHEAD_BYTES_MAX: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ready:
    """An instance ready to be written: its data set in the transfer syntax of its context, whole or in parts."""

    sop_class_uid: str
    sop_instance_uid: str
    context: ChosenContext
    dataset: memoryview | Iterator[memoryview]
    size_bytes: int


class Supply(Protocol[Item]):
    """Where instances come from and what becomes of them; called from the threads of several associations."""

    def take(self) -> Item | None:
        """Return the next instance; None when there is none, or sending is to stop."""

    def size_bytes(self, item: Item) -> int:
        """Return about how much memory it takes."""

    def prepare(self, item: Item, chooser: ContextChooser) -> Ready:
        """Read it, and transcode it if this peer needs that.

        Raises
        ------
        TelegardeError
            It cannot be sent; the error is handed to `failed`.
        """

    def answered(self, item: Item, ready: Ready, status: int) -> None:
        """Take note of the peer's answer."""

    def failed(self, item: Item, error: TelegardeError) -> None:
        """Take note that it was not sent, or that its sending was interrupted by us."""

    def give_back(self, item: Item, *, was_tried: bool) -> None:
        """Take it back: the association ended before it was sent, or (`was_tried`) before it was answered."""


class SendingStopped(TelegardeError):
    """Raised by the `on_wait` of an association to end it: the instance in hand has failed, others are given back."""


class _Pipeline(Generic[Item]):
    def __init__(
        self,
        association: RequestorAssociation,
        supply: Supply[Item],
        priority: int,
        originator: MoveOriginator | None,
    ) -> None:
        self._association = association
        self._supply = supply
        self._priority = priority
        self._originator = originator
        self._chooser = ContextChooser(
            (context.context_id, context.abstract_syntax, context.transfer_syntax)
            for context in association.contexts.values()
            if context.scu_role
        )

    def run(self) -> None:
        item = self._supply.take()
        ready: Ready | None = None
        while item is not None:
            if ready is None:
                ready = self._prepare(item)
            if ready is None:
                item = self._supply.take()
                continue
            item, ready = self._exchange(item, ready)

    def _exchange(self, item: Item, ready: Ready) -> tuple[Item | None, Ready | None]:
        """Send one instance and take its answer; return the next, which may have been read meanwhile."""
        following: Item | None = None
        following_ready: Ready | None = None
        try:
            message_id = send_instance(
                self._association,
                ready.context.context_id,
                ready.sop_class_uid,
                ready.sop_instance_uid,
                ready.dataset,
                priority=self._priority,
                originator=self._originator,
            )
            following = self._supply.take()
            while following is not None and self._supply.size_bytes(following) <= AHEAD_BYTES_MAX:
                following_ready = self._prepare(following)
                if following_ready is not None:
                    break
                following = self._supply.take()
            status = self._association.receive_response(message_id).status
        except BaseException as error:
            if following is not None:
                self._supply.give_back(following, was_tried=False)
            if isinstance(error, PeerUnavailable) or not isinstance(error, TelegardeError):
                self._supply.give_back(item, was_tried=True)
                raise
            # Stopped by our side, or its bytes could not be read to the end: the peer has not got all of it.
            self._supply.failed(item, error)
            if isinstance(error, SendingStopped):
                raise
            raise AssociationAborted("an instance could not be read to its end", source=0, reason=0) from error
        self._supply.answered(item, ready, status)
        return following, following_ready

    def _prepare(self, item: Item) -> Ready | None:
        try:
            return self._supply.prepare(item, self._chooser)
        except TelegardeError as error:
            self._supply.failed(item, error)
            return None
        except BaseException:
            self._supply.give_back(item, was_tried=False)
            raise


def send_all(
    association: RequestorAssociation,
    supply: Supply[Item],
    *,
    priority: int = Priority.MEDIUM,
    originator: MoveOriginator | None = None,
) -> None:
    """Send what the supply has, until it has no more, and release the association.

    Parameters
    ----------
    association : RequestorAssociation
        Ends with this call, by release or, after an error, by abort.
    priority : int
        Of each C-STORE.
    originator : MoveOriginator or None
        Of the C-MOVE that this belongs to.

    Raises
    ------
    PeerUnavailable
        The association broke; the instance in hand was given back.
    SendingStopped
        `on_wait` said so.
    """
    with association:
        _Pipeline(association, supply, priority, originator).run()
