"""Performed steps as they are kept: created, changed, tied to the orders that they perform, and found again.

For: the MPPS service, and all who ask what was done at a scanner. Not for: messages (`pacs.worklist.mpps_service`), or
which case an exam belongs to (`oncall`, from the topic ``performed_step/1``).

Invariants
----------
* What was answered with success is on disk; what is refused changed nothing.
* A step is tied only to orders of the hospital whose scanner performs it, and of the same patient; a step that names an
  order of another patient is kept untied and marked, for a human.
* A step that nobody ordered is kept like any other: it was done.
* An order is in the state that all its steps together say; ``performed_step/1`` is stated in the same transaction.

Every function takes a connection inside `Database.write(durable=True)` (those that only look, of `read` too); `now` is
UTC.

References
----------
PS3.4 F.7.2; IHE RAD TF-2 4.6 and 4.7 (Modality Procedure Step In Progress, Completed)
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from foundation import log, outbox
from foundation.errors import PeerError
from foundation.instants import instant_of_us, microseconds
from pacs.archive.query_values import Item
from pacs.contracts import TOPIC_PERFORMED_STEP
from pacs.worklist import mpps_attributes, orders
from pacs.worklist.attribute_list import from_json, to_json
from pacs.worklist.mpps import Kept, PerformedStep, ScheduledReference, patient_of, read_step, scheduled_references
from pacs.worklist.mpps_attributes import STATUS, text_of
from pacs.worklist.mpps_schema import performed_step, performed_step_order, performed_step_study
from pacs.worklist.mpps_states import Operation, Refusal, StepState, decide
from pacs.worklist.order import Order, OrderId, OrderPatient, OrderState, order_id
from pacs.worklist.schema import worklist_order

STEPS_MAX: Final = 1_000
"""Steps that are read at once: of an order some two, of a study some ten, unscheduled ones of a hospital the newest."""

_ORDERS_OF_ACCESSION_MAX: Final = 100

_STATE_OF_ORDER: Final[Mapping[StepState, OrderState]] = MappingProxyType(
    {
        StepState.IN_PROGRESS: OrderState.IN_PROGRESS,
        StepState.COMPLETED: OrderState.COMPLETED,
        StepState.DISCONTINUED: OrderState.DISCONTINUED,
    }
)
"""In this order: one step that runs keeps its order running, one that was completed completes it."""


class StepRefused(PeerError):
    """A request about a step that is not carried out; ``refusal`` is what it is answered."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.comment)
        self.refusal = refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: a scanner and its hospital ('' when it has none)."""

    calling_aet: str
    site_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A step as a modification list leaves it; ``ignored`` are the attributes that N-SET may not change."""

    step: PerformedStep
    ignored: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """What a step says was made: its studies, and every instance of them, each once."""

    study_instance_uids: tuple[str, ...]
    sop_instance_uids: tuple[str, ...]


def create(connection: Connection, mpps_uid: str, attributes: Item, caller: Caller, now: datetime) -> PerformedStep:
    """Keep a new step.

    Raises
    ------
    StepRefused
        If the UID is known (N-CREATE sent again), or the attributes are none of a step that begins.
    """
    outcome = decide(_state(connection, mpps_uid), Operation.CREATE, text_of(attributes, STATUS))
    if isinstance(outcome, Refusal):
        raise StepRefused(outcome)
    refusal = mpps_attributes.why_not_created(attributes)
    if refusal is not None:
        raise StepRefused(refusal)
    connection.execute(
        insert(performed_step).values(
            mpps_uid=mpps_uid,
            site_id=caller.site_id,
            calling_aet=caller.calling_aet,
            state=outcome.value,
            is_unscheduled=True,
            is_of_another_patient=False,
            attributes=json.dumps(to_json(attributes)),
            created_at_us=microseconds(now),
            changed_at_us=microseconds(now),
        )
    )
    for study_instance_uid in dict.fromkeys(one.study_instance_uid for one in scheduled_references(attributes)):
        connection.execute(
            insert(performed_step_study).values(mpps_uid=mpps_uid, study_instance_uid=study_instance_uid)
        )
    return _follow(connection, mpps_uid, attributes, caller, now)


