"""The rows of the learning log: written with the discrepancy's last event, read by everybody.

Invariant: a row has no key of a case; its own key is random, so that not even its place tells which case it was.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, insert, select

from oncall.reading.board import ExamKind
from oncall.schema import oncall_learning
from oncall.second_reading.learning import Lesson
from oncall.second_reading.score import BodyRegion, DiscrepancyKind, Score

READ_MAX: Final = 10_000
"""Lessons that one reading of the log returns, the newest months first: decades of them."""


def write(connection: Connection, lessons: Sequence[Lesson]) -> None:
    """Add lessons, in the caller's durable transaction."""
    for lesson in lessons:
        connection.execute(
            insert(oncall_learning).values(
                learning_id=secrets.token_hex(8),
                period=lesson.period,
                exam=lesson.exam.value,
                body_region="" if lesson.body_region is None else lesson.body_region.value,
                kind=lesson.kind.value,
                score=lesson.score.value,
                lesson=lesson.lesson,
            )
        )


def read(connection: Connection) -> Sequence[Lesson]:
    """Return the lessons, newest month first, in no other order that means anything."""
    rows = connection.execute(
        select(oncall_learning).order_by(oncall_learning.c.period.desc(), oncall_learning.c.learning_id).limit(READ_MAX)
    )
    return [
        Lesson(
            period=row.period,
            exam=ExamKind(row.exam),
            kind=DiscrepancyKind(row.kind),
            score=Score(row.score),
            lesson=row.lesson,
            body_region=BodyRegion(row.body_region) if row.body_region else None,
        )
        for row in rows
    ]
