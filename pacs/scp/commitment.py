"""Storage Commitment Push Model SCP: takes N-ACTION requests, re-reads the instances, reports on the same association.

For: one request on one association. Not for: reports on a new association, or what a crash left
(`pacs.scp.commitment_relay`).

Order, each step safe to be killed after: the request is on disk; N-ACTION-RSP success; every instance re-read and the
outcome kept; N-EVENT-REPORT-RQ; the peer's success noted. What fails after the response is the relay's to finish.

References
----------
PS3.4 J.3; PS3.7 10.1.1 (N-EVENT-REPORT), 10.1.4 (N-ACTION)
"""

import contextlib
from typing import Final

from foundation import log
from foundation.errors import Unavailable
from pacs.archive.commitment import Commitment, FileReader, Ledger, TransactionUidReused, examine
from pacs.scp.association import AssociationLost
from pacs.scp.commitment_messages import (
    REQUEST_STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    InvalidActionInformation,
    decode_action_information,
    encode_event_information,
    encode_event_report,
    is_taken,
)
from pacs.scp.presentation import STORAGE_COMMITMENT_PUSH_MODEL
from pacs.scp.services import Association, Context
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, response

QUIET_S: Final = 0.3
"""A peer that will release, or goes on sending, does so within this after our answer; one that waits for the report
does not. Reporting into a release or a C-STORE is allowed, but many modalities do not expect it."""

_MESSAGE_ID: Final = 1
"""Of our N-EVENT-REPORT-RQ: the only operation that we invoke on the association."""


class CommitmentService:
    """Answers N-ACTION-RQ on Storage Commitment contexts.

    Parameters
    ----------
    ledger : Ledger
        Keeps requests.
    reader : FileReader
        Reads stored bytes again.
    """

    def __init__(self, ledger: Ledger, reader: FileReader) -> None:
        self._ledger = ledger
        self._reader = reader

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request, then check and report."""
        status, comment, kept = self._take(association, context, command, dataset)
        peer = association.peer
        if kept is None:
            log.warning("commitment_refused", calling_aet=peer.calling_aet, status=f"{status:04X}", reason=comment)
        try:
            association.send(context.context_id, response(command, status, error_comment=comment or None))
            if kept is not None:
                self._finish(association, context, kept)
        except AssociationLost:
            self._hand_over(kept)
            raise
        except Unavailable as error:
            # The request has been answered: the engine must not answer it again.
            log.warning("commitment_postponed", calling_aet=peer.calling_aet, reason=str(error))
            self._hand_over(kept)

    def _take(
        self, association: Association, context: Context, command: Command, dataset: bytes
    ) -> tuple[Status, str, Commitment | None]:
        """Judge a request and keep it: the status and comment to answer, and what was kept on success."""
        status = _refusal(association, command)
        if status is not None:
            return status, "", None
        try:
            asked = decode_action_information(dataset, context.transfer_syntax)
            kept = self._ledger.record(
                transaction_uid=asked.transaction_uid,
                calling_aet=association.peer.calling_aet,
                called_aet=association.peer.called_aet,
                references=asked.references,
            )
        except InvalidActionInformation as error:
            return error.status, str(error), None
        except TransactionUidReused as error:
            return Status.INVALID_ARGUMENT_VALUE, str(error), None
        except Unavailable as error:
            return Status.RESOURCE_LIMITATION, str(error), None
        return Status.SUCCESS, "", kept

    def _finish(self, association: Association, context: Context, kept: Commitment) -> None:
        examined = examine(self._ledger, self._reader, kept, is_stopping=lambda: association.is_stopping)
        result = examined.result
        assert result is not None
        log.info(
            "commitment_checked",
            calling_aet=kept.calling_aet,
            transaction=kept.transaction_uid,
            completed=len(result.committed),
            failed=len(result.failed),
        )
        if not association.is_quiet(QUIET_S):
            self._hand_over(examined)
            return
        event = encode_event_information(kept.transaction_uid, result, context.transfer_syntax)
        answer = association.request(context.context_id, encode_event_report(_MESSAGE_ID, result), event)
        if is_taken(answer, _MESSAGE_ID):
            self._ledger.delivered(examined)
            return
        state = self._ledger.failed(examined)
        log.warning(
            "commitment_report_refused", calling_aet=kept.calling_aet, transaction=kept.transaction_uid, state=state
        )

    def _hand_over(self, kept: Commitment | None) -> None:
        if kept is not None:
            # If this does not get through either, the lease runs out by itself.
            with contextlib.suppress(Unavailable):
                self._ledger.hand_over(kept)


def _refusal(association: Association, command: Command) -> Status | None:
    """Say why a command cannot be carried out; None when it can."""
    if command.command_field != CommandField.N_ACTION_RQ:
        return Status.UNRECOGNIZED_OPERATION
    if not association.peer.rights.may_commit:
        return Status.NOT_AUTHORIZED
    if command.requested_sop_class_uid != STORAGE_COMMITMENT_PUSH_MODEL:
        return Status.NO_SUCH_SOP_CLASS
    if command.requested_sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        return Status.NO_SUCH_OBJECT_INSTANCE
    if command.action_type_id != REQUEST_STORAGE_COMMITMENT:
        return Status.NO_SUCH_ACTION_TYPE
    return None
