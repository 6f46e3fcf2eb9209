"""Sends to an AE by C-STORE, one association for each consignment, and asks it by C-ECHO.

For: destinations that are AEs. Not for: what is sent when (`pacs.routing.worker`).

Invariants: an instance has arrived when the AE answered success or a warning for it (PS3.4 B.2.3); bytes go as stored,
or losslessly transcoded when the AE accepts nothing else, as for C-MOVE.

References
----------
PS3.4 A (Verification), B (Storage); PS3.7 9.1.1, 9.1.5
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from foundation.errors import TelegardeError
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.routing.bandwidth import Throttle
from pacs.routing.consignment import INTERRUPTED, Consignment
from pacs.scp.presentation import VERIFICATION
from pacs.scp.retrieve_prepare import NoContext, kind_of, prepare
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import AssociationAborted
from pacs.scu.pipeline import Ready, SendingStopped, send_all
from pacs.scu.store import ContextChooser, plan_contexts
from pacs.scu.transport import OnWait, no_wait
from pacs.status import Status, is_success_or_warning
from pacs.transcode import IMPLICIT_VR_LITTLE_ENDIAN, TranscodingImpossible
from pacs.upper_layer.associate import PresentationContextProposal
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, encode_command

_ECHO_CONTEXT: Final = PresentationContextProposal(
    context_id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT_VR_LITTLE_ENDIAN,)
)


class DicomSender:
    """A way to one AE; a `pacs.routing.consignment.Sender`.

    Parameters
    ----------
    peer : PeerAddress
    calling_aet : str
        Who we are.
    reader : InstanceReader
    throttle : Throttle
    timeouts : Timeouts
    on_wait : callable
        Runs while an association waits; what it raises ends it.
    """

    def __init__(
        self,
        peer: PeerAddress,
        *,
        calling_aet: str,
        reader: InstanceReader,
        throttle: Throttle,
        timeouts: Timeouts,
        on_wait: OnWait,
    ) -> None:
        self._peer = peer
        self._calling_aet = calling_aet
        self._reader = reader
        self._throttle = throttle
        self._timeouts = timeouts
        self._on_wait = on_wait

    def send(self, consignment: Consignment) -> None:
        """Send until nothing is left or it may not go on; see `Sender`."""
        for proposals in plan_contexts(map(kind_of, consignment.refs)):
            classes = {proposal.abstract_syntax for proposal in proposals}
            refs = deque(ref for ref in consignment.refs if ref.sop_class_uid in classes)
            supply = _Supply(consignment, refs, self._reader, self._throttle)
            send_all(self._open(proposals), supply, priority=consignment.priority)
            if consignment.has_yielded:
                return

    def probe(self) -> None:
        """Ask by C-ECHO; see `Sender`."""
        echo(self._peer, calling_aet=self._calling_aet, timeouts=self._timeouts, on_wait=self._on_wait)

    def _open(self, proposals: tuple[PresentationContextProposal, ...]) -> RequestorAssociation:
        return RequestorAssociation(
            self._peer,
            calling_aet=self._calling_aet,
            contexts=proposals,
            timeouts=self._timeouts,
            on_wait=self._on_wait,
        )


def echo(peer: PeerAddress, *, calling_aet: str, timeouts: Timeouts, on_wait: OnWait = no_wait) -> None:
    """Ask an AE by C-ECHO whether it is there.

    Raises
    ------
    pacs.scu.errors.PeerUnavailable
        It is not, or does not answer as it should.
    """
    with RequestorAssociation(
        peer, calling_aet=calling_aet, contexts=(_ECHO_CONTEXT,), timeouts=timeouts, on_wait=on_wait
    ) as association:
        if not association.contexts:
            # Whoever agrees to an association is there; what it thinks of Verification is its own affair.
            return
        message_id = association.next_message_id()
        command = encode_command(
            affected_sop_class_uid=VERIFICATION,
            command_field=CommandField.C_ECHO_RQ,
            message_id=message_id,
            data_set_type=NO_DATA_SET,
        )
        answer = association.request(_ECHO_CONTEXT.context_id, message_id, command)
        if answer.status != Status.SUCCESS:
            raise AssociationAborted("the peer answers C-ECHO with a failure", source=0, reason=0)


class _Supply:
    """The instances of a consignment that fit one association; a `pacs.scu.pipeline.Supply`."""

    def __init__(
        self, consignment: Consignment, refs: deque[InstanceRef], reader: InstanceReader, throttle: Throttle
    ) -> None:
        self._consignment = consignment
        self._refs = refs
        self._reader = reader
        self._throttle = throttle

    def take(self) -> InstanceRef | None:
        """Return the next instance."""
        return self._refs.popleft() if self._refs and self._consignment.may_go_on() else None

    def size_bytes(self, item: InstanceRef) -> int:
        """Return how much memory it takes."""
        return item.length_bytes

    def prepare(self, item: InstanceRef, chooser: ContextChooser) -> Ready:
        """Read an instance, and transcode it if the destination needs that; it goes as fast as it may."""
        ready = prepare(item, chooser, self._reader, may_be_parts=True)
        if not self._throttle.is_limited:
            return ready
        dataset = ready.dataset
        limited: Iterator[memoryview] = (
            self._throttle.parts(dataset) if isinstance(dataset, memoryview) else self._throttle.all_parts(dataset)
        )
        return replace(ready, dataset=limited)

    def answered(self, item: InstanceRef, ready: Ready, status: int) -> None:
        """Take note of the destination's answer."""
        del ready
        if is_success_or_warning(status):
            self._consignment.arrived(item)
        else:
            self._consignment.failed(item, f"status_{status:04X}")

    def failed(self, item: InstanceRef, error: TelegardeError) -> None:
        """Take note that an instance was not sent; one that we stopped ourselves has not failed."""
        if not isinstance(error, SendingStopped):
            self._consignment.failed(item, _reason(error))

    def give_back(self, item: InstanceRef, *, was_tried: bool) -> None:
        """Leave an instance unsent; one that the association ended on is not the first of the next."""
        if was_tried:
            self._consignment.failed(item, INTERRUPTED)


def _reason(error: TelegardeError) -> str:
    if isinstance(error, NoContext):
        return "no_context"
    return "not_transcodable" if isinstance(error, TranscodingImpossible) else "not_readable"
