"""The monthly report as a PDF: the hour with all that belongs to it, every clock, causes, groups, fairness, pictures.

For: the territory's meetings and its contracts. Not for: counting (`oncall.figures.summary`). In French or English. No
patient is named; readers and the ledger of fairness are in it only when they are passed.

A month without cases says so on its first page and has no table: a zero would look like a success.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from oncall.figures.plots import HourPoint, days_picture, hour_picture, sites_picture
from oncall.figures.row import Period
from oncall.figures.summary import DIMENSIONS, ClockFigures, Group, Hour, Summary
from oncall.figures.texts import (
    cause_name,
    clock_name,
    dimension_name,
    duration_text,
    month_name,
    outcome_name,
    period_name,
    share_text,
    word,
)
from oncall.language import Language
from oncall.local_time import zone_of
from oncall.report_documents.typesetting import typeset
from oncall.rota.ledger import LedgerRow

_LEDGER: Final = ("nights", "deep_nights", "weekends", "holidays", "hours", "calls", "minutes_read", "burden")

_SOURCE: Final = """
#set text(size: 9.5pt)
#let teal = rgb("#00666b")
#let lines = (x, y) => (bottom: if y == 0 { 0.7pt + black } else { 0.3pt + luma(200) })
#let sheet(rows, widths: ()) = table(
  columns: if widths == () { (1.7fr,) + (1fr,) * (rows.first().len() - 1) } else { widths },
  align: (x, y) => if x == 0 { left } else { right },
  stroke: lines, inset: (x: 3pt, y: 4pt),
  table.header(..rows.first().map(cell => text(weight: "bold", size: 8.5pt, cell))),
  ..rows.slice(1).flatten().map(cell => text(size: 8.5pt, cell)),
)
#let picture(drawn) = image(bytes(drawn), format: "svg", width: 100%)
#set page(footer: context quiet[#data.footer #h(1fr) #counter(page).display("1 / 1", both: true)])
#show heading: it => block(above: 1.4em, below: 0.7em, text(fill: teal, size: 12pt, it.body))

#text(size: 17pt, weight: "bold", data.heading)
#v(-0.4em)
#text(size: 12pt, fill: teal, data.month) #h(1fr) #quiet(data.as_of)

