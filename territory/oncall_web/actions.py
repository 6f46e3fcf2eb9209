"""What may be done to a case from a page or by a program: one table for both, with who may, what is asked, and when.

For: checking fields, asking the desk. Not for: deciding whether the state of the case allows it (`oncall.case`); the
table says only when a button is shown.

Invariants: a reader acts as the person that their token names, and only on a reading that they hold; on an open
loopback node, where nobody is known, the person is chosen. Nothing is done to a case of a hospital that does not
concern the holder, nor with one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from foundation.errors import PeerError
from oncall.case.regions import CriticalState, IdentityState
from oncall.case.state import Case
from oncall.critical.calls import CallOutcome
from oncall.directory import PersonId
from oncall.second_reading.score import BodyRegion, CorrectionBy, DiscrepancyKind, Score
from territory.oncall_web import doings, priors_section
from territory.oncall_web import doings_protocol as protocols
from territory.oncall_web import second_reading_doings as second
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import Field, check_fields, fixed, studies_by_name
from territory.oncall_web.app import Forbidden, Site
from territory.oncall_web.doings import Call, FieldsWrong
from territory.oncall_web.offers import (
    awaits_clinician,
    awaits_completeness,
    awaits_first_word,
    awaits_images,
    awaits_radiographer,
    criticals,
    has_critical,
    is_laid_aside,
    is_open,
    is_read,
    is_unread,
    may_decline,
    may_open,
    may_take,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """Something that may be done: by whom, in which section of the page, what it asks, and when its button is shown."""

    name: str
    section: str
    may: frozenset[May]
    do: Callable[[Call], Case]
    is_offered: Callable[[Case, PersonId | None], bool]
    fields: tuple[Field, ...] = ()
    is_grave: bool = False


def perform(site: Site, case: Case, name: str, holder: Holder, sent: Mapping[str, Any], *, channel: str) -> Case:
    """Check and do an action; returns the case after it. `channel` is ``web`` or ``api``.

    Raises
    ------
    Forbidden
        If the holder's token is not for it, or not for this hospital.
    FieldsWrong
        If a field is wrong.
    foundation.errors.Refused
        If the state of the case does not allow it.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise PeerError(f"an action is one of {', '.join(sorted(ACTIONS))}")
    if not may_do(action, holder):
        raise Forbidden(f"this token is not for: {' or '.join(sorted(action.may))}", is_known=True)
    if not holder.may_see(case.site_id):
        raise Forbidden("this token is not for this hospital", is_known=True)
    directory = site.desk.in_force().directory
    values, errors = check_fields(asked_of(action, holder), sent, case, directory)
    if errors:
        raise FieldsWrong(errors)
    person_id = PersonId(values.get("person_id") or holder.who)
    return action.do(
        Call(site=site, case_id=case.case_id, holder=holder, person_id=person_id, values=values, channel=channel)
    )


def may_do(action: Action, holder: Holder) -> bool:
    """Say whether a token is good for an action."""
    return bool(action.may & holder.may)


def asked_of(action: Action, holder: Holder) -> tuple[Field, ...]:
    """Return what an action asks of a holder: who they are, too, where nobody is known."""
    if holder.is_anybody and action.section == "reader":
        return (Field(name="person_id", kind="person", is_required=False), *action.fields)
    return action.fields


# The table

_REASON: Final = Field(name="reason", kind="text")
_CLINICIAN: Final = Field(name="clinician")
_VERSION: Final = Field(name="version", kind="number", is_on_page=False)
_LOCK: Final = Field(name="transaction_uid", kind="uid", is_required=False, is_on_page=False)
_METHOD: Final = Field(name="method", kind="choice", choices=fixed("phone", "in_person", "secure_message"))
_PATIENT: Final = Field(name="patient_id")
_READ, _REQUEST, _COORDINATE = frozenset({May.READ}), frozenset({May.REQUEST}), frozenset({May.COORDINATE})
_CONSOLE = _REQUEST | frozenset({May.PERFORM})
_RADIOGRAPHER: Final = Field(name="radiographer")
_TOLD, _UNTOLD, _TAKEN = CriticalState.COMMUNICATED, CriticalState.DECLARED, CriticalState.ACKNOWLEDGED


def _critical(*states: CriticalState) -> Field:
    return Field(name="critical_id", kind="choice", choices=criticals(*states))


