"""The whole engine as the `OnCall` of a simulated night: its commands, timers, log, pages and backup calls, in memory.

For: `simulate` of `oncall.simulation.night`. Not for: decisions; those are the engine's. What it adds is the people:
radiologists who are told something answer it, unless `answers` says that they do not hear it.

The virtual clock stops at every timer that is due, so that a page that nobody answers is repeated on time. Whoever
reads is free for nothing else, but says yes to a page at once: the case is on their list.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from oncall.case.commands import Context, Facts, NewRequest, close
from oncall.case.commands_report import acknowledge_report, record_delivery, send_report
from oncall.case.event import CaseId, Fact
from oncall.case.state import Case, rehearse
from oncall.directory import PersonId, SiteId
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules, InForce
from oncall.engine.ports import MemoryStore
from oncall.messages import Message
from oncall.messages_memory import MemoryMessages
from oncall.notify import Sender
from oncall.reading.policy import ReadingPolicy
from oncall.reading.triage import RequestFacts, triage
from oncall.simulation.arrivals import ArrivedCase
from oncall.simulation.night import BackupOrders, Duty, Staffing
from oncall.simulation.staff import at_min, at_s, instant, roster, territory, timeline

#: Tells whether somebody hears a page, minutes after 00:00 of the evening's day.
Answers = Callable[[str, Decimal], bool]

_BACKUP_CALL: Final = "backup:"


def everybody(person: str, now_min: Decimal) -> bool:
    """Everybody hears everything."""
    return True


class _Phones(MemoryMessages):
    """The queue, and what was put into it since somebody looked."""

    def __init__(self) -> None:
        super().__init__()
        self.ringing: list[Message] = []

    def enqueue(self, message: Message, now: datetime) -> bool:
        is_new = super().enqueue(message, now)
        if is_new:
            self.ringing.append(message)
        return is_new


class EngineOnCall:
    """One night of the engine on a store in memory."""

    def __init__(
        self, staffing: Staffing, sites: Iterable[str], policy: ReadingPolicy, *, answers: Answers = everybody
    ) -> None:
        directory = territory(staffing, sites)
        plan = roster(staffing)
        rules = InForce(directory=directory, roster=plan, timeline=timeline(plan, directory), reading=policy)
        self._phones = _Phones()
        self.store = MemoryStore(self._phones)
        self._event_count = 0
        # The Transaction UID of each opening: a case that is opened again needs another (C301).
        self._openings = 0
        self._locks: dict[str, str] = {}
        self.engine = Engine(
            self.store,
            FixedRules(rules),
            Sender(answer_url="https://oncall.example/a/", secret=b"simulated"),
            worker="simulation",
            new_event_id=self._event_id,
        )
        self._policy = policy
        self._answers = answers
        # Until when each called reader stays, by person and time of the call.
        self._until: dict[tuple[str, datetime], datetime] = {}

    def _event_id(self, now: datetime) -> str:
        """Return ids that are the same in every replay."""
        self._event_count += 1
        return f"{self._event_count:08d}"

    def images_complete(self, case: ArrivedCase, now_min: Decimal) -> None:
        """Send the request and say that its images are complete."""
        now = self._reach(now_min)
        asked = triage(RequestFacts(exam=case.exam, requested=case.urgency, at_s=at_s(now_min)), self._policy)
        case_id = CaseId(case.case_id)
        self.engine.open_case(
            case_id,
            NewRequest(site_id=SiteId(case.site), exam=case.exam, urgency=asked.urgency, needs=asked.needs),
            now,
        )
        self.engine.complete_images(case_id, now, rule="simulated")
        self._ring(now)

    def on_duty(self, duty: Duty, now_min: Decimal) -> None:
        """Nothing to say: the roster and the call have it."""
        self._reach(now_min)

    def off_duty(self, person: str, now_min: Decimal) -> None:
        """Nothing to say: the roster and the call have it."""
        self._reach(now_min)

    def next_case(self, person: str, now_min: Decimal) -> str | None:
        """Ask which case this reader opens, and open it."""
        now = self._reach(now_min)
        if PersonId(person) in self.engine.night.duty.unavailable:
            # Who looks at the list is back, whatever their silence made of them.
            self.engine.set_available(PersonId(person), now)
        decision = self.engine.next_case(PersonId(person), now)
        if decision is None:
            return None
        self._openings += 1
        lock = self._locks[decision.case_id] = f"2.25.{self._openings}"
        self.engine.claim(decision.case_id, PersonId(person), now, transaction_uid=lock)
        self._ring(now)
        return decision.case_id

    def signed(self, case_id: str, person: str, now_min: Decimal) -> None:
        """Sign the report, deliver it, and have it read in the emergency room."""
        now, told = self._reach(now_min), CaseId(case_id)
        self.engine.sign(told, PersonId(person), now, transaction_uid=self._locks[case_id])
        self.engine.execute(told, _deliver, now)
        self._ring(now)

    def lost(self, person: str, case_id: str | None, now_min: Decimal) -> None:
        """Say that a reader's line is dead."""
        now = self._reach(now_min)
        self.engine.set_unavailable(PersonId(person), now, reason="no connection")
        self._ring(now)

    def minute(self, now_min: Decimal) -> BackupOrders:
        """Let the engine do what is due, and tell whom it has called and until when they stay."""
        self._reach(now_min)
        backups = {(each.person_id, each.called_at): each for each in self.engine.night.duty.backups.values()}
        calls = tuple(each.person_id for call, each in backups.items() if call not in self._until)
        kept = {
            str(each.person_id): at_min(each.until.timestamp())
            for call, each in backups.items()
            if call in self._until and each.until != self._until[call]
        }
        self._until.update((call, each.until) for call, each in backups.items())
        return BackupOrders(calls=calls, until_min=kept)

    def _reach(self, now_min: Decimal) -> datetime:
        """Let everything happen that is due until now, each at its time."""
        now = instant(now_min)
        while (due_at := self.engine.next_due_at()) is not None and due_at <= now:
            self.engine.run_due(due_at)
            self._ring(due_at)
        self.engine.start_if_needed(now)
        return now

    def _ring(self, now: datetime) -> None:
        """Let whoever hears their telephone answer it."""
        while self._phones.ringing:
            message = self._phones.ringing.pop(0)
            if not self._answers(message.person_id, at_min(now.timestamp())):
                continue
            if message.message_key.startswith(_BACKUP_CALL):
                self.engine.answer_backup_call(message.person_id, now, is_coming=True)
            elif message.case_id is not None and message.answer_token is not None:
                self.engine.acknowledge(message.case_id, message.person_id, now)


def _deliver(case: Case, context: Context) -> Facts:
    """Let the report arrive and be read at once: nothing is measured after the signature."""
    facts: tuple[Fact, ...] = tuple(send_report(case, context, channel="simulated"))
    facts += tuple(record_delivery(rehearse(case, facts), context, channel="simulated"))
    facts += tuple(acknowledge_report(rehearse(case, facts), "emergency room", context))
    return (*facts, *close(rehearse(case, facts), context))
