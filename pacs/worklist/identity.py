"""Whose patients are one: merges (A40), links (A24), and their undoing (A37), as hospitals and people say them.

For: one answer to "who is this patient now" and "which are the same". Not for: messages (`pacs.worklist.hl7.adt_in`),
images (an instance keeps the identifier that it came with), or guessing: nobody is linked for a similar name.

Invariants
----------
* A merge moves open orders to the surviving patient and remembers how they were: undoing it brings them back.
* What two hospitals call the same number stays two patients; only an equal, qualified INS makes them one.
* A merge that contradicts what is known is refused, with the reason, and a human decides.
* Every change is a row that stays, and is told in the outbox in the same transaction.

References
----------
HL7 2.5.1 3.3.24 (A24), 3.3.37 (A37), 3.3.40 (A40); IHE RAD TF-2 4.12; RNIV (INS)
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, insert, or_, select, update

from foundation import outbox
from foundation.errors import Refused
from foundation.instants import microseconds
from pacs.archive.person_name import person_name_key
from pacs.contracts import TOPIC_PATIENT_IDENTITY
from pacs.worklist import orders
from pacs.worklist.identity_schema import worklist_patient as patients
from pacs.worklist.identity_schema import worklist_patient_change as changes
from pacs.worklist.order import Ins, InsStatus, Order, OrderId, OrderPatient
from pacs.worklist.order_json import patient_from_json, patient_to_json

LINKED_MAX: Final = 64
"""Identifiers that are one person's: more are a mistake of whoever links them, and are not followed further."""

_ID_CHARACTERS: Final = 32

# Made once: every order asks both, and SQLAlchemy takes longer to make a statement than SQLite to answer it.
_PATIENT: Final = select(patients).where(
    patients.c.issuer == bindparam("issuer"), patients.c.patient_id == bindparam("patient_id")
)
_SURVIVOR: Final = select(changes.c.issuer, changes.c.patient_id).where(
    changes.c.other_issuer == bindparam("issuer"),
    changes.c.other_patient_id == bindparam("patient_id"),
    changes.c.kind == bindparam("kind"),
    changes.c.is_in_force == 1,
)


class PatientKey(NamedTuple):
    """A patient of one hospital: who issued the identifier, and the identifier."""

    issuer: str
    patient_id: str


class Kind(StrEnum):
    """What was said; the ``change`` of the topic ``patient_identity/1``."""

    MERGED = "merged"
    LINKED = "linked"
    UNLINKED = "unlinked"
    UPDATED = "updated"


