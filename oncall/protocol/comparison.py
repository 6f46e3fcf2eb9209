"""What was performed, compared with what was asked, while the patient is still on the table.

For: `compare`, what of the protocol has been seen and what has not; `deviations`, what somebody must justify. Not for:
recording them (`oncall.engine.protocols`). Pure.

Invariants
----------
* A series counts as a phase only when its own words name it and its contrast does not contradict: "without" is never
  taken for a phase with contrast.
* Nothing is called missing before the exam is over, nor while a series that nobody recognised could be it: scanners
  call things as they like. What could not be recognised is shown as such and never counted as seen.
* More is no deviation, but contrast that nobody asked for.
* A deviation has an id that follows from what it is about: found again, it is the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from oncall.protocol.model import Phase, PhaseKind, SentProtocol
from oncall.protocol.performed import Performed, PerformedSeries

SLICE_TOLERANCE: Final = 1.1
"""Scanners round: 1.25 mm is sent as 1.2 or 1.3."""

COVERAGE_TOLERANCE: Final = 0.85
"""People are of different height: shorter than this part of the usual length is not covered."""

KV_TOLERANCE: Final = 30.0
"""Automatic tube voltage goes a step or two; three is another exam."""

_IMAGES: Final = frozenset({"CT", "MR", "PT", "CR", "DX", "XA", "US", "NM"})
_NO_CONTRAST: Final = (
    "sans", "sans iv", "sans inj", "si", "native", "natif", "non contrast", "non con", "without", "wo", "w o", "c-",
    "iv-", "nc", "plain", "unenhanced",
)  # fmt: skip
_CONTRAST: Final = (
    "avec", "injecte", "injectee", "with contrast", "post contrast", "enhanced", "c+", "iv+", "gd", "gado", "arteriel",
    "arterial",
    "portal", "portale", "angio", "cta", "ctpa", "perfusion", "ctp", "tardif", "veineux", "venous",
)  # fmt: skip
_LOCALIZERS: Final = ("scout", "topogram", "topo", "surview", "localizer", "localiser", "loc", "scanogram", "repere")
_NOT_ACQUIRED: Final = (
    "mpr", "mip", "minip", "vrt", "vr", "recon", "reformat", "smartprep", "premonitoring", "monitoring",
    "bolus tracking", "test bolus", "dose report", "summary", "screen save", "cbf", "cbv", "mtt", "tmax", "ttp", "adc",
)  # fmt: skip
_TOKEN: Final = re.compile(r"[a-z0-9]+(?:[+*-](?![a-z0-9]))?")


class DeviationKind(StrEnum):
    """How what was performed differs from what was asked."""

    PHASE_MISSING = "phase_missing"
    CONTRAST_UNASKED = "contrast_unasked"
    CONTRAST_MISSING = "contrast_missing"
    SLICE_TOO_THICK = "slice_too_thick"
    COVERAGE_TOO_SHORT = "coverage_too_short"
    KV_DIFFERS = "kv_differs"
    PROTOCOL_DIFFERS = "protocol_differs"
    MODALITY_DIFFERS = "modality_differs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """One difference. ``asked`` and ``performed`` are what was, in the words of the protocol and of the scanner."""

    kind: DeviationKind
    version: int
    phase_id: str = ""
    asked: str = ""
    performed: str = ""
    series_instance_uid: str = ""

    @property
    def deviation_id(self) -> str:
        """The same for the same difference of the same version of the protocol."""
        return ":".join((str(self.version), self.kind.value, *((self.phase_id,) if self.phase_id else ())))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What has been seen of each phase, in the protocol's order, and series that no phase's words name."""

    seen: tuple[tuple[Phase, tuple[PerformedSeries, ...]], ...]
    unrecognised: tuple[PerformedSeries, ...]
    is_over: bool = False

    @property
    def missing(self) -> tuple[Phase, ...]:
        """Phases that must be there and have not been seen."""
        return tuple(phase for phase, series in self.seen if not series and not phase.is_optional)


