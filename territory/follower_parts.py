"""Who follows the cases on this node: one line for each follower.

For: which follower gets which part. Not for: behaviour.
"""

from foundation.database import Database
from oncall.followers import Follower
from territory.settings import Settings


def make_followers(settings: Settings, database: Database, secret: bytes) -> tuple[Follower, ...]:
    """Return the node's followers; `secret` makes patients' keys."""
    del settings, database, secret
    return ()
