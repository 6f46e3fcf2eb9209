"""Reports handed over to hospitals' systems as ORU^R01, by MLLP, each with its acknowledgement awaited.

For: the port `oncall.delivery.channels.hl7.Hl7Port`. Not for: when and how often (`oncall.delivery.worker`), or what a
message looks like (`pacs.worklist.hl7.results_out`).

The delivery queue is durable and has its own attempts, so a report goes straight to its destination, beside the queue
of `pacs.worklist.hl7.outgoing`: what nobody acknowledged is handed over again, under the same control id.

Invariants
----------
* Whose the report is, is looked up at each attempt: what is not certain is not sent.
* The order lends its numbers only when it is the same patient's; a report without one goes with those of its study.
* Nothing but an acknowledgement (AA, CA) of this message is a success.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from foundation.database import Database
from oncall.case.event import CaseId
from oncall.case.state import Case, fold
from oncall.delivery.channels.hl7 import Hl7Report, NoDestination
from oncall.delivery.documents import Describer, NotDescribed
from oncall.engine.sql_store import SqlStore
from oncall.report import store
from oncall.report.version import SignedVersion, VersionKind
from oncall.report_documents.source import ExamFacts, Subject
from pacs.worklist import identity, orders
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.exchange import exchange
from pacs.worklist.hl7.order_context import OrderContext, find_context
from pacs.worklist.hl7.results_out import MESSAGE_TYPE, Report, ReportStatus, report_message
from pacs.worklist.order import Order, OrderId, OrderPatient, order_id
from territory.hl7_names import header_to, professional_of
from territory.settings import Hl7

_STATUS: Final[Mapping[VersionKind, ReportStatus]] = MappingProxyType(
    {
        VersionKind.PRELIMINARY: ReportStatus.PRELIMINARY,
        VersionKind.FINAL: ReportStatus.FINAL,
        VersionKind.ADDENDUM: ReportStatus.ADDENDUM,
        VersionKind.REPLACEMENT: ReportStatus.REPLACEMENT,
        VersionKind.RETRACTION: ReportStatus.RETRACTION,
    }
)


class MllpReports:
    """Hands reports over.

    Parameters
    ----------
    database : Database
    hl7 : Hl7
        What this node is called.
    destinations : mapping
        By name.
    describe : Describer
        Says whose a version is, and what was examined.
    """

    def __init__(
        self, database: Database, hl7: Hl7, destinations: Mapping[str, Destination], describe: Describer
    ) -> None:
        self._database = database
        self._store = SqlStore(database)
        self._hl7 = hl7
        self._destinations = destinations
        self._describe = describe

    def hand_over(self, report: Hl7Report) -> str:
        """Give a report to its destination; return MSA-1. Raises as `oncall.delivery.channels.hl7.Hl7Port` says."""
        destination = self._destinations.get(report.destination)
        if destination is None:
            raise NoDestination("the directory names an HL7 destination that the settings do not have; add it")
        return exchange(destination, self._message(report, destination)).code.value

    def _message(self, report: Hl7Report, destination: Destination) -> bytes:
        case = fold(self._store.events_of(report.case_id))
        with self._database.read() as connection:
            signed = _version(connection, report.case_id, report.version)
        subject, exam = self._describe(signed)
        with self._database.read() as connection:
            order, context = _order(connection, case, subject, exam)
        author = signed.version.author
        header = header_to(
            self._hl7, destination, MESSAGE_TYPE, report.control_id, signed.version.signed_at, ZoneInfo(exam.time_zone)
        )
        said = Report(
            version=report.version,
            status=_STATUS[report.kind],
            signed_at=signed.version.signed_at,
            text=report.text,
            pdf=report.pdf,
            study_instance_uid=exam.study.study_instance_uid,
            author=professional_of(author.name, author.rpps),
        )
        return report_message(header, order, context, said)


def _version(connection: Connection, case_id: CaseId, number: int) -> SignedVersion:
    for signed in store.versions_of(connection, case_id):
        if signed.version.version == number:
            return signed
    raise NotDescribed("no_version")


def _order(connection: Connection, case: Case, subject: Subject, exam: ExamFacts) -> tuple[Order, OrderContext]:
    """Return the order of a case and what its message said; of a case without one, what its study says."""
    name = OrderId(case.request.request_id)
    found = orders.find(connection, name) if name else None
    if found is None:
        theirs = (one for one in orders.find_by_study(connection, exam.study.study_instance_uid))
        found = next((one for one in theirs if one.site_id == case.site_id), None)
    patient = _patient(connection, subject)
    if found is None:
        return _of_study(case, patient, exam), OrderContext()
    known = identity.surviving(connection, found.patient.issuer, found.patient.patient_id)
    if known != (subject.issuer, subject.patient_id):
        # An unidentified patient's images may be of anybody: a person says whose they are.
        raise NotDescribed("order_of_another_patient")
    ins = patient.ins or found.patient.ins
    same = replace(found.patient, patient_id=known.patient_id, issuer=known.issuer, name=subject.name, ins=ins)
    return replace(found, patient=same), find_context(connection, found.order_id)


def _patient(connection: Connection, subject: Subject) -> OrderPatient:
    known = identity.find_patient(connection, identity.PatientKey(subject.issuer, subject.patient_id))
    return OrderPatient(
        patient_id=subject.patient_id,
        issuer=subject.issuer,
        name=subject.name,
        birth_date="" if subject.birth_date is None else subject.birth_date.strftime("%Y%m%d"),
        sex=subject.sex,
        ins=None if known is None else known.ins,
    )


def _of_study(case: Case, patient: OrderPatient, exam: ExamFacts) -> Order:
    study = exam.study
    number = case.request.placer_order_number or study.accession_number or case.case_id
    return Order(
        order_id=order_id(case.site_id, number),
        site_id=case.site_id,
        patient=patient,
        modality=study.modality,
        scheduled_at=case.opened_at,
        placer_order_number=case.request.placer_order_number,
        accession_number=study.accession_number,
        study_instance_uid=study.study_instance_uid,
        description=study.description,
        requester=exam.requester,
    )