def change(connection: Connection, mpps_uid: str, said: Item, caller: Caller, now: datetime) -> Changed:
    """Take a modification list.

    Raises
    ------
    StepRefused
        If there is no such step for this caller, it has ended, the list names another patient, or what a final state
        needs is missing.
    """
    row = _row(connection, mpps_uid)
    is_callers = row is not None and _may_touch(row, caller)
    outcome = decide(
        StepState(row.state) if row is not None and is_callers else None, Operation.SET, text_of(said, STATUS)
    )
    if isinstance(outcome, Refusal):
        raise StepRefused(outcome)
    assert row is not None
    known = _attributes(row.attributes)
    new = mpps_attributes.changed(known, said)
    refusal = mpps_attributes.why_not_changed(known, said) or mpps_attributes.why_not_ended(new, outcome)
    if refusal is not None:
        raise StepRefused(refusal)
    ignored = mpps_attributes.ignored(known, said)
    if new == known:
        step = _read(connection, row)
        return Changed(step=step, ignored=ignored)
    connection.execute(
        update(performed_step)
        .where(performed_step.c.mpps_uid == mpps_uid)
        .values(state=outcome.value, attributes=json.dumps(to_json(new)), changed_at_us=microseconds(now))
    )
    creator = Caller(calling_aet=row.calling_aet, site_id=row.site_id)
    return Changed(step=_follow(connection, mpps_uid, new, creator, now), ignored=ignored)


def attributes_of(connection: Connection, mpps_uid: str, caller: Caller | None = None) -> Item:
    """Return everything that a step was created and changed with.

    Raises
    ------
    StepRefused
        If there is no such step, or not for this caller.
    """
    row = _row(connection, mpps_uid)
    if row is not None and caller is not None and not _may_touch(row, caller):
        row = None
    outcome = decide(None if row is None else StepState(row.state), Operation.GET)
    if isinstance(outcome, Refusal):
        raise StepRefused(outcome)
    assert row is not None
    return _attributes(row.attributes)


def find(connection: Connection, mpps_uid: str) -> PerformedStep | None:
    """Return a step, or None."""
    row = _row(connection, mpps_uid)
    return None if row is None else _read(connection, row)


def of_order(connection: Connection, order_id: OrderId) -> tuple[PerformedStep, ...]:
    """Return the steps that perform an order, the first created first."""
    tied = performed_step_order
    return _select(connection, select(tied.c.mpps_uid).where(tied.c.order_id == order_id))


def of_study(connection: Connection, study_instance_uid: str) -> tuple[PerformedStep, ...]:
    """Return the steps whose images go into a study, the first created first; the UID alone says nothing of whose."""
    made = performed_step_study
    return _select(connection, select(made.c.mpps_uid).where(made.c.study_instance_uid == study_instance_uid))


def newest(
    connection: Connection, *, site_id: str | None = None, is_unscheduled: bool | None = None, limit: int = STEPS_MAX
) -> tuple[PerformedStep, ...]:
    """Return the newest steps, the newest first: of one hospital or all, tied to no order, to one, or either."""
    column = performed_step.c
    wanted = select(performed_step).order_by(column.created_at_us.desc(), column.mpps_uid)
    if site_id is not None:
        wanted = wanted.where(column.site_id == site_id)
    if is_unscheduled is not None:
        wanted = wanted.where(column.is_unscheduled == is_unscheduled)
    return tuple(_read(connection, row) for row in connection.execute(wanted.limit(min(limit, STEPS_MAX))).all())


def references(connection: Connection, mpps_uid: str) -> References | None:
    """Return what a step says was made; None when there is no such step."""
    step = find(connection, mpps_uid)
    if step is None:
        return None
    return References(study_instance_uids=step.study_instance_uids, sop_instance_uids=step.sop_instance_uids)


def _follow(connection: Connection, mpps_uid: str, attributes: Item, caller: Caller, now: datetime) -> PerformedStep:
    """Tie a step to its orders, bring those into their states, and tell the others."""
    found, others = _ordered(connection, attributes, caller)
    connection.execute(delete(performed_step_order).where(performed_step_order.c.mpps_uid == mpps_uid))
    for order in found:
        connection.execute(insert(performed_step_order).values(mpps_uid=mpps_uid, order_id=order.order_id))
    connection.execute(
        update(performed_step)
        .where(performed_step.c.mpps_uid == mpps_uid)
        .values(is_unscheduled=not found, is_of_another_patient=bool(others))
    )
    for order in found:
        _bring_along(connection, order, now)
    step = find(connection, mpps_uid)
    assert step is not None
    outbox.append(connection, TOPIC_PERFORMED_STEP, _payload(step), created_at_s=now.timestamp())
    return step


def _payload(step: PerformedStep) -> dict[str, Any]:
    return {
        "mpps_uid": step.mpps_uid,
        "site_id": step.site_id,
        "state": step.state.value,
        "order_ids": list(step.order_ids),
        "study_instance_uids": list(step.study_instance_uids),
        "is_unscheduled": step.is_unscheduled,
        "is_of_another_patient": step.is_of_another_patient,
        "calling_aet": step.calling_aet,
    }


def _ordered(connection: Connection, attributes: Item, caller: Caller) -> tuple[list[Order], list[Order]]:
    """Return the orders that a step names: those that it performs, and those of another patient."""
    named: dict[OrderId, Order] = {}
    if caller.site_id:
        for reference in scheduled_references(attributes):
            named |= {order.order_id: order for order in _named(connection, reference, caller.site_id)}
    patient_id, issuer = patient_of(attributes)
    found: list[Order] = []
    others: list[Order] = []
    for order in named.values():
        is_same = is_of_patient(order.patient, patient_id, issuer)
        (found if is_same else others).append(order)
    return found, others


