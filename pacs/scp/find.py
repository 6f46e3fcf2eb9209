"""The C-FIND SCP: Patient Root, Study Root and the retired Patient/Study Only.

Reads the identifier, has it planned and run, and sends the answers as they are found. Every way in which a search can
fail has its status here; none of them is Success. In particular when there are more matches than the cap, those up to
it are answered and then 0xA700 says so.

References
----------
PS3.4 C.4.1 (C-FIND), C.4.1.1.4 (statuses), C.5.1 (negotiation); PS3.7 9.1.2, 9.3.2
"""

import time
from collections.abc import Callable
from datetime import timezone
from types import MappingProxyType
from typing import Final

from foundation import log
from foundation.errors import Unavailable
from pacs.archive.attributes import Level
from pacs.archive.matching import InvalidKey, MatchingOptions
from pacs.archive.query import IndexQuery, Interrupted, TooManyMatches
from pacs.archive.query_plan import (
    TIMEZONE_OFFSET_FROM_UTC,
    IdentifierDoesNotMatch,
    Model,
    Plan,
    Query,
    plan_query,
)
from pacs.archive.query_time import parse_offset
from pacs.archive.query_values import Element
from pacs.scp.find_answer import AnswerWriter, Constant
from pacs.scp.find_identifier import SPECIFIC_CHARACTER_SET, Identifier, UnreadableIdentifier, decode_identifier
from pacs.scp.services import Association, Context
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, response

MODELS: Final = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.2.1.1": Model.PATIENT_ROOT,
        "1.2.840.10008.5.1.4.1.2.2.1": Model.STUDY_ROOT,
        "1.2.840.10008.5.1.4.1.2.3.1": Model.PATIENT_STUDY_ONLY,
    }
)
# Answers between two looks at the socket for a C-CANCEL: a look costs a system call, an answer some milliseconds
# of the peer's time.
ANSWERS_PER_CANCEL_CHECK: Final = 10

_QUERY_RETRIEVE_LEVEL: Final = 0x00080052
_RETRIEVE_AE_TITLE: Final = 0x00080054

# PS3.4 table C.5-1, one byte each: relational queries, combined date-time matching, fuzzy semantic matching of person
# names, timezone query adjustment, enhanced multi-frame image conversion, empty value matching, multiple value
# matching. The views of enhanced multi-frame conversion we do not have.
_SUPPORTED: Final = (1, 1, 1, 1, 0, 1, 1)
_RELATIONAL, _DATE_TIME, _FUZZY, _TIMEZONE, _MULTIPLE_VALUES = 0, 1, 2, 3, 6


def agree_extended(proposed: bytes) -> bytes:
    """Answer the Service-class-application-information of a C-FIND SOP Class, as many bytes as are known of it.

    References
    ----------
    PS3.4 C.5.1.1.1, C.5.1.1.2
    """
    return bytes(int(wanted == 1 and supported == 1) for wanted, supported in zip(proposed, _SUPPORTED, strict=False))


