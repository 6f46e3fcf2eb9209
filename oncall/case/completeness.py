"""When the images of an exam are complete, and why: a pure decision over the evidence that a case has.

For: which evidence holds (`outlook`), what follows from it now (`due_images`), when to look again, and what becomes of
the radiographer's word (`hear_radiographer`). Not for: where evidence comes from, or the clock.

Rules
-----
* Named or counted instances that are missing stand against every other evidence: no quiet, no end of an association and
  no word without a number completes what is known to be incomplete. Only somebody who has been told that some are
  missing may insist.
* Of the evidence that holds when it is looked at the strongest is the rule (`EvidenceKind`), whatever came first.
* What is only presumed waits while the scanner says that the exam is under way, and does not hold while the hospital's
  link is lost. What was said before the newest image came does not say that there are no more.
* T1 is when the newest image came, by whichever rule: waiting for evidence is ours, not the patient's, so that another
  order of the same evidence gives the same hour.
* Late images, or evidence that some are missing, reopen the completeness; neither T1 nor the deadline moves.

Source: domain reference, sections 4.2 and 4.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from foundation.errors import PeerError, Refused
from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.image_evidence import (
    BUTTON_SOURCE,
    CONFIDENCE,
    STRENGTH,
    AssociationEnd,
    Confidence,
    EvidenceKind,
    ImageEvidence,
)
from oncall.case.intake_policy import IntakePolicy
from oncall.case.regions import ImagesState
from oncall.case.state import Case, rehearse

INSTANCES_MAX: Final = 100_000
"""More images than one exam has; a larger number is a slip of the hand."""


class Candidate(NamedTuple):
    """Evidence that holds, if no image comes before `due_at`."""

    kind: EvidenceKind
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a case's evidence comes to, if nothing more comes.

    ``missing`` counts the instances that are known to be missing; ``stalls_at`` is when their way counts as stopped.
    """

    candidates: tuple[Candidate, ...] = ()
    missing: int = 0
    stalls_at: datetime | None = None

    def rule_at(self, now: datetime) -> EvidenceKind | None:
        """Return the strongest evidence that holds at `now`."""
        held = [one.kind for one in self.candidates if one.due_at <= now]
        return min(held, key=lambda kind: STRENGTH[kind], default=None)

    @property
    def next_at(self) -> datetime | None:
        """When something follows from it; None when it never will by itself."""
        return min([*(one.due_at for one in self.candidates), *filter(None, [self.stalls_at])], default=None)


_NOTHING: Final = Outlook()


def outlook(case: Case, policy: IntakePolicy) -> Outlook:
    """Return what the evidence of images on their way, or of reopened ones, comes to."""
    images = case.images
    is_waiting = images.state in {ImagesState.ARRIVING, ImagesState.STALLED} or images.is_reopened
    if not is_waiting or images.latest_at is None:
        return _NOTHING
    missing, latest = known_missing(case), images.latest_at
    is_cut = _is_cut(case)
    stalls_at: datetime | None = None
    if (missing or is_cut or _is_link_lost(case)) and images.stalled_since is None:
        stalls_at = max(latest, images.reopened_at or latest) + timedelta(seconds=policy.stalled_s)
    held = tuple(_held(case, policy, latest, is_missing=missing > 0, is_cut=is_cut))
    return Outlook(candidates=held, missing=missing, stalls_at=stalls_at)


def known_missing(case: Case) -> int:
    """Return how many instances are known to be missing, by the scanner's lists or by a number that somebody said."""
    images = case.images
    listed = sum(one.missing for one in images.evidence if one.kind is EvidenceKind.MPPS_LIST)
    counted = [one for one in (*_said(case), *_of(case, EvidenceKind.EXAM_COMPLEMENT)) if not one.is_insisted]
    wanted = max([images.expected or 0, *(one.count or 0 for one in counted)])
    return max(listed, wanted - images.received, 0)


def next_look_at(case: Case, policy: IntakePolicy) -> datetime | None:
    """Return when `due_images` has something to say if no instance comes until then; None when it never will."""
    return outlook(case, policy).next_at


def needs_no_quiet(case: Case, policy: IntakePolicy) -> bool:
    """Tell whether the images are complete by what was named or counted, however soon after the last of them."""
    latest = case.images.latest_at
    return latest is not None and any(one.due_at <= latest for one in outlook(case, policy).candidates)


