"""The web application of the on-call engine: who is let in, and which function answers which address.

For: Starlette routes, sessions by token, errors as pages or JSON. Not for: what is shown (`pages`), the interface
(`api`), or anything decided (`desk`).

Invariants: nothing is changed by GET (scanners follow links in e-mail), but that somebody who is known has opened a
report is written down; a cookie is SameSite=Strict and what a browser sends for a page of another site is refused, so
that no other page can act; no patient data in addresses or logs; a failure says so and is never an empty list. A form
that comes after its session has ended is not lost: the page that asks for the token again carries it along.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from foundation import log
from foundation.errors import PeerError, Refused, Unavailable
from oncall.channels.http_gateway import HttpGateway, read_receipt
from oncall.directory import ChannelKind
from territory.oncall_web.access import Access, Holder, May
from territory.oncall_web.desk import Desk
from territory.oncall_web.login_limit import LoginLimit
from territory.oncall_web.refusals import words_of
from territory.oncall_web.rooms import Rooms
from territory.oncall_web.texts import language_of, text

COOKIE: Final = "telegarde_oncall"
COOKIE_S: Final = 14 * 3600
"""A night."""

BODY_BYTES_MAX: Final = 64 * 1024
"""A form or a JSON request is some hundreds of bytes."""

REPORT_BYTES_MAX: Final = 4 * 1024 * 1024
"""The form of a report: 200,000 characters (`oncall.report.content`) take nine bytes each in Japanese, and answers."""

TOKEN_FIELD: Final = "_token"  # noqa: S105  # the name of a field
"""By which a form that came back after its session had ended brings the token again."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Forbidden(Refused):
    """Known or not, this holder may not do this; ``is_known`` says whether a token was recognised.

    ``problem`` is the key of a text that is said beside the field for the token.
    """

    def __init__(self, message: str, *, is_known: bool, problem: str = "") -> None:
        super().__init__(message)
        self.is_known = is_known
        self.problem = problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What every handler needs: desk and rooms, who is let in, the secret of patient keys, the templates."""

    desk: Desk
    rooms: Rooms
    access: Access
    secret: bytes
    templates: Environment
    gateways: Mapping[ChannelKind, HttpGateway]
    logins: LoginLimit

    def page(self, request: Request, name: str, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        """Return a page in the language of the browser."""
        language = language_of(request.headers.get("accept-language", ""))

        def say(key: str) -> str:
            return text(key, language)

        body = self.templates.get_template(name).render(say=say, language=language, **values)
        return HTMLResponse(body, status_code=status)


Handler = Callable[[Site, Request, Holder, dict[str, Any]], Response]
"""Answers for a holder; runs in a thread. The last argument is the form or JSON object that was sent."""


def make_site(
    desk: Desk, rooms: Rooms, access: Access, secret: bytes, gateways: Mapping[ChannelKind, HttpGateway] | None = None
) -> Site:
    """Return what the handlers share; ``gateways`` are those whose delivery receipts are taken."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=select_autoescape(default=True)
    )
    templates.globals["minutes"] = _minutes
    return Site(
        desk=desk,
        rooms=rooms,
        access=access,
        secret=secret,
        templates=templates,
        gateways=gateways or {},
        logins=LoginLimit(),
    )


def holder_of(site: Site, request: HTTPConnection) -> Holder | None:
    """Return who asks: by bearer token, by cookie, or anybody on an open loopback node."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
    return site.access.holder(token)


def guarded(
    site: Site,
    may: May | frozenset[May] | None,
    handler: Handler,
    *,
    is_api: bool,
    body_bytes_max: int = BODY_BYTES_MAX,
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that lets in who may (one of several), reads what was sent, and turns errors into answers."""
    wanted = frozenset({may}) if isinstance(may, May) else may

    async def endpoint(request: Request) -> Response:
        sent: dict[str, Any] = {}
        try:
            _refuse_other_sites(request)
            holder, entered = holder_of(site, request), ""
            if holder is None and wanted is not None and not is_api:
                sent = await _sent(request, body_bytes_max)
                holder, entered = _let_in(site, request, sent)
            if wanted is not None:
                _check_may(wanted, holder)
            sent = sent or await _sent(request, body_bytes_max)
            shown = holder or Holder(who="link", may=frozenset())
            response = await run_in_threadpool(handler, site, request, shown, sent)
            if entered:
                keep_token(request, response, entered)
        except (Refused, PeerError, Unavailable) as error:
            response = _failure(site, request, error, is_api=is_api, sent=sent)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return endpoint


