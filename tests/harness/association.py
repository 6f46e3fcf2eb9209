"""An association in memory, for testing services without an engine: a fake of the port `pacs.scp.services.Association`.

It records what a service sends, and lets a test say when the peer cancels, vanishes or the node stops.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foundation.errors import TelegardeError
from pacs.scp.services import Buffer, Context, Peer, Rights
from pacs.upper_layer.dimse import Command, decode_command

ALL_RIGHTS = Rights(
    may_store=True, may_query=True, may_retrieve=True, move_destinations=None, issuer="", may_commit=True
)


class PeerGone(TelegardeError):
    """The recorded peer takes nothing more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One message that the service sent."""

    context_id: int
    command: Command
    dataset: bytes | None

    @property
    def status(self) -> int:
        """The status of a response."""
        status = self.command.status
        assert status is not None
        return status


def context(
    abstract_syntax: str, transfer_syntax: str = "1.2.840.10008.1.2.1", extended: bytes = b"", context_id: int = 1
) -> Context:
    """Return an accepted presentation context."""
    return Context(
        context_id=context_id,
        abstract_syntax=abstract_syntax,
        transfer_syntax=transfer_syntax,
        peer_is_scu=True,
        peer_is_scp=False,
        extended=extended,
    )


class RecordedAssociation:
    """What a service sends to one peer.

    Parameters
    ----------
    rights : Rights
        Of the peer.
    cancel_after : int or None
        Number of messages after which a C-CANCEL has arrived.
    gone_after : int or None
        Number of messages after which the peer is gone.
    calling_aet : str
        Of the peer.
    """

    def __init__(
        self,
        *,
        rights: Rights = ALL_RIGHTS,
        cancel_after: int | None = None,
        gone_after: int | None = None,
        calling_aet: str = "VIEWER",
    ) -> None:
        self._peer = Peer(calling_aet=calling_aet, called_aet="TELEGARDE", address="127.0.0.1", rights=rights)
        self._cancel_after = cancel_after
        self._gone_after = gone_after
        self.sent: list[Sent] = []
        self.stopping = False

    @property
    def peer(self) -> Peer:
        return self._peer

    @property
    def contexts(self) -> Mapping[int, Context]:
        return {}

    def send(self, context_id: int, command: bytes, dataset: Iterable[Buffer] | Buffer | None = None) -> None:
        if self._gone_after is not None and len(self.sent) >= self._gone_after:
            raise PeerGone("the peer is gone")
        if dataset is not None and not isinstance(dataset, bytes | memoryview):
            dataset = b"".join(dataset)
        decoded = decode_command(command)
        self.sent.append(
            Sent(context_id=context_id, command=decoded, dataset=None if dataset is None else bytes(dataset))
        )

    def is_cancelled(self, message_id: int) -> bool:
        del message_id
        return self._cancel_after is not None and len(self.sent) >= self._cancel_after

    def is_quiet(self, wait_s: float) -> bool:
        del wait_s
        return True

    def request(self, context_id: int, command: bytes, dataset: Buffer) -> Command:
        raise AssertionError("a query sends no requests")

    @property
    def is_stopping(self) -> bool:
        return self.stopping