def _reader(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field, grave: bool = False) -> Action:
    return Action(name=name, section="reader", may=_READ, do=do, is_offered=is_offered, fields=fields, is_grave=grave)


def _hospital(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field, grave: bool = False) -> Action:
    return Action(
        name=name, section="hospital", may=_REQUEST, do=do, is_offered=is_offered, fields=fields, is_grave=grave
    )


def _console(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field) -> Action:
    return Action(name=name, section="hospital", may=_CONSOLE, do=do, is_offered=is_offered, fields=fields)


def _coordinator(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field) -> Action:
    return Action(name=name, section="coordination", may=_COORDINATE, do=do, is_offered=is_offered, fields=fields)


_LIST: Final = (
    _reader("acknowledge", doings.acknowledge, may_take),
    _reader("claim", doings.claim, may_open, Field(name="transaction_uid", kind="uid", is_on_page=False)),
    _reader("resume", doings.resume, is_laid_aside, _LOCK),
    _reader("first-finding", doings.first_finding, awaits_first_word, Field(name="recipient"), _METHOD),
    _reader("decline", doings.decline, may_decline, _REASON),
    _reader("park", doings.park, is_read, _REASON, _LOCK),
    _reader("release", doings.release, lambda case, me: is_read(case, me) or is_laid_aside(case, me), _REASON, _LOCK),
    _reader(
        "call-critical",
        doings.call_critical,
        has_critical(_UNTOLD, _TOLD),
        _critical(_UNTOLD, _TOLD),
        Field(name="called_person_id", kind="called"),
        Field(name="outcome", kind="choice", choices=fixed(*(one.value for one in CallOutcome))),
    ),
    _reader(
        "communicate-critical",
        doings.communicate_critical,
        has_critical(_UNTOLD),
        _critical(_UNTOLD),
        Field(name="recipient"),
        _METHOD,
        Field(name="read_back", kind="text"),
    ),
    _reader(
        "declare-critical",
        doings.declare_critical,
        lambda case, me: case.images.first_at is not None or case.images.complete_at is not None,
        Field(name="category", kind="choice", choices=fixed("1", "2", "3")),
        Field(name="finding", kind="text"),
        Field(name="critical_id", is_required=False, is_on_page=False),
        grave=True,
    ),
    _reader(
        "protocol-sent",
        protocols.send_protocol,
        protocols.never_on_the_page,
        Field(name="protocol_id", is_required=False),
        Field(name="language", is_required=False, is_on_page=False),
        Field(name="text", kind="text", is_required=False, characters_max=protocols.WORDS_CHARACTERS_MAX),
        Field(name="protocol_reason", kind="text", is_required=False),
        Field(name="signature_reason", kind="text", is_required=False),
        Field(name="signature_clinician", is_required=False),
    ),
    _reader(
        "prior-avoided",
        priors_section.avoid,
        priors_section.has_equivalent,
        Field(name="prior", kind="choice", choices=priors_section.found),
        _REASON,
        grave=True,
    ),
    _reader(
        "prior-confirmed",
        priors_section.confirm,
        priors_section.awaits_word,
        Field(name="prior", kind="choice", choices=priors_section.found),
        Field(name="reason", kind="text", is_required=False),
    ),
    _reader("protocol-answer", protocols.answer, protocols.has_question, Field(name="answer", kind="text")),
    Action(
        name="triage",
        section="reader",
        may=_READ | _COORDINATE,
        do=doings.triage,
        is_offered=is_unread,
        fields=(Field(name="urgency", kind="choice", choices=fixed("1", "2", "3")), _REASON),
    ),
    _console(
        "images-complete",
        doings.images_complete,
        awaits_completeness,
        Field(name="count", kind="number", is_required=False),
        Field(name="is_insisted", kind="flag", is_required=False),
    ),
    _console("protocol-acknowledged", doings.acknowledge_protocol, awaits_radiographer, _RADIOGRAPHER, _VERSION),
    _console("protocol-question", protocols.ask, protocols.may_ask, Field(name="question", kind="text"), _RADIOGRAPHER),
    Action(
        name="justify-deviation",
        section="hospital",
        may=_CONSOLE | _READ,
        do=protocols.justify,
        is_offered=protocols.has_deviation,
        fields=(
            Field(name="deviation_id", kind="choice", choices=protocols.open_deviations),
            _REASON,
            Field(name="radiographer", is_required=False),
        ),
    ),
    _hospital("report-acknowledged", doings.acknowledge_report, awaits_clinician, _CLINICIAN, _VERSION),
    _hospital("report-accessed", doings.access_report, awaits_clinician, _CLINICIAN, _VERSION),
    _hospital(
        "acknowledge-critical",
        doings.acknowledge_critical,
        has_critical(_UNTOLD, _TOLD),
        _critical(_UNTOLD, _TOLD),
        _CLINICIAN,
    ),
    _hospital("close-critical", doings.close_critical, has_critical(_TAKEN), _critical(_TAKEN), _CLINICIAN),
    _hospital("withdraw", doings.withdraw, is_unread, _REASON, grave=True),
    _coordinator("settle-identity", doings.settle_identity, is_open, _PATIENT, _REASON),
    _coordinator(
        "qualify-identity",
        doings.qualify_identity,
        lambda case, me: case.is_open and case.identity.state is not IdentityState.BLOCKED,
        _PATIENT,
        Field(name="method", kind="choice", choices=fixed("ins", "identity_document", "hospital_check")),
    ),
    _coordinator(
        "join-request",
        doings.join_request,
        lambda case, me: case.is_open and bool(case.images.studies),
        Field(name="request_case_id", kind="case"),
        _REASON,
    ),
    _coordinator(
        "join-study",
        doings.join_study,
        awaits_images,
        Field(name="study_case_id", kind="case"),
        _REASON,
    ),
    _coordinator("link-study", doings.link_study, awaits_images, Field(name="study", kind="unclaimed"), _REASON),
    _coordinator(
        "part-request",
        doings.part_request,
        lambda case, me: case.is_open and bool(case.request.matched_from),
        Field(name="request_case_id", kind="case"),
        _REASON,
    ),
    _coordinator(
        "move-study",
        doings.move_study,
        lambda case, me: bool(case.images.studies) and case.report.signed_at is None,
        Field(name="study", kind="choice", choices=lambda case: tuple(studies_by_name(case))),
        Field(name="to_case_id", kind="case"),
        _REASON,
        Field(name="is_patient_settled", kind="flag", is_required=False),
    ),
    _coordinator("close", doings.close_case, is_open, _REASON),
)