#if data.nothing != "" [
  #v(2em)
  #block(stroke: 1pt + luma(120), inset: 12pt, width: 100%, text(size: 11pt, data.nothing))
] else [
  = #data.hour.title
  #block(fill: rgb("#eef4f4"), inset: 10pt, width: 100%)[
    #text(size: 15pt, weight: "bold", fill: teal, data.hour.share) #h(0.6em) #data.hour.share_name
    #v(-0.2em)
    #grid(columns: (1fr, 1fr, 1fr, 1fr), row-gutter: 8pt,
      ..data.hour.figures.map(pair => [#quiet(pair.first()) #linebreak() #text(weight: "bold", pair.last())]))
  ]
  #picture(data.hour.picture)
  #grid(columns: (1fr, 1fr), column-gutter: 16pt,
    [= #data.causes.title
     #if data.causes.rows.len() > 1 { sheet(data.causes.rows) } else { data.causes.none }
     #quiet(data.causes.note)],
    [= #data.outcomes.title
     #sheet(data.outcomes.rows)])
  = #data.days.title
  #picture(data.days.picture)
  = #data.clocks.title
  #sheet(data.clocks.rows, widths: (2.6fr, .7fr, 1fr, 1fr, 1fr, 1.1fr, .9fr, 1.1fr))
  #for group in data.groups [
    = #group.title
    #if group.picture != "" { picture(group.picture) }
    #sheet(group.rows, widths: (2fr, .6fr, 2.1fr, 1fr, 1fr, 1fr, 1.1fr, 1fr))
  ]
  #if data.ledger.rows.len() > 1 [
    = #data.ledger.title
    #sheet(data.ledger.rows)
  ]
  = #data.definitions.title
  #for text in data.definitions.texts [ #quiet(text) #parbreak() ]
]
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Month:
    """Everything that a monthly report shows. ``names`` are of sites, providers and, where shown, people.

    ``nights_judged`` says of how many nights with late reports the clairvoyant was asked.
    """

    first: date
    zone: str
    summary: Summary
    points: Sequence[HourPoint]
    names: Mapping[str, str]
    nights_judged: int
    ledger: Sequence[LedgerRow] = ()


def monthly_pdf(month: Month, language: Language) -> bytes:
    """Return the report as PDF/A, the same bytes for the same month but for the identifiers in its pictures.

    Raises
    ------
    foundation.errors.Unavailable
        If it cannot be typeset.
    """
    return typeset(_SOURCE, _data(month, language), made_at=month.summary.now)


def _data(month: Month, language: Language) -> dict[str, object]:
    summary, name = month.summary, month_name(month.first, language)
    as_of = summary.now.astimezone(zone_of(month.zone))
    heading = word("title", language)
    data: dict[str, object] = {
        "title": f"{heading}, {name}",
        "author": "Telegarde",
        "language": language.value,
        "heading": heading,
        "month": name,
        "as_of": f"{word('as_of', language)} {_moment(as_of, language)}",
        "footer": f"Telegarde – {name}",
        "nothing": word("nothing", language) if summary.is_empty else "",
    }
    if summary.is_empty:
        return data
    return {
        **data,
        "hour": _hour(month, language),
        "causes": _causes(month, language),
        "outcomes": _outcomes(summary, language),
        "days": {
            "title": word("days_plot", language),
            "picture": days_picture(month.points, language, "svg").decode(),
        },
        "clocks": {"title": word("clocks", language), "rows": _clock_rows(summary.clocks, language)},
        "groups": [_group(month, dimension, language) for dimension in DIMENSIONS if summary.groups.get(dimension)],
        "ledger": {"title": word("ledger", language), "rows": _ledger_rows(month, language)},
        "definitions": {
            "title": word("definitions", language),
            "texts": [word(text, language) for text in ("shares", "percentiles", "measured")],
        },
    }


def _hour(month: Month, language: Language) -> dict[str, object]:
    hour = month.summary.hour
    worst = "–"
    if hour.worst_site is not None and hour.worst_site_in_time is not None:
        worst_name = month.names.get(hour.worst_site, hour.worst_site)
        worst = f"{worst_name}, {share_text(hour.worst_site_in_time, language)}"
    figures = [
        [word("median", language), duration_text(hour.elapsed.median_s, language)],
        ["p95", duration_text(hour.elapsed.p95_s, language)],
        ["p99", duration_text(hour.elapsed.p99_s, language)],
        [word("max", language), duration_text(hour.elapsed.max_s, language)],
        [f"{word('p1_wait', language)}, p95 (n = {hour.p1_wait.n})", duration_text(hour.p1_wait.p95_s, language)],
        [f"{word('p1_wait', language)}, {word('max', language)}", duration_text(hour.p1_wait.max_s, language)],
        [f"{word('p1_finding', language)}, p95 (n = {hour.p1_finding.n})",
         duration_text(hour.p1_finding.p95_s, language)],
        [word("worst_site", language), worst],
    ]  # fmt: skip
    return {
        "title": word("the_hour", language),
        "share": share_text(hour.in_time, language),
        "share_name": word("in_time", language).lower(),
        "figures": figures,
        "picture": hour_picture(month.summary, month.points, language, "svg").decode(),
    }


def _causes(month: Month, language: Language) -> dict[str, object]:
    rows = [["", word("cases", language)]]
    rows += [[cause_name(cause, language), str(count)] for cause, count in month.summary.hour.breaches.items()]
    return {
        "title": word("causes", language),
        "rows": rows,
        "none": f"{word('late', language)}: 0",
        "note": f"{word('judged', language)}: {month.nights_judged}",
    }


def _outcomes(summary: Summary, language: Language) -> dict[str, object]:
    rows = [["", word("cases", language)]]
    rows += [[outcome_name(outcome, language), str(count)] for outcome, count in summary.outcomes.items()]
    rows.append([word("reassigned", language), str(summary.reassigned)])
    rows.append([word("second_readings", language), str(summary.second_readings)])
    rows.append([word("redundant", language), str(summary.redundant.found)])
    rows.append([word("avoided", language), str(summary.redundant.avoided)])
    rows.append([word("needed", language), str(summary.redundant.needed)])
    return {"title": word("outcomes", language), "rows": rows}


def _clock_rows(clocks: Sequence[ClockFigures], language: Language) -> list[list[str]]:
    rows = [
        [word("clock", language), "n", word("median", language), "p95", "p99", word("max", language),
         word("late", language), f"{word('running', language)} ({word('overdue', language)})"]
    ]  # fmt: skip
    for one in clocks:
        elapsed = one.elapsed
        rows.append(
            [
                f"{one.clock.value} {clock_name(one.clock, language)}",
                str(elapsed.n),
                *(
                    duration_text(value, language)
                    for value in (elapsed.median_s, elapsed.p95_s, elapsed.p99_s, elapsed.max_s)
                ),
                str(one.late) if elapsed.n or one.late else "–",
                f"{one.running} ({one.overdue})" if one.running else "–",
            ]
        )
    return rows


def _group(month: Month, dimension: str, language: Language) -> dict[str, object]:
    groups = month.summary.groups[dimension]
    picture = ""
    if dimension == "site":
        picture = sites_picture(groups, month.names, language, "svg").decode()
    rows = [
        [dimension_name(dimension, language), word("cases", language), word("in_time", language),
         word("median", language), "p95", "p99", word("max", language), f"{word('p1_wait_short', language)} p95"]
    ]  # fmt: skip
    rows += [[_group_name(dimension, group, month, language), *_group_cells(group, language)] for group in groups]
    return {
        "title": f"{word('by', language)} {dimension_name(dimension, language)}",
        "picture": picture,
        "rows": rows,
    }


def _group_name(dimension: str, group: Group, month: Month, language: Language) -> str:
    if not group.key:
        return word("none", language)
    if dimension == "period":
        return period_name(Period(group.key), language)
    return month.names.get(group.key, group.key)


def _group_cells(group: Group, language: Language) -> Iterator[str]:
    hour: Hour = group.hour
    yield str(group.cases)
    yield share_text(hour.in_time, language)
    for seconds in (hour.elapsed.median_s, hour.elapsed.p95_s, hour.elapsed.p99_s, hour.elapsed.max_s):
        yield duration_text(seconds, language)
    yield duration_text(hour.p1_wait.p95_s, language)


def _ledger_rows(month: Month, language: Language) -> list[list[str]]:
    rows = [[word("person", language), *(word(name, language) for name in _LEDGER)]]
    for one in month.ledger:
        values: list[Any] = [getattr(one, name) for name in _LEDGER]
        cells = [f"{value:.0f}" if isinstance(value, float) else str(value) for value in values]
        rows.append([month.names.get(one.person_id, one.person_id), *cells])
    return rows


def _moment(instant: datetime, language: Language) -> str:
    return f"{instant:%d/%m/%Y %H:%M}" if language is Language.FRENCH else f"{instant:%d %B %Y, %H:%M}"
