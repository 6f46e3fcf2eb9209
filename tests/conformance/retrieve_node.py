"""A node in the test's own process that stores and retrieves: real sockets, real archive, settable destinations.

For: retrieve tests, which must order faults (a reader that fails, a node that stops) that a process cannot be told.
Not for: what processes do (`tests.harness.node`).
"""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from foundation.database import Database, sqlite_url
from pacs.archive.file_meta import encode
from pacs.archive.reader import PackReader
from pacs.archive.retrieval import InstanceReader
from pacs.scp.access import Admitted, Call, Load
from pacs.scp.echo import EchoService
from pacs.scp.node_policy import NodePolicy, Timers
from pacs.scp.presentation import VERIFICATION, PresentationPolicy
from pacs.scp.retrieve import GET_SOP_CLASSES, MOVE_SOP_CLASSES, RetrieveService, negotiate_extended
from pacs.scp.server import Listener, Server
from pacs.scp.services import Rights
from pacs.scu.association import ASSOCIATIONS_MAX_DEFAULT, PeerAddress, Timeouts
from pacs.scu.part10 import read_meta
from pacs.upper_layer.associate import AssociateRequest
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer
from tests.harness.archive_parts import SMALL, Archive, open_archive, store_on
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, image

AE_TITLE = "TELEGARDE"
ALL_RIGHTS = Rights(
    may_store=True, may_query=True, may_retrieve=True, may_commit=True, move_destinations=None, issuer=""
)
#: Short, so that a test of a dead destination is quick, and longer than any machine's hiccup.
TIMEOUTS = Timeouts(connect_s=5.0, associate_s=5.0, response_s=5.0, release_s=2.0)


class KnownDestinations:
    """Destinations by AE title; a test adds to it."""

    def __init__(self, known: Mapping[str, PeerAddress]) -> None:
        self.known = dict(known)

    def find(self, ae_title: str) -> PeerAddress | None:
        """Return where an AE title listens."""
        return self.known.get(ae_title)


@dataclass(kw_only=True)
class Node:
    """A running node."""

    port: int
    archive: Archive
    service: RetrieveService
    destinations: KnownDestinations
    server: Server

    def add_destination(self, ae_title: str, port: int, *, associations_max: int = ASSOCIATIONS_MAX_DEFAULT) -> None:
        """Let C-MOVE send to the loopback."""
        self.destinations.known[ae_title] = PeerAddress(
            host="127.0.0.1", port=port, ae_title=ae_title, associations_max=associations_max
        )

    def keep(self, path: Path, *, issuer: str = "") -> None:
        """Store a file as if a modality had sent it."""
        file = path.read_bytes()
        meta = read_meta(file[:4096])
        stream = self.archive.ingest.open_stream()
        try:
            store_on(
                stream,
                file[meta.dataset_offset :],
                meta.sop_instance_uid,
                sop_class_uid=meta.sop_class_uid,
                transfer_syntax_uid=meta.transfer_syntax_uid,
                issuer=issuer,
            )
        finally:
            stream.close()


class _Places:
    def reserve(self, peer: str, admit: Callable[[int, int], bool]) -> int | None:
        return 1 if admit(0, 0) else None

    def leave(self, ticket: int) -> None:
        pass


@contextmanager
def running_node(
    directory: Path,
    *,
    rights: Rights = ALL_RIGHTS,
    reader: Callable[[PackReader], InstanceReader] = lambda packs: packs,
    timeouts: Timeouts = TIMEOUTS,
) -> Iterator[Node]:
    """Run a node on a free port of the loopback.

    Parameters
    ----------
    rights : Rights
        Of every peer.
    reader : callable
        Wraps the reader of the packs, to order faults.
    """
    directory.mkdir(parents=True, exist_ok=True)
    database = Database(sqlite_url(directory / "index.sqlite"))
    database.create_tables()
    journal = directory / "packs"
    journal.mkdir()
    # Room for big objects; the bounds of lanes are tested elsewhere.
    limits = replace(SMALL, lane_bytes_max=1024 * 1024 * 1024)
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    try:
        with open_archive(database, journal, limits=limits) as archive:
            destinations = KnownDestinations({})
            service = RetrieveService(
                database=database,
                reader=reader(PackReader(archive.packs)),
                destinations=destinations,
                ae_title=AE_TITLE,
                timeouts=timeouts,
            )
            server = Server(
                [Listener(sock=listening, tls=None)],
                policy=_policy(rights, service),
                ingest=archive.ingest,
                places=_Places(),
            )
            thread = threading.Thread(target=server.serve)
            thread.start()
            try:
                yield Node(
                    port=listening.getsockname()[1],
                    archive=archive,
                    service=service,
                    destinations=destinations,
                    server=server,
                )
            finally:
                server.stop()
                assert server.drain(10), "an association did not end"
                thread.join()
    finally:
        listening.close()
        database.close()


def _policy(rights: Rights, service: RetrieveService) -> NodePolicy:
    limits = UpperLayerLimits()
    presentation = PresentationPolicy(private_sop_classes=("*",))

    def decide(call: Call, load: Load) -> Admitted:
        del call, load
        return Admitted(rights=rights)

    def offer_for(request: AssociateRequest, rights: Rights) -> Offer:
        return presentation.offer(
            request,
            rights,
            implementation_class_uid="1.2.3",
            implementation_version_name="TEST",
            maximum_length=limits.pdu_length_max,
            extended_negotiation=negotiate_extended,
        )

    return NodePolicy(
        decide=decide,
        offer_for=offer_for,
        services={
            VERIFICATION: EchoService(),
            **dict.fromkeys(MOVE_SOP_CLASSES, service),
            **dict.fromkeys(GET_SOP_CLASSES, service),
        },
        limits=limits,
        timers=Timers(artim_s=5.0, idle_s=30.0),
    )


def write(
    directory: Path,
    sop_instance_uid: str,
    *,
    sop_class_uid: str = CT_IMAGE,
    pixels: bytes = b"\1\2" * 500,
    **options: str,
) -> Path:
    """Write a small image as a file."""
    head = encode(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=EXPLICIT_LITTLE,
        source_aet="CT1",
    )
    path = directory / f"{sop_instance_uid}.dcm"
    path.write_bytes(head + image(sop_instance_uid, sop_class_uid=sop_class_uid, pixels=pixels, **options))
    return path


def stored_dataset(path: Path) -> bytes:
    """Return the data set of a file, without its head."""
    file = path.read_bytes()
    return file[read_meta(file[:4096]).dataset_offset :]


def keep_six(node: Node, directory: Path) -> list[str]:
    """Store six images in two series of the study 1.2.3, and one of another study; return the six UIDs."""
    uids = [f"1.2.3.{series}.{number}" for series in (1, 2) for number in (1, 2, 3)]
    for uid in uids:
        node.keep(write(directory, uid, series_instance_uid=uid.rpartition(".")[0]))
    node.keep(write(directory, "9.9.9.1", study_instance_uid="9.9.9", series_instance_uid="9.9.9.0"))
    return uids