class FindService:
    """Answers C-FIND-RQ from the index.

    Parameters
    ----------
    query : IndexQuery
        The index.
    """

    def __init__(self, query: IndexQuery) -> None:
        self._query = query

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request completely; see `pacs.scp.services.Service`."""
        if command.command_field != CommandField.C_FIND_RQ:
            association.send(context.context_id, response(command, Status.UNRECOGNIZED_OPERATION))
            return
        if not association.peer.rights.may_query:
            self._refuse(association, context, command, Status.NOT_AUTHORIZED, "this AE may not query", None)
            return
        began_s = time.monotonic()
        try:
            identifier = decode_identifier(dataset, context.transfer_syntax)
            plan = plan_query(_query(identifier, context, self._query))
        except IdentifierDoesNotMatch as error:
            status = Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
            self._refuse(association, context, command, status, str(error), error.tag)
            return
        except InvalidKey as error:
            self._refuse(association, context, command, Status.UNABLE_TO_PROCESS, str(error), error.tag)
            return
        except UnreadableIdentifier as error:
            self._refuse(association, context, command, Status.UNABLE_TO_PROCESS, str(error), None)
            return
        matches = self._answer(association, context, command, identifier, plan)
        log.debug(
            "query_answered",
            calling_aet=association.peer.calling_aet,
            level=plan.level.value,
            matches=matches,
            seconds=time.monotonic() - began_s,
        )

    def _answer(
        self, association: Association, context: Context, command: Command, identifier: Identifier, plan: Plan
    ) -> int:
        """Send every answer and the final response; return the number of answers."""
        status = Status.PENDING if plan.is_complete else Status.PENDING_WITH_WARNING
        pending = response(command, status, has_dataset=True)
        writer = _writer(plan, identifier, context)
        facts = {"RetrieveAETitle": association.peer.called_aet, "InstanceAvailability": "ONLINE"}
        interrupted = _interruption(association, command.message_id)
        answered = 0
        try:
            for values in self._query.find(plan, facts, interrupted):
                association.send(context.context_id, pending, writer.write(values))
                answered += 1
                if answered % ANSWERS_PER_CANCEL_CHECK == 0 and interrupted():
                    raise Interrupted("cancelled")
        except Interrupted:
            if association.is_stopping:
                self._refuse(association, context, command, Status.OUT_OF_RESOURCES, "the node is stopping", None)
            else:
                association.send(context.context_id, response(command, Status.CANCEL))
        except (TooManyMatches, Unavailable) as error:
            self._refuse(association, context, command, Status.OUT_OF_RESOURCES, str(error), None)
        else:
            association.send(context.context_id, response(command, Status.SUCCESS))
        return answered

    def _refuse(
        self,
        association: Association,
        context: Context,
        command: Command,
        status: Status,
        comment: str,
        tag: int | None,
    ) -> None:
        log.warning(
            "query_refused",
            calling_aet=association.peer.calling_aet,
            status=f"{status:04X}",
            reason=comment,
        )
        offending = None if tag is None else (tag,)
        association.send(
            context.context_id, response(command, status, error_comment=comment, offending_elements=offending)
        )


def _interruption(association: Association, message_id: int) -> Callable[[], bool]:
    return lambda: association.is_stopping or association.is_cancelled(message_id)


def _query(identifier: Identifier, context: Context, index: IndexQuery) -> Query:
    """Turn an identifier into a query, under what was negotiated for its context."""
    keys = dict(identifier.keys)
    keys.pop(SPECIFIC_CHARACTER_SET, None)
    level = _level(keys.pop(_QUERY_RETRIEVE_LEVEL, None))
    agreed = tuple(context.extended) + (0,) * len(_SUPPORTED)
    zone = _zone(keys) if agreed[_TIMEZONE] else None
    # PS3.4 C.4.1.1.3.2: an answer says from where the entity can be retrieved.
    keys.setdefault(_RETRIEVE_AE_TITLE, Element(vr="AE"))
    return Query(
        model=MODELS[context.abstract_syntax],
        level=level,
        keys=keys,
        is_relational=bool(agreed[_RELATIONAL]),
        zone=zone,
        options=MatchingOptions(
            fuzzy_names=bool(agreed[_FUZZY]),
            combined_date_time=bool(agreed[_DATE_TIME]),
            all_values=bool(agreed[_MULTIPLE_VALUES]),
            zone=index.zone,
            key_zone=zone or index.zone,
        ),
    )


def _level(element: Element | None) -> Level:
    if element is None or not element.text:
        raise IdentifierDoesNotMatch(_QUERY_RETRIEVE_LEVEL, "Query/Retrieve Level is missing")
    try:
        return Level(element.text)
    except ValueError:
        raise IdentifierDoesNotMatch(_QUERY_RETRIEVE_LEVEL, "Query/Retrieve Level is unknown") from None


def _zone(keys: dict[int, Element]) -> timezone | None:
    """Take Timezone Offset From UTC out of the keys: it says how to read the others and is not matched."""
    element = keys.get(TIMEZONE_OFFSET_FROM_UTC)
    if element is None or not element.text:
        return None
    del keys[TIMEZONE_OFFSET_FROM_UTC]
    zone = parse_offset(element.text)
    if zone is None:
        raise InvalidKey(TIMEZONE_OFFSET_FROM_UTC, "not an offset from UTC")
    return zone


def _writer(plan: Plan, identifier: Identifier, context: Context) -> AnswerWriter:
    constants = [Constant(tag=_QUERY_RETRIEVE_LEVEL, vr="CS", text=plan.level.value)]
    if plan.zone is not None:
        offset = identifier.keys[TIMEZONE_OFFSET_FROM_UTC]
        constants.append(Constant(tag=TIMEZONE_OFFSET_FROM_UTC, vr="SH", text=offset.text))
    fields = [(field.tag, field.vr) for field in plan.fields]
    return AnswerWriter(fields, constants, context.transfer_syntax, identifier.character_set)
