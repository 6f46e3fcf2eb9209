"""Which version may follow which, as a table; and what a history of signed versions says now.

For: the next version of a report (`following`), what stands (`in_force`), what was withdrawn, and whether a history is
one (`ensure_history`). Not for: who may sign (`oncall.engine.reporting`), or the case's own coarser table
(`oncall.case.state_tables`), which refuses the same.

Invariants: numbers count from 1 without gaps, each version holds the digest of the one before; an addendum stands
beside what it adds to and never hides it; a retraction withdraws everything before it and removes nothing; a
preliminary version never counts as the report: only a final one ends the wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from foundation.errors import PeerError, Refused
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.report.canonical import digest_of
from oncall.report.content import ReportContent
from oncall.report.version import Author, ReportVersion, SeenStudy, SignedVersion, VersionKind


class Standing(StrEnum):
    """Where a report is: what the last thing that happened to it was."""

    NOTHING = "nothing"
    DRAFT = "draft"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    ADDENDUM = "addendum"
    REPLACEMENT = "replacement"
    RETRACTION = "retraction"


class Step(StrEnum):
    """What can happen to a report: somebody begins to write, or signs a version of a kind."""

    DRAFTED = "drafted"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    ADDENDUM = "addendum"
    REPLACEMENT = "replacement"
    RETRACTION = "retraction"


_S = Standing
_FIRST: Final[Mapping[Step, Standing]] = MappingProxyType(
    {Step.DRAFTED: _S.DRAFT, Step.PRELIMINARY: _S.PRELIMINARY, Step.FINAL: _S.FINAL}
)


def _signed(now: Standing) -> Mapping[Step, Standing]:
    """Return the moves from a signed report, whose next draft does not change what stands."""
    return MappingProxyType(
        {
            Step.DRAFTED: now,
            Step.ADDENDUM: _S.ADDENDUM,
            Step.REPLACEMENT: _S.REPLACEMENT,
            Step.RETRACTION: _S.RETRACTION,
        }
    )


TABLE: Final[Mapping[Standing, Mapping[Step, Standing]]] = MappingProxyType(
    {
        _S.NOTHING: _FIRST,
        _S.DRAFT: _FIRST,
        _S.PRELIMINARY: MappingProxyType(
            {**_FIRST, Step.DRAFTED: _S.PRELIMINARY, Step.RETRACTION: _S.RETRACTION},
        ),
        _S.FINAL: _signed(_S.FINAL),
        _S.ADDENDUM: _signed(_S.ADDENDUM),
        _S.REPLACEMENT: _signed(_S.REPLACEMENT),
        _S.RETRACTION: MappingProxyType({**_FIRST, Step.DRAFTED: _S.RETRACTION}),
    }
)
"""What may happen when; a pair that is not here is refused."""

_ADVICE: Final[Mapping[Step, str]] = MappingProxyType(
    {
        Step.PRELIMINARY: "there is a final report: add an addendum, replace it or retract it",
        Step.FINAL: "a signed report never changes: add an addendum, replace it or retract it",
        Step.ADDENDUM: "an addendum adds to a final report that stands: sign that first",
        Step.REPLACEMENT: "only a final report that stands is replaced: sign that first",
        Step.RETRACTION: "nothing stands that could be withdrawn",
    }
)
# These stand for a whole report; an addendum only beside one.
_WHOLE: Final = frozenset({VersionKind.FINAL, VersionKind.REPLACEMENT})
# Say why, in words that the hospital reads.
_WITH_REASON: Final = frozenset({VersionKind.ADDENDUM, VersionKind.REPLACEMENT, VersionKind.RETRACTION})


class VersionRefused(Refused):
    """A version of this kind cannot follow; the message says what to do instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What somebody wants to sign: everything of a version but its place in the history.

    ``signed_at`` is UTC; ``patient_key`` that of the case at that instant.
    """

    case_id: CaseId
    kind: VersionKind
    content: ReportContent
    author: Author
    signed_at: datetime
    patient_key: str
    reason: str = ""
    seen: tuple[SeenStudy, ...] = ()


def after(standing: Standing, step: Step) -> Standing:
    """Return where a report is after a step.

    Raises
    ------
    VersionRefused
        If the step cannot be taken from there.
    """
    following_ = TABLE[standing].get(step)
    if following_ is None:
        message = f"no {step} of a report that is at {standing}: {_ADVICE[step]}"
        raise VersionRefused(message)
    return following_


def standing_of(history: Sequence[ReportVersion]) -> Standing:
    """Return where a report is after its signed versions, the first one first; nobody writes on it.

    Raises
    ------
    VersionRefused
        If one of them cannot follow the one before.
    """
    standing = Standing.NOTHING
    for version in history:
        standing = after(standing, Step(version.kind.value))
    return standing


def following(history: Sequence[SignedVersion], wanted: Wanted) -> ReportVersion:
    """Return what somebody wants to sign as the version that comes after a history.

    Raises
    ------
    VersionRefused
        If a version of this kind cannot follow.
    foundation.errors.PeerError
        If a reason is missing where readers need one.
    """
    versions = [signed.version for signed in history]
    after(standing_of(versions), Step(wanted.kind.value))
    if wanted.kind in _WITH_REASON and not wanted.reason.strip():
        message = f"a {wanted.kind} says why, in words that the hospital reads; give a reason"
        raise PeerError(message)
    return ReportVersion(
        case_id=wanted.case_id,
        version=len(history) + 1,
        kind=wanted.kind,
        content=wanted.content,
        author=wanted.author,
        signed_at=wanted.signed_at,
        patient_key=wanted.patient_key,
        reason=wanted.reason,
        replaces=_replaced(versions, wanted.kind),
        previous_digest=history[-1].digest if history else "",
        seen=wanted.seen,
    )


def repeated(history: Sequence[SignedVersion], wanted: Wanted) -> SignedVersion | None:
    """Return the version that somebody signs a second time (a request that is sent again); None for a new one.

    The same person, kind, words and reason, of what is not withdrawn: the instant and what was seen may differ.
    """
    gone = withdrawn([signed.version for signed in history])
    for signed in reversed(history):
        version = signed.version
        is_same = (version.kind, version.author.person_id, version.content, version.reason) == (
            wanted.kind,
            wanted.author.person_id,
            wanted.content,
            wanted.reason,
        )
        if is_same and version.version not in gone:
            return signed
    return None


def in_force(history: Sequence[ReportVersion]) -> tuple[ReportVersion, ...]:
    """Return the versions that stand together now, oldest first: a whole report with its addenda.

    The preliminary versions while there is no final one; empty when nothing is signed or everything was withdrawn.
    """
    gone = withdrawn(history)
    left = [one for one in history if one.version not in gone and one.kind is not VersionKind.RETRACTION]
    whole = max((one.version for one in left if one.kind in _WHOLE), default=0)
    return tuple(one for one in left if one.version >= whole)


def withdrawn(history: Sequence[ReportVersion]) -> frozenset[int]:
    """Return the numbers of the versions that a retraction withdrew: all before the last one but retractions."""
    last = max((one.version for one in history if one.kind is VersionKind.RETRACTION), default=0)
    return frozenset(one.version for one in history if one.version < last and one.kind is not VersionKind.RETRACTION)


def has_final(history: Sequence[ReportVersion]) -> bool:
    """Return whether a final report stands: what the hospital waits for, which a preliminary one is not."""
    return any(one.kind in _WHOLE for one in in_force(history))


def signers_of(history: Sequence[ReportVersion]) -> frozenset[PersonId]:
    """Return who signed what stands now."""
    return frozenset(one.author.person_id for one in in_force(history))


def ensure_history(history: Sequence[SignedVersion]) -> None:
    """Look whether versions are one whole history: numbers, chain of digests, kinds, references.

    Raises
    ------
    VersionRefused
        Naming the first version that is not what follows the one before.
    """
    for place, signed in enumerate(history):
        version, before = signed.version, history[:place]
        is_next = version.version == place + 1
        is_chained = version.previous_digest == (before[-1].digest if before else "")
        is_whole = digest_of(version) == signed.digest
        earlier = [one.version for one in before]
        if not (is_next and is_chained and is_whole and version.case_id == history[0].version.case_id):
            message = f"version {version.version} is not what was signed after version {place}"
            raise VersionRefused(message)
        after(standing_of(earlier), Step(version.kind.value))
        if version.replaces != _replaced(earlier, version.kind):
            message = f"version {version.version} does not name the version that it stands for or withdraws"
            raise VersionRefused(message)


def _replaced(history: Sequence[ReportVersion], kind: VersionKind) -> int | None:
    standing = in_force(history)
    if kind is VersionKind.REPLACEMENT:
        # Its addenda go with it.
        return standing[0].version
    return standing[-1].version if kind is VersionKind.RETRACTION else None
