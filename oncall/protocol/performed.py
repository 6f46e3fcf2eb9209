"""What was performed at the scanner, as far as it is known yet: series, and what the performed step said. Values.

For: what `oncall.protocol.comparison` compares with the protocol that was asked. Not for: where it comes from (a port:
the archive's index and the Modality Performed Procedure Steps).
"""

from dataclasses import dataclass, replace
from typing import Protocol as Port

from oncall.case.regions import StudyKey


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformedSeries:
    """One series that arrived, or that a performed step lists.

    Attributes
    ----------
    description, protocol_name : str
        The scanner's words: (0008,103E) and (0018,1030).
    has_contrast : bool or None
        Contrast/Bolus Agent (0018,0010) names one; None when its images say nothing about it.
    length_mm : float or None
        Extent of its images along their normal; None when unknown.
    is_settled : bool
        Nothing more of it is expected: another series came after it, or the exam is over.
    is_original : bool
        ORIGINAL\\PRIMARY in Image Type (0008,0008), and no localizer.
    """

    series_instance_uid: str
    modality: str = ""
    description: str = ""
    protocol_name: str = ""
    instances: int = 0
    has_contrast: bool | None = None
    slice_mm: float | None = None
    kv: float | None = None
    length_mm: float | None = None
    is_settled: bool = False
    is_original: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Performed:
    """What is known of the exam. ``codes`` are of Performed Protocol Code Sequence, ``(code, scheme)``.

    ``is_over`` says that the scanner, or the evidence for the images, says that nothing more is acquired.
    """

    series: tuple[PerformedSeries, ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    is_over: bool = False
    mpps_uid: str = ""

    def ended(self) -> "Performed":
        """Return the same exam with nothing more to come, whatever the scanner has said of it."""
        return replace(self, is_over=True, series=tuple(replace(one, is_settled=True) for one in self.series))


class PerformedFacts(Port):
    """Looks up what was performed for a case's studies."""

    def __call__(self, studies: tuple[StudyKey, ...], order_id: str, /) -> Performed:
        """Return what is known of studies, and of the performed steps of an order ('' for none).

        Raises
        ------
        foundation.errors.Unavailable
            If the index does not answer.
        """
