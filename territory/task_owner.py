"""Turns what clients ask of reading tasks by UPS into commands of the on-call engine.

For: `pacs.worklist.ups.tasks.TaskOwner` on the engine. Not for: what the engine decides, or the projection
(`territory.reading_tasks`), which it only has written at once.

Invariants
----------
* A reader acts as themselves: as the person whom the token names, or whose workstation the settings say it is. Only on
  an open loopback node, where nobody is known, the reader is whom the case was given to.
* A report is signed in Telegarde and nowhere else, so no client can complete a task: it is completed by the signature.
* The answer is given after the rows are what was decided.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Final, Protocol, TypeVar

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Refused
from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.event import Actor, CaseId
from oncall.case.state import Case
from oncall.directory import Directory, PersonId
from oncall.engine.engine import Engine
from oncall.engine.reading_tasks import TaskReplaced
from oncall.followers import read_case
from oncall.tasks import task_of
from pacs.archive.query_values import Item
from pacs.status import Status
from pacs.worklist.ups import store
from pacs.worklist.ups.model import Caller, State, UpsRefused, Workitem
from pacs.worklist.ups.states import decide_change
from pacs.worklist.ups.tasks import TaskOwner
from territory.reading_task_attributes import person_of, task_uid
from territory.reading_tasks import ReadingTaskProjection

_Found = TypeVar("_Found")

WITHDRAWN: Final = "withdrawn by a cancel request (UPS)"
GIVEN_BACK: Final = "given back by its performer (UPS)"


class Turns(Protocol):
    """Calls methods of an engine, one caller at a time: `territory.oncall_web.desk.Desk`, or `EngineTurns`."""

    def ask(self, question: Callable[[Engine, datetime], _Found]) -> _Found:
        """Call the engine at its turn."""


class EngineTurns:
    """An engine of one's own behind a lock, made when it is first needed.

    Parameters
    ----------
    make : callable
        Returns the engine.
    """

    def __init__(self, make: Callable[[], Engine], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._engine: Engine | None = None
        self._lock = Lock()

    def ask(self, question: Callable[[Engine, datetime], _Found]) -> _Found:
        """Call the engine at its turn."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return question(self._engine, self._clock.now())


class EngineTasks(TaskOwner):
    """The engine decides about reading tasks.

    Parameters
    ----------
    turns : Turns
    projection : ReadingTaskProjection
    database : Database
    clock : Clock
    read_directory : callable
        Returns the directory in force at an instant.
    """

    def __init__(
        self,
        turns: Turns,
        projection: ReadingTaskProjection,
        database: Database,
        clock: Clock,
        read_directory: Callable[[datetime], Directory],
    ) -> None:
        self._turns = turns
        self._projection = projection
        self._database = database
        self._clock = clock
        self._read_directory = read_directory

    def refresh(self, task: Workitem) -> None:
        """Write what is so now."""
        self._case(task)

    def claim(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        """A reader claims the task."""
        case = self._case(task)
        person_id, number = self._person(case, caller), self._number(case, task)
        try:
            claimed = self._turns.ask(
                lambda engine, now: engine.claim_task(
                    case.case_id, number, person_id, now, transaction_uid=transaction_uid
                )
            )
        except Refused as error:
            raise self._refusal(task, transaction_uid, error) from error
        self._write(claimed.case_id)

    def complete(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        """Refuse: the signature completes the task, and it was not signed."""
        del task, transaction_uid, caller
        message = "the report is not signed; its signature in Telegarde completes the task"
        raise UpsRefused(Status.UPS_FINAL_STATE_REQUIREMENTS_NOT_MET, message)

    def give_back(self, task: Workitem, transaction_uid: str, reason: str, caller: Caller) -> None:
        """The reader releases the case."""
        del caller

        def command(case: Case, context: Context) -> Facts:
            return commands.release(case, context, transaction_uid=transaction_uid, reason=reason or GIVEN_BACK)

        case = self._case(task)
        actor = Actor(who=case.reading.claimed_by or "", role="reader")
        self._execute(
            task, transaction_uid, lambda engine, now: engine.execute(case.case_id, command, now, actor=actor)
        )

    def withdraw(self, task: Workitem, reason: str, caller: Caller) -> None:
        """The hospital takes its request back."""
        if not caller.may_withdraw:
            raise UpsRefused(Status.UPS_PERFORMER_REFUSES, "only the requesting hospital withdraws a reading task")

        def command(case: Case, context: Context) -> Facts:
            return commands.withdraw(case, context, motive=reason or WITHDRAWN)

        case_id, actor = CaseId(task.owner), Actor(who=caller.name, role="requester")
        self._execute(task, "", lambda engine, now: engine.execute(case_id, command, now, actor=actor))

    def assign(self, task: Workitem, performers: tuple[Item, ...], caller: Caller) -> None:
        """A coordinator names the reader."""
        directory = self._read_directory(self._clock.now())
        wanted = person_of(performers[0], directory) if len(performers) == 1 else None
        if wanted is None:
            message = "(0040,4034) names one person of the directory, by RPPS or id"
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, message)
        case = self._case(task)
        number, actor = self._number(case, task), Actor(who=caller.name, role="coordinator")
        self._execute(task, "", lambda engine, now: engine.assign_task(case.case_id, number, wanted, now, actor=actor))

    # One decision

    def _execute(self, task: Workitem, transaction_uid: str, ask: Callable[[Engine, datetime], Case]) -> None:
        try:
            case = self._turns.ask(ask)
        except Refused as error:
            raise self._refusal(task, transaction_uid, error) from error
        self._write(case.case_id)

    def _case(self, task: Workitem) -> Case:
        """Return the case as it is now, after its rows are."""

        def look(engine: Engine, now: datetime) -> Case:
            engine.open_cases(now)
            return engine.case(CaseId(task.owner))

        case = self._turns.ask(look)
        self._write(case.case_id)
        return case

    def _write(self, case_id: CaseId) -> None:
        with self._database.write(durable=True) as connection:
            # Read in the transaction that writes: what a caller holds may be older than what the follower has written.
            case = read_case(connection, case_id)
            if case is not None:
                self._projection.write(connection, case, self._clock.now())

    def _number(self, case: Case, task: Workitem) -> int:
        found = task_of(case)
        if found is None or task_uid(case.case_id, found.number) != task.uid:
            raise UpsRefused(Status.UPS_NO_LONGER_UPDATABLE, "another work item replaced this one")
        return found.number

    def _person(self, case: Case, caller: Caller) -> PersonId:
        person_id = caller.person_id or (case.reading.assigned_to if caller.is_anybody else None)
        if not person_id:
            message = "nobody is known to work there: give the peer a `person`, or use a personal token"
            raise UpsRefused(Status.NOT_AUTHORIZED, message)
        return PersonId(person_id)

    def _refusal(self, task: Workitem, transaction_uid: str, error: Refused) -> UpsRefused:
        """Return what a refusal of the engine means: what the state says now, else that this caller may not."""
        self._case(task)
        with self._database.read() as connection:
            now_is = store.find(connection, task.uid)
        if transaction_uid and (now_is is None or now_is.state is not task.state):
            cell = decide_change(now_is, State.IN_PROGRESS, transaction_uid)
            if not cell.is_done:
                return UpsRefused(cell.status, "the reading task has changed meanwhile")
        if isinstance(error, TaskReplaced) or now_is is None or now_is.state.is_final:
            return UpsRefused(Status.UPS_NO_LONGER_UPDATABLE, "another work item replaced this one")
        return UpsRefused(Status.NOT_AUTHORIZED, str(error))
