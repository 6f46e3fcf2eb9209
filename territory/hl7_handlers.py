"""What HL7 messages mean on this node: the handler of every message that comes in.

For: the wiring. Not for: sockets (`territory.hl7_parts`), or the meaning of any message (`pacs.worklist.hl7.handling`).
"""

from zoneinfo import ZoneInfo

from foundation.clock import Clock
from foundation.database import Database
from oncall.directory import SiteId
from oncall.documents_store import NothingPublished
from oncall.engine.published_rules import PublishedRules
from pacs.worklist.hl7.handling import HospitalMessages
from pacs.worklist.hl7.message import Handler


def make_handler(database: Database, clock: Clock) -> Handler:
    """Return what gives messages their effect; one for a process.

    Parameters
    ----------
    database : Database
        Where the directory is, which knows each site's time zone.
    clock : Clock
        Says which directory is in force.
    """
    rules = PublishedRules(database)

    def zone_of(site_id: str) -> ZoneInfo | None:
        try:
            site = rules.at(clock.now()).directory.sites.get(SiteId(site_id))
        except NothingPublished:
            return None
        return None if site is None else ZoneInfo(site.time_zone)

    return HospitalMessages(zone_of)
