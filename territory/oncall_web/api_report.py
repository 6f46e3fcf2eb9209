"""Reports for programs: the same drafts, checks and signatures as the pages, in JSON.

For: a reporting system or a hospital's system. Not for: pages. A content is what `oncall.report.canonical` writes;
errors are those of `api`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from foundation.errors import PeerError
from oncall.report.canonical import content_digest, content_from_json, content_to_json, signed_to_json
from oncall.report.content import ReportContent
from oncall.report.drafts import DraftReport
from oncall.report.signing import verify
from oncall.report.states import in_force, withdrawn
from oncall.report.template_documents import template_to_json
from oncall.report.version import VersionKind
from oncall.strict_json import DocumentInvalid, Value
from territory.oncall_web import report_views as views
from territory.oncall_web.access import Holder, May
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import case_of
from territory.oncall_web.report_reading import report_rows, take_note
from territory.oncall_web.report_room import ensure_not_blind, template_key
from territory.oncall_web.report_sign_page import wish_of


def show(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return every version of a case's report, oldest first, and for a reader the draft."""
    del sent
    case, room = case_of(site, request, holder), site.rooms.reports
    ensure_not_blind(case, holder)
    history = room.versions(case.case_id)
    versions = [one.version for one in history]
    draft = room.drafts.find(case.case_id) if May.READ in holder.may else None
    return JSONResponse(
        {
            "case_id": case.case_id,
            "newest": versions[-1].version if versions else 0,
            "in_force": [one.version for one in in_force(versions)],
            "withdrawn": sorted(withdrawn(versions)),
            "versions": [{**signed_to_json(one), "is_proved": verify(one.signature, one.digest)} for one in history],
            "draft": None if draft is None else _draft(site, draft),
        }
    )


def save(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Begin a draft (without ``revision``) or save one made on a revision."""
    case, room = case_of(site, request, holder), site.rooms.reports
    content = _content(sent)
    person_id = room.person_of(holder, case, str(sent.get("person_id") or ""))
    kind = room.next_kind(room.versions(case.case_id), str(sent.get("kind") or ""))
    if sent.get("revision") is None:
        draft = room.begin(case, person_id, kind, holder, content)
    else:
        draft = room.save(case, person_id, _whole(sent, "revision"), content, holder)
    return JSONResponse(_draft(site, draft))


def take_over(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Take the draft from whoever has it; recorded."""
    case, room = case_of(site, request, holder), site.rooms.reports
    person_id = room.person_of(holder, case, str(sent.get("person_id") or ""))
    kind = room.next_kind(room.versions(case.case_id), str(sent.get("kind") or ""))
    return JSONResponse(_draft(site, room.take_over(case, person_id, kind, holder)))


def sign(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Sign: the draft that is named by revision and digest, or a content that comes along.

    A bare digest signs nothing: what nobody holds, nobody can read.
    """
    case, room = case_of(site, request, holder), site.rooms.reports
    if sent.get("content") is None:
        signed = room.sign(case, wish_of(site, holder, case, sent), holder)
    else:
        content = _content(sent)
        asked = {**sent, "revision": "0", "content_sha256": content_digest(content)}
        wish = wish_of(site, holder, case, {"kind": VersionKind.FINAL.value, **asked})
        room.ensure_may_write(case, wish.person_id, wish.kind, holder)
        room.ensure_complete(content, wish)
        signed = room.sign_content(case, wish, content)
    return JSONResponse(signed_to_json(signed), status_code=HTTPStatus.CREATED)


def acknowledge(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Take note of the newest version: ``version``, ``clinician``."""
    case = case_of(site, request, holder)
    after = take_note(site, case, holder, sent)
    return JSONResponse({"case_id": after.case_id, "acknowledged_by": after.delivery.acknowledged_by})


def listed(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the reports of the last 14 days of the holder's hospitals, what must be read first first."""
    del sent
    rows = report_rows(site, request, holder)
    keys = ("case_id", "code", "site", "exam", "urgency", "version", "kind", "state", "is_critical", "waiting_s")
    return JSONResponse({"reports": [{key: getattr(one, key) for key in keys} for one in rows]})


def templates(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the templates in force."""
    del request, holder, sent
    found = {template_key(one): template_to_json(one) for one in site.rooms.reports.templates()}
    return JSONResponse({"templates": found})


def _draft(site: Site, draft: DraftReport) -> dict[str, Any]:
    form = site.rooms.reports.form(draft.content)
    return {
        "person_id": draft.person_id,
        "revision": draft.revision,
        "content_sha256": content_digest(draft.content),
        "until": draft.leased_until.isoformat(),
        "saved_at": draft.saved_at.isoformat(),
        "content": content_to_json(draft.content),
        "lacks": views.lacks(form),
        "notices": views.notices(form),
    }


def _content(sent: Mapping[str, Any]) -> ReportContent:
    given = sent.get("content")
    if not isinstance(given, dict):
        raise PeerError("content is the object of a report: see docs/oncall.md")
    try:
        return content_from_json(Value(place="content", raw=given))
    except DocumentInvalid as error:
        raise PeerError(str(error)) from error


def _whole(sent: Mapping[str, Any], name: str) -> int:
    given = sent.get(name)
    if not isinstance(given, int) or isinstance(given, bool):
        raise PeerError(f"{name} is a whole number")
    return given


_READERS: Final = frozenset({May.READ})
_SEEN_BY: Final = frozenset({May.READ, May.REQUEST, May.COORDINATE})
REPORT_API: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/api/reports", ("GET",), _SEEN_BY, listed),
    ("/oncall/api/templates", ("GET",), _READERS, templates),
    ("/oncall/api/cases/{case_id}/report", ("GET",), _SEEN_BY, show),
    ("/oncall/api/cases/{case_id}/report", ("POST",), _READERS, save),
    ("/oncall/api/cases/{case_id}/report/take-over", ("POST",), _READERS, take_over),
    ("/oncall/api/cases/{case_id}/report/acknowledge", ("POST",), frozenset({May.REQUEST}), acknowledge),
    ("/oncall/api/cases/{case_id}/sign", ("POST",), _READERS, sign),
)
"""Address, methods, what a token must be good for, and who answers."""
