"""Cases for tests: an instant, a log in memory with ids that repeat themselves, and a case said step by step."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from foundation.instants import microseconds
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.event import CaseId, Fact, uuid7
from oncall.case.log import CaseLog, MemoryCaseLog
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId, SiteId, SubSpecialty
from oncall.reading.board import ExamKind, Urgency

START = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
CASE = CaseId("case-1")
ANNE, BRUNO = PersonId("anne"), PersonId("bruno")


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def at(minutes: float, **more: Any) -> Context:
    return Context(now=after(minutes), policy_version="policy-1", **more)


def numbered_ids() -> Callable[[datetime], str]:
    """Return a source of event ids that gives the same ids in the same order each time."""
    count = 0

    def next_id(now: datetime) -> str:
        nonlocal count
        count += 1
        return uuid7(now, count.to_bytes(10, "big"))

    return next_id


def request(**changes: Any) -> NewRequest:
    given: dict[str, Any] = {
        "site_id": SiteId("roanne"),
        "exam": ExamKind.HEAD,
        "urgency": Urgency.P2,
        "needs": SubSpecialty.NEURO,
        "patient_key": "key-1",
        "accession_number": "A1",
        "modality": "CT",
    }
    return NewRequest(**{**given, **changes})


def fact(event_type: E, minutes: float = 0, **payload: Any) -> Fact:
    return at(minutes).fact(event_type, **payload)


class Story:
    """One case, told step by step; every step is appended to a log."""

    def __init__(self, log: CaseLog | None = None, case_id: CaseId = CASE) -> None:
        self.log: CaseLog = log or MemoryCaseLog(numbered_ids())
        self.case_id = case_id

    @property
    def case(self) -> Case:
        found = self.log.case(self.case_id)
        assert found is not None
        return found

    def append(self, facts: Facts, minutes: float = 0) -> Case:
        known = self.log.case(self.case_id)
        self.log.append(self.case_id, 0 if known is None else known.seq, facts, after(minutes))
        return self.case

    def opened(self, minutes: float = 0, **changes: Any) -> Case:
        return self.append(commands.open_from_request(request(**changes), at(minutes)), minutes)

    def complete(self, minutes: float = 10, **how: Any) -> Case:
        return self.append(commands.complete_images(self.case, at(minutes), rule="button", **how), minutes)

    def assigned(self, person_id: PersonId = ANNE, minutes: float = 11) -> Case:
        return self.append(commands.assign(self.case, person_id, at(minutes), reason="next"), minutes)

    def acknowledged(self, person_id: PersonId = ANNE, minutes: float = 12) -> Case:
        return self.append(commands.acknowledge(self.case, person_id, at(minutes)), minutes)

    def claimed(self, person_id: PersonId = ANNE, minutes: float = 13, uid: str = "2.25.1") -> Case:
        return self.append(commands.claim(self.case, person_id, at(minutes), transaction_uid=uid), minutes)

    def signed(self, person_id: PersonId = ANNE, minutes: float = 30, content_hash: str = "h1") -> Case:
        return self.append(commands_report.sign(self.case, person_id, at(minutes), content_hash=content_hash), minutes)

    def delivered(self, minutes: float = 31) -> Case:
        self.append(commands_report.send_report(self.case, at(minutes), channel="web"), minutes)
        return self.append(commands_report.record_delivery(self.case, at(minutes), channel="web"), minutes)

    def closed(self, minutes: float = 40) -> Case:
        self.append(commands_report.acknowledge_report(self.case, "Dr Martin", at(minutes)), minutes)
        return self.append(commands.close(self.case, at(minutes)), minutes)


def whole_story(log: CaseLog | None = None, case_id: CaseId = CASE) -> Story:
    """Return a case from request to acknowledged report."""
    story = Story(log, case_id)
    story.opened()
    story.complete()
    story.assigned()
    story.acknowledged()
    story.claimed()
    story.signed()
    story.delivered()
    story.closed()
    return story


def us(minutes: float) -> int:
    return microseconds(after(minutes))
