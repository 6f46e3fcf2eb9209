"""Minutes read by each person, from the logs of cases: what the ledger counts beside the roster's hours.

A read is from the last opening of a case by its signer to the first signature, as the engine counts it for fatigue.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from foundation.instants import microseconds
from oncall.case.log import event_of
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.schema import oncall_case_event
from oncall.spans import Span

# What is open longer was left open.
_READ_MAX: Final = timedelta(days=1)


def minutes_read(connection: Connection, within: Span) -> Mapping[PersonId, float]:
    """Return the minutes that everybody read of the cases signed in a span."""
    column = oncall_case_event.c
    rows = connection.execute(
        select(column.case_id, column.body, column.hash)
        .where(
            column.type.in_([EventType.READ_OPENED.value, EventType.REPORT_SIGNED.value]),
            column.occurred_at_us >= microseconds(within.start - _READ_MAX),
            column.occurred_at_us < microseconds(within.end),
        )
        .order_by(column.case_id, column.seq)
    )
    opened: dict[str, tuple[PersonId, datetime]] = {}
    minutes: defaultdict[PersonId, float] = defaultdict(float)
    for row in rows:
        fact = event_of(row.body, row.hash).fact
        if fact.type == EventType.READ_OPENED:
            opened[row.case_id] = PersonId(fact.payload["person_id"]), fact.occurred_at
            continue
        reader, since = opened.pop(row.case_id, (None, fact.occurred_at))
        if reader is not None and fact.occurred_at in within:
            minutes[reader] += (fact.occurred_at - since) / timedelta(minutes=1)
    return dict(minutes)
