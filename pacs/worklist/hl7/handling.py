"""What becomes of a message: orders placed and taken back, exams done, patients described and joined; or why not.

For: the `Handler` of this node. Not for: sockets, acknowledgements or dead letters (the modules around
`pacs.worklist.hl7.inbox`), or cases (the on-call engine follows the outbox).

Invariants
----------
* Nothing is guessed about who a patient is: an order that is known for another patient, images that are there of
  another one, and two descriptions that contradict each other are parked for a human.
* A sender speaks of its own hospital: every order that it names is one of its site's.
* A message takes effect whole or not at all.

References
----------
HL7 2.5.1 chapters 3 and 4; IHE RAD TF-2 4.2, 4.4, 4.12; ANS volet Téléradiologie, HEAD e13d37a
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from pacs.archive.schema import patient as archived_patients
from pacs.archive.schema import study as archived_studies
from pacs.worklist import identity, orders
from pacs.worklist.hl7.adt_in import EVENTS, AdtSaid, AdtWanted, read_adt
from pacs.worklist.hl7.codes import DONE, TAKEN_BACK, TlrProcedure, Wanted
from pacs.worklist.hl7.complement_in import keep_complement, read_complement
from pacs.worklist.hl7.ins import is_validated
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, Parked, ReceivedMessage, Rejected
from pacs.worklist.hl7.order_context import context_of, keep_context, keep_motive
from pacs.worklist.hl7.orders_in import UID, OrderSaid, read_orders
from pacs.worklist.hl7.reading import Segment, first, segments_of
from pacs.worklist.identity import IdentityContradicts, PatientKey
from pacs.worklist.order import Order, OrderPatient

ZoneOf = Callable[[str], ZoneInfo | None]
"""Returns where a hospital's clocks hang; None for a hospital that the directory does not know."""

ORDER_EVENTS: Final = {"ORM": frozenset({"O01"}), "OMI": frozenset({"O23"}), "OMG": frozenset({"O19"})}
"""Order messages that are taken."""

SOURCE_CHARACTERS_MAX: Final = 64

_ACCEPTED: Final = Accepted()


