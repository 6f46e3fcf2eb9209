"""What a structured report's answers suggest to declare as critical: proposed to the reader, never declared by itself.

For: `suggestions`, from the notices of the template (`oncall.report.template`) to what an editor offers with one click.
Not for: declaring, which a person does.

Invariant: a suggestion has the same id for the same case and notice, so that accepting it twice declares one finding.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from oncall.case.event import CaseId
from oncall.report.rendering import notices
from oncall.report.template import NoticeKind, Template
from oncall.report.template_fields import Answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """A finding that the answers call critical, of which ACR category, in the template's language."""

    critical_id: str
    category: int
    finding: str


def suggestions(
    case_id: CaseId, template: Template, answers: Answers, *, declared: Collection[str] = ()
) -> tuple[Suggestion, ...]:
    """Return what these answers suggest and nobody has declared yet, the most urgent first.

    Parameters
    ----------
    answers : Answers
        As checked: choices by their identifiers.
    declared : collection of str
        Ids of the case's critical findings.
    """
    found = [
        Suggestion(
            critical_id=suggested_id(case_id, template.template_id, notice.notice_id),
            category=notice.category or 1,
            finding=notice.text,
        )
        for notice in notices(template, answers)
        if notice.kind is NoticeKind.CRITICAL
    ]
    return tuple(sorted((one for one in found if one.critical_id not in declared), key=lambda one: one.category))


def suggested_id(case_id: CaseId, template_id: str, notice_id: str) -> str:
    """Return the id under which a suggested finding is declared."""
    made_of = "\x1f".join((case_id, template_id, notice_id)).encode()
    return f"s-{hashlib.sha256(made_of).hexdigest()[:16]}"
