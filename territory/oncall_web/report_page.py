"""The page where a report is written: template, form, chapters, dose; saved by itself, kept by one person at a time.

For: the editor, its saves and previews. Not for: signing (`report_sign_page`), what the hospital reads
(`report_reading`), or who may write (`report_room`).

Invariants: what was typed comes back whatever goes wrong, a stale page or a lost lock included; a page never
overwrites what another page saved; looking changes nothing.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from foundation.errors import PeerError, Refused
from oncall.case.state import Case
from oncall.critical.suggestion import Suggestion, suggestions
from oncall.language import Language
from oncall.report.content import ReportContent
from oncall.report.drafts import DraftReport
from oncall.report.states import has_final
from oncall.report.template import Template
from oncall.report.template_library import suited
from oncall.report.version import SignedVersion, VersionKind
from territory.oncall_web import report_views as views
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import readers_of
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import address, case_of, eyes_of
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.refusals import words_of
from territory.oncall_web.report_form import ReportForm, is_fitting, new_content, read_form
from territory.oncall_web.report_preview import preview_pdf
from territory.oncall_web.report_room import template_key
from territory.oncall_web.texts import language_of

_FREE: Final = "free@"
"""How a form names writing without a template, before the language."""

_SAID: Final = frozenset({"begun", "saved", "taken", "released", "signed", "template", "preliminary"})


def editor(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the editor, who is writing, or what is signed."""
    del sent
    case = case_of(site, request, holder)
    return _page(site, request, holder, case)


