"""Pictures of figures, PNG and SVG: the hour's distribution, hospitals beside each other, days one after another.

For: pages, the command line, the monthly report. Not for: counting (`oncall.figures.summary`). Drawn with matplotlib's
object interface: no window, no global state. Labels are French or English; no patient and no reader is named.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
from matplotlib.figure import Figure
from sqlalchemy import Connection, select

from foundation.instants import instant_of_us, microseconds
from oncall.figures.row import Cause, Outcome
from oncall.figures.summary import FigureQuery, Group, Summary
from oncall.figures.texts import cause_name, word
from oncall.language import Language
from oncall.local_time import local_day
from oncall.schema import oncall_case_figure

Format = Literal["png", "svg"]

_IN_TIME: Final = "#00666b"
_GREY: Final = "#7d8597"
_COLOURS: Final[Mapping[Cause, str]] = {
    Cause.CAPACITY: "#7d8597",
    Cause.ORDER: "#e09f3e",
    Cause.SILENCE: "#c8553d",
    Cause.TRANSFER: "#5b7fa6",
    Cause.OWN_LENGTH: "#b56576",
    Cause.WAITING: "#333333",
}
_BIN_MIN: Final = 5
# Longer is drawn at the edge: one case of three days would leave nothing to see of the others.
_SHOWN_MAX_MIN: Final = 240
_SITES_MAX: Final = 40
_HOUR_MIN: Final = 60
_TICK_MIN: Final = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class HourPoint:
    """A case whose hour is decided: its local day, minutes to its report (None: none yet), and why it was late."""

    day: date
    minutes: float | None
    cause: Cause | None


def points(
    connection: Connection, query: FigureQuery, zone: str, now: datetime, causes: Mapping[str, Cause]
) -> tuple[HourPoint, ...]:
    """Return a point for each case of a query whose hour is decided at `now`; days are those of `zone`."""
    column = oncall_case_figure.c
    wanted = select(column.case_id, column.counted_at_us, column.c4_us, column.cause, column.late_clocks).where(
        column.counted_at_us >= microseconds(query.since),
        column.counted_at_us < microseconds(query.until),
        column.outcome.not_in([Outcome.MERGED.value, Outcome.MOVED.value]),
        column.c4_us.is_not(None) | (column.c4_due_us < microseconds(now)),
    )
    if query.sites:
        wanted = wanted.where(column.site_id.in_(sorted(query.sites)))
    found = []
    for case_id, counted_us, c4_us, own, late in connection.execute(wanted):
        is_late = c4_us is None or bool(late & 8)
        cause = (causes.get(case_id) or (Cause(own) if own else Cause.WAITING)) if is_late else None
        minutes = None if c4_us is None else c4_us / 6e7
        found.append(HourPoint(day=local_day(instant_of_us(counted_us), zone), minutes=minutes, cause=cause))
    return tuple(found)


def overview(
    summary: Summary, cases: Sequence[HourPoint], names: Mapping[str, str], language: Language, kind: Format
) -> bytes:
    """Return all three pictures above each other."""
    figure = Figure(figsize=(9, 12), layout="constrained")
    hour, sites, days = figure.subplots(3, 1, height_ratios=(3, 5, 3))
    _draw_hour(hour, summary, cases, language)
    _draw_sites(sites, summary.groups.get("site", ()), names, language)
    _draw_days(days, cases, language)
    return _bytes_of(figure, kind)


def hour_picture(summary: Summary, cases: Sequence[HourPoint], language: Language, kind: Format) -> bytes:
    """Return how long reports took, with the hour, p95, p99 and the maximum."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    _draw_hour(figure.subplots(), summary, cases, language)
    return _bytes_of(figure, kind)


def sites_picture(groups: Sequence[Group], names: Mapping[str, str], language: Language, kind: Format) -> bytes:
    """Return how long reports took, hospital by hospital."""
    figure = Figure(figsize=(8, 1.2 + 0.26 * min(_SITES_MAX, max(3, len(groups)))), layout="constrained")
    _draw_sites(figure.subplots(), groups, names, language)
    return _bytes_of(figure, kind)


