"""The radiographer's page, on a screen beside the scanner's console: the protocol, large, and what they answer to it.

For: the exams that are expected at one hospital, the protocol in force of one of them, acknowledgement, questions,
deviations, the word that all images were sent. Not for: the worklist that the scanner itself asks for
(`pacs.worklist`), or what any of these actions does (`actions`).

Invariants: what is acknowledged is the version that was shown; without a protocol the page says to wait; a screen that
has lost its connection says so and is never taken for up to date; a form that was refused comes back with what was
typed. Nothing of another hospital is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from foundation.errors import Refused
from oncall.case.event import CaseId, Event
from oncall.case.regions import ImagesState, ProtocolState
from oncall.case.state import Case, fold
from oncall.directory import Site as Hospital
from oncall.directory import SiteId
from oncall.notify import case_code
from pacs.worklist.order import Order, OrderState
from territory.oncall_web.access import Holder, May
from territory.oncall_web.actions import perform
from territory.oncall_web.app import Forbidden, Handler, Site
from territory.oncall_web.case_forms import Attempt, FormView, forms_of
from territory.oncall_web.case_page import eyes_of, log_of
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.doings import FieldsWrong
from territory.oncall_web.doings_protocol import open_deviations
from territory.oncall_web.protocol_view import deviations_of, patient_view, protocol_view, questions_of
from territory.oncall_web.refusals import words_of
from territory.oncall_web.texts import language_of

ACTIONS_HERE: Final = (
    "protocol-acknowledged", "protocol-question", "justify-deviation", "images-complete",
)  # fmt: skip
"""What a radiographer does from this page."""

REFRESH_S: Final = 5

_UNREAD: Final = frozenset({ProtocolState.SENT, ProtocolState.DELIVERED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One exam of the list; ``mark`` is the key of a text, ``is_new`` asks for somebody's eyes."""

    case_id: CaseId
    code: str
    urgency: int
    exam: str
    modality: str
    patient: str
    mark: str
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """What came back from a form of the page."""

    case_id: CaseId | None = None
    attempt: Attempt | None = None
    refusal: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