class IdentityContradicts(Refused):
    """What is said of two patients contradicts what is known of them; ``reason`` is a word. Nothing was changed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityChange:
    """One thing that was said.

    Attributes
    ----------
    kept : PatientKey
        Who stays, or whose identity was updated.
    other : PatientKey or None
        Who was merged into them, linked with or unlinked from them.
    was_merged : bool
        What was undone was a merge (``UNLINKED`` only).
    status_before, status_after : InsStatus
        How far the identity was established (``UPDATED`` only).
    """

    change_id: str
    kind: Kind
    kept: PatientKey
    other: PatientKey | None = None
    is_in_force: bool = False
    was_merged: bool = False
    status_before: InsStatus = InsStatus.PROVISIONAL
    status_after: InsStatus = InsStatus.PROVISIONAL
    source_message: str = ""


# What is said


def update_patient(
    connection: Connection, patient: OrderPatient, now: datetime, *, source_message: str = "", is_doubted: bool = False
) -> IdentityChange | None:
    """Keep what a hospital says of its patient, on their open orders too; return the change, None when it is known.

    What is not said this time (an empty text, no INS) stays as it was known.

    Parameters
    ----------
    is_doubted : bool
        The hospital says that the identity is not validated (any more): an INS that is known counts no longer.

    Raises
    ------
    IdentityContradicts
        If name and date of birth are both of somebody else: the identifier was given to another person.
    """
    key = _key(patient)
    row = _patient_row(connection, key)
    if row is None:
        status = _status(patient)
        connection.execute(insert(patients), {**_columns(patient), **_stamp(now, source_message)})
        before, is_new = InsStatus.PROVISIONAL, True
    else:
        known = _patient_of(row)
        if not orders.is_same_patient(known, patient):
            raise IdentityContradicts(
                "identity_replaced",
                "name and date of birth are of somebody else than before; ask the hospital whose identifier it is",
            )
        merged = _with_what_is_said(known, patient)
        if is_doubted and patient.ins is None and merged.ins is not None:
            merged = dataclasses.replace(merged, ins=dataclasses.replace(merged.ins, status=InsStatus.PROVISIONAL))
        before, status, is_new = InsStatus(row.ins_status), _status(merged), False
        if merged == known:
            return None
        connection.execute(update(patients).where(*_is(key)).values(**_columns(merged), **_stamp(now, source_message)))
        patient = merged
    _correct_orders(connection, patient, now)
    if is_new and status is before:
        return None
    change = IdentityChange(
        change_id=_change_id(connection, Kind.UPDATED, key, None), kind=Kind.UPDATED, kept=key,
        status_before=before, status_after=status, source_message=source_message,
    )  # fmt: skip
    _keep(connection, change, now)
    return change


def merge(
    connection: Connection, kept: PatientKey, other: PatientKey, now: datetime, *, source_message: str = ""
) -> IdentityChange | None:
    """Say that `other` is `kept` and is not used any more (A40); None when that is so already.

    Raises
    ------
    IdentityContradicts
        If it is a merge into itself or in a circle, `other` was merged into somebody else, both have a qualified INS
        and not the same one, or neither name nor date of birth agree.
    """
    return _join(connection, Kind.MERGED, kept, other, now, source_message=source_message)


def link(
    connection: Connection, one: PatientKey, other: PatientKey, now: datetime, *, source_message: str = ""
) -> IdentityChange | None:
    """Say that two patients are one person, and both identifiers stay in use (A24); raises like `merge`."""
    return _join(connection, Kind.LINKED, one, other, now, source_message=source_message)


def unlink(
    connection: Connection, one: PatientKey, other: PatientKey, now: datetime, *, source_message: str = ""
) -> IdentityChange | None:
    """Undo the merge or the link of two patients (A37, or a person); None when nothing joins them.

    Orders that a merge moved and that are still open go back to the patient whom they had.
    """
    row = connection.execute(select(changes).where(changes.c.is_in_force == 1, _between(one, other))).first()
    if row is None:
        return None
    undone_by = source_message or "person"
    connection.execute(update(changes).where(changes.c.number == row.number).values(is_in_force=0, undone_by=undone_by))
    for order_id, before in json.loads(row.moved).items():
        order = orders.find(connection, OrderId(order_id))
        if order is not None and _key(order.patient) == PatientKey(row.issuer, row.patient_id):
            orders.change_patient(connection, order.order_id, patient_from_json(before), now)
    kept, gone = PatientKey(row.issuer, row.patient_id), PatientKey(row.other_issuer, row.other_patient_id)
    change = IdentityChange(
        change_id=_change_id(connection, Kind.UNLINKED, kept, gone), kind=Kind.UNLINKED, kept=kept, other=gone,
        was_merged=row.kind == Kind.MERGED, source_message=source_message,
    )  # fmt: skip
    _keep(connection, change, now)
    return change


# What is asked


def find_change(connection: Connection, change_id: str) -> IdentityChange | None:
    """Return what was said under an id of the topic ``patient_identity/1``."""
    row = connection.execute(select(changes).where(changes.c.change_id == change_id)).one_or_none()
    return None if row is None else _change_of(row)


def changes_of(connection: Connection, key: PatientKey) -> tuple[IdentityChange, ...]:
    """Return everything that was said of a patient, oldest first."""
    query = select(changes).where(or_(and_(*_is_kept(key)), and_(*_is_other(key)))).order_by(changes.c.number)
    return tuple(map(_change_of, connection.execute(query)))


def find_patient(connection: Connection, key: PatientKey) -> OrderPatient | None:
    """Return what the hospital last said of a patient."""
    row = _patient_row(connection, key)
    return None if row is None else _patient_of(row)


def surviving(connection: Connection, issuer: str, patient_id: str) -> PatientKey:
    """Return under which identifier a patient is known now: their own, or whom they were merged into."""
    key, seen = PatientKey(issuer, patient_id), set[PatientKey]()
    while key not in seen and len(seen) < LINKED_MAX:
        seen.add(key)
        row = connection.execute(_SURVIVOR, {**key._asdict(), "kind": Kind.MERGED.value}).first()
        if row is None:
            return key
        key = PatientKey(row.issuer, row.patient_id)
    return key


def same_person(connection: Connection, issuer: str, patient_id: str) -> tuple[PatientKey, ...]:
    """Return every identifier of one person: their own first, then merged and linked ones, then those of the same INS.

    Only a qualified INS counts, and only an equal one. At most `LINKED_MAX`.
    """
    found: dict[PatientKey, None] = {}
    waiting = [PatientKey(issuer, patient_id)]
    while waiting and len(found) < LINKED_MAX:
        key = waiting.pop(0)
        if key in found:
            continue
        found[key] = None
        waiting += [*_joined(connection, key), *_of_same_ins(connection, key)]
    return tuple(found)


# Within


def _join(
    connection: Connection, kind: Kind, kept: PatientKey, other: PatientKey, now: datetime, *, source_message: str
) -> IdentityChange | None:
    _ensure_no_circle(connection, kept, other)
    standing = connection.execute(
        select(changes).where(changes.c.is_in_force == 1, _between(kept, other), changes.c.kind == kind.value)
    ).first()
    if standing is not None:
        return None
    if kind is Kind.MERGED and surviving(connection, *other) != other:
        raise IdentityContradicts(
            "merged_elsewhere", "the other patient was merged into somebody else; undo that first, or merge that one"
        )
    _ensure_no_contradiction(connection, kept, other)
    moved = _move_orders(connection, kept, other, now) if kind is Kind.MERGED else {}
    change = IdentityChange(
        change_id=_change_id(connection, kind, kept, other), kind=kind, kept=kept, other=other, is_in_force=True,
        source_message=source_message,
    )  # fmt: skip
    _keep(connection, change, now, moved=moved)
    return change


def _ensure_no_circle(connection: Connection, kept: PatientKey, other: PatientKey) -> None:
    if kept == other:
        raise IdentityContradicts("same_patient", "a patient cannot be merged into, or linked with, themselves")
    if surviving(connection, *kept) == other:
        raise IdentityContradicts(
            "merge_in_a_circle", "the patient who is to stay was merged into the other one; undo that first"
        )


def _ensure_no_contradiction(connection: Connection, kept: PatientKey, other: PatientKey) -> None:
    one, two = find_patient(connection, kept), find_patient(connection, other)
    if one is None or two is None:
        return
    both = (one.ins, two.ins)
    if all(ins is not None and ins.may_be_sent for ins in both) and len({ins and ins.matricule for ins in both}) > 1:
        raise IdentityContradicts("two_national_identities", "both have a qualified INS, and not the same one")
    has_other_birth_date = bool(one.birth_date and two.birth_date) and one.birth_date != two.birth_date
    has_other_name = bool(one.name and two.name) and person_name_key(one.name) != person_name_key(two.name)
    if has_other_birth_date and has_other_name:
        raise IdentityContradicts("two_persons", "neither name nor date of birth agree; ask the hospital")


def _move_orders(connection: Connection, kept: PatientKey, other: PatientKey, now: datetime) -> dict[OrderId, str]:
    moved = {}
    stays = find_patient(connection, kept)
    for order in orders.of_patient(connection, other.issuer, other.patient_id):
        if order.state not in orders.OPEN_STATES:
            continue
        moved[order.order_id] = patient_to_json(order.patient)
        orders.change_patient(connection, order.order_id, _moved(order, kept, stays), now)
    return moved


def _moved(order: Order, kept: PatientKey, stays: OrderPatient | None) -> OrderPatient:
    former = (order.patient.patient_id, order.patient.issuer)
    others = tuple(one for one in (*order.patient.other_ids, former) if one != (kept.patient_id, kept.issuer))
    moved = dataclasses.replace(
        order.patient, patient_id=kept.patient_id, issuer=kept.issuer, other_ids=tuple(dict.fromkeys(others))
    )
    return moved if stays is None else _with_what_is_said(moved, stays, is_identity=True)


def _correct_orders(connection: Connection, patient: OrderPatient, now: datetime) -> None:
    for order in orders.of_patient(connection, patient.issuer, patient.patient_id):
        if order.state in orders.OPEN_STATES:
            corrected = _with_what_is_said(order.patient, patient, is_identity=True)
            orders.change_patient(connection, order.order_id, corrected, now)


def _with_what_is_said(known: OrderPatient, said: OrderPatient, *, is_identity: bool = False) -> OrderPatient:
    """Return a patient with the traits that are said; what an order says of them otherwise stays (`is_identity`)."""
    others = known.other_ids if is_identity else said.other_ids or known.other_ids
    return dataclasses.replace(
        known,
        name=said.name or known.name,
        birth_date=said.birth_date or known.birth_date,
        sex=said.sex or known.sex,
        ins=said.ins or known.ins,
        other_ids=others,
    )


def _joined(connection: Connection, key: PatientKey) -> Iterable[PatientKey]:
    query = select(changes).where(changes.c.is_in_force == 1, or_(and_(*_is_kept(key)), and_(*_is_other(key))))
    for row in connection.execute(query.order_by(changes.c.number).limit(LINKED_MAX)):
        yield PatientKey(row.issuer, row.patient_id)
        yield PatientKey(row.other_issuer, row.other_patient_id)


def _of_same_ins(connection: Connection, key: PatientKey) -> Iterable[PatientKey]:
    row = _patient_row(connection, key)
    if row is None or not row.ins_matricule or row.ins_status != InsStatus.QUALIFIED:
        return
    query = select(patients.c.issuer, patients.c.patient_id).where(
        patients.c.ins_matricule == row.ins_matricule,
        patients.c.ins_oid == row.ins_oid,
        patients.c.ins_status == InsStatus.QUALIFIED.value,
    )
    for found in connection.execute(query.order_by(patients.c.issuer, patients.c.patient_id).limit(LINKED_MAX)):
        yield PatientKey(found.issuer, found.patient_id)


def _key(patient: OrderPatient) -> PatientKey:
    return PatientKey(patient.issuer, patient.patient_id)


def _status(patient: OrderPatient) -> InsStatus:
    return InsStatus.PROVISIONAL if patient.ins is None else patient.ins.status


def _columns(patient: OrderPatient) -> dict[str, object]:
    ins = patient.ins
    return {
        "issuer": patient.issuer, "patient_id": patient.patient_id, "patient_name": patient.name,
        "birth_date": patient.birth_date, "sex": patient.sex,
        "ins_matricule": "" if ins is None else ins.matricule, "ins_oid": "" if ins is None else ins.oid,
        "ins_status": _status(patient).value,
    }  # fmt: skip


def _stamp(now: datetime, source_message: str) -> dict[str, object]:
    return {"changed_at_us": microseconds(now), "source_message": source_message}


def _patient_row(connection: Connection, key: PatientKey) -> Row[Any] | None:
    return connection.execute(_PATIENT, key._asdict()).one_or_none()


def _patient_of(row: Row[Any]) -> OrderPatient:
    ins = Ins(matricule=row.ins_matricule, oid=row.ins_oid, status=InsStatus(row.ins_status))
    return OrderPatient(
        patient_id=row.patient_id, issuer=row.issuer, name=row.patient_name, birth_date=row.birth_date, sex=row.sex,
        ins=ins if row.ins_matricule else None,
    )  # fmt: skip


def _change_of(row: Row[Any]) -> IdentityChange:
    other = PatientKey(row.other_issuer, row.other_patient_id)
    return IdentityChange(
        change_id=row.change_id, kind=Kind(row.kind), kept=PatientKey(row.issuer, row.patient_id),
        other=other if row.other_patient_id else None, is_in_force=bool(row.is_in_force),
        was_merged=row.kind == Kind.UNLINKED and row.status_before == Kind.MERGED,
        status_before=InsStatus(row.status_before) if row.kind == Kind.UPDATED else InsStatus.PROVISIONAL,
        status_after=InsStatus(row.status_after) if row.kind == Kind.UPDATED else InsStatus.PROVISIONAL,
        source_message=row.source_message,
    )  # fmt: skip


def _keep(
    connection: Connection, change: IdentityChange, now: datetime, *, moved: dict[OrderId, str] | None = None
) -> None:
    other = change.other or PatientKey("", "")
    # Of an undoing, what it undid; of an update, the statuses.
    before = (Kind.MERGED if change.was_merged else "") if change.kind is Kind.UNLINKED else change.status_before
    connection.execute(
        insert(changes).values(
            change_id=change.change_id, kind=change.kind.value, issuer=change.kept.issuer,
            patient_id=change.kept.patient_id, other_issuer=other.issuer, other_patient_id=other.patient_id,
            is_in_force=int(change.is_in_force), status_before=str(before), status_after=change.status_after.value,
            moved=json.dumps(moved or {}), stated_at_us=microseconds(now), source_message=change.source_message,
            undone_by="",
        )
    )  # fmt: skip
    payload = {"change_id": change.change_id, "change": change.kind.value, "issuer": change.kept.issuer}
    outbox.append(connection, TOPIC_PATIENT_IDENTITY, payload, created_at_s=now.timestamp())


def _change_id(connection: Connection, kind: Kind, kept: PatientKey, other: PatientKey | None) -> str:
    said = len(changes_of(connection, kept))
    text = "\0".join((kind.value, *kept, *(other or ("", "")), str(said)))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]


def _is(key: PatientKey) -> tuple[Any, ...]:
    return patients.c.issuer == key.issuer, patients.c.patient_id == key.patient_id


def _is_kept(key: PatientKey) -> tuple[Any, ...]:
    return changes.c.issuer == key.issuer, changes.c.patient_id == key.patient_id


def _is_other(key: PatientKey) -> tuple[Any, ...]:
    return changes.c.other_issuer == key.issuer, changes.c.other_patient_id == key.patient_id


def _between(one: PatientKey, other: PatientKey) -> Any:
    return or_(and_(*_is_kept(one), *_is_other(other)), and_(*_is_kept(other), *_is_other(one)))
