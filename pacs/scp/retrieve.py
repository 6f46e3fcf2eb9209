"""Query/Retrieve SCP: C-MOVE and C-GET, Patient Root, Study Root and the retired Patient/Study Only.

Decides what is answered; the work is in `retrieve_move` and `retrieve_get`. Not for: C-FIND.

Invariants: a retrieve that could not look (database away) or may not (rights) says so; success means that every
instance that matches was confirmed by the storage SCP; nothing matching is success with no sub-operations.

References
----------
PS3.4 C.4.2 (C-MOVE), C.4.3 (C-GET), C.5.2.1 and C.5.3.1 (extended negotiation), C.6 (SOP Classes)
"""

from types import MappingProxyType
from typing import Final, Protocol

from foundation import log
from foundation.clock import Clock, SystemClock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.archive.query_plan import IdentifierDoesNotMatch, Model
from pacs.archive.retrieval import AmbiguousSelection, InstanceReader, TooManyInstances, locate
from pacs.contracts import InstanceRef
from pacs.scp.retrieve_get import GetOperation
from pacs.scp.retrieve_identifier import IdentifierUnreadable, parse_selection
from pacs.scp.retrieve_move import MoveOperation
from pacs.scp.retrieve_progress import Reporter, RetrieveCancelled
from pacs.scp.services import Association, Context
from pacs.scu.association import PeerAddress, Timeouts
from pacs.scu.store import MoveOriginator
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField

MOVE_SOP_CLASSES: Final = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.2.1.2": Model.PATIENT_ROOT,
        "1.2.840.10008.5.1.4.1.2.2.2": Model.STUDY_ROOT,
        "1.2.840.10008.5.1.4.1.2.3.2": Model.PATIENT_STUDY_ONLY,
    }
)
"""Models of the MOVE SOP Classes by UID."""

GET_SOP_CLASSES: Final = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.2.1.3": Model.PATIENT_ROOT,
        "1.2.840.10008.5.1.4.1.2.2.3": Model.STUDY_ROOT,
        "1.2.840.10008.5.1.4.1.2.3.3": Model.PATIENT_STUDY_ONLY,
    }
)
"""Models of the GET SOP Classes by UID."""

_RELATIONAL: Final = b"\x01"


class Destinations(Protocol):
    """The peers that instances may be moved to."""

    def find(self, ae_title: str) -> PeerAddress | None:
        """Return where an AE title listens; None when it is not configured."""


def negotiate_extended(sop_class_uid: str, application_information: bytes) -> bytes | None:
    """Answer SOP Class Extended Negotiation of a retrieve SOP Class: relational retrieve is supported.

    Returns
    -------
    bytes or None
        The one byte agreed (PS3.4 Table C.5-3): what was asked for, further bytes are not known. None when the SOP
        Class is no retrieve, or nothing was asked.
    """
    if sop_class_uid not in MOVE_SOP_CLASSES and sop_class_uid not in GET_SOP_CLASSES:
        return None
    if not application_information:
        return None
    return _RELATIONAL if application_information[:1] == _RELATIONAL else b"\x00"


class _Refusal(Exception):
    """A request that is answered with one failure response; never leaves this module."""

    def __init__(self, status: Status, comment: str, offending_element: int | None = None) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment
        self.offending_element = offending_element


