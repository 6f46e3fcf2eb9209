"""Every word that a dossier's pages add to the evidence, in French and English. A missing text fails at once.

For: headings, labels, notes, and the names of what facts say. Not for: what events are called, which pages elsewhere
say too and whoever makes the dossier passes in (`oncall.evidence.pages.Words`).
"""

from collections.abc import Mapping
from typing import Final

from oncall.language import Language

_ABOUT_FR: Final = (
    "Ce dossier réunit ce que l'article R.6316-4 du Code de la santé publique demande de conserver d'un acte de "
    "télémédecine, et ce qui permet de prouver que rien n'y a été changé. Les heures sont celles de l'hôpital, "
    "avec leur décalage par rapport à UTC. Le fichier dossier.json joint à ce PDF en est l'original, lisible par "
    "un programme ; les pages le montrent. Vérification : telegarde oncall verify-evidence FICHIER. Le sceau "
    "prouve que le dossier est tel que ce serveur l'a fait ; comparez l'empreinte de sa clé avec celle que son "
    "exploitant publie."
)
_ABOUT_EN: Final = (
    "This dossier holds what article R.6316-4 of the French Code de la santé publique requires to be kept of an "
    "act of telemedicine, and what proves that nothing of it was changed. Times are the hospital's, with their "
    "offset from UTC. The file dossier.json attached to this PDF is the original, for programs; the pages show "
    "it. To verify: telegarde oncall verify-evidence FILE. The seal proves that the dossier is as this node made "
    "it; compare the digest of its key with the one that its operator publishes."
)

_EVENTS_FR: Final = (
    "Chaque empreinte couvre l'événement entier et l'empreinte du précédent : aucun ne peut être changé, retiré "
    "ou déplacé sans que toutes les suivantes changent."
)
_EVENTS_EN: Final = (
    "Each hash covers the whole event and the hash of the one before: none can be altered, dropped or moved "
    "without all later ones changing."
)

