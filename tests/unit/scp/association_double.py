"""An association in memory: records what a service sends and answers its requests from a script."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pacs.scp.services import Buffer, Context, Peer, Rights
from pacs.upper_layer.dimse import Command, decode_command

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
ALL_RIGHTS = Rights(
    may_store=True, may_query=True, may_retrieve=True, may_commit=True, move_destinations=None, issuer="NORTH"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One message that the service sent."""

    context_id: int
    command: Command
    dataset: bytes


Answer = Callable[[Sent], Command]


def context_of(abstract_syntax: str, *, transfer_syntax: str = EXPLICIT_LITTLE, context_id: int = 1) -> Context:
    """Return an accepted context with the usual roles."""
    return Context(
        context_id=context_id,
        abstract_syntax=abstract_syntax,
        transfer_syntax=transfer_syntax,
        peer_is_scu=True,
        peer_is_scp=False,
        extended=b"",
    )


def _no_answer(sent: Sent) -> Command:
    raise AssertionError(f"unexpected request {sent.command!r}")


@dataclass(kw_only=True)
class AssociationDouble:
    """Fulfils `pacs.scp.services.Association`."""

    calling_aet: str = "CT1"
    rights: Rights = ALL_RIGHTS
    answer: Answer = _no_answer
    is_stopping: bool = False
    goes_on: bool = False
    sent: list[Sent] = field(default_factory=list)
    requested: list[Sent] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        """Return the other end."""
        return Peer(calling_aet=self.calling_aet, called_aet="TELEGARDE", address="127.0.0.1", rights=self.rights)

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Return no contexts: services here get theirs with the request."""
        return {}

    def send(self, context_id: int, command: bytes, dataset: Iterable[Buffer] | Buffer | None = None) -> None:
        """Record a message."""
        self.sent.append(_message(context_id, command, dataset))

    def is_cancelled(self, message_id: int) -> bool:
        """Say that nothing is cancelled."""
        del message_id
        return False

    def is_quiet(self, wait_s: float) -> bool:
        """Say that the peer waits for us, unless it was ordered to go on."""
        del wait_s
        return not self.goes_on

    def request(self, context_id: int, command: bytes, dataset: Buffer) -> Command:
        """Record a request and return its answer."""
        sent = _message(context_id, command, dataset)
        self.requested.append(sent)
        return self.answer(sent)


def _message(context_id: int, command: bytes, dataset: Iterable[Buffer] | Buffer | None) -> Sent:
    if dataset is None:
        whole = b""
    elif isinstance(dataset, bytes | memoryview):
        whole = bytes(dataset)
    else:
        whole = b"".join(bytes(part) for part in dataset)
    return Sent(context_id=context_id, command=decode_command(command), dataset=whole)
