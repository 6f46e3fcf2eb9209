"""The Unified Procedure Step SCP over DIMSE: Push, Watch, Pull and Query.

For: requests on one association: bytes to values, values to `Worklist`, what became of it to a response. Not for: what
is decided (`pacs.worklist.ups.worklist`), or event reports, which go out on associations of our own
(`pacs.worklist.ups.relay`).

Whatever a peer sends, it gets a response with a status; nothing is changed by what cannot be read.

References
----------
PS3.4 CC.2 (DIMSE service groups), CC.3.1 (every work item is an instance of the UPS Push SOP Class); PS3.7 10.1
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from foundation import log
from foundation.errors import Unavailable
from pacs.archive.header import is_uid
from pacs.archive.matching import InvalidKey
from pacs.archive.query_rows import Value
from pacs.archive.query_values import Item
from pacs.scp.find_answer import AnswerWriter
from pacs.scp.find_identifier import SPECIFIC_CHARACTER_SET, Identifier, UnreadableIdentifier, decode_identifier
from pacs.scp.services import Association, Context, Peer
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, response
from pacs.worklist.attribute_list import decode_attribute_list, encode_attribute_list
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.matching import picked
from pacs.worklist.ups.model import PULL, PUSH, QUERY, WATCH, WELL_KNOWN, Caller, State, UpsRefused, WorkitemUid
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.worklist import Asking, Done, Worklist

ANSWERS_PER_CANCEL_CHECK: Final = 10
"""Answers to a C-FIND between two looks at the socket for a C-CANCEL."""

CHANGE_STATE: Final = 1
REQUEST_CANCEL: Final = 2
SUBSCRIBE: Final = 3
UNSUBSCRIBE: Final = 4
SUSPEND: Final = 5
"""Action Type IDs (PS3.4 CC.2.1.1, CC.2.2.1, CC.2.3.1)."""

_C: Final = CommandField
OPERATIONS: Final = MappingProxyType(
    {
        PUSH: frozenset({_C.N_CREATE_RQ, _C.N_ACTION_RQ, _C.N_GET_RQ}),
        PULL: frozenset({_C.C_FIND_RQ, _C.N_GET_RQ, _C.N_SET_RQ, _C.N_ACTION_RQ}),
        WATCH: frozenset({_C.N_ACTION_RQ, _C.N_GET_RQ, _C.C_FIND_RQ}),
        QUERY: frozenset({_C.C_FIND_RQ}),
    }
)
"""What each SOP Class is for (PS3.4 Tables CC.2-1 to CC.2-5)."""

ACTIONS: Final = MappingProxyType(
    {
        PUSH: frozenset({REQUEST_CANCEL}),
        PULL: frozenset({CHANGE_STATE}),
        WATCH: frozenset({REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND}),
    }
)

_OURS: Final = frozenset({PUSH, PULL, WATCH, QUERY})
_ACTION_TAGS: Final = frozenset({tag.RECEIVING_AE, tag.DELETION_LOCK, tag.SPECIFIC_CHARACTER_SET})
"""Of the action information of a subscription; all else are matching keys."""


class UpsService:
    """Answers requests on UPS contexts.

    Parameters
    ----------
    worklist : Worklist
    caller_of : callable
        Says what a peer may see and do.
    subscriber_of : callable
        Says who an AE title is when it is to receive events; None when we could not call it (C308).
    """

    def __init__(
        self,
        worklist: Worklist,
        caller_of: Callable[[Peer], Caller],
        subscriber_of: Callable[[str], Subscriber | None],
    ) -> None:
        self._worklist = worklist
        self._caller_of = caller_of
        self._subscriber_of = subscriber_of

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request completely; see `pacs.scp.services.Service`."""
        try:
            self._carry_out(association, context, command, dataset)
        except UpsRefused as error:
            _fail(association, context, command, error.status, str(error), error.tag)
        except InvalidKey as error:
            _fail(association, context, command, Status.UNABLE_TO_PROCESS, str(error), error.tag)
        except UnreadableIdentifier as error:
            is_find = command.command_field == CommandField.C_FIND_RQ
            status = Status.UNABLE_TO_PROCESS if is_find else Status.PROCESSING_FAILURE
            _fail(association, context, command, status, str(error), None)
        except Unavailable as error:
            _fail(association, context, command, Status.OUT_OF_RESOURCES, str(error), None)

    def _carry_out(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        _ensure_ours(association, context, command)
        caller = self._caller_of(association.peer)
        match command.command_field:
            case CommandField.C_FIND_RQ:
                self._find(association, context, command, dataset, caller)
            case CommandField.N_GET_RQ:
                self._get(association, context, command, caller)
            case CommandField.N_CREATE_RQ:
                done = self._create(association, context, command, dataset, caller)
                association.send(context.context_id, response(command, done.status, affected_sop_instance_uid=done.uid))
            case CommandField.N_SET_RQ:
                asked = dict(decode_attribute_list(dataset, context.transfer_syntax))
                lock = _uid(asked, tag.TRANSACTION_UID)
                done = self._worklist.update(command.requested_sop_instance_uid, asked, lock, caller)
                association.send(context.context_id, response(command, done.status))
            case _:
                done = self._act(context, command, dataset, caller)
                association.send(context.context_id, response(command, done.status))

    # --- one work item ---------------------------------------------------------------------------

    def _create(
        self, association: Association, context: Context, command: Command, dataset: bytes, caller: Caller
    ) -> Done:
        asked = decode_attribute_list(dataset, context.transfer_syntax)
        is_named = "affected_sop_instance_uid" in command
        uid = command.affected_sop_instance_uid if is_named else ""
        return self._worklist.create(asked, uid, caller, site_id=association.peer.rights.site)

    def _get(self, association: Association, context: Context, command: Command, caller: Caller) -> None:
        dataset = self._worklist.get(command.requested_sop_instance_uid, caller)
        wanted = [one for one in command.attribute_identifier_list if one != SPECIFIC_CHARACTER_SET]
        found = {one: dataset[one] for one in wanted if one in dataset} if wanted else dataset
        is_complete = len(found) == len(set(wanted)) or not wanted
        status = Status.SUCCESS if is_complete else Status.UPS_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED
        association.send(
            context.context_id,
            response(command, status, has_dataset=bool(found)),
            encode_attribute_list(found, context.transfer_syntax) if found else None,
        )

    def _act(self, context: Context, command: Command, dataset: bytes, caller: Caller) -> Done:
        said = decode_attribute_list(dataset, context.transfer_syntax)
        uid, action = command.requested_sop_instance_uid, command.action_type_id
        if action not in ACTIONS[context.abstract_syntax]:
            raise UpsRefused(Status.NO_SUCH_ACTION_TYPE, "the action is none of this SOP Class")
        if action in {CHANGE_STATE, REQUEST_CANCEL} and uid in WELL_KNOWN:
            raise UpsRefused(Status.UPS_ACTION_NOT_APPROPRIATE, "the instance stands for the whole worklist")
        if action == CHANGE_STATE:
            return self._worklist.change_state(uid, _state(said), _uid(said, tag.TRANSACTION_UID), caller)
        if action == REQUEST_CANCEL:
            return self._worklist.request_cancel(uid, said, caller)
        return self._subscribe(action, uid, said, caller)

    def _subscribe(self, action: int, uid: str, said: Item, caller: Caller) -> Done:
        aet = tag.text_of(said, tag.RECEIVING_AE)
        if not aet:
            raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "Receiving AE is missing", tag=tag.RECEIVING_AE)
        receiver = self._subscriber_of(aet)
        if receiver is None:
            raise UpsRefused(Status.UPS_RECEIVING_AE_UNKNOWN, "no peer of this AE title can be called")
        if action == UNSUBSCRIBE:
            self._worklist.unsubscribe(uid, receiver, caller)
        elif action == SUSPEND:
            self._worklist.suspend(uid, receiver)
        else:
            lock = tag.text_of(said, tag.DELETION_LOCK)
            if lock not in {"TRUE", "FALSE"}:
                raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "Deletion Lock is TRUE or FALSE", tag=tag.DELETION_LOCK)
            keys = {one: element for one, element in said.items() if one not in _ACTION_TAGS}
            asking = Asking(subscriber=receiver, is_locked=lock == "TRUE", keys=keys)
            return self._worklist.subscribe(uid, asking, caller)
        return Done(uid=WorkitemUid(uid))

    # --- queries ---------------------------------------------------------------------------------

    def _find(
        self, association: Association, context: Context, command: Command, dataset: bytes, caller: Caller
    ) -> None:
        identifier = decode_identifier(dataset, context.transfer_syntax)
        keys = {one: key for one, key in identifier.keys.items() if key.vr != "UN"}
        if not keys.keys() - {SPECIFIC_CHARACTER_SET}:
            message = "the identifier holds no attribute of a work item"
            raise UpsRefused(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, message)
        found = self._worklist.search(keys, caller)
        pending = response(command, Status.PENDING, has_dataset=True)
        writer = _Writer(keys, identifier, context)
        for answered, workitem in enumerate(found):
            is_looked_at = answered % ANSWERS_PER_CANCEL_CHECK == 0
            if is_looked_at and association.is_cancelled(command.message_id):
                association.send(context.context_id, response(command, Status.CANCEL))
                return
            association.send(context.context_id, pending, writer.write(workitem))
        association.send(context.context_id, response(command, Status.SUCCESS))


