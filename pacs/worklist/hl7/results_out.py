"""A report as ORU^R01: its text and its PDF, what version it is, of which study and which order.

For: the message of one version. Not for: sending it, or deciding that it may be sent.

Which version it is is said three times, for receivers that look at one place only: OBR-25, OBX-11, and the version's
number in OBX-4 of the text.

References
----------
HL7 2.5.1 7.3.1 (ORU), tables 0123 and 0085; IHE RAD TF-2 4.128 (RAD-128); LOINC 18748-4 (diagnostic imaging study)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs.worklist.hl7.order_context import OrderContext
from pacs.worklist.hl7.segments_out import (
    Professional,
    document,
    exam_of,
    filler_of,
    observation,
    pid,
    placer_of,
    professional,
    requester_of,
)
from pacs.worklist.hl7.writing import Header, message, segment, stamp
from pacs.worklist.order import Order

MESSAGE_TYPE: Final = ("ORU", "R01", "ORU_R01")

_REPORT: Final = ("18748-4", "Diagnostic imaging study", "LN")
_STUDY: Final = ("113014", "DICOM Study", "DCM")


class ReportStatus(StrEnum):
    """What a version is to those before it."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    ADDENDUM = "addendum"
    REPLACEMENT = "replacement"
    RETRACTION = "retraction"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Codes:
    result: str
    observation: str


STATUS_CODES: Final[Mapping[ReportStatus, _Codes]] = MappingProxyType(
    {
        ReportStatus.PRELIMINARY: _Codes(result="P", observation="P"),
        ReportStatus.FINAL: _Codes(result="F", observation="F"),
        # What is added corrects the record that the receiver has: it holds the whole text anew.
        ReportStatus.ADDENDUM: _Codes(result="C", observation="C"),
        ReportStatus.REPLACEMENT: _Codes(result="C", observation="C"),
        # Post original as wrong.
        ReportStatus.RETRACTION: _Codes(result="C", observation="W"),
    }
)
"""OBR-25 (table 0123) and OBX-11 (table 0085)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A signed version: text and PDF, who signed it and when (UTC), and the study that it is about."""

    version: int
    status: ReportStatus
    signed_at: datetime
    text: str
    pdf: bytes
    study_instance_uid: str
    author: Professional | None


def report_message(header: Header, order: Order, context: OrderContext, report: Report) -> bytes:
    """Return the message of a version.

    Parameters
    ----------
    header : Header
        With `MESSAGE_TYPE`; instants are written in its zone.
    order : Order
        Whose patient the report is of, and whose numbers the receiver knows it by.
    """
    said, signed = STATUS_CODES[report.status], stamp(report.signed_at, header.zone)
    placer, filler = placer_of(order, context), filler_of(order, context)
    author = report.author
    # NDL: the person's subcomponents are one component (CNN).
    reader = "" if author is None else ((author.rpps, author.family, author.given, "", "", author.prefix),)
    obr = segment(
        "OBR",
        {
            1: "1",
            2: placer,
            3: filler,
            4: exam_of(order, context),
            7: signed,
            16: requester_of(order),
            18: order.accession_number,
            22: signed,
            24: order.modality,
            25: said.result,
            32: reader,
        },
    )
    signed_by = {4: str(report.version), 14: signed, 16: professional(author)}
    study = observation(1, "ST", _STUDY, report.study_instance_uid, status=said.observation)
    text = observation(2, "FT", _REPORT, report.text, status=said.observation, more=signed_by)
    pdf = document(report.pdf, "application", "pdf")
    printed = observation(3, "ED", _REPORT, pdf, status=said.observation, more=signed_by)
    orc = segment("ORC", {1: "RE", 2: placer, 3: filler, 12: requester_of(order)})
    return message(header, (pid(order.patient, context), orc, obr, study, text, printed))
