"""Exams of a month for billing: by hospital, act and provider, as CSV.

For: counting what is paid. Not for: prices, which are the contracts'. An exam is a case with a signed report that
stands; it is billed once, in the month in which that report was signed. An addendum, a
replacement and a second reading are no exams. Cases that are none are listed beside them as what they are, in the month
that they are counted in: retracted, merged, moved, closed without a report, refused, withdrawn, open.

No patient, case or reader is in it.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from foundation.instants import microseconds
from oncall.figures.documents import harmless
from oncall.figures.row import Outcome
from oncall.schema import oncall_case_figure

COLUMNS: Final = (
    "month", "site_id", "site", "exam", "modality", "class", "period", "provider_id", "provider", "outcome", "cases",
    "exams", "addenda",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class BillingLine:
    """Cases of one hospital, act, class, period, provider and outcome; ``exams`` is 0 for what is not billed."""

    site_id: str
    exam: str
    modality: str
    urgency: int
    period: str
    provider_id: str
    outcome: str
    cases: int
    exams: int
    addenda: int


def billing(connection: Connection, since: datetime, until: datetime) -> tuple[BillingLine, ...]:
    """Return what was done from `since` (in) to `until` (out), sorted."""
    column = oncall_case_figure.c
    start_us, end_us = microseconds(since), microseconds(until)
    is_exam = column.outcome == Outcome.REPORTED.value
    signed = (column.signed_at_us >= start_us) & (column.signed_at_us < end_us)
    counted = (column.counted_at_us >= start_us) & (column.counted_at_us < end_us)
    keys = (
        column.site_id, column.exam, column.modality, column.urgency, column.period, column.provider_id, column.outcome,
    )  # fmt: skip
    rows = connection.execute(select(*keys, column.addenda).where((is_exam & signed) | (~is_exam & counted)))
    cases: Counter[tuple[str, str, str, int, str, str, str]] = Counter()
    addenda: Counter[tuple[str, str, str, int, str, str, str]] = Counter()
    for row in rows:
        site_id, exam, modality, urgency, period, provider_id, outcome, added = row
        key = (site_id, exam, modality, urgency, period, provider_id, outcome)
        cases[key] += 1
        addenda[key] += added
    return tuple(
        BillingLine(
            site_id=key[0],
            exam=key[1],
            modality=key[2],
            urgency=key[3],
            period=key[4],
            provider_id=key[5],
            outcome=key[6],
            cases=cases[key],
            exams=cases[key] if key[6] == Outcome.REPORTED.value else 0,
            addenda=addenda[key],
        )
        for key in sorted(cases)
    )


def csv_text(lines: Iterable[BillingLine], month: str, names: Mapping[str, str]) -> str:
    """Return the lines as CSV; `names` are those of sites and providers by identifier."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for one in lines:
        site, provider = names.get(one.site_id, ""), names.get(one.provider_id, "")
        values = (
            month, one.site_id, site, one.exam, one.modality, f"P{one.urgency}", one.period, one.provider_id, provider,
            one.outcome,
        )  # fmt: skip
        table.writerow([*map(harmless, values), one.cases, one.exams, one.addenda])
    return text.getvalue()
