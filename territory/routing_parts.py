"""The object graph of routing: what forwards studies and watches sites, as one thing to start and to stop.

For: which object gets which other; the process of the interfaces hosts it. Not for: behaviour (`pacs.routing`).
"""

import hashlib
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pacs.routing.schema  # noqa: F401  # adds its tables to those that a node creates
from foundation import log
from foundation.clock import Clock, SteadyClock, SystemClock
from foundation.database import Database
from foundation.errors import Refused
from pacs.archive.reader import PackReader
from pacs.routing import intake
from pacs.routing.bandwidth import Throttle
from pacs.routing.consignment import Consignment, Sender
from pacs.routing.dicom_sender import DicomSender, echo
from pacs.routing.hours import parse_hours
from pacs.routing.intake import Intake, RoutingRules
from pacs.routing.model import DestinationPolicy, RetryPolicy, RouteRule
from pacs.routing.stow_sender import StowSender, WebService, basic_authorization
from pacs.routing.watch import Watching
from pacs.routing.watchdog import WatchPlan
from pacs.routing.worker import RoutingWorker
from pacs.scu.association import PeerAddress, Timeouts
from pacs.scu.errors import PeerUnavailable
from pacs.scu.pipeline import SendingStopped
from pacs.scu.transport import OnWait
from storage_tiers.local_packs import LocalPacks
from territory.adapters import ConfiguredPeers
from territory.bootstrap import journal_directory
from territory.published_sites import PublishedSites
from territory.settings import Destination, Route, Settings, WatchedSite
from territory.settings_routing import RouteUrgency

ECHO_TIMEOUTS: Final = Timeouts(connect_s=5.0, associate_s=5.0, response_s=5.0)
"""Of a C-ECHO that only asks whether somebody is there: a machine that takes longer is of no use to anybody."""


def has_routing(settings: Settings) -> bool:
    """Say whether there is anything to forward or to watch."""
    # Without routes, what is queued for destinations still goes.
    return bool(settings.routes or settings.destinations or settings.watched_sites or settings.routing.watch_every_site)


def begin(settings: Settings, database: Database) -> None:
    """Note from where on studies are forwarded; before peers may connect, so that none is missed."""
    intake.begin(database, has_routes=bool(settings.routes))


class RoutingParts:
    """Forwarding and the watch over sites, on one database.

    Parameters
    ----------
    settings : Settings
    worker : str
        Name of this life of the process; never used again after its death.
    clock : Clock, optional
        The machine's by default.
    """

    def __init__(self, settings: Settings, *, worker: str, clock: Clock | None = None) -> None:
        self._database = Database(settings.database_url, is_checkpointed_elsewhere=True)
        clock = SteadyClock(clock or SystemClock())
        site_of = SiteOfCaller(settings, PublishedSites(self._database).site_of)
        peers = ConfiguredPeers(settings)
        self._stopping = threading.Event()
        self._packs = LocalPacks(journal_directory(settings.archive.data_dir))
        self._worker = _worker(settings, self._database, self._packs, peers, site_of, clock, worker)
        zone = ZoneInfo(settings.routing.time_zone)
        self._watching = Watching(
            self._database,
            map(watch_plan, settings.watched_sites),
            site_of,
            clock,
            zone=zone,
            echo=Echo(peers, settings.dicom.aet[0], self._stopping),
            watches_every_site=settings.routing.watch_every_site,
        )
        every_s = settings.routing.probe_every_s
        wanted: list[tuple[str, Callable[[], None]]] = []
        if settings.destinations:
            wanted.append(("routing", lambda: self._worker.run(self._stopping)))
        if settings.watched_sites or settings.routing.watch_every_site:
            wanted.append(("watch", lambda: self._watching.run(self._stopping)))
            wanted.append(("watch-echo", lambda: self._watching.run_probes(self._stopping, every_s=every_s)))
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in wanted]

    def start(self) -> None:
        """Begin, in threads of its own; returns at once."""
        for thread in self._threads:
            thread.start()

    def look(self) -> None:
        """Listen and ask once, in this thread: for a node whose clock is moved by hand."""
        self._watching.probe()
        self._watching.listen()

    def stop(self) -> None:
        """End after the instances in hand, within a bound; what is unsent stays in the queue."""
        self._stopping.set()
        self._worker.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._packs.close()
        self._database.close()


class SiteOfCaller:
    """Whose AE a calling AE title is: the peer's `site`, else the one published hospital that has it.

    Parameters
    ----------
    published : callable
        Returns the site id of the directory in force; ''.
    """

    def __init__(self, settings: Settings, published: Callable[[str], str]) -> None:
        self._configured = {peer.aet: peer.site for peer in settings.peers if peer.site}
        self._published = published

    def __call__(self, calling_aet: str) -> str:
        """Return a site id, '' when there is none."""
        return self._configured.get(calling_aet) or self._published(calling_aet)


class Echo:
    """Asks configured peers by C-ECHO until it is to stop; a `pacs.routing.watch.Echo`."""

    def __init__(self, peers: ConfiguredPeers, calling_aet: str, stopping: threading.Event) -> None:
        self._peers = peers
        self._calling_aet = calling_aet
        self._stopping = stopping

    def __call__(self, ae_title: str) -> bool:
        """Say whether a peer answers."""
        peer = self._peers.find(ae_title)
        if peer is None:
            return False
        try:
            echo(peer, calling_aet=self._calling_aet, timeouts=ECHO_TIMEOUTS, on_wait=self._look_at_the_time)
        except (PeerUnavailable, SendingStopped):
            return False
        return True

    def _look_at_the_time(self) -> None:
        if self._stopping.is_set():
            raise SendingStopped("the node is being stopped")


