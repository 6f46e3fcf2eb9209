"""A node in the test's own process that only answers queries, from a database that the test has filled.

For: C-FIND over real sockets with indexes and caps that a started node does not have. Not for: what processes do.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.database import Database
from pacs.scp.access import Admitted, Call, Load
from pacs.scp.find import MODELS, FindService, agree_extended
from pacs.scp.node_policy import NodePolicy, Timers
from pacs.scp.presentation import PresentationPolicy
from pacs.scp.server import Listener, Server
from pacs.scp.services import Rights
from pacs.upper_layer.associate import AssociateRequest
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer
from tests.harness.archive_parts import open_archive
from tests.harness.association import ALL_RIGHTS

AE_TITLE = "TELEGARDE"


class _Places:
    def reserve(self, peer: str, admit: Callable[[int, int], bool]) -> int | None:
        return 1 if admit(0, 0) else None

    def leave(self, ticket: int) -> None:
        pass


@contextmanager
def running_find_node(directory: Path, database: Database, service: FindService) -> Iterator[int]:
    """Run a node on a free port of the loopback; yield the port."""
    journal = directory / "packs"
    journal.mkdir()
    listening = socket.create_server(("127.0.0.1", 0), backlog=16)
    with listening, open_archive(database, journal) as archive:
        server = Server(
            [Listener(sock=listening, tls=None)],
            policy=_policy(service),
            ingest=archive.ingest,
            places=_Places(),
        )
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.stop()
            assert server.drain(10), "an association did not end"
            thread.join()


def _policy(service: FindService) -> NodePolicy:
    limits = UpperLayerLimits()
    presentation = PresentationPolicy(private_sop_classes=())

    def decide(call: Call, load: Load) -> Admitted:
        del call, load
        return Admitted(rights=ALL_RIGHTS)

    def offer_for(request: AssociateRequest, rights: Rights) -> Offer:
        return presentation.offer(
            request,
            rights,
            implementation_class_uid="1.2.3",
            implementation_version_name="TEST",
            maximum_length=limits.pdu_length_max,
            extended_negotiation=lambda sop_class_uid, proposed: agree_extended(proposed),
        )

    return NodePolicy(
        decide=decide,
        offer_for=offer_for,
        services=dict.fromkeys(MODELS, service),
        limits=limits,
        timers=Timers(artim_s=10.0, idle_s=30.0),
    )
