"""Swap requests in the table `oncall_swap`: one row each, its state apart, so that open ones are found by it.

A change is written only if the request is still what the change was decided on: two people who take the same request
at once cannot both have it, and a reminder cannot put a request back to where its shift was before it moved.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from foundation.errors import Refused
from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from oncall.directory import LineId, PersonId
from oncall.rota.swaps import SwapPart, SwapRequest, SwapState
from oncall.schema import oncall_swap
from oncall.spans import Span
from oncall.strict_json import canonical

# Open requests that a reader of the list is shown; a pool has a handful.
_LISTED_MAX: Final = 1000


def add(connection: Connection, request: SwapRequest, now: datetime) -> None:
    """Write a new request into the caller's transaction."""
    connection.execute(insert(oncall_swap).values(swap_id=request.swap_id, **_row(request, now)))


def save(connection: Connection, request: SwapRequest, now: datetime, *, before: SwapRequest) -> None:
    """Write a changed request into the caller's transaction.

    Raises
    ------
    Refused
        If it is not `before` any more: somebody else was faster.
    """
    changed = connection.execute(
        update(oncall_swap)
        .where(oncall_swap.c.swap_id == request.swap_id, oncall_swap.c.body == _body(before))
        .values(**_row(request, now))
    )
    if changed.rowcount != 1:
        message = f"request {request.swap_id} has changed meanwhile; look at it again"
        raise Refused(message)


def load(connection: Connection, swap_id: str) -> SwapRequest:
    """Return a request.

    Raises
    ------
    Refused
        If there is none of that id.
    """
    body = connection.execute(select(oncall_swap.c.body).where(oncall_swap.c.swap_id == swap_id)).scalar_one_or_none()
    if body is None:
        message = f"there is no swap request {swap_id}; list them"
        raise Refused(message)
    return request_of(json.loads(body))


def unsettled(connection: Connection) -> tuple[SwapRequest, ...]:
    """Return the requests that are open or taken, the first to begin first."""
    states = [SwapState.OPEN.value, SwapState.TAKEN.value]
    rows = connection.execute(select(oncall_swap.c.body).where(oncall_swap.c.state.in_(states)).limit(_LISTED_MAX))
    return tuple(
        sorted((request_of(json.loads(body)) for (body,) in rows), key=lambda one: (one.starts_at, one.swap_id))
    )


def values_of(request: SwapRequest) -> dict[str, Any]:
    """Return a request as a JSON object; instants are microseconds since 1970 UTC."""
    return {
        "swap_id": request.swap_id,
        "given": _part_values(request.given),
        "wanted": _part_values(request.wanted) if request.wanted is not None else None,
        "created_at_us": microseconds(request.created_at),
        "offered_to": sorted(request.offered_to),
        "needs_approval": request.needs_approval,
        "state": request.state.value,
        "taken_by": request.taken_by,
        "reminded_at_us": microseconds_or_none(request.reminded_at),
        "changed_by": request.changed_by,
        "reason": request.reason,
    }


def request_of(values: Mapping[str, Any]) -> SwapRequest:
    """Return the request that `values_of` wrote."""
    return SwapRequest(
        swap_id=values["swap_id"],
        given=_part(values["given"]),
        wanted=_part(values["wanted"]) if values["wanted"] is not None else None,
        created_at=instant_of_us(values["created_at_us"]),
        offered_to=frozenset(PersonId(one) for one in values["offered_to"]),
        needs_approval=values["needs_approval"],
        state=SwapState(values["state"]),
        taken_by=PersonId(values["taken_by"]) if values["taken_by"] is not None else None,
        reminded_at=instant_of_us_or_none(values["reminded_at_us"]),
        changed_by=values["changed_by"],
        reason=values["reason"],
    )


def _row(request: SwapRequest, now: datetime) -> dict[str, Any]:
    return {"state": request.state.value, "body": _body(request), "changed_at_us": microseconds(now)}


def _body(request: SwapRequest) -> str:
    return canonical(values_of(request))


def _part_values(part: SwapPart) -> dict[str, Any]:
    return {
        "line_id": part.line_id,
        "person_id": part.person_id,
        "start_us": microseconds(part.span.start),
        "end_us": microseconds(part.span.end),
        "rule": part.rule,
    }


def _part(values: Mapping[str, Any]) -> SwapPart:
    return SwapPart(
        line_id=LineId(values["line_id"]),
        person_id=PersonId(values["person_id"]),
        span=Span(start=instant_of_us(values["start_us"]), end=instant_of_us(values["end_us"])),
        rule=values["rule"],
    )
