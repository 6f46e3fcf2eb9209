"""What a channel is to the rest: something that takes a message and says honestly what became of it."""

from typing import Final, Protocol

from oncall.directory import ChannelKind
from oncall.messages import Message, Outcome

STEP_TIMEOUT_S: Final = 5.0
"""For each exchange with a relay or gateway; a hand-over has at most five of them, which fits `HAND_OVER_S_MAX`."""

HAND_OVER_S_MAX: Final = 30.0
"""The longest hand-over; no sender begins one when its lease has less left than this."""


class Channel(Protocol):
    """One way out. Threads may call `hand_over` at the same time.

    ``is_repeatable`` says that the other end recognises `idempotency_key`, so that handing the same message over again
    reaches the person once.
    """

    @property
    def kind(self) -> ChannelKind:
        """Which contact methods it serves."""

    @property
    def is_repeatable(self) -> bool:
        """Whether a message may be handed over again when nobody knows whether it was sent."""

    def hand_over(self, message: Message) -> Outcome:
        """Give the message to the other end; never raises for what the other end does."""

    def close(self) -> None:
        """End idle connections of the calling thread."""
