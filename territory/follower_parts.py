"""Who follows the cases on this node: one line for each follower.

For: which follower gets which part. Not for: behaviour.
"""

from foundation.database import Database
from oncall.engine.published_rules import PublishedRules
from oncall.followers import Follower
from territory.protocol_follower import WorklistProtocols
from territory.settings import Settings


def make_followers(settings: Settings, database: Database, secret: bytes) -> tuple[Follower, ...]:
    """Return the node's followers; `secret` makes patients' keys."""
    del settings, secret
    rules = PublishedRules(database)
    return (WorklistProtocols(lambda person_id, now: rules.at(now).directory.persons.get(person_id)),)