def act(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Do what a button of the editor asks; every one of them saves first what was typed."""
    case = case_of(site, request, holder)
    room, do = site.rooms.reports, str(sent.get("do") or "save")
    person_id = room.person_of(holder, case, str(sent.get("person_id") or ""))
    kind = room.next_kind(room.versions(case.case_id), str(sent.get("kind") or ""))
    form: ReportForm | None = None
    try:
        if do == "begin":
            room.begin(case, person_id, kind, holder, _first_content(site, request, case, kind))
            return _to(case, kind, "begun")
        if do == "take-over":
            room.take_over(case, person_id, kind, holder)
            return _to(case, kind, "taken")
        form = form_of(site, case, sent, template=_chosen(site, sent))
        saved = room.save(case, person_id, _revision(sent), form.content, holder)
    except (Refused, PeerError) as error:
        problem = words_of(error, eyes_of(site, request, holder, case).language)
        return _page(site, request, holder, case, problem=problem, sent=sent)
    if not form.is_sound:
        return _page(site, request, holder, case, form=form, draft=saved)
    if do == "release":
        room.release(case, person_id)
    return _to(case, kind, {"release": "released", "template": "template"}.get(do, "saved"), do)


def autosave(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Save what the page has now; answers what the form shows and what is missing."""
    case = case_of(site, request, holder)
    eyes, room = eyes_of(site, request, holder, case), site.rooms.reports
    person_id = room.person_of(holder, case, str(sent.get("person_id") or ""))
    form = form_of(site, case, sent, template=_template_of(site, str(sent.get("template") or "")))
    try:
        saved = room.save(case, person_id, _revision(sent), form.content, holder)
    except Refused as error:
        return JSONResponse({"error": words_of(error, eyes.language)}, status_code=HTTPStatus.CONFLICT)
    return JSONResponse(
        {
            "revision": saved.revision,
            "until": eyes.clock(saved.leased_until),
            "shown": list(form.shown),
            "frames": {chapter.value: frame for chapter, frame in form.frames.items()},
            "errors": views.errors_of(form, eyes.language),
            "lacks": views.lacks(form),
            "notices": views.notices(form),
        }
    )


def preview(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the draft as a reader of the report would see it, marked as not signed."""
    del sent
    case = case_of(site, request, holder)
    draft = _draft_to_look_at(site, case)
    eyes = eyes_of(site, request, holder, case)
    return site.page(
        request,
        "report_preview.html",
        view=views.heading(case, eyes, site.desk.now(), eyes.say("report.preview")),
        shown=views.shown(draft.content),
        here=views.report_address(case),
        kind=request.query_params.get("kind", ""),
    )


def preview_document(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the draft as a PDF with a mark across every page that it is not signed."""
    del sent
    case = case_of(site, request, holder)
    draft, eyes = _draft_to_look_at(site, case), eyes_of(site, request, holder, case)
    line = views.heading(case, eyes, site.desk.now(), "").line
    return pdf_answer(preview_pdf(draft.content, line, site.desk.now()), "apercu.pdf")


def pdf_answer(body: bytes, name: str) -> Response:
    """Return a PDF that browsers show in place; their viewer needs a style of its own."""
    policy = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Content-Security-Policy": policy}
    return Response(body, media_type="application/pdf", headers=headers)


def form_of(site: Site, case: Case, sent: Mapping[str, Any], *, template: Template | None) -> ReportForm:
    """Return the form that was sent, with what the draft holds and no input shows.

    When another template was chosen, what the former one's form asked goes; what the reader wrote stays.
    """
    draft = site.rooms.reports.drafts.find(case.case_id)
    kept = None if draft is None else draft.content
    return read_form(
        sent,
        template,
        _language_of(str(sent.get("new_template") or sent.get("template") or ""), kept),
        answers=() if kept is None or kept.template_id else kept.answers,
        key_images=() if kept is None else kept.key_images,
    )


# What is shown


def _page(
    site: Site, request: Request, holder: Holder, case: Case, *, problem: str = "", form: ReportForm | None = None,
    draft: DraftReport | None = None, sent: Mapping[str, Any] | None = None,
) -> Response:  # fmt: skip
    room, eyes, now = site.rooms.reports, eyes_of(site, request, holder, case), site.desk.now()
    draft = draft or room.drafts.find(case.case_id)
    history = room.versions(case.case_id)
    chosen = str((sent or {}).get("person_id") or request.query_params.get("person_id", ""))
    if holder.is_anybody and not chosen and draft is not None:
        chosen = draft.person_id
    person_id = room.person_of(holder, case, chosen)
    kind = room.next_kind(history, str((sent or {}).get("kind") or request.query_params.get("kind", "")))
    is_mine = draft is not None and draft.person_id == person_id and draft.base_version == len(history)
    shown_form = form or (None if draft is None or not is_mine else room.form(draft.content))
    key = "" if shown_form is None else _key_of(shown_form)
    status = HTTPStatus.CONFLICT if problem else HTTPStatus.UNPROCESSABLE_ENTITY if form else HTTPStatus.OK
    said = request.query_params.get("said", "")
    is_free = draft is not None and draft.leased_until <= now
    return site.page(
        request,
        "report_editor.html",
        status,
        view=views.heading(case, eyes, now, eyes.say("report")),
        here=views.report_address(case),
        save_at=f"{views.report_address(case)}/save",
        problem=problem,
        said=f"report.said.{said}" if said in _SAID and not problem else "",
        kept_text=_kept_text(sent, eyes) if problem else (),
        is_mine=is_mine,
        may_write=room.may_write(case, person_id, kind, holder),
        readers=readers_of(eyes.directory, case) if holder.is_anybody else (),
        person_id=person_id,
        draft=None if is_free and not is_mine else draft,
        holder_name="" if draft is None else eyes.name(draft.person_id),
        until="" if draft is None else eyes.clock(draft.leased_until),
        saved_at="" if draft is None else eyes.clock(draft.saved_at, seconds=True),
        kind=kind.value,
        form=shown_form,
        template_key=key,
        choices=_choices(site, case, eyes),
        groups=() if shown_form is None else views.questions(shown_form),
        chapters=() if shown_form is None else views.chapters(shown_form),
        lacks=() if shown_form is None else views.lacks(shown_form),
        notices=() if shown_form is None else views.notices(shown_form),
        suggested=_suggested(case, shown_form),
        declare_at=f"{address(case.case_id)}/declare-critical",
        seen=room.seen(case) if is_mine else (),
        has_final=has_final([one.version for one in history]),
        versions=views.version_lines(case, history, eyes, root=views.reading_address(case)),
    )


def _kept_text(sent: Mapping[str, Any] | None, eyes: Eyes) -> list[tuple[str, str]]:
    """Return what was typed and is not saved, under the names of its inputs."""
    names = {
        **{f"text-{one}": f"chapter.{one}" for one in ("indication", "technique", "results", "conclusion")},
        "title": "report.title",
    }
    given = sent or {}
    found = [(eyes.say(key), str(given[name])) for name, key in names.items() if str(given.get(name) or "").strip()]
    answers = "\n".join(
        f"{name.removeprefix('answer-')}: {value}"
        for name, value in given.items()
        if name.startswith(("answer-", "dose-")) and str(value).strip()
    )
    return [*found, *([(eyes.say("report.form"), answers)] if answers else [])]


def _choices(site: Site, case: Case, eyes: Eyes) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the templates to choose from: those for this exam, the others, and none."""
    first = Language(eyes.language)
    there = site.rooms.reports.templates()
    ordered = [
        template
        for language in sorted(Language, key=lambda one: one is not first)
        for template in suited(there, exam=case.exam, modality=case.request.modality, language=language)
    ]
    fit = [one for one in ordered if is_fitting(one, case.exam.value, case.request.modality)]
    rest = [one for one in ordered if one not in fit]
    groups = [
        (eyes.say(key), [(template_key(one), f"{one.title} ({one.language.value})") for one in those])
        for key, those in (("report.templates.fit", fit), ("report.templates.other", rest))
        if those
    ]
    free = [(f"{_FREE}{one.value}", f"{eyes.say('report.free')} ({one.value})") for one in Language]
    return [*groups, (eyes.say("report.templates.none"), free)]


def _key_of(form: ReportForm) -> str:
    return f"{_FREE}{form.content.language.value}" if form.template is None else template_key(form.template)


def _suggested(case: Case, form: ReportForm | None) -> tuple[Suggestion, ...]:
    if form is None or form.template is None:
        return ()
    declared = [one.critical_id for one in case.criticals]
    return suggestions(case.case_id, form.template, form.checked.answers, declared=declared)


# What was sent


def _chosen(site: Site, sent: Mapping[str, Any]) -> Template | None:
    """Return the template of the form: the newly chosen one when its button was pressed."""
    name = "new_template" if sent.get("do") == "template" else "template"
    return _template_of(site, str(sent.get(name) or ""))


def _template_of(site: Site, key: str) -> Template | None:
    if not key or key.startswith(_FREE):
        return None
    found = site.rooms.reports.template(key)
    if found is None:
        raise PeerError("there is no such template any more; choose another")
    return found


def _language_of(key: str, kept: ReportContent | None) -> Language:
    asked = key.removeprefix(_FREE) if key.startswith(_FREE) else ""
    if asked in set(Language):
        return Language(asked)
    return Language.FRENCH if kept is None else kept.language


def _first_content(site: Site, request: Request, case: Case, kind: VersionKind) -> ReportContent:
    room = site.rooms.reports
    language = Language(language_of(request.headers.get("accept-language", "")))
    ordered = suited(room.templates(), exam=case.exam, modality=case.request.modality, language=language)
    best = ordered[0] if ordered and is_fitting(ordered[0], case.exam.value, case.request.modality) else None
    history: tuple[SignedVersion, ...] = room.versions(case.case_id)
    return room.base_of(history, kind, new_content(best, language))


def _revision(sent: Mapping[str, Any]) -> int:
    given = str(sent.get("revision") or "")
    if not given.isascii() or not given.isdigit():
        raise PeerError("revision is the number of the draft that was shown")
    return int(given)


def _draft_to_look_at(site: Site, case: Case) -> DraftReport:
    draft = site.rooms.reports.drafts.find(case.case_id)
    if draft is None:
        raise Refused("there is no draft of this report")
    return draft


def _to(case: Case, kind: VersionKind, said: str, do: str = "") -> RedirectResponse:
    here = views.report_address(case)
    if do == "preview":
        return RedirectResponse(f"{here}/preview?kind={kind.value}", status_code=HTTPStatus.SEE_OTHER)
    if do in {"sign", "preliminary"}:
        signed_as = VersionKind.PRELIMINARY if do == "preliminary" else kind
        return RedirectResponse(f"{here}/sign?kind={signed_as.value}", status_code=HTTPStatus.SEE_OTHER)
    return RedirectResponse(f"{here}?kind={kind.value}&said={said}", status_code=HTTPStatus.SEE_OTHER)


_READERS: Final = frozenset({May.READ})
REPORT_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/case/{case_id}/report", ("GET",), _READERS, editor),
    ("/oncall/case/{case_id}/report", ("POST",), _READERS, act),
    ("/oncall/case/{case_id}/report/preview", ("GET",), _READERS, preview),
    ("/oncall/case/{case_id}/report/preview.pdf", ("GET",), _READERS, preview_document),
)
"""Address, methods, what a token must be good for, and who answers."""

REPORT_SAVES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/case/{case_id}/report/save", ("POST",), _READERS, autosave),
)
"""What the page's own script asks; answered in JSON."""
