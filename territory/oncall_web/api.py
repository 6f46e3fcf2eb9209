"""The JSON interface: the same requests and answers for programs (an emergency department's system, a viewer, a RIS).

For: opening a case, following it, and what readers do with it. Addresses begin with ``/oncall/api/``; instants are
ISO 8601 with an offset. A refusal is 409 with ``{"error"}``, wrong fields 422 with ``{"errors": {field: text}}``.
"""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from foundation.errors import PeerError
from oncall.case import commands
from oncall.case.clocks import read_clocks
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.directory import PersonId
from territory.oncall_web.access import Holder, May
from territory.oncall_web.app import Forbidden, Handler, Site, new_id
from territory.oncall_web.desk import stage_of
from territory.oncall_web.form import check_request
from territory.oncall_web.texts import text
from territory.patient_keys import patient_key

ACTIONS: Final = {
    "images-complete": May.REQUEST,
    "acknowledge": May.READ,
    "decline": May.READ,
    "claim": May.READ,
    "sign": May.READ,
    "withdraw": May.REQUEST,
}
"""What may be done to a case, and what a token must be good for."""


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
        errors = {name: text(f"error.{key}", "en") for name, key in checked.errors.items()}
        return JSONResponse({"errors": errors}, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)
    key = request.headers.get("idempotency-key", "").strip()[:40]
    case_id = CaseId(f"api-{holder.who}-{key}"[:64]) if key else CaseId(new_id("api"))
    case = site.desk.open_case(checked.request, holder.actor(), case_id=case_id)
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


def act(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Do one of `ACTIONS` to a case; a reader acts as the person that the token names."""
    action = str(request.path_params["action"])
    if action not in ACTIONS:
        raise PeerError(f"an action is one of {', '.join(sorted(ACTIONS))}")
    if ACTIONS[action] not in holder.may:
        raise Forbidden(f"this token is not for: {ACTIONS[action].value}", is_known=True)
    case = _case(site, request, holder)
    return JSONResponse(as_json(_done(site, case, action, holder, sent), site.desk.now()))


def _done(site: Site, case: Case, action: str, holder: Holder, sent: dict[str, Any]) -> Case:
    desk, case_id, person_id = site.desk, case.case_id, PersonId(holder.who)
    if action == "images-complete":
        return desk.ask(lambda engine, now: engine.complete_images(case_id, now, rule="button"))
    if action == "acknowledge":
        return desk.ask(lambda engine, now: engine.acknowledge(case_id, person_id, now, channel="api"))
    if action == "decline":
        reason = _text(sent, "reason")
        return desk.ask(lambda engine, now: engine.decline(case_id, person_id, now, reason=reason))
    if action == "claim":
        uid = _text(sent, "transaction_uid")
        return desk.ask(lambda engine, now: engine.claim(case_id, person_id, now, transaction_uid=uid))
    if action == "sign":
        uid, content_hash = _text(sent, "transaction_uid"), _text(sent, "content_sha256")
        return desk.ask(
            lambda engine, now: engine.sign(case_id, person_id, now, transaction_uid=uid, content_hash=content_hash)
        )
    motive = _text(sent, "reason")
    return desk.execute(case_id, lambda one, context: commands.withdraw(one, context, motive=motive), holder.actor())


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
        "deadline_at": None if deadline is None else deadline.isoformat(),
        "target_at": None if target is None else target.isoformat(),
        "clocks": clocks,
        "events": case.seq,
        "head_hash": case.head_hash,
    }


def _case(site: Site, request: Request, holder: Holder) -> Case:
    case = site.desk.case(CaseId(str(request.path_params["case_id"])))
    if not holder.may_see(case.site_id):
        raise Forbidden("this token is not for this hospital", is_known=True)
    return case


def _text(sent: dict[str, Any], name: str) -> str:
    value = str(sent.get(name) or "").strip()
    if not value:
        raise PeerError(f"{name} is needed")
    return value[:200]


API: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/api/cases", ("POST",), May.REQUEST, open_case),
    ("/oncall/api/cases", ("GET",), May.WATCH, list_cases),
    ("/oncall/api/cases/{case_id}", ("GET",), May.WATCH, show_case),
    ("/oncall/api/cases/{case_id}/{action}", ("POST",), May.WATCH, act),
    ("/oncall/api/who", ("GET",), May.WATCH, who),
)
"""Address, methods, what a token must be good for, and who answers."""
