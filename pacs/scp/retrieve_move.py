"""The sub-operations of a C-MOVE: C-STORE of each instance to the destination, on associations that we request.

Each association has a thread of its own that reads, transcodes, sends and waits; the thread of the C-MOVE only keeps
the time: it tells the peer that asked how far it is, and hears its cancellation, however long the others wait. Several
associations at once, because a storage SCP is slower at receiving one image after another than we are at sending. A
destination that takes only one at a time gets one: the other is refused or never comes about, and nothing is lost.

Invariants: every instance is recorded at most once, and exactly once unless the move is cancelled; one whose sending
was interrupted has failed, because nobody confirmed it; a broken association is made once more in a retrieve; when
none is left, the rest has failed.

References
----------
PS3.4 C.4.2.2 and C.4.2.3 (SCP behaviour); PS3.7 9.1.1.1.6 (Move Originator); PS3.8 9.3.2.2 (128 contexts)
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from foundation import log
from foundation.errors import TelegardeError
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.scp.retrieve_prepare import kind_of, prepare
from pacs.scp.retrieve_progress import NodeStopping, Reporter, SubOperations
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import AssociationAborted, ConnectionLost, PeerUnavailable
from pacs.scu.pipeline import Ready, SendingStopped, send_all
from pacs.scu.store import ContextChooser, MoveOriginator, plan_contexts
from pacs.status import Status, is_success_or_warning
from pacs.upper_layer.associate import PresentationContextProposal

# A destination that drops the connection once may have restarted; one that drops it twice will again.
RECONNECTS_MAX: Final = 1
# A second association must be worth its negotiation: some milliseconds, in which one sends about this many images.
INSTANCES_PER_ASSOCIATION_MIN: Final = 20
# How often the thread of the C-MOVE looks up: bounds how long a cancellation takes to be noticed.
_TICK_S: Final = 0.1
# How long associations may take to notice that they are to stop: a tick of their waits, and some scheduling.
_STOP_GRACE_S: Final = 2.0


class _Consignment:
    """The instances of one C-MOVE that fit one association's contexts, shared by the threads that send them."""

    def __init__(self, refs: Sequence[InstanceRef], operations: SubOperations) -> None:
        self._condition = threading.Condition()
        self._waiting = deque(refs)
        self._in_hand: set[InstanceRef] = set()
        self._operations = operations
        self._is_stopped = False
        self._opening = 0
        self._serving = 0
        self.reconnects_left = RECONNECTS_MAX
        self.first_error: TelegardeError | None = None

    # --- for the thread of the C-MOVE ------------------------------------------------------------

    def wait(self, timeout_s: float) -> bool:
        """Wait until all is done or nobody is left to do it; say whether that is so."""
        with self._condition:
            return self._condition.wait_for(self._is_over, timeout_s)

    def stop(self) -> None:
        """Ask all threads to end, and wait for them a little; what is half sent has then failed."""
        with self._condition:
            self._is_stopped = True
            self._condition.wait_for(lambda: not self._serving, _STOP_GRACE_S)
            for ref in self._in_hand:
                # Its thread hangs in a read or a write; whatever comes of it comes too late.
                self._operations.record(ref.sop_instance_uid, Status.PROCESSING_FAILURE)
            self._in_hand.clear()

    def end(self) -> list[InstanceRef]:
        """Tell associations that have not come about that they need not; return what nobody sent."""
        with self._condition:
            self._is_stopped = True
            return list(self._waiting)

    def _is_over(self) -> bool:
        if self._serving:
            return False
        return not self._opening or not (self._waiting or self._in_hand)

    # --- for the threads that send ---------------------------------------------------------------

    @property
    def is_stopped(self) -> bool:
        return self._is_stopped

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting) and not self._is_stopped

    def begin_opening(self) -> None:
        with self._condition:
            self._opening += 1

    def opened(self) -> None:
        with self._condition:
            self._opening -= 1
            self._serving += 1

    def failed_to_open(self, error: TelegardeError) -> None:
        with self._condition:
            self._opening -= 1
            self._note(error)
            self._condition.notify_all()

    def ended(self, error: TelegardeError | None) -> None:
        with self._condition:
            self._serving -= 1
            if error is not None:
                self._note(error)
            self._condition.notify_all()

    def may_reconnect(self) -> bool:
        with self._condition:
            self.reconnects_left -= 1
            return self.reconnects_left >= 0 and not self._is_stopped

    def take(self) -> InstanceRef | None:
        with self._condition:
            if self._is_stopped or not self._waiting:
                return None
            ref = self._waiting.popleft()
            self._in_hand.add(ref)
            return ref

    def give_back(self, ref: InstanceRef) -> None:
        with self._condition:
            if ref in self._in_hand:
                self._in_hand.remove(ref)
                self._waiting.appendleft(ref)

    def record(self, ref: InstanceRef, status: int, error: TelegardeError | None) -> None:
        with self._condition:
            if ref in self._in_hand:
                self._in_hand.remove(ref)
                self._operations.record(ref.sop_instance_uid, status)
                if error is not None:
                    self._note(error)

    def _note(self, error: TelegardeError) -> None:
        if self.first_error is None and not isinstance(error, SendingStopped):
            self.first_error = error


