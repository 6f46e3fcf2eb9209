"""What each action does, for somebody who may: the engine is asked, and nothing is decided here.

For: `actions`, which says who may do what. Not for: checking fields, or whether a state allows it (`oncall.case`).

Invariants: a reader acts on a reading that they hold; another case is one that concerns the holder.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from foundation.errors import PeerError, Refused
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.critical.calls import CallOutcome
from oncall.directory import PersonId
from oncall.engine.engine import Command, Engine
from oncall.reading.board import Urgency
from territory.oncall_web.access import Holder
from territory.oncall_web.action_fields import is_set, studies_by_name, study_name
from territory.oncall_web.app import Site, new_id
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


def new_uid() -> str:
    """Return a new DICOM UID made of a UUID (PS3.5 B.2): the lock of a reading."""
    return f"2.25.{uuid.uuid4().int}"


# Readers


def acknowledge(call: Call) -> Case:
    """Say yes to a case."""
    return call.site.desk.ask(
        lambda engine, now: engine.acknowledge(call.case_id, call.person_id, now, channel=call.channel)
    )


def decline(call: Call) -> Case:
    """Say no to a case."""
    reason = call.values["reason"]
    return call.site.desk.ask(lambda engine, now: engine.decline(call.case_id, call.person_id, now, reason=reason))


def claim(call: Call) -> Case:
    """Open a case and lock it."""
    uid = call.values["transaction_uid"]
    return call.site.desk.ask(lambda engine, now: engine.claim(call.case_id, call.person_id, now, transaction_uid=uid))


def park(call: Call) -> Case:
    """Lay the reading aside."""

    def command(case: Case, context: Context) -> Facts:
        return commands.park(case, context, transaction_uid=call.lock(case), reason=call.values["reason"])

    return call.execute(command)


def resume(call: Call) -> Case:
    """Go on with the reading."""
    return call.execute(lambda case, context: commands.resume(case, context, transaction_uid=call.lock(case)))


def release(call: Call) -> Case:
    """Give the case back."""

    def command(case: Case, context: Context) -> Facts:
        return commands.release(case, context, transaction_uid=call.lock(case), reason=call.values["reason"])

    return call.execute(command)


def first_finding(call: Call) -> Case:
    """Record that the first finding was told."""
    values = call.values
    return call.execute(
        lambda case, context: commands_report.communicate_finding(
            case, context, method=values["method"], recipient=values["recipient"]
        )
    )


def triage(call: Call) -> Case:
    """Grade the case up or down."""
    urgency, reason = Urgency(int(call.values["urgency"])), call.values["reason"]
    return call.execute(lambda case, context: commands.triage(case, context, urgency=urgency, reason=reason))


def declare_critical(call: Call) -> Case:
    """Declare a critical finding; it is due by its category."""
    values, actor = call.values, call.holder.actor()
    critical_id = values["critical_id"] or new_id("critical")
    return call.site.desk.ask(
        lambda engine, now: engine.declare_critical(
            call.case_id,
            now,
            actor=actor,
            critical_id=critical_id,
            category=int(values["category"]),
            finding=values["finding"],
            radiologist=call.person_id,
        )
    )


def call_critical(call: Call) -> Case:
    """Record a call to one of the hospital's people about a critical finding."""
    values, actor = call.values, call.holder.actor()
    person_id, outcome = PersonId(values["called_person_id"]), CallOutcome(values["outcome"])
    return call.site.desk.ask(
        lambda engine, now: engine.call_attempt(
            call.case_id, values["critical_id"], person_id, now, actor=actor, outcome=outcome
        )
    )


def communicate_critical(call: Call) -> Case:
    """Record that a critical finding was told and read back."""
    values, actor = call.values, call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.communicate_critical(
            call.case_id,
            values["critical_id"],
            now,
            actor=actor,
            recipient=values["recipient"],
            method=values["method"],
            read_back=values["read_back"],
        )
    )


# The hospital