def keep_token(request: Request, response: Response, token: str) -> None:
    """Make a token this browser's cookie for a night."""
    response.set_cookie(
        COOKIE, token, max_age=COOKIE_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


def _check_may(wanted: frozenset[May], holder: Holder | None) -> None:
    if holder is None:
        raise Forbidden("a token is needed", is_known=False)
    if not wanted & holder.may:
        raise Forbidden(f"this token is not for: {' or '.join(sorted(wanted))}", is_known=True)


def _let_in(site: Site, request: Request, sent: dict[str, Any]) -> tuple[Holder | None, str]:
    """Return who a form names that brings its token again, and the token, which is taken out of the form."""
    token = str(sent.pop(TOKEN_FIELD, ""))
    if not token:
        return None, ""
    address, now = request.client.host if request.client is not None else "", site.desk.now()
    if site.logins.is_exceeded(address, now):
        raise Forbidden("too many wrong tokens came; wait", is_known=False, problem="login.too_many")
    holder = site.access.holder(token)
    if holder is None:
        site.logins.failed(address, now)
        log.warning("oncall_login_refused")
        raise Forbidden("this token is not known", is_known=False, problem="login.wrong")
    return holder, token


def receipts(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint for providers' delivery receipts; the signature over the body is what lets one in."""

    async def endpoint(request: Request) -> Response:
        try:
            _check_length(request, BODY_BYTES_MAX)
            body = await request.body()
            kind = str(request.path_params["channel"])
            gateway = next((one for channel, one in site.gateways.items() if channel.value == kind), None)
            if gateway is None:
                raise PeerError("there is no such gateway; see [oncall] in the configuration")
            receipt = read_receipt(gateway, body, request.headers.get("x-signature", ""))
            if receipt is not None:
                await run_in_threadpool(site.desk.receive, receipt)
        except (PeerError, Unavailable) as error:
            return _failure(site, request, error, is_api=True, sent={})
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return endpoint


def _refuse_other_sites(request: Request) -> None:
    """Refuse what a page of another site makes a browser send: on an open loopback node no cookie would stop it."""
    if request.method == "POST" and request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Forbidden("a page of another site asked for this; nothing has changed", is_known=True)


def _check_length(request: Request, bytes_max: int) -> None:
    declared = request.headers.get("content-length", "")
    if not declared.isdigit() or int(declared) > bytes_max:
        raise PeerError(f"send at most {bytes_max} bytes, and say how many")


async def _sent(request: Request, bytes_max: int) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    _check_length(request, bytes_max)
    if request.headers.get("content-type", "").split(";")[0].strip() == "application/json":
        try:
            body = await request.json()
        except ValueError as error:
            raise PeerError("the body is not JSON") from error
        if not isinstance(body, dict):
            raise PeerError("the body is a JSON object")
        return body
    form = await request.form(max_files=0)
    return {name: str(value) for name, value in form.items()}


def _failure(site: Site, request: Request, error: Exception, *, is_api: bool, sent: dict[str, Any]) -> Response:
    status = HTTPStatus.CONFLICT
    if isinstance(error, Forbidden):
        status = HTTPStatus.FORBIDDEN if error.is_known else HTTPStatus.UNAUTHORIZED
    elif isinstance(error, PeerError):
        status = HTTPStatus.BAD_REQUEST
    elif isinstance(error, Unavailable):
        status = HTTPStatus.SERVICE_UNAVAILABLE
        log.error("oncall_web_unavailable", error=type(error).__name__, message=str(error))
    if is_api:
        return JSONResponse({"error": str(error)}, status_code=status)
    if status is HTTPStatus.UNAUTHORIZED:
        return site.page(
            request,
            "login.html",
            status,
            problem=_problem(request, error),
            # What was typed goes along, under the address that it was sent to.
            typed=sent if request.method == "POST" else {},
            to=request.url.path if request.method == "POST" else "/oncall/login",
            token_field=TOKEN_FIELD if request.method == "POST" else "token",
            target="" if request.method == "POST" else _target(request),
        )
    message = words_of(error, language_of(request.headers.get("accept-language", "")))
    return site.page(request, "refused.html", status, message=message, is_away=isinstance(error, Unavailable))


def _problem(request: Request, error: Exception) -> str:
    said = error.problem if isinstance(error, Forbidden) else ""
    return said or ("login.wrong" if COOKIE in request.cookies and request.method != "POST" else "")


def _target(request: Request) -> str:
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def target_of(sent: str) -> str:
    """Return a page of ours that somebody wanted to see before they logged in; the night's if it is none of ours."""
    is_ours = sent.startswith("/oncall") and not set(sent) & set("\\\r\n") and not sent.startswith("/oncall/login")
    return sent if is_ours and sent[7:8] in {"", "/", "?"} else "/oncall"


def new_id(prefix: str) -> str:
    """Return an unguessable id, so that a form sent twice opens once."""
    return f"{prefix}-{secrets.token_hex(8)}"


def _minutes(seconds: float | None) -> str:
    if seconds is None:
        return ""
    total = int(abs(seconds)) // 60
    return f"{total // 60} h {total % 60:02d}" if total >= 60 else f"{total} min"
