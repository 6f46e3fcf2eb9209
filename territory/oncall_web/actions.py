"""What may be done to a case from a page or by a program: one table for both, with who may, what is asked, and when.

For: checking fields, asking the desk. Not for: deciding whether the state of the case allows it (`oncall.case`); the
table says only when a button is shown.

Invariants: a reader acts as the person that their token names, and only on a reading that they hold; on an open
loopback node, where nobody is known, the person is chosen. Nothing is done to a case of a hospital that does not
concern the holder, nor with one.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from foundation.errors import PeerError, Refused
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts
from oncall.case.commands_report import CRITICAL_DUE_S
from oncall.case.event import CaseId
from oncall.case.regions import CriticalState, IdentityState
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.engine.engine import Command
from oncall.reading.board import Urgency
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import Field, check_fields, fixed, is_set, studies_by_name, study_name
from territory.oncall_web.app import Forbidden, Site, new_id
from territory.oncall_web.offers import (
    awaits_clinician,
    awaits_first_word,
    awaits_images,
    awaits_protocol,
    awaits_radiographer,
    criticals,
    has_critical,
    is_laid_aside,
    is_open,
    is_read,
    is_unread,
    may_decline,
    may_open,
    may_sign,
    may_take,
)
from territory.patient_keys import patient_key


class FieldsWrong(PeerError):
    """What was sent is not what the action asks; ``errors`` are the keys of texts by field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(f"wrong or missing: {', '.join(sorted(errors))}")
        self.errors = dict(errors)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One action that somebody asks of a case, with its checked fields; ``person_id`` is who acts."""

    site: Site
    case_id: CaseId
    holder: Holder
    person_id: PersonId
    values: Mapping[str, str]
    channel: str

    def execute(self, command: Command) -> Case:
        """Do a command of `oncall.case` as the holder."""
        return self.site.desk.execute(self.case_id, command, self.holder.actor())

    def key(self, case: Case) -> str:
        """Return the opaque key of the Patient ID that was given, within the case's hospital."""
        issuer = self.site.desk.in_force().directory.sites[case.site_id].issuer
        return patient_key(self.site.secret, issuer, self.values["patient_id"])

    def lock(self, case: Case) -> str:
        """Return the Transaction UID of the reading that the person holds: what was sent, or their own.

        Raises
        ------
        Refused
            If somebody else holds it, or nobody does.
        """
        if case.reading.claimed_by != self.person_id:
            raise Refused("only the reader who has opened the case does this; open it first")
        return self.values.get("transaction_uid") or case.reading.transaction_uid

    def other(self, name: str) -> CaseId:
        """Return the other case that a field names, if it concerns the holder.

        Raises
        ------
        FieldsWrong
            If there is none; one of another hospital is not told from one that is not there.
        """
        try:
            found = self.site.desk.case(CaseId(self.values[name]))
        except Refused:
            raise FieldsWrong({name: "unknown_case"}) from None
        if not self.holder.may_see(found.site_id) or found.case_id == self.case_id:
            raise FieldsWrong({name: "unknown_case"})
        return found.case_id


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


def new_uid() -> str:
    """Return a new DICOM UID made of a UUID (PS3.5 B.2): the lock of a reading."""
    return f"2.25.{uuid.uuid4().int}"


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
    values, errors = check_fields(asked_of(action, holder), sent, case, directory, is_program=channel == "api")
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


# Readers


def _acknowledge(call: Call) -> Case:
    return call.site.desk.ask(
        lambda engine, now: engine.acknowledge(call.case_id, call.person_id, now, channel=call.channel)
    )


def _decline(call: Call) -> Case:
    reason = call.values["reason"]
    return call.site.desk.ask(lambda engine, now: engine.decline(call.case_id, call.person_id, now, reason=reason))


def _claim(call: Call) -> Case:
    uid = call.values["transaction_uid"]
    return call.site.desk.ask(lambda engine, now: engine.claim(call.case_id, call.person_id, now, transaction_uid=uid))


