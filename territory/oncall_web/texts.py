"""Every word of the pages in French and English; events are in `texts_events`. A missing text fails at once.

A test looks for the text of every key that a template names.
"""

from collections.abc import Mapping
from typing import Final

from territory.oncall_web.texts_case import ACTION_TEXTS, CASE_TEXTS
from territory.oncall_web.texts_completeness import COMPLETENESS_TEXTS
from territory.oncall_web.texts_priors import PRIORS_TEXTS
from territory.oncall_web.texts_protocol import PROTOCOL_TEXTS
from territory.oncall_web.texts_report import REPORT_TEXTS
from territory.oncall_web.texts_rooms import ROOM_TEXTS

LANGUAGES: Final = ("fr", "en")

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    **CASE_TEXTS,
    **ACTION_TEXTS,
    **COMPLETENESS_TEXTS,
    **PRIORS_TEXTS,
    **PROTOCOL_TEXTS,
    **REPORT_TEXTS,
    **ROOM_TEXTS,
    "title": ("Garde de téléradiologie", "Teleradiology on call"),
    "wall": ("Garde", "Night"),
    "yes": ("oui", "yes"),
    "request": ("Demander un examen", "Request an exam"),
    "plan_blanc": ("Plan blanc", "Mass recall"),
    "open_cases": ("Dossiers ouverts", "Open cases"),
    "no_open_case": ("Aucun dossier ouvert.", "No open case."),
    "on_duty": ("De garde", "On duty"),
    "nobody_on_duty": (
        "Personne n'est de garde : appelez le coordonnateur.",
        "Nobody is on duty: call the coordinator.",
    ),
    "until": ("jusqu'à", "until"),
    "case": ("Dossier", "Case"),
    "site": ("Hôpital", "Hospital"),
    "exam": ("Examen", "Exam"),
    "urgency": ("Urgence", "Urgency"),
    "stage": ("Étape", "Stage"),
    "reader": ("Lecteur", "Reader"),
    "left": ("Reste de l'heure", "Left of the hour"),
    "onset_left": ("Reste des 4 h 30", "Left of the 4 h 30"),
    "overdue": ("dépassé de", "late by"),
    "predicted_late": ("retard prévu", "predicted late"),
    "predicted": ("retards prévus", "predicted late reports"),
    "called": ("Renfort à appeler", "Backup to call"),
    "stage.requested": ("demandé", "requested"),
    "stage.images": ("images en cours", "images arriving"),
    "stage.queued": ("en attente", "queued"),
    "stage.paged": ("appelé", "paged"),
    "stage.accepted": ("accepté", "accepted"),
    "stage.reading": ("en lecture", "being read"),
    "stage.parked": ("suspendu", "parked"),
    "stage.reported": ("rendu", "reported"),
    "exam.stroke": ("AVC", "Stroke"),
    "exam.wbct": ("Corps entier (polytraumatisé)", "Whole body (polytrauma)"),
    "exam.head": ("Tête", "Head"),
    "exam.abdo": ("Abdomen", "Abdomen"),
    "exam.chest": ("Thorax", "Chest"),
    "exam.msk": ("Ostéo-articulaire", "Musculoskeletal"),
    "urgency.1": ("P1 : vital", "P1: life threat"),
    "urgency.2": ("P2 : urgent", "P2: urgent"),
    "urgency.3": ("P3 : peut attendre", "P3: can wait"),
    "modality": ("Modalité", "Modality"),
    "patient_id": ("Identifiant patient de l'hôpital (IPP)", "Patient ID of the hospital"),
    "patient_id.help": ("Laissez vide si le patient est inconnu.", "Leave empty for an unknown patient."),
    "accession_number": ("Numéro d'examen", "Accession number"),
    "requester": ("Demandeur (RPPS ou nom)", "Requester (RPPS or name)"),
    "onset_at": ("Dernière fois vu normal (AVC)", "Last known well (stroke)"),
    "onset_at.help": ("Date et heure de l'hôpital, ou « unknown ».", 'Date and time of the hospital, or "unknown".'),
    "request_id": ("Numéro de demande", "Request number"),
    "site_id": ("Hôpital", "Hospital"),
    "send": ("Envoyer la demande", "Send the request"),
    "sent": ("Demande enregistrée", "Request recorded"),
    "sent.more": ("Le radiologue de garde choisit le protocole.", "The radiologist on call chooses the protocol."),
    "error.missing": ("À remplir.", "Required."),
    "error.unknown_field": ("Champ inconnu.", "Unknown field."),
    "error.too_long": ("64 caractères au plus.", "64 characters at most."),
    "error.unknown_site": ("Hôpital inconnu : choisissez dans la liste.", "Unknown hospital: choose one of the list."),
    "error.not_your_site": ("Ce n'est pas votre hôpital.", "Not your hospital."),
    "error.unknown_choice": ("Choisissez dans la liste.", "Choose one of the list."),
    "error.onset_needed": (
        "Indiquez l'heure, ou « unknown » (AVC du réveil).",
        'Give the time, or "unknown" (wake-up stroke).',
    ),
    "error.not_a_time": (
        "Une date et une heure, par exemple 2026-10-25T02:10.",
        "A date and a time: 2026-10-25T02:10.",
    ),
    "error.not_recent": ("Entre il y a sept jours et maintenant.", "Between seven days ago and now."),
    "answer": ("Votre réponse", "Your answer"),
    "answered": ("Réponse", "Answer"),
    "answer.case": ("Dossier à lire", "Case to read"),
    "answer.recall": ("Rappel du personnel", "Staff recall"),
    "answer.other": ("Message de garde", "On-call message"),
    "answer.yes": ("Oui, je m'en charge", "Yes, I take it"),
    "answer.no": ("Non", "No"),
    "answer.recorded": ("Réponse enregistrée. Merci.", "Your answer is recorded. Thank you."),
    "answer.known": ("Il a déjà été répondu à ce message.", "This message has been answered already."),
    "answer.unknown": ("Ce lien ne répond à aucun message.", "This link answers no message."),
    "arrives_in": ("Arrivée dans (minutes)", "Arrival in (minutes)"),
    "recall.start": ("Rappeler tout le personnel", "Recall the whole staff"),
    "recall.end": ("Terminer : n'appeler plus personne", "End: call nobody any more"),
    "recall.drill": ("Exercice : personne n'est appelé", "Drill: nobody is called"),
    "recall.confirm": (
        "Pour un rappel réel, écrivez le nom de l'hôpital",
        "For a real recall, write the hospital's name",
    ),
    "recall.not_confirmed": (
        "Le nom écrit n'est pas celui de l'hôpital : rien n'a été envoyé.",
        "What is written is not the hospital's name: nothing was sent.",
    ),
    "recall.recalled": ("rappelés", "recalled"),
    "recall.handed_over": ("envoyés", "sent"),
    "recall.delivered": ("remis", "delivered"),
    "recall.coming": ("viennent", "coming"),
    "recall.not_coming": ("ne viennent pas", "not coming"),
    "recall.silent": ("sans réponse", "silent"),
    "recall.out_of_reach": ("injoignables", "out of reach"),
    "person": ("Personne", "Person"),
    "channel": ("Par", "By"),
    "arrival": ("Arrivée", "Arrival"),
    "drill": ("exercice", "drill"),
    "real": ("réel", "real"),
    "login": ("Jeton d'accès", "Access token"),
    "login.go": ("Entrer", "Enter"),
    "login.wrong": ("Ce jeton n'est pas connu.", "This token is not known."),
    "forbidden": ("Votre jeton ne le permet pas.", "Your token does not allow this."),
    "refused": ("Refusé", "Refused"),
    "unavailable": (
        "Le service ne répond pas : téléphonez au radiologue de garde.",
        "The service does not answer: telephone the radiologist on call.",
    ),
}


def text(key: str, language: str) -> str:
    """Return a text; French unless `language` is ``en``."""
    return _TEXTS[key][LANGUAGES.index(language) if language in LANGUAGES else 0]


def language_of(accept_language: str) -> str:
    """Return the first of our languages that a browser's Accept-Language names (RFC 9110 12.5.4); French if none."""
    named = [part.split(";")[0].strip().lower()[:2] for part in accept_language.split(",")]
    return next((language for language in named if language in LANGUAGES), LANGUAGES[0])
