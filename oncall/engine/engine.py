"""The engine: load, decide, commit. The only place that binds cases, roster, reading, escalation and messages.

For: commands of people and programs, what is due, news of messages. Not for: the decisions themselves (rooms of
`oncall`), who ticks (`oncall.engine.metronome`), or how messages travel (`oncall.dispatch`).

Invariants
----------
* One decision is one commit, made on everything committed before it; if somebody was faster it is decided again.
* After each commit every open case has a next alarm.
* A due timer that cannot be acted on is logged, stays leased, and is tried again when the lease has run out: one
  defect holds up one timer.
* Time is passed in; the engine reads no clock.

An engine is for one thread; several processes may each have one on the same store.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from foundation import log
from foundation.errors import PeerError, Refused, Unavailable
from foundation.faults import reach
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.event import SYSTEM, Actor, CaseId, Event, Fact, uuid7
from oncall.case.intake_values import StudyDescriber
from oncall.case.matching import Match
from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.case.unclaimed import SHOWN_FOR, UnclaimedStudy
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.engine import (
    answers,
    assigning,
    claiming,
    due,
    loops,
    opening,
    paging,
    relay,
    rematch,
    requests,
    second_readings,
    site_links,
    watching,
)
from oncall.engine.completeness import ImageCompleteness
from oncall.engine.criticals import CriticalResults
from oncall.engine.deliveries import DeliveryTelling
from oncall.engine.draft import Draft, load
from oncall.engine.duty import DutyType
from oncall.engine.exams import Exams
from oncall.engine.identities import Identities
from oncall.engine.in_force import Rules
from oncall.engine.night import Night
from oncall.engine.orders import Orders
from oncall.engine.ports import Changes, Cursor, HeadMoved, Store, TimerNotHeld
from oncall.engine.priors import Priors
from oncall.engine.protocols import Protocols
from oncall.engine.reading_tasks import ReadingTasks
from oncall.engine.reporting import Reports, tell_of_identities
from oncall.engine.second_readings import SecondReadings
from oncall.engine.site_links import SiteLinks
from oncall.notify import Sender
from oncall.reading import assignment
from oncall.reading.assignment import AssignmentDecision
from oncall.reading.board import Board
from oncall.timers import Timer

DECISIONS_MAX: Final = 16
"""How often one decision is made again because somebody was faster; then the caller is told to try again."""

NEWS_CONSUMER: Final = "oncall.engine.news"
"""Whose cursor on what became of messages."""

_BEFORE_BOOT: Final = timedelta(hours=24)
# The law averages over 17 weeks; the rest before the first of them counts too.
_CALLS_COUNT: Final = timedelta(weeks=18)
# Facts that change who should read what.
_MOVES_THE_BOARD: Final = frozenset(
    {
        EventType.IMAGES_COMPLETE,
        EventType.QUEUE_ENTERED,
        EventType.ASSIGN_DECLINED,
        EventType.ASSIGN_REVOKED,
        EventType.READ_RELEASED,
        EventType.READ_PARKED,
        EventType.REPORT_SIGNED,
        EventType.REQUEST_TRIAGED,
        EventType.REQUEST_WITHDRAWN,
    }
)

# Facts that end, or make more urgent, what the hospital is paged about.
_MOVES_A_LOOP: Final = frozenset(
    {EventType.CRITICAL_DECLARED, EventType.CRITICAL_ACKNOWLEDGED, EventType.DISCREPANCY_ACKNOWLEDGED}
)

Command = Callable[[Case, Context], Facts]
"""What somebody asks of a case: a function of `oncall.case.commands` with its arguments."""


class Engine(
    CriticalResults,
    DeliveryTelling,
    Exams,
    Identities,
    ImageCompleteness,
    Orders,
    Priors,
    Protocols,
    ReadingTasks,
    Reports,
    SecondReadings,
    SiteLinks,
):
    """Decides and commits on one store.

    Parameters
    ----------
    store : Store
        Where everything is kept.
    rules : Rules
        What is in force.
    sender : Sender
        What signs and links messages.
    worker : str
        Unique among those that share the store: it names leases.
    new_event_id : callable
        For replays; default UUIDs of version 7.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        sender: Sender,
        *,
        worker: str,
        new_event_id: Callable[[datetime], str] = uuid7,
    ) -> None:
        self._store = store
        self._rules = rules
        self._sender = sender
        self._worker = worker
        self._new_event_id = new_event_id
        self._night = Night()
        self._is_started = False
        self._compared = set()
        self._priors_asked = {}
        self._priors_due = {}
        self._priors_warmed = set()
        self._asked_for_steps = set()
        self._lists_compared = {}

    # Commands

    def open_case(self, case_id: CaseId, request: NewRequest, now: datetime, *, actor: Actor = SYSTEM) -> Case:
        """Begin a case with a submitted request (T0); the same request again changes nothing.

        A request whose study came before it joins the study's case, one whose patient was announced the announced
        case: the returned case is then merged into that one (``request.merged_into``). A study that came before it and
        that no case has becomes this case's. With the id of an announced case, the request is that case's.
        """
        self._commit(now, lambda draft: opening.open_case(draft, case_id, request, _by(draft, actor)))
        return self.case(case_id)

    def open_pre_alert(self, case_id: CaseId, pre_alert: NewRequest, now: datetime, *, actor: Actor = SYSTEM) -> Case:
        """Begin a case for a patient who is on the way (``expected_at``); it becomes the request's when that comes."""
        self._commit(now, lambda draft: opening.open_pre_alert(draft, case_id, pre_alert, _by(draft, actor)))
        return self.case(case_id)

    def open_for_study(
        self, study: StudyKey, request: NewRequest, now: datetime, *, actor: Actor, case_id: CaseId | None = None
    ) -> Case:
        """Begin a case with a study of `unclaimed_studies`, because a person says that it is an emergency.

        The hour runs from when its images came. A request may still come for it and joins it.

        Raises
        ------
        Refused
            If no such study is without a case.
        """
        chosen = case_id or CaseId(self._new_event_id(now))
        self._commit(now, lambda draft: rematch.open_for_study(draft, chosen, study, request, _by(draft, actor)))
        return self.case(chosen)

    def record_opening(self, case_id: CaseId, facts: Sequence[Fact], now: datetime) -> Case:
        """Begin a case with facts that somebody else decided (a pre-alert, an unannounced study)."""

        def decide(draft: Draft) -> None:
            if draft.known(case_id) is None:
                events = draft.record(case_id, *facts)
                self._follow(draft, case_id, events)

        self._commit(now, decide)
        return self.case(case_id)

    def execute(self, case_id: CaseId, command: Command, now: datetime, *, actor: Actor = SYSTEM) -> Case:
        """Do what a command of `oncall.case.commands` says, and what follows from it.

        Raises
        ------
        Refused
            If there is no such case, or its state does not allow it; nothing has changed.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            events = draft.record(case_id, *command(case, _by(draft, actor)))
            self._follow(draft, case_id, events)

        self._commit(now, decide)
        return self.case(case_id)

    def complete_images(self, case_id: CaseId, now: datetime, *, rule: str, at: datetime | None = None) -> Case:
        """T1: every image is there. Sets the contract's deadline, assigns, pages.

        Said of a request that was joined to its study, it is said of the study's case, which is returned.
        """
        self._catch_up(now)
        case_id = rematch.goes_on(self._draft(now), case_id)

        def command(case: Case, context: Context) -> Facts:
            policy = self._rules.at(now).reading
            moved = Context(
                now=context.now, happened_at=at, policy_version=context.policy_version,
                roster_version=context.roster_version,
            )  # fmt: skip
            return commands.complete_images(
                case,
                moved,
                rule=rule,
                hour_s=policy.deadline_s[case.urgency],
                target_s=policy.target_s[case.urgency] if case.request.target_s is None else None,
            )

        return self.execute(case_id, command, now)

    def acknowledge(self, case_id: CaseId, person_id: PersonId, now: datetime, *, channel: str | None = None) -> Case:
        """Somebody answers a page with yes: theirs from now on, if they may read it; its pages stop, and only its.

        Who may not read it (a coordinator, the hospital) ends the pages and is on record; the case is watched on.
        """
        self._commit(now, lambda draft: answers.acknowledge(draft, case_id, person_id, channel))
        return self.case(case_id)

    def decline(self, case_id: CaseId, person_id: PersonId, now: datetime, *, reason: str) -> Case:
        """Somebody answers a page with no: the next one is asked at once."""
        self._commit(now, lambda draft: answers.decline(draft, case_id, person_id, reason))
        return self.case(case_id)

    def claim(self, case_id: CaseId, person_id: PersonId, now: datetime, *, transaction_uid: str) -> Case:
        """A reader opens a case and locks it; on whosever list it was.

        Raises
        ------
        oncall.engine.assigning.NotEligible
            If a rule stands against it: licence, duty, rest, competence.
        """

        self._commit(now, lambda draft: claiming.claim(draft, case_id, person_id, transaction_uid))
        return self.case(case_id)

    def sign(
        self, case_id: CaseId, signer: PersonId, now: datetime, *, transaction_uid: str, content_hash: str = ""
    ) -> Case:
        """T3: the reader signs; the hour ends."""

        def command(case: Case, context: Context) -> Facts:
            return commands_report.sign(
                case, signer, context, content_hash=content_hash, transaction_uid=transaction_uid
            )

        return self.execute(case_id, command, now, actor=Actor(who=signer, role="reader"))

    def answer_backup_call(self, person_id: PersonId, now: datetime, *, is_coming: bool) -> None:
        """A called backup says yes or no; after a no the next one is called at once."""
        self._commit(now, lambda draft: answers.answer_backup(draft, person_id, is_coming=is_coming))

    def set_unavailable(self, person_id: PersonId, now: datetime, *, reason: str) -> None:
        """A reader is gone (ill, network down): their unopened cases go to others at once, opened ones back."""

        def decide(draft: Draft) -> None:
            draft.record_duty(draft.fact(DutyType.READER_UNAVAILABLE, person_id=person_id, reason=reason))
            for case in draft.every_case():
                if case.is_ready and case.reading.claimed_by == person_id:
                    draft.record(case.case_id, *commands.revoke(case, draft.context, reason=f"unavailable: {reason}"))
            assigning.assign(draft)

        self._commit(now, decide)

    def set_available(self, person_id: PersonId, now: datetime) -> None:
        """A reader is back."""

        def decide(draft: Draft) -> None:
            answers.is_back(draft, person_id)
            assigning.assign(draft)

        self._commit(now, decide)

    # Which study and which request belong together, and whose they are

    def move_study(
        self, case_id: CaseId, study: StudyKey, to_case_id: CaseId, now: datetime, *, actor: Actor, reason: str,
        is_patient_settled: bool = False,
    ) -> Case:  # fmt: skip
        """Move a study to the case that it belongs to, with T1, deadline and reader; return that case.

        Parameters
        ----------
        is_patient_settled : bool
            A person has settled whose study it is although the two cases know different patients.

        Raises
        ------
        Refused
            If the study is not there, one of the reports is signed, the other case is closed, or the patients differ.
        """

        def decide(draft: Draft) -> None:
            by = _by(draft, actor)
            rematch.move_study(
                draft, case_id, study, to_case_id, by, reason=reason, is_patient_settled=is_patient_settled
            )

        self._commit(now, decide)
        return self.case(to_case_id)

    def link_study(self, case_id: CaseId, study: StudyKey, now: datetime, *, actor: Actor, reason: str) -> Case:
        """Give a study of `unclaimed_studies` to a case that waits for one, because a person says so."""
        self._commit(now, lambda draft: rematch.link_study(draft, case_id, study, _by(draft, actor), reason=reason))
        return self.case(case_id)

    def join_request(
        self, study_case_id: CaseId, request_case_id: CaseId, now: datetime, *, actor: Actor, reason: str
    ) -> Case:
        """Confirm a proposed match: the request joins the case that has the study; return that case.

        Raises
        ------
        Refused
            If the request's case has images, one of the two is closed, or the patients differ.
        """

        def decide(draft: Draft) -> None:
            rematch.join_request(draft, study_case_id, request_case_id, _by(draft, actor), reason=reason)

        self._commit(now, decide)
        return self.case(study_case_id)

    def part_request(
        self, study_case_id: CaseId, request_case_id: CaseId, now: datetime, *, actor: Actor, reason: str
    ) -> Case:
        """Undo `join_request`: the request waits again as a case of its own; return the study's case."""

        def decide(draft: Draft) -> None:
            rematch.part_request(draft, study_case_id, request_case_id, _by(draft, actor), reason=reason)

        self._commit(now, decide)
        return self.case(study_case_id)

    def settle_identity(self, case_id: CaseId, patient_key: str, now: datetime, *, actor: Actor, reason: str) -> Case:
        """Say whose case it is: somebody recognised, or a contradiction settled. Clock, deadline and reader stay.

        What the right patient makes certain is joined: the returned case may then be merged into the study's.
        """

        def decide(draft: Draft) -> None:
            rematch.settle_identity(draft, case_id, patient_key, _by(draft, actor), reason=reason)

        self._commit(now, decide)
        return self.case(case_id)

    def qualify_identity(self, case_id: CaseId, patient_key: str, now: datetime, *, actor: Actor, method: str) -> Case:
        """Record that somebody proved whose case it is (INS qualified, bracelet and papers)."""

        def decide(draft: Draft) -> None:
            rematch.qualify_identity(draft, case_id, patient_key, _by(draft, actor), method=method)

        self._commit(now, decide)
        return self.case(case_id)

    def match_candidates(self, case_id: CaseId, now: datetime) -> Sequence[Match]:
        """Return what a case may belong together with, best first, for a person to decide.

        For a request that waits: studies, of a case (``case_id``) or of none (``study``); for an unannounced study:
        requests that wait. Nothing for any other case.
        """
        self._catch_up(now)
        return rematch.candidates(self._draft(now), case_id)

    def unclaimed_studies(self, now: datetime) -> Sequence[UnclaimedStudy]:
        """Return the studies of the last day that no case has, newest first."""
        return self._store.unclaimed_since(now - SHOWN_FOR)

    # Questions

    def case(self, case_id: CaseId) -> Case:
        """Return a case as it is committed.

        Raises
        ------
        Refused
            If there is none.
        """
        found = self._night.cases.get(case_id) or load(self._store, self._night, case_id)
        if found is None:
            raise Refused("there is no such case; look at the list of open cases")
        return found

    def open_cases(self, now: datetime) -> list[Case]:
        """Return the open cases, oldest first."""
        self._catch_up(now)
        return sorted((case for case in self._night.cases.values() if case.is_open), key=lambda one: one.opened_at)

    def board(self, now: datetime) -> Board:
        """Return the board at `now`."""
        self._catch_up(now)
        return assigning.board(self._draft(now))

    def next_case(self, person_id: PersonId, now: datetime) -> AssignmentDecision | None:
        """Return the case that a free reader opens next, with the reasons; None when there is none for them."""
        self._catch_up(now)
        rules = self._rules.at(now)
        return assignment.next_case(assigning.board(self._draft(now)), person_id, rules.directory, rules.reading)

    @property
    def night(self) -> Night:
        """What was committed, folded: to be read, never changed."""
        return self._night

    # What is due

    def start(self, now: datetime) -> None:
        """Read what is open and set what must always be set; safe to repeat."""
        self._commit(now, due.ensure_timers)

    def next_due_at(self) -> datetime | None:
        """Return when something is due next."""
        return self._store.next_due_at()

    def run_due(self, now: datetime) -> int:
        """Do what is due at `now`; return how much that was."""
        self.start_if_needed(now)
        # As much as an engine that starts now would read: no board asks for what is older.
        self._night.forget_before(now - _BEFORE_BOOT)
        done = self.take_news(now)
        while timers := self._store.lease_due(now, worker=self._worker):
            reach("engine.leased")
            for timer in timers:
                self._act(timer, now)
            done += len(timers)
        return done

    def start_if_needed(self, now: datetime) -> None:
        """Start once."""
        if not self._is_started:
            self.start(now)
            self._is_started = True

    def take_news(self, now: datetime) -> int:
        """Decide on what became of messages: failures go on by another method, answers are answers."""
        taken = 0

        def decide(draft: Draft) -> None:
            nonlocal taken
            position = self._store.cursor(NEWS_CONSUMER)
            news = self._store.news_after(position)
            taken = len(news)
            for one in news:
                answers.hear(draft, one)
            if news:
                draft.cursors.append(Cursor(NEWS_CONSUMER, position, news[-1].position))

        self._commit(now, decide)
        return taken

    def take_outbox(self, now: datetime, describe: StudyDescriber) -> int:
        """Take what the archive stated into the cases, batch by batch; return how many events.

        Raises
        ------
        foundation.errors.Unavailable
            If the archive's index does not answer; what was not taken is taken later.
        """
        taken = 0
        while batch := self._take_batch(now, describe):
            taken += batch
        return taken

    def _take_batch(self, now: datetime, describe: StudyDescriber) -> int:
        count = 0

        def decide(draft: Draft) -> None:
            nonlocal count
            count = relay.take(draft, self._store, describe)

        self._commit(now, decide)
        return count

    def _act(self, timer: Timer, now: datetime) -> None:
        handler = due.HANDLERS.get(timer.kind)
        if handler is None:
            log.error("timer_unknown", action=timer.kind)
            return

        def decide(draft: Draft) -> None:
            # An earlier decision of this turn may have cancelled it, or set it anew.
            if self._store.find_timer(timer.timer_key) != timer:
                raise TimerNotHeld(f"the timer {timer.timer_key} is not what was leased any more")
            draft.take(timer)
            handler(draft, timer)

        try:
            self._commit(now, decide)
        except TimerNotHeld:
            log.debug("timer_taken_elsewhere", action=timer.kind)
        except (Refused, PeerError) as error:
            # A rule said no to what the engine itself wanted: a defect, which must not hold up the other timers.
            log.error("timer_failed", action=timer.kind, error=type(error).__name__, message=str(error))

    # One decision

    def _commit(self, now: datetime, decide: Callable[[Draft], None]) -> None:
        for _ in range(DECISIONS_MAX):
            self._catch_up(now)
            draft = self._draft(now)
            try:
                decide(draft)
            except HeadMoved:
                continue
            tell_of_identities(draft)
            requests.follow(draft)
            site_links.follow(draft)
            watching.watch(draft)
            changes = draft.finish()
            if changes == _NOTHING:
                return
            reach("engine.decided")
            try:
                added = self._store.commit(changes, head=self._night.position, worker=self._worker, now=now)
            except HeadMoved:
                continue
            reach("engine.committed")
            self._night.apply(added)
            return
        raise Unavailable(f"{DECISIONS_MAX} times others were faster; try again")

    def _draft(self, now: datetime) -> Draft:
        return Draft(
            self._night, self._rules.at(now), self._store, now, sender=self._sender, new_event_id=self._new_event_id
        )

    def _catch_up(self, now: datetime) -> None:
        if self._night.position == 0:
            self._night.apply(self._store.events_since(now - _BEFORE_BOOT, calls_since=now - _CALLS_COUNT))
            self._night.position = max(self._night.position, self._store.head())
        else:
            self._night.apply(self._store.events_after(self._night.position))
        for case_id in self._night.take_missed():
            # Closed so long ago that it was forgotten, and opened again by somebody else: it needs alarms like any.
            load(self._store, self._night, case_id)

    # What follows

    def _follow(self, draft: Draft, case_id: CaseId, events: Sequence[Event]) -> None:
        types = {event.type for event in events}
        case = draft.case(case_id)
        if EventType.REQUEST_TRIAGED in types:
            paging.raised(draft, case)
        if types & _MOVES_A_LOOP:
            loops.follow(draft, case)
        second_readings.follow(draft, draft.case(case_id), types)
        if not case.is_ready:
            paging.end_for_readers(draft, case, "no_longer_to_be_read")
        if types & _MOVES_THE_BOARD:
            assigning.assign(draft)


def _by(draft: Draft, actor: Actor) -> Context:
    return replace(draft.context, actor=actor)


_NOTHING: Final = Changes()
