"""The object graph of a node, built explicitly, top to bottom: the one place that knows every part.

For: which object gets which other. Not for: behaviour; nothing here decides anything.
"""

import functools
import os
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Final

from foundation import log
from foundation.clock import Clock, SystemClock
from foundation.database import Database
from foundation.errors import Refused
from pacs.archive import file_meta, recovery, sop_lookup
from pacs.archive.commitment import Ledger
from pacs.archive.index import DuplicatePolicy, IndexWriter
from pacs.archive.ingest import Ingest
from pacs.archive.query import IndexQuery
from pacs.archive.reader import PackReader
from pacs.scp import access, presentation, tls
from pacs.scp.access import Admitted, Call, Load, Rejected
from pacs.scp.association_facts import AssociationFacts
from pacs.scp.commitment import CommitmentService
from pacs.scp.commitment_relay import CommitmentRelay, ReportCaller
from pacs.scp.echo import EchoService
from pacs.scp.find import FindService, agree_extended
from pacs.scp.node_policy import NodePolicy, Timers
from pacs.scp.retrieve import RetrieveService, negotiate_extended
from pacs.scp.server import Listener, Server
from pacs.scp.services import Rights, Service
from pacs.scu.association import Timeouts
from pacs.upper_layer.associate import AssociateRequest
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer
from pacs.worklist import orders
from pacs.worklist.deliveries import Deliveries
from pacs.worklist.find_service import MODALITY_WORKLIST, WorklistFindService, agree_worklist
from pacs.worklist.mpps_service import MppsService
from pacs.worklist.query import WorklistQuery
from pacs.worklist.ups.relay import EventRelay
from storage_tiers.lane import LaneLimits, LanePool
from storage_tiers.local_packs import LocalPacks
from territory import settings_rules
from territory.adapters import ConfiguredPeers, StoredHeaders, sites_of_callers
from territory.launch import Launch
from territory.maintenance import CHECKPOINT_EVERY_S, PeriodicTask, checkpoint
from territory.published_sites import PublishedSites
from territory.settings import Duplicates, Settings
from territory.ups_parts import make_event_relay, make_ups_service
from territory.worker_table import WorkerRow

# Inside the data directory: the journal's packs.
JOURNAL_DIRECTORY: Final = "packs"
# How far the look-up by SOP Instance UID lags behind; who asks it catches up first, so this only spreads the work.
LOOKUP_EVERY_S: Final = 1.0
# Orders that nobody performed for days leave the worklist at most this much later.
WORKLIST_EVERY_S: Final = 3600.0
# Results of storage commitment that are due wait at most this much longer.
RELAY_EVERY_S: Final = 2.0
# Events of work items wait at most this much longer for the AEs that are told by an association.
EVENTS_EVERY_S: Final = 0.5


class TlsSettingsUnusable(Refused):
    """The files that the settings name cannot serve for TLS."""


def journal_directory(data_dir: Path) -> Path:
    """Return where the packs of a data directory are."""
    return data_dir / JOURNAL_DIRECTORY


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """Give the node's database; closed at the end."""
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


def check_tls_files(settings: Settings) -> None:
    """Load certificate, key and authorities once, so that what is wrong with them is said before anything starts.

    Raises
    ------
    TlsSettingsUnusable
        If a file cannot be used; the message names it.
    """
    files = settings_rules.tls_files(settings)
    if files is None:
        return
    try:
        tls.server_context(files)
    except tls.TlsFilesUnusable as error:
        raise TlsSettingsUnusable(f"[dicom.tls]: {error}") from error


def recover(settings: Settings, database: Database) -> None:
    """Make index and packs agree again after a crash; packs that a live process writes are left alone.

    Raises
    ------
    foundation.errors.Unavailable
        If the database or the disk does not answer.
    """
    journal = journal_directory(settings.archive.data_dir)
    journal.mkdir(parents=True, exist_ok=True)
    recovery.recover(database, journal, SystemClock())


def _drain_lookup(database: Database) -> None:
    sop_lookup.drain(database)