def is_of_patient(patient: OrderPatient, patient_id: str, issuer: str) -> bool:
    """Say whether a Patient ID at the scanner can be this patient's: what is not said contradicts nothing.

    A scanner that names no issuer means that of its hospital, which is the order's too; a former identifier of the same
    patient counts, one of another hospital only with its issuer.
    """
    known = ((patient.patient_id, patient.issuer), *patient.other_ids)
    said_by = issuer or patient.issuer
    return not patient_id or any(one == patient_id and its in {"", said_by} for one, its in known)


def _named(connection: Connection, reference: ScheduledReference, site_id: str) -> Sequence[Order]:
    """Return the orders of a hospital that a reference means: by study, else by step, accession or placer's number.

    Several orders may share a study: the other numbers say which, where they are sent.
    """
    of_study = [
        order for order in orders.find_by_study(connection, reference.study_instance_uid) if order.site_id == site_id
    ]
    if of_study:
        return _narrowed(of_study, reference)
    of_step = orders.find_by_step(connection, site_id, reference.scheduled_step_id)
    if of_step is not None:
        return (of_step,)
    if reference.accession_number:
        column = worklist_order.c
        ids = connection.execute(
            select(column.order_id)
            .where(column.site_id == site_id, column.accession_number == reference.accession_number)
            .order_by(column.placed_at_us, column.order_id)
            .limit(_ORDERS_OF_ACCESSION_MAX)
        ).scalars()
        of_accession = [order for one in ids if (order := orders.find(connection, OrderId(one))) is not None]
        if of_accession:
            return _narrowed(of_accession, reference)
    if reference.placer_order_number:
        order = orders.find(connection, order_id(site_id, reference.placer_order_number))
        return () if order is None else (order,)
    return ()


def _narrowed(found: Sequence[Order], reference: ScheduledReference) -> Sequence[Order]:
    tests: tuple[Callable[[Order], bool], ...] = (
        lambda order: orders.scheduled_step_id(order.order_id) == reference.scheduled_step_id.upper(),
        lambda order: order.placer_order_number == reference.placer_order_number != "",
        lambda order: order.accession_number == reference.accession_number != "",
    )
    for is_meant in tests:
        exact = [order for order in found if is_meant(order)]
        if exact:
            return exact
    return found


def _bring_along(connection: Connection, order: Order, now: datetime) -> None:
    """Bring an order into the state that all its steps say."""
    states = {step.state for step in of_order(connection, order.order_id)}
    wanted = next(_STATE_OF_ORDER[state] for state in _STATE_OF_ORDER if state in states)
    if wanted is order.state:
        return
    if wanted not in orders.FOLLOWS[order.state]:
        # An exam that was completed stays so when a further step of it is given up.
        log.info("order_state_stays", state=order.state.value)
        return
    orders.set_state(connection, order.order_id, wanted, now)


def _may_touch(row: Any, caller: Caller) -> bool:
    if row.site_id:
        return bool(row.site_id == caller.site_id)
    return bool(row.calling_aet == caller.calling_aet)


def _state(connection: Connection, mpps_uid: str) -> StepState | None:
    row = _row(connection, mpps_uid)
    return None if row is None else StepState(row.state)


def _row(connection: Connection, mpps_uid: str) -> Any:
    return connection.execute(select(performed_step).where(performed_step.c.mpps_uid == mpps_uid)).one_or_none()


def _select(connection: Connection, uids: Any) -> tuple[PerformedStep, ...]:
    column = performed_step.c
    rows = connection.execute(
        select(performed_step)
        .where(column.mpps_uid.in_(uids))
        .order_by(column.created_at_us, column.mpps_uid)
        .limit(STEPS_MAX)
    ).all()
    return tuple(_read(connection, row) for row in rows)


def _attributes(text: str) -> Item:
    return from_json(json.loads(text))


def _read(connection: Connection, row: Any) -> PerformedStep:
    tied: Iterable[str] = connection.execute(
        select(performed_step_order.c.order_id)
        .where(performed_step_order.c.mpps_uid == row.mpps_uid)
        .order_by(performed_step_order.c.order_id)
    ).scalars()
    return read_step(
        _attributes(row.attributes),
        Kept(
            mpps_uid=row.mpps_uid,
            site_id=row.site_id,
            calling_aet=row.calling_aet,
            order_ids=tuple(OrderId(one) for one in tied),
            is_of_another_patient=bool(row.is_of_another_patient),
            created_at=instant_of_us(row.created_at_us),
            changed_at=instant_of_us(row.changed_at_us),
        ),
    )
