"""What hospitals order, taken into the cases: an emergency's order opens one, changes it, takes it back, ends its exam.

For: the engine's method that takes the topic ``order/1``, and the port through which it sees an order. Not for: what an
order says (`pacs.worklist`), or requests of the form, which open their cases themselves.

Invariants
----------
* An order opens one case, however often it is told and whoever is first, the form or the engine: its id follows from
  the order's.
* T0 is when the order was placed, whenever the engine comes to it.
* An order that is taken back ends a request, never the reading of images that are here: somebody may depend on it.
* An order of somebody else blocks the identity, unless the hospital has said that both are one patient.
* The cursor moves in the commit of what it brought.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from foundation import log
from foundation.errors import PeerError, Refused
from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.commands import Context, NewRequest
from oncall.case.event import Actor, CaseId
from oncall.case.exam_words import exam_of
from oncall.case.image_evidence import EvidenceKind, ImageEvidence
from oncall.case.regions import ExamState, IdentityState, ImagesState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import SiteId
from oncall.engine import opening, rematch
from oncall.engine.consuming import Consuming
from oncall.engine.draft import Draft
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.triage import RequestFacts, triage
from pacs.contracts import TOPIC_ORDER

CONSUMER: Final = "oncall.engine.orders"
"""Whose cursor on the outbox."""

TOPICS: Final = (TOPIC_ORDER,)

EXAM_WHEN_UNKNOWN: Final = ExamKind.ABDOMEN
"""What an order counts as whose codes and words name no kind of exam: the longest of the common reads."""

FORM_S: Final = 5.0
"""Between the order of the form and its case; what has none after this is opened here: the form has died in between."""

ORDER_CANCELLED: Final = "order_cancelled"
"""The ``kind`` of the action that is recorded when an order is taken back and its images are read all the same."""

_HOSPITAL: Final = "hospital"


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedExam:
    """An order as the engine sees it: no name, no identifier of the patient.

    Attributes
    ----------
    is_web : bool
        It came by the form or the JSON interface, which opens the case.
    is_cancelled : bool
    exam : str
        A word of `ExamKind` when the order's codes say it; '' leaves it to ``words``.
    urgency : str
        ``1``, ``2`` or ``3``; '' for an order that is none of the on-call service's.
    patient_key : str
        Of whom the order is now.
    former_patient_keys : frozenset of str
        Of identifiers that the hospital has merged into, or linked with, that one.
    is_identity_qualified : bool
        The INS is qualified.
    wanted_by : datetime or None
        UTC; until when the hospital wishes the result.
    motive : str
        Why it was taken back: clinical text.
    performed : tuple of StudyKey
        The studies that the hospital says were made of it.
    """

    order_id: str
    site_id: SiteId
    is_web: bool = False
    is_cancelled: bool = False
    exam: str = ""
    words: tuple[str, ...] = ()
    urgency: str = ""
    patient_key: str = ""
    former_patient_keys: frozenset[str] = frozenset()
    is_identity_qualified: bool = False
    placer_order_number: str = ""
    accession_number: str = ""
    requester: str = ""
    modality: str = ""
    onset_at: datetime | None = None
    wanted_by: datetime | None = None
    motive: str = ""
    source_message: str = ""
    performed: tuple[StudyKey, ...] = ()
    expected_instances: int | None = None


OrderDescriber = Callable[[str], OrderedExam | None]
"""Looks an order up as it is now; None when there is none. Raises `foundation.errors.Unavailable`."""


class Orders(Consuming):
    """The engine's method about orders."""

    def take_orders(self, now: datetime, describe: OrderDescriber) -> int:
        """Take what was ordered into the cases; return how many events of the outbox that was.

        Raises
        ------
        foundation.errors.Unavailable
            If the orders or the database do not answer; what was not taken is taken later.
        """

        def take(draft: Draft, events: Sequence[OutboxEvent]) -> int:
            for count, event in enumerate(events):
                order = describe(str(event.payload["order_id"]))
                if order is None:
                    log.error("order_without_row", offset=event.event_id)
                elif _is_the_forms(draft, event, order):
                    return count
                else:
                    self._take_order(draft, event, order)
            return len(events)

        return self._consume(now, CONSUMER, TOPICS, take)

    def _take_order(self, draft: Draft, event: OutboxEvent, order: OrderedExam) -> None:
        before = len(draft.events)
        case = case_of(draft, order.order_id)
        try:
            match event.payload["change"]:
                case "placed" | "updated":
                    place(draft, case, order, _context(draft, event, order))
                case "cancelled" if case is not None:
                    cancel(draft, case, order, _context(draft, event, order))
                case "performed" if case is not None:
                    perform(draft, case, order, _context(draft, event, order))
                case _:
                    pass
        except (Refused, PeerError) as error:
            # The order stays as it is on its own record, and on the worklist.
            log.error("order_refused_by_case", offset=event.event_id, error=type(error).__name__)
        for case_id in dict.fromkeys(one.case_id for one in draft.events[before:]):
            if draft.find(case_id) is not None:
                self._follow(draft, case_id, [one for one in draft.events[before:] if one.case_id == case_id])


