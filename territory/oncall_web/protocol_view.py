"""The protocol of a case as plain values for showing: what was asked, who has seen it, questions, deviations, patient.

For: the case page, the page of the protocol and the console's page. Not for: layout, or anything decided.

Invariants: clinical text is there only for somebody who may see it; what is not known of a patient is said to be
unknown, never left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oncall.case.event import Event
from oncall.case.regions import ProtocolState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.language import Language
from oncall.protocol import wording
from oncall.protocol.cautions import NEEDS_SIGNATURE, Caution, PatientFacts
from oncall.protocol.comparison import Comparison
from oncall.protocol.model import Phase, Protocol, SentProtocol
from oncall.protocol.payload import protocol_in_force
from pacs.worklist.order import Order
from territory.oncall_web.app import Site
from territory.oncall_web.case_view import Eyes


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseView:
    """One phase: ``mark`` is ``seen``, ``not_seen``, ``absent`` or '' while nothing was performed."""

    name: str
    details: str
    mark: str = ""
    series: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviationView:
    """One deviation; ``reason`` is '' while nobody has justified it."""

    deviation_id: str
    words: str
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionView:
    """A question of the radiographer, or the radiologist's answer."""

    at: str
    who: str
    text: str
    is_answer: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientView:
    """Who is examined, and what matters before contrast: ``alerts`` are grave, ``facts`` are not."""

    name: str = ""
    birth_date: str = ""
    sex: str = ""
    patient_id: str = ""
    accession_number: str = ""
    question: str = ""
    alerts: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolView:
    """The protocol in force of a case."""

    title: str
    version: int
    author: str
    sent: str
    waiting_s: float
    state: str
    phases: tuple[PhaseView, ...]
    contrast: str
    volume: str
    preparation: str
    instructions: str
    text: str
    acknowledged_by: str = ""
    acknowledged: str = ""
    unrecognised: tuple[str, ...] = ()
    is_compared: bool = False


def protocol_view(site: Site, case: Case, eyes: Eyes, now: datetime, patient: PatientFacts) -> ProtocolView | None:
    """Return the protocol that was sent last; None before there is one."""
    sent, part = protocol_in_force(case), case.protocol
    if sent is None:
        return None
    compared = site.rooms.protocols.comparison(case) if case.is_open else None
    may = eyes.may_see_clinical_text
    is_waiting = part.state in {ProtocolState.SENT, ProtocolState.DELIVERED}
    return ProtocolView(
        title=wording.title_of(sent),
        version=sent.version,
        author="" if sent.author is None else eyes.name(sent.author),
        sent=eyes.clock(sent.sent_at),
        waiting_s=(now - sent.sent_at).total_seconds() if is_waiting else 0.0,
        state=part.state.value,
        phases=phases_of(sent, compared),
        contrast="" if sent.contrast is None else wording.contrast_line(sent.contrast, sent.language),
        volume=_volume(sent, patient),
        preparation=sent.preparation,
        instructions=sent.instructions,
        text=sent.text if may else "",
        acknowledged_by=part.acknowledged_by,
        acknowledged="" if part.acknowledged_at is None else eyes.clock(part.acknowledged_at),
        unrecognised=() if compared is None else tuple(one.description or "?" for one in compared.unrecognised),
        is_compared=compared is not None,
    )


def phases_of(asked: SentProtocol | Protocol, compared: Comparison | None = None) -> tuple[PhaseView, ...]:
    """Return the phases, with what has been seen of them."""
    seen = {} if compared is None else {phase.phase_id: series for phase, series in compared.seen}
    return tuple(
        PhaseView(
            name=phase.name,
            details=wording.phase_line(phase, asked.language).removeprefix(phase.name).lstrip(" ;"),
            mark="" if compared is None else _mark(phase, bool(seen[phase.phase_id]), compared),
            series=tuple(dict.fromkeys(one.description for one in seen.get(phase.phase_id, ()))),
            is_optional=phase.is_optional,
        )
        for phase in asked.phases
    )


def deviations_of(events: Sequence[Event], case: Case, eyes: Eyes) -> tuple[DeviationView, ...]:
    """Return every deviation of a case, the newest first, those without a reason before the others."""
    reasons = {
        str(event.fact.payload.get("deviation_id")): event
        for event in reversed(events)
        if event.type == EventType.PROTOCOL_DEVIATION_JUSTIFIED
    }
    found = []
    for event in events:
        if event.type != EventType.PROTOCOL_DEVIATION_DETECTED:
            continue
        name = str(event.fact.payload.get("deviation_id") or "")
        justified = reasons.get(name)
        found.append(
            DeviationView(
                deviation_id=name,
                words=deviation_words(event, case, eyes),
                reason="" if justified is None else _reason(justified, eyes),
                by="" if justified is None else _who(justified, eyes),
            )
        )
    found.reverse()
    return tuple(sorted(found, key=lambda one: bool(one.reason)))