class _Stopped(Exception):  # it is no error: it carries the outcome out
    """The message has another outcome than Accepted."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class HospitalMessages:
    """Gives messages of hospitals their effect.

    Parameters
    ----------
    zone_of : ZoneOf
    """

    def __init__(self, zone_of: ZoneOf) -> None:
        self._zone_of = zone_of

    def handle(self, connection: Connection, message: ReceivedMessage, now: datetime) -> Outcome:
        """Give a message its effect; see `pacs.worklist.hl7.message.Handler`."""
        zone = self._zone_of(message.sender.site_id)
        refused = _not_taken(message)
        if refused is not None:
            return refused
        if zone is None:
            text = "the site of this sender is not in the directory; publish it, or correct the sender's settings"
            return _rejected(FieldError(segment="MSH", field=4, code=ErrorCode.UNKNOWN_KEY_IDENTIFIER, text=text))
        segments = segments_of(message.parsed)
        effect = _Effect(connection, message, segments, zone, now)
        try:
            if message.code == "ADT":
                effect.patients(EVENTS[message.event])
            else:
                effect.orders()
        except _Stopped as stopped:
            return stopped.outcome
        return _ACCEPTED


class _Effect:
    """The effect of one message within its transaction; `_Stopped` where it has none."""

    def __init__(
        self,
        connection: Connection,
        message: ReceivedMessage,
        segments: Sequence[Segment],
        zone: ZoneInfo,
        now: datetime,
    ) -> None:
        self._connection = connection
        self._message = message
        self._segments = segments
        self._zone = zone
        self._now = now
        self._source = message.control_id[:SOURCE_CHARACTERS_MAX]

    # Orders

    def orders(self) -> None:
        said = read_orders(self._segments, self._message.sender, self._zone, self._message.received_at)
        if said.errors:
            raise _Stopped(Rejected(code="AE", errors=said.errors))
        assert said.patient is not None, "without errors there is a patient"
        if any(one.wanted is Wanted.PLACE for one in said.orders):
            pid = first(self._segments, "PID")
            self._describe(said.patient, is_doubted=pid is not None and pid.has(32) and not is_validated(pid))
        for one in said.orders:
            match one.wanted:
                case Wanted.PLACE:
                    self._place(one)
                case Wanted.CANCEL:
                    self._cancel(one, said.patient)
                case Wanted.STATUS:
                    self._status(one, said.patient)

    def _place(self, said: OrderSaid) -> None:
        assert said.order is not None, "what is placed is an order"
        order = dataclasses.replace(said.order, patient=self._as_known(said.order.patient))
        known = orders.find(self._connection, order.order_id)
        if known is not None and not said.is_time_said:
            # Said again without a time it is still wanted when it was wanted.
            order = dataclasses.replace(order, scheduled_at=known.scheduled_at)
        self._ensure_images_are_theirs(order.patient, order.study_instance_uid, order.accession_number, said)
        try:
            orders.place(self._connection, order, self._now, source_message=self._source)
        except orders.PatientDiffers as error:
            self._park("patient_differs", _at(said, 2, ErrorCode.DUPLICATE_KEY_IDENTIFIER, str(error)))
        except orders.OrderClosed as error:
            raise _Stopped(_rejected(_at(said, 2, ErrorCode.RECORD_LOCKED, str(error)))) from error
        except orders.OrderInvalid as error:
            raise _Stopped(_rejected(_at(said, 2, ErrorCode.DATA_TYPE, str(error)))) from error
        pid, pv1 = first(self._segments, "PID"), first(self._segments, "PV1")
        sender = self._message.sender
        context = context_of(said, pid, pv1, sender.application, sender.facility)
        keep_context(self._connection, order.order_id, context, self._now)

    def _cancel(self, said: OrderSaid, patient: OrderPatient) -> None:
        self._known(said, patient)
        # Before the outbox tells it: whoever follows reads why.
        if said.motive:
            keep_motive(self._connection, said.order_id, said.motive, self._now)
        try:
            orders.cancel(self._connection, said.order_id, self._now, source_message=self._source)
        except orders.StateCannotFollow as error:
            text = f"{error}; tell the radiographer"
            raise _Stopped(_rejected(_at(said, 1, ErrorCode.RECORD_LOCKED, text))) from error

    def _status(self, said: OrderSaid, patient: OrderPatient) -> None:
        if said.status in TAKEN_BACK:
            self._cancel(said, patient)
            return
        order = self._known(said, patient)
        if said.procedure == TlrProcedure.COMPLEMENT:
            self._complement(said, order)
        elif said.status in DONE:
            orders.tell_performed(self._connection, order.order_id, self._now)

    def _complement(self, said: OrderSaid, order: Order) -> None:
        complement = read_complement(said.group, order.order_id, self._zone, self._message.received_at)
        uid = complement.study_instance_uid
        if UID.fullmatch(uid) is None:
            code = ErrorCode.DATA_TYPE if uid else ErrorCode.REQUIRED_FIELD_MISSING
            text = "required: the Study Instance UID of the exam (PS3.5 9.1)"
            raise _Stopped(_rejected(FieldError(segment="IPC", field=3, code=code, text=text)))
        self._ensure_images_are_theirs(order.patient, complement.study_instance_uid, "", said)
        if keep_complement(self._connection, complement, self._now):
            orders.tell_performed(
                self._connection, order.order_id, self._now, expected_instances=complement.expected_instances
            )

    def _known(self, said: OrderSaid, patient: OrderPatient) -> Order:
        """Return the order that is spoken of, which must be the patient's who is named with it."""
        order = orders.find(self._connection, said.order_id)
        if order is None:
            text = "no such order of this site is known here; place it first"
            raise _Stopped(_rejected(_at(said, 2, ErrorCode.UNKNOWN_KEY_IDENTIFIER, text)))
        if not orders.is_same_patient(order.patient, self._survivor(patient)):
            text = "the order is known for another patient; ask the hospital which is right"
            self._park("patient_differs", _at(said, 2, ErrorCode.DUPLICATE_KEY_IDENTIFIER, text))
        return order

    # Patients

    def patients(self, wanted: AdtWanted) -> None:
        said = read_adt(self._segments, wanted, self._message.sender)
        if said.errors:
            raise _Stopped(Rejected(code="AE", errors=said.errors))
        for patient in said.patients:
            if wanted is not AdtWanted.UNLINK:
                self._describe(patient, is_doubted=said.is_doubted)
        self._join(said)

    def _join(self, said: AdtSaid) -> None:
        act = {AdtWanted.MERGE: identity.merge, AdtWanted.LINK: identity.link, AdtWanted.UNLINK: identity.unlink}
        for one, other in said.pairs:
            try:
                act[said.wanted](self._connection, one, other, self._now, source_message=self._source)
            except IdentityContradicts as error:
                self._contradicts(error, "MRG" if said.wanted is AdtWanted.MERGE else "PID")

    def _describe(self, patient: OrderPatient, *, is_doubted: bool) -> None:
        try:
            identity.update_patient(
                self._connection, patient, self._now, source_message=self._source, is_doubted=is_doubted
            )
        except IdentityContradicts as error:
            self._contradicts(error, "PID")

    def _as_known(self, patient: OrderPatient) -> OrderPatient:
        """Return a patient under the identifier that is in use, with the traits that are known of them."""
        patient = self._survivor(patient)
        known = identity.find_patient(self._connection, PatientKey(patient.issuer, patient.patient_id))
        if known is None:
            return patient
        return dataclasses.replace(patient, name=known.name, birth_date=known.birth_date, sex=known.sex, ins=known.ins)

    def _survivor(self, patient: OrderPatient) -> OrderPatient:
        key = identity.surviving(self._connection, patient.issuer, patient.patient_id)
        if key == (patient.issuer, patient.patient_id):
            return patient
        former = (patient.patient_id, patient.issuer)
        return dataclasses.replace(
            patient, patient_id=key.patient_id, issuer=key.issuer, other_ids=(*patient.other_ids, former)
        )

    def _ensure_images_are_theirs(
        self, patient: OrderPatient, study_instance_uid: str, accession_number: str, said: OrderSaid
    ) -> None:
        """Park what names images that the archive has of somebody else."""
        found = set(_owners(self._connection, patient.issuer, study_instance_uid, accession_number))
        if not found:
            return
        theirs = set(identity.same_person(self._connection, patient.issuer, patient.patient_id))
        # A modality that names no issuer has only the identifier to go by.
        nameless = {PatientKey("", key.patient_id) for key in theirs}
        if not found <= theirs | nameless:
            text = "images are here under this Study Instance UID or accession number that are of another patient"
            self._park("images_of_another_patient", _at(said, 2, ErrorCode.DUPLICATE_KEY_IDENTIFIER, text))

    def _contradicts(self, error: IdentityContradicts, segment: str) -> None:
        field = FieldError(
            segment=segment, field=1 if segment == "MRG" else 3, code=ErrorCode.DUPLICATE_KEY_IDENTIFIER,
            text=str(error),
        )  # fmt: skip
        self._park(error.reason, field)

    def _park(self, reason: str, error: FieldError) -> None:
        raise _Stopped(Parked(reason=reason, errors=(error,)))


