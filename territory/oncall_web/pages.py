"""The pages for people: the night, a request, an answer, a staff recall, and letting somebody in.

For: reading a form, asking the desk, choosing a template. Not for: checks of a request (`form`) or words (`texts`).
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from foundation import log
from foundation.errors import Refused
from oncall.directory import SiteId
from oncall.language import Language
from oncall.notify import case_code
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.explanation import why_forecast
from territory.oncall_web.access import Holder, May
from territory.oncall_web.app import Handler, Site, keep_token, new_id, target_of
from territory.oncall_web.case_page import address
from territory.oncall_web.form import MODALITIES, check_request
from territory.oncall_web.form_order import open_with_order
from territory.oncall_web.form_patient import PREGNANCY, SEXES
from territory.oncall_web.login_limit import WINDOW
from territory.oncall_web.texts import language_of
from territory.patient_keys import patient_key

ARRIVAL_MINUTES_MAX: Final = 24 * 60


def wall(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the open cases, who is on duty and what the forecast says; the browser asks again by itself."""
    del sent
    shown = site.desk.wall(holder.may_see)
    rules = site.desk.in_force()
    zone = ZoneInfo(rules.roster.lines[0].time_zone if rules.roster.lines else "UTC")
    call = shown.forecast.call
    person = None if call is None else rules.directory.persons.get(call.person_id)
    return site.page(
        request,
        "wall.html",
        wall=shown,
        holder=holder,
        May=May,
        code=case_code,
        address=address,
        unclaimed=len(site.desk.unclaimed(holder.may_see)),
        now=shown.now.astimezone(zone),
        duty=[(line, name, end.astimezone(zone)) for line, name, end in shown.duty],
        late=len(shown.forecast.breaches),
        links_lost=[(name, since.astimezone(zone)) for name, since in shown.links_lost],
        forecast=why_forecast(
            shown.forecast, rules.directory, Language(language_of(request.headers.get("accept-language", "")))
        ),
        called=None if call is None else call.person_id if person is None else person.name,
    )