class _DestinationAnswered(TelegardeError):
    """The destination refused an instance."""


class MoveOperation:
    """Sends instances to one destination.

    Parameters
    ----------
    reader : InstanceReader
    destination : PeerAddress
    calling_aet : str
        Our AE title towards the destination.
    originator : MoveOriginator
    priority : int
        Of the C-MOVE, handed on.
    reporter : Reporter
        Already begun with the number of instances.
    timeouts : Timeouts

    Attributes
    ----------
    comment : str
        Why the first failed sub-operation failed, for Error Comment; '' when none did.
    """

    def __init__(
        self,
        *,
        reader: InstanceReader,
        destination: PeerAddress,
        calling_aet: str,
        originator: MoveOriginator,
        priority: int,
        reporter: Reporter,
        timeouts: Timeouts,
    ) -> None:
        self._reader = reader
        self._destination = destination
        self._calling_aet = calling_aet
        self._originator = originator
        self._priority = priority
        self._reporter = reporter
        self._timeouts = timeouts
        self.comment = ""

    def run(self, refs: Sequence[InstanceRef]) -> None:
        """Send all instances and record each.

        Raises
        ------
        RetrieveCancelled
            By the peer that asked; instances not begun stay remaining.
        pacs.scp.association.AssociationLost
            The peer that asked is gone.
        """
        for proposals in plan_contexts(map(kind_of, refs)):
            sop_classes = {proposal.abstract_syntax for proposal in proposals}
            self._send([ref for ref in refs if ref.sop_class_uid in sop_classes], proposals)

    def _send(self, refs: Sequence[InstanceRef], proposals: tuple[PresentationContextProposal, ...]) -> None:
        operations = self._reporter.operations
        consignment = _Consignment(refs, operations)
        wanted = -(-len(refs) // INSTANCES_PER_ASSOCIATION_MIN)
        for number in range(min(wanted, self._destination.associations_max)):
            consignment.begin_opening()
            threading.Thread(
                target=_Sender(self, consignment, proposals).run, name=f"move-{number}", daemon=True
            ).start()
        try:
            while not consignment.wait(_TICK_S):
                self._reporter.step()
        except NodeStopping as stopping:
            consignment.stop()
            consignment.first_error = stopping
        except BaseException:
            consignment.stop()
            self._comment_on(consignment)
            raise
        for ref in consignment.end():
            operations.record(ref.sop_instance_uid, Status.PROCESSING_FAILURE)
        self._comment_on(consignment)

    def _comment_on(self, consignment: _Consignment) -> None:
        if consignment.first_error is not None and not self.comment:
            self.comment = str(consignment.first_error)

    # --- for the threads that send ---------------------------------------------------------------

    def open(
        self, proposals: tuple[PresentationContextProposal, ...], consignment: _Consignment
    ) -> RequestorAssociation:
        """Request one association with the destination."""

        def on_wait() -> None:
            if consignment.is_stopped:
                raise SendingStopped("the retrieve was stopped")

        return RequestorAssociation(
            self._destination,
            calling_aet=self._calling_aet,
            contexts=proposals,
            timeouts=self._timeouts,
            on_wait=on_wait,
        )

    def send_all(self, association: RequestorAssociation, sender: "_Sender") -> None:
        """Send what the sender supplies, as part of this C-MOVE."""
        send_all(association, sender, priority=self._priority, originator=self._originator)

    def prepare(self, ref: InstanceRef, chooser: ContextChooser) -> Ready:
        """Read an instance, and transcode it if the destination needs that."""
        return prepare(ref, chooser, self._reader, may_be_parts=True)

    def note_lost(self, error: PeerUnavailable) -> None:
        """Say in the log that an association broke."""
        log.warning("move_destination_lost", destination=self._destination.ae_title, reason=str(error))


class _Sender:
    """One association at a time, in a thread; a `pacs.scu.pipeline.Supply`."""

    def __init__(
        self,
        operation: MoveOperation,
        consignment: _Consignment,
        proposals: tuple[PresentationContextProposal, ...],
    ) -> None:
        self._operation = operation
        self._consignment = consignment
        self._proposals = proposals

    def run(self) -> None:
        """Send until nothing waits; never raises."""
        consignment = self._consignment
        while True:
            try:
                association = self._operation.open(self._proposals, consignment)
            except TelegardeError as error:
                consignment.failed_to_open(error)
                return
            except Exception as error:  # noqa: BLE001  # the edge of a thread: nobody may wait for it for ever
                consignment.failed_to_open(_defect(error))
                return
            consignment.opened()
            ending = self._serve(association)
            is_worth_another = isinstance(ending, ConnectionLost | AssociationAborted) and consignment.may_reconnect()
            if is_worth_another:
                consignment.begin_opening()
            consignment.ended(None if is_worth_another else ending)
            if not is_worth_another:
                return

    def _serve(self, association: RequestorAssociation) -> TelegardeError | None:
        """Send on one association; return what ended it, None when all is sent."""
        try:
            self._operation.send_all(association, self)
        except PeerUnavailable as error:
            self._operation.note_lost(error)
            return error
        except TelegardeError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the edge of a thread: a defect here must not look like success
            return _defect(error)
        return None

    def take(self) -> InstanceRef | None:
        """Return the next instance."""
        return self._consignment.take()

    def size_bytes(self, item: InstanceRef) -> int:
        """Return how much memory it takes."""
        return item.length_bytes

    def prepare(self, item: InstanceRef, chooser: ContextChooser) -> Ready:
        """Read an instance; see `Supply`."""
        return self._operation.prepare(item, chooser)

    def answered(self, item: InstanceRef, ready: Ready, status: int) -> None:
        """Record the destination's answer."""
        del ready
        error = (
            None if is_success_or_warning(status) else _DestinationAnswered(f"the destination answered {status:04X}H")
        )
        self._consignment.record(item, status, error)

    def failed(self, item: InstanceRef, error: TelegardeError) -> None:
        """Record a failure of our own."""
        log.debug("suboperation_failed", sop_instance=item.sop_instance_uid, reason=str(error))
        self._consignment.record(item, Status.PROCESSING_FAILURE, error)

    def give_back(self, item: InstanceRef, *, was_tried: bool) -> None:
        """Put an instance back for another association."""
        del was_tried
        self._consignment.give_back(item)


def _defect(error: Exception) -> TelegardeError:
    log.error("move_defect", error=type(error).__name__)
    return TelegardeError(f"a defect of this node ({type(error).__name__})")
