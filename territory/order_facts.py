"""Orders and identities as the on-call engine may see them: patients as opaque keys, no names.

For: the ports `oncall.engine.orders.OrderDescriber` and `oncall.engine.identities.IdentityDescriber` on the tables of
`pacs.worklist`. Not for: what follows for a case.

Invariant: a key is made of the identifier that is in use now, so that requests and images of patients who were merged
have one key.
"""

from typing import Final

from sqlalchemy import Connection

from foundation.database import Database
from oncall.case.regions import StudyKey
from oncall.directory import SiteId
from oncall.engine.identities import IdentityNews
from oncall.engine.orders import OrderedExam
from pacs.worklist import identity, orders
from pacs.worklist.hl7.complement_in import complements_of
from pacs.worklist.hl7.order_context import find_context
from pacs.worklist.identity import Kind, PatientKey
from pacs.worklist.order import InsStatus, Order, OrderId, OrderState
from territory.patient_keys import patient_key

WEB: Final = "web"
"""The source of orders whose cases the form opens."""


_UNIDENTIFIED_CHARACTERS: Final = 10


def id_of_unidentified(order_id: str) -> str:
    """Return the Patient ID under which an order's patient is on the worklist whom nobody has identified."""
    return f"X-{order_id[:_UNIDENTIFIED_CHARACTERS].upper()}"


class OrderFacts:
    """Looks orders up.

    Parameters
    ----------
    database : Database
    secret : bytes
        What patients' keys are made with on this node.
    """

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    def __call__(self, order_id: str) -> OrderedExam | None:
        """Return an order as it is now; None when there is none."""
        with self._database.read() as connection:
            order = orders.find(connection, OrderId(order_id))
            return None if order is None else self._described(connection, order)

    def _described(self, connection: Connection, order: Order) -> OrderedExam:
        patient = order.patient
        survivor = identity.surviving(connection, patient.issuer, patient.patient_id)
        same = identity.same_person(connection, *survivor)
        context = find_context(connection, order.order_id)
        coded = (order.procedure, order.body_region)
        done = complements_of(connection, order.order_id)
        return OrderedExam(
            order_id=order.order_id,
            site_id=SiteId(order.site_id),
            is_web=order.source == WEB,
            is_cancelled=order.state is OrderState.CANCELLED,
            exam=order.exam,
            words=(order.description, *(one.meaning for one in coded if one is not None)),
            urgency=order.urgency,
            # Whom nobody has identified is nobody's patient, whatever the worklist calls them.
            patient_key="" if patient.patient_id == id_of_unidentified(order.order_id) else self._key(survivor),
            former_patient_keys=frozenset(self._key(key) for key in same) - {self._key(survivor)},
            is_identity_qualified=patient.ins is not None and patient.ins.status is InsStatus.QUALIFIED,
            placer_order_number=order.placer_order_number,
            accession_number=order.accession_number,
            requester=order.requester,
            modality=order.modality,
            onset_at=order.onset_at,
            wanted_by=context.wanted_by,
            motive=context.motive,
            performed=tuple(StudyKey(patient.issuer, one.study_instance_uid) for one in done),
            expected_instances=order.expected_instances,
        )

    def _key(self, key: PatientKey) -> str:
        return patient_key(self._secret, key.issuer, key.patient_id)


class IdentityFacts:
    """Looks up what was said of patients.

    Parameters
    ----------
    database : Database
    secret : bytes
        What patients' keys are made with on this node.
    """

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    def __call__(self, change_id: str) -> IdentityNews | None:
        """Return what was said under an id; None when there is nothing."""
        with self._database.read() as connection:
            change = identity.find_change(connection, change_id)
        if change is None:
            return None
        return IdentityNews(
            change=change.kind.value,
            patient_key=self._key(change.kept),
            other_patient_key="" if change.other is None else self._key(change.other),
            was_merged=change.was_merged,
            was_qualified=change.status_before is InsStatus.QUALIFIED,
            is_qualified=change.status_after is InsStatus.QUALIFIED,
            is_undone=change.kind is Kind.MERGED and not change.is_in_force,
            source_message=change.source_message,
            issuer=change.kept.issuer,
        )

    def _key(self, key: PatientKey) -> str:
        return patient_key(self._secret, key.issuer, key.patient_id)
