"""Handover at a change of shift and of provider: the list is offered, accepted, or somebody is told that it was not.

For: who leaves and who comes, the list on record, the reminders to who came, the alarm to the coordinator, the baton
between providers (23:30). Not for: what is on the list (`oncall.reading.handover`), or how often and by what somebody
is told (`oncall.engine.notices`).

Invariants: a list with cases on it is accepted, or its silence reaches a coordinator, or the log says why it reached
nobody; cases themselves are paged for by their own chains, whoever accepts.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from foundation import log
from foundation.errors import PeerError
from oncall.directory import PersonId
from oncall.engine import assigning, notices
from oncall.engine.draft import Draft
from oncall.engine.duty import DutyType
from oncall.engine.notices import Notice
from oncall.engine.paging import SILENCE
from oncall.notify import NoticeKind
from oncall.reading.handover import Handover, handover
from oncall.rota.model import LineKind
from oncall.rota.timeline import provider_on
from oncall.timers import Timer

HANDOVER: Final = "handover"
ALARM: Final = "handover_alarm"


def due(draft: Draft, timer: Timer) -> None:
    """At a change of shift: who leaves hands over what they have not opened, with a list; who comes is told."""
    rules, now = draft.rules, draft.now
    set_timer(draft)
    before = set(rules.on(LineKind.DUTY, timer.due_at - timedelta(microseconds=1)))
    after = set(rules.on(LineKind.DUTY, now))
    leaving, arriving = frozenset(before - after), frozenset(after - before)
    for person_id in sorted(leaving | arriving):
        if draft.duty.unavailable.get(person_id) == SILENCE:
            draft.record_duty(draft.fact(DutyType.READER_BACK, person_id=person_id))
    for person_id in sorted(leaving):
        # Who goes home has nothing more to accept.
        _close(draft, person_id)
    if not leaving and not arriving:
        return
    _offer(draft, handover(assigning.board(draft), leaving, arriving, rules.directory, rules.reading), timer.due_at)
    assigning.assign(draft)


def set_timer(draft: Draft) -> None:
    """Set the timer of the next change of shift."""
    change = draft.rules.timeline.next_change(draft.now)
    if change is not None:
        draft.set_timer(Timer(timer_key=HANDOVER, kind=HANDOVER, due_at=change))


def accept(draft: Draft, person_id: PersonId, reason: str) -> None:
    """Record from when somebody answers for the list; nobody is reminded of it any more."""
    offered = notices.find(draft, f"{HANDOVER}:{person_id}")
    chain_id = "" if offered is None else offered.chain_id
    draft.record_duty(draft.fact(DutyType.HANDOVER_ACCEPTED, person_id=person_id, reason=reason, chain_id=chain_id))
    _close(draft, person_id)


def refuse(draft: Draft, person_id: PersonId) -> None:
    """Somebody does not take the list: the coordinator is told at once."""
    offered = notices.find(draft, f"{HANDOVER}:{person_id}")
    if offered is not None:
        _close(draft, person_id)
        alarm(draft, person_id, "declined", count=offered.count)


def opened(draft: Draft, person_id: PersonId) -> None:
    """Take opening a case for acceptance by somebody whose list still waits: who reads from it has it."""
    if notices.find(draft, f"{HANDOVER}:{person_id}") or notices.find(draft, f"{ALARM}:{person_id}"):
        accept(draft, person_id, "opened")


def alarm(draft: Draft, person_id: PersonId, reason: str, *, told: tuple[PersonId, ...] = (), count: int = 0) -> None:
    """Tell the next coordinator that somebody's list was not accepted; say so loudly when none is left."""
    coordinators = [one for one in draft.rules.on(LineKind.COORDINATOR, draft.now) if one not in told]
    draft.record_duty(
        draft.fact(DutyType.ESCALATION, person_id=person_id, about=HANDOVER, reason=reason, told=coordinators[:1])
    )
    if not coordinators:
        log.error("handover_not_accepted", reason="no_coordinator_left")
        return
    person = draft.rules.directory.persons.get(person_id)
    is_told = notices.tell(
        draft,
        f"{ALARM}:{person_id}",
        coordinators[0],
        NoticeKind.HANDOVER_ALARM,
        about_at=draft.now,
        place="Telegarde" if person is None else person.name,
        count=count,
        answer_s=draft.rules.engine.handover_answer_s,
        told=(*told, coordinators[0]),
    )
    if not is_told:
        alarm(draft, person_id, "no_contact_method", told=(*told, coordinators[0]), count=count)


def given_up(draft: Draft, notice: Notice, reason: str) -> None:
    """Go on from a list that was not accepted, or a coordinator who did not answer."""
    alarm(draft, PersonId(notice.name.partition(":")[2]), reason, told=notice.told, count=notice.count)


def alarm_answered(draft: Draft, name: str, by: PersonId, *, is_yes: bool) -> None:
    """Record that a coordinator knows of a list that was not accepted; after a no the next one is told at once."""
    notice = notices.find(draft, name)
    if not is_yes:
        # A no of somebody who is not the one asked now changes nothing: the next one is asked already.
        if notice is not None and notice.person_id == by:
            notices.close(draft, name)
            given_up(draft, notice, "declined")
        return
    draft.record_duty(
        draft.fact(DutyType.ESCALATION_ACKNOWLEDGED, person_id=name.partition(":")[2], about=HANDOVER, by=by)
    )
    notices.close(draft, name)


def pass_baton(draft: Draft, before: Mapping[str, Any]) -> dict[str, list[str]]:
    """Record, with the open cases, that sites are served by other providers than at the last look; return by whom."""
    present = providers(draft)
    changed = {site_id: [before[site_id], now] for site_id, now in present.items() if before.get(site_id, now) != now}
    if changed:
        cases = [
            [case.case_id, case.site_id, case.reading.state.value, case.reading.claimed_by or case.reading.assigned_to]
            for case in sorted(draft.every_case(), key=lambda one: one.case_id)
            if case.is_open and case.site_id in changed
        ]
        draft.record_duty(draft.fact(DutyType.PROVIDER_TOOK_OVER, sites=changed, items=cases))
    return present


def providers(draft: Draft) -> dict[str, list[str]]:
    """Return which providers serve each site now, in the site's order."""
    found: dict[str, list[str]] = {}
    for site_id, site in sorted(draft.rules.directory.sites.items()):
        try:
            found[site_id] = [str(one) for one in provider_on(site, draft.now, draft.rules.directory)]
        except PeerError:
            # The directory is wrong about one site: no reason to stop the forecast of all.
            log.error("site_provider_unknown", reason="not_in_directory")
    return found


def _offer(draft: Draft, found: Handover, at: datetime) -> None:
    items = [[item.case_id, item.state.value, item.from_person, item.to_person, item.is_kept] for item in found.items]
    draft.record_duty(
        draft.fact(DutyType.HANDOVER_OFFERED, leaving=list(found.leaving), arriving=list(found.arriving), items=items)
    )
    for person_id in found.arriving:
        # An empty list is good to know, and nothing to accept.
        answer_s = draft.rules.engine.handover_answer_s if items else 0.0
        is_told = notices.tell(
            draft, f"{HANDOVER}:{person_id}", person_id, NoticeKind.HANDOVER,
            about_at=at, count=len(items), answer_s=answer_s,
        )  # fmt: skip
        if not is_told and items:
            alarm(draft, person_id, "no_contact_method", count=len(items))


def _close(draft: Draft, person_id: PersonId) -> None:
    for kind in (HANDOVER, ALARM):
        notices.close(draft, f"{kind}:{person_id}")
