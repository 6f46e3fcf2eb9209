"""What can go wrong when we call a peer: each error says at which step, and with what the peer answered.

All are `Unavailable`: the peer cannot serve us now, and whoever asked us is answered a failure.

References
----------
PS3.8 9.3.4 (A-ASSOCIATE-RJ, Table 9-21), 9.3.8 (A-ABORT, Table 9-26)
"""

from foundation.errors import Unavailable

_TRANSIENT = 2


class PeerUnavailable(Unavailable):
    """A peer that we called does not serve us; the root of the errors below."""


class ConnectFailed(PeerUnavailable):
    """No transport connection: refused, unreachable, no such host, or TLS did not come about."""


class AssociationRejected(PeerUnavailable):
    """The peer answered A-ASSOCIATE-RJ (PS3.8 Table 9-21).

    Parameters
    ----------
    result : int
        1 permanent, 2 transient.
    source, reason : int
        As in the table; together they say, for example, that the called AE title is not recognized (1, 7).
    """

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(
            f"the peer rejected the association (result {result}, source {source}, reason {reason})",
            is_retryable=result == _TRANSIENT,
        )
        self.result = result
        self.source = source
        self.reason = reason


class AssociationAborted(PeerUnavailable):
    """The peer ended the association with A-ABORT (PS3.8 Table 9-26), or by breaking the protocol."""

    def __init__(self, message: str, *, source: int, reason: int) -> None:
        super().__init__(message)
        self.source = source
        self.reason = reason


class ConnectionLost(PeerUnavailable):
    """The transport connection ended inside the association, or the peer released it unasked."""


class PeerTimedOut(PeerUnavailable):
    """The peer neither sent nor took anything within the time allowed."""
