"""The words about earlier exams, in French and English, as in `oncall_web.texts`."""

from collections.abc import Mapping
from typing import Final

PRIORS_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "priors": ("Examens antérieurs", "Earlier exams"),
    "priors.equivalent": (
        "Un examen récent répond peut-être déjà à la demande",
        "A recent exam may answer the request already",
    ),
    "priors.equivalent.help": (
        "À juger avant de choisir un protocole.",
        "To be judged before a protocol is chosen.",
    ),
    "priors.none": (
        "Aucun examen antérieur à comparer sur le territoire.",
        "No earlier exam to compare in the territory.",
    ),
    "priors.searched": ("Recherche faite à", "Searched at"),
    "priors.looking": ("recherche des images", "looking for its images"),
    "priors.ready": ("prêt", "ready"),
    "priors.not_ready.instances_missing": (
        "images manquantes sur le disque",
        "images missing on the disk",
    ),
    "priors.not_ready.storage_away": ("le stockage ne répond pas", "the storage does not answer"),
    "priors.unknown.not_yet": (
        "Pas encore recherchés : rien n'est connu.",
        "Not searched yet: nothing is known.",
    ),
    "priors.unknown.search_failed": (
        "La recherche a échoué : il peut y avoir des antérieurs.",
        "The search failed: there may be earlier exams.",
    ),
    "priors.unknown.patient_unknown": (
        "Patient inconnu : il peut y avoir des antérieurs.",
        "Unknown patient: there may be earlier exams.",
    ),
    "priors.same.same_id": ("même identifiant", "same identifier"),
    "priors.same.linked": ("identités liées", "linked identities"),
    "priors.same.same_ins": ("même INS qualifiée", "same qualified INS"),
    "priors.when": ("Date", "Date"),
    "priors.hospital": ("Hôpital", "Hospital"),
    "priors.state": ("État", "State"),
    "priors.why": ("Pourquoi", "Why"),
    "priors.points": ("points", "points"),
    "prior.found": ("à juger", "to be judged"),
    "prior.avoided": ("suffit : examen évité", "enough: exam avoided"),
    "prior.confirmed": ("nouvel examen nécessaire", "new exam needed"),
    "action.prior-avoided": ("L'examen récent suffit : refuser la demande", "The recent exam is enough: refuse"),
    "action.prior-confirmed": ("Un nouvel examen est nécessaire", "A new exam is needed"),
    "field.prior": ("Examen récent", "Recent exam"),
}
"""Merged into `oncall_web.texts`."""
