"""Hospitals that should be sending and do not: kept with the night, told to their cases, and a human is alarmed.

For: the topic ``site_link/1`` (`pacs.contracts`), the degraded mode of open cases, the page. Not for: finding out that
a hospital is silent (`pacs.routing`), or what that means for completeness (`oncall.case.completeness`).

Invariants: every open case of a silent hospital is in degraded mode, also one that is opened while it is silent; while
a case waits for its images somebody is paged once about the hospital, by the ladder for stopped transfers, and not once
for each case. When the link is back the mode ends and the pages end; T1 stays when images were complete here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from foundation import log
from foundation.instants import microseconds
from foundation.outbox import OutboxEvent
from oncall.case.effects_images import SITE_LINK
from oncall.case.regions import ImagesState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.chain import Cause
from oncall.directory import SiteId
from oncall.engine import paging
from oncall.engine.consuming import Consuming
from oncall.engine.draft import Draft
from oncall.engine.duty import DutyType
from oncall.ladder import Purpose
from pacs.contracts import TOPIC_SITE_LINK

CONSUMER: Final = "oncall.engine.site_links"
"""Whose cursor on links of hospitals."""

STOPPED: Final = "t"
"""Marks the chain about images that do not come: a stopped transfer, or a lost link."""

FALLBACK: Final = "phone"
"""How hospital and reader reach each other meanwhile."""

_SILENT, _BACK = "silent", "back"


class SiteLinks(Consuming):
    """The engine's method about links of hospitals."""

    def take_site_links(self, now: datetime) -> int:
        """Take which hospitals fell silent, or are back; return how many events."""

        def take(draft: Draft, events: Sequence[OutboxEvent]) -> int:
            for event in events:
                _hear(draft, event.payload)
            return len(events)

        return self._consume(now, CONSUMER, [TOPIC_SITE_LINK], take)


def follow(draft: Draft) -> None:
    """Bring the cases that this decision touched into the mode of their hospital's link."""
    if not draft.duty.links_lost:
        return
    for case in list(draft.cases.values()):
        if case.is_open and case.site_id in draft.duty.links_lost:
            _degrade(draft, case)
            _page_if_waiting(draft, case.site_id)


def _hear(draft: Draft, said: Mapping[str, Any]) -> None:
    state, site_id = said.get("state"), SiteId(str(said.get("site_id", "")))
    if site_id not in draft.rules.directory.sites or state not in {_SILENT, _BACK}:
        log.error("site_link_unusable", state=str(state))
        return
    is_lost = site_id in draft.duty.links_lost
    if state == _SILENT and not is_lost:
        silent_s = said.get("since_s")
        since = draft.now - timedelta(seconds=silent_s if isinstance(silent_s, int | float) else 0)
        draft.record_duty(draft.fact(DutyType.SITE_LINK_LOST, site_id=site_id, since_us=microseconds(since)))
        for case in _open_of(draft, site_id):
            _degrade(draft, case)
        _page_if_waiting(draft, site_id)
    elif state == _BACK and is_lost:
        draft.record_duty(draft.fact(DutyType.SITE_LINK_BACK, site_id=site_id))
        for case in _open_of(draft, site_id):
            if case.images.link_lost_at is not None:
                draft.record(case.case_id, draft.fact(EventType.MODE_DEGRADED_LEFT, what=SITE_LINK))


def _open_of(draft: Draft, site_id: SiteId) -> list[Case]:
    return [case for case in draft.every_case() if case.is_open and case.site_id == site_id]


def _degrade(draft: Draft, case: Case) -> None:
    if draft.case(case.case_id).images.link_lost_at is None:
        fact = draft.fact(EventType.MODE_DEGRADED_ENTERED, what=SITE_LINK, fallback=FALLBACK)
        draft.record(case.case_id, fact)


def _page_if_waiting(draft: Draft, site_id: SiteId) -> None:
    """Page about the hospital once: about the most urgent case that waits for images."""
    since = draft.duty.links_lost[site_id]
    cases = _open_of(draft, site_id)
    if any(_is_paged(case, since) for case in cases):
        return
    waiting = [case for case in cases if case.images.state is not ImagesState.COMPLETE or case.images.is_reopened]
    if waiting:
        first = min(waiting, key=lambda case: (case.urgency, case.opened_at, case.case_id))
        ladder = draft.rules.ladder_for(Purpose.TECHNICAL)
        paging.begin(draft, first, Cause.TECHNICAL, mark=STOPPED, ladder=ladder)


def _is_paged(case: Case, since: datetime) -> bool:
    prefix = f"{case.case_id}/{STOPPED}"
    return any(one.chain_id.startswith(prefix) and one.started_at >= since for one in case.escalations)
