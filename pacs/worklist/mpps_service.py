"""Modality Performed Procedure Step SCP, and the Retrieve SOP Class: N-CREATE, N-SET and N-GET of scanners.

For: one request on one association. Not for: which state follows which (`pacs.worklist.mpps_states`), what a step must
hold (`pacs.worklist.mpps_attributes`) or rows (`pacs.worklist.mpps_store`). Of the Notification SOP Class nothing is
offered: who follows an exam here reads the outbox.

Invariants: success is answered after the step is on disk; whatever comes, the answer is one of the statuses of PS3.7
C.5; a scanner sees and changes steps of its own hospital only.

References
----------
PS3.4 F.7 (MPPS SOP Class), F.8 (Retrieve SOP Class); PS3.7 10.1.2, 10.1.3, 10.1.5
"""

from pydicom.uid import generate_uid

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.scp.presentation import MPPS, MPPS_RETRIEVE
from pacs.scp.services import Association, Context, Peer
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, response
from pacs.worklist import mpps_store
from pacs.worklist.attribute_list import UnreadableIdentifier, decode_attribute_list, encode_attribute_list
from pacs.worklist.mpps_attributes import selected
from pacs.worklist.mpps_store import Caller, StepRefused


class MppsService:
    """Answers N-CREATE-RQ and N-SET-RQ on contexts of MPPS, N-GET-RQ on those of its Retrieve SOP Class.

    Parameters
    ----------
    database : Database
        Keeps steps.
    clock : Clock
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request."""
        peer = association.peer
        try:
            self._carry_out(association, context, command, dataset)
        except StepRefused as refused:
            refusal = refused.refusal
            log.warning(
                "performed_step_refused",
                calling_aet=peer.calling_aet,
                status=f"{refusal.status:04X}",
                reason=refusal.comment,
            )
            association.send(
                context.context_id,
                response(command, refusal.status, error_comment=refusal.comment, error_id=refusal.error_id or None),
            )
        except UnreadableIdentifier as error:
            self._fail(association, context, command, Status.PROCESSING_FAILURE, str(error))
        except Unavailable as error:
            # Nothing was kept: the scanner sends it again, or says so to the radiographer.
            self._fail(association, context, command, Status.RESOURCE_LIMITATION, str(error))

    def _carry_out(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        refusal = _refusal(association, context, command)
        if refusal is not None:
            self._fail(association, context, command, refusal, "")
            return
        match command.command_field:
            case CommandField.N_CREATE_RQ:
                self._create(association, context, command, dataset)
            case CommandField.N_SET_RQ:
                self._set(association, context, command, dataset)
            case _:
                self._get(association, context, command)

    def _create(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        attributes = decode_attribute_list(dataset, context.transfer_syntax)
        # PS3.7 10.1.5.1.4: who names no UID is told the one that was made.
        is_named = "affected_sop_instance_uid" in command and command.affected_sop_instance_uid != ""
        mpps_uid = command.affected_sop_instance_uid if is_named else str(generate_uid(prefix=None))
        with self._database.write(durable=True) as connection:
            step = mpps_store.create(connection, mpps_uid, attributes, _caller(association.peer), self._clock.now())
        log.info(
            "performed_step_created",
            calling_aet=step.calling_aet,
            state=step.state.value,
            result="unscheduled" if step.is_unscheduled else "scheduled",
        )
        if step.is_of_another_patient:
            log.error("performed_step_of_another_patient", calling_aet=step.calling_aet)
        association.send(context.context_id, response(command, Status.SUCCESS, affected_sop_instance_uid=mpps_uid))

    def _set(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        said = decode_attribute_list(dataset, context.transfer_syntax)
        caller = _caller(association.peer)
        with self._database.write(durable=True) as connection:
            changed = mpps_store.change(connection, command.requested_sop_instance_uid, said, caller, self._clock.now())
        log.info("performed_step_changed", calling_aet=caller.calling_aet, state=changed.step.state.value)
        status = Status.ATTRIBUTE_LIST_ERROR if changed.ignored else Status.SUCCESS
        association.send(
            context.context_id,
            response(command, status, attribute_identifier_list=changed.ignored or None),
        )

    def _get(self, association: Association, context: Context, command: Command) -> None:
        caller = _caller(association.peer)
        with self._database.read() as connection:
            attributes = mpps_store.attributes_of(connection, command.requested_sop_instance_uid, caller)
        found, missing = selected(attributes, command.attribute_identifier_list)
        association.send(
            context.context_id,
            response(
                command,
                Status.ATTRIBUTE_LIST_ERROR if missing else Status.SUCCESS,
                has_dataset=bool(found),
                attribute_identifier_list=missing or None,
            ),
            encode_attribute_list(found, context.transfer_syntax) if found else None,
        )

    def _fail(self, association: Association, context: Context, command: Command, status: Status, comment: str) -> None:
        log.warning(
            "performed_step_refused",
            calling_aet=association.peer.calling_aet,
            status=f"{status:04X}",
            reason=comment,
        )
        association.send(context.context_id, response(command, status, error_comment=comment or None))


def _caller(peer: Peer) -> Caller:
    return Caller(calling_aet=peer.calling_aet, site_id=peer.rights.site)


def _refusal(association: Association, context: Context, command: Command) -> Status | None:
    """Say why a command cannot be carried out; None when it can."""
    is_retrieve = context.abstract_syntax == MPPS_RETRIEVE
    if command.command_field not in (
        (CommandField.N_GET_RQ,) if is_retrieve else (CommandField.N_CREATE_RQ, CommandField.N_SET_RQ)
    ):
        return Status.UNRECOGNIZED_OPERATION
    if not association.peer.rights.may_worklist:
        return Status.NOT_AUTHORIZED
    if command.command_field == CommandField.N_CREATE_RQ:
        return None if command.affected_sop_class_uid == MPPS else Status.NO_SUCH_SOP_CLASS
    # N-GET names the class of its context, or that of the instance (PS3.4 F.8.2.1).
    return None if command.requested_sop_class_uid in {MPPS, context.abstract_syntax} else Status.NO_SUCH_SOP_CLASS
