"""What may be done about second readings and discrepancies: the engine is asked, and nothing is decided here.

For: `actions`, which says who may do what, and when a button is shown. Not for: who reads what a second time, or what
must be told (`oncall.second_reading`, `oncall.engine.second_readings`).
"""

from typing import Final

from oncall.case.regions import SecondReadingState
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.second_reading.score import BodyRegion, CorrectionBy, DiscrepancyKind, Score
from territory.oncall_web.doings import Call, FieldsWrong

FINDINGS_CHARACTERS_MAX: Final = 10_000
_CATEGORY: Final = 2


def is_pending(case: Case, me: PersonId | None) -> bool:
    """Somebody has to read it a second time."""
    return case.second_reading.is_pending


def awaits_second_reading(case: Case, me: PersonId | None) -> bool:
    """This person has to read it a second time."""
    return case.second_reading.is_pending and me in (None, case.second_reading.assigned_to)


def awaits_blind_findings(case: Case, me: PersonId | None) -> bool:
    """This person reads it blind and has not said yet what they see."""
    part = case.second_reading
    return awaits_second_reading(case, me) and part.is_blind and part.blind_findings_at is None


def awaits_telling(case: Case, me: PersonId | None) -> bool:
    """The hospital does not know yet of a significant discrepancy."""
    return case.second_reading.is_untold


def may_be_read_again(case: Case, me: PersonId | None) -> bool:
    """A signed report that nobody has read a second time."""
    return case.report.signed_at is not None and case.second_reading.state is SecondReadingState.NONE


def awaits_lesson(case: Case, me: PersonId | None) -> bool:
    """A discrepancy that is not closed."""
    state = SecondReadingState
    return case.second_reading.state in {state.DISCREPANT, state.COMMUNICATED, state.ACKNOWLEDGED}


def require_second_reading(call: Call) -> Case:
    """Ask for a second reading."""
    actor = call.holder.actor()
    return call.site.desk.ask(lambda engine, now: engine.require_second_reading(call.case_id, now, actor=actor))


def assign_second_reading(call: Call) -> Case:
    """Give a second reading to somebody."""
    person_id, actor = PersonId(call.values["reader_id"]), call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.assign_second_reading(call.case_id, person_id, now, actor=actor)
    )


def record_blind_findings(call: Call) -> Case:
    """Keep what a blind second reader sees."""
    finding = call.values["finding"]
    return call.site.desk.ask(
        lambda engine, now: engine.record_blind_findings(call.case_id, call.person_id, finding, now)
    )


def record_second_reading(call: Call) -> Case:
    """Record how far the second reader agrees."""
    values, score = call.values, Score(call.values["score"])
    if score.is_discrepancy and not values["discrepancy_kind"]:
        raise FieldsWrong({"discrepancy_kind": "missing"})
    kind = DiscrepancyKind(values["discrepancy_kind"]) if values["discrepancy_kind"] else None
    region = BodyRegion(values["body_region"]) if values["body_region"] else None
    by = CorrectionBy(values["correction_by"]) if values["correction_by"] else CorrectionBy.FIRST_READER
    return call.site.desk.ask(
        lambda engine, now: engine.record_second_reading(
            call.case_id,
            call.person_id,
            now,
            score=score,
            kind=kind,
            body_region=region,
            note=values["note"],
            category=int(values["category"] or _CATEGORY),
            correction_by=by,
        )
    )


def communicate_discrepancy(call: Call) -> Case:
    """Record that a change was told to a named person of the hospital."""
    values, actor = call.values, call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.communicate_discrepancy(
            call.case_id,
            now,
            actor=actor,
            recipient=values["recipient"],
            method=values["method"],
            read_back=values["read_back"],
        )
    )


def acknowledge_discrepancy(call: Call) -> Case:
    """Record that a named clinician has taken note of a change."""
    clinician, actor = call.values["clinician"], call.holder.actor()
    return call.site.desk.ask(
        lambda engine, now: engine.acknowledge_discrepancy(call.case_id, clinician, now, actor=actor)
    )


def close_learning(call: Call) -> Case:
    """Close a discrepancy, with a lesson or with why there is none."""
    values, actor = call.values, call.holder.actor()
    if not values["lesson"] and not values["reason"]:
        raise FieldsWrong({"lesson": "missing"})
    return call.site.desk.ask(
        lambda engine, now: engine.close_learning(
            call.case_id,
            now,
            actor=actor,
            kind=DiscrepancyKind(values["discrepancy_kind"]),
            lesson=values["lesson"],
            reason=values["reason"],
        )
    )
