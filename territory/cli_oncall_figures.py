"""``telegarde oncall figures``, ``morning-report``, ``monthly-report`` and ``billing``.

For: what is asked for and where it is written. Not for: counting (`oncall.figures`). Each command first takes in what
happened since the last time. Readers are shown by name only on request: whoever uses this command line may read the
database anyway, what they print may be read by others.
"""

import argparse
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Refused
from oncall.engine.duty_rows import worked_calls
from oncall.engine.read_minutes import minutes_read
from oncall.figures import billing, documents
from oncall.figures.monthly import Month, monthly_pdf
from oncall.figures.nights import NightReport, causes_between, judge_nights, last_night, night_report
from oncall.figures.plots import Format, overview, points
from oncall.figures.projection import catch_up
from oncall.figures.row import Cause
from oncall.figures.summary import DIMENSIONS, FigureQuery, Hour, Summary, summary
from oncall.figures.texts import cause_name, clock_name, dimension_name, duration_text, share_text, word
from oncall.language import Language
from oncall.local_time import first_instant
from oncall.rota.ledger import LedgerRow, ledger
from oncall.spans import Span
from territory.cli_oncall_place import InForce, day_of, load_in_force, local_text, open_database, span_of
from territory.cli_output import answer
from territory.cli_tables import print_rows