def due_images(case: Case, policy: IntakePolicy, now: datetime) -> Facts:
    """Complete or stall images on their way, or complete reopened ones again, if it is time.

    The hour begins when the last image came, not when its silence was noticed: waiting is ours, not the patient's.
    """
    images, found = case.images, outlook(case, policy)
    if images.latest_at is None:
        return ()
    context = Context(now=now, policy_version=policy.version)
    rule = found.rule_at(now)
    if rule is None:
        if found.stalls_at is None or found.stalls_at > now:
            return ()
        silent_s = (now - images.latest_at).total_seconds()
        return commands.stall(case, context, silent_s=silent_s, missing=found.missing)
    return commands.complete_images(
        case,
        replace(context, happened_at=max(images.latest_at, images.reopened_at or images.latest_at)),
        rule=rule.value,
        hour_s=policy.hour_s,
        target_s=policy.target_s.get(case.urgency),
        confidence=CONFIDENCE[rule].value,
        evidence=images.evidence,
    )


def standing_confidence(case: Case) -> Confidence | None:
    """Return how sure it is by all evidence up to now that the images are complete; None while they are not."""
    images = case.images
    if images.state is not ImagesState.COMPLETE or images.is_reopened or known_missing(case):
        return None
    later = [one.confidence for one in images.evidence if _counts_now(case, one)]
    at_first = [Confidence(images.confidence)] if images.confidence else [Confidence.PRESUMED]
    order = list(Confidence)
    return min([*at_first, *later], key=order.index)


def _counts_now(case: Case, one: ImageEvidence) -> bool:
    if one.kind is EvidenceKind.MPPS_LIST:
        return _is_proven(case)
    if one.count is not None:
        return case.images.received >= one.count
    return case.images.latest_at is None or one.at >= case.images.latest_at


def lists_to_compare(case: Case) -> tuple[str, ...]:
    """Return the performed procedure steps whose lists must be compared with what is here, now or again.

    Nothing is asked of a case before its first image: a list says nothing of when images come.
    """
    if not case.images.received:
        return ()
    whole = {one.source for one in _of(case, EvidenceKind.MPPS_LIST) if not one.missing}
    return tuple(step.mpps_uid for step in case.acquisition.steps if step.is_ended and step.mpps_uid not in whole)


# Which evidence holds


def _held(case: Case, policy: IntakePolicy, latest: datetime, *, is_missing: bool, is_cut: bool) -> Iterator[Candidate]:
    images, is_under_way = case.images, case.acquisition.is_under_way
    # What was enough before images came late waits for a moment of quiet after them.
    pause_s = policy.said_quiet_s if images.is_reopened else 0.0
    button = next(iter(_said(case)), None)
    if button is not None and button.is_insisted and _is_newer(case, button):
        yield Candidate(EvidenceKind.RADIOGRAPHER_BUTTON, button.at)
    if is_missing:
        return
    if _is_proven(case):
        yield Candidate(EvidenceKind.MPPS_LIST, _after(latest, pause_s))
    if button is not None and button.count is not None:
        yield Candidate(EvidenceKind.RADIOGRAPHER_BUTTON, _after(latest, pause_s))
    elif button is not None and _is_newer(case, button):
        yield Candidate(EvidenceKind.RADIOGRAPHER_BUTTON, _after(max(latest, button.at), policy.said_quiet_s))
    if images.expected is not None and not is_under_way:
        # A number made of the scanner's lists is nothing beside the lists themselves.
        wait_s = policy.quiet_s if _unverified(case) else pause_s
        yield Candidate(EvidenceKind.EXPECTED_COUNT, _after(latest, wait_s))
    for one in _of(case, EvidenceKind.EXAM_COMPLEMENT):
        if one.count is not None:
            yield Candidate(one.kind, _after(latest, pause_s))
        elif _is_newer(case, one):
            yield Candidate(one.kind, _after(max(latest, one.at), policy.said_quiet_s))
    if not _is_link_lost(case):
        yield from _presumed(case, policy, latest, is_under_way=is_under_way, is_cut=is_cut)


def _presumed(
    case: Case, policy: IntakePolicy, newest: datetime, *, is_under_way: bool, is_cut: bool
) -> Iterator[Candidate]:
    # What a lost link cut off has time to come once it is back.
    latest = max(newest, case.images.link_back_at or newest)
    waits = [policy.quiet_s]
    if is_under_way:
        waits.append(policy.exam_quiet_s)
    if is_cut:
        waits.append(policy.cut_quiet_s)
    yield Candidate(EvidenceKind.QUIET_PERIOD, _after(latest, max(waits)))
    if is_under_way or is_cut:
        return
    for kind, quiet_s in (
        (EvidenceKind.STORAGE_COMMITMENT, policy.commitment_quiet_s),
        (EvidenceKind.ASSOCIATION_END, policy.association_quiet_s),
    ):
        said = [one for one in _of(case, kind) if one.how in {"", AssociationEnd.RELEASED} and one.at >= newest]
        if said and _covers(case, said):
            yield Candidate(kind, _after(max(latest, *(one.at for one in said)), quiet_s))


def _of(case: Case, kind: EvidenceKind) -> list[ImageEvidence]:
    return [one for one in case.images.evidence if one.kind is kind]


