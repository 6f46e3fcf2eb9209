"""Anchors as rows: made once a day from the heads of all logs, read for proofs, never changed.

For: `Anchors`, which the on-call process asks on every tick and a person asks by a command. Not for: what an anchor
says (`oncall.evidence.anchor`), or proving all of them against the log (`oncall.evidence.log_verification`).

Invariants: numbers have no gaps, because the row is written in a transaction that saw the last one; what an anchor
stands for was committed before it (positions are in the order of commits); two nodes make one anchor a day together.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from foundation import log
from foundation.database import Database
from foundation.errors import TelegardeError, Unavailable
from foundation.instants import instant_of_us, microseconds
from oncall.evidence.anchor import Anchor, Leaf, Statement, next_due, root_over, statement_from_json, with_stamp
from oncall.report.canonical import signature_from_json, signature_to_json
from oncall.report.signing import NODE, Signer
from oncall.report.store import keep_key
from oncall.report.time_stamps import TimeStamper
from oncall.schema import oncall_anchor, oncall_anchor_leaf, oncall_case_event
from oncall.strict_json import DocumentInvalid, Value, canonical, parse

RETRY_AFTER: Final = timedelta(minutes=1)
"""How long after a failure an anchor is tried again."""

# Leaves inserted by one statement; a night has some hundreds.
_LEAVES_AT_ONCE: Final = 1000
# Times that others may make the next anchor while this one is being made; there are not so many nodes.
_TRIES_MAX: Final = 5


class AnchorDamaged(Unavailable):
    """A stored anchor cannot be read any more; restore it from a backup, and look who wrote to the table."""


class Anchors:
    """Makes anchors.

    Parameters
    ----------
    database : Database
        Where the logs are.
    signer : Signer
        Signs as the node.
    stamper : TimeStamper, optional
        Time-stamps each anchor; when it does not answer the anchor is kept without.
    """

    def __init__(self, database: Database, signer: Signer, stamper: TimeStamper | None = None) -> None:
        self._database = database
        self._signer = signer
        self._stamper = stamper
        self._due_at: datetime | None = None
        self._not_before: datetime | None = None

    def make_if_due(self, now: datetime) -> Anchor | None:
        """Make the day's anchor when it is due and nobody has; cheap to ask, because the due time is remembered."""
        if self._due_at is None:
            with self._database.read() as connection:
                self._due_at = _due_at(connection)
        if self._due_at is None or now < self._due_at or (self._not_before is not None and now < self._not_before):
            return None
        # What fails is not tried again on every tick.
        self._not_before = now + RETRY_AFTER
        due_at, self._due_at = self._due_at, None
        return self._make(now, due_at)

    def make(self, now: datetime) -> Anchor:
        """Make an anchor now, due or not, because a person asks for one."""
        made = self._make(now, None)
        assert made is not None, "an anchor that nothing was due for is always made"
        return made

    def _make(self, now: datetime, due_at: datetime | None) -> Anchor | None:
        for _ in range(_TRIES_MAX):
            with self._database.read() as connection:
                last = latest(connection)
                if due_at is not None and _due_at(connection) != due_at:
                    return None
                statement, leaves = _stated(connection, last, now, due_at)
            stamp = self._stamp(statement.digest())
            signature = self._signer.sign(NODE, with_stamp(statement.digest(), stamp))
            anchor = Anchor(statement=statement, signature=signature, time_stamp=stamp)
            with self._database.write(durable=True) as connection:
                if _last_number(connection) == statement.number - 1:
                    _insert(connection, anchor, leaves)
                    return anchor
        raise Unavailable(f"{_TRIES_MAX} times another node was faster; try again")

    def _stamp(self, digest: str) -> bytes | None:
        if self._stamper is None:
            return None
        try:
            return self._stamper.stamp(digest)
        except TelegardeError as error:
            # The next anchor's stamp covers this one too, because it holds its digest.
            log.warning("anchor_not_stamped", error=type(error).__name__)
            return None


