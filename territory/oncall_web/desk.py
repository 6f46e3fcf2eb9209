"""What the pages and the interface ask of the on-call engine, one caller at a time.

An `Engine` is for one thread; requests come in many. The desk has an engine of its own on the same store, behind a
lock, and turns what it finds into plain values for showing. It decides nothing.

Invariant: nothing here holds patient data: a request's Patient ID becomes an opaque key before it goes any further.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection, select

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Refused
from oncall import recall_store
from oncall.case.clocks import Clock as CaseClock
from oncall.case.clocks import read_clocks
from oncall.case.commands import NewRequest
from oncall.case.event import Actor, CaseId, Event, uuid7
from oncall.case.regions import ImagesState, ReadingState
from oncall.case.state import OPENING, Case
from oncall.case.unclaimed import UnclaimedStudy
from oncall.channels.http_gateway import Receipt
from oncall.directory import Person, PersonId, SiteId
from oncall.drill import Recorder, board_of_drill, rehearse
from oncall.engine.engine import Command, Engine
from oncall.engine.in_force import InForce, Rules
from oncall.engine.sql_store import SqlStore
from oncall.messages import Settled
from oncall.messages_sql import SqlMessages
from oncall.notify import Sender
from oncall.plan_blanc import Answer, Board, RecallOrder, recalled
from oncall.reading import assignment
from oncall.reading.assignment import AssignmentDecision
from oncall.reading.forecast import Forecast, forecast
from oncall.recall_rows import order_of
from oncall.schema import oncall_message, oncall_recall
from territory.oncall_web.completeness_view import remark_of

_Found = TypeVar("_Found")

RECALLS_SHOWN_MAX: Final = 50
"""Newest recalls listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One open case on the wall. ``left_s`` is the time left of the hour, ``onset_left_s`` of the stroke window.

    ``remark`` says what is remarkable about its images (`completeness_view.remark_of`); ``questions`` and
    ``deviations`` are those about its protocol that nobody has answered or justified.
    """

    case_id: CaseId
    site_id: SiteId
    site: str
    urgency: int
    exam: str
    stage: str
    reader: str
    left_s: float | None
    onset_left_s: float | None
    waiting_s: float
    is_predicted_late: bool = False
    remark: str = ""
    questions: int = 0
    deviations: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Wall:
    """The night at an instant."""

    now: datetime
    rows: tuple[Row, ...]
    duty: tuple[tuple[str, str, datetime], ...]
    links_lost: tuple[tuple[str, datetime], ...]
    forecast: Forecast


class Desk:
    """The engine's counter.

    Parameters
    ----------
    engine : Engine
        On the same store as the worker's, for this object alone.
    """

    def __init__(self, engine: Engine, rules: Rules, database: Database, sender: Sender, clock: Clock) -> None:
        self._engine = engine
        self._rules = rules
        self._database = database
        self._store = SqlStore(database)
        self._sender = sender
        self._clock = clock
        self._turn = threading.Lock()

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        return self._clock.now()

    def in_force(self) -> InForce:
        """Return directory, roster and rules in force now."""
        return self._rules.at(self.now())

    # Cases

    def open_case(self, request: NewRequest, actor: Actor, *, case_id: CaseId | None = None) -> Case:
        """Open a case; the same `case_id` again opens nothing more."""
        with self._turn:
            now = self.now()
            return self._engine.open_case(case_id or CaseId(uuid7(now)), request, now, actor=actor)

    def case(self, case_id: CaseId) -> Case:
        """Return a case; raises `Refused` when there is none."""
        with self._turn:
            self._engine.open_cases(self.now())
            return self._engine.case(case_id)

    def open_cases(self) -> Sequence[Case]:
        """Return the open cases, oldest first."""
        with self._turn:
            return self._engine.open_cases(self.now())

    def execute(self, case_id: CaseId, command: Command, actor: Actor) -> Case:
        """Do what a command says."""
        with self._turn:
            return self._engine.execute(case_id, command, self.now(), actor=actor)

    def ask(self, question: Callable[[Engine, datetime], _Found]) -> _Found:
        """Call a method of the engine at its turn."""
        with self._turn:
            return question(self._engine, self.now())

    def log(self, case_id: CaseId) -> Sequence[Event]:
        """Return the whole log of a case, oldest first; raises `Refused` when there is no such case."""
        events = self._store.events_of(case_id)
        if not events or events[0].type not in OPENING:
            raise Refused("there is no such case; look at the list of open cases")
        return events

    def unclaimed(self, may_see: Callable[[SiteId], bool]) -> Sequence[UnclaimedStudy]:
        """Return the studies of the last day that no case has and that concern somebody, newest first.

        What no hospital is known of concerns only who may see all of them: `may_see` is asked of ''.
        """
        found = self.ask(lambda engine, now: engine.unclaimed_studies(now))
        return [one for one in found if may_see(one.site_id or SiteId(""))]

    def would_be(self, case_id: CaseId) -> AssignmentDecision | None:
        """Return what would be decided now about a case that nobody has opened; None when nothing would change."""

        def decide(engine: Engine, now: datetime) -> AssignmentDecision | None:
            rules = self._rules.at(now)
            made = assignment.decide(engine.board(now), rules.directory, rules.reading)
            return next((one for one in made if one.case_id == case_id), None)

        return self.ask(decide)

    def forecast(self) -> Forecast:
        """Return what is expected of the night."""

        def look(engine: Engine, now: datetime) -> Forecast:
            rules = self._rules.at(now)
            return forecast(engine.board(now), rules.directory, rules.reading)

        return self.ask(look)

    def wall(self, may_see: Callable[[SiteId], bool]) -> Wall:
        """Return the open cases that concern somebody, most urgent first, who is on duty, and the forecast."""
        with self._turn:
            now = self.now()
            rules = self._rules.at(now)
            cases = [case for case in self._engine.open_cases(now) if may_see(case.site_id)]
            found = forecast(self._engine.board(now), rules.directory, rules.reading)
            lost = {site: since for site, since in self._engine.night.duty.links_lost.items() if may_see(site)}
        late = {breach.case_id for breach in found.breaches}
        rows = tuple(_row(case, rules, now, is_predicted_late=case.case_id in late) for case in cases)
        return Wall(
            now=now,
            rows=tuple(sorted(rows, key=_by_haste)),
            duty=tuple(_on_duty(rules, now)),
            links_lost=tuple(
                (rules.directory.sites[site].name if site in rules.directory.sites else site, since)
                for site, since in sorted(lost.items())
            ),
            forecast=found,
        )

    # Answers by link

    def message_of(self, token: str) -> tuple[CaseId | None, str] | None:
        """Return the case and the chain of the message that this link answers; None when there is none."""
        if not token:
            return None
        with self._database.read() as connection:
            row = connection.execute(
                select(oncall_message.c.case_id, oncall_message.c.chain_id).where(
                    oncall_message.c.answer_token == token
                )
            ).one_or_none()
        return None if row is None else (row.case_id, row.chain_id or "")

    def answer(self, token: str, *, is_yes: bool, arrives_at: datetime | None = None) -> bool:
        """Record a person's answer; the engine acts on it at its next look. False when it was answered before."""
        now = self.now()
        with self._database.write(durable=True) as connection:
            what = Answer.COMING if is_yes else Answer.NOT_COMING
            if recall_store.answer_by_link(connection, token, what, now, arrives_at=arrives_at):
                return True
            settled: Settled | None = SqlMessages(connection).answer(token, "yes" if is_yes else "no", now)
        return settled is not None

    def receive(self, receipt: Receipt) -> None:
        """Record what a provider says became of a message."""
        with self._database.write(durable=True) as connection:
            SqlMessages(connection).receipt(receipt.provider_id, receipt.state, self.now(), reason=receipt.word)

    # Plan blanc

    def recall(self, site_id: SiteId, actor: Actor, *, is_drill: bool, recall_id: str) -> Board:
        """Recall everybody of a site who has a way to be reached; a drill pages nobody."""
        rules = self.in_force()
        site = rules.directory.sites.get(site_id)
        if site is None:
            raise Refused("no such hospital; choose one of the list")
        people = [person for person in rules.directory.persons.values() if site_id in person.sites | person.privileges]
        order = RecallOrder(
            recall_id=recall_id,
            place=site.name,
            zone=site.time_zone,
            people=recalled(people),
            started_by=actor.who,
        )
        now = self.now()
        with self._database.write(durable=True) as connection:
            if is_drill:
                rehearse(connection, order, now, Recorder())
            else:
                recall_store.start(connection, order, now, self._sender)
        return self.recall_board(recall_id)

    def recall_board(self, recall_id: str) -> Board:
        """Return who was called, how, and what they say; raises `Refused` when there is no such recall."""
        with self._database.read() as connection:
            order = order_of(connection, recall_id)
            if order is not None and self._is_drill(connection, recall_id):
                return board_of_drill(connection, order)
            return recall_store.board_of(connection, recall_id)

    def end_recall(self, recall_id: str, actor: Actor) -> bool:
        """End a recall: nobody is called any more, and who was is told. False when it is not running."""
        now = self.now()
        with self._database.write(durable=True) as connection:
            return recall_store.end(connection, recall_id, now, self._sender, by=actor.who)

    def recalls(self) -> list[tuple[str, bool]]:
        """Return the newest recalls: id, and whether a drill."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(oncall_recall.c.recall_id, oncall_recall.c.is_drill)
                .order_by(oncall_recall.c.started_at_us.desc())
                .limit(RECALLS_SHOWN_MAX)
            ).all()
        return [(row.recall_id, bool(row.is_drill)) for row in rows]

    @staticmethod
    def _is_drill(connection: Connection, recall_id: str) -> bool:
        query = select(oncall_recall.c.is_drill).where(oncall_recall.c.recall_id == recall_id)
        return bool(connection.execute(query).scalar())


def _row(case: Case, rules: InForce, now: datetime, *, is_predicted_late: bool) -> Row:
    clocks = {reading.clock: reading for reading in read_clocks(case, now)}
    hour, onset = clocks.get(CaseClock.REPORT), clocks.get(CaseClock.ONSET)
    site = rules.directory.sites.get(case.site_id)
    reader = case.reading.claimed_by or case.reading.assigned_to
    since = case.images.complete_at or case.opened_at
    return Row(
        case_id=case.case_id,
        site_id=case.site_id,
        site=case.site_id if site is None else site.name,
        urgency=int(case.urgency),
        exam=case.exam.value,
        stage=stage_of(case),
        reader="" if reader is None else _name(rules.directory.persons, reader),
        left_s=None if hour is None else hour.left_s(now),
        onset_left_s=None if onset is None else onset.left_s(now),
        waiting_s=(now - since).total_seconds(),
        is_predicted_late=is_predicted_late,
        remark=remark_of(case),
        questions=case.protocol.open_questions,
        deviations=case.protocol.deviations_open,
    )


def stage_of(case: Case) -> str:
    """Return the one word that says where a case is, for people."""
    if case.report.signed_at is not None:
        return "reported"
    if case.images.state is not ImagesState.COMPLETE:
        return "images" if case.images.state is not ImagesState.NONE else "requested"
    return {
        ReadingState.ASSIGNED: "paged",
        ReadingState.ACKNOWLEDGED: "accepted",
        ReadingState.CLAIMED: "reading",
        ReadingState.PARKED: "parked",
    }.get(case.reading.state, "queued")


def _by_haste(row: Row) -> tuple[float, ...]:
    left_s = row.left_s if row.left_s is not None else float("inf")
    return (float(row.stage == "reported"), float(row.urgency), left_s)


def _on_duty(rules: InForce, now: datetime) -> list[tuple[str, str, datetime]]:
    order = {line.line_id: place for place, line in enumerate(rules.roster.lines)}
    lines = rules.lines
    people = rules.directory.persons
    return [
        (lines[shift.line_id].name, _name(people, shift.person_id), shift.span.end)
        for shift in sorted(rules.timeline.on_duty(now), key=lambda one: order[one.line_id])
    ]


def _name(people: Mapping[PersonId, Person], person_id: PersonId) -> str:
    person = people.get(person_id)
    return person_id if person is None else person.name
