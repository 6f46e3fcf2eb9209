"""How far a retrieve is: counts of sub-operations, the status they add up to, and telling the peer in time.

Used by C-MOVE and C-GET alike. `Reporter.step` is to be called often: after each sub-operation and on every tick of
every wait; it costs one look at the clock unless something is due.

Invariants: each sub-operation is counted once, and completed only when the storage SCP answered that it keeps the
instance; the first Pending goes out before the first sub-operation, and then at least one a second.

References
----------
PS3.4 C.4.2.1.5 to C.4.2.1.9, C.4.2.3 (C-MOVE), C.4.3.1.4, C.4.3.3 (C-GET); PS3.7 9.1.4, E.1
"""

import threading
from typing import Final

from foundation.clock import Clock
from foundation.errors import TelegardeError
from pacs.scp.retrieve_identifier import failed_list
from pacs.scp.services import Association, Context
from pacs.status import Status, is_success_or_warning
from pacs.upper_layer.dimse import Command, response

# Pending at least every second: with half of that, a tick that comes late still keeps the promise.
PENDING_INTERVAL_S: Final = 0.5
# How long a C-CANCEL may lie in the socket before it is seen, while sub-operations succeed each other.
CANCEL_POLL_INTERVAL_S: Final = 0.05
_COUNT_MAX: Final = 0xFFFF


class RetrieveCancelled(TelegardeError):
    """The peer sent C-CANCEL; sub-operations not begun stay remaining."""


class NodeStopping(TelegardeError):
    """This node is being stopped; sub-operations not done fail."""


class SubOperations:
    """Counts sub-operations and remembers which failed; thread-safe, so that counts always add up."""

    def __init__(self, total: int) -> None:
        self._lock = threading.Lock()
        self.remaining = total
        self.completed = 0
        self.failed = 0
        self.warning = 0
        self.failed_sop_instance_uids: list[str] = []

    def record(self, sop_instance_uid: str, status: int) -> None:
        """Count one sub-operation by the status of its C-STORE response."""
        with self._lock:
            self.remaining -= 1
            if status == Status.SUCCESS:
                self.completed += 1
            elif is_success_or_warning(status):
                self.warning += 1
            else:
                self.failed += 1
                self.failed_sop_instance_uids.append(sop_instance_uid)

    def final_status(self) -> Status:
        """Return the status that ends a retrieve that was not cancelled (PS3.4 Tables C.4-2 and C.4-3)."""
        assert self.remaining == 0
        if self.failed and not (self.completed or self.warning):
            return Status.OUT_OF_RESOURCES_SUBOPERATIONS
        if self.failed or self.warning:
            return Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES
        return Status.SUCCESS

    def counts(self, *, with_remaining: bool) -> dict[str, int]:
        """Return the counts by command keyword."""
        with self._lock:
            counts = {
                "number_of_completed_suboperations": self.completed,
                "number_of_failed_suboperations": self.failed,
                "number_of_warning_suboperations": self.warning,
            }
            if with_remaining:
                counts["number_of_remaining_suboperations"] = self.remaining
        return {keyword: min(count, _COUNT_MAX) for keyword, count in counts.items()}


class Reporter:
    """Sends the responses of one retrieve request and listens for its cancellation.

    Parameters
    ----------
    association : Association
        With the peer that asked.
    context : Context
        Of the request.
    command : Command
        The request.
    clock : Clock
    """

    def __init__(self, association: Association, context: Context, command: Command, clock: Clock) -> None:
        self._association = association
        self._context = context
        self._command = command
        self._clock = clock
        self._pending_due_s = 0.0
        self._cancel_due_s = 0.0
        self.operations = SubOperations(0)

    def begin(self, total: int) -> None:
        """Say at once how many sub-operations there will be."""
        self.operations = SubOperations(total)
        if total:
            self._send_pending(self._clock.monotonic_s())

    def step(self) -> None:
        """Send Pending when it is due and see whether the peer or this node wants to stop.

        Raises
        ------
        RetrieveCancelled, NodeStopping
            The rest is not to be done.
        pacs.scp.association.AssociationLost
            The peer that asked is gone.
        """
        if not self.operations.remaining:
            # All is done but for taking leave of the destination: too late to cancel.
            return
        now_s = self._clock.monotonic_s()
        if now_s >= self._pending_due_s:
            self._send_pending(now_s)
        if now_s >= self._cancel_due_s:
            self._cancel_due_s = now_s + CANCEL_POLL_INTERVAL_S
            if self._association.is_cancelled(self._command.message_id):
                raise RetrieveCancelled("cancelled by the peer")
            if self._association.is_stopping:
                raise NodeStopping("this node is being stopped")

    def finish(self, *, is_cancelled: bool, comment: str) -> int:
        """Send the final response and return its status.

        Parameters
        ----------
        is_cancelled : bool
            Whether sub-operations remain undone because the peer said so.
        comment : str
            Why sub-operations failed; '' when none did. Holds no patient data.
        """
        operations = self.operations
        status = Status.CANCEL if is_cancelled else operations.final_status()
        failed = operations.failed_sop_instance_uids
        # PS3.4 C.4.2.1.6: a final response has no remaining count unless it was cancelled.
        fields: dict[str, int | str] = dict(operations.counts(with_remaining=is_cancelled))
        if comment and status != Status.SUCCESS:
            fields["error_comment"] = comment
        command = response(self._command, status, has_dataset=bool(failed), **fields)
        identifier = failed_list(failed, self._context.transfer_syntax) if failed else None
        self._association.send(self._context.context_id, command, identifier)
        return status

    def refuse(self, status: int, comment: str, *, offending_element: int | None = None) -> None:
        """Send the only response of a request that cannot be carried out."""
        offending = None if offending_element is None else (offending_element,)
        command = response(self._command, status, error_comment=comment, offending_elements=offending)
        self._association.send(self._context.context_id, command)

    def _send_pending(self, now_s: float) -> None:
        self._pending_due_s = now_s + PENDING_INTERVAL_S
        counts = self.operations.counts(with_remaining=True)
        self._association.send(
            self._context.context_id, response(self._command, Status.PENDING, has_dataset=False, **counts)
        )
