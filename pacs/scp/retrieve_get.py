"""The sub-operations of a C-GET: C-STORE of each instance to the peer that asked, on the association it asked on.

Invariants: as for C-MOVE, every instance is recorded exactly once. There is nothing to reconnect to: when the
association is lost, so is the retrieve.

References
----------
PS3.4 C.4.3.2 and C.4.3.3; PS3.7 D.3.3.4 (the peer is SCP of the storage SOP Classes by role selection)
"""

from collections.abc import Sequence
from typing import Final

from foundation import log
from foundation.errors import TelegardeError
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.scp.read_ahead import ReadAhead
from pacs.scp.retrieve_prepare import prepare
from pacs.scp.retrieve_progress import NodeStopping, Reporter
from pacs.scp.services import Association
from pacs.scu.pipeline import Ready
from pacs.scu.store import ContextChooser
from pacs.status import Status, is_success_or_warning
from pacs.upper_layer.dimse import store_request

_MESSAGE_ID_MAX: Final = 0xFFFF


class GetOperation:
    """Sends instances back on the association of the request.

    Parameters
    ----------
    reader : InstanceReader
    association : Association
    priority : int
        Of the C-GET, handed on.
    reporter : Reporter
        Already begun with the number of instances.

    Attributes
    ----------
    comment : str
        Why the first failed sub-operation failed, for Error Comment; '' when none did.
    """

    def __init__(self, *, reader: InstanceReader, association: Association, priority: int, reporter: Reporter) -> None:
        self._reader = reader
        self._association = association
        self._priority = priority
        self._reporter = reporter
        self.comment = ""

    def run(self, refs: Sequence[InstanceRef]) -> None:
        """Send all instances and record each.

        Raises
        ------
        RetrieveCancelled
            By the peer; instances not begun stay remaining.
        pacs.scp.association.AssociationLost
            The peer is gone.
        """
        chooser = ContextChooser(
            (context.context_id, context.abstract_syntax, context.transfer_syntax)
            for context in self._association.contexts.values()
            if context.peer_is_scp
        )
        done = 0
        try:
            with ReadAhead(
                refs,
                lambda ref: prepare(ref, chooser, self._reader, may_be_parts=False),
                lambda ref: ref.length_bytes,
                self._reporter.step,
            ) as ahead:
                for ref, prepared in ahead:
                    self._reporter.step()
                    if isinstance(prepared, TelegardeError):
                        self._fail(ref, prepared)
                    else:
                        self._store(ref, prepared, message_id=done % _MESSAGE_ID_MAX + 1)
                    done += 1
        except NodeStopping as error:
            for ref in refs[done:]:
                self._fail(ref, error)

    def _store(self, ref: InstanceRef, prepared: Ready, *, message_id: int) -> None:
        command = store_request(message_id, ref.sop_class_uid, ref.sop_instance_uid, priority=self._priority)
        assert isinstance(prepared.dataset, memoryview), "asked for in one piece"
        answer = self._association.request(prepared.context.context_id, command, prepared.dataset)
        self._reporter.operations.record(ref.sop_instance_uid, answer.status)
        if not is_success_or_warning(answer.status):
            self.comment = self.comment or f"the peer answered {answer.status:04X}H"

    def _fail(self, ref: InstanceRef, error: TelegardeError) -> None:
        self._reporter.operations.record(ref.sop_instance_uid, Status.PROCESSING_FAILURE)
        self.comment = self.comment or str(error)
        log.debug("suboperation_failed", sop_instance=ref.sop_instance_uid, reason=str(error))