def _park(call: Call) -> Case:
    def command(case: Case, context: Context) -> Facts:
        return commands.park(case, context, transaction_uid=call.lock(case), reason=call.values["reason"])

    return call.execute(command)


def _resume(call: Call) -> Case:
    return call.execute(lambda case, context: commands.resume(case, context, transaction_uid=call.lock(case)))


def _release(call: Call) -> Case:
    def command(case: Case, context: Context) -> Facts:
        return commands.release(case, context, transaction_uid=call.lock(case), reason=call.values["reason"])

    return call.execute(command)


def _send_protocol(call: Call) -> Case:
    values = call.values
    return call.execute(
        lambda case, context: commands.send_protocol(
            case, context, author=call.person_id, protocol_id=values["protocol_id"], text=values["text"] or None
        )
    )


def _first_finding(call: Call) -> Case:
    values = call.values
    return call.execute(
        lambda case, context: commands_report.communicate_finding(
            case, context, method=values["method"], recipient=values["recipient"]
        )
    )


def _sign(call: Call) -> Case:
    desk = call.site.desk
    uid = call.values["transaction_uid"] or call.lock(desk.case(call.case_id))
    content_hash = call.values["content_sha256"]
    return desk.ask(
        lambda engine, now: engine.sign(
            call.case_id, call.person_id, now, transaction_uid=uid, content_hash=content_hash
        )
    )


def _triage(call: Call) -> Case:
    urgency, reason = Urgency(int(call.values["urgency"])), call.values["reason"]
    return call.execute(lambda case, context: commands.triage(case, context, urgency=urgency, reason=reason))


def _declare_critical(call: Call) -> Case:
    values = call.values
    category = int(values["category"])
    critical_id = values["critical_id"] or new_id("critical")
    return call.execute(
        lambda case, context: commands_report.declare_critical(
            case,
            context,
            critical_id=critical_id,
            category=category,
            finding=values["finding"],
            radiologist=call.person_id,
            due_at=context.at + timedelta(seconds=CRITICAL_DUE_S[category]),
        )
    )


def _communicate_critical(call: Call) -> Case:
    values = call.values
    return call.execute(
        lambda case, context: commands_report.communicate_critical(
            case,
            context,
            critical_id=values["critical_id"],
            recipient=values["recipient"],
            method=values["method"],
            read_back=values["read_back"],
        )
    )


# The hospital


def _images_complete(call: Call) -> Case:
    return call.site.desk.ask(lambda engine, now: engine.complete_images(call.case_id, now, rule="button"))


def _acknowledge_protocol(call: Call) -> Case:
    version, radiographer = int(call.values["version"]), call.values["radiographer"]
    return call.execute(
        lambda case, context: commands.acknowledge_protocol(case, context, version=version, radiographer=radiographer)
    )


def _access_report(call: Call) -> Case:
    version, clinician = int(call.values["version"]), PersonId(call.values["clinician"])
    return call.execute(lambda case, context: commands_report.record_access(case, clinician, context, version=version))


def _acknowledge_report(call: Call) -> Case:
    version, clinician = int(call.values["version"]), call.values["clinician"]
    return call.execute(
        lambda case, context: commands_report.acknowledge_report(case, clinician, context, version=version)
    )


def _acknowledge_critical(call: Call) -> Case:
    critical_id, clinician = call.values["critical_id"], call.values["clinician"]
    return call.execute(
        lambda case, context: commands_report.acknowledge_critical(
            case, context, critical_id=critical_id, clinician=clinician
        )
    )


def _close_critical(call: Call) -> Case:
    critical_id, clinician = call.values["critical_id"], call.values["clinician"]
    return call.execute(
        lambda case, context: commands_report.close_critical(
            case, context, critical_id=critical_id, clinician=clinician
        )
    )


def _withdraw(call: Call) -> Case:
    return call.execute(lambda case, context: commands.withdraw(case, context, motive=call.values["reason"]))


# Coordination


def _close(call: Call) -> Case:
    return call.execute(lambda case, context: commands.close(case, context, reason=call.values["reason"]))


