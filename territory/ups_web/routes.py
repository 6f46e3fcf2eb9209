"""The transactions of UPS-RS: addresses, methods, and what is answered.

For: Starlette routes below ``/dicom-web``. Not for: what is decided (`pacs.worklist.ups.worklist`), or the events
(`territory.ups_web.channel`).

Invariants: nothing is answered without a token of `MAY`, but on an open loopback node; nothing is changed by GET, nor
by a page of another site; a failure says so and is never an empty list; no patient data in logs.

References
----------
PS3.18 11.4 to 11.12
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from foundation import log
from foundation.errors import PeerError, Refused, Unavailable
from pacs.archive.header import is_uid
from pacs.archive.matching import MatchingOptions
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.model import FILTERED_SUBSCRIPTION, WELL_KNOWN, State, UpsRefused
from pacs.worklist.ups.worklist import ANSWERS_MAX, Asking, Done
from territory.oncall_web.access import Holder
from territory.oncall_web.app import Site, holder_of
from territory.ups_web.channel import Channels
from territory.ups_web.payloads import (
    BODY_BYTES_MAX,
    JSON_TYPE,
    LIMIT_MAX,
    WARNINGS,
    BadRequest,
    ae_title,
    check_accept,
    filter_of,
    keys_of,
    number_of,
    read_dataset,
    status_of,
    warning_of,
    written,
)
from territory.ups_web.room import MAY, caller_of, channel_address, site_of, subscriber_of

BASE: Final = "/dicom-web"
_LOCK_NAMES: Final = ("transaction-uid", "transactionuid", "TransactionUID", "00081195")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request by one holder, with its body."""

    site: Site
    request: Request
    holder: Holder
    body: bytes

    @property
    def uid(self) -> str:
        """The work item that the address names."""
        return str(self.request.path_params["uid"])

    @property
    def content_type(self) -> str:
        """What the body is said to be."""
        return self.request.headers.get("content-type", "")


_Handler = Callable[[_Call], Response]


def _create(call: _Call) -> Response:
    """Create a work item (PS3.18 11.4): its UID is a parameter of the address, or is given here."""
    asked = read_dataset(call.body, call.content_type)
    uid = _bare_uid(call.request, "workitem")
    done = call.site.rooms.workitems.worklist.create(asked, uid, caller_of(call.holder), site_id=site_of(call.holder))
    where = f"{_service(call.request)}/workitems/{done.uid}"
    return _done(call, done, HTTPStatus.CREATED, {"Location": where, "Content-Location": where})


def _search(call: _Call) -> Response:
    """Search work items (PS3.18 11.9)."""
    parameters = call.request.query_params
    is_fuzzy = parameters.get("fuzzymatching", "false").lower() == "true"
    limit, offset = number_of(parameters, "limit"), number_of(parameters, "offset") or 0
    if limit is not None and limit > LIMIT_MAX:
        raise BadRequest(f"limit is at most {LIMIT_MAX}")
    found = call.site.rooms.workitems.worklist.search(
        keys_of(parameters.multi_items()),
        caller_of(call.holder),
        options=MatchingOptions(fuzzy_names=is_fuzzy),
        limit=ANSWERS_MAX if limit is None else limit,
        offset=offset,
    )
    if not found:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return Response(written(found), media_type=JSON_TYPE)


def _retrieve(call: _Call) -> Response:
    """Retrieve a work item (PS3.18 11.5)."""
    dataset = call.site.rooms.workitems.worklist.get(call.uid, caller_of(call.holder))
    where = f"{_service(call.request)}/workitems/{call.uid}"
    return Response(written([dataset]), media_type=JSON_TYPE, headers={"Content-Location": where})


def _update(call: _Call) -> Response:
    """Update a work item (PS3.18 11.6); the Transaction UID is a parameter of the address, or in the data set."""
    asked = dict(read_dataset(call.body, call.content_type))
    lock = _bare_uid(call.request, *_LOCK_NAMES) or tag.text_of(asked, tag.TRANSACTION_UID)
    asked.pop(tag.TRANSACTION_UID, None)
    try:
        done = call.site.rooms.workitems.worklist.update(call.uid, asked, lock, caller_of(call.holder))
    except UpsRefused as error:
        return _refusal(
            call, error, status_of(error, is_update=True), warning_of(error, is_update=True, has_lock=bool(lock))
        )
    return _done(call, done, HTTPStatus.OK)


def _change_state(call: _Call) -> Response:
    """Change the state of a work item (PS3.18 11.7): claim, complete, cancel."""
    asked = read_dataset(call.body, call.content_type)
    lock, wanted = tag.text_of(asked, tag.TRANSACTION_UID), tag.text_of(asked, tag.PROCEDURE_STEP_STATE)
    if lock and not is_uid(lock.encode("ascii", "replace")):
        raise BadRequest("the Transaction UID is no UID")
    try:
        state = State(wanted)
    except ValueError:
        raise BadRequest("Procedure Step State (0074,1000) is IN PROGRESS, COMPLETED or CANCELED") from None
    try:
        done = call.site.rooms.workitems.worklist.change_state(call.uid, state, lock, caller_of(call.holder))
    except UpsRefused as error:
        is_claim = state is State.IN_PROGRESS and bool(lock)
        return _refusal(call, error, status_of(error, is_claim=is_claim), warning_of(error, has_lock=bool(lock)))
    return _done(call, done, HTTPStatus.OK)


def _request_cancel(call: _Call) -> Response:
    """Ask that a work item be canceled (PS3.18 11.8)."""
    said = read_dataset(call.body, call.content_type, may_be_empty=True)
    done = call.site.rooms.workitems.worklist.request_cancel(call.uid, said, caller_of(call.holder))
    return _done(call, done, HTTPStatus.ACCEPTED)


