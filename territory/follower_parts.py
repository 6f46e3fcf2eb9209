"""Who follows the cases on this node: one line for each follower.

For: which follower gets which part. Not for: behaviour.
"""

from foundation.database import Database
from oncall.engine.published_rules import PublishedRules
from oncall.followers import Follower
from territory.hl7_follower import HospitalNews
from territory.hl7_parts import destinations
from territory.protocol_follower import WorklistProtocols
from territory.settings import Settings


def make_followers(settings: Settings, database: Database, secret: bytes) -> tuple[Follower, ...]:
    """Return the node's followers; `secret` makes patients' keys."""
    del secret
    rules = PublishedRules(database)
    followers: list[Follower] = [
        WorklistProtocols(lambda person_id, now: rules.at(now).directory.persons.get(person_id))
    ]
    if settings.hl7 is not None:
        followers.append(HospitalNews(settings.hl7, destinations(settings), lambda now: rules.at(now).directory))
    return tuple(followers)