def days_picture(cases: Sequence[HourPoint], language: Language, kind: Format) -> bytes:
    """Return how many cases each day had, in time and late by cause."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    _draw_days(figure.subplots(), cases, language)
    return _bytes_of(figure, kind)


def _draw_hour(axis: Any, summary: Summary, cases: Sequence[HourPoint], language: Language) -> None:
    _dress(axis, word("the_hour", language))
    minutes = np.array([one.minutes for one in cases if one.minutes is not None])
    if not len(minutes):
        _say_nothing(axis, language)
        return
    shown = np.minimum(minutes, _SHOWN_MAX_MIN)
    edges = np.arange(0, max(90, min(_SHOWN_MAX_MIN, float(minutes.max()))) + 2 * _BIN_MIN, _BIN_MIN)
    counts, _ = np.histogram(shown, edges)
    colours = [_IN_TIME if edge < _HOUR_MIN else _COLOURS[Cause.SILENCE] for edge in edges[:-1]]
    axis.bar(edges[:-1], counts, width=_BIN_MIN * 0.92, align="edge", color=colours)
    axis.axvline(_HOUR_MIN, color="#333333", lw=1)
    elapsed = summary.hour.elapsed
    marks = [(word("median", language), elapsed.median_s), ("p95", elapsed.p95_s), ("p99", elapsed.p99_s)]
    marks.append((word("max", language), elapsed.max_s))
    top = max(1, int(counts.max()))
    for number, (name, seconds) in enumerate(marks):
        if seconds is not None:
            at = min(seconds / 60, _SHOWN_MAX_MIN)
            height = top * (1.0 - 0.16 * number)
            axis.plot([at, at], [0, height], color=_GREY, lw=0.8, ls=":")
            align = "right" if at > 0.8 * edges[-1] else "left"
            axis.text(at, height, f" {name} {seconds / 60:.0f} min ", fontsize=8, ha=align, va="bottom")
    axis.set_ylim(0, top * 1.15)
    axis.set_xlim(0, edges[-1])
    axis.set_xticks(range(0, int(edges[-1]) + 1, _TICK_MIN))
    axis.set_xlabel(word("minutes", language))
    axis.set_ylabel(word("cases", language))


def _draw_sites(axis: Any, groups: Sequence[Group], names: Mapping[str, str], language: Language) -> None:
    _dress(axis, f"{word('sites_plot', language)} ({word('site_legend', language)})")
    known = [group for group in groups if group.hour.elapsed.n]
    if not known:
        _say_nothing(axis, language)
        return
    # Those who wait longest come first: they are what the picture is for.
    known = sorted(known, key=lambda group: group.hour.elapsed.p95_s or 0.0)[-_SITES_MAX:]
    for place, group in enumerate(known):
        elapsed = group.hour.elapsed
        median, p95, most = ((value or 0.0) / 60 for value in (elapsed.median_s, elapsed.p95_s, elapsed.max_s))
        axis.barh(place, max(p95 - median, 0.6), left=median, height=0.55, color=_IN_TIME)
        is_far = most > _SHOWN_MAX_MIN
        axis.plot(min(most, _SHOWN_MAX_MIN), place, ">" if is_far else "o", color=_COLOURS[Cause.SILENCE], ms=4)
    axis.axvline(_HOUR_MIN, color="#333333", lw=1)
    axis.set_yticks(range(len(known)))
    axis.set_yticklabels([f"{names.get(one.key, one.key)} (n = {one.hour.elapsed.n})" for one in known], fontsize=8)
    axis.set_xlim(0, None)
    axis.set_xticks(range(0, int(axis.get_xlim()[1]) + 1, _TICK_MIN))
    axis.set_xlabel(word("minutes", language))


def _draw_days(axis: Any, cases: Sequence[HourPoint], language: Language) -> None:
    _dress(axis, word("days_plot", language))
    if not cases:
        _say_nothing(axis, language)
        return
    first, last = min(one.day for one in cases), max(one.day for one in cases)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    below = np.zeros(len(days))
    for cause in (None, *Cause):
        heights = np.zeros(len(days))
        for one in cases:
            if one.cause is cause:
                heights[(one.day - first).days] += 1
        if heights.any():
            label = word("in_time", language) if cause is None else cause_name(cause, language)
            colour = _IN_TIME if cause is None else _COLOURS[cause]
            axis.bar(days, heights, bottom=below, width=0.85, color=colour, label=label)
            below += heights
    axis.set_ylabel(word("cases", language))
    step = max(1, len(days) // 10)
    axis.set_xticks(days[::step])
    axis.set_xticklabels([f"{day:%d/%m}" if language is Language.FRENCH else f"{day:%d %b}" for day in days[::step]])
    axis.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _dress(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _say_nothing(axis: Any, language: Language) -> None:
    axis.set_axis_off()
    axis.text(0.0, 0.5, word("nothing", language), fontsize=9, color="#333333", transform=axis.transAxes)


def _bytes_of(figure: Figure, kind: Format) -> bytes:
    written = io.BytesIO()
    # Without the date the same figures give the same bytes but for the identifiers within an SVG.
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(written, format=kind, dpi=130, metadata=metadata)
    return written.getvalue()