def _subscribe(call: _Call) -> Response:
    """Subscribe an AE title to a work item, to all, or to those that match a filter (PS3.18 11.10)."""
    aet = _own_aet(call)
    lock = call.request.query_params.get("deletionlock", "false").lower()
    if lock not in {"true", "false"}:
        raise BadRequest("deletionlock is true or false")
    keys = filter_of(call.request.query_params.getlist("filter")) if call.uid == FILTERED_SUBSCRIPTION else {}
    asking = Asking(subscriber=subscriber_of(aet, call.holder), is_locked=lock == "true", keys=keys)
    done = call.site.rooms.workitems.worklist.subscribe(call.uid, asking, caller_of(call.holder))
    where = channel_address(call.request.headers, is_secure=call.request.url.scheme == "https", aet=aet)
    return _done(call, done, HTTPStatus.CREATED, {"Content-Location": where})


def _unsubscribe(call: _Call) -> Response:
    """End a subscription (PS3.18 11.11)."""
    subscriber = subscriber_of(_own_aet(call), call.holder)
    was = call.site.rooms.workitems.worklist.unsubscribe(call.uid, subscriber, caller_of(call.holder))
    return Response(status_code=HTTPStatus.OK if was else HTTPStatus.NOT_FOUND)


def _suspend(call: _Call) -> Response:
    """Suspend a subscription to all work items (PS3.18 11.12)."""
    if call.uid not in WELL_KNOWN:
        raise BadRequest("only a subscription to the whole worklist is suspended")
    was = call.site.rooms.workitems.worklist.suspend(call.uid, subscriber_of(_own_aet(call), call.holder))
    return Response(status_code=HTTPStatus.OK if was else HTTPStatus.NOT_FOUND)


def ups_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of UPS-RS and of its channel."""
    channels = Channels(site)
    item = BASE + "/workitems/{uid}"
    table: tuple[tuple[str, str, _Handler], ...] = (
        (f"{BASE}/workitems", "POST", _create),
        (f"{BASE}/workitems", "GET", _search),
        (item, "GET", _retrieve),
        (item, "POST", _update),
        (f"{item}/state", "PUT", _change_state),
        (f"{item}/cancelrequest", "POST", _request_cancel),
        (f"{item}/subscribers/{{aet}}", "POST", _subscribe),
        (f"{item}/subscribers/{{aet}}", "DELETE", _unsubscribe),
        (f"{item}/subscribers/{{aet}}/suspend", "POST", _suspend),
    )
    routes: list[BaseRoute] = [
        Route(path, _endpoint(site, handler), methods=[method]) for path, method, handler in table
    ]
    return [*routes, WebSocketRoute(f"{BASE}/ws/subscribers/{{aet}}", channels.serve)]


def _endpoint(site: Site, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            holder = _holder(site, request)
            check_accept(request.headers.get("accept", ""), request.query_params.get("accept"))
            body = await _body(request)
            response = await run_in_threadpool(handler, _Call(site=site, request=request, holder=holder, body=body))
        except UpsRefused as error:
            response = _failure(request, status_of(error), str(error), warning_of(error))
        except BadRequest as error:
            response = _failure(request, error.status, str(error), "")
        except Unavailable as error:
            log.error("workitems_unavailable", error=type(error).__name__, message=str(error))
            response = _failure(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), "")
        except (PeerError, Refused) as error:
            response = _failure(request, HTTPStatus.BAD_REQUEST, str(error), "")
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    return endpoint


def _holder(site: Site, request: Request) -> Holder:
    # A browser that holds a session must not be made to act by a page of another site.
    if request.method != "GET" and request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise BadRequest("a page of another site asked for this; nothing has changed", HTTPStatus.FORBIDDEN)
    holder = holder_of(site, request)
    if holder is None:
        raise BadRequest("a token is needed", HTTPStatus.UNAUTHORIZED)
    if not holder.may & MAY:
        raise BadRequest(f"this token is not for: {' or '.join(sorted(MAY))}", HTTPStatus.FORBIDDEN)
    return holder


async def _body(request: Request) -> bytes:
    gathered = bytearray()
    async for part in request.stream():
        gathered += part
        if len(gathered) > BODY_BYTES_MAX:
            raise BadRequest(f"send at most {BODY_BYTES_MAX} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(gathered)


def _bare_uid(request: Request, *names: str) -> str:
    """Return the UID that an address has as a named parameter, or as a parameter without a name."""
    for name, text in request.query_params.multi_items():
        candidate = text if name in names else name if not text else ""
        if candidate:
            if not is_uid(candidate.encode("ascii", "replace")):
                raise BadRequest("a parameter of the address is no UID")
            return candidate
    return ""


def _own_aet(call: _Call) -> str:
    aet = ae_title(str(call.request.path_params["aet"]))
    if aet in call.site.rooms.workitems.peer_aets:
        raise BadRequest("a DICOM peer has this AE title; it subscribes by DIMSE", HTTPStatus.FORBIDDEN)
    return aet


def _service(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}{BASE}"


def _done(call: _Call, done: Done, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    response = Response(status_code=status, headers=headers)
    warning = WARNINGS.get(done.status)
    if warning:
        response.headers["Warning"] = f"299 {_service(call.request)}: {warning}"
    return response


def _refusal(call: _Call, error: UpsRefused, status: HTTPStatus, warning: str) -> Response:
    return _failure(call.request, status, str(error), warning)


def _failure(request: Request, status: HTTPStatus, message: str, warning: str) -> Response:
    if status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        log.warning("workitem_request_refused", status=int(status), reason=message)
    response = JSONResponse({"error": message}, status_code=status)
    if warning:
        response.headers["Warning"] = f"299 {_service(request)}: {warning}"
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
