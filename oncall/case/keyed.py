"""Critical findings and escalation chains: a case has several of each, told apart by key, each with a state of its own.

Acknowledging one stops that one and no other (domain reference, section 4.4, invariant 6).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from oncall.case.event import Fact, instant_or_none
from oncall.case.regions import CriticalFinding, CriticalState, EscalationChain, EscalationState, State
from oncall.case.state_tables import STATE_TABLES
from oncall.case.vocabulary import EventType as E
from oncall.case.vocabulary import Region

if TYPE_CHECKING:
    from oncall.case.state import Case

_CRITICAL: Final = STATE_TABLES[Region.CRITICAL]
_ESCALATION: Final = STATE_TABLES[Region.ESCALATION]


def chain_state(case: "Case", chain_id: str) -> State:
    """Return where an escalation chain is; NONE when it was not started."""
    return next((one.state for one in case.escalations if one.chain_id == chain_id), EscalationState.NONE)


def critical_state(case: "Case", critical_id: str) -> State:
    """Return where a critical finding is; NONE when it was not declared."""
    return next((one.state for one in case.criticals if one.critical_id == critical_id), CriticalState.NONE)


def criticals_after(case: "Case", fact: Fact) -> tuple[CriticalFinding, ...]:
    """Return the case's critical findings after a fact about one of them."""
    payload = fact.payload
    critical_id, at = payload["critical_id"], fact.occurred_at
    state = CriticalState(_CRITICAL[E(fact.type)][critical_state(case, critical_id)])
    if all(one.critical_id != critical_id for one in case.criticals):
        new = CriticalFinding(
            critical_id=critical_id,
            state=state,
            category=payload["category"],
            declared_at=at,
            due_at=instant_or_none(payload, "due_at_us"),
            number=len(case.criticals) + 1,
            finding=payload["finding"],
            identified_at=instant_or_none(payload, "identified_at_us"),
            radiologist=payload["radiologist"],
        )
        return (*case.criticals, new)
    return tuple(
        replace(one, state=state, **_critical_changes(one, fact)) if one.critical_id == critical_id else one
        for one in case.criticals
    )


def _critical_changes(one: CriticalFinding, fact: Fact) -> dict[str, Any]:
    payload = fact.payload
    if fact.type == E.CRITICAL_DECLARED:
        # Declared again, it may become more urgent, never less.
        dues = [at for at in (one.due_at, instant_or_none(payload, "due_at_us")) if at is not None]
        return {"category": min(one.category, payload["category"]), "due_at": min(dues, default=None)}
    if fact.type == E.CRITICAL_CALL_ATTEMPT:
        return {"attempts": one.attempts + 1}
    if fact.type == E.CRITICAL_COMMUNICATED:
        return _told(one, fact)
    if fact.type == E.CRITICAL_ACKNOWLEDGED and one.acknowledged_at is None:
        return {"acknowledged_at": fact.occurred_at, "acknowledged_by": payload["clinician"]}
    if fact.type == E.CRITICAL_CLOSED and one.closed_at is None:
        return {"closed_at": fact.occurred_at, "closed_by": payload["clinician"]}
    return {}


def _told(one: CriticalFinding, fact: Fact) -> dict[str, Any]:
    """What was told first stays; telling somebody else again is in the log."""
    if one.communicated_at is not None:
        return {}
    payload = fact.payload
    return {
        "communicated_at": fact.occurred_at,
        "recipient": payload["recipient"],
        "received_at": instant_or_none(payload, "received_at_us"),
        "method": payload["method"],
        "read_back": payload["read_back"],
    }


def escalations_after(case: "Case", fact: Fact) -> tuple[EscalationChain, ...]:
    """Return the case's escalation chains after a fact about one of them."""
    payload = fact.payload
    chain_id = payload["chain_id"]
    state = EscalationState(_ESCALATION[E(fact.type)][chain_state(case, chain_id)])
    if all(one.chain_id != chain_id for one in case.escalations):
        new = EscalationChain(
            chain_id=chain_id,
            state=state,
            cause=payload["cause"],
            started_at=fact.occurred_at,
            level=payload.get("level", 0),
        )
        return (*case.escalations, new)
    return tuple(
        replace(one, state=state, **_chain_changes(one, fact)) if one.chain_id == chain_id else one
        for one in case.escalations
    )


def _chain_changes(one: EscalationChain, fact: Fact) -> dict[str, Any]:
    changes: dict[str, Any] = {"level": max(one.level, fact.payload.get("level", one.level))}
    if fact.type == E.ESCALATION_NOTIFIED:
        changes["notified"] = one.notified + 1
    elif fact.type == E.ESCALATION_ACKNOWLEDGED and not one.acknowledged_by:
        changes["acknowledged_by"] = fact.payload.get("person_id", "")
    return changes
