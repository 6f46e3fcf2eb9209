"""The page on which a reader signs: the words once more, what is missing, which images and priors were seen.

For: confirming and signing a draft, as a first finding, a report, an addendum, a replacement or a retraction. Not for:
writing (`report_page`), or whether a version may follow (`oncall.report.states`).

Invariants: what is signed is what this page showed, letter by letter; nothing is signed by a GET; a refusal shows the
page again with what was typed.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from foundation.errors import PeerError, Refused
from oncall.case.regions import CriticalState
from oncall.case.state import Case
from oncall.report.canonical import content_digest
from oncall.report.rendering import Severity
from oncall.report.version import VersionKind
from territory.oncall_web import report_views as views
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import is_set, readers_of
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import case_of, eyes_of
from territory.oncall_web.refusals import RefusedInWords, words_of
from territory.oncall_web.report_form import ReportForm
from territory.oncall_web.report_room import WITH_REASON, Wish, ensure_not_blind

REASON_CHARACTERS_MAX: Final = 2000


def confirm(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show what would be signed."""
    del sent
    return _page(site, request, holder, case_of(site, request, holder))


def sign(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Sign what was shown."""
    case = case_of(site, request, holder)
    try:
        wish = wish_of(site, holder, case, sent)
        site.rooms.reports.sign(case, wish, holder)
    except (Refused, PeerError) as error:
        problem = words_of(error, eyes_of(site, request, holder, case).language)
        return _page(site, request, holder, case, problem=problem, sent=sent)
    said = "preliminary" if wish.kind is VersionKind.PRELIMINARY else "signed"
    return RedirectResponse(f"{views.report_address(case)}?said={said}", status_code=HTTPStatus.SEE_OTHER)


def wish_of(site: Site, holder: Holder, case: Case, sent: Mapping[str, Any]) -> Wish:
    """Return what a form or a program wants to sign.

    Raises
    ------
    foundation.errors.PeerError
        If a field is no such thing.
    """
    kind, revision, reason = str(sent.get("kind") or ""), str(sent.get("revision") or ""), str(sent.get("reason") or "")
    if kind not in set(VersionKind):
        raise PeerError(f"kind is one of {', '.join(VersionKind)}")
    if not revision.isascii() or not revision.isdigit():
        raise PeerError("revision is the number of the draft that was shown")
    if len(reason) > REASON_CHARACTERS_MAX:
        raise RefusedInWords("report.wrong.long_reason")
    return Wish(
        person_id=site.rooms.reports.person_of(holder, case, str(sent.get("person_id") or "")),
        kind=VersionKind(kind),
        revision=int(revision),
        content_sha256=str(sent.get("content_sha256") or ""),
        reason=reason.replace("\r\n", "\n").strip(),
        is_lack_accepted=is_set(str(sent.get("is_lack_accepted") or "")),
        transaction_uid=str(sent.get("transaction_uid") or ""),
    )


def _page(
    site: Site, request: Request, holder: Holder, case: Case, *, problem: str = "",
    sent: Mapping[str, Any] | None = None,
) -> Response:  # fmt: skip
    room, eyes = site.rooms.reports, eyes_of(site, request, holder, case)
    ensure_not_blind(case, holder)
    history, given = room.versions(case.case_id), sent or {}
    kind = room.next_kind(history, str(given.get("kind") or request.query_params.get("kind", "")))
    draft = room.drafts.find(case.case_id)
    form: ReportForm | None = None
    if kind is VersionKind.RETRACTION:
        newest = history[-1]
        content, revision, digest = newest.version.content, newest.version.version, newest.digest
        writer = None
    elif draft is None:
        raise RefusedInWords("report.wrong.not_writing")
    else:
        form = room.form(draft.content)
        content, revision, digest = draft.content, draft.revision, content_digest(draft.content)
        writer = draft.person_id
    is_whole = kind in {VersionKind.FINAL, VersionKind.REPLACEMENT}
    found = form.lacks if form is not None and is_whole else ()
    chosen = str(given.get("person_id") or (writer or "" if holder.is_anybody else ""))
    person_id = room.person_of(holder, case, chosen)
    return site.page(
        request,
        "report_sign.html",
        HTTPStatus.CONFLICT if problem else HTTPStatus.OK,
        view=views.heading(case, eyes, site.desk.now(), eyes.say(f"report.signing.{kind.value}")),
        here=views.report_address(case),
        problem=problem,
        kind=kind.value,
        shown=views.shown(content),
        lacks=() if form is None or not is_whole else views.lacks(form),
        notices=() if form is None else views.notices(form),
        is_refused=any(one.severity is Severity.REFUSE for one in found),
        is_wanted=any(one.severity is Severity.ACKNOWLEDGE for one in found),
        is_lack_accepted=is_set(str(given.get("is_lack_accepted") or "")),
        wants_reason=kind in WITH_REASON,
        reason=str(given.get("reason") or ""),
        revision=revision,
        digest=digest,
        person_id=person_id,
        signer=eyes.name(person_id),
        readers=readers_of(eyes.directory, case) if holder.is_anybody and writer is None else (),
        is_mine=writer in {None, person_id},
        seen=room.seen(case),
        untold=[one for one in case.criticals if one.state is CriticalState.DECLARED],
        newest=history[-1].version if history else None,
    )


_READERS: Final = frozenset({May.READ})
SIGN_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/case/{case_id}/report/sign", ("GET",), _READERS, confirm),
    ("/oncall/case/{case_id}/report/sign", ("POST",), _READERS, sign),
)
"""Address, methods, what a token must be good for, and who answers."""
