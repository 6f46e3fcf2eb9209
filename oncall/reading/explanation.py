"""Why this reader and not another, in words: what a decision stored, rendered in French or English.

Rendering adds nothing to the decision and reads nothing else, so an old decision is explained as it was taken. Texts
name people and rules, never a patient; instants are given relative to the decision, in minutes.
"""

from collections.abc import Mapping
from typing import Final

from oncall.directory import Directory, PersonId
from oncall.language import Language
from oncall.reading.assignment import AssignmentDecision, Cause
from oncall.reading.eligibility import Exclusion, Rule
from oncall.reading.forecast import Forecast, Reason
from oncall.reading.order import Band
from oncall.reading.planning import Score

_FR, _EN = Language.FRENCH, Language.ENGLISH

_CAUSES: Final[Mapping[Cause, Mapping[Language, str]]] = {
    Cause.NEW: {_FR: "nouveau dossier", _EN: "new case"},
    Cause.READER_LOST: {
        _FR: "le lecteur précédent ({previous}) ne peut plus le lire",
        _EN: "the previous reader ({previous}) may no longer read it",
    },
    Cause.SOONER: {
        _FR: "peut commencer nettement plus tôt que {previous}",
        _EN: "can begin clearly sooner than {previous}",
    },
    Cause.TURN: {_FR: "premier lecteur libre", _EN: "the first reader who is free"},
    Cause.NOBODY: {
        _FR: "personne ne peut recevoir ce dossier : escalade immédiate",
        _EN: "nobody may be given this case: escalate at once",
    },
}

_BANDS: Final[Mapping[Band, Mapping[Language, str]]] = {
    Band.P1: {_FR: "P1, toujours lu en premier", _EN: "P1, always read first"},
    Band.GUARDED: {
        _FR: "attend depuis trop longtemps : repasse devant",
        _EN: "has waited too long: goes before the others",
    },
    Band.ON_TIME: {_FR: "peut encore tenir l'heure", _EN: "can still make the hour"},
    Band.LATE: {
        _FR: "l'heure n'est plus tenable : après ceux qui peuvent la tenir, jusqu'à la limite de garde",
        _EN: "can no longer make the hour: after those that can, until the guard",
    },
}

_RULES: Final[Mapping[Rule, Mapping[Language, str]]] = {
    Rule.UNKNOWN_PERSON: {_FR: "absent de l'annuaire", _EN: "not in the directory"},
    Rule.NOT_A_RADIOLOGIST: {_FR: "n'est pas radiologue ({detail})", _EN: "is not a radiologist ({detail})"},
    Rule.NOT_ON_DUTY: {_FR: "n'est pas de garde", _EN: "is not on duty"},
    Rule.RESTING: {_FR: "en repos de sécurité", _EN: "in compulsory rest"},
    Rule.UNAVAILABLE: {_FR: "s'est déclaré indisponible ou ne répond pas", _EN: "unavailable or not answering"},
    Rule.DECLINED: {_FR: "a décliné ce dossier", _EN: "declined this case"},
    Rule.NO_PRIVILEGE: {_FR: "pas de convention avec {detail}", _EN: "no privilege at {detail}"},
    Rule.NOT_COMPETENT: {_FR: "ne lit pas la spécialité {detail}", _EN: "does not read {detail}"},
    Rule.LEAVES_BEFORE: {_FR: "quitte la garde avant son tour", _EN: "leaves duty before its turn"},
    Rule.LOAD: {_FR: "a déjà {detail} dossiers ouverts", _EN: "already has {detail} open cases"},
}

_PARTS: Final[Mapping[str, Mapping[Language, str]]] = {
    "same_patient_s": {_FR: "même patient", _EN: "same patient"},
    "same_author_s": {_FR: "auteur du protocole", _EN: "wrote the protocol"},
    "expert_s": {_FR: "expert de la spécialité", _EN: "expert in the sub-specialty"},
    "last_resort_s": {_FR: "seulement à défaut d'un autre", _EN: "only if nobody else"},
    "fatigue_s": {_FR: "charge déjà lourde", _EN: "heavily loaded already"},
}


def why(decision: AssignmentDecision, directory: Directory, language: Language) -> tuple[str, ...]:
    """Return the decision in sentences: the choice, its order of reading, each candidate, each exclusion."""
    lines = [_choice(decision, directory, language), _turn(decision, language)]
    lines.extend(_candidate(decision, each, directory, language) for each in decision.candidates)
    lines.extend(_excluded(each, directory, language) for each in decision.excluded)
    return tuple(lines)


def why_not(
    decision: AssignmentDecision, person_id: PersonId, directory: Directory, language: Language
) -> tuple[str, ...]:
    """Return only what concerns `person_id`: "why not her"; empty when the decision never considered them."""
    scores = [
        _candidate(decision, each, directory, language) for each in decision.candidates if each.person_id == person_id
    ]
    rules = [_excluded(each, directory, language) for each in decision.excluded if each.person_id == person_id]
    return (*scores, *rules)