def _leave_worklist(database: Database) -> None:
    with database.write(durable=True) as connection:
        left = orders.leave_worklist(connection, SystemClock().now())
    if left:
        log.info("orders_left_worklist", count=left)


def _deliver(relay: CommitmentRelay) -> None:
    relay.deliver_due()


def _report(events: EventRelay) -> None:
    events.turn()


def maintenance_tasks(settings: Settings, database: Database, *, is_stopping: Callable[[], bool]) -> list[PeriodicTask]:
    """Return what one process does for the whole node, again and again."""
    reader = PackReader(LocalPacks(journal_directory(settings.archive.data_dir)))
    relay = CommitmentRelay(
        Ledger(database, SystemClock()),
        reader,
        ReportCaller(ConfiguredPeers(settings).addresses, _timeouts(settings)),
        is_stopping=is_stopping,
    )
    events = make_event_relay(settings, database, SystemClock(), _timeouts(settings))
    return [
        PeriodicTask(name="checkpoint", every_s=CHECKPOINT_EVERY_S, run=functools.partial(checkpoint, database)),
        PeriodicTask(name="sop_lookup", every_s=LOOKUP_EVERY_S, run=functools.partial(_drain_lookup, database)),
        PeriodicTask(name="worklist", every_s=WORKLIST_EVERY_S, run=functools.partial(_leave_worklist, database)),
        PeriodicTask(name="commitment_relay", every_s=RELAY_EVERY_S, run=lambda: _deliver(relay)),
        PeriodicTask(name="workitem_events", every_s=EVENTS_EVERY_S, run=lambda: _report(events)),
    ]