def case_id_of(order_id: str) -> CaseId:
    """Return the id of the case that an order opens."""
    return CaseId(f"order-{order_id}")


def case_of(draft: Draft, order_id: str) -> Case | None:
    """Return the case in which an order goes on: its own, or the one that it was merged into; None without one."""
    own = draft.known(case_id_of(order_id))
    if own is None:
        named = (case for case in draft.every_case() if case.request.request_id == order_id)
        own = max(named, key=lambda case: (case.is_open, case.opened_at), default=None)
    return None if own is None else draft.case(rematch.goes_on(draft, own.case_id))


def place(draft: Draft, case: Case | None, order: OrderedExam, context: Context) -> None:
    """Open the case of an emergency's order, or say to its case what is new."""
    if order.is_cancelled:
        return
    if case is None:
        if order.urgency:
            _open(draft, order, context)
        return
    if case.is_open:
        _update(draft, case, order, context)


def cancel(draft: Draft, case: Case, order: OrderedExam, context: Context) -> None:
    """Withdraw the request of an order that was taken back; images that are here are read all the same."""
    if not case.is_open:
        return
    motive = order.motive or "the hospital has taken the order back"
    if case.images.state is ImagesState.NONE:
        draft.record(case.case_id, *commands.withdraw(case, context, motive=motive))
        return
    noted = commands.say(case, context, EventType.ACTION_RECORDED, kind=ORDER_CANCELLED, note=motive)
    draft.record(case.case_id, *noted)


def perform(draft: Draft, case: Case, order: OrderedExam, context: Context) -> None:
    """Record that the hospital says that the exam is done (ANS flow 4): evidence that its images are complete."""
    if not case.acquisition.steps and case.acquisition.state is not ExamState.COMPLETED:
        study = order.performed[0] if order.performed else None
        done = commands.say(
            case, context, EventType.EXAM_COMPLETED,
            issuer=None if study is None else study.issuer,
            study_instance_uid=None if study is None else study.study_instance_uid,
            expected=order.expected_instances,
        )  # fmt: skip
        draft.record(case.case_id, *done)
    said = ImageEvidence(
        kind=EvidenceKind.EXAM_COMPLEMENT,
        source=order.order_id,
        at=context.at,
        studies=tuple(study.study_instance_uid for study in order.performed),
        count=order.expected_instances,
    )
    draft.record(case.case_id, *commands.find_evidence(draft.case(case.case_id), context, said))


def _open(draft: Draft, order: OrderedExam, context: Context) -> None:
    if order.site_id not in draft.rules.directory.sites:
        raise Refused("the order's site is not in the directory: publish it")
    case_id = case_id_of(order.order_id)
    opening.open_case(draft, case_id, _request(draft, order, context), context)
    case_id = rematch.goes_on(draft, case_id)
    _qualify(draft, case_id, order, context)
    _wish(draft, case_id, order, context)


def _is_the_forms(draft: Draft, event: OutboxEvent, order: OrderedExam) -> bool:
    """Say whether the form is about to open this order's case; if it died, it is opened here a moment later."""
    if not order.is_web or order.is_cancelled or not order.urgency or case_of(draft, order.order_id) is not None:
        return False
    return (draft.now.timestamp() - event.created_at_s) < FORM_S


