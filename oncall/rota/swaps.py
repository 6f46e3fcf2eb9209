"""Swaps and give-aways: requests that somebody takes, checked by the law when taken and again when they take effect.

For: the request as a value, its state table, who may do what, reminders, the overrides that it ends in. Not for:
storing (`swap_store`), sending reminders, publishing the roster.

Invariants: nothing changes on the roster before APPROVED; what is approved has passed `oncall.rota.legal` for everybody
who gets a shift by it, on the roster of that moment; a request follows its shift when that is moved and ends when the
shift is no longer its asker's. A refusal says which rule and which shift.

Source: Grafana OnCall's shift swap requests and what users missed in them (#3132 managers cannot act, #4182 they do not
follow the shift, #4538 cannot be taken).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from foundation.errors import Refused
from oncall.directory import Directory, LineId, PersonId, SiteId
from oncall.rota.legal import LegalLimits, Violation, may_add
from oncall.rota.model import Line, Override, OverrideKind, Roster, Shift
from oncall.spans import Span, subtract

# Before the shift begins; the newest that is due is sent, not those missed while nobody looked.
REMINDERS_BEFORE: Final = (
    timedelta(weeks=4),
    timedelta(weeks=3),
    timedelta(weeks=2),
    timedelta(weeks=1),
    timedelta(days=3),
    timedelta(days=2),
    timedelta(days=1),
    timedelta(hours=12),
)
# How far a shift may be moved and still be the same one.
_MOVED_MAX: Final = timedelta(hours=24)


class SwapState(StrEnum):
    """Where a request is; the last four are ends."""

    OPEN = "open"
    TAKEN = "taken"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    PAST_DUE = "past_due"


class SwapAction(StrEnum):
    """What happens to a request."""

    TAKE = "take"
    RELEASE = "release"
    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


NEXT: Final[Mapping[tuple[SwapState, SwapAction], SwapState]] = {
    (SwapState.OPEN, SwapAction.TAKE): SwapState.TAKEN,
    (SwapState.OPEN, SwapAction.REFUSE): SwapState.REFUSED,
    (SwapState.OPEN, SwapAction.WITHDRAW): SwapState.WITHDRAWN,
    (SwapState.OPEN, SwapAction.EXPIRE): SwapState.PAST_DUE,
    (SwapState.TAKEN, SwapAction.RELEASE): SwapState.OPEN,
    (SwapState.TAKEN, SwapAction.APPROVE): SwapState.APPROVED,
    (SwapState.TAKEN, SwapAction.REFUSE): SwapState.REFUSED,
    (SwapState.TAKEN, SwapAction.WITHDRAW): SwapState.WITHDRAWN,
    (SwapState.TAKEN, SwapAction.EXPIRE): SwapState.PAST_DUE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapPart:
    """What changes hands: somebody's shift on a line, or a part of it. `rule` is the shift's when it is the whole."""

    line_id: LineId
    person_id: PersonId
    span: Span
    rule: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapRequest:
    """Somebody asks to be relieved of `given`; in a swap they take `wanted` for it, in a give-away nothing.

    ``offered_to`` are those who may take it; empty means everybody. Only the person of `wanted` can take a swap.
    """

    swap_id: str
    given: SwapPart
    created_at: datetime
    wanted: SwapPart | None = None
    offered_to: frozenset[PersonId] = frozenset()
    needs_approval: bool = False
    state: SwapState = SwapState.OPEN
    taken_by: PersonId | None = None
    reminded_at: datetime | None = None
    changed_by: str = ""
    reason: str = ""

    @property
    def starts_at(self) -> datetime:
        """When the first of the shifts begins: nothing can change from then on."""
        return min(part.span.start for part in (self.given, self.wanted) if part is not None)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.state not in {SwapState.OPEN, SwapState.TAKEN}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reminder:
    """A reminder that is due: `before` the shift, to `to` (empty: to everybody who may take it)."""

    swap_id: str
    before: timedelta
    due_at: datetime
    to: frozenset[PersonId]
    waits_for_approval: bool


class ShiftTimeline(Protocol):
    """What is asked of `oncall.rota.timeline.Timeline`."""

    def shifts_of(self, person_id: PersonId, within: Span) -> tuple[Shift, ...]:
        """Return the person's shifts that overlap `within`, whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapContext:
    """The roster in force, resolved, and who decides: `managers` may do what the people concerned may."""

    roster: Roster
    timeline: ShiftTimeline
    directory: Directory
    limits: LegalLimits
    managers: frozenset[PersonId] = frozenset()