def _settle_identity(call: Call) -> Case:
    key, reason = call.key(call.site.desk.case(call.case_id)), call.values["reason"]
    actor = call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.settle_identity(call.case_id, key, now, actor=actor, reason=reason)
    )


def _qualify_identity(call: Call) -> Case:
    key, method = call.key(call.site.desk.case(call.case_id)), call.values["method"]
    actor = call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.qualify_identity(call.case_id, key, now, actor=actor, method=method)
    )


def _join_request(call: Call) -> Case:
    other, reason, actor = call.other("request_case_id"), call.values["reason"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.join_request(call.case_id, other, now, actor=actor, reason=reason)
    )


def _join_study(call: Call) -> Case:
    other, reason, actor = call.other("study_case_id"), call.values["reason"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.join_request(other, call.case_id, now, actor=actor, reason=reason)
    )


def _link_study(call: Call) -> Case:
    wanted, reason, actor = call.values["study"], call.values["reason"], call.holder.actor()
    case = call.site.desk.case(call.case_id)
    found = [one for one in call.site.desk.unclaimed(call.holder.may_see) if study_name(one.study) == wanted]
    if not found or found[0].site_id not in (None, case.site_id):
        raise FieldsWrong({"study": "unknown_study"})
    return call.site.desk.ask(
        lambda engine, now: engine.link_study(call.case_id, found[0].study, now, actor=actor, reason=reason)
    )


def _part_request(call: Call) -> Case:
    other, reason, actor = call.other("request_case_id"), call.values["reason"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.part_request(call.case_id, other, now, actor=actor, reason=reason)
    )


def _move_study(call: Call) -> Case:
    values, actor = call.values, call.holder.actor()
    study = studies_by_name(call.site.desk.case(call.case_id)).get(values["study"])
    if study is None:
        raise FieldsWrong({"study": "unknown_choice"})
    to_case_id, is_settled = call.other("to_case_id"), is_set(values["is_patient_settled"])
    return call.site.desk.ask(
        lambda engine, now: engine.move_study(
            call.case_id, study, to_case_id, now, actor=actor, reason=values["reason"], is_patient_settled=is_settled
        )
    )


# The table

_REASON: Final = Field(name="reason", kind="text")
_CLINICIAN: Final = Field(name="clinician")
_VERSION: Final = Field(name="version", kind="number", is_on_page=False)
_LOCK: Final = Field(name="transaction_uid", kind="uid", is_required=False, is_on_page=False)
_METHOD: Final = Field(name="method", kind="choice", choices=fixed("phone", "in_person", "secure_message"))
_PATIENT: Final = Field(name="patient_id")
_READ, _REQUEST, _COORDINATE = frozenset({May.READ}), frozenset({May.REQUEST}), frozenset({May.COORDINATE})
_TOLD, _UNTOLD, _TAKEN = CriticalState.COMMUNICATED, CriticalState.DECLARED, CriticalState.ACKNOWLEDGED


def _critical(*states: CriticalState) -> Field:
    return Field(name="critical_id", kind="choice", choices=criticals(*states))


def _reader(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field, grave: bool = False) -> Action:
    return Action(name=name, section="reader", may=_READ, do=do, is_offered=is_offered, fields=fields, is_grave=grave)


def _hospital(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field, grave: bool = False) -> Action:
    return Action(
        name=name, section="hospital", may=_REQUEST, do=do, is_offered=is_offered, fields=fields, is_grave=grave
    )


def _coordinator(name: str, do: Callable[[Call], Case], is_offered: Any, *fields: Field) -> Action:
    return Action(name=name, section="coordination", may=_COORDINATE, do=do, is_offered=is_offered, fields=fields)