def request_form(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the request form, or open a case from it; sent twice, it opens one."""
    directory = site.desk.in_force().directory
    errors: dict[str, str] = {}
    case_id = str(sent.pop("case_id", ""))
    if request.method == "POST":
        checked = check_request(
            sent,
            directory,
            site.desk.now(),
            policy=site.desk.in_force().reading,
            key_of=lambda issuer, patient_id: patient_key(site.secret, issuer, patient_id),
            may_ask_for=holder.may_see,
        )
        if checked.request is not None and case_id:
            patient_id = str(sent.get("patient_id") or "").strip()
            case = open_with_order(site, holder, checked, patient_id, number=case_id[:64])
            return site.page(
                request,
                "sent.html",
                HTTPStatus.CREATED,
                code=case_code(case.case_id),
                case=case,
                address=address(case.case_id),
            )
        errors = dict(checked.errors)
    return site.page(
        request,
        "request.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        given=sent,
        errors=errors,
        case_id=case_id or new_id("web"),
        sites=[one for one in directory.sites.values() if holder.may_see(one.site_id)],
        exams=list(ExamKind),
        urgencies=list(Urgency),
        modalities=MODALITIES,
        sexes=SEXES,
        pregnancies=list(PREGNANCY),
    )


def answer(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Ask the person behind a link for their answer; only the form's button gives it."""
    del holder
    token = str(request.path_params["token"])
    found = site.desk.message_of(token)
    if found is None:
        return site.page(request, "answer.html", HTTPStatus.NOT_FOUND, state="unknown")
    case_id, chain_id = found
    kind = "case" if case_id else "recall" if chain_id.startswith("recall/") else "other"
    if request.method != "POST":
        code = case_code(case_id) if case_id else ""
        return site.page(request, "answer.html", state="asked", kind=kind, code=code, token=token)
    minutes = str(sent.get("minutes") or "")
    arrives_at = None
    if kind == "recall" and minutes.isdigit() and int(minutes) <= ARRIVAL_MINUTES_MAX:
        arrives_at = site.desk.now() + timedelta(minutes=int(minutes))
    is_new = site.desk.answer(token, is_yes=sent.get("answer") == "yes", arrives_at=arrives_at)
    return site.page(request, "answer.html", state="recorded" if is_new else "known")


def plan_blanc(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the recalls, or start one: a real one needs the hospital's name written out."""
    directory = site.desk.in_force().directory
    is_refused = False
    if request.method == "POST":
        found = directory.sites.get(SiteId(str(sent.get("site_id") or "")))
        is_drill = sent.get("kind") != "real"
        if found is None or not holder.may_see(found.site_id):
            raise Refused("no such hospital for this token")
        if is_drill or str(sent.get("confirmation") or "").strip().casefold() == found.name.casefold():
            recall_id = str(sent.get("recall_id") or new_id("recall"))[:64]
            site.desk.recall(found.site_id, holder.actor(), is_drill=is_drill, recall_id=recall_id)
            return RedirectResponse(f"/oncall/plan-blanc/{recall_id}", status_code=HTTPStatus.SEE_OTHER)
        is_refused = True
    return site.page(
        request,
        "plan_blanc.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if is_refused else HTTPStatus.OK,
        sites=[one for one in directory.sites.values() if holder.may_see(one.site_id)],
        recalls=site.desk.recalls(),
        recall_id=new_id("recall"),
        is_refused=is_refused,
    )


def recall_board(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show who was called, how, what they say and when they come; its button ends the recall."""
    del sent
    recall_id = str(request.path_params["recall_id"])
    if request.method == "POST":
        site.desk.end_recall(recall_id, holder.actor())
        return RedirectResponse(f"/oncall/plan-blanc/{recall_id}", status_code=HTTPStatus.SEE_OTHER)
    board = site.desk.recall_board(recall_id)
    rules = site.desk.in_force()
    zone = ZoneInfo(rules.roster.lines[0].time_zone if rules.roster.lines else "UTC")
    names = {person.person_id: person.name for person in rules.directory.persons.values()}
    return site.page(
        request,
        "recall.html",
        board=board,
        counts=board.count(),
        names=names,
        recall_id=recall_id,
        local=lambda at: at.astimezone(zone).strftime("%H:%M %Z") if at else "",
        is_drill=dict(site.desk.recalls()).get(recall_id, False),
    )


def login(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Keep a token that is known as this browser's cookie for a night; too many wrong ones have to wait."""
    del holder
    target = target_of(str(sent.get("target") or ""))
    shown: dict[str, Any] = {"typed": {}, "to": "/oncall/login", "token_field": "token", "target": target}
    if request.method != "POST":
        return site.page(request, "login.html", **shown)
    address_of, now = request.client.host if request.client is not None else "", site.desk.now()
    if site.logins.is_exceeded(address_of, now):
        page = site.page(request, "login.html", HTTPStatus.TOO_MANY_REQUESTS, problem="login.too_many", **shown)
        page.headers["Retry-After"] = str(round(WINDOW.total_seconds()))
        return page
    token = str(sent.get("token") or "")
    if site.access.holder(token) is None:
        site.logins.failed(address_of, now)
        log.warning("oncall_login_refused")
        return site.page(request, "login.html", HTTPStatus.UNAUTHORIZED, problem="login.wrong", **shown)
    response = RedirectResponse(target, status_code=HTTPStatus.SEE_OTHER)
    keep_token(request, response, token)
    return response


PAGES: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall", ("GET",), May.WATCH, wall),
    ("/oncall/request", ("GET", "POST"), May.REQUEST, request_form),
    ("/oncall/a/{token}", ("GET", "POST"), None, answer),
    ("/oncall/plan-blanc", ("GET", "POST"), May.RECALL, plan_blanc),
    ("/oncall/plan-blanc/{recall_id}", ("GET", "POST"), May.RECALL, recall_board),
    ("/oncall/login", ("GET", "POST"), None, login),
)
"""Address, methods, what a token must be good for, and who answers."""