class SwapRefused(Refused):
    """A request that cannot be taken, with the rules of the law that forbid it, if it is the law.

    Parameters
    ----------
    message_fr, message_en : str
        Which rule and which shift, and whose.
    violations : tuple[Violation, ...]
        What would be broken.
    """

    def __init__(self, message_fr: str, message_en: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message_en)
        self.message_fr = message_fr
        self.message_en = message_en
        self.violations = violations


def ask(request: SwapRequest, actor: PersonId, now: datetime, context: SwapContext) -> SwapRequest:
    """Return a new request, checked: the shifts are there, are whose they are said to be, and are still to come.

    Raises
    ------
    SwapRefused
        If not, or if the actor is neither the one who gives nor a manager.
    """
    _require(actor, {request.given.person_id}, context, "ask for this")
    for part in (request.given, request.wanted):
        if part is not None:
            _require_owned(part, context)
    if request.offered_to == frozenset({request.given.person_id}):
        raise SwapRefused(
            "On ne peut pas se proposer sa propre garde : nommer quelqu'un d'autre, ou personne.",
            "A shift cannot be offered to the one who has it; name somebody else, or nobody.",
        )
    _require_to_come(request, now)
    return replace(request, state=SwapState.OPEN, taken_by=None, changed_by=actor)


def take(
    request: SwapRequest, taker: PersonId, actor: PersonId, now: datetime, context: SwapContext
) -> tuple[SwapRequest, tuple[Override, ...]]:
    """Return the request taken by `taker`, and the overrides if no approval is needed (then it is APPROVED at once).

    Raises
    ------
    SwapRefused
        If the law, a missing privilege, the state or the time forbids it: nothing has changed then.
    """
    _require(actor, {taker}, context, "take this for somebody else")
    may_take = {request.wanted.person_id} if request.wanted is not None else request.offered_to
    if taker == request.given.person_id or (may_take and taker not in may_take):
        raise SwapRefused(
            f"Cette demande n'est pas proposée à {taker}.", f"This request is not offered to {taker}; ask for another."
        )
    request = _moved(request, SwapAction.TAKE, actor, now)
    request = replace(request, taken_by=taker)
    _require_allowed(request, context)
    return (request, ()) if request.needs_approval else _approved(request, actor, now, context)


def approve(
    request: SwapRequest, actor: PersonId, now: datetime, context: SwapContext
) -> tuple[SwapRequest, tuple[Override, ...]]:
    """Return the request approved by a manager, and the overrides that it makes; the law is asked again.

    Raises
    ------
    SwapRefused
        If the actor is no manager, or what was allowed when it was taken no longer is.
    """
    _require(actor, set(), context, "approve")
    return _approved(request, actor, now, context)


def end(
    request: SwapRequest, action: SwapAction, actor: PersonId, now: datetime, context: SwapContext, reason: str = ""
) -> SwapRequest:
    """Return the request released by its taker, withdrawn by its asker, or refused by a manager, who may do all.

    Raises
    ------
    SwapRefused
        If the actor may not, or the state does not allow it.
    """
    allowed: dict[SwapAction, set[PersonId | None]] = {
        SwapAction.RELEASE: {request.taken_by},
        SwapAction.WITHDRAW: {request.given.person_id},
        SwapAction.REFUSE: {request.wanted.person_id} if request.wanted is not None else set(),
    }
    if action not in allowed:
        message = f"{action} is not done by `end`"
        raise ValueError(message)
    _require(actor, {one for one in allowed[action] if one is not None}, context, f"{action} this")
    ended = _moved(request, action, actor, now)
    return replace(ended, reason=reason, taken_by=None if action is SwapAction.RELEASE else request.taken_by)