def _said(case: Case) -> list[ImageEvidence]:
    return _of(case, EvidenceKind.RADIOGRAPHER_BUTTON)


def _is_newer(case: Case, said: ImageEvidence) -> bool:
    """Late images refute whoever said before that there are no more."""
    return case.images.reopened_at is None or said.at >= case.images.reopened_at


def _unverified(case: Case) -> list[str]:
    """Return the ended steps of the exam whose lists have not been compared with what is here."""
    known = {one.source for one in _of(case, EvidenceKind.MPPS_LIST)}
    return [step.mpps_uid for step in case.acquisition.steps if step.is_ended and step.mpps_uid not in known]


def _is_proven(case: Case) -> bool:
    """Every step has ended, each has listed what it made, all of that is here, and no study is without a list."""
    lists = _of(case, EvidenceKind.MPPS_LIST)
    if not lists or case.acquisition.is_under_way or _unverified(case):
        return False
    return all(one.count and not one.missing for one in lists) and _covers(case, lists)


def _covers(case: Case, said: Sequence[ImageEvidence]) -> bool:
    named = {uid for one in said for uid in one.studies}
    has_all = any(not one.studies for one in said)
    return has_all or named >= {study.study_instance_uid for study in case.images.studies}


def _is_cut(case: Case) -> bool:
    latest = case.images.latest_at
    ends = _of(case, EvidenceKind.ASSOCIATION_END)
    return any(one.how == AssociationEnd.CUT and (latest is None or one.at >= latest) for one in ends)


def _is_link_lost(case: Case) -> bool:
    """Images that came since say that the link is there, whatever the watchdog thinks."""
    lost, latest = case.images.link_lost_at, case.images.latest_at
    return lost is not None and (latest is None or latest <= lost)


def _after(at: datetime, seconds: float) -> datetime:
    return at + timedelta(seconds=seconds)


# The radiographer's word


class Doubt(StrEnum):
    """What speaks against the radiographer's word that these are all images."""

    MISSING = "missing"
    """Listed or counted images are not here: they may be sent again, or somebody may insist."""
    ARRIVING = "arriving"
    """Images came a moment ago: it counts as soon as no more come."""
    MORE_HERE = "more_here"
    """More images are here than the number that was said."""
    UNDER_WAY = "under_way"
    """The scanner has not said that the exam has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What became of the radiographer's word: whether the images are complete by it, and what speaks against it.

    ``complete_at`` is when they will be complete if no more come; None when they will not be by this word.
    """

    is_complete: bool
    doubts: tuple[Doubt, ...] = ()
    received: int = 0
    missing: int = 0
    complete_at: datetime | None = None


def hear_radiographer(
    case: Case, policy: IntakePolicy, context: Context, count: int | None, *, is_insisted: bool = False
) -> Facts:
    """Keep the radiographer's word that all images were sent, and complete them if it holds now.

    Parameters
    ----------
    count : int or None
        How many images the scanner shows, if somebody looked.
    is_insisted : bool
        Said again by somebody who was told which are missing: it completes them nevertheless.

    Raises
    ------
    Refused
        If no image has come.
    PeerError
        If the number is no number of images.
    """
    if case.images.state is ImagesState.NONE or not case.images.received:
        raise Refused("no image of this exam is here: send them first, or ask the site's administrator for the link")
    if count is not None and not 0 < count <= INSTANCES_MAX:
        raise PeerError(f"the number of images is between 1 and {INSTANCES_MAX}; leave it out if it is not known")
    word = ImageEvidence(
        kind=EvidenceKind.RADIOGRAPHER_BUTTON,
        source=BUTTON_SOURCE,
        at=context.at,
        count=count,
        missing=known_missing(case) if is_insisted else 0,
        is_insisted=is_insisted,
    )
    facts = commands.find_evidence(case, context, word)
    after = rehearse(case, facts) if facts else case
    return (*facts, *due_images(after, policy, context.now))


def said(case: Case, policy: IntakePolicy, count: int | None, now: datetime) -> Said:
    """Return what became of the radiographer's word, of the case after it."""
    found, received = outlook(case, policy), case.images.received
    is_complete = case.images.state is ImagesState.COMPLETE and not case.images.is_reopened
    doubts = []
    if found.missing and not is_complete:
        doubts.append(Doubt.MISSING)
    at = min((one.due_at for one in found.candidates), default=None)
    if not is_complete and at is not None and at > now:
        doubts.append(Doubt.ARRIVING)
    if count is not None and count < received:
        doubts.append(Doubt.MORE_HERE)
    if case.acquisition.is_under_way:
        doubts.append(Doubt.UNDER_WAY)
    return Said(is_complete=is_complete, doubts=tuple(doubts), received=received, missing=found.missing, complete_at=at)
