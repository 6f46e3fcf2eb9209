"""What says that the images of an exam are complete: the kinds of evidence, how far each is trusted, and the values.

For: the words (`EvidenceKind`, `Confidence`) and one piece of evidence as a case keeps it. Not for: what follows from
it (`oncall.case.completeness`), or where it comes from (`oncall.case.intake`, `oncall.engine.completeness`).

Invariants: a case keeps one piece of each kind and source, so that what is said twice counts once; the strength of a
kind is its place in `EvidenceKind`, strongest first, and nothing else.

Source: domain reference, section 4.2 (``images.complete``: record which rule).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from foundation.instants import microseconds


class EvidenceKind(StrEnum):
    """What says that all images are here, strongest first."""

    MPPS_LIST = "mpps_list"
    """Every instance that the scanner's performed procedure step lists is here (PS3.4 F, Performed Series Sequence)."""
    RADIOGRAPHER_BUTTON = "radiographer_button"
    """The radiographer says so, with or without a number of images."""
    EXPECTED_COUNT = "expected_count"
    """As many instances are here as somebody said there would be."""
    EXAM_COMPLEMENT = "exam_complement"
    """The hospital's order says that the exam is done (ANS Volet Téléradiologie, flux 4)."""
    STORAGE_COMMITMENT = "storage_commitment"
    """The scanner has asked to commit to what it sent (PS3.4 J), and all of that is here."""
    ASSOCIATION_END = "association_end"
    """The association that sent them was released, and nothing came after it."""
    QUIET_PERIOD = "quiet_period"
    """Nothing has come for a while: a guess."""


class Confidence(StrEnum):
    """How far a kind of evidence is trusted, best first."""

    PROVEN = "proven"
    """Each instance was named and is here."""
    STATED = "stated"
    """Somebody who knows how many there are, or that there are no more, has said so."""
    PRESUMED = "presumed"
    """Concluded from how the sender behaves."""


CONFIDENCE: Final[Mapping[EvidenceKind, Confidence]] = MappingProxyType(
    {
        EvidenceKind.MPPS_LIST: Confidence.PROVEN,
        EvidenceKind.RADIOGRAPHER_BUTTON: Confidence.STATED,
        EvidenceKind.EXPECTED_COUNT: Confidence.STATED,
        EvidenceKind.EXAM_COMPLEMENT: Confidence.STATED,
        # Many scanners ask after each series, or after each image.
        EvidenceKind.STORAGE_COMMITMENT: Confidence.PRESUMED,
        EvidenceKind.ASSOCIATION_END: Confidence.PRESUMED,
        EvidenceKind.QUIET_PERIOD: Confidence.PRESUMED,
    }
)
"""How far each kind is trusted."""

STRENGTH: Final[Mapping[EvidenceKind, int]] = MappingProxyType({kind: place for place, kind in enumerate(EvidenceKind)})
"""0 is the strongest."""

BUTTON_SOURCE: Final = "radiographer"
"""The source of the button: pressed again, it says something else instead."""


class AssociationEnd(StrEnum):
    """How an association ended that sent images (``association_ended/1``)."""

    RELEASED = "released"
    ABORTED = "aborted"
    """By the sender, between two messages: some programs end so."""
    CUT = "cut"
    """In the middle of an image, by a lost connection or a time-out: more was to come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageEvidence:
    """One piece of evidence. ``source`` tells two of a kind apart: an MPPS UID, a study, a transaction, an order.

    ``at`` is when it was said (UTC); ``studies`` the Study Instance UIDs that it is about, none for all of the case.
    ``count`` is how many instances it says there are, ``missing`` how many of those were not here when it was looked.
    ``is_insisted`` marks the word of a person who was told what is missing. ``how`` is how an association ended.
    """

    kind: EvidenceKind
    source: str
    at: datetime
    studies: tuple[str, ...] = ()
    count: int | None = None
    missing: int = 0
    is_insisted: bool = False
    how: str = ""

    @property
    def confidence(self) -> Confidence:
        """How far it is trusted."""
        return CONFIDENCE[self.kind]

    def payload(self) -> dict[str, Any]:
        """Return it as the log keeps it (`images.evidence_found`, and listed in `images.complete`)."""
        said: dict[str, Any] = {"kind": self.kind.value, "source": self.source, "confidence": self.confidence.value}
        if self.studies:
            said["studies"] = list(self.studies)
        if self.count is not None:
            said["count"] = self.count
        if self.missing:
            said["missing"] = self.missing
        if self.is_insisted:
            said["is_insisted"] = True
        if self.how:
            said["how"] = self.how
        return said

    def listed(self) -> dict[str, Any]:
        """Return it as `images.complete` lists it: with when it was said."""
        return {**self.payload(), "at_us": microseconds(self.at)}


def evidence_of(payload: Mapping[str, Any], at: datetime) -> ImageEvidence:
    """Return the evidence that the payload of an `images.evidence_found` holds."""
    return ImageEvidence(
        kind=EvidenceKind(payload["kind"]),
        source=payload.get("source", ""),
        at=at,
        studies=tuple(payload.get("studies", ())),
        count=payload.get("count"),
        missing=payload.get("missing", 0),
        is_insisted=payload.get("is_insisted", False),
        how=payload.get("how", ""),
    )


def with_evidence(known: tuple[ImageEvidence, ...], new: ImageEvidence) -> tuple[ImageEvidence, ...]:
    """Return `known` with the later of `new` and what the same source said of the same kind before.

    Kept in one order, so that the order in which it came makes no difference.
    """
    others = [one for one in known if (one.kind, one.source) != (new.kind, new.source)]
    before = next((one for one in known if (one.kind, one.source) == (new.kind, new.source)), new)
    kept = new if new.at >= before.at else before
    return tuple(sorted([*others, kept], key=lambda one: (STRENGTH[one.kind], one.source)))


def without_study(known: Iterable[ImageEvidence], study_instance_uid: str) -> tuple[ImageEvidence, ...]:
    """Return the evidence that is left when a study has gone to another case."""
    return tuple(one for one in known if one.studies != (study_instance_uid,))