def console(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the exams of one hospital, and one of them."""
    del sent
    return _page(site, request, holder, _Shown())


def act(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Do what a form of the page asks, and show the page by GET."""
    name = str(request.path_params["action"])
    case = fold(log_of(site, request, holder))
    if name not in ACTIONS_HERE:
        raise Refused("this is not done at the console; go to the page of the case")
    try:
        perform(site, case, name, holder, sent, channel="web")
    except Forbidden:
        raise
    except FieldsWrong as wrong:
        attempt = Attempt(name=name, sent=sent, errors=wrong.errors)
        return _page(site, request, holder, _Shown(case_id=case.case_id, attempt=attempt, errors=wrong.errors))
    except Refused as refusal:
        words = words_of(refusal, language_of(request.headers.get("accept-language", "")))
        attempt = Attempt(name=name, sent=sent, refusal=words)
        return _page(site, request, holder, _Shown(case_id=case.case_id, attempt=attempt, refusal=words))
    return RedirectResponse(f"{address(case.site_id, case.case_id)}&done={name}", status_code=HTTPStatus.SEE_OTHER)


def address(site_id: SiteId, case_id: CaseId) -> str:
    """Return where an exam is on its hospital's console page."""
    return f"/oncall/console?site={quote(site_id, safe='')}&case={quote(case_id, safe='')}"


def exams_of(cases: Sequence[Case], site_id: SiteId) -> list[Case]:
    """Return the cases that concern a hospital's radiographers now, the most urgent first, then the oldest."""
    return sorted((case for case in cases if case.site_id == site_id and _concerns(case)), key=_by_haste)


def _concerns(case: Case) -> bool:
    if not case.is_open or case.report.signed_at is not None or case.request.submitted_at is None:
        return False
    is_awaited = case.images.state is not ImagesState.COMPLETE
    return is_awaited or bool(open_deviations(case)) or case.protocol.open_questions > 0


def _by_haste(case: Case) -> tuple[int, datetime]:
    return int(case.urgency), case.opened_at


def _page(site: Site, request: Request, holder: Holder, shown: _Shown) -> Response:
    hospitals = [one for one in site.desk.in_force().directory.sites.values() if holder.may_see(one.site_id)]
    hospital = _hospital(site, request, hospitals, shown)
    if hospital is None:
        return site.page(request, "console_sites.html", hospitals=hospitals)
    now = site.desk.now()
    cases = exams_of(site.desk.open_cases(), hospital.site_id)
    orders: dict[str, Order] = {one.order_id: one for one in site.rooms.orders.open_of_sites([hospital.site_id])}
    wanted = shown.case_id or CaseId(request.query_params.get("case", ""))
    chosen = next((case for case in cases if case.case_id == wanted), cases[0] if cases and not wanted else None)
    may_see = holder.may_see_clinical_text
    known = {case.request.request_id for case in site.desk.open_cases()}
    status = HTTPStatus.OK
    if shown.attempt is not None:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if shown.errors else HTTPStatus.CONFLICT
    done = request.query_params.get("done", "")
    return site.page(
        request,
        "console.html",
        status,
        scripts=("console.js",),
        hospital=hospital,
        hospitals=hospitals,
        now=now.astimezone(ZoneInfo(hospital.time_zone)),
        rows=[_row(case, orders, may_see=may_see) for case in cases],
        others=[
            (one, one.scheduled_at.astimezone(ZoneInfo(hospital.time_zone)), _name(one) if may_see else "")
            for one in orders.values()
            if one.order_id not in known and one.state in {OrderState.SCHEDULED, OrderState.IN_PROGRESS}
        ],
        chosen=None if chosen is None else chosen.case_id,
        address=address,
        done=done if done in ACTIONS_HERE else "",
        refusal=shown.refusal,
        refresh_ms=REFRESH_S * 1000,
        **({} if chosen is None else _exam(site, request, holder, chosen, now, shown)),
    )


def _exam(site: Site, request: Request, holder: Holder, case: Case, now: datetime, shown: _Shown) -> dict[str, Any]:
    events: Sequence[Event] = site.desk.log(case.case_id)
    case = fold(events)
    eyes: Eyes = eyes_of(site, request, holder, case)
    order, patient = site.rooms.orders.of_case(case), site.rooms.orders.patient_of(case, now)
    forms: dict[str, FormView] = {
        name: form
        for name, form in forms_of(site, case, holder, eyes, (), shown.attempt).items()
        if name in ACTIONS_HERE
    }
    return {
        "case": case,
        "code": case_code(case.case_id),
        "patient": patient_view(order, patient, eyes),
        "protocol": protocol_view(site, case, eyes, now, patient),
        "questions": questions_of(events, eyes),
        "deviations": deviations_of(events, case, eyes),
        "read": forms.pop("protocol-acknowledged", None),
        "forms": forms,
        "act": f"/oncall/console/{quote(case.case_id, safe='')}",
    }


def _hospital(site: Site, request: Request, hospitals: Sequence[Hospital], shown: _Shown) -> Hospital | None:
    if shown.case_id is not None:
        wanted = site.desk.case(shown.case_id).site_id
    else:
        wanted = SiteId(request.query_params.get("site", ""))
    if len(hospitals) == 1 and not wanted:
        return hospitals[0]
    return next((one for one in hospitals if one.site_id == wanted), None)


def _row(case: Case, orders: Mapping[str, Order], *, may_see: bool) -> Row:
    order = orders.get(case.request.request_id)
    state = case.protocol.state
    mark = "console.to_ack" if state in _UNREAD else f"protocol.state.{state.value}"
    return Row(
        case_id=case.case_id,
        code=case_code(case.case_id),
        urgency=int(case.urgency),
        exam=case.exam.value,
        modality=case.request.modality,
        patient=_name(order) if order is not None and may_see else "",
        mark=mark,
        is_new=state in _UNREAD or bool(open_deviations(case)),
    )


def _name(order: Order) -> str:
    return " ".join(part for part in order.patient.name.split("^") if part) or order.patient.patient_id


_MAY: Final = frozenset({May.REQUEST, May.PERFORM})

CONSOLE_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/console", ("GET",), _MAY, console),
    ("/oncall/console/{case_id}/{action}", ("POST",), _MAY, act),
)
"""Address, methods, what a token must be good for, and who answers."""
