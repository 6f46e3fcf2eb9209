"""The case: a fold over its log. Nothing here reads a clock, a database or anything but the events.

`apply` gives the case after one more event, or refuses the event with the reason; `fold` does so for a whole log. What
may happen when is data: `oncall.case.state_tables` for the states, `oncall.case.guards` for what depends on more.

Invariants: the contract's deadline is set by the first ``images.complete`` and never again; the live target only comes
nearer; signed versions are only appended; no two claims hold at once (domain reference, section 4.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from foundation.errors import PeerError, Refused
from oncall.case.effects import EFFECTS, request_changes
from oncall.case.effects_reading import Effect
from oncall.case.event import GENESIS_HASH, CaseId, Event, Fact
from oncall.case.guards import GUARDS, STALE
from oncall.case.keyed import chain_state, critical_state, criticals_after, escalations_after
from oncall.case.regions import (
    CriticalFinding,
    DeliveryPart,
    DeliveryState,
    EscalationChain,
    ExamPart,
    IdentityPart,
    IdentityState,
    ImagesPart,
    ImagesState,
    ProtocolPart,
    ReadingPart,
    ReadingState,
    ReportPart,
    RequestPart,
    RequestState,
    SecondReadingPart,
    State,
)
from oncall.case.state_tables import ADVICE, STATE_TABLES, Moves
from oncall.case.vocabulary import EventType as E
from oncall.case.vocabulary import Region, check
from oncall.directory import SiteId, SubSpecialty
from oncall.reading.board import ExamKind, ReadyCase, Urgency

OPENING: Final = frozenset({E.REQUEST_DRAFTED, E.REQUEST_PRE_ALERT, E.REQUEST_UNANNOUNCED, E.REQUEST_SUBMITTED})
"""The types a log may begin with."""

_IN_READING: Final = frozenset(
    {
        ReadingState.QUEUED,
        ReadingState.ASSIGNED,
        ReadingState.ACKNOWLEDGED,
        ReadingState.CLAIMED,
        ReadingState.PARKED,
    }
)


class TransitionRefused(Refused):
    """An event cannot happen to this case now; the message says why and what to do instead."""

    def __init__(self, message: str, *, event_type: str, region: Region | None = None, state: str = "") -> None:
        super().__init__(message)
        self.event_type = event_type
        self.region = region
        self.state = state


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Everything that is known of a case after `seq` events, the last of which has `head_hash`.

    ``opened_at`` is when its first event happened. ``exam``, ``urgency`` and ``needs`` are those of the last triage.
    """

    case_id: CaseId
    seq: int
    head_hash: str
    opened_at: datetime
    site_id: SiteId
    exam: ExamKind = ExamKind.HEAD
    urgency: Urgency = Urgency.P2
    needs: SubSpecialty = SubSpecialty.GENERAL
    request: RequestPart = field(default_factory=RequestPart)
    protocol: ProtocolPart = field(default_factory=ProtocolPart)
    acquisition: ExamPart = field(default_factory=ExamPart)
    images: ImagesPart = field(default_factory=ImagesPart)
    reading: ReadingPart = field(default_factory=ReadingPart)
    report: ReportPart = field(default_factory=ReportPart)
    delivery: DeliveryPart = field(default_factory=DeliveryPart)
    identity: IdentityPart = field(default_factory=IdentityPart)
    second_reading: SecondReadingPart = field(default_factory=SecondReadingPart)
    criticals: tuple[CriticalFinding, ...] = ()
    escalations: tuple[EscalationChain, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Nothing more is due; late facts are still kept."""
        return self.delivery.state is DeliveryState.CLOSED

    @property
    def is_open(self) -> bool:
        """Somebody still has something to do: the case must have a next alarm."""
        return self.delivery.state is not DeliveryState.CLOSED

    @property
    def is_signed_for_another(self) -> bool:
        """The report that stands was signed when the case was another patient's."""
        standing = self.report.standing
        return standing is not None and self.is_another(standing.patient_key)

    def is_another(self, signed_for: str) -> bool:
        """Tell whether what was signed for a patient's key is now another's.

        What was signed when nobody knew whose it was (an empty key) is its patient's when they are given a name, and
        another's when that name turns out to be wrong.
        """
        identity = self.identity
        named = (signed_for,) if signed_for else identity.former_patient_keys
        return any(key not in {"", identity.patient_key} for key in named)

    @property
    def is_ready(self) -> bool:
        """The images are complete and a signed report is due."""
        # What is false of most cases of a night, the reported ones, comes first.
        return (
            self.reading.state in _IN_READING
            and self.images.state is ImagesState.COMPLETE
            and self.images.deadline_at is not None
            and self.is_open
        )

    @property
    def patient_key(self) -> str:
        """The opaque key of the patient; '' while nobody knows who it is."""
        return self.identity.patient_key

    def ready_case(self, expected_read_s: float) -> ReadyCase | None:
        """Return the case as a reading decision sees it, or None when it is not to be read now.

        Parameters
        ----------
        expected_read_s : float
            What the reading policy expects of this kind of exam.
        """
        images, reading = self.images, self.reading
        if not self.is_ready or images.complete_at is None or images.deadline_at is None:
            return None
        return ReadyCase(
            case_id=self.case_id,
            site_id=self.site_id,
            urgency=self.urgency,
            exam=self.exam,
            needs=self.needs,
            ready_at_s=images.complete_at.timestamp(),
            deadline_at_s=images.deadline_at.timestamp(),
            target_at_s=(images.target_at or images.deadline_at).timestamp(),
            expected_read_s=expected_read_s,
            patient_key=self.identity.patient_key,
            protocol_author=self.protocol.author,
            declined_by=reading.declined_by,
            assigned_to=reading.assigned_to,
            assigned_at_s=_seconds(reading.assigned_at),
            acknowledged_at_s=_seconds(reading.acknowledged_at),
            claimed_by=reading.claimed_by,
            claimed_at_s=_seconds(reading.claimed_at),
        )


def fold(events: Iterable[Event]) -> Case:
    """Return the case that a whole log tells.

    Raises
    ------
    Refused
        If the log is empty, has a gap, or an event cannot follow the one before.
    """
    case: Case | None = None
    for event in events:
        case = apply(case, event)
    if case is None:
        raise Refused("a case without events does not exist; open it first")
    return case


def apply(case: Case | None, event: Event) -> Case:
    """Return `case` (None: no event yet) after `event`.

    Raises
    ------
    TransitionRefused
        If it cannot happen now.
    Refused
        If the event is not the next of this case's log.
    """
    if case is None:
        return _opened(event)
    if event.seq != case.seq + 1 or event.case_id != case.case_id or event.prev_hash != case.head_hash:
        raise Refused(f"event {event.seq} does not follow event {case.seq} of this case; load the log again")
    return _moved(case, event, {"seq": event.seq, "head_hash": event.hash})


def ensure_possible(case: Case, fact: Fact) -> None:
    """Raise `TransitionRefused` if `fact` cannot happen to `case` now, `PeerError` if the vocabulary lacks it."""
    check(fact)
    refusal = _refusal(case, fact)
    if refusal is not None and refusal is not _KEPT_ONLY:
        raise refusal


def rehearse(case: Case | None, facts: Sequence[Fact], case_id: CaseId | None = None) -> Case:
    """Return the case as it would be after `facts`, without giving them a place in the log.

    Raises
    ------
    TransitionRefused
        If one of them cannot happen.
    """
    for fact in facts:
        check(fact)
        trial = Event(
            event_id="",
            case_id=case.case_id if case is not None else (case_id or CaseId("")),
            seq=1 if case is None else case.seq + 1,
            prev_hash=GENESIS_HASH if case is None else case.head_hash,
            hash="" if case is None else case.head_hash,
            recorded_at=fact.occurred_at,
            fact=fact,
        )
        case = _opened(trial) if case is None else _moved(case, trial, {"seq": trial.seq})
    if case is None:
        raise Refused("nothing to rehearse: no case and no facts")
    return case


# How a region's name in the log is spelt as a field of `Case`; critical findings and escalation chains are keyed.
_FIELDS: Final[Mapping[Region, str]] = MappingProxyType(
    {
        Region.REQUEST: "request",
        Region.PROTOCOL: "protocol",
        Region.EXAM: "acquisition",
        Region.IMAGES: "images",
        Region.READING: "reading",
        Region.REPORT: "report",
        Region.DELIVERY: "delivery",
        Region.SECOND_READING: "second_reading",
        Region.IDENTITY: "identity",
    }
)


_Value = TypeVar("_Value", bound="Case | _Part")
_Part = (
    RequestPart
    | ProtocolPart
    | ExamPart
    | ImagesPart
    | ReadingPart
    | ReportPart
    | DeliveryPart
    | SecondReadingPart
    | IdentityPart
)


class _Step(NamedTuple):
    region: Region
    field: str
    moves: Moves
    effect: Effect | None


def _plan() -> Mapping[str, tuple[_Step, ...]]:
    """Return the tables turned round: for each event, the regions it moves."""
    return MappingProxyType(
        {
            event_type: tuple(
                _Step(region, field, STATE_TABLES[region][event_type], EFFECTS[region].get(event_type))
                for region, field in _FIELDS.items()
                if event_type in STATE_TABLES[region]
            )
            for event_type in E
        }
    )


_STEPS: Final = _plan()
_CRITICAL: Final = STATE_TABLES[Region.CRITICAL]
_ESCALATION: Final = STATE_TABLES[Region.ESCALATION]
_KEPT_ONLY: Final = TransitionRefused("the fact is about something that was replaced since", event_type="")


def _changed(value: _Value, changes: Mapping[str, Any]) -> _Value:
    """Return a frozen value with some fields changed: what `dataclasses.replace` does in half the time, at every event.

    The values here have no ``__post_init__`` and every field is set, so nothing is left out.
    """
    kind = type(value)
    new = object.__new__(kind)
    for name in kind.__slots__:
        object.__setattr__(new, name, changes[name] if name in changes else getattr(value, name))
    return new


def _opened(event: Event) -> Case:
    if event.type not in OPENING:
        raise TransitionRefused(
            f"a case does not begin with {event.type}; begin with one of {', '.join(sorted(OPENING))}",
            event_type=event.type,
        )
    if event.seq != 1 or event.prev_hash != GENESIS_HASH:
        raise Refused(f"event {event.seq} is not the first of a log")
    payload = event.fact.payload
    key = payload.get("patient_key", "")
    blank = Case(
        case_id=event.case_id,
        seq=1,
        head_hash=event.hash,
        opened_at=event.fact.occurred_at,
        site_id=SiteId(payload["site_id"]),
        identity=IdentityPart(state=IdentityState.KNOWN if key else IdentityState.PROVISIONAL, patient_key=key),
    )
    state = RequestState(STATE_TABLES[Region.REQUEST][E(event.type)][RequestState.NONE])
    request = replace(blank.request, state=state, **request_changes(blank, event))
    return replace(blank, request=request, **_described(payload))


def _described(payload: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    try:
        if "exam" in payload:
            changes["exam"] = ExamKind(payload["exam"])
        if "urgency" in payload:
            changes["urgency"] = Urgency(payload["urgency"])
        if "needs" in payload:
            changes["needs"] = SubSpecialty(payload["needs"])
    except ValueError as error:
        raise PeerError("exam, urgency and needs are values of ExamKind, Urgency and SubSpecialty") from error
    return changes


def _described_anew(case: Case, fact: Fact) -> dict[str, Any]:
    """What a later word changes. Once submitted or triaged, only a triage by name makes a case less urgent."""
    changes = _described(fact.payload)
    is_settled = case.request.submitted_at is not None or case.request.triaged_at is not None
    if "urgency" in changes and is_settled and fact.type != E.REQUEST_TRIAGED:
        changes["urgency"] = min(case.urgency, changes["urgency"])
    return changes


_DESCRIBING: Final = frozenset({E.REQUEST_SUBMITTED, E.REQUEST_TRIAGED, E.REQUEST_MATCHED, E.REQUEST_PRE_ALERT})


def _moved(case: Case, event: Event, changes: dict[str, Any]) -> Case:
    fact = event.fact
    refusal = _refusal(case, fact)
    if refusal is not None:
        if refusal is _KEPT_ONLY:
            return _changed(case, changes)
        raise refusal
    for step in _STEPS[fact.type]:
        part = getattr(case, step.field)
        state = step.moves[part.state]
        effects = step.effect(case, event) if step.effect is not None else {}
        if effects or state is not part.state:
            changes[step.field] = _changed(part, {**effects, "state": state})
    if fact.type in _DESCRIBING:
        changes |= _described_anew(case, fact)
    elif fact.type in _CRITICAL and "critical_id" in fact.payload:
        changes["criticals"] = criticals_after(case, fact)
    elif fact.type in _ESCALATION:
        changes["escalations"] = escalations_after(case, fact)
    return _changed(case, changes)


def _refusal(case: Case, fact: Fact) -> TransitionRefused | None:
    """Return None when the fact may move the case, `_KEPT_ONLY` when it is kept without effect, or the refusal."""
    if fact.type not in _STEPS:
        return TransitionRefused(f"no event is called {fact.type!r}", event_type=fact.type)
    for step in _STEPS[fact.type]:
        state = getattr(case, step.field).state
        if state not in step.moves:
            return _table_refusal(fact.type, step.region, state, step.moves)
    if fact.type in _CRITICAL:
        state = critical_state(case, fact.payload["critical_id"])
        if state not in _CRITICAL[E(fact.type)]:
            return _table_refusal(fact.type, Region.CRITICAL, state, _CRITICAL[E(fact.type)])
    elif fact.type in _ESCALATION:
        state = chain_state(case, fact.payload["chain_id"])
        if state not in _ESCALATION[E(fact.type)]:
            return _table_refusal(fact.type, Region.ESCALATION, state, _ESCALATION[E(fact.type)])
    guard = GUARDS.get(fact.type)
    reason = guard(case, fact) if guard is not None else ""
    if not reason:
        return None
    return _KEPT_ONLY if reason is STALE else TransitionRefused(f"{fact.type}: {reason}", event_type=fact.type)


def _table_refusal(event_type: str, region: Region, state: State, moves: Moves) -> TransitionRefused:
    advice = ADVICE.get(E(event_type), "")
    allowed = ", ".join(sorted(one.value for one in moves))
    message = f"{event_type} is refused while {region.value} is {state.value}: it needs {region.value} to be {allowed}"
    return TransitionRefused(
        f"{message}; {advice}" if advice else message, event_type=event_type, region=region, state=state.value
    )


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
