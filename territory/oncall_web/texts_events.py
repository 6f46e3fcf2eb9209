"""What each event of a case's log is called, in French and English, and the words of its causes and reasons.

For: the timeline of a case, on pages and the command line. Invariant: every type of `oncall.case.vocabulary` has words
here (a test compares them), because a line that nobody can read hides what happened.
"""

from collections.abc import Mapping
from typing import Final

EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "request.drafted": ("Demande en préparation", "Request drafted"),
    "request.pre_alert": ("Patient annoncé", "Patient announced"),
    "request.unannounced": ("Examen arrivé sans demande", "Study came without a request"),
    "request.submitted": ("Demande envoyée", "Request submitted"),
    "request.received": ("Demande reçue", "Request received"),
    "request.rejected_technical": ("Demande rejetée (technique)", "Request rejected (technical)"),
    "request.completeness_checked": ("Demande vérifiée", "Request checked for completeness"),
    "request.clarification_asked": ("Précision demandée", "Clarification asked"),
    "request.clarification_answered": ("Précision donnée", "Clarification given"),
    "request.prior_exam_found": ("Examen antérieur trouvé", "Prior exam found"),
    "request.triaged": ("Urgence fixée", "Urgency set"),
    "request.refused": ("Demande refusée", "Request refused"),
    "request.withdrawn": ("Demande annulée", "Request withdrawn"),
    "request.expired": ("Demande expirée", "Request expired"),
    "request.duplicate_merged": ("Réunie à un autre dossier", "Merged into another case"),
    "request.matched": ("Demande rattachée à ces images", "Request joined to these images"),
    "request.unmatched": ("Demande détachée de ces images", "Request parted from these images"),
    "request.consent_recorded": ("Consentement noté", "Consent recorded"),
    "protocol.proposed": ("Protocole proposé", "Protocol proposed"),
    "protocol.modified": ("Protocole modifié", "Protocol modified"),
    "protocol.sent": ("Protocole envoyé", "Protocol sent"),
    "protocol.delivered_to_console": ("Protocole sur la console", "Protocol on the console"),
    "protocol.acknowledged": ("Protocole lu par le manipulateur", "Protocol acknowledged by the radiographer"),
    "protocol.question": ("Question sur le protocole", "Question about the protocol"),
    "protocol.answered": ("Réponse sur le protocole", "Answer about the protocol"),
    "protocol.countersigned": ("Protocole contresigné", "Protocol countersigned"),
    "protocol.superseded": ("Protocole remplacé", "Protocol superseded"),
    "protocol.deviation_detected": ("Écart au protocole", "Deviation from the protocol"),
    "protocol.deviation_justified": ("Écart justifié", "Deviation justified"),
    "patient.arrived_in_room": ("Patient en salle", "Patient in the room"),
    "exam.started": ("Examen commencé", "Exam started"),
    "exam.contrast_injected": ("Produit de contraste injecté", "Contrast injected"),
    "exam.adverse_event": ("Événement indésirable", "Adverse event"),
    "exam.discontinued": ("Examen interrompu", "Exam discontinued"),
    "exam.completed": ("Examen terminé", "Exam completed"),
    "exam.additional_series_requested": ("Séries complémentaires demandées", "Additional series asked for"),
    "exam.patient_released": ("Patient libéré", "Patient released"),
    "images.first_instance": ("Premières images", "First images"),
    "images.progress": ("Images en cours", "Images arriving"),
    "images.evidence_found": ("Indice de complétude", "Evidence of completeness"),
    "images.stalled": ("Transfert arrêté", "Transfer stalled"),
    "images.resumed": ("Transfert repris", "Transfer resumed"),
    "images.complete": ("Images complètes : l'heure commence", "Images complete: the hour begins"),
    "images.late_instance": ("Images tardives", "Late images"),
    "images.complete_again": ("De nouveau complètes : l'heure n'a pas bougé", "Complete again: the hour has not moved"),
    "images.quality_rejected": ("Images refusées (qualité)", "Images rejected (quality)"),
    "images.conflict": ("Images contradictoires conservées", "Conflicting images kept"),
    "images.linked": ("Examen rattaché", "Study linked"),
    "images.unlinked": ("Examen détaché", "Study unlinked"),
    "images.last_unlinked": ("Dernier examen détaché", "Last study unlinked"),
    "images.reconciled": ("Images rapprochées", "Images reconciled"),
    "images.deleted": ("Images supprimées", "Images deleted"),
    "priors.requested": ("Antérieurs demandés", "Priors requested"),
    "priors.available": ("Antérieurs disponibles", "Priors available"),
    "priors.unavailable": ("Antérieurs indisponibles", "Priors unavailable"),
    "queue.entered": ("Mis en attente de lecture", "Entered the queue"),
    "assign.proposed": ("Lecteur proposé", "Reader proposed"),
    "assign.made": ("Confié", "Assigned"),
    "assign.acknowledged": ("Accepté par le lecteur", "Accepted by the reader"),
    "assign.declined": ("Décliné par le lecteur", "Declined by the reader"),
    "assign.timeout": ("Le lecteur n'a pas répondu", "The reader did not answer"),
    "assign.revoked": ("Retiré au lecteur", "Taken back from the reader"),
    "assign.reassigned": ("Confié à un autre lecteur", "Reassigned"),
    "page.sent": ("Appel parti", "Page sent"),
    "page.delivered": ("Appel remis", "Page delivered"),
    "page.failed": ("Appel non remis", "Page failed"),
    "page.repeated": ("Appel répété", "Page repeated"),
    "read.opened": ("Lecture ouverte", "Reading opened"),
    "read.parked": ("Lecture suspendue", "Reading parked"),
    "read.preempted": ("Lecture interrompue par une urgence", "Reading preempted"),
    "read.resumed": ("Lecture reprise", "Reading resumed"),
    "read.released": ("Lecture rendue", "Reading released"),
    "read.assistance_asked": ("Aide demandée", "Assistance asked for"),
    "handover.offered": ("Relève proposée", "Handover offered"),
    "handover.accepted": ("Relève acceptée", "Handover accepted"),
    "reader.unavailable": ("Lecteur indisponible", "Reader unavailable"),
    "escalation.started": ("Escalade", "Escalation"),
    "escalation.notified": ("Appel", "Page"),
    "escalation.no_notification_sent": ("Personne d'appelé", "Nobody was paged"),
    "escalation.skipped_empty_step": ("Échelon vide, passé", "Empty step, skipped"),
    "escalation.acknowledged": ("Réponse à l'appel", "Page answered"),
    "escalation.stopped": ("Escalade terminée", "Escalation ended"),
    "escalation.exhausted": ("Escalade épuisée : l'hôpital est alerté", "Escalation exhausted: hospital alarmed"),
    "finding.first_communicated": ("Premier résultat annoncé", "First finding told"),
    "prelim.issued": ("Compte rendu provisoire", "Preliminary report"),
    "report.drafted": ("Compte rendu en rédaction", "Report drafted"),
    "report.signed": ("Compte rendu signé : l'heure s'arrête", "Report signed: the hour ends"),
    "report.addendum": ("Complément au compte rendu", "Addendum"),
    "report.replaced": ("Compte rendu remplacé", "Report replaced"),
    "report.retracted": ("Compte rendu retiré", "Report retracted"),
    "report.identity_changed": ("Compte rendu signé sous une autre identité", "Report signed under another identity"),
    "report.double_read_findings": (
        "Seconde lecture : constats notés à l'aveugle",
        "Second reading: findings noted blind",
    ),
    "report.double_read_required": ("Seconde lecture requise", "Second reading required"),
    "report.double_read_assigned": ("Seconde lecture confiée", "Second reading assigned"),
    "report.double_read_done": ("Seconde lecture faite", "Second reading done"),
    "discrepancy.recorded": ("Discordance notée", "Discrepancy recorded"),
    "discrepancy.communicated": ("Discordance annoncée", "Discrepancy told"),
    "discrepancy.acknowledged": ("Discordance prise en compte", "Discrepancy acknowledged"),
    "discrepancy.learning_closed": ("Retour d'expérience clos", "Learning closed"),
    "report.sent": ("Compte rendu envoyé", "Report sent"),
    "report.delivered": ("Compte rendu remis", "Report delivered"),
    "report.delivery_failed": ("Compte rendu non remis", "Report delivery failed"),
    "report.accessed": ("Compte rendu consulté", "Report opened"),
    "report.acknowledged_by_ED": ("Compte rendu pris en compte", "Report acknowledged"),
    "report.not_accessed_alert": ("Compte rendu non consulté : alerte", "Report not opened: alert"),
    "report.published": ("Compte rendu publié", "Report published"),
    "action.recorded": ("Suite donnée", "Action recorded"),
    "case.closed": ("Dossier clos", "Case closed"),
    "case.invoiced": ("Dossier facturé", "Case invoiced"),
    "case.reopened": ("Dossier rouvert", "Case reopened"),
    "critical.declared": ("Résultat critique déclaré", "Critical finding declared"),
    "critical.call_attempt": ("Tentative d'appel (résultat critique)", "Call attempted (critical finding)"),
    "critical.communicated": ("Résultat critique annoncé et relu", "Critical finding told and read back"),
    "critical.acknowledged": ("Résultat critique pris en charge", "Critical finding taken over"),
    "critical.escalated": ("Résultat critique : escalade", "Critical finding escalated"),
    "critical.closed": ("Résultat critique clos", "Critical finding closed"),
    "identity.provisional": ("Identité provisoire", "Provisional identity"),
    "identity.qualified": ("Identité qualifiée", "Identity qualified"),
    "identity.corrected": ("Identité précisée", "Identity corrected"),
    "identity.merged": ("Identités réunies", "Identities merged"),
    "identity.split": ("Identités séparées", "Identities split"),
    "identity.mismatch_blocked": ("Identité contradictoire : signature bloquée", "Identity contradicted: no signature"),
    "identity.in_two_patients": ("Un examen sous deux patients", "One study under two patients"),
    "mode.degraded_entered": ("Mode dégradé", "Degraded mode entered"),
    "mode.degraded_left": ("Fin du mode dégradé", "Degraded mode left"),
    "clock.skew_detected": ("Horloge décalée", "Clock skew detected"),
    "clock.breached": ("Délai dépassé", "Clock breached"),
    "evidence.sealed": ("Preuve scellée", "Evidence sealed"),
}
"""By event type."""

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    # Why a report did not arrive.
    "no_documents": ("documents pas encore faits", "documents are not made yet"),
    "not_available": ("un service ne répond pas", "a service does not answer"),
    "not_stored": ("version absente", "the version is not there"),
    "no_study": ("l'archive n'a aucune image du dossier", "the archive has no image of the case"),
    "no_case": ("dossier inconnu", "unknown case"),
    "two_patients": ("images de deux patients", "images of two patients"),
    "another_patient": ("images d'un autre patient", "images of another patient"),
    "signed_for_another": ("signé pour un autre patient", "signed for another patient"),
    # Why a chain of pages was begun, or its next step.
    "assigned": ("dossier confié", "case assigned"),
    "silence": ("sans réponse", "no answer"),
    "declined": ("a décliné", "declined"),
    "technical": ("l'appel n'est pas passé", "the page did not get through"),
    "deadline_forecast": ("l'heure est menacée", "the hour is in danger"),
    "deadline_missed": ("l'heure est dépassée", "the hour is missed"),
    "capacity": ("listes pleines", "lists are full"),
    "skill_gap": ("personne ne peut le lire", "nobody may read it"),
    "clinical": ("le neurologue est informé", "the neurologist knows"),
    # Whom a step means.
    "assigned_reader": ("lecteur désigné", "assigned reader"),
    "another_reader": ("autre lecteur", "another reader"),
    "neurologist": ("neurologue de l'hôpital", "the hospital's neurologist"),
    "senior": ("senior d'astreinte", "senior on call"),
    "backup": ("renfort", "backup"),
    "neighbour_provider": ("prestataire voisin", "neighbouring provider"),
    "emergency_physician": ("urgentiste", "emergency physician"),
    "hospital_senior": ("senior de l'hôpital", "senior of the hospital"),
    "administrator_on_duty": ("administrateur de garde", "administrator on duty"),
    "coordinator": ("coordonnateur", "coordinator"),
    "hospital": ("hôpital", "hospital"),
    # Why somebody was given the case.
    "new": ("nouveau dossier", "new case"),
    "reader_lost": ("le lecteur précédent ne peut plus", "the previous reader no longer may"),
    "sooner": ("commence nettement plus tôt", "begins clearly sooner"),
    "turn": ("premier lecteur libre", "the first free reader"),
    "answered": ("a répondu à l'appel", "answered the page"),
    "opened": ("a ouvert le dossier", "opened the case"),
    # Why nobody was paged.
    "no_contact_method": ("aucun moyen de contact", "no way to be reached"),
    "paged_before": ("déjà appelé", "paged before"),
    "no_hospital_contact": ("l'hôpital n'a donné aucun contact", "the hospital has named no contact"),
    "no_channel": ("ce canal n'est pas configuré", "this channel is not configured"),
    "no_connection": ("pas de connexion", "no connection"),
    "connection_broke": ("connexion rompue : parti ou non", "connection broke: sent or not"),
    "not_authenticated": ("le prestataire refuse l'accès", "the provider refuses access"),
    "invalid_address": ("adresse invalide", "invalid address"),
    "closed": ("dossier clos", "case closed"),
    "taken": ("pris en charge", "taken"),
    "no_longer_to_be_read": ("plus à lire", "no longer to be read"),
    "declined by message": ("a décliné par message", "declined by message"),
    # By which rule images were complete.
    "button": ("bouton", "button"),
    "expected_count": ("nombre attendu atteint", "expected number reached"),
    "quiet_period": ("plus rien n'arrive", "nothing more comes"),
    "mpps_list": ("liste du scanner (MPPS)", "the scanner's list (MPPS)"),
    "radiographer_button": ("le manipulateur", "the radiographer"),
    "exam_complement": ("l'hôpital : examen terminé", "the hospital: exam done"),
    "storage_commitment": ("demande d'archivage du scanner", "the scanner's commitment request"),
    "association_end": ("fin d'envoi du scanner", "end of the scanner's sending"),
    "images_moving": ("les images arrivent de nouveau", "images arrive again"),
    # Channels and methods.
    "email": ("courriel", "e-mail"),
    "sms": ("SMS", "SMS"),
    "voice": ("appel vocal", "voice call"),
    "push": ("notification", "push"),
    "console": ("écran de garde", "control-room screen"),
    "api": ("interface", "interface"),
    "web": ("page", "page"),
    # Who, when it is nobody of the directory.
    "telegarde": ("moteur", "engine"),
    "loopback": ("ce poste", "this machine"),
    "control_room": ("écran de garde", "control-room screen"),
    "nobody": ("personne", "nobody"),
}
"""By the word that the log keeps; what is not here is shown as it was written."""