def expire(request: SwapRequest, now: datetime) -> SwapRequest:
    """Return the request PAST_DUE if its shift has begun and nobody settled it; else unchanged."""
    if request.is_over or now < request.starts_at:
        return request
    return replace(request, state=NEXT[request.state, SwapAction.EXPIRE], changed_by="telegarde")


def follow(request: SwapRequest, context: SwapContext) -> SwapRequest:
    """Return the request with the spans that its shifts have now; WITHDRAWN when one is no longer its person's.

    A whole shift is found again by line, person and rule within a day of where it was.
    """
    if request.is_over:
        return request
    moved: dict[str, SwapPart] = {}
    for name, part in (("given", request.given), ("wanted", request.wanted)):
        if part is None:
            continue
        found = _found(part, context)
        if found is None:
            reason = f"{part.line_id} {part.span.start:%Y-%m-%d} is no longer {part.person_id}'s"
            return replace(request, state=SwapState.WITHDRAWN, changed_by="telegarde", reason=reason)
        moved[name] = found
    return replace(request, given=moved["given"], wanted=moved.get("wanted"))


def due_reminders(request: SwapRequest, now: datetime) -> tuple[Reminder, ...]:
    """Return the newest reminder that is due and was not sent; none for a request that is over or has begun."""
    if request.is_over or now >= request.starts_at:
        return ()
    since = max(request.created_at, request.reminded_at or request.created_at)
    due = [before for before in REMINDERS_BEFORE if since < request.starts_at - before <= now]
    if not due:
        return ()
    is_taken = request.state is SwapState.TAKEN
    return (
        Reminder(
            swap_id=request.swap_id,
            before=min(due),
            due_at=request.starts_at - min(due),
            to=frozenset() if is_taken else request.offered_to,
            waits_for_approval=is_taken,
        ),
    )


def reminded(request: SwapRequest, now: datetime) -> SwapRequest:
    """Return the request with its reminder sent."""
    return replace(request, reminded_at=now)


def with_overrides(roster: Roster, overrides: Iterable[Override], version: str) -> Roster:
    """Return the next version of the roster, with a swap's overrides in it; adding them again changes nothing."""
    known = {one.override_id for one in roster.overrides}
    added = tuple(one for one in overrides if one.override_id not in known)
    return replace(roster, version=version, overrides=(*roster.overrides, *added))


def _approved(
    request: SwapRequest, actor: PersonId, now: datetime, context: SwapContext
) -> tuple[SwapRequest, tuple[Override, ...]]:
    approved = _moved(request, SwapAction.APPROVE, actor, now)
    _require_allowed(approved, context)
    overrides = tuple(
        Override(
            override_id=f"swap:{request.swap_id}:{name}",
            line_id=part.line_id,
            kind=OverrideKind.REPLACE,
            span=part.span,
            added=receiver,
            removed=part.person_id,
            reason=f"swap {request.swap_id}",
            created_at=now,
        )
        for name, part, receiver in _changes(approved)
    )
    return approved, overrides


def _changes(request: SwapRequest) -> list[tuple[str, SwapPart, PersonId]]:
    """Return what goes to whom."""
    assert request.taken_by is not None, "only a request that is taken changes anything"
    changes = [("given", request.given, request.taken_by)]
    if request.wanted is not None:
        changes.append(("wanted", request.wanted, request.given.person_id))
    return changes


def _moved(request: SwapRequest, action: SwapAction, actor: PersonId, now: datetime) -> SwapRequest:
    following = NEXT.get((request.state, action))
    if following is None:
        raise SwapRefused(
            f"La demande {request.swap_id} est « {request.state} » : « {action} » n'est pas possible dans cet état.",
            f"Request {request.swap_id} is {request.state}: {action} is not possible then; look at it again.",
        )
    _require_to_come(request, now)
    return replace(request, state=following, changed_by=actor)


def _require(actor: PersonId, allowed: set[PersonId], context: SwapContext, what: str) -> None:
    if actor not in allowed | context.managers:
        who_fr = ", ".join([*sorted(allowed), "les responsables"])
        who_en = " or ".join([*sorted(allowed), "managers"])
        raise SwapRefused(
            f"{actor} ne peut pas faire cela ({what}) : seuls peuvent le faire {who_fr}.",
            f"{actor} may not {what}: only {who_en} may.",
        )


