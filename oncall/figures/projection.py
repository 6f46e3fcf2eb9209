"""Bringing the rows of figures up to date from the log of events, a little at a time or all anew.

For: ``oncall_case_figure``. Not for: the engine, which knows nothing of it and pays nothing for it: whoever wants
figures brings them up to date first.

A cursor keeps the position of the last event that is in the rows. The cases that later events belong to are read anew
from their first event, so that doing the same work twice, or by two processes at once, gives the same rows. The
directory of a case is the one that was in force when it is counted (the first one for what is older): what is
published later changes no figure of before.

Invariant: rows that were brought up to date in any steps are those that `rebuild` makes (`differences` is empty).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from foundation import outbox
from foundation.database import Database
from oncall.case.log import event_of
from oncall.case.state import OPENING
from oncall.directory import Directory
from oncall.directory_documents import directory_from_json
from oncall.documents_store import DocumentKind
from oncall.engine.duty import STREAM_PREFIX
from oncall.figures.row import COLUMNS, CaseFigure, figure_of
from oncall.schema import oncall_case_event, oncall_case_figure, oncall_document
from oncall.strict_json import parse

CONSUMER: Final = "oncall_figures"
"""The name of the cursor."""

# What one transaction takes in: it holds the one writer's lock for some tens of milliseconds.
_CASES_AT_ONCE: Final = 500
_EVENTS_AT_ONCE: Final = 20_000
_NO_DIRECTORY: Final = Directory(sites={}, persons={}, providers={})


class Directories:
    """Every directory that was ever in force, read when it is asked for."""

    def __init__(self, connection: Connection) -> None:
        column = oncall_document.c
        rows = connection.execute(
            select(column.published_at_us, column.version)
            .where(column.kind == DocumentKind.DIRECTORY.value)
            .order_by(column.published_at_us)
        ).all()
        self._connection = connection
        self._since = [int(row.published_at_us) for row in rows]
        self._versions = [str(row.version) for row in rows]
        self._read: dict[str, Directory] = {}

    def at(self, instant_us: int) -> Directory:
        """Return the directory in force at an instant; before the first one that one, an empty one if there is none."""
        if not self._versions:
            return _NO_DIRECTORY
        version = self._versions[max(0, bisect_right(self._since, instant_us) - 1)]
        if version not in self._read:
            column = oncall_document.c
            body = self._connection.execute(
                select(column.body).where(column.kind == DocumentKind.DIRECTORY.value, column.version == version)
            ).scalar_one()
            self._read[version] = directory_from_json(parse(body))
        return self._read[version]


def catch_up(database: Database) -> int:
    """Take in every event that is not in the rows yet; return how many rows were written.

    A log that ends before the cursor was restored from an older copy: then every row is made again.

    Raises
    ------
    foundation.database.DatabaseAway
        If the database does not answer; what was taken in before stays.
    """
    written = 0
    while True:
        with database.read() as connection:
            cursor = outbox.read_cursor(connection, CONSUMER)
            is_restored = cursor > _head(connection)
            upto, case_ids = _touched(connection, 0 if is_restored else cursor)
            if upto == cursor:
                return written
            rows = list(_rows_of(connection, case_ids))
        with database.write(durable=True) as connection:
            # Another process may have been faster: its rows are these, or newer ones.
            if outbox.read_cursor(connection, CONSUMER) != cursor:
                continue
            if is_restored:
                connection.execute(delete(oncall_case_figure))
            _replace(connection, rows)
            outbox.write_cursor(connection, CONSUMER, upto)
            written += len(rows)


def rebuild(database: Database) -> int:
    """Forget every row and make all of them again from the log; return how many there are."""
    with database.write(durable=True) as connection:
        connection.execute(delete(oncall_case_figure))
        outbox.write_cursor(connection, CONSUMER, 0)
    return catch_up(database)


def differences(connection: Connection) -> tuple[str, ...]:
    """Return the cases whose row is not what the log says, or that have no row; none when all is well.

    Rows that are merely not up to date differ too: `catch_up` first.
    """
    known = {row["case_id"]: dict(row) for row in connection.execute(select(oncall_case_figure)).mappings()}
    wrong = [row.case_id for row in _rows_of(connection, None) if known.pop(row.case_id, None) != values_of(row)]
    return tuple(sorted([*wrong, *known]))


def values_of(row: CaseFigure) -> dict[str, Any]:
    """Return the columns of a row."""
    return {name: getattr(row, name) for name in COLUMNS}


def _head(connection: Connection) -> int:
    return int(connection.execute(select(func.max(oncall_case_event.c.position))).scalar_one_or_none() or 0)


def _touched(connection: Connection, cursor: int) -> tuple[int, Sequence[str]]:
    """Return up to which position the next events are taken in, and the cases that they belong to."""
    column = oncall_case_event.c
    rows = connection.execute(
        select(column.position, column.case_id)
        .where(column.position > cursor)
        .order_by(column.position)
        .limit(_EVENTS_AT_ONCE)
    )
    upto = cursor
    case_ids: dict[str, None] = {}
    for position, case_id in rows:
        if case_id not in case_ids and not case_id.startswith(STREAM_PREFIX):
            if len(case_ids) == _CASES_AT_ONCE:
                break
            case_ids[case_id] = None
        upto = position
    return upto, tuple(case_ids)


def _rows_of(connection: Connection, case_ids: Sequence[str] | None) -> Iterator[CaseFigure]:
    """Return the rows of some cases, or of all; logs that are no case's are passed over."""
    column = oncall_case_event.c
    wanted = select(column.case_id, column.body, column.hash).order_by(column.case_id, column.seq)
    if case_ids is not None:
        wanted = wanted.where(column.case_id.in_(case_ids))
    directories = Directories(connection)
    for _, group in groupby(connection.execute(wanted), key=lambda row: row[0]):
        events = [event_of(body, hash_) for _, body, hash_ in group]
        if events[0].type in OPENING:
            yield figure_of(events, directories.at)


def _replace(connection: Connection, rows: Sequence[CaseFigure]) -> None:
    if not rows:
        return
    case_ids = [row.case_id for row in rows]
    connection.execute(delete(oncall_case_figure).where(oncall_case_figure.c.case_id.in_(case_ids)))
    connection.execute(insert(oncall_case_figure), [values_of(row) for row in rows])
