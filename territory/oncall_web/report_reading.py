"""Where the emergency department reads reports: its list, the newest version, taking note, documents.

For: `/oncall/reports` and `/oncall/report/CASE`, and the same documents for who wrote them. Not for: sending
(`oncall.delivery`), or what an acknowledgement stops (`oncall.engine`).

Invariants: only reports of the holder's hospitals are there; the newest version is on top, whatever was acknowledged
before; an acknowledgement is of the version that was shown, by a named person, never by a token without a name;
opening is written down once for each holder and version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from foundation.errors import PeerError, Refused
from oncall.case import commands_report
from oncall.case.event import CaseId, Event
from oncall.case.regions import CriticalState
from oncall.case.state import Case, fold
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId
from oncall.notify import case_code
from oncall.report.states import in_force
from oncall.report.version import SignedVersion
from territory.oncall_web import report_views as views
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import NAME_CHARACTERS_MAX
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import eyes_of, log_of
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.refusals import RefusedInWords, words_of
from territory.oncall_web.report_files import file_answer
from territory.oncall_web.report_room import ensure_not_blind

_READERS: Final = frozenset({May.REQUEST, May.READ, May.COORDINATE})


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRow:
    """One report on the list; ``state`` is new, opened, acknowledged, or alarm for what must be read first."""

    case_id: str
    at: str
    code: str
    site: str
    exam: str
    urgency: int
    version: int
    kind: str
    signed_at: str
    state: str
    by: str
    older_by: str
    is_critical: bool
    waiting_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgement:
    """Who took note of which version, and when."""

    version: int
    by: str
    at: datetime


def listed(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the reports of the holder's hospitals, what nobody has taken note of first."""
    del sent
    rows = report_rows(site, request, holder)
    return site.page(
        request,
        "reports.html",
        refresh_s=30,
        fresh=[one for one in rows if one.state != "acknowledged"],
        known=[one for one in rows if one.state == "acknowledged"],
        now=site.desk.now().astimezone(_zone(site, holder)),
    )


def report_rows(site: Site, request: Request, holder: Holder) -> list[ReportRow]:
    """Return the reports that concern a holder: what must be read first, then by age."""
    now = site.desk.now()
    rows = [_row(site, request, holder, one, now) for one in site.rooms.reports.signed_cases(holder.may_see)]
    order = {"alarm": 0, "new": 1, "opened": 2, "acknowledged": 3}
    return sorted(rows, key=lambda one: (order[one.state], not one.is_critical, one.urgency))


