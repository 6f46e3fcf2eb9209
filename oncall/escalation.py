"""Who is told next when nobody answers: chains of pages, as pure decisions on values. Nothing here sends or stores.

A chain is begun for one case with a snapshot of the ladder as it is then, so that an edit at 02:00 does not change a
running case; whom a step means is resolved when the step begins, because the roster may have changed hands since.

Invariants: a chain that is alive has a next alarm time, one that has ended has none; an answer ends its own chain and
no other; a step without anybody to page does not wait; every step that pages nobody says why
(``escalation.no_notification_sent``); when all steps are exhausted the hospital is alarmed, again and again, until
somebody answers, the case closes, or a chain of its own asks another reader (the alarm of that moment goes out all the
same); a late alarm (after a restart) does one step and never catches up on missed ones, and the key of each page is
deterministic, so that deciding twice sends once.

Source: `oncall_domain.md` 2.2 (GoAlert, Grafana OnCall), 2.3, 3.6 (silence), 4.2 ESCALATION, 4.3 C3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from oncall.case.event import Fact
from oncall.chain import (
    ALIVE,
    CONTROL_ROOM,
    Acknowledged,
    Action,
    Callee,
    CancelPages,
    Cause,
    Chain,
    ChainState,
    Closed,
    Declined,
    Due,
    Happening,
    Informed,
    Page,
    Paged,
    PageFailed,
    PageKind,
    Raised,
    Record,
    Subject,
)
from oncall.directory import ChannelKind, ContactMethod, PersonId, SiteId
from oncall.ladder import DEFAULT_LADDER, Ladder, Purpose, Step, Target
from oncall.reading.board import Urgency

__all__ = [
    "DEFAULT_LADDER",
    "Acknowledged",
    "Action",
    "Callee",
    "CancelPages",
    "Cause",
    "Chain",
    "ChainState",
    "Closed",
    "Declined",
    "Due",
    "Happening",
    "Informed",
    "Ladder",
    "Page",
    "PageFailed",
    "PageKind",
    "Paged",
    "Raised",
    "Record",
    "Step",
    "Subject",
    "Target",
    "advance",
    "begin",
    "control_room",
    "page_key",
]


def begin(ladder: Ladder, subject: Subject, now: datetime, *, chain_id: str, cause: Cause = Cause.ASSIGNED) -> Chain:
    """Return a chain that is due at once; tell it `Due` in the same transaction."""
    return Chain(chain_id=chain_id, subject=subject, ladder=ladder, cause=cause, begun_at=now, next_alarm_at=now)


def advance(chain: Chain, happening: Happening, now: datetime) -> tuple[Chain, tuple[Action, ...]]:
    """Return the chain after something happened, and what to do, in order.

    An ended chain, an early `Due`, an answer to another chain and a failure of an earlier step's page change nothing.
    """
    if chain.state not in ALIVE or chain.next_alarm_at is None:
        return chain, ()
    match happening:
        case Due():
            return (chain, ()) if now < chain.next_alarm_at else _Walk(chain, now).on_due(happening.callees)
        case Acknowledged():
            return _Walk(chain, now).on_acknowledged(happening) if happening.chain_id == chain.chain_id else (chain, ())
        case Declined():
            return _Walk(chain, now).on_declined(happening) if happening.chain_id == chain.chain_id else (chain, ())
        case Informed():
            return _Walk(chain, now).on_informed(happening) if happening.chain_id == chain.chain_id else (chain, ())
        case PageFailed():
            return _Walk(chain, now).on_failed(happening)
        case Raised():
            return _raised(chain, happening.urgency, now), ()
        case Closed():
            return _Walk(chain, now).on_closed(happening)


def page_key(chain: Chain, person_id: PersonId, number: int) -> str:
    """Return the deterministic key of a person's page `number` (from 0) in the present step."""
    stage = "a" if chain.state is ChainState.EXHAUSTED else f"{chain.round}."
    return f"{chain.chain_id}/{stage}{chain.position}/{person_id}/{number}"


