"""An archive whose studies go on to others, in the test's own process: rules, queue, and a worker on a clock.

For: tests of `pacs.routing` and its real peers. Not for: processes that are killed (`tests.harness.routing_process`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pacs.routing.schema
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import Clock, ManualClock
from foundation.database import Database
from pacs.archive.reader import PackReader
from pacs.routing import intake, queue
from pacs.routing.bandwidth import Throttle
from pacs.routing.consignment import Consignment, Sender
from pacs.routing.dicom_sender import DicomSender
from pacs.routing.intake import Intake, RoutingRules
from pacs.routing.model import DestinationPolicy, Item, RetryPolicy, RouteRule, StudyId
from pacs.routing.stow_sender import StowSender, WebService
from pacs.routing.worker import RoutingWorker
from pacs.scu.association import PeerAddress, Timeouts
from pacs.scu.errors import PeerUnavailable
from pacs.scu.transport import OnWait
from pacs.worklist import orders
from pacs.worklist.order import Order, OrderPatient, OrderPriority, order_id
from tests.harness.archive_parts import Archive
from tests.harness.data_sets import image

#: A Thursday morning of summer time in Paris.
START = datetime(2026, 7, 16, 8, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
EVERYTHING = RouteRule(name="all", destinations=("away",))
QUICK = RetryPolicy(first_wait_s=10.0, wait_max_s=80.0)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A study that was stored: who it is, and its SOP Instance UIDs."""

    study: StudyId
    uids: tuple[str, ...]


def keep_study(
    archive: Archive, number: int = 1, *, images: int = 3, modality: str = "CT", calling_aet: str = "CT1",
    first: int = 0, pixels: bytes = b"", patient_id: str = "", issuer: str = "NORTH",
) -> Kept:  # fmt: skip
    """Store images of a study in one series, as a modality does."""
    study_uid, patient = f"1.2.3.{number}", patient_id or f"P{number}"
    uids = tuple(f"{study_uid}.1.{first + one}" for one in range(images))
    for uid in uids:
        data_set = image(
            uid, study_instance_uid=study_uid, series_instance_uid=f"{study_uid}.1", patient_id=patient,
            modality=modality, pixels=pixels,
        )  # fmt: skip
        archive.store(data_set, uid, calling_aet=calling_aet, issuer=issuer)
    return Kept(study=StudyId(issuer=issuer, patient_id=patient, study_instance_uid=study_uid), uids=uids)


def rules_of(*rules: RouteRule, ae_titles: Mapping[str, str] | None = None) -> RoutingRules:
    """Return rules by the wall clock of Paris."""
    return RoutingRules(rules=rules or (EVERYTHING,), zone=PARIS, ae_titles=ae_titles or {})


def begun_intake(
    database: Database, *rules: RouteRule, ae_titles: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
) -> Intake:  # fmt: skip
    """Return an intake that forwards what comes from now on."""
    intake.begin(database, has_routes=True)
    return Intake(database, rules_of(*rules, ae_titles=ae_titles), lambda aet: (sites or {}).get(aet, ""))


def place_order(
    database: Database, number: int = 1, *, priority: OrderPriority = OrderPriority.STAT, study_uid: str = "",
    accession_number: str = "", site_id: str = "north",
) -> Order:  # fmt: skip
    """Place an order for the patient of `keep_study`."""
    order = Order(
        order_id=order_id(site_id, f"ORDER{number}"),
        site_id=site_id,
        patient=OrderPatient(patient_id=f"P{number}", issuer="NORTH", name="Doe^Jane", birth_date="19700102", sex="F"),
        modality="CT",
        scheduled_at=START,
        placer_order_number=f"ORDER{number}",
        study_instance_uid=study_uid,
        accession_number=accession_number,
        priority=priority,
    )
    with database.write(durable=True) as connection:
        return orders.place(connection, order, START).order


def items_of(database: Database, *, destination: str | None = None) -> list[Item]:
    """Return every item of the queue in the order in which they go."""
    with database.read() as connection:
        return queue.listed(connection, destination=destination, is_all=True)


def item_of(database: Database, destination: str = "away") -> Item:
    """Return the one item for a destination."""
    (item,) = items_of(database, destination=destination)
    return item


class ScriptedSender:
    """A destination that answers as it is told; fulfils `pacs.routing.consignment.Sender`.

    Attributes
    ----------
    taken : list of str
        SOP Instance UIDs that it has answered for.
    refusing : dict
        Reason by SOP Instance UID.
    is_away : bool
    on_instance : callable
        Runs before each instance, with its UID.
    """

    def __init__(self, reader: PackReader | None = None) -> None:
        self.taken: list[str] = []
        self.refusing: dict[str, str] = {}
        self.is_away = False
        self.probes = 0
        self.urgent: list[bool] = []
        self.on_instance: Callable[[str], None] = lambda _: None

    def send(self, consignment: Consignment) -> None:
        """Answer for each instance."""
        if self.is_away:
            raise PeerUnavailable("it is away")
        self.urgent.append(consignment.is_urgent)
        for ref in consignment.refs:
            if not consignment.may_go_on():
                return
            self.on_instance(ref.sop_instance_uid)
            if self.is_away:
                raise PeerUnavailable("it went away")
            if ref.sop_instance_uid in self.refusing:
                consignment.failed(ref, self.refusing[ref.sop_instance_uid])
            else:
                self.taken.append(ref.sop_instance_uid)
                consignment.arrived(ref)

    def probe(self) -> None:
        """Say whether it is there."""
        self.probes += 1
        if self.is_away:
            raise PeerUnavailable("it is away")


def make_worker(
    archive: Archive,
    senders: Mapping[str, Sender | PeerAddress | WebService],
    *,
    clock: Clock | None = None,
    rules: Sequence[RouteRule] = (),
    policies: Iterable[DestinationPolicy] = (),
    worker: str = "w1",
    gone: str = "",
    timeouts: Timeouts | None = None,
    sites: Mapping[str, str] | None = None,
) -> RoutingWorker:
    """Return a worker that takes everything in and sends to these destinations."""
    named = {policy.name: policy for policy in policies}
    all_policies = [named.get(name) or DestinationPolicy(name=name, retry=QUICK) for name in senders]
    timeouts = timeouts or Timeouts(connect_s=5, associate_s=5, response_s=10)
    reader = PackReader(archive.packs)

    def make_sender(policy: DestinationPolicy, throttle: Throttle, on_wait: OnWait) -> Sender:
        target = senders[policy.name]
        if isinstance(target, PeerAddress):
            return DicomSender(
                target, calling_aet="TELEGARDE", reader=reader, throttle=throttle, timeouts=timeouts, on_wait=on_wait
            )
        if isinstance(target, WebService):
            return StowSender(target, reader=reader, throttle=throttle, timeouts=timeouts, on_part=on_wait)
        return target

    rules = rules or [RouteRule(name="all", destinations=tuple(senders))]
    ae_titles = {policy.name: policy.ae_title for policy in all_policies if policy.ae_title}
    return RoutingWorker(
        archive.database,
        begun_intake(archive.database, *rules, ae_titles=ae_titles, sites=sites),
        all_policies,
        make_sender,
        clock or ManualClock(START),
        worker=worker,
        gone=gone,
    )


def later(clock: ManualClock, **by: float) -> None:
    """Move a clock, as `timedelta` says it."""
    clock.advance(timedelta(**by))
