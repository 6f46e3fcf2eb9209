"""What an exam protocol says: phases or sequences, contrast, coverage; and one that was sent for a case. Frozen values.

For: the library's protocols and the contract between the radiologist who asks and the radiographer who performs. Not
for: reading and writing them (`oncall.protocol.documents`, `oncall.protocol.payload`), the words that people read
(`oncall.protocol.wording`), or DICOM attributes (the territory makes `pacs.worklist` values of them).

Invariants: texts are in one language; a protocol that was sent is whole: what it asks is read from it alone, whatever
becomes of the library. A delay counts from the beginning of the injection. Units are in the names.

References
----------
PS3.3 C.4.10 (Scheduled Protocol Code Sequence); CID 9 and the phases of contrast enhancement of PS3.16 CID 1200s are in
the codes of the library's documents.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from oncall.directory import PersonId
from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import CodedConcept


class PhaseKind(StrEnum):
    """What is acquired: a phase of a CT after contrast, or a sequence of an MR."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    PULMONARY = "pulmonary"
    PORTAL = "portal"
    DELAYED = "delayed"
    PERFUSION = "perfusion"
    SEQUENCE = "sequence"
    SEQUENCE_WITH_CONTRAST = "sequence_with_contrast"

    @property
    def is_with_contrast(self) -> bool:
        """Say whether contrast agent is in the body."""
        return self not in {PhaseKind.NATIVE, PhaseKind.SEQUENCE}


class ContrastKind(StrEnum):
    """Which family of contrast agents."""

    IODINATED = "iodinated"
    GADOLINIUM = "gadolinium"


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One phase of a CT, or one sequence of an MR.

    Attributes
    ----------
    phase_id : str
        Unique in its protocol.
    trigger : str
        What starts it when it is no delay: the threshold and place of bolus tracking.
    coverage_from, coverage_to : str
        Anatomical landmarks, in words.
    coverage_mm : int or None
        Along the body; a series that is shorter has not covered it.
    slice_mm : float or None
        Reconstructed slice thickness; a series that is thicker deviates.
    words : tuple of str
        By any of which a series description names this phase; small letters, no accents.
    is_optional : bool
        Nobody misses it when it was not acquired.
    """

    phase_id: str
    name: str
    kind: PhaseKind
    delay_s: float | None = None
    trigger: str = ""
    coverage_from: str = ""
    coverage_to: str = ""
    coverage_mm: int | None = None
    slice_mm: float | None = None
    kv: int | None = None
    words: tuple[str, ...] = ()
    is_optional: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """The contrast agent and how it is injected.

    ``concentration_mg_ml`` is of iodine; ``volume_ml`` or ``volume_ml_per_kg`` (at most ``volume_ml_max``) is given.
    """

    kind: ContrastKind
    agent: str
    code: CodedConcept | None = None
    concentration_mg_ml: int | None = None
    volume_ml: float | None = None
    volume_ml_per_kg: float | None = None
    volume_ml_max: float | None = None
    rate_ml_s: float | None = None
    saline_ml: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """One version of one protocol of the library, in one language.

    ``version`` is the library's, like a date; ``preparation`` is what is done before (venous access, oral contrast);
    ``instructions`` what the radiographer must not forget; ``is_unborn_exposed`` says whether an unborn child would lie
    in the beam or near it.
    """

    protocol_id: str
    version: str
    language: Language
    title: str
    modality: str
    exams: tuple[ExamKind, ...] = ()
    indications: tuple[str, ...] = ()
    codes: tuple[CodedConcept, ...] = ()
    phases: tuple[Phase, ...] = ()
    contrast: Contrast | None = None
    preparation: str = ""
    instructions: str = ""
    is_unborn_exposed: bool = False
    origin: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentProtocol:
    """The protocol that a radiologist sent for one case: what ``protocol.sent`` and ``protocol.superseded`` say.

    Attributes
    ----------
    version : int
        Counts what was sent for this case from 1; the radiographer acknowledges one of them.
    protocol_id, library_version : str
        Of the library's protocol; '' when it was written freely.
    text : str
        The radiologist's own words, beside or instead of a protocol of the library: clinical text.
    reason : str
        Why it supersedes the one before, or '': clinical text.
    """

    version: int
    author: PersonId | None
    sent_at: datetime
    title: str = ""
    modality: str = ""
    language: Language = Language.FRENCH
    protocol_id: str = ""
    library_version: str = ""
    text: str = ""
    codes: tuple[CodedConcept, ...] = ()
    phases: tuple[Phase, ...] = ()
    contrast: Contrast | None = None
    preparation: str = ""
    instructions: str = ""
    reason: str = ""
