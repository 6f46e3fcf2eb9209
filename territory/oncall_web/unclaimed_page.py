"""Studies that no case has, as a page and for programs: what they are, why, and opening a case for one.

Not for: linking one to a case that waits (an action of that case's page). Invariant: the case that is opened has the
study's own patient and accession number, and the hour runs from when its images came; nobody types them anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from oncall.case.state import Case
from oncall.case.unclaimed import UnclaimedStudy
from oncall.reading.board import ExamKind, Urgency
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import study_name
from territory.oncall_web.api import as_json, wrong_fields
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import address
from territory.oncall_web.doings import FieldsWrong
from territory.oncall_web.form import MODALITIES, check_request

_ASKED: Final = ("study", "exam", "urgency", "modality", "requester", "onset_at")
_REASONS: Final = {
    "no rule makes it an emergency": "unclaimed.reason.no_rule",
    "no single site has its AE title or issuer": "unclaimed.reason.no_site",
}


def page(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the studies without a case that concern the holder, or open a case for one."""
    errors: Mapping[str, str] = {}
    if request.method == "POST":
        try:
            case = _open(site, holder, sent)
        except FieldsWrong as wrong:
            errors = wrong.errors
        else:
            return RedirectResponse(address(case.case_id), status_code=HTTPStatus.SEE_OTHER)
    directory = site.desk.in_force().directory
    rows = []
    for one in site.desk.unclaimed(holder.may_see):
        hospital = None if one.site_id is None else directory.sites.get(one.site_id)
        zone = ZoneInfo("UTC" if hospital is None else hospital.time_zone)
        rows.append(
            {
                "study": study_name(one.study),
                "site": one.calling_aet if hospital is None else hospital.name,
                "is_of_a_site": hospital is not None,
                "modality": _modality(one),
                "modalities": ", ".join(sorted(one.modalities)),
                "exam": "" if one.exam is None else one.exam.value,
                "received": one.received,
                "from": one.first_at.astimezone(zone).strftime("%H:%M"),
                "to": one.last_at.astimezone(zone).strftime("%H:%M %Z"),
                "reason": _REASONS.get(one.reason, ""),
                "word": one.reason,
                "is_in_two_patients": one.is_in_two_patients,
            }
        )
    return site.page(
        request,
        "unclaimed.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        rows=rows,
        errors=errors,
        given=sent,
        may_open=May.REQUEST in holder.may,
        exams=list(ExamKind),
        urgencies=list(Urgency),
        choices=MODALITIES,
    )


def listed(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the studies without a case that concern the holder, newest first."""
    del request, sent
    found = [_as_json(one) for one in site.desk.unclaimed(holder.may_see)]
    return JSONResponse({"now": site.desk.now().isoformat(), "studies": found})


def opened(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Open a case for a study that none has."""
    del request
    try:
        case = _open(site, holder, sent)
    except FieldsWrong as wrong:
        return wrong_fields(wrong.errors)
    return JSONResponse(as_json(case, site.desk.now()), status_code=HTTPStatus.CREATED)


def _open(site: Site, holder: Holder, sent: Mapping[str, Any]) -> Case:
    studies: Sequence[UnclaimedStudy] = site.desk.unclaimed(holder.may_see)
    found = next((one for one in studies if study_name(one.study) == str(sent.get("study") or "")), None)
    errors = {name: "unknown_field" for name in sent if name not in _ASKED}
    if found is None or found.site_id is None:
        raise FieldsWrong({**errors, "study": "unknown_study" if sent.get("study") else "missing"})
    rules = site.desk.in_force()
    asked = {name: sent.get(name) for name in _ASKED if name != "study"}
    checked = check_request(
        {**asked, "site_id": found.site_id, "modality": asked["modality"] or _modality(found)},
        rules.directory,
        site.desk.now(),
        policy=rules.reading,
        key_of=lambda issuer, patient_id: found.patient_key,
        may_ask_for=holder.may_see,
    )
    if checked.request is None or errors:
        raise FieldsWrong({**errors, **checked.errors})
    request = replace(checked.request, accession_number=found.accession_number)
    actor = holder.actor()
    return site.desk.ask(lambda engine, now: engine.open_for_study(found.study, request, now, actor=actor))


def _modality(study: UnclaimedStudy) -> str:
    return next((one for one in MODALITIES if one in study.modalities), "")


def _as_json(study: UnclaimedStudy) -> dict[str, Any]:
    return {
        "study": study_name(study.study),
        "issuer": study.study.issuer,
        "study_instance_uid": study.study.study_instance_uid,
        "site": study.site_id,
        "calling_aet": study.calling_aet,
        "modalities": sorted(study.modalities),
        "exam": None if study.exam is None else study.exam.value,
        "received": study.received,
        "first_at": study.first_at.isoformat(),
        "last_at": study.last_at.isoformat(),
        "reason": study.reason,
        "is_in_two_patients": study.is_in_two_patients,
    }


UNCLAIMED: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/unclaimed", ("GET",), May.WATCH, page),
    ("/oncall/unclaimed", ("POST",), May.REQUEST, page),
)
"""Pages: address, methods, what a token must be good for, and who answers."""

UNCLAIMED_API: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/api/unclaimed", ("GET",), May.WATCH, listed),
    ("/oncall/api/unclaimed", ("POST",), May.REQUEST, opened),
)
