"""Critical findings, as pure decisions like those of `oncall.case.commands`: declared, called about, told.

Taking over and closing are in `oncall.case.commands_report`.
"""

from datetime import datetime

from foundation.errors import PeerError
from foundation.instants import microseconds
from oncall.case.commands import Context, Facts, possible, say
from oncall.case.commands_report import CRITICAL_DUE_S, find_critical
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E


def declare(
    case: Case, context: Context, *, critical_id: str, category: int, finding: str, radiologist: str,
    due_at: datetime, identified_at: datetime | None = None, reason: str = "",
) -> Facts:  # fmt: skip
    """Declare a critical finding; its acknowledgement is due at `due_at`. A closed case is opened again for it.

    Said again with a smaller category it becomes more urgent. With a greater one it stays as urgent as it was, and that
    somebody thinks less of it is kept when they say why; otherwise nothing happens.
    """
    if category not in CRITICAL_DUE_S:
        raise PeerError("a critical finding is of ACR category 1, 2 or 3")
    known = find_critical(case, critical_id)
    if known is not None and (known.category == category or (known.category < category and not reason)):
        return ()
    found_at = min(identified_at or context.at, context.at)
    reopened = () if case.is_open else (context.fact(E.CASE_REOPENED, reason="a critical finding was declared"),)
    declared = context.fact(
        E.CRITICAL_DECLARED,
        critical_id=critical_id,
        category=category,
        finding=finding,
        identified_at_us=microseconds(found_at),
        radiologist=radiologist,
        due_at_us=microseconds(due_at),
        reason=reason or None,
    )
    return possible(case, *reopened, declared)


def attempt_call(case: Case, context: Context, *, critical_id: str, recipient: str, number: str, outcome: str) -> Facts:
    """Record a call and what came of it; whatever that is, it confirms nothing."""
    known = find_critical(case, critical_id)
    attempt = 1 if known is None else known.attempts + 1
    return say(
        case,
        context,
        E.CRITICAL_CALL_ATTEMPT,
        critical_id=critical_id,
        outcome=outcome,
        attempt=attempt,
        number=number,
        recipient=recipient,
    )


def communicate(
    case: Case, context: Context, *, critical_id: str, recipient: str, method: str, read_back: str,
    received_at: datetime | None = None,
) -> Facts:  # fmt: skip
    """The finding was told and read back; with the declaration these are the ACR's six fields."""
    return say(
        case,
        context,
        E.CRITICAL_COMMUNICATED,
        critical_id=critical_id,
        recipient=recipient,
        received_at_us=microseconds(min(received_at or context.at, context.now)),
        method=method,
        read_back=read_back,
    )
