"""The JSON interface: the same requests and answers for programs (an emergency department's system, a viewer, a RIS).

For: opening a case, following it, and everything that may be done to it (`actions`); reasons, log and matching are in
`api_matching`. Addresses begin with ``/oncall/api/``; instants are
ISO 8601 with an offset. A refusal is 409 with ``{"error"}``, wrong fields 422 with ``{"errors": {field: text}}``.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from foundation.errors import PeerError
from oncall.case.clocks import late_images_s, read_clocks
from oncall.case.event import CaseId
from oncall.case.state import Case
from territory.oncall_web.access import Holder, May
from territory.oncall_web.actions import perform
from territory.oncall_web.app import Forbidden, Handler, Site, new_id
from territory.oncall_web.desk import stage_of
from territory.oncall_web.doings import FieldsWrong
from territory.oncall_web.form import check_request
from territory.oncall_web.form_order import open_with_order
from territory.oncall_web.texts import text
from territory.patient_keys import patient_key

_KEY: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
"""An ``Idempotency-Key``: it becomes part of an address."""


def open_case(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Open a case; with the same ``Idempotency-Key`` header only once."""
    checked = check_request(
        sent,
        site.desk.in_force().directory,
        site.desk.now(),
        policy=site.desk.in_force().reading,
        key_of=lambda issuer, patient_id: patient_key(site.secret, issuer, patient_id),
        may_ask_for=holder.may_see,
    )
    if checked.request is None:
        return wrong_fields(checked.errors)
    case = open_with_order(
        site, holder, checked, str(sent.get("patient_id") or "").strip(), number=_case_id(request, holder, "api")
    )
    return JSONResponse(as_json(case, site.desk.now()), status_code=HTTPStatus.CREATED)


def list_cases(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the open cases that concern the holder, oldest first."""
    del request, sent
    now = site.desk.now()
    cases = [as_json(case, now) for case in site.desk.open_cases() if holder.may_see(case.site_id)]
    return JSONResponse({"now": now.isoformat(), "cases": cases})


def show_case(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return one case with its clocks."""
    del sent
    return JSONResponse(as_json(_case(site, request, holder), site.desk.now()))


def announce(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Open a case for a patient who is on the way; the request that comes for them becomes this case's."""
    checked = check_request(
        sent,
        site.desk.in_force().directory,
        site.desk.now(),
        policy=site.desk.in_force().reading,
        key_of=lambda issuer, patient_id: patient_key(site.secret, issuer, patient_id),
        may_ask_for=holder.may_see,
        is_pre_alert=True,
    )
    found = checked.request
    if found is None:
        return wrong_fields(checked.errors)
    case_id, actor = _case_id(request, holder, "pre"), holder.actor()
    case = site.desk.ask(lambda engine, now: engine.open_pre_alert(case_id, found, now, actor=actor))
    return JSONResponse(as_json(case, site.desk.now()), status_code=HTTPStatus.CREATED)


def act(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Do one of `actions.ACTIONS` to a case; a reader acts as the person that the token names."""
    name = str(request.path_params["action"])
    case = site.desk.case(CaseId(str(request.path_params["case_id"])))
    try:
        after = perform(site, case, name, holder, sent, channel="api")
    except FieldsWrong as wrong:
        return wrong_fields(wrong.errors)
    return JSONResponse(as_json(after, site.desk.now()))


def wrong_fields(errors: Mapping[str, str]) -> Response:
    """Return what is wrong with each field, in English: 422."""
    said = {name: text(f"error.{key}", "en") for name, key in errors.items()}
    return JSONResponse({"errors": said}, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)


def _case_id(request: Request, holder: Holder, prefix: str) -> CaseId:
    """Return the id of what a program opens: the same for the same ``Idempotency-Key`` of the same holder."""
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        return CaseId(new_id(prefix))
    if _KEY.fullmatch(key) is None:
        raise PeerError("an Idempotency-Key is 1 to 40 letters, digits, points, dashes and underscores")
    return CaseId(f"{prefix}-{holder.who}-{key}"[:64])


def who(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return who is on duty at ``?at=`` (now without it), line by line."""
    del holder, sent
    given = request.query_params.get("at", "")
    try:
        # A plus sign in an address means a space.
        at = datetime.fromisoformat(given.replace(" ", "+")) if given else site.desk.now()
    except ValueError as error:
        raise PeerError("at is an instant: 2026-10-25T02:30+02:00") from error
    if at.tzinfo is None:
        raise PeerError("at needs its offset, because on one night a year 02:30 happens twice: 2026-10-25T02:30+02:00")
    rules = site.desk.in_force()
    lines = {line.line_id: line for line in rules.roster.lines}
    duty = [
        {
            "line": shift.line_id,
            "kind": lines[shift.line_id].kind.value,
            "person": shift.person_id,
            "from": shift.span.start.isoformat(),
            "until": shift.span.end.isoformat(),
        }
        for shift in rules.timeline.on_duty(at.astimezone(UTC))
    ]
    return JSONResponse({"at": at.isoformat(), "roster_version": rules.roster.version, "on_duty": duty})


def as_json(case: Case, now: datetime) -> dict[str, Any]:
    """Return a case for programs: its stage, who has it, and every clock that runs."""
    clocks = {
        reading.clock.value: {
            "started_at": reading.started_at.isoformat(),
            "due_at": None if reading.due_at is None else reading.due_at.isoformat(),
            "stopped_at": None if reading.stopped_at is None else reading.stopped_at.isoformat(),
            "elapsed_s": reading.elapsed_s,
            "is_missed": reading.is_missed(now),
        }
        for reading in read_clocks(case, now)
    }
    deadline, target = case.images.deadline_at, case.images.target_at
    return {
        "case_id": case.case_id,
        "site": case.site_id,
        "exam": case.exam.value,
        "urgency": int(case.urgency),
        "stage": stage_of(case),
        "is_open": case.is_open,
        "reader": case.reading.claimed_by or case.reading.assigned_to,
        "protocol": {
            "state": case.protocol.state.value,
            "version": case.protocol.version,
            "open_questions": case.protocol.open_questions,
            "open_deviations": case.protocol.deviations_open,
        },
        "deadline_at": None if deadline is None else deadline.isoformat(),
        "target_at": None if target is None else target.isoformat(),
        "clocks": clocks,
        # Images that came after the last one was thought to be there: their own time, while the hour runs on.
        "late_images_s": late_images_s(case, now),
        "events": case.seq,
        "head_hash": case.head_hash,
    }


def _case(site: Site, request: Request, holder: Holder) -> Case:
    case = site.desk.case(CaseId(str(request.path_params["case_id"])))
    if not holder.may_see(case.site_id):
        raise Forbidden("this token is not for this hospital", is_known=True)
    return case


API: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/api/cases", ("POST",), May.REQUEST, open_case),
    ("/oncall/api/cases", ("GET",), May.WATCH, list_cases),
    ("/oncall/api/cases/{case_id}", ("GET",), May.WATCH, show_case),
    ("/oncall/api/pre-alerts", ("POST",), May.REQUEST, announce),
    ("/oncall/api/cases/{case_id}/{action}", ("POST",), May.WATCH, act),
    ("/oncall/api/who", ("GET",), May.WATCH, who),
)
"""Address, methods, what a token must be good for, and who answers."""