def read(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show a case's report, the newest version on top, and write down that it was opened."""
    del sent
    events = log_of(site, request, holder)
    case = fold(events)
    history = site.rooms.reports.versions(case.case_id)
    if history and not _is_only_fetched(request):
        _note_access(site, case, events, holder, history[-1].version.version)
    return _page(site, request, holder, case, events, history)


def acknowledge(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Record that a named clinician has taken note of the version that was shown."""
    events = log_of(site, request, holder)
    case = fold(events)
    try:
        take_note(site, case, holder, sent)
    except (Refused, PeerError) as error:
        problem = words_of(error, eyes_of(site, request, holder, case).language)
        history = site.rooms.reports.versions(case.case_id)
        return _page(site, request, holder, case, events, history, problem=problem, sent=sent)
    return RedirectResponse(f"{views.reading_address(case)}?said=noted", status_code=HTTPStatus.SEE_OTHER)


def take_note(site: Site, case: Case, holder: Holder, sent: Mapping[str, Any]) -> Case:
    """Record an acknowledgement.

    Raises
    ------
    foundation.errors.Refused
        If no clinician is named, or a newer version has come since the one that was shown.
    """
    clinician = " ".join(str(sent.get("clinician") or "").split())
    version = str(sent.get("version") or "")
    if not clinician:
        raise RefusedInWords("reports.wrong.no_name")
    if len(clinician) > NAME_CHARACTERS_MAX:
        raise RefusedInWords("error.too_long")
    history = site.rooms.reports.versions(case.case_id)
    if not history or version != str(history[-1].version.version):
        raise RefusedInWords("reports.wrong.newer")
    shown = int(version)
    return site.desk.execute(
        case.case_id,
        lambda current, context: commands_report.acknowledge_report(current, clinician, context, version=shown),
        holder.actor(),
    )


def document(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return a document of a version."""
    del sent
    events = log_of(site, request, holder)
    case = fold(events)
    ensure_not_blind(case, holder)
    number, form = str(request.path_params["version"]), str(request.path_params["format"])
    if not number.isascii() or not number.isdigit():
        raise RefusedInWords("report.wrong.no_version")
    answer = file_answer(site, case, int(number), form)
    if May.REQUEST in holder.may:
        _note_access(site, case, events, holder, int(number))
    return answer


def version_page(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show one version, old or new, with its proof."""
    del sent
    events = log_of(site, request, holder)
    case = fold(events)
    number = str(request.path_params["version"])
    history = site.rooms.reports.versions(case.case_id)
    if not number.isascii() or not number.isdigit() or not 0 < int(number) <= len(history):
        raise RefusedInWords("report.wrong.no_version")
    return _page(site, request, holder, case, events, history, only=int(number))


# What is shown


def _page(
    site: Site, request: Request, holder: Holder, case: Case, events: Sequence[Event],
    history: Sequence[SignedVersion], *, problem: str = "", sent: Mapping[str, Any] | None = None, only: int = 0,
) -> Response:  # fmt: skip
    ensure_not_blind(case, holder)
    eyes, now = eyes_of(site, request, holder, case), site.desk.now()
    lines = views.version_lines(case, history, eyes, root=views.reading_address(case))
    newest = history[-1].version if history else None
    noted = acknowledgements(events)
    this = next((one for one in noted if newest is not None and one.version == newest.version), None)
    standing = {one.version for one in in_force([one.version for one in history])}
    shown_now = [one for one in reversed(history) if one.version.version == only] if only else [
        one for one in reversed(history) if one is history[-1] or one.version.version in standing
    ]  # fmt: skip
    alarm = "" if newest is None else views.is_alarming(history)
    alarms = [eyes.say(f"reports.alarm.{alarm}")] if alarm else []
    return site.page(
        request,
        "report_read.html",
        HTTPStatus.CONFLICT if problem else HTTPStatus.OK,
        view=views.heading(case, eyes, now, eyes.say("report"), alarms=alarms),
        here=views.reading_address(case),
        problem=problem,
        said="reports.said.noted" if request.query_params.get("said") == "noted" and not problem else "",
        newest=newest,
        only=only,
        alarm=alarm,
        lines=lines,
        by_number={one.version: one for one in lines},
        shown=[(one.version, views.shown(one.version.content)) for one in shown_now],
        formats=views.FORMATS,
        this=None if this is None else (eyes.name(this.by), eyes.clock(this.at)),
        older=[(one.version, eyes.name(one.by), eyes.clock(one.at)) for one in noted if this is None],
        may_note=May.REQUEST in holder.may,
        clinician=str((sent or {}).get("clinician") or name_of(holder, eyes)),
    )


def name_of(holder: Holder, eyes: Eyes) -> str:
    """Return the name of the person that a token names; '' when it is a department's, or anybody's."""
    person = eyes.directory.persons.get(PersonId(holder.who))
    return "" if holder.is_anybody or person is None else person.name


def acknowledgements(events: Sequence[Event]) -> list[Acknowledgement]:
    """Return who has taken note of which version, the newest first."""
    newest, found = 0, []
    for event in events:
        payload = event.fact.payload
        if event.type in {E.REPORT_SIGNED, E.REPORT_ADDENDUM, E.REPORT_REPLACED, E.REPORT_RETRACTED, E.PRELIM_ISSUED}:
            newest = max(newest, int(payload.get("version") or 0))
        elif event.type == E.REPORT_ACKNOWLEDGED_BY_ED:
            found.append(
                Acknowledgement(
                    version=int(payload.get("version") or newest),
                    by=str(payload["clinician"]),
                    at=event.fact.occurred_at,
                )
            )
    return found[::-1]


def _row(site: Site, request: Request, holder: Holder, case_id: CaseId, now: datetime) -> ReportRow:
    events = site.desk.log(case_id)
    case = fold(events)
    eyes = eyes_of(site, request, holder, case)
    history = site.rooms.reports.versions(case.case_id)
    newest = history[-1].version
    noted = acknowledgements(events)
    this = next((one for one in noted if one.version == newest.version), None)
    is_opened = any(
        one.type == E.REPORT_ACCESSED and one.fact.payload.get("version") in {None, newest.version} for one in events
    )
    alarm = views.is_alarming(history)
    state = "acknowledged" if this else "alarm" if alarm else "opened" if is_opened else "new"
    hospital = eyes.directory.sites.get(case.site_id)
    return ReportRow(
        case_id=case.case_id,
        at=views.reading_address(case),
        code=case_code(case.case_id),
        site=case.site_id if hospital is None else hospital.name,
        exam=eyes.say(f"exam.{case.exam.value}"),
        urgency=int(case.urgency),
        version=newest.version,
        kind=newest.kind.value,
        signed_at=eyes.clock(newest.signed_at),
        state=state,
        by="" if this is None else f"{eyes.name(this.by)}, {eyes.clock(this.at)}",
        older_by="" if this is not None or not noted else eyes.name(noted[0].by),
        is_critical=any(one.state in {CriticalState.DECLARED, CriticalState.COMMUNICATED} for one in case.criticals),
        waiting_s=None if this is not None else (now - newest.signed_at).total_seconds(),
    )


def _note_access(site: Site, case: Case, events: Sequence[Event], holder: Holder, version: int) -> None:
    """Write down that a holder at the hospital has opened a version, once."""
    if May.REQUEST not in holder.may or case.report.version < version:
        return
    who = PersonId(holder.who)
    for event in events:
        payload = event.fact.payload
        if event.type == E.REPORT_ACCESSED and (payload.get("person_id"), payload.get("version")) == (who, version):
            return

    def command(current: Case, context: Any) -> Any:
        return commands_report.record_access(current, who, context, version=version)

    try:
        site.desk.execute(case.case_id, command, holder.actor())
    except Refused:
        # Before it was sent there is nothing to record about its arrival; the text may be read all the same.
        return


def _is_only_fetched(request: Request) -> bool:
    """Say whether a browser asked ahead of the person (Sec-Purpose, Fetch): nobody has seen anything yet."""
    return "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", ""))


def _zone(site: Site, holder: Holder) -> ZoneInfo:
    sites = site.desk.in_force().directory.sites
    zones = sorted({one.time_zone for one in sites.values() if holder.may_see(one.site_id)})
    return ZoneInfo(zones[0] if len(zones) == 1 else "Europe/Paris" if zones else "UTC")


def linked(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Lead the link of an e-mail to the report."""
    del site, holder, sent
    place = quote(str(request.path_params["case_id"]), safe="")
    return RedirectResponse(f"/oncall/report/{place}", status_code=HTTPStatus.SEE_OTHER)


READING_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/reports", ("GET",), _READERS, listed),
    ("/oncall/reports/{case_id}", ("GET",), _READERS, linked),
    ("/oncall/report/{case_id}", ("GET",), _READERS, read),
    ("/oncall/report/{case_id}", ("POST",), frozenset({May.REQUEST}), acknowledge),
    ("/oncall/report/{case_id}/{version}", ("GET",), _READERS, version_page),
    ("/oncall/report/{case_id}/{version}/{format}", ("GET",), _READERS, document),
)
"""Address, methods, what a token must be good for, and who answers."""
