"""What kind of exam a scanner's own words mean: Study and Series Description, Body Part Examined, Protocol Name.

For: `exam_of`, a look-up in one table of French and English words. Not for: how urgent that is (triage does that).

Words are compared without case and accents, whole words only. The first row of the table that has one of the words
decides, so that a stroke protocol of the head is a stroke; an exam that names nothing known is None, and the rule that
made the study an emergency says what it is. Body Part Examined has the terms of PS3.16 annex L in it. Trunk scans
(TAP, thorax to pelvis) count as abdomen, the longest part to read: only what says so is a whole-body trauma scan.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from oncall.reading.board import ExamKind

EXAM_WORDS: Final[tuple[tuple[ExamKind, frozenset[str]], ...]] = (
    (
        ExamKind.STROKE,
        frozenset({"avc", "stroke", "thrombolyse", "thrombolysis", "thrombectomie", "thrombectomy", "ait", "tia"}),
    ),
    (
        ExamKind.WHOLE_BODY,
        frozenset(
            {"polytrauma", "polytraumatise", "bodyscan", "body scan", "bodyscanner", "pantraumascan", "panscan",
             "wbct", "whole body", "wholebody", "corps entier"}
        ),
    ),
    (
        ExamKind.ABDOMEN,
        frozenset(
            {"abdomen", "abdominal", "abdominale", "abdo", "abdomino", "abdominopelvien", "abdominopelvienne",
             "abdopelvis", "abdomenpelvis", "chestabdpelvis", "chestabdomen", "tap", "pelvis", "pelvien", "pelvienne",
             "uroscanner", "urotdm", "colique nephretique", "liver", "foie", "kidney", "rein", "reins", "appendicite",
             "appendicitis", "pancreas"}
        ),
    ),
    (
        ExamKind.CHEST,
        frozenset(
            {"chest", "thorax", "thoracique", "poumon", "poumons", "lung", "embolie pulmonaire", "pulmonary embolism",
             "angioscanner thoracique", "heart", "coeur", "aorta", "aorte"}
        ),
    ),
    (
        ExamKind.HEAD,
        frozenset(
            {"head", "brain", "skull", "crane", "cranien", "cranienne", "cerebral", "cerebrale", "cerveau", "encephale",
             "encephalique", "tete", "tsa", "polygone", "face", "facial", "sinus", "orbit", "orbite", "headneck"}
        ),
    ),
    (
        ExamKind.MSK,
        frozenset(
            {"spine", "cspine", "tspine", "lspine", "rachis", "cervical", "lombaire", "lumbar", "dorsal", "hip",
             "hanche", "bassin", "femur", "knee", "genou", "ankle", "cheville", "foot", "pied", "shoulder",
             "epaule", "elbow", "coude", "wrist", "poignet", "hand", "main", "extremity", "membre"}
        ),
    ),
)  # fmt: skip
"""Words by exam, the exam that matters most first."""

_BETWEEN_WORDS: Final = re.compile(r"[^a-z0-9]+")


def exam_of(words: Iterable[str]) -> ExamKind | None:
    """Return what kind of exam texts from a scanner name, or None when they name none that is known."""
    said = f" {' '.join(map(_plain, words))} "
    for exam, names in EXAM_WORDS:
        if any(f" {name} " in said for name in names):
            return exam
    return None


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _BETWEEN_WORDS.sub(" ", bare).strip()
