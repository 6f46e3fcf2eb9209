"""The page where a radiologist chooses the protocol of a case: what suits first, with what speaks against it.

For: showing the library beside what is known of the patient, and sending. Not for: what needs a signature
(`oncall.protocol.cautions`), or what the console shows (`console_page`).

Invariants: looking changes nothing; a form that was refused comes back with what was typed and the error beside its
field; what is sent is what was shown: the protocol's version is named in the form, and a newer one is shown first.
"""

from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from foundation.errors import Refused
from oncall.case.state import Case, fold
from oncall.language import Language
from oncall.notify import case_code
from oncall.protocol import wording
from oncall.protocol.documents import protocol_to_json
from oncall.protocol.model import Protocol
from territory.oncall_web import priors_section
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import readers_of
from territory.oncall_web.actions import perform
from territory.oncall_web.app import Forbidden, Handler, Site
from territory.oncall_web.case_page import address, eyes_of, log_of
from territory.oncall_web.doings import FieldsWrong
from territory.oncall_web.protocol_view import caution_words, patient_view, phases_of, protocol_view
from territory.oncall_web.refusals import words_of
from territory.oncall_web.texts import language_of

FREE: Final = "free"
"""How an address names writing without the library."""


def choose(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the protocols for a case and the one that is looked at."""
    del sent
    return _page(site, request, holder, {}, {}, "")


def send(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Send what was chosen and written, and go on to the case."""
    case = fold(log_of(site, request, holder))
    given = dict(sent)
    shown = str(given.pop("library_version", ""))
    try:
        if given.get("protocol_id"):
            _refuse_changed(_found(site, request, str(given["protocol_id"])), shown)
        perform(site, case, "protocol-sent", holder, given, channel="web")
    except Forbidden:
        raise
    except FieldsWrong as wrong:
        return _page(site, request, holder, sent, wrong.errors, "")
    except Refused as refusal:
        return _page(site, request, holder, sent, {}, words_of(refusal, language_of(_languages(request))))
    return RedirectResponse(f"{address(case.case_id)}?done=protocol-sent", status_code=HTTPStatus.SEE_OTHER)


def library(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the protocols in force for programs, those that suit the case first."""
    del sent
    case = fold(log_of(site, request, holder))
    language = Language(language_of(_languages(request)))
    patient = site.rooms.orders.patient_of(case, site.desk.now())
    found = [
        {
            **protocol_to_json(one),
            "cautions": [caution.value for caution in site.rooms.protocols.cautions(one, patient)],
        }
        for one in site.rooms.protocols.offered(case, language)
    ]
    return JSONResponse({"protocols": found})


def _page(
    site: Site, request: Request, holder: Holder, given: dict[str, Any], errors: dict[str, str], refusal: str
) -> Response:
    events = log_of(site, request, holder)
    case, now = fold(events), site.desk.now()
    eyes = eyes_of(site, request, holder, case)
    offered = site.rooms.protocols.offered(case, Language(eyes.language))
    wanted = str(given.get("protocol_id") or request.query_params.get("p", ""))
    is_free = wanted == FREE or (bool(given) and not given.get("protocol_id"))
    chosen = None if is_free else next((one for one in offered if one.protocol_id == wanted), offered[0])
    order = site.rooms.orders.of_case(case)
    patient = site.rooms.orders.patient_of(case, now)
    cautions = caution_words(site.rooms.protocols.cautions(chosen, patient), eyes)
    hospital = eyes.directory.sites.get(case.site_id)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.CONFLICT if refusal else HTTPStatus.OK
    return site.page(
        request,
        "protocol.html",
        status,
        case=case,
        code=case_code(case.case_id),
        hospital=case.site_id if hospital is None else hospital.name,
        here=f"{address(case.case_id)}/protocol",
        back=address(case.case_id),
        priors=priors_section.view(case, eyes),
        name_of=eyes.name,
        offered=offered,
        suited=[one for one in offered if _suits(one, case)],
        chosen=chosen,
        phases=() if chosen is None else phases_of(chosen),
        contrast=""
        if chosen is None or chosen.contrast is None
        else wording.contrast_line(chosen.contrast, chosen.language),
        cautions=cautions,
        is_signature_needed=any(is_grave for _, is_grave in cautions),
        patient=patient_view(order, patient, eyes),
        known=protocol_view(site, case, eyes, now, patient),
        readers=readers_of(eyes.directory, case) if holder.is_anybody else (),
        given=given,
        errors=errors,
        refusal=refusal,
        now=now.astimezone(eyes.zone),
    )


def _suits(protocol: Protocol, case: Case) -> bool:
    is_of_modality = case.request.modality in {"", protocol.modality}
    return is_of_modality and (not protocol.exams or case.exam in protocol.exams)


def _found(site: Site, request: Request, protocol_id: str) -> Protocol | None:
    return site.rooms.protocols.find(protocol_id, Language(language_of(_languages(request))))


def _refuse_changed(found: Protocol | None, shown: str) -> None:
    if found is not None and shown and found.version != shown:
        raise Refused(f"the library has version {found.version} of this protocol now: read it again and send it")


def _languages(request: Request) -> str:
    return request.headers.get("accept-language", "")


PROTOCOL_PAGES: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/case/{case_id}/protocol", ("GET",), May.READ, choose),
    ("/oncall/case/{case_id}/protocol", ("POST",), May.READ, send),
)
"""Address, methods, what a token must be good for, and who answers."""

PROTOCOL_API: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/api/cases/{case_id}/protocols", ("GET",), May.READ, library),
)
"""The same for programs."""