_ANCHORS_FR: Final = (
    "Un ancrage est un relevé quotidien, signé, de l'état de tous les journaux du serveur. Qui réécrirait ce "
    "dossier ne pourrait pas réécrire l'ancrage."
)
_ANCHORS_EN: Final = (
    "An anchor is a daily signed statement of where every log of the node stood. Whoever rewrote this case could "
    "not rewrite the anchor."
)

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Dossier de preuve", "Dossier of evidence"),
    "copy_of": ("Exemplaire de", "Copy of"),
    "platform": ("la plateforme de lecture", "the reading platform"),
    "case": ("Dossier", "Case"),
    "patient": ("Patient", "Patient"),
    "patient_key": ("Clé opaque du patient", "Opaque key of the patient"),
    "not_described": ("non décrit par l'archive", "not described by the archive"),
    "other_script": ("nom aussi enregistré dans une autre écriture", "name also recorded in another script"),
    "born": ("Né(e) le", "Born"),
    "sex": ("Sexe", "Sex"),
    "patient_id": ("Identifiant", "Patient ID"),
    "ins": ("INS", "National identity (INS)"),
    "made": ("Établi le", "Made"),
    "made_by": ("À la demande de", "At the request of"),
    "as_of": ("État au", "As of"),
    "digest": ("Empreinte scellée (SHA-256)", "Sealed digest (SHA-256)"),
    "key": ("Clé du sceau (SHA-256)", "Key of the seal (SHA-256)"),
    "stamped": ("Horodatage RFC 3161", "RFC 3161 time stamp"),
    "yes": ("oui", "yes"),
    "no": ("non", "no"),
    "page": ("page", "page"),
    "about": (_ABOUT_FR, _ABOUT_EN),
    "report": ("1. Le compte rendu", "1. The report"),
    "acts": ("2. Les actes et prescriptions", "2. Acts and prescriptions"),
    "people": ("3. L'identité des professionnels", "3. Identities of the professionals"),
    "times": ("4. Les dates et heures", "4. Dates and times"),
    "clocks": ("Les délais", "The clocks"),
    "incidents": ("5. Les incidents techniques", "5. Technical incidents"),
    "accesses": ("Qui a vu quoi, et quand", "Who saw what, and when"),
    "seen": ("Ce que le signataire avait sous les yeux", "What the signer had before them"),
    "communications": ("Ce qui a été dit à qui", "What was told to whom"),
    "messages": ("Les messages envoyés", "Messages sent"),
    "identities": ("L'identité du patient au fil du dossier", "The patient's identity over time"),
    "deliveries": ("La remise du compte rendu", "Delivery of the report"),
    "documents": ("Les documents produits", "Documents made"),
    "own": ("Ce que seul cet exemplaire contient", "What only this copy holds"),
    "events": ("La chaîne des événements", "The chain of events"),
    "anchors": ("Les ancrages", "Anchors"),
    "none_recorded": ("Rien n'a été enregistré.", "None recorded."),
    "no_report": ("Aucun compte rendu signé.", "No signed report."),
    "events_note": (_EVENTS_FR, _EVENTS_EN),
    "anchors_note": (_ANCHORS_FR, _ANCHORS_EN),
    "not_anchored": (
        "Pas encore ancré : l'ancrage suivant se fait à midi UTC.",
        "Not anchored yet: the next anchor is made at noon UTC.",
    ),
    "anchor_late": ("établi en retard", "made late"),
    "withdrawn": ("COMPTE RENDU RETIRÉ", "REPORT RETRACTED"),
    "local": ("Heure locale", "Local time"),
    "what": ("Événement", "Event"),
    "detail": ("Détail", "Detail"),
    "who": ("Par", "By"),
    "name": ("Nom", "Name"),
    "rpps": ("RPPS", "RPPS"),
    "role": ("Rôle", "Role"),
    "authentication": ("Authentification", "Authentication"),
    "recorded": ("Enregistré", "Recorded"),
    "kind": ("Nature", "Kind"),
    "clock": ("Délai", "Clock"),
    "began": ("Début", "Began"),
    "ended": ("Fin", "Ended"),
    "due": ("Échéance", "Due"),
    "minutes": ("Minutes", "Minutes"),
    "missed": ("Dépassé", "Missed"),
    "study": ("Examen", "Study"),
    "instances": ("Images", "Images"),
    "prior": ("Antérieur", "Prior"),
    "channel": ("Canal", "Channel"),
    "trace": ("Suivi", "What became of it"),
    "address": ("Adresse", "Address"),
    "sha256": ("SHA-256", "SHA-256"),
    "bytes": ("Octets", "Bytes"),
    "number": ("N°", "No."),
    "version": ("Version", "Version"),
    "signed": ("Signé le", "Signed"),
    "signer": ("Signataire", "Signer"),
    "reason": ("Motif", "Reason"),
    "holds": ("Tient", "Holds"),
    "preliminary": ("Provisoire", "Preliminary"),
    "final": ("Définitif", "Final"),
    "addendum": ("Complément", "Addendum"),
    "replacement": ("Remplacement", "Replacement"),
    "retraction": ("Retrait", "Retraction"),
    "indication": ("Indication", "Indication"),
    "technique": ("Technique", "Technique"),
    "results": ("Résultats", "Results"),
    "conclusion": ("Conclusion", "Conclusion"),
    "dose": ("Dose", "Dose"),
    "transfer": ("transfert", "transfer"),
    "images": ("images", "images"),
    "conflict": ("contradiction", "conflict"),
    "exam": ("examen", "exam"),
    "contact": ("contact", "contact"),
    "silence": ("silence", "silence"),
    "delivery": ("remise", "delivery"),
    "degraded": ("mode dégradé", "degraded mode"),
    "deadline": ("échéance", "deadline"),
    "C1": ("C1 réponse à la demande", "C1 answer to the request"),
    "C2": ("C2 images disponibles", "C2 images available"),
    "C3": ("C3 accusé du lecteur", "C3 reader's acknowledgement"),
    "C4": ("C4 compte rendu : l'heure", "C4 report: the hour"),
    "C5": ("C5 de la demande à la remise", "C5 request to delivery"),
    "C6": ("C6 résultat critique", "C6 critical finding"),
    "C7": ("C7 début des symptômes", "C7 onset of symptoms"),
    "C8": ("C8 seconde lecture", "C8 second reading"),
    "C9": ("C9 prise en compte aux urgences", "C9 acknowledged by the ED"),
    "radiologist": ("radiologue", "radiologist"),
    "reader": ("lecteur", "reader"),
    "radiographer": ("manipulateur", "radiographer"),
    "emergency_physician": ("urgentiste", "emergency physician"),
    "neurologist": ("neurologue", "neurologist"),
    "coordinator": ("coordination", "coordinator"),
    "administrator": ("administration", "administrator"),
    "requester": ("demandeur", "requester"),
    "system": ("système", "system"),
    "ahead": ("horloge en avance de", "clock ahead by"),
}