_MONTH: Final = timedelta(days=30)
_DAY: Final = timedelta(days=1)
_FORMATS: Final[Mapping[str, Format]] = {".png": "png", ".svg": "svg"}
_COLUMNS: Final = ("n", "median", "p95", "p99", "max", "late", "running", "overdue")


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run one of the commands; exit code 1 when there is no case to say anything about."""
    commands = {
        "figures": _figures,
        "morning-report": _morning_report,
        "monthly-report": _monthly_report,
        "billing": _billing,
    }
    with open_database(arguments) as database:
        territory = load_in_force(database)
        catch_up(database)
        return commands[arguments.oncall_command](arguments, database, territory, clock.now())


def _figures(arguments: argparse.Namespace, database: Database, territory: InForce, now: datetime) -> int:
    within = span_of(arguments, zone=territory.zone, now=now, begin=-_MONTH, length=_MONTH)
    query = FigureQuery(
        since=within.start,
        until=within.end,
        sites=frozenset(territory.site(site) for site in arguments.site),
        by=tuple(dict.fromkeys(arguments.by)),
        shows_readers="reader" in arguments.by,
    )
    names, language = _names(territory), Language(arguments.language)
    kind = _format_of(arguments.plot)
    with database.read() as connection:
        causes = causes_between(connection, query.since, query.until, territory.zone)
        found = summary(connection, query, now, causes=causes)
        if arguments.plot is not None:
            drawn_query = FigureQuery(since=query.since, until=query.until, sites=query.sites, by=("site",))
            drawn = summary(connection, drawn_query, now, causes=causes)
            cases = points(connection, query, territory.zone, now, causes)
            arguments.plot.write_bytes(overview(drawn, cases, names, language, kind))
    if arguments.csv is not None:
        # With a byte order mark, without which spreadsheets misread accents.
        arguments.csv.write_text(documents.csv_text(found, names), encoding="utf-8-sig", newline="")
    if arguments.json:
        answer(arguments, documents.to_json(found, names), title="")
    else:
        _print_figures(found, names, territory.zone, language)
    return 1 if found.is_empty else 0


def _print_figures(found: Summary, names: Mapping[str, str], zone: str, language: Language) -> None:
    when = f"{local_text(found.query.since, zone)} – {local_text(found.query.until, zone)}"
    if found.is_empty:
        print(f"{when}: {word('nothing', language)}")
        return
    _print_hour(found.hour, f"{when}, {found.cases} {word('cases', language)}", names, language)
    rows = [
        {
            "clock": f"{one.clock.value} {clock_name(one.clock, language)}",
            **_times(one.elapsed, language),
            "late": one.late,
            "running": one.running,
            "overdue": one.overdue,
        }
        for one in found.clocks
    ]
    print_rows(word("clocks", language), ("clock", *_COLUMNS), rows)
    for dimension, groups in found.groups.items():
        shown = [
            {
                dimension: names.get(group.key, group.key) or word("none", language),
                "cases": group.cases,
                "in_time": share_text(group.hour.in_time, language),
                **_times(group.hour.elapsed, language),
                "p1_wait_p95": duration_text(group.hour.p1_wait.p95_s, language),
            }
            for group in groups
        ]
        title = f"{word('by', language)} {dimension_name(dimension, language)}"
        columns = (dimension, "cases", "in_time", "n", "median", "p95", "p99", "max", "p1_wait_p95")
        print_rows(title, columns, shown)


def _print_hour(hour: Hour, title: str, names: Mapping[str, str], language: Language) -> None:
    worst = "–"
    if hour.worst_site is not None and hour.worst_site_in_time is not None:
        worst = f"{names.get(hour.worst_site, hour.worst_site)}, {share_text(hour.worst_site_in_time, language)}"
    wait, elapsed = hour.p1_wait, hour.elapsed
    told = {
        word("in_time", language): share_text(hour.in_time, language),
        f"{word('median', language)} / p95 / p99 / {word('max', language)}": " / ".join(
            duration_text(value, language) for value in (elapsed.median_s, elapsed.p95_s, elapsed.p99_s, elapsed.max_s)
        ),
        f"{word('p1_wait', language)}, p95 / {word('max', language)} (n = {wait.n})": " / ".join(
            duration_text(value, language) for value in (wait.p95_s, wait.max_s)
        ),
        word("worst_site", language): worst,
        word("causes", language): ", ".join(
            f"{cause_name(cause, language)}: {count}" for cause, count in hour.breaches.items()
        )
        or "0",
    }
    answer(argparse.Namespace(json=False), told, title=title)


def _times(elapsed: Any, language: Language) -> dict[str, Any]:
    texts = {name: duration_text(getattr(elapsed, f"{name}_s"), language) for name in ("median", "p95", "p99", "max")}
    return {"n": elapsed.n, **texts}


def _morning_report(arguments: argparse.Namespace, database: Database, territory: InForce, now: datetime) -> int:
    zone, language = territory.zone, Language(arguments.language)
    night = last_night(now, zone) if arguments.night is None else day_of(arguments.night, option="--night")
    if first_instant(night, time(12), zone) > now:
        raise Refused(f"--night {night}: that night has not begun")
    report = night_report(database, night, zone, now)
    names = _names(territory)
    if arguments.json:
        answer(arguments, _night_json(report, names), title="")
    else:
        _print_night(report, names, zone, language)
    return 1 if report.figures.is_empty else 0


def _night_json(report: NightReport, names: Mapping[str, str]) -> dict[str, Any]:
    verdict = report.verdict
    return {
        "format": "telegarde-night/1",
        "night": report.night.isoformat(),
        "is_over": report.is_over,
        "in_time": verdict.in_time,
        "decided": verdict.cases,
        "bound": verdict.bound,
        "bound_without_silence": verdict.bound_without_silence,
        "bound_without_transfers": verdict.bound_without_transfers,
        "ratio_to_bound": verdict.ratio,
        "reader_hours": round(verdict.reader_hours, 2),
        "late": [
            {
                "case_id": one.case_id,
                "site_id": one.site_id,
                "class": f"P{one.urgency}",
                "exam": one.exam,
                "images_at": one.images_at.isoformat(),
                "elapsed_s": one.elapsed_s,
                "waited_s": one.waited_s,
                "read_s": one.read_s,
                "cause": one.cause.value,
            }
            for one in verdict.late
        ],
        "figures": documents.to_json(report.figures, names),
    }


def _print_night(report: NightReport, names: Mapping[str, str], zone: str, language: Language) -> None:
    figures, verdict = report.figures, report.verdict
    title = f"{local_text(verdict.within.start, zone)} – {local_text(verdict.within.end, zone)}"
    if figures.is_empty:
        print(f"{title}: {word('nothing', language)}")
        return
    _print_hour(figures.hour, f"{title}, {figures.cases} {word('cases', language)}", names, language)
    told = {
        word("possible", language): f"{verdict.bound} / {verdict.cases}",
        word("without_silence", language): f"{verdict.bound_without_silence} / {verdict.cases}",
        word("without_transfers", language): f"{verdict.bound_without_transfers} / {verdict.cases}",
        word("reader_hours", language): round(verdict.reader_hours, 1),
    }
    answer(argparse.Namespace(json=False), told, title=word("clairvoyant", language))
    rows = [
        {
            "case": one.case_id,
            "site": names.get(one.site_id, one.site_id),
            "class": f"P{one.urgency}",
            "exam": one.exam,
            "images": local_text(one.images_at, zone),
            "report_after": duration_text(one.elapsed_s, language),
            "waited": duration_text(one.waited_s, language),
            "read": duration_text(one.read_s, language),
            "cause": cause_name(one.cause, language),
        }
        for one in verdict.late
    ]
    columns = ("case", "site", "class", "exam", "images", "report_after", "waited", "read", "cause")
    print_rows(word("late", language), columns, rows, nothing=f"{word('late', language)}: 0")


def _monthly_report(arguments: argparse.Namespace, database: Database, territory: InForce, now: datetime) -> int:
    first, within = _month_of(arguments.month, territory.zone)
    if within.start > now:
        raise Refused(f"--month {arguments.month}: that month has not begun")
    by = DIMENSIONS if arguments.with_people else tuple(one for one in DIMENSIONS if one != "reader")
    query = FigureQuery(since=within.start, until=within.end, by=by, shows_readers=arguments.with_people)
    judged = judge_nights(database, within.start, within.end, territory.zone, now)
    with database.read() as connection:
        causes: Mapping[str, Cause] = causes_between(connection, within.start, within.end, territory.zone)
        found = summary(connection, query, now, causes=causes)
        cases = points(connection, query, territory.zone, now, causes)
    month = Month(
        first=first,
        zone=territory.zone,
        summary=found,
        points=cases,
        names=_names(territory),
        nights_judged=judged,
        ledger=_ledger(database, territory, within) if arguments.with_people else (),
    )
    arguments.output.write_bytes(monthly_pdf(month, Language(arguments.language)))
    told = {
        "month": f"{first:%Y-%m}",
        "cases": found.cases,
        "is_empty": found.is_empty,
        "nights_judged": judged,
        "output": str(arguments.output),
    }
    answer(arguments, told, title=f"{word('title', Language(arguments.language))}, {first:%Y-%m}")
    return 1 if found.is_empty else 0


def _ledger(database: Database, territory: InForce, within: Span) -> tuple[LedgerRow, ...]:
    with database.read() as connection:
        calls, read = worked_calls(connection, within.start - _DAY), minutes_read(connection, within)
    timeline = territory.timeline(within)
    return ledger((*timeline.shifts, *calls), territory.roster.lines, within, minutes_read=read)


def _billing(arguments: argparse.Namespace, database: Database, territory: InForce, now: datetime) -> int:
    first, within = _month_of(arguments.month, territory.zone)
    if within.start > now:
        raise Refused(f"--month {arguments.month}: that month has not begun")
    with database.read() as connection:
        lines = billing.billing(connection, within.start, within.end)
    text = billing.csv_text(lines, f"{first:%Y-%m}", _names(territory))
    arguments.output.write_text(text, encoding="utf-8-sig", newline="")
    told = {
        "month": f"{first:%Y-%m}",
        "exams": sum(one.exams for one in lines),
        "listed_without_being_billed": sum(one.cases - one.exams for one in lines),
        "is_month_over": now >= within.end,
        "output": str(arguments.output),
    }
    answer(arguments, told, title=f"Exams of {first:%Y-%m}")
    return 0 if lines else 1


def _month_of(text: str, zone: str) -> tuple[date, Span]:
    try:
        first = datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007  # a month has no zone; its ends get the roster's
    except ValueError:
        raise Refused(f"--month {text}: a month like 2026-11 is wanted") from None
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, Span(start=first_instant(first, time(0), zone), end=first_instant(after, time(0), zone))


def _names(territory: InForce) -> dict[str, str]:
    directory = territory.directory
    return {
        **{str(one.site_id): one.name for one in directory.sites.values()},
        **{str(one.provider_id): one.name for one in directory.providers.values()},
        **{str(one.person_id): one.name for one in directory.persons.values()},
    }


def _format_of(path: Path | None) -> Format:
    if path is None:
        return "png"
    if path.suffix not in _FORMATS:
        raise Refused(f"--plot {path}: a file name that ends in .png or .svg is wanted")
    return _FORMATS[path.suffix]
