"""How far a second reader agrees, on the scale of RADPEER, and what a discrepancy was about.

1 is agreement; 2 a discrepancy in what is hard to see, 3 in what should be seen most of the time, 4 in what should be
seen almost every time; b is added when it is likely to matter to the patient, a when not.
Source: §4.2 (RADPEER-like 1 to 4, a/b clinical significance).
"""

from enum import StrEnum


class Score(StrEnum):
    """Agreement of a second reader with the first."""

    AGREE = "1"
    HARD_MINOR = "2a"
    HARD_SIGNIFICANT = "2b"
    USUAL_MINOR = "3a"
    USUAL_SIGNIFICANT = "3b"
    OBVIOUS_MINOR = "4a"
    OBVIOUS_SIGNIFICANT = "4b"

    @property
    def is_discrepancy(self) -> bool:
        """Whether the two readers do not agree."""
        return self is not Score.AGREE

    @property
    def is_significant(self) -> bool:
        """Whether it is likely to matter to the patient: the hospital must be told."""
        return self.value.endswith("b")


class DiscrepancyKind(StrEnum):
    """What a discrepancy was about."""

    MISSED = "missed"
    OVERCALLED = "overcalled"
    MISINTERPRETED = "misinterpreted"
    WRONG_SIDE_OR_LEVEL = "wrong_side_or_level"
    NOT_COMMUNICATED = "not_communicated"
    TECHNIQUE = "technique"
    OTHER = "other"


class BodyRegion(StrEnum):
    """Where a discrepancy was."""

    HEAD = "head"
    NECK = "neck"
    SPINE = "spine"
    CHEST = "chest"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    LIMBS = "limbs"
    VESSELS = "vessels"


class CorrectionBy(StrEnum):
    """Who corrects the report: its author, or the second reader."""

    FIRST_READER = "first_reader"
    SECOND_READER = "second_reader"
