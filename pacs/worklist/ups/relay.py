"""Sends event reports to subscribed AEs, on associations of our own.

For: the supervisor's maintenance loop. Not for: what is reported (`pacs.worklist.ups.events`), or the channel of the
web interface.

Invariants: events go to each AE in the order in which they happened; one that an AE does not take is tried a few times
with growing waits and then given up, because the standard asks for no queue (CC.2.4.3) and what is newer says more; an
AE that is away holds up no other for longer than one attempt a turn.

References
----------
PS3.4 CC.2.4 (N-EVENT-REPORT); PS3.7 D.3.3.4 (roles: we are SCP and request the association)
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.status import Status
from pacs.upper_layer.associate import PresentationContextProposal, RoleSelection
from pacs.upper_layer.command_elements import NO_DATA_SET
from pacs.upper_layer.dimse import Command, CommandField, encode_command
from pacs.worklist.attribute_list import encode_attribute_list
from pacs.worklist.ups import store
from pacs.worklist.ups.events import restarted
from pacs.worklist.ups.model import EVENT, GLOBAL_SUBSCRIPTION, PUSH
from pacs.worklist.ups.store import Event

WAY: Final = "dicom"
"""Of delivery; what went out this way is counted apart."""

EVENTS_AT_ONCE_MAX: Final = 100
"""Events of one association."""

ATTEMPTS_MAX: Final = 4
FIRST_WAIT: Final = timedelta(seconds=2)
"""After a failure; four times longer after each further one: two, eight, 32 seconds."""

PURGE_EVERY: Final = timedelta(minutes=10)

_CONTEXT_ID: Final = 1
_TRANSFER_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


class EventNotTaken(Unavailable):
    """The AE was reached and did not take the report."""


class EventRelay:
    """Takes events to the AEs that can be called.

    Parameters
    ----------
    database : Database
    clock : Clock
    addresses : mapping
        Where each AE title listens.
    calling_aet : str
        Our own.
    timeouts : Timeouts
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        addresses: Mapping[str, PeerAddress],
        calling_aet: str,
        timeouts: Timeouts,
    ) -> None:
        self._database = database
        self._clock = clock
        self._addresses = addresses
        self._calling_aet = calling_aet
        self._timeouts = timeouts
        self._is_started = False
        self._purged_at: datetime | None = None

    def turn(self) -> int:
        """Send what is due once, and remove what ended long ago; return how many events were sent.

        The first turn of a life tells every subscriber that the node was started again (CC.2.4.3).

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer.
        """
        now = self._clock.now()
        if not self._is_started:
            with self._database.write(durable=True) as connection:
                store.tell_everybody(connection, restarted(), GLOBAL_SUBSCRIPTION, now)
            self._is_started = True
        with self._database.read() as connection:
            waiting = store.waiting(connection, WAY)
        sent = sum(self._send_to(aet, address) for aet, address in self._addresses.items() if aet in waiting)
        if self._purged_at is None or now - self._purged_at >= PURGE_EVERY:
            with self._database.write(durable=True) as connection:
                store.purge(connection, now)
            self._purged_at = now
        return sent

    def _send_to(self, aet: str, address: PeerAddress) -> int:
        now = self._clock.now()
        with self._database.read() as connection:
            failures, next_at = store.failures(connection, WAY, aet)
            position = store.delivered(connection, WAY, aet)
            due = store.events_after(connection, [aet], position, limit=EVENTS_AT_ONCE_MAX)
        if not due or now < next_at:
            return 0
        sent = 0
        try:
            sent = self._send(address, due)
        except Unavailable as error:
            with self._database.read() as connection:
                sent = sum(event.event_id <= store.delivered(connection, WAY, aet) for event in due)
            self._note_failure(aet, due[sent], 1 if sent else failures + 1, str(error))
        return sent

    def _send(self, address: PeerAddress, events: Sequence[Event]) -> int:
        with RequestorAssociation(
            address,
            calling_aet=self._calling_aet,
            contexts=[
                PresentationContextProposal(
                    context_id=_CONTEXT_ID, abstract_syntax=EVENT, transfer_syntaxes=_TRANSFER_SYNTAXES
                )
            ],
            roles=[RoleSelection(sop_class_uid=EVENT, scu_role=False, scp_role=True)],
            timeouts=self._timeouts,
        ) as association:
            # Whether it answered the role selection is not looked at: some that do not still take the report.
            context = association.contexts.get(_CONTEXT_ID)
            if context is None:
                raise EventNotTaken("the peer accepts no UPS Event context")
            for event in events:
                message_id = association.next_message_id()
                answer = association.request(
                    _CONTEXT_ID,
                    message_id,
                    _event_report(message_id, event),
                    # Nobody is assigned any more: there is nothing to say beside that.
                    encode_attribute_list(event.information, context.transfer_syntax) if event.information else None,
                )
                if not _is_taken(answer):
                    raise EventNotTaken(f"the peer answers the report with status {answer.status:04X}")
                with self._database.write(durable=True) as connection:
                    store.note_delivered(connection, WAY, event.aet, event.event_id)
        return len(events)

    def _note_failure(self, aet: str, event: Event, failures: int, reason: str) -> None:
        is_given_up = failures >= ATTEMPTS_MAX
        log.warning(
            "workitem_event_given_up" if is_given_up else "workitem_event_not_delivered",
            aet=aet,
            attempt=failures,
            reason=reason,
        )
        with self._database.write(durable=True) as connection:
            if is_given_up:
                store.note_delivered(connection, WAY, aet, event.event_id)
            else:
                next_at = self._clock.now() + FIRST_WAIT * 4 ** (failures - 1)
                store.note_failed(connection, WAY, aet, failures=failures, next_at=next_at)


def _event_report(message_id: int, event: Event) -> bytes:
    return encode_command(
        affected_sop_class_uid=PUSH,
        command_field=CommandField.N_EVENT_REPORT_RQ,
        message_id=message_id,
        data_set_type=1 if event.information else NO_DATA_SET,
        affected_sop_instance_uid=event.workitem_uid,
        event_type_id=int(event.event_type),
    )


def _is_taken(answer: Command) -> bool:
    return answer.command_field == CommandField.N_EVENT_REPORT_RSP and answer.status == Status.SUCCESS
