"""Who is subscribed to what: the subscription states of an AE for one work item, PS3.4 Table CC.2.3-2 as data.

For: what an action or a new work item changes, and whether an initial report follows. Not for: rows, or sending.

Invariant: what an AE asked of one work item is not changed by what it asks of all, but by unsubscribing from all.

References
----------
PS3.4 CC.2.3.1, Table CC.2.3-2; CC.2.3.3.1 (filtered global subscription)
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Subscription(StrEnum):
    """Of one AE to one work item."""

    NONE = "none"
    LOCKED = "locked"
    UNLOCKED = "unlocked"

    @property
    def is_told(self) -> bool:
        """Events are sent."""
        return self is not Subscription.NONE


class Happening(StrEnum):
    """The rows of the table; a filtered subscription is a global one for the work items that match."""

    CREATED = "created, no global subscription"
    CREATED_LOCKED = "created, global subscription with lock"
    CREATED_UNLOCKED = "created, global subscription without lock"
    SUBSCRIBED_GLOBALLY_LOCKED = "subscribes globally with lock"
    SUBSCRIBED_GLOBALLY_UNLOCKED = "subscribes globally without lock"
    SUBSCRIBED_LOCKED = "subscribes with lock"
    SUBSCRIBED_UNLOCKED = "subscribes without lock"
    UNSUBSCRIBED = "unsubscribes"
    UNSUBSCRIBED_GLOBALLY = "unsubscribes globally"
    SUSPENDED = "suspends the global subscription"


class Move(NamedTuple):
    """The state that follows, and whether the AE is sent the current state of the work item."""

    to: Subscription
    is_reported: bool = False


_N, _L, _U = Subscription.NONE, Subscription.LOCKED, Subscription.UNLOCKED


def _row(none: Move, locked: Move, unlocked: Move) -> Mapping[Subscription, Move]:
    return MappingProxyType({_N: none, _L: locked, _U: unlocked})


_STAY: Final = _row(Move(_N), Move(_L), Move(_U))
_GONE: Final = _row(Move(_N), Move(_N), Move(_N))

TABLE: Final[Mapping[Happening, Mapping[Subscription, Move]]] = MappingProxyType(
    {
        # A new work item has nobody yet; who asked for one by name before cannot be.
        Happening.CREATED: _STAY,
        Happening.CREATED_LOCKED: _row(Move(_L, True), Move(_L), Move(_U)),
        Happening.CREATED_UNLOCKED: _row(Move(_U, True), Move(_L), Move(_U)),
        Happening.SUBSCRIBED_GLOBALLY_LOCKED: _row(Move(_L, True), Move(_L), Move(_U)),
        Happening.SUBSCRIBED_GLOBALLY_UNLOCKED: _row(Move(_U), Move(_L), Move(_U)),
        Happening.SUBSCRIBED_LOCKED: _row(Move(_L, True), Move(_L, True), Move(_L, True)),
        Happening.SUBSCRIBED_UNLOCKED: _row(Move(_U, True), Move(_U, True), Move(_U, True)),
        Happening.UNSUBSCRIBED: _GONE,
        Happening.UNSUBSCRIBED_GLOBALLY: _GONE,
        Happening.SUSPENDED: _STAY,
    }
)
"""By happening and state."""
