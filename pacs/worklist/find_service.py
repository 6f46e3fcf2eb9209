"""The Modality Worklist SCP: a console asks for its hospital's work and is given it.

For: C-FIND of the Modality Worklist Information Model. Not for: which orders there are (`pacs.worklist.orders`) or what
matches (`pacs.worklist.matching`).

Invariants
----------
* A console is given orders of its own hospital only. One whose hospital is not known is refused (0x0124): "nothing to
  do" would be a false statement.
* No failure looks like the end of the list: each has its status.
* What asks for a protocol is told to the outbox once per version and console, before the list ends.

References
----------
PS3.4 K.4.1 (C-FIND), K.4.1.1.4 (statuses), K.4.1.3 (SCP behaviour), K.6.1; PS3.7 9.1.2, 9.3.2
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from foundation import log
from foundation.errors import Refused, Unavailable
from pacs.archive.matching import InvalidKey
from pacs.archive.query_rows import Value
from pacs.archive.query_values import Element
from pacs.scp.find_answer import AnswerWriter
from pacs.scp.find_identifier import Identifier, UnreadableIdentifier, decode_identifier
from pacs.scp.services import Association, Context
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, response
from pacs.worklist.deliveries import Deliveries, Given
from pacs.worklist.item import ATTRIBUTES, STATION_AET, STEP_SEQUENCE, TIMEZONE_OFFSET
from pacs.worklist.matching import Shape, WorklistPlan, plan_worklist, project
from pacs.worklist.query import Found, Kept, WorklistQuery

MODALITY_WORKLIST: Final = "1.2.840.10008.5.1.4.31"
"""SOP Class UID of Modality Worklist Information Model - FIND."""

ANSWERS_PER_CANCEL_CHECK: Final = 10
"""Answers between two looks at the socket for a C-CANCEL."""

ANSWERS_KEPT_MAX: Final = 8_192
"""Written answers that a process keeps, some 2 KiB each, because consoles ask the same again and again."""


_AGREED: Final = (1, 1, 1, 1)
_FUZZY: Final = 2


def agree_worklist(proposed: bytes) -> bytes:
    """Answer the Service-class-application-information: two reserved bytes, fuzzy names, timezone query adjustment.

    References
    ----------
    PS3.4 K.5.1.1
    """
    return bytes(int(wanted == agreed) for wanted, agreed in zip(proposed, _AGREED, strict=False))


class NothingAsked(Refused):
    """The identifier holds no attribute of a worklist item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _AnswerKey:
    """What an answer's bytes depend on."""

    order_id: str
    revision: int
    start: datetime
    offset: str
    station_aet: str
    shape: Shape
    transfer_syntax: str
    character_set: str


