"""A node's DICOM engine in the test's own process, on a socket of its own, with timers as short as a test likes.

For: engine tests that look inside, need small limits, or both databases. Not for: processes, settings, health, which
are the command line's (`tests.harness.peers.TelegardeNode`), or kills (`tests.harness.forked_node`).
"""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from foundation.database import Database
from pacs.archive import file_meta
from pacs.archive.index import DuplicatePolicy
from pacs.archive.ingest import Ingest
from pacs.scp import presentation
from pacs.scp.access import AccessRules, Admitted, Call, Load, PeerRule, Rejected, decide
from pacs.scp.echo import EchoService
from pacs.scp.node_policy import NodePolicy, Timers
from pacs.scp.presentation import PresentationPolicy
from pacs.scp.server import Listener, Server
from pacs.scp.services import Rights, Service
from pacs.upper_layer.associate import AssociateRequest
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer
from storage_tiers.lane import LaneLimits
from tests.harness.archive_parts import SMALL, Archive, open_archive
from tests.harness.peers import wait_until

RIGHTS = Rights(
    may_store=True, may_query=True, may_retrieve=True, may_commit=True, move_destinations=None, issuer="NORTH"
)
#: Long enough for a loaded machine, short enough to be waited for.
TIMERS = Timers(artim_s=10.0, idle_s=10.0)


class CountedPlaces:
    """Counts the associations of one process; fulfils `pacs.scp.association.Places`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._peers: dict[int, str] = {}
        self._next = 0

    def reserve(self, peer: str, admit: Callable[[int, int], bool]) -> int | None:
        """Take a place if it is admitted."""
        with self._lock:
            of_peer = sum(one == peer for one in self._peers.values())
            if not admit(len(self._peers), of_peer):
                return None
            self._next += 1
            self._peers[self._next] = peer
            return self._next

    def leave(self, ticket: int) -> None:
        """Give a place back."""
        with self._lock:
            del self._peers[ticket]

    @property
    def count(self) -> int:
        """How many are taken."""
        with self._lock:
            return len(self._peers)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A running engine."""

    port: int
    archive: Archive
    server: Server
    places: CountedPlaces

    def wait_until_idle(self) -> None:
        """Wait until no association is open any more."""
        wait_until(lambda: self.server.association_count == 0, what="the end of all associations")


def node_policy(
    *,
    timers: Timers = TIMERS,
    rights: Rights = RIGHTS,
    associations_max: int = 256,
    services: Mapping[str, Service] | None = None,
) -> NodePolicy:
    """Return a policy that admits anybody on the loopback who calls TELEGARDE."""
    anyone = PeerRule(
        networks=(ip_network("127.0.0.0/8"),),
        requires_tls=False,
        certificate_names=frozenset(),
        associations_max=associations_max,
        rights=rights,
    )
    rules = AccessRules(
        called_aets=frozenset({"TELEGARDE"}), peers={}, anyone=anyone, associations_max=associations_max
    )
    limits = UpperLayerLimits()
    offered = PresentationPolicy(private_sop_classes=["*"])

    def decide_here(call: Call, load: Load) -> Admitted | Rejected:
        return decide(rules, call, load)

    def offer_for(request: AssociateRequest, rights_of_peer: Rights) -> Offer:
        return offered.offer(
            request,
            rights_of_peer,
            implementation_class_uid=file_meta.IMPLEMENTATION_CLASS_UID,
            implementation_version_name=file_meta.IMPLEMENTATION_VERSION_NAME,
            maximum_length=limits.pdu_length_max,
            extended_negotiation=lambda _uid, _information: None,
        )

    return NodePolicy(
        decide=decide_here,
        offer_for=offer_for,
        services={presentation.VERIFICATION: EchoService(), **(services or {})},
        limits=limits,
        timers=timers,
    )


def server_of(listener: socket.socket, policy: NodePolicy, ingest: Ingest, places: CountedPlaces) -> Server:
    """Return a server on one listening socket."""
    return Server([Listener(sock=listener, tls=None)], policy=policy, ingest=ingest, places=places)


@contextmanager
def running_node(
    database: Database,
    journal: Path,
    *,
    limits: LaneLimits = SMALL,
    policy: NodePolicy | None = None,
    duplicates: DuplicatePolicy = DuplicatePolicy.KEEP_AS_EVIDENCE,
) -> Iterator[Node]:
    """Yield a node that serves; stopped gracefully at the end, its lanes sealed."""
    with (
        open_archive(database, journal, limits=limits, policy=duplicates) as archive,
        socket.create_server(("127.0.0.1", 0), backlog=128) as listener,
    ):
        places = CountedPlaces()
        server = server_of(listener, policy or node_policy(), archive.ingest, places)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield Node(port=listener.getsockname()[1], archive=archive, server=server, places=places)
        finally:
            server.stop()
            assert server.drain(20.0), "an association did not end"
            thread.join()
