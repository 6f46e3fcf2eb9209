"""C-STORE of instances that we hold: which contexts to propose, which to use, and one operation.

Shared by C-MOVE, C-GET and ``telegarde send``. Pure but for `store`; nothing here reads files.

Invariants: bytes pass through when the peer accepts the stored transfer syntax; else they are transcoded, when a
native syntax was accepted and `pacs.transcode` can; else there is no context and the instance is not sent.

References
----------
PS3.4 B.3 (Storage behaviour), B.2.3 (status); PS3.7 9.1.1, 9.3.1; PS3.8 9.3.2.2 (at most 128 contexts)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pacs.scu.association import RequestorAssociation
from pacs.scu.transport import Buffer
from pacs.transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    can_transcode,
    fallback_syntaxes,
    transcode,
)
from pacs.upper_layer.associate import PresentationContextProposal
from pacs.upper_layer.dimse import Priority, store_request
from pacs.upper_layer.limits import PRESENTATION_CONTEXTS_MAX

# What is stored: (SOP Class UID, transfer syntax UID).
Kind = tuple[str, str]

# Best first. Of these only the first two are ever proposed by us; a C-GET peer may offer the others.
_TARGETS: Final = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveOriginator:
    """Who asked for the C-MOVE that a C-STORE is part of (PS3.7 9.1.1.1.6 and .7)."""

    ae_title: str
    message_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenContext:
    """How an instance goes to this peer."""

    context_id: int
    transfer_syntax: str
    is_transcoding: bool


class ContextChooser:
    """Chooses among accepted contexts.

    Parameters
    ----------
    accepted : iterable of (context_id, abstract_syntax, transfer_syntax)
        In which we are the SCU.
    """

    def __init__(self, accepted: Iterable[tuple[int, str, str]]) -> None:
        self._ids: dict[Kind, int] = {}
        self._chosen: dict[Kind, ChosenContext | None] = {}
        for context_id, abstract_syntax, transfer_syntax in accepted:
            self._ids.setdefault((abstract_syntax, transfer_syntax), context_id)

    def choose(self, kind: Kind) -> ChosenContext | None:
        """Return the context for an instance of this kind; None when the peer accepted none that we can fill."""
        if kind not in self._chosen:
            self._chosen[kind] = self._choose(kind)
        return self._chosen[kind]

    def _choose(self, kind: Kind) -> ChosenContext | None:
        context_id = self._ids.get(kind)
        sop_class_uid, stored = kind
        if context_id is not None:
            return ChosenContext(context_id=context_id, transfer_syntax=stored, is_transcoding=False)
        for target in _TARGETS:
            context_id = self._ids.get((sop_class_uid, target))
            if context_id is not None and can_transcode(stored, target):
                return ChosenContext(context_id=context_id, transfer_syntax=target, is_transcoding=True)
        return None


def plan_contexts(kinds: Iterable[Kind]) -> tuple[tuple[PresentationContextProposal, ...], ...]:
    """Propose contexts for everything that is to be sent, in as many associations as that takes.

    Each SOP Class is proposed with each transfer syntax it is stored in, and with native ones to fall back to; one
    transfer syntax for each context, because of several the peer would choose, and perhaps not the stored one.

    Parameters
    ----------
    kinds : iterable of (SOP Class UID, transfer syntax UID)

    Returns
    -------
    tuple of tuple of PresentationContextProposal
        Proposals of one association each, at most 128; all contexts of a SOP Class are in the same one.
    """
    by_class: dict[str, dict[str, None]] = {}
    for sop_class_uid, transfer_syntax in kinds:
        by_class.setdefault(sop_class_uid, {})[transfer_syntax] = None
    buckets: list[list[Kind]] = []
    for sop_class_uid, stored in by_class.items():
        wanted = dict(stored)
        for transfer_syntax in stored:
            wanted.update(dict.fromkeys(fallback_syntaxes(transfer_syntax)))
        # More than 128 transfer syntaxes do not exist; what we would leave out are fallbacks.
        pairs = [(sop_class_uid, transfer_syntax) for transfer_syntax in wanted][:PRESENTATION_CONTEXTS_MAX]
        for bucket in buckets:
            if len(bucket) + len(pairs) <= PRESENTATION_CONTEXTS_MAX:
                bucket += pairs
                break
        else:
            buckets.append(pairs)
    return tuple(
        tuple(
            PresentationContextProposal(
                context_id=2 * number + 1, abstract_syntax=abstract_syntax, transfer_syntaxes=(transfer_syntax,)
            )
            for number, (abstract_syntax, transfer_syntax) in enumerate(bucket)
        )
        for bucket in buckets
    )


def dataset_for(dataset: memoryview, kind: Kind, context: ChosenContext) -> memoryview:
    """Return the data set in the transfer syntax of its context: as stored, or transcoded.

    Raises
    ------
    TranscodingImpossible
        If this data set cannot be transcoded.
    """
    if not context.is_transcoding:
        return dataset
    return transcode(dataset, source_uid=kind[1], target_uid=context.transfer_syntax)


def send_instance(
    association: RequestorAssociation,
    context_id: int,
    sop_class_uid: str,
    sop_instance_uid: str,
    dataset: Buffer | Iterable[Buffer],
    *,
    priority: int = Priority.MEDIUM,
    originator: MoveOriginator | None = None,
) -> int:
    """Write a C-STORE-RQ with its data set; the response is still to be received.

    Returns
    -------
    int
        The message ID, for `RequestorAssociation.receive_response`.

    Raises
    ------
    PeerTimedOut, ConnectionLost
        The association is over.
    """
    message_id = association.next_message_id()
    command = store_request(
        message_id,
        sop_class_uid,
        sop_instance_uid,
        priority=priority,
        move_originator_aet=originator.ae_title if originator else None,
        move_originator_message_id=originator.message_id if originator else None,
    )
    association.send(context_id, command, dataset)
    return message_id
