"""Figures as JSON and CSV, for programs and spreadsheets.

For: the forms that others read; keys and columns are only added to. Not for: text for people (`oncall.figures.texts`,
`oncall.figures.monthly`). No patient and no case is named in figures.

Times are seconds, instants ISO 8601 in UTC. A share is told as counts, with its quotient (null of too few cases). A
span without cases says ``"is_empty": true`` and has null where there is nothing to say, never a zero that looks like a
success.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from oncall.figures.summary import ClockFigures, Group, Hour, Share, Summary

FORMAT: Final = "telegarde-figures/1"
PERCENTILES: Final = "nearest rank: the smallest observed value that at least p % of the values do not exceed"
CSV_COLUMNS: Final = (
    "dimension", "key", "name", "cases", "clock", "n", "median_s", "p95_s", "p99_s", "max_s", "late", "running",
    "overdue", "in_time", "decided", "p1_wait_median_s", "p1_wait_p95_s", "p1_wait_max_s", "worst_site",
    "worst_site_in_time", "worst_site_decided",
)  # fmt: skip
_ALL: Final = "all"


def to_json(summary: Summary, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the figures as one JSON object.

    Parameters
    ----------
    names : mapping of str to str, optional
        Names by identifier, of sites, providers and, for who may see them, readers.
    """
    query, known = summary.query, names or {}
    return {
        "format": FORMAT,
        "percentiles": PERCENTILES,
        "from": query.since.isoformat(),
        "to": query.until.isoformat(),
        "as_of": summary.now.isoformat(),
        "sites": sorted(query.sites),
        "is_empty": summary.is_empty,
        "cases": summary.cases,
        "outcomes": {outcome.value: count for outcome, count in summary.outcomes.items()},
        "hour": None if summary.is_empty else hour_to_json(summary.hour),
        "clocks": [] if summary.is_empty else [_clock_to_json(one) for one in summary.clocks],
        "reassigned": summary.reassigned,
        "second_readings": summary.second_readings,
        "redundant": {"found": summary.redundant.found, **asdict(summary.redundant)},
        "groups": {
            dimension: [_group_to_json(group, known) for group in groups]
            for dimension, groups in summary.groups.items()
        },
    }


def hour_to_json(hour: Hour) -> dict[str, Any]:
    """Return the hour with everything that it is never told without."""
    return {
        "in_time": _share_to_json(hour.in_time),
        "elapsed": asdict(hour.elapsed),
        "p1_wait": asdict(hour.p1_wait),
        "p1_finding": asdict(hour.p1_finding),
        "worst_site": hour.worst_site,
        "worst_site_in_time": None if hour.worst_site_in_time is None else _share_to_json(hour.worst_site_in_time),
        "breaches": {cause.value: count for cause, count in hour.breaches.items()},
    }


def csv_text(summary: Summary, names: Mapping[str, str] | None = None) -> str:
    """Return a row for each clock of the whole and of each group; the hour's own columns are in the row of C4."""
    text, known = io.StringIO(), names or {}
    table = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\r\n")
    table.writeheader()
    if summary.is_empty:
        return text.getvalue()
    whole = Group(key="", cases=summary.cases, hour=summary.hour, clocks=summary.clocks)
    for dimension, group in ((_ALL, whole), *_every_group(summary)):
        for clock in group.clocks:
            table.writerow(_csv_row(dimension, group, clock, known))
    return text.getvalue()


def harmless(text: str) -> str:
    """Return a text with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _every_group(summary: Summary) -> Iterator[tuple[str, Group]]:
    for dimension, groups in summary.groups.items():
        for group in groups:
            yield dimension, group


def _csv_row(dimension: str, group: Group, clock: ClockFigures, names: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dimension": dimension, "key": group.key, "name": harmless(names.get(group.key, "")), "cases": group.cases,
        "clock": clock.clock.value, **asdict(clock.elapsed), "late": clock.late, "running": clock.running,
        "overdue": clock.overdue,
    }  # fmt: skip
    if clock.clock.value != "C4":
        return row
    hour, worst = group.hour, group.hour.worst_site_in_time
    return row | {
        "in_time": hour.in_time.count,
        "decided": hour.in_time.of,
        "p1_wait_median_s": hour.p1_wait.median_s,
        "p1_wait_p95_s": hour.p1_wait.p95_s,
        "p1_wait_max_s": hour.p1_wait.max_s,
        "worst_site": hour.worst_site,
        "worst_site_in_time": None if worst is None else worst.count,
        "worst_site_decided": None if worst is None else worst.of,
    }


def _share_to_json(share: Share) -> dict[str, Any]:
    return {"count": share.count, "of": share.of, "share": None if share.share is None else round(share.share, 4)}


def _clock_to_json(one: ClockFigures) -> dict[str, Any]:
    return {
        "clock": one.clock.value,
        "elapsed": asdict(one.elapsed),
        "late": one.late,
        "running": one.running,
        "overdue": one.overdue,
    }


def _group_to_json(group: Group, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "key": group.key,
        "name": names.get(group.key),
        "cases": group.cases,
        "hour": hour_to_json(group.hour),
        "clocks": [_clock_to_json(one) for one in group.clocks],
    }