@dataclass(slots=True)
class _Walk:
    """One call of `advance`: the chain as it goes and the actions so far."""

    chain: Chain
    now: datetime
    actions: list[Action] = field(default_factory=list)

    def on_due(self, callees: Mapping[Target, tuple[Callee, ...]]) -> tuple[Chain, tuple[Action, ...]]:
        step_ends_at = self.chain.step_ends_at
        if step_ends_at is not None and self.now < step_ends_at and self.chain.state is ChainState.RUNNING:
            self.page_again()
        else:
            self.go_on(self.chain.cause if step_ends_at is None else Cause.SILENCE, callees)
        return self.done()

    def on_acknowledged(self, answer: Acknowledged) -> tuple[Chain, tuple[Action, ...]]:
        self.record("acknowledged", {"person_id": answer.person_id, "level": self.level()})
        return self.ended(ChainState.ACKNOWLEDGED, "", {"by": answer.person_id})

    def on_declined(self, answer: Declined) -> tuple[Chain, tuple[Action, ...]]:
        self.chain = replace(self.chain, declined=self.chain.declined | {answer.person_id})
        if self.chain.state is ChainState.RUNNING:
            left = tuple(paged for paged in self.chain.paged if paged.person_id != answer.person_id)
            was_asked = len(left) < len(self.chain.paged)
            self.chain = replace(self.chain, paged=left)
            if was_asked and not any(map(_is_reached, left)):
                self.go_on(Cause.DECLINED, answer.callees)
        return self.done()

    def on_informed(self, answer: Informed) -> tuple[Chain, tuple[Action, ...]]:
        if self.chain.state is ChainState.RUNNING and any(
            paged.person_id == answer.person_id for paged in self.chain.paged
        ):
            self.go_on(Cause.CLINICAL, answer.callees)
        return self.done()

    def on_failed(self, failure: PageFailed) -> tuple[Chain, tuple[Action, ...]]:
        for place, paged in enumerate(self.chain.paged):
            for number, method in enumerate(paged.used):
                if page_key(self.chain, paged.person_id, number) == failure.message_key and method not in paged.failed:
                    self.replace_page(place, replace(paged, failed=paged.failed | {method}), failure)
        return self.done()

    def on_closed(self, end: Closed) -> tuple[Chain, tuple[Action, ...]]:
        is_alarm_true = end.is_superseded and self.chain.state is ChainState.EXHAUSTED
        return self.ended(ChainState.STOPPED, "stopped", {"reason": end.reason}, are_pages_kept=is_alarm_true)

    def replace_page(self, place: int, paged: Paged, failure: PageFailed) -> None:
        self.silence(paged.person_id, failure.reason, self.level())
        self.put(place, paged)
        if _is_reached(paged):
            return
        if _next_method(paged) is not None:
            self.page(place, self.kind_again(), is_replacement=True)
        elif any(map(_is_reached, self.chain.paged)):
            return
        elif self.chain.state is ChainState.RUNNING:
            self.go_on(Cause.TECHNICAL, failure.callees)
        else:
            self.alarm_control_room()

    def page_again(self) -> None:
        step = self.chain.ladder.steps[self.chain.position]
        for place, paged in enumerate(self.chain.paged):
            if _may_page_again(paged, step):
                self.page(place, self.kind_again())
        self.set_alarm(step)

    def go_on(self, cause: Cause, callees: Mapping[Target, tuple[Callee, ...]]) -> None:
        """Begin the next step that has somebody to page, skipping empty ones without waiting."""
        if self.chain.state is ChainState.EXHAUSTED:
            self.alarm_hospital(callees)
            return
        while True:
            gone = self.chain.paged_before | {paged.person_id for paged in self.chain.paged}
            self.chain = replace(self.chain, position=self.chain.position + 1, paged=(), paged_before=gone)
            if self.chain.position == len(self.chain.ladder.steps):
                if self.chain.round + 1 < self.chain.ladder.rounds and gone:
                    self.chain = replace(self.chain, round=self.chain.round + 1, position=-1, paged_before=frozenset())
                    continue
                self.exhaust(cause, callees)
                return
            if self.begin_step(cause, callees):
                return

    def begin_step(self, cause: Cause, callees: Mapping[Target, tuple[Callee, ...]]) -> bool:
        step = self.chain.ladder.steps[self.chain.position]
        chosen = self.choose(step, callees.get(step.target, ()))
        if not chosen:
            self.record("skipped_empty_step", {"level": step.level, "step": step.target})
            return False
        self.record("started", {"level": step.level, "cause": cause, "step": step.target})
        self.chain = replace(self.chain, paged=chosen, step_ends_at=self.after(step.wait_s[self.urgency()]))
        kind = PageKind.READ_CASE if step.level == 0 else PageKind.ESCALATED
        for place in range(len(chosen)):
            self.page(place, kind)
        self.set_alarm(step)
        return True

    def choose(self, step: Step, candidates: tuple[Callee, ...]) -> tuple[Paged, ...]:
        """Return who is paged in this step; everybody passed over is recorded with the reason."""
        chosen: list[Paged] = []
        for callee in candidates:
            if len(chosen) == step.persons_max:
                break
            reason = callee.refusal or ("" if callee.methods else "no_contact_method")
            if callee.person_id in self.chain.declined:
                reason = "declined"
            elif callee.person_id in self.chain.paged_before:
                reason = "paged_before"
            if reason:
                self.silence(callee.person_id, reason, step.level)
            else:
                chosen.append(Paged(person_id=callee.person_id, methods=callee.methods))
        if not candidates:
            self.silence("", f"nobody_is_{step.target}", step.level)
        return tuple(chosen)

    def exhaust(self, cause: Cause, callees: Mapping[Target, tuple[Callee, ...]]) -> None:
        self.chain = replace(self.chain, state=ChainState.EXHAUSTED, position=-1, paged=(), step_ends_at=None)
        self.record("exhausted", {"cause": cause, "level": self.level()})
        self.alarm_hospital(callees)

    def alarm_hospital(self, callees: Mapping[Target, tuple[Callee, ...]]) -> None:
        """Alarm everybody whom the hospital names, each time by their next method."""
        count = self.chain.position + 1
        reachable = []
        for callee in callees.get(Target.HOSPITAL, ()):
            reason = callee.refusal or ("" if callee.methods else "no_contact_method")
            if reason:
                self.silence(callee.person_id, reason, self.level())
            else:
                reachable.append(callee)
        if not reachable:
            self.silence("", "no_hospital_contact", self.level())
            reachable = [control_room(self.chain.subject.site_id)]
        self.chain = replace(
            self.chain,
            position=count,
            paged=tuple(_turned(callee, count) for callee in reachable),
            next_alarm_at=self.after(self.chain.ladder.alarm_repeat_s),
        )
        for place in range(len(reachable)):
            self.page(place, PageKind.HOSPITAL_ALARM)

    def alarm_control_room(self) -> None:
        """Show on the wall what no channel could bring to the hospital, once an alarm."""
        if any(paged.person_id == CONTROL_ROOM for paged in self.chain.paged):
            return
        wall = _turned(control_room(self.chain.subject.site_id), 0)
        self.chain = replace(self.chain, paged=(*self.chain.paged, wall))
        self.page(len(self.chain.paged) - 1, PageKind.HOSPITAL_ALARM)

    def page(self, place: int, kind: PageKind, *, is_replacement: bool = False) -> None:
        paged = self.chain.paged[place]
        method = _next_method(paged)
        if method is None:
            return
        key = page_key(self.chain, paged.person_id, len(paged.used))
        address = paged.methods[method]
        said = _said(kind, self.chain.ladder.purpose)
        self.actions.append(
            Page(
                message_key=key,
                chain_id=self.chain.chain_id,
                subject=self.chain.subject,
                person_id=paged.person_id,
                method=address,
                kind=said,
                level=self.level(),
            )
        )
        self.record(
            "notified",
            {"person_id": paged.person_id, "channel": address.kind, "message_key": key, "level": self.level()},
        )
        replaced = paged.replaced + is_replacement
        self.put(place, replace(paged, used=(*paged.used, method), replaced=replaced))

    def put(self, place: int, paged: Paged) -> None:
        everyone = list(self.chain.paged)
        everyone[place] = paged
        self.chain = replace(self.chain, paged=tuple(everyone))

    def set_alarm(self, step: Step) -> None:
        ends_at = self.chain.step_ends_at
        assert ends_at is not None
        again = any(_may_page_again(paged, step) for paged in self.chain.paged)
        repage_at = self.after(step.repage_after_s[self.urgency()])
        self.chain = replace(self.chain, next_alarm_at=min(repage_at, ends_at) if again else ends_at)

    def ended(
        self, state: ChainState, happened: str, detail: Mapping[str, Any], *, are_pages_kept: bool = False
    ) -> tuple[Chain, tuple[Action, ...]]:
        if not are_pages_kept:
            self.actions.append(CancelPages(chain_id=self.chain.chain_id))
        if happened:
            self.record(happened, detail)
        by = str(detail.get("by") or detail.get("reason", ""))
        self.chain = replace(self.chain, state=state, next_alarm_at=None, step_ends_at=None, ended_by=by)
        return self.done()

    def record(self, happened: str, detail: Mapping[str, Any]) -> None:
        ladder = self.chain.ladder
        payload = {"chain_id": self.chain.chain_id, "ladder_version": f"{ladder.ladder_id}/{ladder.version}", **detail}
        plain = {key: str(value) if isinstance(value, StrEnum) else value for key, value in payload.items()}
        self.actions.append(Record(fact=Fact(type=f"escalation.{happened}", occurred_at=self.now, payload=plain)))

    def silence(self, person_id: str, reason: str, level: int) -> None:
        self.record("no_notification_sent", {"person_id": person_id, "reason": reason, "level": level})

    def level(self) -> int:
        """Return the present step's level; the hospital's alarm is one above the last."""
        steps = self.chain.ladder.steps
        return steps[-1].level + 1 if self.chain.state is ChainState.EXHAUSTED else steps[self.chain.position].level

    def kind_again(self) -> PageKind:
        return PageKind.HOSPITAL_ALARM if self.chain.state is ChainState.EXHAUSTED else PageKind.REPEATED

    def urgency(self) -> Urgency:
        return self.chain.subject.urgency

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def done(self) -> tuple[Chain, tuple[Action, ...]]:
        return self.chain, tuple(self.actions)


