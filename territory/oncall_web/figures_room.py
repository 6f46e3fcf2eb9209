"""What the pages of figures ask: counted from the projection, which is brought up to date first.

For: one place for page, interface, pictures and downloads. Not for: counting (`oncall.figures`). Invariant: a holder of
some hospitals gets the figures of those alone; readers are told apart only for who coordinates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from foundation.database import Database
from foundation.errors import PeerError, Refused
from oncall.directory import Directory
from oncall.engine.duty_rows import worked_calls
from oncall.engine.in_force import InForce
from oncall.engine.read_minutes import minutes_read
from oncall.figures import billing
from oncall.figures.monthly import Month, monthly_pdf
from oncall.figures.nights import NightReport, causes_between, judge_nights, last_night, night_report
from oncall.figures.plots import HourPoint, overview, points
from oncall.figures.projection import catch_up
from oncall.figures.summary import DIMENSIONS, FigureQuery, Summary, summary
from oncall.language import Language
from oncall.local_time import first_instant, local_day
from oncall.rota.ledger import LedgerRow, ledger
from oncall.spans import Span
from territory.oncall_web.access import Holder, May
from territory.oncall_web.desk import Desk

_DAY = timedelta(days=1)
DAYS_USUAL = 30
DAYS_MAX = 400
"""A year and a month: a page that counts more takes too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """Figures with what a page shows beside them."""

    summary: Summary
    names: Mapping[str, str]
    zone: str
    since: date
    until: date


class FiguresRoom:
    """Figures of the territory.

    Parameters
    ----------
    database : Database
        That of the cases.
    """

    def __init__(self, desk: Desk, database: Database) -> None:
        self._desk = desk
        self._database = database

    def counted(self, holder: Holder, since: str, until: str) -> Counted:
        """Return the figures of local days, `since` (in) to `until` (in); of the last 30 when both are empty."""
        rules = self._desk.in_force()
        first, last, query = self._query(rules, holder, since, until)
        catch_up(self._database)
        zone = _zone(rules)
        with self._database.read() as connection:
            causes = causes_between(connection, query.since, query.until, zone)
            found = summary(connection, query, self._desk.now(), causes=causes)
        return Counted(summary=found, names=names_of(rules.directory), zone=zone, since=first, until=last)

    def picture(self, holder: Holder, since: str, until: str, language: Language) -> bytes:
        """Return the pictures of the same figures, as SVG."""
        rules, now = self._desk.in_force(), self._desk.now()
        _, _, query = self._query(rules, holder, since, until)
        zone = _zone(rules)
        drawn_query = FigureQuery(since=query.since, until=query.until, sites=query.sites, by=("site",))
        catch_up(self._database)
        with self._database.read() as connection:
            causes = causes_between(connection, query.since, query.until, zone)
            drawn = summary(connection, drawn_query, now, causes=causes)
            cases: Sequence[HourPoint] = points(connection, query, zone, now, causes)
        return overview(drawn, cases, names_of(rules.directory), language, "svg")

    def morning(self, night: str) -> NightReport:
        """Return the report of a night; of the last one when it is empty."""
        now, zone = self._desk.now(), _zone(self._desk.in_force())
        wanted = _day(night) if night else last_night(now, zone)
        if first_instant(wanted, time(12), zone) > now:
            raise Refused("that night has not begun")
        catch_up(self._database)
        return night_report(self._database, wanted, zone, now)

    def monthly(self, month: str, language: Language, *, with_people: bool) -> bytes:
        """Return the report of a month as PDF."""
        rules, now = self._desk.in_force(), self._desk.now()
        zone = _zone(rules)
        first, within = self._month(month, zone, now)
        by = DIMENSIONS if with_people else tuple(one for one in DIMENSIONS if one != "reader")
        query = FigureQuery(since=within.start, until=within.end, by=by, shows_readers=with_people)
        catch_up(self._database)
        judged = judge_nights(self._database, within.start, within.end, zone, now)
        with self._database.read() as connection:
            causes = causes_between(connection, within.start, within.end, zone)
            found = summary(connection, query, now, causes=causes)
            cases = points(connection, query, zone, now, causes)
        told = Month(
            first=first,
            zone=zone,
            summary=found,
            points=cases,
            names=names_of(rules.directory),
            nights_judged=judged,
            ledger=self._ledger(rules, within) if with_people else (),
        )
        return monthly_pdf(told, language)

    def billing_csv(self, month: str) -> str:
        """Return the exams of a month for billing, as CSV."""
        rules = self._desk.in_force()
        first, within = self._month(month, _zone(rules), self._desk.now())
        catch_up(self._database)
        with self._database.read() as connection:
            lines = billing.billing(connection, within.start, within.end)
        return billing.csv_text(lines, f"{first:%Y-%m}", names_of(rules.directory))

    def _query(self, rules: InForce, holder: Holder, since: str, until: str) -> tuple[date, date, FigureQuery]:
        zone, is_coordinator = _zone(rules), May.COORDINATE in holder.may
        today = local_day(self._desk.now(), zone)
        last = _day(until) if until else today
        first = _day(since) if since else last - (DAYS_USUAL - 1) * _DAY
        if not 0 <= (last - first).days < DAYS_MAX:
            raise PeerError(f"figures are of 1 to {DAYS_MAX} days, the first one first")
        query = FigureQuery(
            since=first_instant(first, time(0), zone),
            until=first_instant(last + _DAY, time(0), zone),
            sites=holder.sites,
            by=DIMENSIONS if is_coordinator else tuple(one for one in DIMENSIONS if one != "reader"),
            shows_readers=is_coordinator,
        )
        return first, last, query

    def _month(self, text: str, zone: str, now: datetime) -> tuple[date, Span]:
        first = _day(f"{text}-01") if text else local_day(now, zone).replace(day=1)
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        within = Span(start=first_instant(first, time(0), zone), end=first_instant(after, time(0), zone))
        if within.start > now:
            raise Refused("that month has not begun")
        return first, within

    def _ledger(self, rules: InForce, within: Span) -> tuple[LedgerRow, ...]:
        with self._database.read() as connection:
            calls, read = worked_calls(connection, within.start - _DAY), minutes_read(connection, within)
        shifts = [one for one in rules.timeline.shifts if one.span.start < within.end and within.start < one.span.end]
        return ledger((*shifts, *calls), rules.roster.lines, within, minutes_read=read)


def names_of(directory: Directory) -> dict[str, str]:
    """Return the names of hospitals, providers and people by identifier."""
    return {
        **{str(one.site_id): one.name for one in directory.sites.values()},
        **{str(one.provider_id): one.name for one in directory.providers.values()},
        **{str(one.person_id): one.name for one in directory.persons.values()},
    }


def _zone(rules: InForce) -> str:
    return rules.roster.lines[0].time_zone if rules.roster.lines else "UTC"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PeerError("a day is written like 2026-11-22") from None