def deviation_words(event: Event, case: Case, eyes: Eyes) -> str:
    """Return what deviates, in words."""
    payload, sent = event.fact.payload, protocol_in_force(case)
    phases = {} if sent is None else {one.phase_id: one.name for one in sent.phases}
    phase = phases.get(str(payload.get("phase_id") or ""), "")
    words = f"{phase} : " if phase and eyes.language == Language.FRENCH.value else f"{phase}: " if phase else ""
    words += _kind(str(payload["deviation"]), eyes)
    asked, done = str(payload.get("asked") or ""), str(payload.get("performed") or "")
    said = [f"{eyes.say('protocol.asked')} {asked}"] if asked and asked != phase else []
    said += [f"{eyes.say('protocol.performed')} {done}"] if done else []
    return f"{words} ({', '.join(said)})" if said else words


def deviation_label(deviation_id: str, case: Case, eyes: Eyes) -> str:
    """Return what a deviation is called in a list, by its id: version, kind, phase."""
    sent = protocol_in_force(case)
    _, kind, phase_id = (*deviation_id.split(":", 2), "", "")[:3]
    phase = next((one.name for one in sent.phases if one.phase_id == phase_id), "") if sent is not None else ""
    return f"{_kind(kind, eyes)} · {phase}" if phase else _kind(kind, eyes)


def questions_of(events: Sequence[Event], eyes: Eyes) -> tuple[QuestionView, ...]:
    """Return questions and answers, the oldest first; nothing for somebody who may not see clinical text."""
    if not eyes.may_see_clinical_text:
        return ()
    return tuple(
        QuestionView(
            at=eyes.clock(event.fact.occurred_at),
            who=_who(event, eyes),
            text=str(event.fact.payload.get("answer") or event.fact.payload.get("question")),
            is_answer=event.type == EventType.PROTOCOL_ANSWERED,
        )
        for event in events
        if event.type in {EventType.PROTOCOL_QUESTION, EventType.PROTOCOL_ANSWERED}
    )


def patient_view(order: Order | None, known: PatientFacts, eyes: Eyes) -> PatientView:
    """Return who is examined and what matters before contrast; nothing for somebody who may not see it."""
    if order is None or not eyes.may_see_clinical_text:
        return PatientView()
    who = order.patient
    born = who.birth_date
    alerts, facts = _weighed(known, eyes)
    return PatientView(
        name=" ".join(part for part in who.name.split("^") if part),
        birth_date=f"{born[6:]}/{born[4:6]}/{born[:4]}" if len(born) == 8 else born,
        sex=eyes.say(f"sex.{who.sex}") if who.sex in {"F", "M", "O"} else "",
        patient_id=who.patient_id,
        accession_number=order.accession_number,
        question=order.clinical_question or order.reason,
        alerts=alerts,
        facts=facts,
    )


def caution_words(cautions: Sequence[Caution], eyes: Eyes) -> tuple[tuple[str, bool], ...]:
    """Return cautions in words, and whether each needs a signature."""
    return tuple((eyes.say(f"caution.{one.value}"), one in NEEDS_SIGNATURE) for one in cautions)


def _weighed(known: PatientFacts, eyes: Eyes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    alerts, facts = [], []
    if known.allergies:
        alerts.append(f"{eyes.say('allergies')}{eyes.say('colon')}{known.allergies}")
    else:
        unknown = eyes.say("caution.allergy_unknown")
        facts.append(unknown if known.allergies is None else f"{eyes.say('allergies')}{eyes.say('colon')}0")
    if known.pregnancy_status in {2, 3}:
        alerts.append(eyes.say("caution.pregnant" if known.pregnancy_status == 3 else "caution.pregnancy_possible"))
    elif known.pregnancy_status == 1:
        facts.append(f"{eyes.say('pregnancy')}{eyes.say('colon')}{eyes.say('pregnancy.no')}")
    elif known.sex != "M":
        facts.append(eyes.say("caution.pregnancy_unknown"))
    if known.egfr is None:
        facts.append(eyes.say("caution.egfr_unknown"))
    else:
        (alerts if known.egfr < 30 else facts).append(f"{eyes.say('egfr')} {known.egfr:.0f}")
    if known.weight_kg is not None:
        weight = f"{known.weight_kg:g} kg"
        facts.append(weight.replace(".", ",") if eyes.language == Language.FRENCH.value else weight)
    return tuple(alerts), tuple(facts)


def _mark(phase: Phase, is_seen: bool, compared: Comparison) -> str:
    if is_seen:
        return "seen"
    return "absent" if compared.is_over and not phase.is_optional and not compared.unrecognised else "not_seen"


def _volume(sent: SentProtocol, patient: PatientFacts) -> str:
    contrast = sent.contrast
    if contrast is None or contrast.volume_ml is not None:
        return ""
    volume = wording.volume_ml(contrast, patient.weight_kg)
    return "" if volume is None else f"{volume:.0f} mL"


def _kind(kind: str, eyes: Eyes) -> str:
    try:
        return eyes.say(f"deviation.{kind}")
    except KeyError:
        # Recorded by another program, in its own words.
        return kind


def _reason(event: Event, eyes: Eyes) -> str:
    return str(event.fact.payload["reason"]) if eyes.may_see_clinical_text else eyes.say("log.withheld")


def _who(event: Event, eyes: Eyes) -> str:
    payload = event.fact.payload
    return str(payload.get("radiographer") or eyes.name(str(payload.get("person_id") or event.fact.actor.who)))