def compare(asked: SentProtocol, performed: Performed) -> Comparison:
    """Return which series is which phase."""
    found: dict[str, list[PerformedSeries]] = {phase.phase_id: [] for phase in asked.phases}
    unrecognised = []
    for series in performed.series:
        if not _is_acquired(series):
            continue
        phase = _phase_of(series, asked.phases)
        if phase is None:
            unrecognised.append(series)
        else:
            found[phase.phase_id].append(series)
    return Comparison(
        seen=tuple((phase, tuple(found[phase.phase_id])) for phase in asked.phases),
        unrecognised=tuple(unrecognised),
        is_over=performed.is_over,
    )


def deviations(asked: SentProtocol, performed: Performed) -> tuple[Deviation, ...]:
    """Return every difference that is certain by now; a protocol in free words has none that a program could see."""
    if not asked.phases:
        return ()
    compared = compare(asked, performed)
    found = [
        *_of_the_exam(asked, performed),
        *(one for phase, series in compared.seen for one in _of_a_phase(asked.version, phase, series)),
        *_missing(asked, compared),
    ]
    return tuple({one.deviation_id: one for one in reversed(found)}.values())[::-1]


def _of_the_exam(asked: SentProtocol, performed: Performed) -> Iterable[Deviation]:
    acquired = [one for one in performed.series if _is_acquired(one)]
    others = [one for one in acquired if asked.modality and one.modality and one.modality != asked.modality]
    if others:
        yield _deviation(asked, DeviationKind.MODALITY_DIFFERS, asked.modality, others[0].modality, others[0])
    injected = [one for one in acquired if _is_with_contrast(one)]
    if asked.contrast is None and injected:
        yield _deviation(asked, DeviationKind.CONTRAST_UNASKED, "", injected[0].description, injected[0])
    is_contrast_known = bool(acquired) and all(_is_with_contrast(one) is not None for one in acquired)
    must_inject = any(one.kind.is_with_contrast and not one.is_optional for one in asked.phases)
    if performed.is_over and asked.contrast is not None and must_inject and is_contrast_known and not injected:
        yield _deviation(asked, DeviationKind.CONTRAST_MISSING, asked.contrast.agent, "", None)
    schemes = {code.scheme for code in asked.codes}
    comparable = [code for code in performed.codes if code[1] in schemes]
    wanted = {(code.code, code.scheme) for code in asked.codes}
    # Codes of another scheme say nothing: a scanner names its own programs.
    if comparable and not wanted & set(comparable):
        codes = " ".join(sorted(code for code, _ in wanted))
        yield _deviation(asked, DeviationKind.PROTOCOL_DIFFERS, codes, " ".join(code for code, _ in comparable), None)


def _of_a_phase(version: int, phase: Phase, series: Sequence[PerformedSeries]) -> Iterable[Deviation]:
    def differs(kind: DeviationKind, asked: str, done: str, one: PerformedSeries) -> Deviation:
        return Deviation(
            kind=kind, version=version, phase_id=phase.phase_id, asked=asked, performed=done,
            series_instance_uid=one.series_instance_uid,
        )  # fmt: skip

    # Of several reconstructions of one acquisition the best one counts; of several acquisitions too.
    thin = min((one for one in series if one.slice_mm is not None), key=lambda one: one.slice_mm or 0.0, default=None)
    is_settled = bool(series) and all(one.is_settled for one in series)
    if is_settled and thin is not None and phase.slice_mm and (thin.slice_mm or 0) > phase.slice_mm * SLICE_TOLERANCE:
        yield differs(DeviationKind.SLICE_TOO_THICK, f"{phase.slice_mm:g} mm", f"{thin.slice_mm:g} mm", thin)
    long = max((one for one in series if one.length_mm is not None), key=lambda one: one.length_mm or 0.0, default=None)
    wanted_mm = phase.coverage_mm
    if is_settled and long is not None and wanted_mm and (long.length_mm or 0) < wanted_mm * COVERAGE_TOLERANCE:
        yield differs(DeviationKind.COVERAGE_TOO_SHORT, f"{wanted_mm} mm", f"{long.length_mm:.0f} mm", long)
    tubes = [one for one in series if one.kv is not None]
    if phase.kv and tubes and all(abs((one.kv or 0) - phase.kv) > KV_TOLERANCE for one in tubes):
        yield differs(DeviationKind.KV_DIFFERS, f"{phase.kv} kV", f"{tubes[0].kv:g} kV", tubes[0])


