"""The order that a request of the form or of the JSON interface becomes, so that it is on the worklist like any other.

For: `open_with_order`. Not for: keeping it (`pacs.worklist.orders`), or checking a request (`form`).

Invariants: the same request of the same hospital is the same order; the case that it opens has the id of the order,
whoever opens it, so that a crash between the two loses nothing and opens nothing twice. A patient whom nobody has
identified gets an ID of this order alone, so that the images come back to it.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.directory import Site
from pacs.worklist.order import Code, Order, OrderPatient, order_id
from territory.oncall_web.access import Holder
from territory.oncall_web.app import Site as WebSite
from territory.oncall_web.form import Checked
from territory.oncall_web.form_patient import PatientSaid
from territory.oncall_web.texts import text
from territory.order_facts import id_of_unidentified
from territory.protocol_follower import PRIORITY_OF

SOURCE: Final = "web"
SCHEME: Final = "99TELEGARDE"
"""Of our own codes (PS3.16 8.2: private schemes begin with 99)."""


def open_with_order(site: WebSite, holder: Holder, checked: Checked, patient_id: str, *, number: str) -> Case:
    """Record a checked request as an order, durably, then open its case; said again it changes nothing.

    Parameters
    ----------
    number : str
        What names the request when it has no number of its own.
    """
    request = checked.request
    assert request is not None, "a request with errors opens nothing"
    hospital, now = site.desk.in_force().directory.sites[request.site_id], site.desk.now()
    order = order_of(request, patient_id, checked.patient, hospital, now, number=request.request_id or number)
    placed = site.rooms.orders.place(order, now)
    return site.desk.open_case(asked_by(request, placed), holder.actor(), case_id=case_of(placed))


def order_of(
    request: NewRequest, patient_id: str, said: PatientSaid, site: Site, now: datetime, *, number: str
) -> Order:
    """Return a request as an order.

    Parameters
    ----------
    patient_id : str
        The hospital's, '' for a patient whom nobody has identified.
    number : str
        What names the request, unique in its hospital: its own number, or the form's.
    """
    name = order_id(site.site_id, number)
    meaning = f"{request.modality} {text(f'exam.{request.exam.value}', 'fr')}"
    return Order(
        order_id=name,
        site_id=site.site_id,
        patient=OrderPatient(
            patient_id=patient_id or id_of_unidentified(name),
            issuer=site.issuer,
            name=said.name,
            birth_date=said.birth_date,
            sex=said.sex,
            allergies=said.allergies,
            medical_alerts="; ".join(_alerts(said)),
            pregnancy_status=said.pregnancy_status,
            weight_kg=said.weight_kg,
        ),
        modality=request.modality,
        scheduled_at=request.expected_at or now,
        placer_order_number=number,
        accession_number=request.accession_number,
        procedure=Code(value=f"{request.modality}-{request.exam.value}".upper(), scheme=SCHEME, meaning=meaning),
        description=meaning,
        clinical_question=said.question,
        requester=request.requester,
        priority=PRIORITY_OF[request.urgency],
        exam=request.exam.value,
        urgency=str(int(request.urgency)),
        onset_at=request.onset_at,
        source=SOURCE,
    )


def asked_by(request: NewRequest, order: Order) -> NewRequest:
    """Return the request as the case gets it: with its order, and the accession number that the images will have."""
    return replace(
        request,
        request_id=order.order_id,
        placer_order_number=order.placer_order_number,
        accession_number=order.accession_number,
    )


def case_of(order: Order) -> CaseId:
    """Return the id of the case that an order opens."""
    return CaseId(f"order-{order.order_id}")


def _alerts(said: PatientSaid) -> list[str]:
    measured = (("creatinine", said.creatinine_umol_l, "umol/L"), ("eGFR", said.egfr, "mL/min/1.73m2"))
    return [f"{name} {value:g} {unit}" for name, value, unit in measured if value is not None]