def images_complete(call: Call) -> Case:
    """Say that every image is there: the hour begins with the last of them, if nothing speaks against it.

    Of a case of which nothing comes by this archive it is only the word of whoever says so.
    """
    count = int(call.values["count"]) if call.values["count"] else None
    is_insisted = is_set(call.values["is_insisted"])

    def say(engine: Engine, now: datetime) -> Case:
        known = engine.case(call.case_id)
        if not known.images.received and not known.request.merged_into:
            return engine.complete_images(call.case_id, now, rule="button")
        engine.say_images_complete(call.case_id, count, now, actor=call.holder.actor(), is_insisted=is_insisted)
        return engine.case(call.case_id)

    return call.site.desk.ask(say)


def acknowledge_protocol(call: Call) -> Case:
    """Record that the radiographer has seen the protocol."""
    version, radiographer = int(call.values["version"]), call.values["radiographer"]
    return call.execute(
        lambda case, context: commands.acknowledge_protocol(case, context, version=version, radiographer=radiographer)
    )


def access_report(call: Call) -> Case:
    """Record that a named clinician has opened the report."""
    version, clinician = int(call.values["version"]), PersonId(call.values["clinician"])
    return call.execute(lambda case, context: commands_report.record_access(case, clinician, context, version=version))


def acknowledge_report(call: Call) -> Case:
    """Record that a named clinician has taken note of the report."""
    version, clinician = int(call.values["version"]), call.values["clinician"]
    return call.execute(
        lambda case, context: commands_report.acknowledge_report(case, clinician, context, version=version)
    )


def acknowledge_critical(call: Call) -> Case:
    """Record that a named clinician has taken over a critical finding."""
    values, actor = call.values, call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.acknowledge_critical(
            call.case_id, values["critical_id"], values["clinician"], now, actor=actor
        )
    )


def close_critical(call: Call) -> Case:
    """Close the loop of a critical finding."""
    values, actor = call.values, call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.close_critical(
            call.case_id, values["critical_id"], values["clinician"], now, actor=actor
        )
    )


def withdraw(call: Call) -> Case:
    """Take the request back."""
    return call.execute(lambda case, context: commands.withdraw(case, context, motive=call.values["reason"]))


# Coordination


def close_case(call: Call) -> Case:
    """Close the case, with a reason."""
    return call.execute(lambda case, context: commands.close(case, context, reason=call.values["reason"]))


def settle_identity(call: Call) -> Case:
    """Say whose case it is."""
    key, reason = call.key(call.site.desk.case(call.case_id)), call.values["reason"]
    actor = call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.settle_identity(call.case_id, key, now, actor=actor, reason=reason)
    )


def qualify_identity(call: Call) -> Case:
    """Record that somebody proved whose case it is."""
    key, method = call.key(call.site.desk.case(call.case_id)), call.values["method"]
    actor = call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.qualify_identity(call.case_id, key, now, actor=actor, method=method)
    )


def join_request(call: Call) -> Case:
    """Join a request to this case's study."""
    other, reason, actor = call.other("request_case_id"), call.values["reason"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.join_request(call.case_id, other, now, actor=actor, reason=reason)
    )


def join_study(call: Call) -> Case:
    """Join this request to the case of a study."""
    other, reason, actor = call.other("study_case_id"), call.values["reason"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.join_request(other, call.case_id, now, actor=actor, reason=reason)
    )


def link_study(call: Call) -> Case:
    """Give a study that no case has to this case."""
    wanted, reason, actor = call.values["study"], call.values["reason"], call.holder.actor()
    case = call.site.desk.case(call.case_id)
    found = [one for one in call.site.desk.unclaimed(call.holder.may_see) if study_name(one.study) == wanted]
    if not found or found[0].site_id not in (None, case.site_id):
        raise FieldsWrong({"study": "unknown_study"})
    return call.site.desk.ask(
        lambda engine, now: engine.link_study(call.case_id, found[0].study, now, actor=actor, reason=reason)
    )


def part_request(call: Call) -> Case:
    """Part a request from this case's study."""
    other, reason, actor = call.other("request_case_id"), call.values["reason"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.part_request(call.case_id, other, now, actor=actor, reason=reason)
    )


def move_study(call: Call) -> Case:
    """Move a study to another case."""
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
