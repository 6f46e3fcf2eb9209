"""Reports as plain values for templates: the heading, versions with their proof, contents, questions of a form.

Not for: asking the desk, or what may be done. Invariants: times are the hospital's; a version that another withdrew or
replaced says so wherever it is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from oncall.case.clocks import Clock, read_clocks
from oncall.case.regions import CriticalState, IdentityState
from oncall.case.state import Case
from oncall.notify import case_code
from oncall.report.content import Chapter, ReportContent
from oncall.report.rendering import Severity
from oncall.report.signing import is_proved
from oncall.report.states import in_force, withdrawn
from oncall.report.template import Field, FieldKind
from oncall.report.template_texts import WORDS
from oncall.report.version import SignedVersion, VersionKind
from territory.oncall_web.case_page import address
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.report_form import ReportForm, input_name
from territory.oncall_web.texts import text

FORMATS: Final[Mapping[str, str]] = {
    "pdf": "PDF",
    "sr": "DICOM SR",
    "cda": "CDA R2",
    "fhir": "FHIR",
    "text": "TXT",
}
"""Downloads of a version, by the end of their address."""

_SEVERITIES: Final = {Severity.HINT: "hint", Severity.ACKNOWLEDGE: "wanted", Severity.REFUSE: "refused"}
_INPUTS: Final = {FieldKind.DATE: "date", FieldKind.TIME: "time", FieldKind.DATE_TIME: "datetime-local"}
_ROWS: Final = {Chapter.INDICATION: 2, Chapter.TECHNIQUE: 2, Chapter.RESULTS: 8, Chapter.CONCLUSION: 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """What stands above every page of a report. ``alarms`` are said loudest."""

    title: str
    case_at: str
    code: str
    urgency: int
    line: str
    left_s: float | None
    is_blocked: bool
    alarms: tuple[str, ...] = ()
    criticals: tuple[str, ...] = ()
    is_for_another: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionLine:
    """A signed version in a list. ``is_proved`` says that its signature is over its words."""

    version: int
    kind: str
    at: str
    signed_at: str
    author: str
    digest: str
    algorithm: str
    reason: str
    is_proved: bool
    is_stamped: bool
    is_withdrawn: bool
    is_in_force: bool
    is_for_another: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A content to read: chapters by their names in its language."""

    language: str
    title: str
    chapters: tuple[tuple[str, str], ...]
    doses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceView:
    """One choice of a question."""

    value: str
    name: str
    label: str
    is_on: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question of a form with what was typed."""

    field_id: str
    name: str
    label: str
    kind: str
    input: str
    unit: str
    value: str
    error: str
    is_required: bool
    is_shown: bool
    choices: tuple[ChoiceView, ...]


def report_address(case: Case) -> str:
    """Return where a case's report is written."""
    return f"{address(case.case_id)}/report"


def reading_address(case: Case) -> str:
    """Return where the emergency department reads it."""
    return f"/oncall/report/{quote(case.case_id, safe='')}"


def heading(case: Case, eyes: Eyes, now: datetime, title: str, *, alarms: Sequence[str] = ()) -> Heading:
    """Return what stands above a page."""
    hour = next((one for one in read_clocks(case, now) if one.clock is Clock.REPORT), None)
    site = eyes.directory.sites.get(case.site_id)
    parts = [case.site_id if site is None else site.name, eyes.say(f"exam.{case.exam.value}"), case.request.modality]
    return Heading(
        title=title,
        case_at=address(case.case_id),
        code=case_code(case.case_id),
        urgency=int(case.urgency),
        line=" · ".join(part for part in parts if part),
        left_s=None if hour is None or hour.stopped_at is not None else hour.left_s(now),
        is_blocked=case.identity.state is IdentityState.BLOCKED,
        alarms=tuple(alarms),
        criticals=tuple(_criticals(case, eyes)),
        is_for_another=case.is_signed_for_another,
    )


def _criticals(case: Case, eyes: Eyes) -> list[str]:
    return [
        f"{eyes.say('case.critical')} {one.category}{eyes.say('colon')}{eyes.say(f'critical.{one.state.value}')}"
        for one in case.criticals
        if one.state in {CriticalState.DECLARED, CriticalState.COMMUNICATED}
    ]


