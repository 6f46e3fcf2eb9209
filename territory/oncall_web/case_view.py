"""A case as plain values for showing: its clocks, pages and answers, reasons and log, in local time and in words.

For: the page of a case, the interface and the command line, from the case and its log alone. Not for: asking the
engine, or templates. Invariants: clinical text (`FREE_TEXT` of the vocabulary) is shown only when the caller says so;
opaque keys of patients and message addresses are never shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from foundation.instants import instant_of_us
from oncall.case.clocks import Clock, Reading, read_clocks
from oncall.case.event import CaseId, Event
from oncall.case.regions import EscalationChain, EscalationState
from oncall.case.state import Case
from oncall.case.vocabulary import FREE_TEXT
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, PersonId
from oncall.notify import case_code
from oncall.reading.assignment import AssignmentDecision
from oncall.reading.stored_decision import restored
from territory.oncall_web.texts import text
from territory.oncall_web.texts_events import event_words, reason_words

_PEOPLE: Final = (
    "person_id",
    "from_person_id",
    "to_person_id",
    "signer",
    "author",
    "radiologist",
    "radiographer",
    "clinician",
    "recipient",
    "requester",
)
_WORDS: Final = ("step", "cause", "reason", "rule", "channel", "method", "exam", "outcome", "kind", "agent")
_CASES: Final = ("from_case_id", "to_case_id", "into_case_id", "by_case_id", "carried_from_case_id")
_INSTANTS: Final = ("deadline_at_us", "due_at_us", "target_at_us", "onset_at_us", "expected_at_us")
_ALARMING: Final = frozenset(
    {
        E.CLOCK_BREACHED,
        E.ESCALATION_EXHAUSTED,
        E.PAGE_FAILED,
        E.IDENTITY_MISMATCH_BLOCKED,
        E.IDENTITY_IN_TWO_PATIENTS,
        E.IMAGES_CONFLICT,
        E.IMAGES_STALLED,
        E.ASSIGN_TIMEOUT,
        E.REPORT_DELIVERY_FAILED,
        E.REPORT_NOT_ACCESSED_ALERT,
        E.CRITICAL_DECLARED,
        E.CRITICAL_ESCALATED,
        E.ESCALATION_NO_NOTIFICATION_SENT,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Eyes:
    """Who looks: language, the hospital's zone, the directory for names, and whether clinical text concerns them."""

    language: str
    zone: ZoneInfo
    directory: Directory
    may_see_clinical_text: bool

    def say(self, key: str) -> str:
        """Return a text of the pages."""
        return text(key, self.language)

    def name(self, person_id: str) -> str:
        """Return a person's name; who is nobody of the directory is shown as the log has it."""
        person = self.directory.persons.get(PersonId(person_id))
        return reason_words(person_id, self.language) if person is None else person.name

    def clock(self, at: datetime, *, seconds: bool = False) -> str:
        """Return a local time of day, with its zone's name: on one night a year 02:30 comes twice."""
        return at.astimezone(self.zone).strftime("%H:%M:%S %Z" if seconds else "%H:%M %Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockLine:
    """One clock; times are local texts, '' where there are none."""

    clock: Clock
    name: str
    began: str
    due: str
    ended: str
    elapsed_s: float
    left_s: float | None
    is_missed: bool
    is_paused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """One event in words. ``recorded`` is set when it was recorded noticeably later than it happened."""

    seq: int
    at: datetime
    day: str
    when: str
    recorded: str
    what: str
    detail: str
    who: str
    type: str
    is_alarming: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Paging:
    """One page of a chain: whom, by what, when, what became of it (key of a text), and what they answered."""

    name: str
    channel: str
    when: str
    outcome: str
    reason: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainView:
    """One chain of pages: why, since when, where it is, the pages, and who was not paged and why."""

    cause: str
    begun: str
    state: str
    step: str
    pages: tuple[Paging, ...]
    silent: tuple[tuple[str, str, str], ...]


def clock_lines(case: Case, now: datetime, eyes: Eyes) -> tuple[ClockLine, ...]:
    """Return the case's clocks, C1 first."""
    return tuple(_clock_line(one, now, eyes) for one in read_clocks(case, now))


def _clock_line(one: Reading, now: datetime, eyes: Eyes) -> ClockLine:
    return ClockLine(
        clock=one.clock,
        name=eyes.say(f"clock.{one.clock.value}"),
        began=eyes.clock(one.started_at),
        due="" if one.due_at is None else eyes.clock(one.due_at),
        ended="" if one.stopped_at is None else eyes.clock(one.stopped_at),
        elapsed_s=one.elapsed_s,
        left_s=one.left_s(now),
        is_missed=one.is_missed(now),
        is_paused=one.is_paused,
    )


# The log


_LATE_S: Final = 60.0
"""What was recorded within a minute of happening is not called late."""


def log_lines(events: Sequence[Event], eyes: Eyes) -> tuple[LogLine, ...]:
    """Return a log in words, oldest first."""
    return tuple(_log_line(event, eyes) for event in events)


def _log_line(event: Event, eyes: Eyes) -> LogLine:
    fact = event.fact
    at = fact.occurred_at
    is_late = (event.recorded_at - at).total_seconds() > _LATE_S
    return LogLine(
        seq=event.seq,
        at=at,
        day=at.astimezone(eyes.zone).strftime("%Y-%m-%d"),
        when=eyes.clock(at, seconds=True),
        recorded=eyes.clock(event.recorded_at, seconds=True) if is_late else "",
        what=event_words(fact.type, eyes.language),
        detail=" · ".join(_details(fact.payload, eyes)),
        who=eyes.name(fact.actor.who),
        type=fact.type,
        is_alarming=fact.type in _ALARMING,
    )


def _details(payload: Mapping[str, Any], eyes: Eyes) -> Iterator[str]:
    for key in _PEOPLE:
        if payload.get(key):
            name = eyes.name(str(payload[key]))
            yield f"← {name}" if key == "from_person_id" else name
    if payload.get("urgency"):
        yield f"P{payload['urgency']}"
    if payload.get("category"):
        yield eyes.say(f"category.{payload['category']}")
    if payload.get("version"):
        yield f"v{payload['version']}"
    if payload.get("clock"):
        clock = str(payload["clock"])
        yield eyes.say(f"clock.{clock}") if clock == "target" or clock in set(Clock) else clock
    for key in _WORDS:
        # The rule of an assignment is told with its reasons.
        if payload.get(key) and not (key == "rule" and "candidates" in payload):
            yield _word(key, str(payload[key]), eyes)
    if payload.get("received") is not None:
        yield f"{payload['received']} {eyes.say('log.images')}"
    for key in _INSTANTS:
        is_said = key == "target_at_us" and payload.get(key) == payload.get("deadline_at_us")
        if payload.get(key) is not None and not is_said:
            label = eyes.say({"target_at_us": "case.target", "onset_at_us": "onset_at"}.get(key, "case.due"))
            yield f"{label} {eyes.clock(instant_of_us(payload[key]))}"
    for key in _CASES:
        if payload.get(key):
            yield f"{eyes.say('case')} {case_code(CaseId(payload[key]))}"
    texts = [str(payload[key]) for key in sorted(FREE_TEXT) if payload.get(key)]
    if texts:
        yield from texts if eyes.may_see_clinical_text else [eyes.say("log.withheld")]


def _word(key: str, word: str, eyes: Eyes) -> str:
    if key == "exam":
        return eyes.say(f"exam.{word}")
    if key == "method" and word in {"phone", "in_person", "secure_message", "ins", "identity_document"}:
        return eyes.say(f"choice.{word}")
    # Reasons that a person wrote are clinical text as much as a motive is; the engine's own are words of ours.
    translated = reason_words(word, eyes.language)
    if key == "reason" and translated == word and not eyes.may_see_clinical_text and " " in word:
        return eyes.say("log.withheld")
    return translated


# Pages and answers


def chains(case: Case, events: Sequence[Event], eyes: Eyes) -> tuple[ChainView, ...]:
    """Return the case's chains of pages, the newest first, with what became of each page and what was answered."""
    return tuple(_chain(one, events, eyes) for one in reversed(case.escalations))


def _chain(chain: EscalationChain, events: Sequence[Event], eyes: Eyes) -> ChainView:
    own = [event for event in events if event.fact.payload.get("chain_id") == chain.chain_id]
    steps = [event.fact.payload.get("step") for event in own if event.type == E.ESCALATION_STARTED]
    step = next((str(one) for one in reversed(steps) if one), "")
    return ChainView(
        cause=reason_words(chain.cause, eyes.language),
        begun=eyes.clock(chain.started_at, seconds=True),
        state=chain.state.value,
        step=reason_words(step, eyes.language) if step else "",
        pages=tuple(_paging(event, events, chain, eyes) for event in own if event.type == E.ESCALATION_NOTIFIED),
        silent=tuple(
            (
                eyes.clock(event.fact.occurred_at, seconds=True),
                eyes.name(event.fact.payload.get("person_id") or "nobody"),
                reason_words(str(event.fact.payload["reason"]), eyes.language),
            )
            for event in own
            if event.type == E.ESCALATION_NO_NOTIFICATION_SENT
        ),
    )


_OUTCOMES: Final = {E.PAGE_SENT: "pages.sent", E.PAGE_DELIVERED: "pages.delivered", E.PAGE_FAILED: "pages.failed"}
_ANSWERS: Final = {E.ASSIGN_ACKNOWLEDGED: "pages.accepted", E.ASSIGN_DECLINED: "pages.declined"}


def _paging(notified: Event, events: Sequence[Event], chain: EscalationChain, eyes: Eyes) -> Paging:
    payload = notified.fact.payload
    key, person_id = payload.get("message_key"), str(payload.get("person_id") or "")
    is_alive = chain.state in {EscalationState.RUNNING, EscalationState.EXHAUSTED}
    outcome, reason, answer = "pages.waiting" if is_alive else "pages.taken_back", "", ""
    for event in events[notified.seq :]:
        theirs = event.fact.payload
        if event.type in _OUTCOMES and theirs.get("message_key") == key:
            outcome, reason = _OUTCOMES[E(event.type)], str(theirs.get("reason") or "")
        elif event.type in _ANSWERS and theirs.get("person_id") == person_id and not answer:
            answer = f"{eyes.say(_ANSWERS[E(event.type)])}, {eyes.clock(event.fact.occurred_at, seconds=True)}"
        elif event.type == E.ESCALATION_ACKNOWLEDGED and _answers(theirs, payload) and not answer:
            answer = f"{eyes.say('pages.accepted')}, {eyes.clock(event.fact.occurred_at, seconds=True)}"
    return Paging(
        name=eyes.name(person_id or "nobody"),
        channel=reason_words(str(payload.get("channel") or ""), eyes.language),
        when=eyes.clock(notified.fact.occurred_at, seconds=True),
        outcome=outcome,
        reason=reason_words(reason, eyes.language) if reason else "",
        answer=answer,
    )


def _answers(answered: Mapping[str, Any], notified: Mapping[str, Any]) -> bool:
    return (answered.get("chain_id"), answered.get("person_id")) == (notified["chain_id"], notified.get("person_id"))


# Why


def decisions(events: Sequence[Event]) -> tuple[tuple[Event, AssignmentDecision | None], ...]:
    """Return every assignment of a log with its decision, the newest first; None where a person took the case."""
    made = [event for event in events if event.type in {E.ASSIGN_MADE, E.ASSIGN_REASSIGNED}]
    return tuple((event, restored(event)) for event in reversed(made))