def _update(draft: Draft, case: Case, order: OrderedExam, context: Context) -> None:
    known = case.patient_key
    if order.patient_key and known != order.patient_key and known in order.former_patient_keys:
        merged = commands.say(
            case, context, EventType.IDENTITY_MERGED,
            patient_key=order.patient_key, former_patient_key=known, reason="the hospital has merged the two",
        )  # fmt: skip
        draft.record(case.case_id, *merged)
    request = _request(draft, order, context, known=case)
    # What the form said of a case, the form has told it.
    if not order.is_web and _says_something(draft.case(case.case_id), request):
        opening.say_again(draft, draft.case(case.case_id), request, context)
    _qualify(draft, case.case_id, order, context)
    _wish(draft, case.case_id, order, context)


def _says_something(case: Case, request: NewRequest) -> bool:
    known = case.request
    said = (
        (known.request_id, request.request_id),
        (known.placer_order_number, request.placer_order_number),
        (known.accession_number, request.accession_number),
        (known.requester, request.requester),
        (known.modality, request.modality),
        (known.onset_at, request.onset_at),
        (case.patient_key, request.patient_key),
    )
    is_more = any(new and new != old for old, new in said)
    return is_more or request.urgency < case.urgency or known.submitted_at is None


def _request(draft: Draft, order: OrderedExam, context: Context, *, known: Case | None = None) -> NewRequest:
    """Return what an order asks for; what it leaves open stays as its case has it."""
    unknown = EXAM_WHEN_UNKNOWN if known is None else known.exam
    exam = ExamKind(order.exam) if order.exam in set(ExamKind) else exam_of(order.words) or unknown
    requested = Urgency.P3 if known is None else known.urgency
    decided = triage(
        RequestFacts(
            exam=exam,
            requested=Urgency(int(order.urgency)) if order.urgency else requested,
            at_s=context.at.timestamp(),
            last_known_well_at_s=None if order.onset_at is None else order.onset_at.timestamp(),
            # Any reader of the night reads any region; only strokes and polytraumas need more.
            is_general_enough=True,
        ),
        draft.rules.reading,
    )
    return NewRequest(
        site_id=order.site_id,
        exam=exam,
        urgency=decided.urgency,
        needs=decided.needs,
        patient_key=order.patient_key,
        request_id=order.order_id,
        placer_order_number=order.placer_order_number,
        accession_number=order.accession_number,
        requester=order.requester,
        modality=order.modality,
        onset_at=order.onset_at,
    )


def _qualify(draft: Draft, case_id: CaseId, order: OrderedExam, context: Context) -> None:
    """Record that the patient's national identity is qualified, unless it is contested whose the case is."""
    identity = draft.case(case_id).identity
    is_theirs = identity.patient_key == order.patient_key and identity.state is IdentityState.KNOWN
    if order.is_identity_qualified and is_theirs:
        rematch.qualify_identity(draft, case_id, order.patient_key, context, method="INS qualified by the hospital")


def _wish(draft: Draft, case_id: CaseId, order: OrderedExam, context: Context) -> None:
    """Bring the live target nearer when the hospital wishes the result earlier; nothing here puts it off."""
    case = draft.case(case_id)
    if order.wanted_by is None or order.wanted_by <= draft.now or not case.is_open:
        return
    if case.images.target_at is not None and case.images.target_at <= order.wanted_by:
        return
    wished = commands.triage(
        case, context, urgency=case.urgency, reason="wished by the hospital", target_at=order.wanted_by
    )
    draft.record(case_id, *wished)


def _context(draft: Draft, event: OutboxEvent, order: OrderedExam) -> Context:
    stated_at = datetime.fromtimestamp(event.created_at_s, tz=UTC) if event.created_at_s else draft.now
    return replace(
        draft.context,
        actor=Actor(who=order.site_id, role=_HOSPITAL),
        happened_at=min(stated_at, draft.now),
        source_message=order.source_message,
    )
