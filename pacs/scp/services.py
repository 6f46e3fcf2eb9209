"""The seam between the engine (sockets, threads) and the services (what is answered).

A service handles one request on one association, in that association's thread, and talks to the peer only through
`Association`. Storage does not pass through here: its data set is streamed, not gathered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pacs.upper_layer.dimse import Command

Buffer = bytes | memoryview


@dataclass(frozen=True, kw_only=True, slots=True)
class Rights:
    """What a calling AE may do (`pacs.scp.access` decides it once, when the association is requested)."""

    may_store: bool
    may_query: bool
    may_retrieve: bool
    # Storage Commitment (PS3.4 J).
    may_commit: bool = False
    # Modality Worklist and Modality Performed Procedure Step (PS3.4 K, F), of its own site.
    may_worklist: bool = False
    # Unified Procedure Step (PS3.4 CC).
    may_workitems: bool = False
    # The hospital whose orders it sees and whose steps it performs; '' = none, so it sees none.
    site: str = ""
    # AE titles this peer may name as Move Destination; None = every configured peer.
    move_destinations: frozenset[str] | None
    # Issuer of Patient ID put on data sets that carry none; '' = none configured.
    issuer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Who is at the other end."""

    calling_aet: str
    called_aet: str
    address: str
    rights: Rights


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """An accepted presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    # What the peer may be on this context (PS3.7 D.3.3.4); by default the requestor is SCU only.
    peer_is_scu: bool
    peer_is_scp: bool
    # SOP Class Extended Negotiation as accepted, e.g. PS3.4 C.5.1.1: bytes as agreed, b'' when none.
    extended: bytes


class Association(Protocol):
    """An established association, as a service sees it. Every call may raise `AssociationLost`."""

    @property
    def peer(self) -> Peer:
        """Who is at the other end and what they may do."""

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Accepted presentation contexts by id."""

    def send(self, context_id: int, command: bytes, dataset: Iterable[Buffer] | Buffer | None = None) -> None:
        """Send one message: an encoded command set and, if any, its data set. Blocks until written."""

    def is_cancelled(self, message_id: int) -> bool:
        """Say whether a C-CANCEL-RQ for this message has come; looks at the socket without waiting.

        Any other message that a peer sends meanwhile is against PS3.7 when no asynchronous operations were negotiated
        and aborts the association.
        """

    def request(self, context_id: int, command: bytes, dataset: Buffer) -> Command:
        """Send a request of our own (C-GET's C-STORE, N-EVENT-REPORT) and wait for its response.

        A C-CANCEL-RQ that arrives meanwhile is remembered for `is_cancelled`; any request but a query or a retrieve
        that crosses ours is served, because each side may have one operation outstanding (PS3.7 D.3.3.3).
        """

    def is_quiet(self, wait_s: float) -> bool:
        """Say whether the peer sends nothing for so long and owes us nothing: the time to notify it of something."""

    @property
    def is_stopping(self) -> bool:
        """True when the node is being stopped: a long service ends with a refusal at its next step."""


class Service(Protocol):
    """Handles requests of some abstract syntaxes; one object serves all associations of a worker."""

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request completely (all its responses). `dataset` is b'' when the command announces none.

        Raises
        ------
        foundation.errors.TelegardeError
            The engine answers `pacs.status.Status.PROCESSING_FAILURE` (or OUT_OF_RESOURCES for `Unavailable`) itself.
        """