def routing_rules(settings: Settings) -> RoutingRules:
    """Return the settings' rules as `pacs.routing` takes them."""
    return RoutingRules(
        rules=tuple(map(_rule, settings.routes)),
        zone=ZoneInfo(settings.routing.time_zone),
        ae_titles={one.name: one.aet for one in settings.destinations if one.aet is not None},
    )


def _rule(route: Route) -> RouteRule:
    return RouteRule(
        name=route.name,
        destinations=route.destinations,
        sites=frozenset(route.sites),
        issuers=frozenset(route.issuers),
        calling_aets=frozenset(route.calling_aets),
        modalities=frozenset(route.modalities),
        is_for_emergencies=route.urgency is RouteUrgency.EMERGENCY,
        hours=parse_hours(route.hours, frozenset(route.days)),
    )


def watch_plan(watched: WatchedSite) -> WatchPlan:
    """Return how a site is watched."""
    return WatchPlan(
        site_id=watched.site,
        silent_after_s=watched.silent_after_s,
        hours=parse_hours(watched.hours, frozenset(watched.days)),
        echo_peers=watched.echo_peers,
    )


def destination_policy(destination: Destination) -> DestinationPolicy:
    """Return how a destination may be used."""
    return DestinationPolicy(
        name=destination.name,
        ae_title=destination.aet or "",
        bandwidth_bytes_per_s=destination.bandwidth_bytes_per_s,
        associations_max=destination.associations_max,
        retry=RetryPolicy(first_wait_s=destination.first_wait_s, wait_max_s=destination.wait_max_s),
    )


def _worker(
    settings: Settings, database: Database, packs: LocalPacks, peers: ConfiguredPeers, site_of: SiteOfCaller,
    clock: Clock, worker: str,
) -> RoutingWorker:  # fmt: skip
    timeouts = settings.dicom.timeouts
    make = partial(
        _make_sender,
        {destination.name: destination for destination in settings.destinations},
        peers,
        settings.dicom.aet[0],
        PackReader(packs),
        Timeouts(connect_s=timeouts.connect_s, associate_s=timeouts.artim_s, response_s=timeouts.response_s),
    )
    # Of one data directory only one process forwards at a time: its keeper starts the next when this one is dead.
    node = hashlib.sha256(f"{socket.gethostname()}\0{settings.archive.data_dir}".encode()).hexdigest()[:16]
    return RoutingWorker(
        database,
        Intake(database, routing_rules(settings), site_of) if settings.routes else None,
        map(destination_policy, settings.destinations),
        make,
        clock,
        worker=f"{node}-{worker}",
        gone=f"{node}-",
    )


def _make_sender(
    destinations: dict[str, Destination], peers: ConfiguredPeers, calling_aet: str, reader: PackReader,
    timeouts: Timeouts, policy: DestinationPolicy, throttle: Throttle, on_wait: OnWait,
) -> Sender:  # fmt: skip
    destination = destinations[policy.name]
    if destination.url is not None:
        try:
            service = web_service(destination)
        except Refused as error:
            # The messages of hospitals share this process: they must not stop for it.
            log.error("destination_unusable", destination=policy.name, message=str(error))
            return UnusableSender(str(error))
        return StowSender(service, reader=reader, throttle=throttle, timeouts=timeouts, on_part=on_wait)
    peer: PeerAddress | None = peers.find(policy.ae_title)
    assert peer is not None, "settings are checked"
    return DicomSender(
        peer, calling_aet=calling_aet, reader=reader, throttle=throttle, timeouts=timeouts, on_wait=on_wait
    )


def web_service(destination: Destination) -> WebService:
    """Return a DICOMweb destination with its secrets read.

    Raises
    ------
    foundation.errors.Refused
        If a file cannot be read; the message names its key.
    """
    assert destination.url is not None, "settings are checked"
    authorization = ""
    if destination.token_file is not None:
        authorization = f"Bearer {_first_line(destination, 'token_file', destination.token_file)}"
    elif destination.password_file is not None:
        password = _first_line(destination, "password_file", destination.password_file)
        authorization = basic_authorization(destination.username, password)
    tls = None
    if destination.ca_file is not None:
        try:
            tls = ssl.create_default_context(cafile=str(destination.ca_file))
        except OSError as error:
            message = f"destination {destination.name}: ca_file cannot be used; check the path and that it is PEM"
            raise Refused(message) from error
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return WebService(url=destination.url, authorization=authorization, tls=tls)


class UnusableSender:
    """A destination whose files cannot be read: what waits for it waits, visibly."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def send(self, consignment: Consignment) -> None:
        """Send nothing."""
        raise PeerUnavailable(self._reason)

    def probe(self) -> None:
        """Reach nobody."""
        raise PeerUnavailable(self._reason)


def _first_line(destination: Destination, key: str, file: Path) -> str:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"destination {destination.name}: {key} cannot be read; check the path and that the service may read it"
        )
        raise Refused(message) from error
    if not lines or not lines[0]:
        message = f"destination {destination.name}: {key} is empty; write the secret on its first line"
        raise Refused(message)
    return lines[0]