_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "reason": ("motif", "reason"),
    "motive": ("motif", "reason"),
    "channel": ("canal", "channel"),
    "recipient": ("destinataire", "recipient"),
    "finding": ("constatation", "finding"),
    "read_back": ("relu", "read back"),
    "method": ("moyen", "method"),
    "category": ("catégorie ACR", "ACR category"),
    "outcome": ("issue", "outcome"),
    "protocol": ("protocole", "protocol"),
    "protocol_id": ("protocole de la bibliothèque", "protocol of the library"),
    "author": ("auteur", "author"),
    "cautions": ("précautions", "cautions"),
    "deviation": ("écart", "deviation"),
    "phase_id": ("phase", "phase"),
    "asked": ("demandé", "asked"),
    "performed": ("réalisé", "performed"),
    "clinician": ("clinicien", "clinician"),
    "radiologist": ("radiologue", "radiologist"),
    "radiographer": ("manipulateur", "radiographer"),
    "version": ("version", "version"),
    "agent": ("produit", "agent"),
    "volume_ml": ("volume (mL)", "volume (mL)"),
    "urgency": ("urgence", "urgency"),
    "exam": ("examen", "exam"),
    "modality": ("modalité", "modality"),
    "needs": ("compétence", "competence"),
    "requester": ("demandeur", "requester"),
    "accession_number": ("numéro de demande", "accession number"),
    "deadline_at": ("échéance", "deadline"),
    "due_at": ("échéance", "due"),
    "received_at": ("reçu", "received"),
    "identified_at": ("constaté", "identified"),
    "onset_at": ("début des symptômes", "onset"),
    "person_id": ("personne", "person"),
    "fallback": ("repli", "fallback"),
    "what": ("quoi", "what"),
    "cause": ("cause", "cause"),
    "clock": ("délai", "clock"),
    "silent_s": ("silence (s)", "silent (s)"),
    "skew_s": ("écart (s)", "skew (s)"),
    "attempt": ("tentative", "attempt"),
    "note": ("note", "note"),
    "text": ("texte", "text"),
    "question": ("question", "question"),
    "answer": ("réponse", "answer"),
    "signer": ("signataire", "signer"),
    "rule": ("règle", "rule"),
    "reference": ("référence", "reference"),
    "is_given": ("donné", "given"),
}


def text(key: str, language: Language) -> str:
    """Return a text of the pages; an unknown key is a programmer's error."""
    french, english = _TEXTS[key]
    return french if language is Language.FRENCH else english


def word(key: str, language: Language) -> str:
    """Return the word for a kind or a clock; what has none is shown as it is written."""
    return text(key, language) if key in _TEXTS else key


def field_label(key: str, language: Language) -> str:
    """Return what a field of a fact is called; what has no word is shown as it is written."""
    french, english = _FIELDS.get(key, (key.replace("_", " "), key.replace("_", " ")))
    return french if language is Language.FRENCH else english
