"""The sub-operations of a C-MOVE: C-STORE of each instance to the destination, on associations that we request.

Invariants: every instance is recorded exactly once, whatever happens to the destination; a connection that breaks is
made once more in a retrieve, then the rest has failed; no wait is unbounded, and through all of them the peer that
asked hears Pending and may cancel. An instance whose sending was interrupted has failed, because nobody confirmed it.

References
----------
PS3.4 C.4.2.2 and C.4.2.3 (SCP behaviour); PS3.7 9.1.1.1.6 (Move Originator); PS3.8 9.3.2.2 (128 contexts)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foundation import log
from foundation.errors import TelegardeError
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.scp.read_ahead import ReadAhead
from pacs.scp.retrieve_progress import NodeStopping, Reporter, RetrieveCancelled
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import AssociationAborted, ConnectionLost, PeerUnavailable
from pacs.scu.store import (
    ChosenContext,
    ContextChooser,
    Kind,
    MoveOriginator,
    dataset_for,
    plan_contexts,
    send_instance,
)
from pacs.status import Status, is_success_or_warning
from pacs.upper_layer.associate import PresentationContextProposal

# A destination that drops the connection once may have restarted; one that drops it twice will again.
RECONNECTS_MAX: Final = 1


class NoContext(TelegardeError):
    """The peer accepted no presentation context in which this instance can be sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """An instance ready to be written: its data set in the transfer syntax of its context."""

    context: ChosenContext
    dataset: memoryview


def kind_of(ref: InstanceRef) -> Kind:
    """Return what decides about the context of an instance."""
    return ref.sop_class_uid, ref.transfer_syntax_uid


def prepare(ref: InstanceRef, chooser: ContextChooser, reader: InstanceReader) -> Prepared:
    """Read an instance, and transcode it if the peer needs that.

    Raises
    ------
    NoContext, TranscodingImpossible, foundation.errors.Unavailable
        The sub-operation has failed.
    """
    context = chooser.choose(kind_of(ref))
    if context is None:
        raise NoContext("the destination accepts no context for this SOP Class")
    file = reader.read_file(ref)
    return Prepared(context=context, dataset=dataset_for(file[ref.dataset_offset :], kind_of(ref), context))


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
        self._reconnects_left = RECONNECTS_MAX
        self._association: RequestorAssociation | None = None
        self._proposals: tuple[PresentationContextProposal, ...] = ()
        self._chooser = ContextChooser(())
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
        undone = dict.fromkeys(refs)
        try:
            for proposals in plan_contexts(map(kind_of, refs)):
                sop_classes = {proposal.abstract_syntax for proposal in proposals}
                self._proposals = proposals
                self._send([ref for ref in refs if ref.sop_class_uid in sop_classes], undone)
        except (PeerUnavailable, NodeStopping) as error:
            log.warning("move_given_up", destination=self._destination.ae_title, count=len(undone), reason=str(error))
            for ref in undone:
                self._fail(ref, error)

    def _send(self, refs: Sequence[InstanceRef], undone: dict[InstanceRef, None]) -> None:
        self._open()
        try:
            with ReadAhead(refs, self._prepared, lambda ref: ref.length_bytes, self._reporter.step) as ahead:
                for ref, prepared in ahead:
                    self._reporter.step()
                    self._deliver(ref, prepared)
                    del undone[ref]
        except BaseException:
            self._abort()
            raise
        assert self._association is not None
        self._association.release()

    def _prepared(self, ref: InstanceRef) -> Prepared:
        return prepare(ref, self._chooser, self._reader)

    def _deliver(self, ref: InstanceRef, prepared: Prepared | TelegardeError) -> None:
        """Send one instance, on a new association if the present one breaks."""
        while not isinstance(prepared, TelegardeError):
            if prepared.context != self._chooser.choose(kind_of(ref)):
                # Prepared for an association that is gone; the new one agreed on something else.
                prepared = self._prepared_again(ref)
                continue
            try:
                status = self._exchange(ref, prepared)
            except (ConnectionLost, AssociationAborted) as error:
                self._reconnect(ref, error)
                continue
            except RetrieveCancelled as error:
                # Half sent: whether the destination keeps it nobody knows.
                self._fail(ref, error)
                raise
            self._reporter.operations.record(ref.sop_instance_uid, status)
            if not is_success_or_warning(status):
                self.comment = self.comment or f"the destination answered {status:04X}H"
            return
        self._fail(ref, prepared)

    def _prepared_again(self, ref: InstanceRef) -> Prepared | TelegardeError:
        try:
            return self._prepared(ref)
        except TelegardeError as error:
            return error

    def _reconnect(self, ref: InstanceRef, error: PeerUnavailable) -> None:
        if not self._reconnects_left:
            raise error
        self._reconnects_left -= 1
        log.warning("move_destination_lost", destination=self._destination.ae_title, reason=str(error))
        try:
            self._open()
        except RetrieveCancelled as cancelled:
            self._fail(ref, cancelled)
            raise

    def _exchange(self, ref: InstanceRef, prepared: Prepared) -> int:
        association = self._association
        assert association is not None
        message_id = send_instance(
            association,
            prepared.context.context_id,
            ref.sop_class_uid,
            ref.sop_instance_uid,
            prepared.dataset,
            priority=self._priority,
            originator=self._originator,
        )
        return association.receive_response(message_id).status

    def _open(self) -> None:
        self._association = RequestorAssociation(
            self._destination,
            calling_aet=self._calling_aet,
            contexts=self._proposals,
            timeouts=self._timeouts,
            on_wait=self._reporter.step,
        )
        self._chooser = ContextChooser(
            (context.context_id, context.abstract_syntax, context.transfer_syntax)
            for context in self._association.contexts.values()
        )

    def _abort(self) -> None:
        if self._association is not None:
            self._association.abort()

    def _fail(self, ref: InstanceRef, error: TelegardeError) -> None:
        self._reporter.operations.record(ref.sop_instance_uid, Status.PROCESSING_FAILURE)
        self.comment = self.comment or str(error)
        log.debug("suboperation_failed", sop_instance=ref.sop_instance_uid, reason=str(error))
