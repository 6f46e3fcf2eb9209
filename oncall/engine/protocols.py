"""What consoles were given and what was performed, told to the cases: delivery of protocols, and deviations.

For: the engine's methods that take the topics ``worklist_delivered/1``, ``performed_step/1`` and
``instances_stored/1`` into the protocol region of cases. Not for: what deviates (`oncall.protocol.comparison`), or the
exam's own states (`oncall.engine.exams`).

Invariants: the cursor moves in the commit of what it brought; a deviation is said once for a version of the protocol,
however often it is looked for; an order or study that no open case has is passed over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from foundation import log
from foundation.errors import PeerError, Refused
from foundation.outbox import OutboxEvent
from oncall.case.event import CaseId
from oncall.case.regions import ImagesState, StudyKey
from oncall.engine.consuming import Consuming
from oncall.engine.draft import Draft
from oncall.protocol import commands
from oncall.protocol.comparison import deviations
from oncall.protocol.payload import protocol_in_force
from oncall.protocol.performed import PerformedFacts
from pacs.contracts import TOPIC_INSTANCES_STORED, TOPIC_PERFORMED_STEP, TOPIC_WORKLIST_DELIVERED

CONSUMER: Final = "oncall.engine.protocols"
"""Whose cursor on the outbox."""

TOPICS: Final = (TOPIC_WORKLIST_DELIVERED, TOPIC_PERFORMED_STEP, TOPIC_INSTANCES_STORED)


class Protocols(Consuming):
    """The engine's methods about protocols at the console."""

    _compared: set[tuple[CaseId, int]]
    """Cases, and versions of their protocols, whose finished exam was compared."""

    def take_protocol_news(self, now: datetime, performed: PerformedFacts) -> int:
        """Take what was delivered and performed into the cases; return how many events of the outbox.

        Raises
        ------
        foundation.errors.Unavailable
            If the index or the database does not answer; what was not taken is taken later.
        """

        def take_batch(draft: Draft, events: Sequence[OutboxEvent]) -> int:
            for case_id in take(draft, events):
                look(draft, case_id, performed)
            return len(events)

        return self._consume(now, CONSUMER, TOPICS, take_batch)

    def compare_finished(self, now: datetime, performed: PerformedFacts) -> None:
        """Compare the exams whose images have become complete: what was never acquired is missing now.

        Each case is looked at once in the life of this engine; nothing is said again.
        """
        for case in self.open_cases(now):
            key = (case.case_id, case.protocol.version)
            is_over = case.images.state is ImagesState.COMPLETE
            if is_over and case.protocol.sent_at is not None and key not in self._compared:
                case_id = case.case_id
                self._commit(now, lambda draft, case_id=case_id: look(draft, case_id, performed))  # type: ignore[misc]  # mypy does not type a lambda's default
                self._compared.add(key)


def take(draft: Draft, events: Sequence[OutboxEvent]) -> tuple[CaseId, ...]:
    """Record what consoles were given; return the cases for which something was performed, each once."""
    is_open = [case for case in draft.every_case() if case.is_open]
    by_order = {case.request.request_id: case.case_id for case in is_open if case.request.request_id}
    # Of every image that is stored by day: only what open cases have is looked at.
    by_study = {study: case.case_id for case in is_open for study in case.images.studies}
    touched: dict[CaseId, None] = {}
    for event in events:
        payload = event.payload
        if event.topic == TOPIC_WORKLIST_DELIVERED:
            case_id = by_order.get(payload["order_id"])
            if case_id is not None and payload["protocol_version"]:
                _delivered(draft, case_id, int(payload["protocol_version"]), str(payload["calling_aet"]))
        elif event.topic == TOPIC_PERFORMED_STEP:
            found = [by_order.get(order_id) for order_id in payload["order_ids"]]
            uids = payload["study_instance_uids"]
            found += [case_id for study, case_id in by_study.items() if study.study_instance_uid in uids]
            touched.update((one, None) for one in found if one is not None)
        else:
            case_id = by_study.get(StudyKey(payload["issuer"], payload["study_instance_uid"]))
            if case_id is not None:
                touched[case_id] = None
    return tuple(touched)


def look(draft: Draft, case_id: CaseId, performed: PerformedFacts) -> None:
    """Compare what was performed for a case with what was asked, and say what deviates."""
    case = draft.find(case_id)
    if case is None or not case.is_open:
        return
    asked = protocol_in_force(case)
    if asked is None or not asked.phases:
        return
    done = performed(case.images.studies, case.request.request_id)
    if case.images.state is ImagesState.COMPLETE:
        done = done.ended()
    for deviation in deviations(asked, done):
        try:
            facts = commands.detect(draft.case(case_id), draft.context, deviation, mpps_uid=done.mpps_uid)
            draft.record(case_id, *facts)
        except (Refused, PeerError):
            # A protocol that is proposed anew meanwhile: it is compared when it is sent.
            log.info("deviation_refused", state=case.protocol.state.value)


def _delivered(draft: Draft, case_id: CaseId, version: int, aet: str) -> None:
    case = draft.case(case_id)
    try:
        draft.record(case_id, *commands.deliver(case, draft.context, version=version, aet=aet))
    except (Refused, PeerError):
        log.info("protocol_delivery_too_late", state=case.protocol.state.value)