_LIST: Final = (
    _reader("acknowledge", _acknowledge, may_take),
    _reader("claim", _claim, may_open, Field(name="transaction_uid", kind="uid", is_on_page=False)),
    _reader(
        "sign",
        _sign,
        may_sign,
        Field(name="content_sha256", kind="sha256", is_required=False, is_asked_of_programs=True),
        _LOCK,
    ),
    _reader("resume", _resume, is_laid_aside, _LOCK),
    _reader("first-finding", _first_finding, awaits_first_word, Field(name="recipient"), _METHOD),
    _reader("decline", _decline, may_decline, _REASON),
    _reader("park", _park, is_read, _REASON, _LOCK),
    _reader("release", _release, lambda case, me: is_read(case, me) or is_laid_aside(case, me), _REASON, _LOCK),
    _reader(
        "communicate-critical",
        _communicate_critical,
        has_critical(_UNTOLD),
        _critical(_UNTOLD),
        Field(name="recipient"),
        _METHOD,
        Field(name="read_back", kind="text"),
    ),
    _reader(
        "declare-critical",
        _declare_critical,
        lambda case, me: case.images.first_at is not None or case.images.complete_at is not None,
        Field(name="category", kind="choice", choices=fixed("1", "2", "3")),
        Field(name="finding", kind="text"),
        Field(name="critical_id", is_required=False, is_on_page=False),
        grave=True,
    ),
    _reader(
        "protocol-sent",
        _send_protocol,
        awaits_protocol,
        Field(name="protocol_id"),
        Field(name="text", kind="text", is_required=False),
    ),
    Action(
        name="triage",
        section="reader",
        may=_READ | _COORDINATE,
        do=_triage,
        is_offered=is_unread,
        fields=(Field(name="urgency", kind="choice", choices=fixed("1", "2", "3")), _REASON),
    ),
    _hospital("images-complete", _images_complete, awaits_protocol),
    _hospital(
        "protocol-acknowledged", _acknowledge_protocol, awaits_radiographer, Field(name="radiographer"), _VERSION
    ),
    _hospital("report-acknowledged", _acknowledge_report, awaits_clinician, _CLINICIAN, _VERSION),
    _hospital("report-accessed", _access_report, awaits_clinician, _CLINICIAN, _VERSION),
    _hospital(
        "acknowledge-critical",
        _acknowledge_critical,
        has_critical(_UNTOLD, _TOLD),
        _critical(_UNTOLD, _TOLD),
        _CLINICIAN,
    ),
    _hospital("close-critical", _close_critical, has_critical(_TAKEN), _critical(_TAKEN), _CLINICIAN),
    _hospital("withdraw", _withdraw, is_unread, _REASON, grave=True),
    _coordinator("settle-identity", _settle_identity, is_open, _PATIENT, _REASON),
    _coordinator(
        "qualify-identity",
        _qualify_identity,
        lambda case, me: case.is_open and case.identity.state is not IdentityState.BLOCKED,
        _PATIENT,
        Field(name="method", kind="choice", choices=fixed("ins", "identity_document", "hospital_check")),
    ),
    _coordinator(
        "join-request",
        _join_request,
        lambda case, me: case.is_open and bool(case.images.studies),
        Field(name="request_case_id", kind="case"),
        _REASON,
    ),
    _coordinator(
        "join-study",
        _join_study,
        awaits_images,
        Field(name="study_case_id", kind="case"),
        _REASON,
    ),
    _coordinator("link-study", _link_study, awaits_images, Field(name="study", kind="unclaimed"), _REASON),
    _coordinator(
        "part-request",
        _part_request,
        lambda case, me: case.is_open and bool(case.request.matched_from),
        Field(name="request_case_id", kind="case"),
        _REASON,
    ),
    _coordinator(
        "move-study",
        _move_study,
        lambda case, me: bool(case.images.studies) and case.report.signed_at is None,
        Field(name="study", kind="choice", choices=lambda case: tuple(studies_by_name(case))),
        Field(name="to_case_id", kind="case"),
        _REASON,
        Field(name="is_patient_settled", kind="flag", is_required=False),
    ),
    _coordinator("close", _close, is_open, _REASON),
)

ACTIONS: Final[Mapping[str, Action]] = {action.name: action for action in _LIST}
"""By name, in the order in which the page offers them."""
