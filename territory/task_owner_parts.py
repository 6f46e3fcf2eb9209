"""The owner of reading tasks with everything it stands on: for DICOM workers, and for the web interface.

For: which object gets which other. Not for: behaviour.
"""

from collections.abc import Callable
from datetime import datetime

from foundation.clock import Clock
from foundation.database import Database
from oncall.directory import Directory
from oncall.engine.engine import Engine
from oncall.engine.published_rules import PublishedRules
from oncall.engine.sql_store import SqlStore
from oncall.notify import Sender
from pacs.worklist.ups.tasks import TaskOwner
from pacs.worklist.ups.worklist import Worklist
from territory.answer_links import answer_url
from territory.oncall_process import answer_secret
from territory.reading_tasks import ReadingTaskProjection
from territory.settings import Settings
from territory.task_owner import EngineTasks, EngineTurns, Turns
from territory.ups_web.room import WorkitemRoom


def make_task_owner(settings: Settings, database: Database, clock: Clock, *, worker: str) -> TaskOwner:
    """Return the owner for a process that has no engine: it gets one of its own."""
    secret = answer_secret(settings.archive.data_dir)
    rules = PublishedRules(database)

    def directory(now: datetime) -> Directory:
        return rules.at(now).directory

    def make_engine() -> Engine:
        sender = Sender(answer_url=answer_url(settings), secret=secret)
        return Engine(SqlStore(database), PublishedRules(database), sender, worker=worker)

    projection = ReadingTaskProjection(database, secret, directory, node_aet=settings.dicom.aet[0])
    return EngineTasks(EngineTurns(make_engine, clock), projection, database, clock, directory)


def make_workitem_room(
    turns: Turns,
    database: Database,
    clock: Clock,
    secret: bytes,
    read_directory: Callable[[datetime], Directory],
    *,
    node_aet: str,
    peer_aets: frozenset[str] = frozenset(),
) -> WorkitemRoom:
    """Return the worklist of the web interface, whose engine takes `turns`."""
    projection = ReadingTaskProjection(database, secret, read_directory, node_aet=node_aet)
    owner = EngineTasks(turns, projection, database, clock, read_directory)
    return WorkitemRoom(worklist=Worklist(database, clock, owner), database=database, clock=clock, peer_aets=peer_aets)