def _require_to_come(request: SwapRequest, now: datetime) -> None:
    if now >= request.starts_at:
        raise SwapRefused(
            f"La garde de la demande {request.swap_id} a commencé : le passé ne change plus.",
            f"The shift of request {request.swap_id} has begun: the past is frozen; call the coordinator.",
        )


def _require_owned(part: SwapPart, context: SwapContext) -> None:
    if subtract([part.span], [shift.span for shift in _shifts(part, part.span, context)]):
        raise SwapRefused(
            f"{part.person_id} n'est pas sur {part.line_id} de {part.span.start:%Y-%m-%d %H:%M} UTC à "
            f"{part.span.end:%Y-%m-%d %H:%M} UTC.",
            f"{part.person_id} is not on {part.line_id} from {part.span.start:%Y-%m-%d %H:%M} UTC to "
            f"{part.span.end:%Y-%m-%d %H:%M} UTC; look at the roster in force.",
        )


def _require_allowed(request: SwapRequest, context: SwapContext) -> None:
    """Refuse what the law or a missing privilege forbids to either side, on the roster as it is now."""
    for _, part, receiver in _changes(request):
        _require_owned(part, context)
        line = context.roster.line(part.line_id)
        _require_privileges(line, part.person_id, receiver, context)
        given = [own for _, own, _ in _changes(request) if own.person_id == receiver]
        broken = may_add(
            receiver, part.span, line, _Without(context, given), context.roster, context.directory, context.limits
        )
        if broken:
            raise SwapRefused(
                f"{receiver} ne peut pas prendre {part.line_id} : " + " ".join(one.message_fr for one in broken),
                f"{receiver} cannot take {part.line_id}: " + " ".join(one.message_en for one in broken),
                broken,
            )


class _Without:
    """The timeline without what somebody gives away in the same act; of a part given, the rest of the shift stays."""

    def __init__(self, context: SwapContext, given: list[SwapPart]) -> None:
        self._timeline = context.timeline
        self._given = given

    def shifts_of(self, person_id: PersonId, within: Span) -> list[Shift]:
        left = []
        for shift in self._timeline.shifts_of(person_id, within):
            away = [one.span for one in self._given if one.line_id == shift.line_id and one.person_id == person_id]
            left += [replace(shift, span=span) for span in subtract([shift.span], away)]
        return left


def _require_privileges(line: Line, giver: PersonId, receiver: PersonId, context: SwapContext) -> None:
    """The one who comes must be allowed to read for every site of the line that the one who leaves reads for."""
    persons = context.directory.persons
    if receiver not in persons:
        raise SwapRefused(f"{receiver} n'est pas dans l'annuaire.", f"{receiver} is not in the directory; add them.")
    served: frozenset[SiteId] = line.sites or frozenset(
        site.site_id for site in context.directory.sites.values() if line.provider_id in site.provider_order
    )
    needed = served & persons[giver].privileges if giver in persons else served
    if missing := needed - persons[receiver].privileges:
        sites = ", ".join(sorted(missing))
        raise SwapRefused(
            f"{receiver} n'a pas de convention avec {sites} (ligne {line.line_id}).",
            f"{receiver} has no privilege at {sites} (line {line.line_id}); choose somebody who has, or add it.",
        )


def _found(part: SwapPart, context: SwapContext) -> SwapPart | None:
    """Return where the part is now, or None when its person no longer has it."""
    if not subtract([part.span], [shift.span for shift in _shifts(part, part.span, context)]) and not part.rule:
        return part
    near = Span(start=part.span.start - _MOVED_MAX, end=part.span.end + _MOVED_MAX)
    candidates = [
        shift
        for shift in _shifts(part, near, context)
        if part.rule and shift.rule == part.rule and abs(shift.span.start - part.span.start) < _MOVED_MAX
    ]
    if not candidates:
        return None
    nearest = min(candidates, key=lambda shift: (abs(shift.span.start - part.span.start), shift.span.start))
    return replace(part, span=nearest.span)


def _shifts(part: SwapPart, within: Span, context: SwapContext) -> list[Shift]:
    shifts = context.timeline.shifts_of(part.person_id, within)
    return [shift for shift in shifts if shift.line_id == part.line_id]
