"""What is known of the completeness of images from elsewhere than the archive, told to their cases.

For: the radiographer's button, the lists of performed procedure steps compared with what is here, the hospital's word
that an exam is done (ANS flux 4). Not for: what evidence comes to (`oncall.case.completeness`), or what the archive
states (`oncall.engine.relay`).

Invariants: a list counts as complete only when every instance that it names was found here; a comparison that could
not be made is made again, and never counts as complete.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from oncall.case import commands, completeness
from oncall.case.completeness import Said
from oncall.case.event import Actor, CaseId
from oncall.case.image_evidence import EvidenceKind, ImageEvidence
from oncall.case.state import Case
from oncall.engine import rematch
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft
from oncall.engine.ports import Cursor, Store
from pacs.contracts import TOPIC_ORDER

CONSUMER: Final = "oncall.engine.completeness"
"""Whose cursor on what hospitals say of their orders."""

COMPARED_AGAIN_AFTER: Final = timedelta(seconds=5)
"""A list of which something is missing is compared again so often, and at once when as many images have come."""

_PERFORMED: Final = "performed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a performed procedure step lists: how many instances of which studies, and how many are not here."""

    count: int
    missing: int
    study_instance_uids: tuple[str, ...] = ()


class ImageFacts(Protocol):
    """What is asked of the archive and its orders; wired in `territory`."""

    def listed(self, mpps_uid: str) -> Listed | None:
        """Compare what a step lists with what is here; None when it lists nothing.

        Raises
        ------
        foundation.errors.Unavailable
            If the index does not answer.
        """

    def expected_of(self, order_id: str) -> int | None:
        """Return how many instances the hospital says that an order has come to; None when it has not."""


class _Compared(NamedTuple):
    """When a list was compared, and how many images the case had."""

    at: datetime
    received: int


class ImageCompleteness(Deciding):
    """The engine's methods about the completeness of images."""

    _store: Store
    # Of lists with something missing only; what is forgotten is compared once more.
    _lists_compared: Mapping[str, _Compared]

    def take_image_evidence(self, now: datetime, facts: ImageFacts) -> int:
        """Take what hospitals say of their exams, and compare the lists of finished steps; return how much was new.

        Raises
        ------
        foundation.errors.Unavailable
            If the index does not answer; what was not taken is taken later.
        """
        taken = 0
        while batch := self._take_complements(now, facts):
            taken += batch
        return taken + self._compare_lists(now, facts)

    def say_images_complete(
        self, case_id: CaseId, count: int | None, now: datetime, *, actor: Actor, is_insisted: bool = False
    ) -> Said:
        """The radiographer says that all images of the exam were sent; return what became of that word.

        It completes the images at once when as many are here as were said and none of the scanner's lists misses one;
        without a number, as soon as no more come. It is kept in any case, and never moves the hour.

        Parameters
        ----------
        count : int or None
            How many images the console shows, of all series; None when nobody counted.
        actor : Actor
            Who says so.
        is_insisted : bool
            Said again by somebody who was told that some are missing: it completes them nevertheless.

        Returns
        -------
        Said
            With every doubt, to be shown to whoever said it.

        Raises
        ------
        Refused
            If there is no such case, or none of its images is here.
        foundation.errors.PeerError
            If the number is no number of images.
        """
        gone_on = rematch.goes_on(self._draft(now), case_id)

        def decide(draft: Draft) -> None:
            case = draft.required(gone_on)
            context = replace(draft.context, actor=actor)
            policy = draft.rules.intake
            facts = completeness.hear_radiographer(case, policy, context, count, is_insisted=is_insisted)
            events = draft.record(gone_on, *facts)
            self._follow(draft, gone_on, events)

        self._commit(now, decide)
        return completeness.said(self.case(gone_on), self._draft(now).rules.intake, count, now)

    def _take_complements(self, now: datetime, facts: ImageFacts) -> int:
        count = 0

        def decide(draft: Draft) -> None:
            nonlocal count
            position = self._store.cursor(CONSUMER)
            events = self._store.stated_after(position, [TOPIC_ORDER])
            count = len(events)
            for event in events:
                order_id = str(event.payload.get("order_id") or "")
                if order_id and event.payload.get("change") == _PERFORMED:
                    at = min(datetime.fromtimestamp(event.created_at_s, UTC), now) if event.created_at_s else now
                    self._complement(draft, order_id, at, facts)
            if events:
                draft.cursors.append(Cursor(CONSUMER, position, events[-1].event_id))

        self._commit(now, decide)
        return count

    def _complement(self, draft: Draft, order_id: str, at: datetime, facts: ImageFacts) -> None:
        for case in _of_order(draft, order_id):
            said = ImageEvidence(
                kind=EvidenceKind.EXAM_COMPLEMENT, source=order_id, at=at, count=facts.expected_of(order_id)
            )
            self._find(draft, case, said)

    def _compare_lists(self, now: datetime, facts: ImageFacts) -> int:
        found, compared = 0, dict[str, _Compared]()
        for case in self.open_cases(now):
            for mpps_uid in completeness.lists_to_compare(case):
                last = self._lists_compared.get(mpps_uid)
                if last is not None and not _is_worth_it(case, mpps_uid, last, now):
                    compared[mpps_uid] = last
                    continue
                evidence = _evidence_of(mpps_uid, facts.listed(mpps_uid), now)
                compared[mpps_uid] = _Compared(now, case.images.received)
                found += self._keep(case.case_id, evidence, now)
        self._lists_compared = compared
        return found

    def _keep(self, case_id: CaseId, evidence: ImageEvidence, now: datetime) -> bool:
        is_new = False

        def decide(draft: Draft) -> None:
            nonlocal is_new
            is_new = self._find(draft, draft.required(case_id), evidence)

        self._commit(now, decide)
        return is_new

    def _find(self, draft: Draft, case: Case, evidence: ImageEvidence) -> bool:
        """Note evidence on a case and complete its images if they are; return whether it was new."""
        events = draft.record(case.case_id, *commands.find_evidence(case, draft.context, evidence))
        if events:
            policy, after = draft.rules.intake, draft.case(case.case_id)
            if completeness.needs_no_quiet(after, policy):
                due = completeness.due_images(after, policy, draft.now)
                events += draft.record(case.case_id, *due)
            self._follow(draft, case.case_id, events)
        return bool(events)


def _of_order(draft: Draft, order_id: str) -> Iterator[Case]:
    for case in draft.every_case():
        if case.is_open and case.request.request_id == order_id:
            yield case


def _evidence_of(mpps_uid: str, listed: Listed | None, now: datetime) -> ImageEvidence:
    if listed is None:
        # That a step names nothing is known then: it proves nothing.
        return ImageEvidence(kind=EvidenceKind.MPPS_LIST, source=mpps_uid, at=now, count=0)
    return ImageEvidence(
        kind=EvidenceKind.MPPS_LIST,
        source=mpps_uid,
        at=now,
        studies=listed.study_instance_uids,
        count=listed.count,
        missing=listed.missing,
    )


def _is_worth_it(case: Case, mpps_uid: str, last: _Compared, now: datetime) -> bool:
    """Tell whether a list may be whole that was not: enough images have come since, or some time has passed."""
    missing = next((one.missing for one in case.images.evidence if one.source == mpps_uid), 0)
    return case.images.received - last.received >= max(1, missing) or now - last.at >= COMPARED_AGAIN_AFTER