class RetrieveService:
    """Answers C-MOVE-RQ and C-GET-RQ.

    Parameters
    ----------
    database : Database
        The index.
    reader : InstanceReader
        The bytes.
    destinations : Destinations
        Where C-MOVE may send.
    ae_title : str
        Ours, towards destinations.
    timeouts : Timeouts
        For destinations.
    clock : Clock
    """

    def __init__(
        self,
        *,
        database: Database,
        reader: InstanceReader,
        destinations: Destinations,
        ae_title: str,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._reader = reader
        self._destinations = destinations
        self._ae_title = ae_title
        self._timeouts = timeouts or Timeouts()
        self._clock = clock or SystemClock()

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request completely; see `pacs.scp.services.Service`."""
        reporter = Reporter(association, context, command, self._clock)
        try:
            if command.command_field == CommandField.C_MOVE_RQ and context.abstract_syntax in MOVE_SOP_CLASSES:
                self._move(association, context, command, dataset, reporter)
            elif command.command_field == CommandField.C_GET_RQ and context.abstract_syntax in GET_SOP_CLASSES:
                self._get(association, context, command, dataset, reporter)
            else:
                raise _Refusal(Status.UNRECOGNIZED_OPERATION, "no such operation in this SOP Class")
        except _Refusal as refusal:
            log.warning(
                "retrieve_refused",
                calling_aet=association.peer.calling_aet,
                status=f"{refusal.status:04X}",
                reason=refusal.comment,
            )
            reporter.refuse(refusal.status, refusal.comment, offending_element=refusal.offending_element)

    def _move(
        self, association: Association, context: Context, command: Command, dataset: bytes, reporter: Reporter
    ) -> None:
        rights = association.peer.rights
        ae_title = command.move_destination
        destination = self._destinations.find(ae_title)
        if destination is None:
            raise _Refusal(Status.MOVE_DESTINATION_UNKNOWN, "Move Destination is not configured here")
        if rights.move_destinations is not None and ae_title not in rights.move_destinations:
            raise _Refusal(Status.NOT_AUTHORIZED, "this AE may not move to that destination")
        refs = self._locate(association, context, dataset, MOVE_SOP_CLASSES[context.abstract_syntax])
        operation = MoveOperation(
            reader=self._reader,
            destination=destination,
            calling_aet=self._ae_title,
            originator=MoveOriginator(ae_title=association.peer.calling_aet, message_id=command.message_id),
            priority=command.priority,
            reporter=reporter,
            timeouts=self._timeouts,
        )
        self._carry_out(association, refs, operation, reporter, destination=ae_title)

    def _get(
        self, association: Association, context: Context, command: Command, dataset: bytes, reporter: Reporter
    ) -> None:
        refs = self._locate(association, context, dataset, GET_SOP_CLASSES[context.abstract_syntax])
        operation = GetOperation(
            reader=self._reader, association=association, priority=command.priority, reporter=reporter
        )
        self._carry_out(association, refs, operation, reporter, destination=association.peer.calling_aet)

    def _locate(self, association: Association, context: Context, dataset: bytes, model: Model) -> list[InstanceRef]:
        if not association.peer.rights.may_retrieve:
            raise _Refusal(Status.NOT_AUTHORIZED, "this AE may not retrieve")
        try:
            _, selection = parse_selection(
                dataset,
                transfer_syntax=context.transfer_syntax,
                model=model,
                is_relational=context.extended[:1] == _RELATIONAL,
                default_issuer=association.peer.rights.issuer,
            )
            return locate(self._database, selection)
        except IdentifierUnreadable as error:
            raise _Refusal(Status.UNABLE_TO_PROCESS, str(error)) from error
        except IdentifierDoesNotMatch as error:
            raise _Refusal(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error), error.tag) from error
        except AmbiguousSelection as error:
            raise _Refusal(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error)) from error
        except (TooManyInstances, Unavailable) as error:
            raise _Refusal(Status.OUT_OF_RESOURCES_NUMBER_OF_MATCHES, str(error)) from error

    def _carry_out(
        self,
        association: Association,
        refs: list[InstanceRef],
        operation: MoveOperation | GetOperation,
        reporter: Reporter,
        *,
        destination: str,
    ) -> None:
        began_s = self._clock.monotonic_s()
        reporter.begin(len(refs))
        is_cancelled = False
        try:
            operation.run(refs)
        except RetrieveCancelled:
            is_cancelled = True
        finally:
            # Also when the peer that asked is gone: what was sent until then.
            seconds = self._clock.monotonic_s() - began_s
            operations = reporter.operations
            log.info(
                "retrieve_ended",
                calling_aet=association.peer.calling_aet,
                destination=destination,
                completed=operations.completed,
                failed=operations.failed,
                warning=operations.warning,
                remaining=operations.remaining,
                seconds=seconds,
                images_per_s=operations.completed / max(seconds, 1e-6),
                reason=operation.comment,
            )
        reporter.finish(is_cancelled=is_cancelled, comment=operation.comment)
