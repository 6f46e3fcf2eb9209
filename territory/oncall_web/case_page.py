"""The page of one case: the hour, the reader and the next action first, everything else below in sections.

For: putting the view of a case (`case_view`) and the forms of what its holder may do (`actions`) into the template.
Not for: what an action does, or words. Invariant: a form that was refused comes back with what was typed and the error
beside its field; a form that was done leads to the page by GET, so that reloading does nothing twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from foundation.errors import Refused
from oncall.case.clocks import Clock
from oncall.case.event import CaseId, Event
from oncall.case.matching import Match
from oncall.case.regions import CriticalState, IdentityState, ImagesState, ReadingState
from oncall.case.state import Case, fold
from oncall.directory import PersonId
from oncall.engine.paging import SILENCE
from oncall.language import Language
from oncall.notify import case_code
from oncall.reading.explanation import why, why_forecast, why_not
from territory.oncall_web import case_view, priors_section
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import readers_of, studies_by_name
from territory.oncall_web.actions import ACTIONS, perform
from territory.oncall_web.app import Forbidden, Handler, Site
from territory.oncall_web.case_forms import Attempt, case_words, forms_of
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.completeness_view import completeness_of
from territory.oncall_web.desk import stage_of
from territory.oncall_web.doings import FieldsWrong
from territory.oncall_web.offers import awaits_protocol, is_laid_aside, is_read
from territory.oncall_web.protocol_view import deviations_of, patient_view, protocol_view, questions_of
from territory.oncall_web.texts import language_of
from territory.oncall_web.texts_events import reason_words

SECTIONS: Final = ("reader", "hospital", "coordination")
_PRIMARY: Final[Mapping[str, tuple[str, ...]]] = {
    "blocked": ("settle-identity",),
    "critical": ("communicate-critical", "acknowledge-critical"),
    "question": ("protocol-answer",),
    "protocol": ("images-complete",),
    "requested": ("images-complete",),
    "images": ("images-complete",),
    "stalled": ("images-complete",),
    "queued": ("claim",),
    "paged": ("acknowledge",),
    "accepted": ("claim",),
    "parked": ("resume",),
    "done": ("close",),
}
"""Which action is shown beside what is to be done next, the first that the holder may do."""


def show_case(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show a case."""
    del sent
    return _page(site, request, holder, None)