def _missing(asked: SentProtocol, compared: Comparison) -> Iterable[Deviation]:
    if not compared.is_over:
        return
    left = list(compared.unrecognised)
    for phase in compared.missing:
        candidate = next((one for one in left if _may_be(one, phase)), None)
        if candidate is not None:
            left.remove(candidate)
            continue
        yield Deviation(
            kind=DeviationKind.PHASE_MISSING, version=asked.version, phase_id=phase.phase_id, asked=phase.name
        )


def _deviation(
    asked: SentProtocol, kind: DeviationKind, wanted: str, done: str, series: PerformedSeries | None
) -> Deviation:
    uid = "" if series is None else series.series_instance_uid
    return Deviation(kind=kind, version=asked.version, asked=wanted, performed=done, series_instance_uid=uid)


def _is_acquired(series: PerformedSeries) -> bool:
    tokens = _tokens(series.description) or _tokens(series.protocol_name)
    if not series.is_original or (series.modality and series.modality not in _IMAGES):
        return False
    # A perfusion map is a result; the perfusion itself is acquired.
    return not _longest(tokens, _LOCALIZERS) and not _longest(tokens, _NOT_ACQUIRED)


def _phase_of(series: PerformedSeries, phases: Sequence[Phase]) -> Phase | None:
    for said in (series.description, series.protocol_name):
        tokens = _tokens(said)
        fits: Mapping[str, int] = {
            phase.phase_id: _longest(tokens, phase.words)
            for phase in phases
            if _may_be(series, phase) and not _contradicts_itself(tokens)
        }
        best = max(fits.values(), default=0)
        named = [phase for phase in phases if best and fits.get(phase.phase_id) == best]
        if len(named) > 1:
            # Words like "head" name several: what is said of contrast decides, and then the protocol's order.
            tokens_say = _says_contrast(tokens)
            named = [one for one in named if one.kind.is_with_contrast is tokens_say] or named
        if named:
            return named[0]
    return None


def _may_be(series: PerformedSeries, phase: Phase) -> bool:
    if phase.kind is PhaseKind.SEQUENCE:
        # After gadolinium every sequence's images name the agent.
        return _says_contrast(_tokens(series.description)) is not True
    is_with = _is_with_contrast(series)
    return is_with is None or is_with is phase.kind.is_with_contrast


def _contradicts_itself(tokens: Sequence[str]) -> bool:
    """Say whether a description names contrast and denies it: then its words name no phase."""
    return bool(_longest(tokens, _NO_CONTRAST)) and bool(_longest(tokens, _CONTRAST))


def _is_with_contrast(series: PerformedSeries) -> bool | None:
    """Return what the description says, else what the images do: scanners name the agent before it is given."""
    said = _says_contrast(_tokens(series.description))
    return series.has_contrast if said is None else said


def _says_contrast(tokens: Sequence[str]) -> bool | None:
    """Return what a description says of contrast; None when it says nothing, or both."""
    without, enhanced = _longest(tokens, _NO_CONTRAST), _longest(tokens, _CONTRAST)
    return None if bool(without) is bool(enhanced) else bool(enhanced)


def _tokens(said: str) -> tuple[str, ...]:
    """Return the words of a text, small and without accents; a plus, minus or star behind one belongs to it."""
    plain = unicodedata.normalize("NFKD", said.lower()).encode("ascii", "ignore").decode("ascii")
    return tuple(_TOKEN.findall(plain))


def _longest(tokens: Sequence[str], words: Iterable[str]) -> int:
    """Return the length of the longest of `words` (each of one word or several) that stands in the text; 0 for none."""
    best = 0
    for word in words:
        wanted = _tokens(word)
        size = len(wanted)
        if size and any(tuple(tokens[at : at + size]) == wanted for at in range(len(tokens) - size + 1)):
            best = max(best, sum(map(len, wanted)))
    return best
