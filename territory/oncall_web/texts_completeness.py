"""The words of what says that the images of an exam are complete, in French and English."""

from collections.abc import Mapping
from typing import Final

COMPLETENESS_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "completeness.since": ("Complètes depuis", "Complete since"),
    "completeness.by": ("d'après", "by"),
    "completeness.now": ("Aujourd'hui", "By now"),
    "completeness.evidence": ("Ce qui le dit", "What says so"),
    "completeness.none": ("Rien ne le dit encore.", "Nothing says so yet."),
    "completeness.missing": ("images manquent", "images are missing"),
    "completeness.reopened": (
        "Images tardives ou manquantes depuis : l'heure court toujours.",
        "Images late or missing since: the hour runs on.",
    ),
    "completeness.again": ("De nouveau complètes depuis", "Complete again since"),
    "completeness.stalled": ("Transfert arrêté depuis", "Transfer stalled since"),
    "completeness.link_lost": (
        "La liaison avec l'hôpital est perdue depuis : téléphonez.",
        "The link with the hospital is lost since: telephone.",
    ),
    "completeness.next": ("Complètes, si plus rien n'arrive, à", "Complete, if nothing more comes, at"),
    "completeness.of": ("images", "images"),
    "confidence.proven": ("prouvé : chaque image nommée est là", "proven: each image named is here"),
    "confidence.stated": ("affirmé par quelqu'un qui le sait", "stated by somebody who knows"),
    "confidence.presumed": ("présumé", "presumed"),
    "evidence.mpps_list": ("liste du scanner (MPPS)", "the scanner's list (MPPS)"),
    "evidence.radiographer_button": ("le manipulateur", "the radiographer"),
    "evidence.expected_count": ("nombre attendu atteint", "expected number reached"),
    "evidence.exam_complement": ("l'hôpital : examen terminé (flux 4)", "the hospital: exam done (flow 4)"),
    "evidence.storage_commitment": ("demande d'archivage du scanner", "the scanner's commitment request"),
    "evidence.association_end": ("fin d'envoi du scanner", "end of the scanner's sending"),
    "evidence.quiet_period": ("plus rien n'arrive", "nothing more comes"),
    "evidence.insisted": ("malgré les images manquantes", "in spite of the missing images"),
    "ending.released": ("en ordre", "in order"),
    "ending.aborted": ("interrompue entre deux images", "aborted between two images"),
    "ending.cut": ("coupée au milieu d'une image", "cut in the middle of an image"),
    "remark.stalled": ("transfert arrêté", "transfer stalled"),
    "remark.reopened": ("images tardives ou manquantes", "images late or missing"),
    "remark.link_lost": ("liaison perdue", "link lost"),
    "remark.presumed": ("complétude présumée", "presumed complete"),
    "links.lost": ("Liaison perdue, téléphonez", "Link lost, telephone"),
    "field.count": ("Nombre d'images à la console", "Number of images at the console"),
    "field.is_insisted": (
        "Je sais que des images manquent : c'est complet ainsi",
        "I know that images are missing: it is complete as it is",
    ),
}