def act(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Do what a form of the page asks, and show the case."""
    name = str(request.path_params["action"])
    case = case_of(site, request, holder)
    try:
        perform(site, case, name, holder, sent, channel="web")
    except Forbidden:
        raise
    except FieldsWrong as wrong:
        return _page(site, request, holder, Attempt(name=name, sent=sent, errors=wrong.errors))
    except Refused as refusal:
        return _page(site, request, holder, Attempt(name=name, sent=sent, refusal=str(refusal)))
    return RedirectResponse(f"{address(case.case_id)}?done={name}", status_code=HTTPStatus.SEE_OTHER)


def address(case_id: CaseId) -> str:
    """Return where a case's page is."""
    return f"/oncall/case/{quote(case_id, safe='')}"


def case_of(site: Site, request: Request, holder: Holder) -> Case:
    """Return the case that an address names, as its log tells it now; refused when it does not concern the holder."""
    return fold(log_of(site, request, holder))


def log_of(site: Site, request: Request, holder: Holder) -> Sequence[Event]:
    """Return the log of the case that an address names; refused when it does not concern the holder."""
    events = site.desk.log(CaseId(str(request.path_params["case_id"])))
    if not holder.may_see(fold(events).site_id):
        raise Forbidden("this token is not for this hospital", is_known=True)
    return events


def eyes_of(site: Site, request: Request, holder: Holder, case: Case) -> Eyes:
    """Return how a holder looks at a case: the browser's language, the hospital's zone."""
    directory = site.desk.in_force().directory
    found = directory.sites.get(case.site_id)
    return Eyes(
        language=language_of(request.headers.get("accept-language", "")),
        zone=ZoneInfo("UTC" if found is None else found.time_zone),
        directory=directory,
        may_see_clinical_text=holder.may_see_clinical_text,
    )


def next_step(case: Case) -> str:
    """Return what has to be done next: the key of a text."""
    if case.is_closed:
        return "closed"
    if case.identity.state is IdentityState.BLOCKED:
        return "blocked"
    if any(one.state in {CriticalState.DECLARED, CriticalState.COMMUNICATED} for one in case.criticals):
        return "critical"
    if case.images.state is ImagesState.STALLED:
        return "stalled"
    stage = stage_of(case)
    if stage in {"requested", "images"} and case.protocol.open_questions:
        return "question"
    if stage == "requested" and case.request.submitted_at is not None and case.request.answered_at is None:
        return "protocol"
    if stage == "reported" and case.delivery.acknowledged_at is not None:
        return "done"
    if stage == "reported" and case.delivery.sent_at is None:
        return "unsent"
    return stage


def _page(site: Site, request: Request, holder: Holder, attempt: Attempt | None) -> Response:
    events = log_of(site, request, holder)
    case, now = fold(events), site.desk.now()
    eyes = eyes_of(site, request, holder, case)
    matches = matches_of(site, case, holder) if case.is_open else ()
    forms = forms_of(site, case, holder, eyes, matches, attempt)
    step = next_step(case)
    primary = next((forms[name] for name in _PRIMARY.get(step, ()) if name in forms), None)
    status = HTTPStatus.OK
    if attempt is not None:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if attempt.errors else HTTPStatus.CONFLICT
    hospital = eyes.directory.sites.get(case.site_id)
    reader = case.reading.claimed_by or case.reading.assigned_to
    done = request.query_params.get("done", "")
    clocks = case_view.clock_lines(case, now, eyes)
    return site.page(
        request,
        "case.html",
        status,
        case=case,
        code=case_code(case.case_id),
        here=address(case.case_id),
        hospital=case.site_id if hospital is None else hospital.name,
        stage=stage_of(case),
        step=step,
        now=now.astimezone(eyes.zone),
        hour=next((one for one in clocks if one.clock is Clock.REPORT), None),
        onset=next((one for one in clocks if one.clock is Clock.ONSET and one.left_s is not None), None),
        target="" if case.images.target_at is None else eyes.clock(case.images.target_at),
        reader="" if reader is None else eyes.name(reader),
        clocks=clocks,
        completeness=completeness_of(case, site.desk.in_force().intake, eyes),
        **_protocol(site, case, events, eyes, holder, now),
        awaited=next((one for one in clocks if one.clock is Clock.ACKNOWLEDGEMENT and not one.ended), None),
        primary=primary,
        writes=_is_reading(case, holder),
        reads=case.report.version > 0 and holder.may_see_clinical_text,
        may_write=May.READ in holder.may,
        deliveries=site.rooms.deliveries.of_case(case.case_id),
        priors=priors_section.view(case, eyes),
        reason_of=lambda word: reason_words(word, eyes.language),
        may_prove=bool(holder.may & {May.REQUEST, May.COORDINATE}),
        sections=[
            (section, [form for name, form in forms.items() if ACTIONS[name].section == section and form != primary])
            for section in SECTIONS
        ],
        attempted="" if attempt is None else attempt.name,
        done=done if done in ACTIONS else "",
        chains=case_view.chains(case, events, eyes),
        log=case_view.log_lines(events, eyes),
        reasons=reasons_of(case, events, eyes),
        asked=_asked(site, request, case, events, eyes),
        supposed=_supposed(site, case, eyes),
        forecast=_forecast(site, case, eyes),
        readers=readers_of(eyes.directory, case),
        matches=[
            (one, *(("", "") if one.study is not None else case_words(site.desk.case(one.case_id), eyes)))
            for one in matches
        ],
        studies=studies_by_name(case),
        at=lambda instant: "" if instant is None else eyes.clock(instant, seconds=True),
        name_of=eyes.name,
        address=address,
    )


def _protocol(
    site: Site, case: Case, events: Sequence[Event], eyes: Eyes, holder: Holder, now: datetime
) -> dict[str, Any]:
    order, patient = site.rooms.orders.of_case(case), site.rooms.orders.patient_of(case, now)
    me = None if holder.is_anybody else PersonId(holder.who)
    return {
        "protocol": protocol_view(site, case, eyes, now, patient),
        "questions": questions_of(events, eyes),
        "deviations": deviations_of(events, case, eyes),
        "patient": patient_view(order, patient, eyes),
        "may_choose_protocol": May.READ in holder.may and awaits_protocol(case, me),
    }


def _is_reading(case: Case, holder: Holder) -> bool:
    me = None if holder.is_anybody else PersonId(holder.who)
    return May.READ in holder.may and (is_read(case, me) or is_laid_aside(case, me))


# Why


def reasons_of(case: Case, events: Sequence[Event], eyes: Eyes) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Return each assignment, the newest first: when, to whom, cause and reasons; none where a person took it."""
    found = []
    for event, decision in case_view.decisions(events):
        cause = str(event.fact.payload.get("reason") or "")
        lines: tuple[str, ...] = ()
        if decision is not None:
            lines = _coded(why(decision, eyes.directory, Language(eyes.language)), case)
        elif cause == SILENCE:
            lines = (eyes.say("why.ladder"),)
        found.append(
            (
                eyes.clock(event.fact.occurred_at, seconds=True),
                eyes.name(str(event.fact.payload["person_id"])),
                eyes.say("why.silence") if cause == SILENCE else reason_words(cause, eyes.language),
                lines,
            )
        )
    return found


def _coded(lines: Sequence[str], case: Case) -> tuple[str, ...]:
    # People know the case by its code.
    return tuple(line.replace(case.case_id, case_code(case.case_id), 1) for line in lines)


def _asked(
    site: Site, request: Request, case: Case, events: Sequence[Event], eyes: Eyes
) -> tuple[str, tuple[str, ...]] | None:
    person_id = PersonId(request.query_params.get("not", ""))
    if person_id not in eyes.directory.persons:
        return None
    return person_id, not_chosen(site, person_id, events, eyes)


def not_chosen(site: Site, person_id: PersonId, events: Sequence[Event], eyes: Eyes) -> tuple[str, ...]:
    """Return why the newest decision did not choose somebody; empty when there is no decision yet."""
    newest = next((one for _, one in case_view.decisions(events) if one is not None), None)
    if newest is None:
        return (eyes.say("why.none"),)
    found = why_not(newest, person_id, eyes.directory, Language(eyes.language))
    if found:
        return found
    at = datetime.fromtimestamp(newest.at_s, eyes.zone)
    rules = site.desk.in_force()
    lines = [rules.lines[one.line_id].name for one in rules.timeline.on_duty(at) if one.person_id == person_id]
    duty = eyes.say("why.on_duty") + ", ".join(lines) if lines else eyes.say("why.off_duty")
    return (f"{eyes.name(person_id)}{eyes.say('colon')}{eyes.say('why.not_seen')} {duty}",)


def _supposed(site: Site, case: Case, eyes: Eyes) -> tuple[str, ...]:
    if not case.is_ready or case.reading.state is not ReadingState.QUEUED:
        return ()
    decision = site.desk.would_be(case.case_id)
    return () if decision is None else _coded(why(decision, eyes.directory, Language(eyes.language)), case)


def _forecast(site: Site, case: Case, eyes: Eyes) -> tuple[str, ...]:
    return why_forecast(site.desk.forecast(), eyes.directory, Language(eyes.language)) if case.is_ready else ()


# Matching


def matches_of(site: Site, case: Case, holder: Holder) -> Sequence[Match]:
    """Return what this case may belong together with, best first, as far as it concerns the holder."""
    found = site.desk.ask(lambda engine, now: engine.match_candidates(case.case_id, now))
    return [one for one in found if holder.may_see(site.desk.case(one.case_id).site_id)]


CASE_PAGES: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/case/{case_id}", ("GET",), May.WATCH, show_case),
    ("/oncall/case/{case_id}/{action}", ("POST",), May.WATCH, act),
)
"""Address, methods, what a token must be good for, and who answers."""
