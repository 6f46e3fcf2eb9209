"""Who follows the cases on this node: one line for each follower.

For: which follower gets which part. Not for: behaviour.
"""

from datetime import datetime

from foundation.database import Database
from oncall.directory import Directory
from oncall.engine.published_rules import PublishedRules
from oncall.followers import Follower
from territory.hl7_follower import HospitalNews
from territory.hl7_parts import destinations
from territory.protocol_follower import WorklistProtocols
from territory.reading_tasks import ReadingTaskProjection
from territory.settings import Settings
from territory.worklist_states import WorklistStates


def make_followers(settings: Settings, database: Database, secret: bytes) -> tuple[Follower, ...]:
    """Return the node's followers; `secret` makes patients' keys."""
    rules = PublishedRules(database)

    def directory(now: datetime) -> Directory:
        return rules.at(now).directory

    followers: list[Follower] = [
        WorklistProtocols(lambda person_id, now: directory(now).persons.get(person_id)),
        WorklistStates(),
        ReadingTaskProjection(database, secret, directory, node_aet=settings.dicom.aet[0]),
    ]
    if settings.hl7 is not None:
        followers.append(HospitalNews(settings.hl7, destinations(settings), directory))
    return tuple(followers)