class WorklistFindService:
    """Answers C-FIND-RQ of the Modality Worklist.

    Parameters
    ----------
    query : WorklistQuery
        The orders.
    deliveries : Deliveries
        Is told what protocols consoles were given.
    answers_max : int
        Cap on the answers to one query.
    """

    def __init__(self, query: WorklistQuery, deliveries: Deliveries, *, answers_max: int) -> None:
        self._query = query
        self._deliveries = deliveries
        self._answers_max = answers_max
        self._answers: Kept[_AnswerKey, bytes] = Kept(ANSWERS_KEPT_MAX)

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request completely; see `pacs.scp.services.Service`."""
        if command.command_field != CommandField.C_FIND_RQ:
            association.send(context.context_id, response(command, Status.UNRECOGNIZED_OPERATION))
            return
        rights = association.peer.rights
        if not rights.may_worklist or not rights.site:
            reason = "its hospital is not known" if rights.may_worklist else "this AE may not ask for worklists"
            _refuse(association, context, command, Status.NOT_AUTHORIZED, reason)
            return
        began_s = time.monotonic()
        try:
            identifier = decode_identifier(dataset, context.transfer_syntax)
            is_fuzzy = context.extended[_FUZZY : _FUZZY + 1] == b"\x01"
            plan = plan_worklist(identifier.keys, fuzzy_names=is_fuzzy)
            if not plan.shape:
                raise NothingAsked("no attribute of a worklist item is asked for")
            found = self._query.find(rights.site, plan)
        except NothingAsked as error:
            _refuse(association, context, command, Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error))
            return
        except InvalidKey as error:
            _refuse(association, context, command, Status.UNABLE_TO_PROCESS, str(error), error.tag)
            return
        except UnreadableIdentifier as error:
            _refuse(association, context, command, Status.UNABLE_TO_PROCESS, str(error))
            return
        except Unavailable as error:
            _refuse(association, context, command, Status.OUT_OF_RESOURCES, str(error))
            return
        answered = self._answer(association, context, command, identifier, plan, found)
        log.debug(
            "worklist_answered",
            calling_aet=association.peer.calling_aet,
            matches=answered,
            seconds=time.monotonic() - began_s,
        )

    def _answer(
        self,
        association: Association,
        context: Context,
        command: Command,
        identifier: Identifier,
        plan: WorklistPlan,
        found: Sequence[Found],
    ) -> int:
        """Send every answer and the final response; return the number of answers."""
        status = Status.PENDING if plan.is_complete else Status.PENDING_WITH_WARNING
        pending = response(command, status, has_dataset=True)
        writer = _Writer(self._answers, plan, identifier, context, association.peer.calling_aet)
        given: list[Given] = []
        final, comment = Status.SUCCESS, ""
        answered = 0
        for one in found[: self._answers_max]:
            association.send(context.context_id, pending, writer.write(one))
            answered += 1
            if plan.gives_protocol and one.protocol_version:
                given.append(
                    Given(
                        order_id=one.order.order_id,
                        site_id=one.order.site_id,
                        protocol_version=one.protocol_version,
                    )
                )
            if answered % ANSWERS_PER_CANCEL_CHECK == 0:
                if association.is_stopping:
                    comment = "the node is stopping"
                    break
                if association.is_cancelled(command.message_id):
                    final = Status.CANCEL
                    break
        else:
            if len(found) > self._answers_max:
                comment = f"more than {self._answers_max} matches: narrow the query"
        self._deliveries.record(association.peer.calling_aet, given)
        if comment:
            _refuse(association, context, command, Status.OUT_OF_RESOURCES, comment)
        else:
            association.send(context.context_id, response(command, final))
        return answered


class _Writer:
    """Writes the answers to one query, or takes those that were written for the same question."""

    def __init__(
        self,
        answers: Kept[_AnswerKey, bytes],
        plan: WorklistPlan,
        identifier: Identifier,
        context: Context,
        calling_aet: str,
    ) -> None:
        self._answers = answers
        self._shape = plan.shape
        self._transfer_syntax = context.transfer_syntax
        self._character_set = identifier.character_set.declared
        # PS3.4 Table K.6-1: type 1. An order for any scanner is one for the scanner that asks.
        self._station_aet = plan.station_aet or calling_aet
        self._asked_in = identifier.character_set
        self._writers: dict[tuple[int, ...], AnswerWriter] = {}

    def write(self, found: Found) -> bytes:
        """Return the data set of one answer."""
        key = _AnswerKey(
            order_id=found.order.order_id,
            revision=found.revision,
            start=found.start,
            offset=found.item[TIMEZONE_OFFSET].text,
            station_aet="" if found.order.station_aet else self._station_aet,
            shape=self._shape,
            transfer_syntax=self._transfer_syntax,
            character_set=self._character_set,
        )
        written = self._answers.get(key)
        if written is None:
            there = [(number, nested) for number, nested in self._shape if number in found.item]
            writer = self._writer_of(tuple(number for number, _ in there))
            written = writer.write([self._value(found, number, nested) for number, nested in there])
            self._answers.put(key, written)
        return written

    def _writer_of(self, numbers: tuple[int, ...]) -> AnswerWriter:
        writer = self._writers.get(numbers)
        if writer is None:
            fields = [(number, ATTRIBUTES[number]) for number in numbers]
            writer = self._writers[numbers] = AnswerWriter(fields, (), self._transfer_syntax, self._asked_in)
        return writer

    def _value(self, found: Found, number: int, nested: Shape | None) -> Value:
        element = found.item[number]
        if element.vr != "SQ":
            return element.text
        items = element.items
        if number == STEP_SEQUENCE and not found.order.station_aet:
            items = ({**items[0], STATION_AET: Element(vr="AE", text=self._station_aet)},)
        return project(items, nested)


def _refuse(
    association: Association,
    context: Context,
    command: Command,
    status: Status,
    comment: str,
    number: int | None = None,
) -> None:
    log.warning("worklist_refused", calling_aet=association.peer.calling_aet, status=f"{status:04X}", reason=comment)
    offending = None if number is None else (number,)
    association.send(context.context_id, response(command, status, error_comment=comment, offending_elements=offending))