class _Writer:
    """Writes what a query asked for of each work item."""

    def __init__(self, keys: Item, identifier: Identifier, context: Context) -> None:
        self._keys = {one: key for one, key in keys.items() if one not in {SPECIFIC_CHARACTER_SET, tag.TRANSACTION_UID}}
        self._fields = [(one, self._keys[one].vr) for one in sorted(self._keys)]
        self._writer = AnswerWriter(self._fields, (), context.transfer_syntax, identifier.character_set)

    def write(self, workitem: Item) -> bytes:
        answer = picked(workitem, self._keys)
        values: list[Value] = [answer[one].items if vr == "SQ" else answer[one].text for one, vr in self._fields]
        return self._writer.write(values)


def _ensure_ours(association: Association, context: Context, command: Command) -> None:
    if not association.peer.rights.may_workitems:
        raise UpsRefused(Status.NOT_AUTHORIZED, "this AE may not ask for work items")
    if command.command_field not in OPERATIONS[context.abstract_syntax]:
        raise UpsRefused(Status.UNRECOGNIZED_OPERATION, "the operation is none of this SOP Class")
    is_named_in_request = "requested_sop_class_uid" in command
    named = command.requested_sop_class_uid if is_named_in_request else command.affected_sop_class_uid
    # CC.3.1: it is the Push SOP Class's; some SCUs name the one that was negotiated.
    if named not in _OURS:
        raise UpsRefused(Status.NO_SUCH_SOP_CLASS, "a work item is an instance of the UPS Push SOP Class")


def _state(said: Item) -> State:
    try:
        return State(tag.text_of(said, tag.PROCEDURE_STEP_STATE))
    except ValueError:
        message = "Procedure Step State is IN PROGRESS, COMPLETED or CANCELED"
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, message, tag=tag.PROCEDURE_STEP_STATE) from None


def _uid(said: Item, one: int) -> str:
    """Return a UID of a data set; '' when there is none.

    Raises
    ------
    UpsRefused
        If it is no UID.
    """
    uid = tag.text_of(said, one)
    if uid and not is_uid(uid.encode("ascii", "replace")):
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "the Transaction UID is no UID", tag=one)
    return uid


def _fail(
    association: Association, context: Context, command: Command, status: Status, comment: str, number: int | None
) -> None:
    log.warning("workitem_refused", calling_aet=association.peer.calling_aet, status=f"{status:04X}", reason=comment)
    offending = None if number is None else (number,)
    association.send(context.context_id, response(command, status, error_comment=comment, offending_elements=offending))