def version_lines(case: Case, history: Sequence[SignedVersion], eyes: Eyes, *, root: str) -> list[VersionLine]:
    """Return the versions of a report, the newest first; `root` is the address that a number is put behind."""
    versions = [one.version for one in history]
    gone, standing = withdrawn(versions), {one.version for one in in_force(versions)}
    return [
        VersionLine(
            version=one.version.version,
            kind=one.version.kind.value,
            at=f"{root}/{one.version.version}",
            signed_at=f"{one.version.signed_at.astimezone(eyes.zone):%Y-%m-%d} "
            f"{eyes.clock(one.version.signed_at, seconds=True)}",
            author=one.version.author.name,
            digest=one.digest,
            algorithm=one.signature.algorithm,
            reason=one.version.reason,
            is_proved=is_proved(one),
            is_stamped=one.time_stamp is not None,
            is_withdrawn=one.version.version in gone,
            is_in_force=one.version.version in standing,
            is_for_another=case.is_another(one.version.patient_key),
        )
        for one in reversed(history)
    ]


def shown(content: ReportContent) -> Shown:
    """Return a content to read."""
    language = content.language.value
    words = WORDS[content.language]
    return Shown(
        language=language,
        title=content.title,
        chapters=tuple((text(f"chapter.{one.value}", language), content.text_of(one)) for one in Chapter),
        doses=tuple(
            f"{one.quantity}{words.colon}{f'{one.value:g}'.replace('.', words.decimal_mark)} {one.unit}"
            for one in content.doses
        ),
    )


def lacks(form: ReportForm) -> list[dict[str, str]]:
    """Return what a report lacks, for a list: text and severity."""
    return [{"text": one.text, "severity": _SEVERITIES[one.severity], "code": one.code} for one in form.lacks]


def notices(form: ReportForm) -> list[dict[str, str]]:
    """Return what answers call for, for a list."""
    return [{"text": one.text, "severity": one.kind.value, "code": one.notice_id} for one in form.notices]


def chapters(form: ReportForm) -> list[tuple[str, str, str, int]]:
    """Return each chapter: name, what the form says, what the reader wrote, and how many lines its input has."""
    return [
        (
            one.value,
            form.frames.get(one, ""),
            form.texts.get(one, ""),
            min(30, max(_ROWS[one], form.texts.get(one, "").count("\n") + 2)),
        )
        for one in Chapter
    ]


def errors_of(form: ReportForm, language: str) -> dict[str, str]:
    """Return what is wrong, by the name of the input beside which it is said."""
    found = {name: text(key, language) for name, key in form.errors.items()}
    for number, row in enumerate(form.doses):
        if row.error:
            found[f"dose-{number}-value"] = text(f"error.{row.error}", language)
    template = form.template
    for field_id, said in form.checked.errors.items():
        one = None if template is None else template.field(field_id)
        if one is not None:
            found[f"answer-{field_id}"] = said
    return found


def questions(form: ReportForm) -> list[tuple[str, list[Question]]]:
    """Return the questions of a form by their headings, in order."""
    if form.template is None:
        return []
    groups: list[tuple[str, list[Question]]] = []
    for one in form.template.fields:
        if not groups or groups[-1][0] != one.group:
            groups.append((one.group, []))
        groups[-1][1].append(_question(form, one))
    return groups


def _question(form: ReportForm, one: Field) -> Question:
    assert form.template is not None, "questions are those of a template"
    given: Any = form.raw.get(one.field_id, "")
    words = WORDS[form.template.language]
    value = "" if isinstance(given, list | tuple) else _typed(given)
    if one.kind is FieldKind.YES_NO:
        options = [("yes", words.yes), ("no", words.no)]
        value = {"oui": "yes", "non": "no", "true": "yes", "false": "no"}.get(value.lower(), value)
    else:
        options = [(choice.choice_id, choice.label) for choice in one.choices]
    chosen = set(given) if isinstance(given, list | tuple) else {value}
    return Question(
        field_id=one.field_id,
        name=f"answer-{one.field_id}",
        label=one.label,
        kind=one.kind.value,
        input=_INPUTS.get(one.kind, "text"),
        unit=one.unit,
        value=value,
        error=form.checked.errors.get(one.field_id, ""),
        is_required=one.is_required,
        is_shown=one.field_id in form.shown,
        choices=tuple(
            ChoiceView(value=key, name=input_name(one, key), label=label, is_on=key in chosen) for key, label in options
        ),
    )


def _typed(given: Any) -> str:
    if isinstance(given, bool):
        return "yes" if given else "no"
    return str(given)


def is_alarming(history: Sequence[SignedVersion]) -> str:
    """Return which of retraction and replacement the newest version is, for a loud mark; '' for neither."""
    newest = history[-1].version.kind if history else None
    return newest.value if newest in {VersionKind.RETRACTION, VersionKind.REPLACEMENT} else ""
