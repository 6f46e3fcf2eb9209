"""The dossier of a case as a download: sealed JSON, or PDF/A that carries it.

For: the holder's own hospital's copy, or the platform's for who coordinates all hospitals. Not for: what a dossier
holds, or proving one (`oncall.evidence`). Invariant: a POST, because making one is written into the case's log.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from foundation.errors import PeerError
from oncall.case.state import Case
from oncall.directory import SiteId
from oncall.evidence.dossier import PLATFORM, Sealed
from oncall.language import Language
from oncall.notify import case_code
from territory.oncall_web.access import Holder, May
from territory.oncall_web.app import Forbidden, Handler, Site
from territory.oncall_web.case_page import case_of
from territory.oncall_web.report_page import pdf_answer
from territory.oncall_web.texts import language_of

_HOLDERS: Final = frozenset({May.REQUEST, May.COORDINATE})


def dossier(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Make the dossier of a case and return it: ``format`` json or pdf, ``centre`` the hospital or ``platform``."""
    case = case_of(site, request, holder)
    form = str(sent.get("format") or "json")
    if form not in {"json", "pdf"}:
        raise PeerError("format is json or pdf")
    centre = _centre(case, holder, str(sent.get("centre") or case.site_id))
    room, actor = site.rooms.evidence, holder.actor()
    sealed: Sealed = site.desk.ask(lambda engine, now: room.maker.make(engine, case.case_id, centre, now, actor=actor))
    name = f"{case_code(case.case_id)}-{centre}.{form}"
    if form == "pdf":
        language = Language(language_of(request.headers.get("accept-language", "")))
        return pdf_answer(room.pdf(sealed, language), name)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(sealed.data, media_type="application/json", headers=headers)


def _centre(case: Case, holder: Holder, asked: str) -> str:
    if asked == PLATFORM:
        # The platform's copy tells of every hospital's people.
        if May.COORDINATE not in holder.may or holder.sites:
            raise Forbidden("the platform's copy is for who coordinates every hospital", is_known=True)
        return PLATFORM
    if not holder.may_see(SiteId(asked)) or asked != case.site_id:
        raise Forbidden("a dossier is for the holder's own hospital, of its own cases", is_known=True)
    return asked


EVIDENCE_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/case/{case_id}/evidence", ("POST",), _HOLDERS, dossier),
)
"""Address, methods, what a token must be good for, and who answers."""

EVIDENCE_API: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/api/cases/{case_id}/evidence", ("POST",), _HOLDERS, dossier),
)
