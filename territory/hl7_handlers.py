"""What HL7 messages mean on this node: which handler each type of message has.

For: the wiring. Not for: sockets (`territory.hl7_parts`), or the meaning of any message (`pacs.worklist.hl7`).
"""

from foundation.database import Database
from pacs.worklist.hl7.by_type import HandlersByType
from pacs.worklist.hl7.message import Handler
from territory.settings import Settings


def make_handler(settings: Settings, database: Database) -> Handler:
    """Return the one handler of every message that comes in."""
    del settings, database
    return HandlersByType({})