_REASONS: Final[Mapping[Reason, Mapping[Language, str]]] = {
    Reason.HOLDS: {_FR: "l'heure tient, personne n'est rappelé", _EN: "the hour holds, nobody is called"},
    Reason.WOULD_NOT_HELP: {
        _FR: "un lecteur de plus n'éviterait pas assez de retards",
        _EN: "one more reader would not avoid enough",
    },
    Reason.CALLS: {_FR: "un lecteur d'astreinte est rappelé", _EN: "a backup reader is called"},
    Reason.NOBODY_TO_CALL: {_FR: "personne ne peut être rappelé", _EN: "nobody may be called"},
    Reason.BACKUPS_PRESENT: {
        _FR: "autant de renforts que prévu sont déjà là ou en route",
        _EN: "as many backups as may be are there or on their way",
    },
}


def why_forecast(forecast: Forecast, directory: Directory, language: Language) -> tuple[str, ...]:
    """Return the forecast in sentences: what is expected, who is called or kept and what it avoids, who may not be."""
    late, expected = len(forecast.breaches), forecast.expected_breaches
    reason = _REASONS[forecast.reason][language]
    if language is _FR:
        lines = [f"Retards prévus : {late} ouverts, {expected:.0f} avec les arrivées attendues ; {reason}."]
        called, kept, avoids, until = "rappelé", "reste", "évite", "min à partir de maintenant"
    else:
        lines = [f"Predicted late: {late} open, {expected:.0f} with expected arrivals; {reason}."]
        called, kept, avoids, until = "called", "stays", "avoids", "min from now"
    if forecast.call is not None:
        avoided = forecast.call.breaches_avoided
        lines.append(f"→ {_name(forecast.call.person_id, directory)} {called} ({avoids} {avoided:.1f})")
    for stay in forecast.stays:
        more_min = (stay.until_s - forecast.at_s) / 60
        name = _name(stay.person_id, directory)
        lines.append(f"→ {name} {kept} {more_min:.0f} {until} ({avoids} {stay.breaches_avoided:.1f})")
    lines.extend(f"× {_name(person_id, directory)}{_colon(language)}{why}" for person_id, why in forecast.refusals)
    return tuple(lines)


def _choice(decision: AssignmentDecision, directory: Directory, language: Language) -> str:
    previous = "-" if decision.previous is None else _name(decision.previous, directory)
    cause = _CAUSES[decision.cause][language].format(previous=previous)
    if decision.person_id is None or decision.predicted_start_s is None or decision.predicted_done_s is None:
        return f"{decision.case_id}{_colon(language)}{cause}."
    start_min = round((decision.predicted_start_s - decision.at_s) / 60)
    spare_min = round((decision.deadline_at_s - decision.predicted_done_s) / 60)
    name = _name(decision.person_id, directory)
    if language is _FR:
        margin = f"marge {spare_min} min" if spare_min >= 0 else f"retard prévu {-spare_min} min"
        return f"{decision.case_id} à {name} : {cause} ; début prévu dans {start_min} min, {margin}."
    margin = f"{spare_min} min to spare" if spare_min >= 0 else f"predicted {-spare_min} min late"
    return f"{decision.case_id} to {name}: {cause}; predicted to begin in {start_min} min, {margin}."


def _turn(decision: AssignmentDecision, language: Language) -> str:
    """Say why the case comes in this order; for P1 there is nothing to weigh."""
    band = _BANDS[decision.band][language]
    place = band[0].upper() + band[1:]
    if decision.band is Band.P1 or decision.person_id is None:
        return f"{place}."
    now, later = round(decision.chance_of_hour * 100), round(decision.chance_if_delayed * 100)
    if language is _FR:
        return f"{place} ; chance de tenir l'heure {now} %, {later} % s'il passe son tour."
    return f"{place}; chance of making the hour {now}%, {later}% if passed over once."


def _candidate(decision: AssignmentDecision, score: Score, directory: Directory, language: Language) -> str:
    wait_min = (score.start_s - decision.at_s) / 60
    mark = "→ " if score.person_id == decision.person_id else "· "
    free = f"libre dans {wait_min:.0f} min" if language is _FR else f"free in {wait_min:.0f} min"
    parts = [free]
    for field, texts in _PARTS.items():
        seconds = getattr(score, field)
        if seconds:
            sign = "+" if field in ("last_resort_s", "fatigue_s") else "-"
            parts.append(f"{texts[language]} ({sign}{seconds / 60:.0f} min)")
    total = f"score {score.total_s / 60:.1f}"
    stop = " ; " if language is _FR else "; "
    return f"{mark}{_name(score.person_id, directory)}{_colon(language)}{', '.join(parts)}{stop}{total}"


def _excluded(exclusion: Exclusion, directory: Directory, language: Language) -> str:
    rule = _RULES[exclusion.rule][language].format(detail=exclusion.detail)
    return f"× {_name(exclusion.person_id, directory)}{_colon(language)}{rule} [{exclusion.rule.value}]"


def _name(person_id: PersonId, directory: Directory) -> str:
    person = directory.persons.get(person_id)
    return person_id if person is None else person.name


def _colon(language: Language) -> str:
    return " : " if language is _FR else ": "
