"""The error root and its families: whose fault it is decides what is answered.

A class carries data (fields), not text to be parsed; a message never holds patient data. Programmer errors are
``assert`` and are not part of this tree.
"""


class TelegardeError(Exception):
    """Root of every error that Telegarde raises on purpose."""


class PeerError(TelegardeError):
    """A peer broke the protocol or sent data that cannot be used; the answer goes back to that peer only."""


class Refused(TelegardeError):
    """A policy said no; the message says which rule and what to change."""


class Unavailable(TelegardeError):
    """Disk, database or network cannot serve now; the caller must answer a failure, never an empty result.

    Parameters
    ----------
    message : str
        What is unavailable and what to do; no patient data.
    is_retryable : bool
        Whether the same call may succeed later without anybody acting.
    """

    def __init__(self, message: str, *, is_retryable: bool = True) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable


class DiskFull(Unavailable):
    """There is no room for more bytes; reading, finding and echoing go on."""