_SECOND: Final = (
    _reader(
        "blind-findings",
        second.record_blind_findings,
        second.awaits_blind_findings,
        Field(name="finding", kind="text", characters_max=second.FINDINGS_CHARACTERS_MAX),
    ),
    _reader(
        "second-reading",
        second.record_second_reading,
        second.awaits_second_reading,
        Field(name="score", kind="choice", choices=fixed(*(one.value for one in Score))),
        Field(name="discrepancy_kind", kind="choice", choices=fixed(*(one.value for one in DiscrepancyKind)),
              is_required=False),
        Field(name="body_region", kind="choice", choices=fixed(*(one.value for one in BodyRegion)), is_required=False),
        Field(name="note", kind="text", is_required=False),
        Field(name="category", kind="choice", choices=fixed("1", "2", "3"), is_required=False),
        Field(name="correction_by", kind="choice", choices=fixed(*(one.value for one in CorrectionBy)),
              is_required=False),
    ),
    _reader(
        "communicate-discrepancy",
        second.communicate_discrepancy,
        second.awaits_telling,
        Field(name="recipient"),
        _METHOD,
        Field(name="read_back", kind="text"),
    ),
    _hospital("acknowledge-discrepancy", second.acknowledge_discrepancy, second.awaits_telling, _CLINICIAN),
    Action(
        name="require-second-reading",
        section="coordination",
        may=_READ | _COORDINATE,
        do=second.require_second_reading,
        is_offered=second.may_be_read_again,
    ),
    _coordinator(
        "assign-second-reading",
        second.assign_second_reading,
        second.is_pending,
        Field(name="reader_id", kind="person"),
    ),
    _coordinator(
        "close-learning",
        second.close_learning,
        second.awaits_lesson,
        Field(name="discrepancy_kind", kind="choice", choices=fixed(*(one.value for one in DiscrepancyKind))),
        Field(name="lesson", kind="text", is_required=False),
        Field(name="reason", kind="text", is_required=False),
    ),
)  # fmt: skip

ACTIONS: Final[Mapping[str, Action]] = {action.name: action for action in (*_LIST, *_SECOND)}
"""By name, in the order in which the page offers them."""
