"""The owner of reading tasks with everything it stands on, for a process that has no engine yet.

For: which object gets which other. Not for: behaviour.
"""

from foundation.clock import Clock
from foundation.database import Database
from oncall.engine.engine import Engine
from oncall.engine.published_rules import PublishedRules
from oncall.engine.sql_store import SqlStore
from oncall.notify import Sender
from pacs.worklist.ups.tasks import TaskOwner
from territory.answer_links import answer_url
from territory.oncall_process import answer_secret
from territory.reading_tasks import ReadingTaskProjection
from territory.settings import Settings
from territory.task_owner import EngineTasks, EngineTurns, Turns


def make_task_owner(
    settings: Settings, database: Database, clock: Clock, *, worker: str, turns: Turns | None = None
) -> TaskOwner:
    """Return the owner; with an engine of its own when none is given."""
    secret = answer_secret(settings.archive.data_dir)
    rules = PublishedRules(database)

    def make_engine() -> Engine:
        sender = Sender(answer_url=answer_url(settings), secret=secret)
        return Engine(SqlStore(database), PublishedRules(database), sender, worker=worker)

    projection = ReadingTaskProjection(
        database, secret, lambda now: rules.at(now).directory, node_aet=settings.dicom.aet[0]
    )
    chosen = turns or EngineTurns(make_engine, clock)
    return EngineTasks(chosen, projection, database, clock, lambda now: rules.at(now).directory)
