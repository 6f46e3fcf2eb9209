"""How many wrong tokens somebody may try: by address, and all together.

For: the login page. Not for: programs, whose tokens are too long to be guessed (`access.TOKEN_CHARACTERS_MIN`).

Invariant: memory is bounded whatever comes: the failures of all addresses are one queue with a maximum, and when that
is reached everybody waits. Who has a cookie or a known bearer token is let in all the same.
"""

import threading
from collections import deque
from datetime import datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(minutes=5)
"""A failure counts for so long."""

FAILURES_PER_ADDRESS_MAX: Final = 10
"""In a window; a ward shares an address, and a slip of the hand is not an attack."""

FAILURES_MAX: Final = 200
"""Of all addresses in a window, and what is kept of them."""


class LoginLimit:
    """Counts failed logins; for several threads."""

    def __init__(self) -> None:
        self._failures: deque[tuple[datetime, str]] = deque(maxlen=FAILURES_MAX)
        self._turn = threading.Lock()

    def is_exceeded(self, address: str, now: datetime) -> bool:
        """Tell whether a login from an address has to wait, whatever its token."""
        with self._turn:
            while self._failures and self._failures[0][0] <= now - WINDOW:
                self._failures.popleft()
            theirs = sum(1 for _, one in self._failures if one == address)
            return theirs >= FAILURES_PER_ADDRESS_MAX or len(self._failures) >= FAILURES_MAX

    def failed(self, address: str, now: datetime) -> None:
        """Count a wrong token."""
        with self._turn:
            self._failures.append((now, address))
