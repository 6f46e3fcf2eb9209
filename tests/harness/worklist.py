"""A worklist to ask, in memory or over sockets, and queries as pydicom writes them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from foundation.clock import Clock, ManualClock
from foundation.database import Database
from pacs.scp.services import Rights
from pacs.upper_layer.dimse import CommandField, decode_command, encode_command
from pacs.worklist import orders
from pacs.worklist.deliveries import Deliveries
from pacs.worklist.find_service import MODALITY_WORKLIST, WorklistFindService
from pacs.worklist.order import Order
from pacs.worklist.query import WorklistQuery
from territory.adapters import sites_of_callers
from territory.published_sites import SiteNotPublished
from tests.harness.association import RecordedAssociation, context
from tests.harness.identifiers import decode, encode
from tests.harness.node import Node, node_policy, running_node
from tests.harness.orders import NOW

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
ROANNE_CONSOLE = "CT1_ROANNE"
FEURS_CONSOLE = "CT1_FEURS"
SITES = {ROANNE_CONSOLE: "roanne", FEURS_CONSOLE: "feurs", "LONDON": "london"}
ZONES = {"roanne": "Europe/Paris", "feurs": "Europe/Paris", "london": "Europe/London"}
RIGHTS = Rights(
    may_store=False,
    may_query=False,
    may_retrieve=False,
    move_destinations=frozenset(),
    issuer="",
    may_worklist=True,
    site="roanne",
)
#: What a console asks for beside its conditions.
STEP_KEYS = (
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepStatus",
    "CommentsOnTheScheduledProcedureStep",
)
KEYS = (
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "StudyInstanceUID",
    "RequestedProcedurePriority",
    "RequestedProcedureID",
)


def place_all(database: Database, placed: Sequence[Order]) -> None:
    """Place orders as they come from a hospital, then their protocol and state."""
    with database.write(durable=True) as connection:
        for one in placed:
            orders.place(connection, one, NOW)


def zone_of(site_id: str) -> ZoneInfo:
    """Return the zone of one of the hospitals above."""
    if site_id not in ZONES:
        raise SiteNotPublished("no such hospital")
    return ZoneInfo(ZONES[site_id])


def service_of(database: Database, clock: Clock | None = None, *, answers_max: int = 1000) -> WorklistFindService:
    """Return the service on a database."""
    clock = clock or ManualClock(NOW)
    return WorklistFindService(
        WorklistQuery(database, zone_of, clock), Deliveries(database, clock), answers_max=answers_max
    )


def _set(dataset: Dataset, keyword: str, value: Any) -> None:
    dataset.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE))


def asked(
    keys: Mapping[str, Any] | None = None,
    step: Mapping[str, Any] | None = None,
    character_set: str | None = "ISO_IR 192",
) -> Dataset:
    """Return the identifier of a console's query; its values need be no values of their VRs."""
    nested = Dataset()
    for keyword in STEP_KEYS:
        _set(nested, keyword, [] if dictionary_VR(keyword) == "SQ" else "")
    for keyword, value in (step or {}).items():
        _set(nested, keyword, value)
    dataset = Dataset()
    if character_set is not None:
        dataset.SpecificCharacterSet = character_set
    for keyword in KEYS:
        _set(dataset, keyword, "")
    for keyword, value in (keys or {}).items():
        _set(dataset, keyword, value)
    _set(dataset, "ScheduledProcedureStepSequence", [nested])
    return dataset


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What the service sent: data sets, their statuses and the last one."""

    items: list[Dataset]
    raw: list[bytes]
    pending: list[int]
    final: int
    comment: str


def ask(
    service: WorklistFindService,
    identifier: Dataset | bytes,
    *,
    calling_aet: str = ROANNE_CONSOLE,
    rights: Rights | None = None,
    transfer_syntax: str = EXPLICIT_LITTLE,
    extended: bytes = b"",
    association: RecordedAssociation | None = None,
) -> Answers:
    """Ask the service in memory as one of the hospitals' consoles."""
    association = association or RecordedAssociation(
        calling_aet=calling_aet, rights=rights or dataclasses.replace(RIGHTS, site=SITES.get(calling_aet, ""))
    )
    command = decode_command(
        encode_command(
            command_field=CommandField.C_FIND_RQ,
            message_id=7,
            affected_sop_class_uid=MODALITY_WORKLIST,
            priority=0,
            data_set_type=1,
        )
    )
    written = identifier if isinstance(identifier, bytes) else encode(identifier, transfer_syntax)
    service.handle(association, context(MODALITY_WORKLIST, transfer_syntax, extended), command, written)
    *pending, final = association.sent
    return Answers(
        items=[decode(sent.dataset or b"", transfer_syntax) for sent in pending],
        raw=[sent.dataset or b"" for sent in pending],
        pending=[sent.status for sent in pending],
        final=final.status,
        comment=final.command.error_comment or "",
    )


@contextmanager
def running_worklist(database: Database, directory: Path, clock: Clock | None = None) -> Iterator[Node]:
    """Yield a node on the loopback that answers the consoles above."""
    policy = node_policy(
        rights=dataclasses.replace(RIGHTS, site=""), services={MODALITY_WORKLIST: service_of(database, clock)}
    )
    policy = dataclasses.replace(
        policy, decide=sites_of_callers(policy.decide, lambda calling_aet: SITES.get(calling_aet, ""))
    )
    with running_node(database, directory, policy=policy) as node:
        yield node
