"""What becomes of a report's deliveries, told to the case; and the alarm until a named clinician has acknowledged it.

For: news of deliveries as facts of cases, when a report counts as unread, its chain of pages at the hospital. Not for:
the deliveries themselves (`oncall.delivery`), or T4's meaning (`oncall.delivery.model`).

Invariants
----------
* The cursor moves in the commit of what it brought: no news is missed or told twice, whoever dies when.
* The alarm runs from the delivery (C9), and from the signature while nothing was delivered: a worker that is dead
  silences nothing. It ends with the acknowledgement of the newest version by a named clinician; neither opening the
  report nor answering a page ends it, and the ladder goes on to the next person.
* What was withdrawn after the hospital had it alarms at once.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from foundation import log
from foundation.errors import Refused
from oncall.case import commands_report
from oncall.case.clocks import DEFAULT_TARGETS
from oncall.case.commands import Context
from oncall.case.regions import DeliveryState as CaseDelivery
from oncall.case.regions import ReportState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.chain import Cause
from oncall.delivery.model import Delivery, DeliveryChannel, DeliveryNews, DeliveryState
from oncall.delivery.plan import plan
from oncall.delivery.policy import DEFAULT_POLICY
from oncall.directory import PersonId
from oncall.engine import paging
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft
from oncall.engine.ports import Cursor
from oncall.ladder import Purpose
from oncall.report.version import SignedVersion

CONSUMER: Final = "oncall.engine.deliveries"
"""Whose cursor on what became of deliveries."""

UNREAD: Final = "u"
"""Marks the chain about a report that no clinician has acknowledged."""

UNREAD_ALARM: Final = "unread"
"""Begins the name of its alarm among those of the case's watch."""

ReadNews = Callable[[], tuple[int, Sequence[DeliveryNews]]]
"""Returns how far this consumer has come, and what became of deliveries after that, oldest first."""

_ALERTED_IN: Final = frozenset({CaseDelivery.SENT, CaseDelivery.FAILED, CaseDelivery.DELIVERED})


class DeliveryTelling(Deciding):
    """The engine's method about deliveries."""

    def take_delivery_news(self, now: datetime, read: ReadNews) -> int:
        """Tell the cases what became of deliveries; return how much that was.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer; what was not taken is taken later.
        """
        taken = 0
        while batch := self._take_delivery_batch(now, read):
            taken += batch
        return taken

    def _take_delivery_batch(self, now: datetime, read: ReadNews) -> int:
        count = 0

        def decide(draft: Draft) -> None:
            nonlocal count
            position, news = read()
            count = len(news)
            take(draft, position, news)

        self._commit(now, decide)
        return count


def planned_for(draft: Draft, signed: SignedVersion) -> tuple[Delivery, ...]:
    """Return the deliveries of a version that is signed in this decision, those to readers of earlier ones included."""
    case_id = signed.version.case_id
    opened_by = {
        PersonId(event.fact.payload["person_id"])
        for event in draft.log_of(case_id)
        if event.type == EventType.REPORT_ACCESSED
    }
    return plan(
        signed, draft.case(case_id), draft.rules.directory, DEFAULT_POLICY, draft.now, opened_by=sorted(opened_by)
    )


def take(draft: Draft, position: int, news: Sequence[DeliveryNews]) -> None:
    """Tell cases what became of their deliveries, and keep how far that was."""
    for one in news:
        # The copy in the archive is no delivery to anybody; that it is not there yet is on its own record.
        if one.delivery.channel is not DeliveryChannel.ARCHIVE:
            _tell(draft, one)
    if news:
        draft.cursors.append(Cursor(CONSUMER, position, news[-1].position))


def _tell(draft: Draft, news: DeliveryNews) -> None:
    delivery = news.delivery
    case = draft.known(delivery.case_id)
    if case is None:
        log.error("delivery_without_case")
        return
    context = Context(
        now=draft.now,
        happened_at=min(news.occurred_at, draft.now),
        policy_version=draft.rules.reading.version,
        roster_version=draft.rules.roster.version,
    )
    channel, version = delivery.channel.value, delivery.version
    try:
        if case.report.version == version and case.delivery.sent_at is None:
            # What arrived, or could not, has left.
            facts = commands_report.send_report(case, context, channel=channel, recipient=delivery.recipient)
            draft.record(case.case_id, *facts)
            case = draft.case(case.case_id)
        match news.state:
            case DeliveryState.DELIVERED if delivery.is_t4:
                facts = commands_report.record_delivery(case, context, channel=channel, version=version)
            case DeliveryState.FAILED:
                facts = commands_report.record_delivery_failure(
                    case, context, channel=channel, reason=news.reason, version=version
                )
            case _:
                facts = ()
        draft.record(case.case_id, *facts)
    except Refused:
        # The case was closed, or reports a newer version: the delivery's own record has it all the same.
        log.info("delivery_news_too_late", state=news.state.value)


def overdue_at(case: Case) -> datetime | None:
    """Return when the newest version counts as unread; None when it was acknowledged, or there is none to read."""
    delivery, versions = case.delivery, case.report.versions
    if case.is_closed or delivery.acknowledged_at is not None:
        return None
    if case.report.state is ReportState.RETRACTED and delivery.first_delivered_at is not None:
        return delivery.first_delivered_at
    since = delivery.delivered_at or (versions[-1].signed_at if versions else None)
    return None if since is None else since + timedelta(seconds=DEFAULT_TARGETS.known_to_ed_s[case.urgency])


def alarm_name(case: Case) -> str:
    """Return the name of the newest version's alarm: each version has its own."""
    return f"{UNREAD_ALARM}:{case.report.version}"


def is_unread(case: Case, now: datetime) -> bool:
    """Say whether the newest version waits for a named clinician beyond its time."""
    overdue = overdue_at(case)
    return overdue is not None and overdue <= now


def look(draft: Draft, case: Case) -> None:
    """Alarm the hospital about an unread report, unless it is being alarmed."""
    if not is_unread(case, draft.now) or paging.running_chain(case, UNREAD) is not None:
        return
    if case.delivery.state in _ALERTED_IN:
        since = case.delivery.delivered_at or draft.now
        silent_s = (draft.now - since).total_seconds()
        draft.record(case.case_id, draft.fact(EventType.REPORT_NOT_ACCESSED_ALERT, silent_s=silent_s))
    ladder = draft.rules.ladder_for(Purpose.UNOPENED)
    paging.begin(draft, draft.case(case.case_id), Cause.SILENCE, mark=UNREAD, ladder=ladder)


def end_if_read(draft: Draft, case: Case) -> None:
    """End the alarm when a named clinician has acknowledged the newest version."""
    if case.delivery.acknowledged_at is not None and paging.running_chain(case, UNREAD) is not None:
        paging.close(draft, case, "acknowledged", UNREAD)
