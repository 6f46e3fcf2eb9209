"""What all associations of a node share: the policy that decides, the timers, and the count of who is there.

For: `pacs.scp.association` and `pacs.scp.server`, which apply it. Not for: decisions.

References
----------
PS3.8 9.1.5 (ARTIM timer)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pacs.scp.access import Admitted, Call, Load, Rejected
from pacs.scp.association_facts import TellEnd, tell_nobody
from pacs.scp.services import Rights, Service
from pacs.upper_layer.associate import AssociateRequest
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer


class Places(Protocol):
    """Counts open associations over all workers, so that limits are exact."""

    def reserve(self, peer: str, admit: Callable[[int, int], bool]) -> int | None:
        """Take a place if `admit(open in all, open of this peer)` says so; None when not."""

    def leave(self, ticket: int) -> None:
        """Give a place back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timers:
    """Waits of an association, in seconds."""

    # PS3.8 9.1.5: from the connection to a whole A-ASSOCIATE-RQ, and after a release or abort to the close.
    artim_s: float
    # Longest silence inside an association; also the time in which a message in progress must make progress.
    idle_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePolicy:
    """What every association of this node shares.

    ``decide`` is `pacs.scp.access.decide` with the rules bound; ``offer_for`` gives the presentation offer of a peer
    with these rights; ``services`` maps command fields (C-FIND-RQ, ...) to services by abstract syntax; ``tell_end``
    is told when an association that stored images has ended.
    """

    decide: Callable[[Call, Load], Admitted | Rejected]
    offer_for: Callable[[AssociateRequest, Rights], Offer]
    services: Mapping[str, Service]
    limits: UpperLayerLimits
    timers: Timers
    tell_end: TellEnd = tell_nobody