def _not_taken(message: ReceivedMessage) -> Outcome | None:
    if message.code == "ADT":
        events = frozenset(EVENTS)
    elif message.code in ORDER_EVENTS:
        events = ORDER_EVENTS[message.code]
    else:
        text = "messages that are taken here: ORM^O01, OMI^O23, OMG^O19 and ADT"
        error = FieldError(segment="MSH", field=9, component=1, code=ErrorCode.UNSUPPORTED_MESSAGE_TYPE, text=text)
        return Rejected(code="AR", errors=(error,))
    if message.event in events:
        return None
    text = f"events that are taken here of {message.code}: {', '.join(sorted(events))}"
    error = FieldError(segment="MSH", field=9, component=2, code=ErrorCode.UNSUPPORTED_EVENT_CODE, text=text)
    return Rejected(code="AR", errors=(error,))


def _owners(connection: Connection, issuer: str, study_instance_uid: str, accession_number: str) -> list[PatientKey]:
    """Return whose images are in the archive under a Study Instance UID, or a hospital's accession number."""
    named = select(archived_patients.c.issuer, archived_patients.c.patient_id).join(
        archived_studies, archived_studies.c.patient_pk == archived_patients.c.patient_pk
    )
    queries = []
    if study_instance_uid:
        queries.append(named.where(archived_studies.c.study_instance_uid == study_instance_uid))
    if accession_number:
        queries.append(
            named.where(archived_studies.c.accession_number == accession_number, archived_patients.c.issuer == issuer)
        )
    return [PatientKey(row.issuer, row.patient_id) for query in queries for row in connection.execute(query)]


def _at(said: OrderSaid, field: int, code: ErrorCode, text: str) -> FieldError:
    orc = said.group.orc
    return FieldError(segment="ORC", sequence=orc.sequence, field=field, code=code, text=text)


def _rejected(error: FieldError) -> Rejected:
    return Rejected(code="AE", errors=(error,))
