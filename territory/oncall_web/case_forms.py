"""The forms of a case's page: which there are for whom, what they are filled with, and what there is to choose from.

For: `case_page`. Not for: what an action does (`doings`), or checking what was sent (`action_fields`). Invariant: a
form that was refused comes back with what was typed and the error beside its field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from oncall.case.event import CaseId
from oncall.case.matching import Match
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.notify import case_code
from territory.oncall_web import priors_section
from territory.oncall_web.access import Holder
from territory.oncall_web.action_fields import Field, called_of, readers_of, study_name
from territory.oncall_web.actions import ACTIONS, Action, asked_of, may_do
from territory.oncall_web.app import Site, new_id
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.doings import new_uid
from territory.oncall_web.protocol_view import deviation_label

_SECOND_WORDS: Final[Mapping[str, str]] = {
    "score": "score.", "discrepancy_kind": "discrepancy.", "body_region": "region.", "correction_by": "correction.",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldView:
    """One field of a form; ``error`` and ``help`` are keys of texts."""

    name: str
    kind: str
    value: str
    error: str
    is_hidden: bool
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FormView:
    """One form; ``refusal`` says why the case did not allow it."""

    name: str
    fields: tuple[FieldView, ...]
    is_grave: bool
    refusal: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A form that came back: what was typed, and what was wrong."""

    name: str
    sent: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


def forms_of(
    site: Site, case: Case, holder: Holder, eyes: Eyes, matches: Sequence[Match], attempt: Attempt | None
) -> dict[str, FormView]:
    """Return the forms of what a holder may do now, by action; the one that came back has what was typed."""
    me = None if holder.is_anybody else PersonId(holder.who)
    others = {
        one.case_id: one
        for one in site.desk.open_cases()
        if one.case_id != case.case_id and holder.may_see(one.site_id)
    }
    tried = "" if attempt is None else attempt.name
    return {
        name: _form(site, case, holder, eyes, action, matches, others, attempt if name == tried else None)
        for name, action in ACTIONS.items()
        if may_do(action, holder) and (name == tried or action.is_offered(case, me))
    }


def _form(
    site: Site, case: Case, holder: Holder, eyes: Eyes, action: Action, matches: Sequence[Match],
    others: Mapping[CaseId, Case], attempt: Attempt | None,
) -> FormView:  # fmt: skip
    shown = attempt or Attempt(name=action.name)
    fields = []
    for one in asked_of(action, holder):
        value = str(shown.sent.get(one.name) or _first_value(case, action, one))
        if one.is_on_page or value:
            fields.append(
                FieldView(
                    name=one.name,
                    kind=one.kind,
                    value=value,
                    error=shown.errors.get(one.name, ""),
                    is_hidden=not one.is_on_page,
                    options=_options(site, case, holder, eyes, action, one, matches, others),
                )
            )
    return FormView(name=action.name, fields=tuple(fields), is_grave=action.is_grave, refusal=shown.refusal)


def _first_value(case: Case, action: Action, one: Field) -> str:
    match one.name:
        case "person_id":
            return case.reading.claimed_by or case.reading.assigned_to or ""
        case "version":
            return str(case.protocol.version if action.name.startswith("protocol") else case.report.version)
        case "transaction_uid" if one.is_required:
            return new_uid()
        case "critical_id" if not one.is_on_page:
            return new_id("critical")
        case "urgency":
            return str(int(case.urgency))
    return ""


def _options(
    site: Site, case: Case, holder: Holder, eyes: Eyes, action: Action, one: Field, matches: Sequence[Match],
    others: Mapping[CaseId, Case],
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    if one.kind == "person":
        return tuple(readers_of(eyes.directory, case))
    if one.kind == "called":
        return tuple(called_of(eyes.directory, case))
    if one.kind == "unclaimed":
        return tuple(
            (study_name(known.study), f"{'/'.join(sorted(known.modalities))} {eyes.clock(known.first_at)}")
            for known in site.desk.unclaimed(holder.may_see)
            if known.site_id in (None, case.site_id)
        )
    if one.kind == "case":
        return tuple(
            (other.case_id, " · ".join(case_words(other, eyes)))
            for other in _other_cases(site, case, action, matches, others)
        )
    if one.name == "critical_id":
        declared = {known.critical_id: known for known in case.criticals}
        return tuple(
            (known, f"{eyes.say(f'category.{declared[known].category}')}, {eyes.clock(declared[known].declared_at)}")
            for known in one.choices(case)
        )
    if one.name == "prior":
        return priors_section.options(case, eyes)
    if one.name == "deviation_id":
        return tuple((known, deviation_label(known, case, eyes)) for known in one.choices(case))
    prefix = {
        "urgency": "urgency.",
        "category": "category.",
        "method": "choice.",
        "outcome": "outcome.",
        **_SECOND_WORDS,
    }.get(one.name)
    return tuple((choice, choice if prefix is None else eyes.say(prefix + choice)) for choice in one.choices(case))


def _other_cases(
    site: Site, case: Case, action: Action, matches: Sequence[Match], others: Mapping[CaseId, Case]
) -> Sequence[Case]:
    """Return the cases that an action may be about besides this one, what matches best first."""
    if action.name == "part-request":
        return [site.desk.case(CaseId(one)) for one in case.request.matched_from]
    has_images = {"join-request": False, "join-study": True}.get(action.name)
    fit = {key: one for key, one in others.items() if has_images in (None, bool(one.images.studies))}
    best = dict.fromkeys(match.case_id for match in matches if match.case_id in fit)
    return [*(fit[key] for key in best), *(one for key, one in fit.items() if key not in best)]


def case_words(case: Case, eyes: Eyes) -> tuple[str, str]:
    """Return a case's code and a line about it."""
    hospital = eyes.directory.sites.get(case.site_id)
    words = (
        case.site_id if hospital is None else hospital.name,
        eyes.say(f"exam.{case.exam.value}"),
        f"P{int(case.urgency)}",
        eyes.clock(case.opened_at),
    )
    return case_code(case.case_id), " · ".join(words)
