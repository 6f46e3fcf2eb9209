"""Asking the index: `IndexQuery.find` streams the answers to a planned query.

SQL narrows, the matcher decides, rows are streamed: memory does not grow with the index or with the number of matches.
A search that cannot be finished raises; it never ends as if there were no more matches.

References
----------
PS3.4 C.4.1.3 (C-FIND SCP behaviour)
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, tzinfo
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from foundation.database import Database, DatabaseAway
from foundation.errors import Refused, TelegardeError
from pacs.archive.matching import SequenceMatch, TextMatcher
from pacs.archive.query_plan import Plan
from pacs.archive.query_rows import HeaderReader, RowReader, Value
from pacs.archive.query_sql import MODALITIES_IN_STUDY, Columns, Narrowing, modality_sets_statement, statements

# Answers to one query unless configured: more than a person reads, little enough for any workstation's memory.
ANSWERS_MAX: Final = 1000
# Headers read from packs for one query: at about a millisecond each, some seconds of work.
HEADERS_READ_MAX: Final = 5000
# Rows fetched from the driver at a time, and looked at between two looks for a cancel.
ROWS_PER_FETCH: Final = 500
# Different values of Modalities in Study that are named in SQL; an archive has some dozens.
_MODALITY_SETS_MAX: Final = 1000


class TooManyMatches(Refused):
    """The query matches more than the cap, after so many answers have been given."""


class Interrupted(TelegardeError):
    """The asker does not want the rest."""


class IndexQuery:
    """The index as something to ask; one object serves all threads.

    Parameters
    ----------
    database : Database
        The index.
    headers : HeaderReader
        For attributes of the IMAGE level that have no column.
    answers_max : int
        Cap on the answers to one query.
    headers_read_max : int
        Cap on the headers read for one query.
    zone : tzinfo
        Of dates and times in studies that do not name their zone.
    """

    def __init__(
        self,
        database: Database,
        headers: HeaderReader,
        *,
        answers_max: int = ANSWERS_MAX,
        headers_read_max: int = HEADERS_READ_MAX,
        zone: tzinfo = UTC,
    ) -> None:
        self._database = database
        self._headers = headers
        self._answers_max = answers_max
        self._headers_read_max = headers_read_max
        self.zone = zone

    def find(self, plan: Plan, facts: Mapping[str, str], interrupted: Callable[[], bool]) -> Iterator[list[Value]]:
        """Yield the answers: for each match the values of the plan's fields, in their order.

        Parameters
        ----------
        plan : Plan
            From `pacs.archive.query_plan.plan_query`.
        facts : mapping
            Values of the archive's own attributes by keyword: RetrieveAETitle, InstanceAvailability.
        interrupted : callable
            Asked every `ROWS_PER_FETCH` rows; True ends the search.

        Raises
        ------
        TooManyMatches
            After the cap, when there is another match; or when too many headers would have to be read.
        Interrupted
            When `interrupted` says so.
        foundation.database.DatabaseAway
            If the database does not answer.
        foundation.errors.TelegardeError
            If a stored header cannot be read.
        """
        columns = Columns()
        reader = RowReader(plan, columns, facts, self._headers, self.zone)
        is_deeper = plan.row_level is not plan.level
        seen: set[tuple[Any, ...]] = set()
        answered = 0
        try:
            with self._database.read() as connection:
                for row in self._rows(connection, plan, columns, interrupted):
                    entity = reader.entity(row)
                    if is_deeper and reader.identity(entity) in seen:
                        continue
                    if not reader.matches(entity):
                        self._check_headers(reader)
                        continue
                    if answered == self._answers_max:
                        raise TooManyMatches(f"more than {self._answers_max} matches: narrow the query")
                    if is_deeper:
                        # As many as there are answers, so within the cap.
                        seen.add(reader.identity(entity))
                    answered += 1
                    yield reader.values(entity)
                    self._check_headers(reader)
        except PoolTimeoutError as error:
            raise DatabaseAway("no connection to the database is free; ask again later") from error

    def _rows(
        self, connection: Connection, plan: Plan, columns: Columns, interrupted: Callable[[], bool]
    ) -> Iterator[Any]:
        narrowing = Narrowing(
            is_sqlite=self._database.is_sqlite,
            modality_sets=self._modality_sets(connection, plan),
        )
        streaming = connection.execution_options(yield_per=ROWS_PER_FETCH)
        for statement in statements(plan, columns, narrowing):
            with streaming.execute(statement) as rows:
                for partition in rows.partitions(ROWS_PER_FETCH):
                    if interrupted():
                        raise Interrupted("cancelled")
                    yield from partition

    def _check_headers(self, reader: RowReader) -> None:
        if reader.headers_read > self._headers_read_max:
            raise TooManyMatches(f"more than {self._headers_read_max} headers to read: narrow the query")

    def _modality_sets(self, connection: Connection, plan: Plan) -> list[str] | None:
        """Return the values of Modalities in Study that match, to be looked up in their index; None: do not narrow."""
        matcher = _text_matcher_of(plan, MODALITIES_IN_STUDY)
        if matcher is None:
            return None
        rows = list(islice(connection.execute(modality_sets_statement()).scalars(), _MODALITY_SETS_MAX + 1))
        if len(rows) > _MODALITY_SETS_MAX:
            return None
        return [modalities for modalities in rows if matcher.matches(modalities)]


def _text_matcher_of(plan: Plan, tag: int) -> TextMatcher | None:
    matcher = next((c.matcher for c in plan.conditions if c.field.tag == tag), None)
    return None if isinstance(matcher, SequenceMatch) else matcher
