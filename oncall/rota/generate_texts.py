"""Each demand of a roster generator in words, French and English: what a planner reads when no roster exists."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from oncall.directory import PersonId
from oncall.rota.generation import Cap, CapKind, Demand, DemandKind, Mix
from oncall.rota.model import Absence, Shift, ShiftPlan
from oncall.rota.slots import Slot
from oncall.spans import Span

_CAPS_FR: Final = {
    CapKind.SHIFTS: "gardes",
    CapKind.NIGHT_SHIFTS: "gardes de nuit",
    CapKind.WEEKEND_SHIFTS: "gardes de week-end",
}
_CAPS_EN: Final = {
    CapKind.SHIFTS: "shifts",
    CapKind.NIGHT_SHIFTS: "night shifts",
    CapKind.WEEKEND_SHIFTS: "weekend shifts",
}
_CLASSES_FR: Final = {
    DemandKind.COVER: "pourvoir tous les postes",
    DemandKind.LOCKED: "garder toutes les cases verrouillées",
    DemandKind.ABSENCE: "respecter toutes les absences",
    DemandKind.ELSEWHERE: "respecter tout autre travail prévu",
    DemandKind.REST: "11 h de repos de chacun",
    DemandKind.AMPLITUDE: "14 h d'amplitude au plus",
    DemandKind.WEEK_48_H: "48 h par semaine en moyenne au plus, pour chacun",
    DemandKind.TELERADIOLOGY_SHARE: "part de téléradiologie de chacun",
    DemandKind.CAP: "plafonds de chacun",
    DemandKind.MIX: "compétences présentes à tout moment",
}
_CLASSES_EN: Final = {
    DemandKind.COVER: "fill every seat",
    DemandKind.LOCKED: "keep every locked cell",
    DemandKind.ABSENCE: "respect every absence",
    DemandKind.ELSEWHERE: "respect all other planned work",
    DemandKind.REST: "everybody's rest of 11 h",
    DemandKind.AMPLITUDE: "amplitude of at most 14 h",
    DemandKind.WEEK_48_H: "at most 48 h a week on average for everybody",
    DemandKind.TELERADIOLOGY_SHARE: "everybody's teleradiology share",
    DemandKind.CAP: "everybody's caps",
    DemandKind.MIX: "competences present at all times",
}


def cover(slots: Sequence[Slot], span: Span, zone: str) -> Demand:
    """Fill the seats of a group."""
    lines = ", ".join(slot.line_id for slot in slots)
    when = _times(span, zone)
    return Demand(
        kind=DemandKind.COVER,
        subject=f"{lines} {when}",
        text_fr=f"pourvoir {lines} {when}",
        text_en=f"fill {lines} {when}",
        span=span,
    )


def locked(plan: ShiftPlan, zone: str) -> Demand:
    """Keep what is locked."""
    when = _times(plan.span, zone)
    return Demand(
        kind=DemandKind.LOCKED,
        subject=plan.shift_id,
        text_fr=f"garder {plan.person_id} sur {plan.line_id} {when} (verrouillé)",
        text_en=f"keep {plan.person_id} on {plan.line_id} {when} (locked)",
        person_id=plan.person_id,
        span=plan.span,
    )


def absence(away: Absence, zone: str) -> Demand:
    """Somebody is away."""
    when = _times(away.span, zone)
    return Demand(
        kind=DemandKind.ABSENCE,
        subject=f"{away.person_id} {when} {away.kind}",
        text_fr=f"absence de {away.person_id} {when} ({away.kind})",
        text_en=f"absence of {away.person_id} {when} ({away.kind})",
        person_id=away.person_id,
        span=away.span,
    )


def elsewhere(work: Shift, zone: str) -> Demand:
    """Somebody works already."""
    when = _times(work.span, zone)
    return Demand(
        kind=DemandKind.ELSEWHERE,
        subject=f"{work.person_id} {work.line_id} {when}",
        text_fr=f"{work.person_id} travaille déjà ({work.line_id}) {when}",
        text_en=f"{work.person_id} works already ({work.line_id}) {when}",
        person_id=work.person_id,
        span=work.span,
    )


def rest(person_id: PersonId) -> Demand:
    """The rest of one person."""
    return Demand(
        kind=DemandKind.REST,
        subject=person_id,
        text_fr=f"11 h de repos de {person_id} (R.6152-708)",
        text_en=f"11 h of rest of {person_id} (R.6152-708)",
        person_id=person_id,
    )


def amplitude(slot: Slot, hours: float) -> Demand:
    """A seat that is too long for anybody."""
    return Demand(
        kind=DemandKind.AMPLITUDE,
        subject=f"{slot.line_id} {slot.rule}",
        text_fr=f"« {slot.rule} » de {slot.line_id} dure {hours:g} h, au plus 14 h",
        text_en=f"'{slot.rule}' of {slot.line_id} lasts {hours:g} h, at most 14 h",
    )


def week_48_h(person_id: PersonId) -> Demand:
    """The average week of one person."""
    return Demand(
        kind=DemandKind.WEEK_48_H,
        subject=person_id,
        text_fr=f"48 h par semaine en moyenne au plus pour {person_id} (R.6152-708)",
        text_en=f"at most 48 h a week on average for {person_id} (R.6152-708)",
        person_id=person_id,
    )


def share(person_id: PersonId, share_max: float) -> Demand:
    """The teleradiology share of one person."""
    return Demand(
        kind=DemandKind.TELERADIOLOGY_SHARE,
        subject=person_id,
        text_fr=f"téléradiologie de {person_id} : {share_max:.0%} de l'activité au plus (charte G4)",
        text_en=f"teleradiology of {person_id}: at most {share_max:.0%} of the activity (G4 charter)",
        person_id=person_id,
    )


def cap(asked: Cap, person_id: PersonId) -> Demand:
    """A cap of one person."""
    return Demand(
        kind=DemandKind.CAP,
        subject=f"{person_id} {asked.kind} {asked.count_max} {asked.days}",
        text_fr=f"{person_id} : au plus {asked.count_max} {_CAPS_FR[asked.kind]} en {asked.days} jours",
        text_en=f"{person_id}: at most {asked.count_max} {_CAPS_EN[asked.kind]} in {asked.days} days",
        person_id=person_id,
    )


def mix(asked: Mix, span: Span, zone: str) -> Demand:
    """A competence that must be there."""
    when, lines = _times(span, zone), ", ".join(sorted(asked.lines))
    return Demand(
        kind=DemandKind.MIX,
        subject=f"{asked.needed} {lines} {when}",
        text_fr=f"au moins {asked.people_min} × {asked.needed} parmi {lines} {when}",
        text_en=f"at least {asked.people_min} × {asked.needed} among {lines} {when}",
        span=span,
    )


def whole_class(kind: DemandKind, lines: str, demands: Sequence[Demand], first_day: date, until: date) -> Demand:
    """All demands of a kind at once, for a conflict in which no few of them are to blame."""
    suffix = f" ({lines})" if lines else ""
    return Demand(
        kind=kind,
        subject=f"{kind}{suffix}",
        text_fr=f"{_CLASSES_FR[kind]}{suffix} du {first_day} au {until} ({len(demands)} exigences)",
        text_en=f"{_CLASSES_EN[kind]}{suffix} from {first_day} to {until} ({len(demands)} demands)",
    )


def _times(span: Span, zone: str) -> str:
    start, end = (instant.astimezone(ZoneInfo(zone)) for instant in (span.start, span.end))
    return f"{start:%Y-%m-%d %H:%M}-{_end(start, end)}"


def _end(start: datetime, end: datetime) -> str:
    return f"{end:%H:%M}" if (end - start).days < 1 else f"{end:%Y-%m-%d %H:%M}"