EVIDENCE: Final[Mapping[str, tuple[str, str]]] = {
    "same_accession": ("même numéro d'examen", "same accession number"),
    "same_patient": ("même patient", "same patient"),
    "same_site": ("même hôpital", "same hospital"),
    "same_modality": ("même modalité", "same modality"),
    "near_in_time": ("heures proches", "near in time"),
    "unidentified_patient": ("patient non identifié", "unidentified patient"),
    "other_accession": ("autre numéro d'examen", "other accession number"),
    "other_patient": ("AUTRE PATIENT", "OTHER PATIENT"),
    "other_site": ("autre hôpital", "other hospital"),
    "other_modality": ("autre modalité", "other modality"),
    "far_in_time": ("heures éloignées", "far in time"),
}
"""What speaks for or against a match (`oncall.case.matching.Evidence`)."""


def event_words(event_type: str, language: str) -> str:
    """Return what an event is called; a type that is not known is shown as it is."""
    return _in(EVENTS, event_type, language)


def reason_words(word: str, language: str) -> str:
    """Return a cause, reason, step or channel in words; anything else as it was written."""
    if word.startswith("nobody_is_"):
        found = reason_words(word.removeprefix("nobody_is_"), language)
        return f"no {found} on duty" if language == "en" else f"personne comme {found}"
    if ", " in word and all(part in EVIDENCE for part in word.split(", ")):
        return ", ".join(_in(EVIDENCE, part, language) for part in word.split(", "))
    if word.startswith("assignment:"):
        return reason_words(word.removeprefix("assignment:"), language)
    return _in(REASONS, word, language)


def _in(texts: Mapping[str, tuple[str, str]], key: str, language: str) -> str:
    return texts[key][language == "en"] if key in texts else key