def _said(kind: PageKind, purpose: Purpose) -> PageKind:
    """Return what a page of a ladder says: not every ladder asks somebody to read a case."""
    if purpose is Purpose.UNOPENED:
        # The report is there, and a clinician must acknowledge it.
        return PageKind.REPORT_UNREAD
    if kind is PageKind.HOSPITAL_ALARM:
        return kind
    return _ASKS.get(purpose, kind)


# Nobody is asked to read what is not there yet.
_ASKS: Final = MappingProxyType(
    {Purpose.REQUEST: PageKind.ANSWER_REQUEST, Purpose.TECHNICAL: PageKind.TRANSFER_STOPPED}
)


def control_room(site_id: SiteId) -> Callee:
    """Return the operators' wall as somebody to alarm: what is left when a hospital has nobody within reach."""
    wall = ContactMethod(kind=ChannelKind.CONSOLE, address=site_id)
    return Callee(person_id=CONTROL_ROOM, methods=(wall,))


def _is_reached(paged: Paged) -> bool:
    return any(method not in paged.failed for method in paged.used)


def _next_method(paged: Paged) -> int | None:
    """Return the first method that works and was used least; None when all have failed."""
    working = [method for method in range(len(paged.methods)) if method not in paged.failed]
    return min(working, key=paged.used.count, default=None)


def _may_page_again(paged: Paged, step: Step) -> bool:
    return len(paged.used) - paged.replaced < step.pages_max and _next_method(paged) is not None


def _turned(callee: Callee, count: int) -> Paged:
    """Return the callee with methods turned by `count`, so that each alarm takes another channel first."""
    first = count % len(callee.methods)
    return Paged(person_id=callee.person_id, methods=callee.methods[first:] + callee.methods[:first])


def _raised(chain: Chain, urgency: Urgency, now: datetime) -> Chain:
    if urgency >= chain.subject.urgency:
        return chain
    chain = replace(chain, subject=replace(chain.subject, urgency=urgency))
    if chain.step_ends_at is None or chain.next_alarm_at is None:
        return chain
    step = chain.ladder.steps[chain.position]
    ends_at = min(chain.step_ends_at, now + timedelta(seconds=step.wait_s[urgency]))
    again_s = step.repage_after_s[urgency] if any(_may_page_again(paged, step) for paged in chain.paged) else None
    alarms = [chain.next_alarm_at, ends_at] + ([] if again_s is None else [now + timedelta(seconds=again_s)])
    return replace(chain, step_ends_at=ends_at, next_alarm_at=min(alarms))