def latest(connection: Connection) -> Anchor | None:
    """Return the newest anchor; None when there is none.

    Raises
    ------
    AnchorDamaged
        If its row cannot be read.
    """
    row = connection.execute(select(oncall_anchor).order_by(oncall_anchor.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else anchor_of(row)


def anchors_after(connection: Connection, number: int, *, limit: int) -> Sequence[Row[Any]]:
    """Return the rows of anchors after `number`, in their order, at most `limit`."""
    wanted = select(oncall_anchor).where(oncall_anchor.c.number > number).order_by(oncall_anchor.c.number).limit(limit)
    return connection.execute(wanted).all()


def anchor_numbers_of(connection: Connection, case_id: str) -> tuple[int, ...]:
    """Return the numbers of the anchors that have a leaf of a log, oldest first."""
    leaf = oncall_anchor_leaf.c
    return tuple(connection.execute(select(leaf.number).where(leaf.case_id == case_id).order_by(leaf.number)).scalars())


def anchor(connection: Connection, number: int) -> Anchor:
    """Return an anchor that is known to exist."""
    return anchor_of(connection.execute(select(oncall_anchor).where(oncall_anchor.c.number == number)).one())


def leaves_of(connection: Connection, number: int) -> tuple[Leaf, ...]:
    """Return an anchor's leaves in their order."""
    rows = connection.execute(
        select(oncall_anchor_leaf).where(oncall_anchor_leaf.c.number == number).order_by(oncall_anchor_leaf.c.leaf)
    )
    return tuple(Leaf(case_id=row.case_id, seq=row.seq, hash=row.hash) for row in rows)


def anchor_of(row: Row[Any]) -> Anchor:
    """Return the anchor of a row; nothing is verified.

    Raises
    ------
    AnchorDamaged
        If its texts cannot be read.
    """
    try:
        return Anchor(
            statement=statement_from_json(parse(row.body)),
            signature=signature_from_json(Value(place="signature", raw=json.loads(row.signature))),
            time_stamp=None if row.time_stamp is None else bytes(row.time_stamp),
        )
    except (DocumentInvalid, ValueError) as error:
        message = f"anchor {row.number} cannot be read any more; restore it from a backup"
        raise AnchorDamaged(message, is_retryable=False) from error


def heads_between(connection: Connection, after: int, up_to: int) -> tuple[Leaf, ...]:
    """Return the heads, at position `up_to`, of the logs that have events after position `after`, by log."""
    event = oncall_case_event.c
    newest = (
        select(event.case_id, func.max(event.seq).label("seq"))
        .where(event.position > after, event.position <= up_to)
        .group_by(event.case_id)
        .subquery()
    )
    rows = connection.execute(
        select(event.case_id, event.seq, event.hash).join(
            newest, (newest.c.case_id == event.case_id) & (newest.c.seq == event.seq)
        )
    )
    # Sorted here, because databases do not agree on the order of texts.
    return tuple(sorted((Leaf(case_id=row.case_id, seq=row.seq, hash=row.hash) for row in rows), key=_by_log))


def _by_log(leaf: Leaf) -> str:
    return leaf.case_id


def _due_at(connection: Connection) -> datetime | None:
    made_us = connection.execute(
        select(oncall_anchor.c.made_at_us).order_by(oncall_anchor.c.number.desc()).limit(1)
    ).scalar_one_or_none()
    if made_us is None:
        first = oncall_case_event.c
        made_us = connection.execute(
            select(first.recorded_at_us).order_by(first.position).limit(1)
        ).scalar_one_or_none()
    return None if made_us is None else next_due(instant_of_us(made_us))


def _stated(
    connection: Connection, last: Anchor | None, now: datetime, due_at: datetime | None
) -> tuple[Statement, tuple[Leaf, ...]]:
    event = oncall_case_event.c
    newest = connection.execute(
        select(event.position, event.recorded_at_us).order_by(event.position.desc()).limit(1)
    ).one_or_none()
    before = 0 if last is None else last.statement.position
    position = before if newest is None else newest.position
    leaves = heads_between(connection, before, position)
    statement = Statement(
        number=1 if last is None else last.statement.number + 1,
        due_at=due_at,
        made_at=now,
        until=None if newest is None else instant_of_us(newest.recorded_at_us),
        position=position,
        leaves=len(leaves),
        root=root_over(leaves),
        previous="" if last is None else last.statement.digest(),
    )
    return statement, leaves


def _last_number(connection: Connection) -> int:
    return connection.execute(select(func.max(oncall_anchor.c.number))).scalar_one_or_none() or 0


def _insert(connection: Connection, anchor: Anchor, leaves: Sequence[Leaf]) -> None:
    statement = anchor.statement
    keep_key(connection, anchor.signature, statement.made_at)
    connection.execute(
        insert(oncall_anchor).values(
            number=statement.number,
            made_at_us=microseconds(statement.made_at),
            position=statement.position,
            digest=statement.digest(),
            body=canonical(statement.to_json()),
            signature=canonical(signature_to_json(anchor.signature)),
            time_stamp=anchor.time_stamp,
        )
    )
    rows = [
        {"number": statement.number, "leaf": place, "case_id": leaf.case_id, "seq": leaf.seq, "hash": leaf.hash}
        for place, leaf in enumerate(leaves)
    ]
    for start in range(0, len(rows), _LEAVES_AT_ONCE):
        connection.execute(insert(oncall_anchor_leaf), rows[start : start + _LEAVES_AT_ONCE])