class WorkerEngine:
    """The DICOM engine of one worker process and everything it stands on; a `territory.worker.Engine`.

    Parameters
    ----------
    launch : Launch
        What the supervisor said.
    sockets : sequence of socket
        The listening sockets, in the order of ``launch.ports``.
    row : WorkerRow
        Where this worker counts its associations.
    clock : Clock, optional
        When things happen; the machine's, but in a rehearsal, whose clock is moved by hand.
    """

    def __init__(self, launch: Launch, sockets: Sequence[socket], row: WorkerRow, clock: Clock | None = None) -> None:
        settings = launch.settings
        clock = clock or SystemClock()
        self._database = Database(settings.database_url, is_checkpointed_elsewhere=True)
        journal = journal_directory(settings.archive.data_dir)
        limits = LaneLimits(free_space_reserve_bytes=settings.archive.free_space_reserve_bytes)
        packs = LocalPacks(journal)
        index = IndexWriter(self._database, _duplicate_policy(settings))
        self._lanes = LanePool(journal, limits, clock, on_sealed=index.mark_sealed)
        ingest = Ingest(self._lanes, packs, index, clock)
        self._server = Server(
            _listeners(launch, sockets),
            policy=replace(
                _node_policy(settings, self._database, PackReader(packs), clock),
                tell_end=AssociationFacts(self._database, clock),
            ),
            ingest=ingest,
            places=row,
        )
        self._thread = threading.Thread(
            target=self._server.serve, args=(ingest.look_after_index,), name="server", daemon=True
        )

    def start(self) -> None:
        """Accept associations in threads of its own; returns at once."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """False when the server ended by itself: a defect."""
        return self._thread.is_alive()

    def stop(self, grace_s: float) -> None:
        """Accept no more, let associations finish what they have in hand within a bound, end the rest."""
        self._server.stop()
        if not self._server.drain(grace_s):
            log.warning("associations_cut", count=self._server.association_count, seconds=grace_s)
        self._lanes.close()
        self._database.close()


def _services(settings: Settings, database: Database, reader: PackReader, clock: Clock) -> dict[str, Service]:
    find = FindService(IndexQuery(database, StoredHeaders(reader), answers_max=settings.dicom.limits.find_results_max))
    retrieve = RetrieveService(
        database=database,
        reader=reader,
        destinations=ConfiguredPeers(settings),
        ae_title=settings.dicom.aet[0],
        timeouts=_timeouts(settings),
        clock=clock,
    )
    services: dict[str, Service] = {
        presentation.VERIFICATION: EchoService(),
        presentation.STORAGE_COMMITMENT_PUSH_MODEL: CommitmentService(Ledger(database, clock), reader),
    }
    services |= dict.fromkeys((presentation.MPPS, presentation.MPPS_RETRIEVE), MppsService(database, clock))
    workitems = make_ups_service(settings, database, clock, worker=f"dicom-{os.getpid()}-{secrets.token_hex(4)}")
    for sop_class_uid, needs in presentation.SERVICE_SOP_CLASSES.items():
        if needs is presentation.Needs.QUERY:
            services[sop_class_uid] = find
        elif needs is presentation.Needs.RETRIEVE:
            services[sop_class_uid] = retrieve
        elif needs is presentation.Needs.WORKITEMS:
            services[sop_class_uid] = workitems
    query = WorklistQuery(database, PublishedSites(database).zone_of, clock)
    services[MODALITY_WORKLIST] = WorklistFindService(
        query, Deliveries(database, clock), answers_max=settings.dicom.limits.find_results_max
    )
    return services


def _timeouts(settings: Settings) -> Timeouts:
    timeouts = settings.dicom.timeouts
    return Timeouts(connect_s=timeouts.connect_s, associate_s=timeouts.artim_s, response_s=timeouts.response_s)


def _node_policy(settings: Settings, database: Database, reader: PackReader, clock: Clock) -> NodePolicy:
    limits = UpperLayerLimits(pdu_length_max=settings.dicom.limits.pdu_length_bytes_max)
    return NodePolicy(
        decide=_decide(settings, database),
        offer_for=_offer_for(settings, limits),
        services=_services(settings, database, reader, clock),
        limits=limits,
        timers=Timers(artim_s=settings.dicom.timeouts.artim_s, idle_s=settings.dicom.timeouts.idle_s),
    )


def _decide(settings: Settings, database: Database) -> Callable[[Call, Load], Admitted | Rejected]:
    decide = functools.partial(access.decide, settings_rules.access_rules(settings))
    return sites_of_callers(decide, PublishedSites(database).site_of) if settings.is_open_loopback else decide


def _offer_for(settings: Settings, limits: UpperLayerLimits) -> Callable[[AssociateRequest, Rights], Offer]:
    policy = settings_rules.presentation_policy(settings)

    def offer_for(request: AssociateRequest, rights: Rights) -> Offer:
        return policy.offer(
            request,
            rights,
            implementation_class_uid=file_meta.IMPLEMENTATION_CLASS_UID,
            implementation_version_name=file_meta.IMPLEMENTATION_VERSION_NAME,
            maximum_length=limits.pdu_length_max,
            extended_negotiation=_agree_extended,
        )

    return offer_for


def _agree_extended(sop_class_uid: str, proposed: bytes) -> bytes | None:
    needs = presentation.SERVICE_SOP_CLASSES.get(sop_class_uid)
    if needs is presentation.Needs.QUERY:
        return agree_extended(proposed)
    if sop_class_uid == MODALITY_WORKLIST:
        return agree_worklist(proposed)
    return negotiate_extended(sop_class_uid, proposed)


def _listeners(launch: Launch, sockets: Sequence[socket]) -> list[Listener]:
    files = settings_rules.tls_files(launch.settings)
    context = tls.server_context(files) if files is not None else None
    return [
        Listener(
            sock=listening,
            tls=context if port.is_tls else None,
            certificate_names=_certificate_names if port.is_tls else None,
        )
        for listening, port in zip(sockets, launch.ports, strict=True)
    ]


def _certificate_names(secured: ssl.SSLSocket) -> frozenset[str]:
    return tls.certificate_names(secured.getpeercert())


def _duplicate_policy(settings: Settings) -> DuplicatePolicy:
    match settings.dicom.storage.duplicates:
        case Duplicates.KEEP_FIRST:
            return DuplicatePolicy.KEEP_AS_EVIDENCE
        case Duplicates.REFUSE_CONFLICTS:
            return DuplicatePolicy.REFUSE
