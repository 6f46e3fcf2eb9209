"""Rows of figures for tests: a month of cases in a database, written straight into the projection."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from foundation.database import Database
from foundation.instants import microseconds
from oncall.figures.row import CaseFigure
from oncall.schema import oncall_case_figure

NOW = datetime(2026, 12, 15, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
MINUTE_US = 60_000_000


def row(number: int, minutes: float | None, **changes: Any) -> CaseFigure:
    """Return a case of 10 November whose report took so many minutes; None: it is not reported."""
    images = datetime(2026, 11, 10, 20, tzinfo=UTC) + timedelta(minutes=number)
    images_us, c4_us = microseconds(images), None if minutes is None else round(minutes * MINUTE_US)
    is_late = minutes is not None and minutes > 60
    values: dict[str, Any] = {one.name: None for one in fields(CaseFigure)}
    values |= {
        "case_id": f"case-{number:04d}", "seq": 9, "outcome": "open" if minutes is None else "reported",
        "counted_at_us": images_us, "site_id": "roanne", "urgency": 2, "exam": "head", "modality": "CT",
        "period": "evening", "provider_id": "pool", "reader_id": "anne", "images_at_us": images_us,
        "deadline_at_us": images_us + 60 * MINUTE_US, "c4_us": c4_us,
        "signed_at_us": None if c4_us is None else images_us + c4_us,
        "c4_due_us": images_us + 60 * MINUTE_US if minutes is None else None,
        "running_clocks": 8 if minutes is None else 0, "late_clocks": 8 if is_late else 0, "silent_us": 0,
        "stalled_us": 0, "assignments": 1, "studies": 1, "addenda": 0, "retractions": 0,
        "cause": "waiting" if is_late else "",
    }  # fmt: skip
    return CaseFigure(**{**values, **changes})


def put(database: Database, *rows: CaseFigure) -> None:
    """Write rows into the projection."""
    names = [one.name for one in fields(CaseFigure)]
    with database.write(durable=True) as connection:
        connection.execute(insert(oncall_case_figure), [{name: getattr(one, name) for name in names} for one in rows])
