"""Every word that documents add to a report, in French and English. A missing text fails at once.

For: labels, notices and dates, in one table for all kinds of document. Not for: what the report itself says.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from oncall.language import Language
from oncall.report.content import Chapter
from oncall.report.version import VersionKind

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "indication": ("Indication", "Indication"),
    "technique": ("Technique", "Technique"),
    "results": ("Résultats", "Results"),
    "conclusion": ("Conclusion", "Conclusion"),
    "patient": ("Patient", "Patient"),
    "born": ("Né(e) le", "Born"),
    "sex": ("Sexe", "Sex"),
    "M": ("masculin", "male"),
    "F": ("féminin", "female"),
    "O": ("autre", "other"),
    "patient_id": ("Identifiant", "Patient ID"),
    "ins": ("INS", "National identity (INS)"),
    "other_script": (
        "nom aussi enregistré dans une autre écriture, que ce document ne peut pas montrer",
        "name also recorded in another script, which this document cannot show",
    ),
    "site": ("Établissement", "Hospital"),
    "exam": ("Examen", "Exam"),
    "exam_date": ("Date de l'examen", "Date of exam"),
    "accession_number": ("Numéro de demande", "Accession number"),
    "requester": ("Demandé par", "Requested by"),
    "referring_physician": ("Médecin traitant", "Referring physician"),
    "dose": ("Dose", "Dose"),
    "answers": ("Éléments structurés", "Structured findings"),
    "key_images": ("Images clés", "Key images"),
    "image": ("Image", "Image"),
    "frames": ("coupes", "frames"),
    "yes": ("oui", "yes"),
    "no": ("non", "no"),
    "not_stated": ("non renseigné", "not stated"),
    "version": ("Version", "Version"),
    "kind_preliminary": ("Compte rendu provisoire", "Preliminary report"),
    "kind_final": ("Compte rendu définitif", "Final report"),
    "kind_addendum": ("Compte rendu avec addendum", "Report with addendum"),
    "kind_replacement": ("Compte rendu de remplacement", "Replacement report"),
    "kind_retraction": ("Retrait d'un compte rendu", "Retraction of a report"),
    "mark_preliminary": ("PROVISOIRE", "PRELIMINARY"),
    "mark_withdrawn": ("RETIRÉ", "RETRACTED"),
    "preliminary_notice": (
        "Premières constatations, communiquées en cours de lecture. Seul le compte rendu définitif qui suit fait foi.",
        "First findings, communicated before reading was finished. The final report follows; only that one counts.",
    ),
    "withdrawn_title": ("COMPTE RENDU RETIRÉ : NE PAS UTILISER", "REPORT RETRACTED: DO NOT USE"),
    "withdrawn_notice": (
        "Ce compte rendu a été retiré après signature. Il est conservé comme preuve et ne doit fonder aucune décision.",
        "This report was retracted after it was signed. It is kept as evidence; base no decision on it.",
    ),
    "retraction_notice": (
        "Retiré jusqu'à la version {version} comprise, signée par {name} le {instant}. Prévenez ceux qui l'ont lu.",
        "Retracted up to and including version {version}, signed by {name} on {instant}. Tell whoever has read it.",
    ),
    "replacement_title": ("Remplace la version {version}", "Replaces version {version}"),
    "replacement_notice": (
        "Ce compte rendu remplace la version {version}, signée par {name} le {instant}.",
        "This report replaces version {version}, signed by {name} on {instant}.",
    ),
    "addendum_title": ("Addendum à la version {version}", "Addendum to version {version}"),
    "addendum_notice": (
        "L'addendum vient d'abord ; le compte rendu qu'il complète suit en entier.",
        "The addendum comes first; the report that it adds to follows in full.",
    ),
    "reason": ("Motif : {reason}", "Reason: {reason}"),
    "part_addendum": ("Addendum (version {version})", "Addendum (version {version})"),
    "part_original": ("Compte rendu (version {version})", "Report (version {version})"),
    "signed_by": ("Signé par", "Signed by"),
    "signed_on": ("le {instant}", "on {instant}"),
    "signature": ("Signature électronique", "Electronic signature"),
    "digest": ("Empreinte SHA-256", "SHA-256 digest"),
    "key": ("Clé", "Key"),
    "case": ("Dossier", "Case"),
    "page": ("Page", "Page"),
    "rendering_note": (
        "Ce document reproduit une version signée, conservée avec sa signature ; c'est elle qui fait foi.",
        "This document reproduces a signed version, which is kept with its signature; that version is the original.",
    ),
}

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def text(key: str, language: Language, **values: object) -> str:
    """Return a text of the table in a language, its fields filled."""
    found = _TEXTS[key][0 if language is Language.FRENCH else 1]
    return found.format(**values) if values else found


def chapter_label(chapter: Chapter, language: Language) -> str:
    """Return the heading of a chapter."""
    return text(chapter.value, language)


def kind_label(kind: VersionKind, language: Language) -> str:
    """Return what a version of a kind is called."""
    return text(f"kind_{kind.value}", language)


def day(value: date, language: Language) -> str:
    """Return a date as it is written: 28/03/2026, 28 Mar 2026."""
    if language is Language.FRENCH:
        return f"{value:%d/%m/%Y}"
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def minute(value: date, at: time | None, language: Language) -> str:
    """Return a local date, with its time to the minute where that is known."""
    if at is None:
        return day(value, language)
    joint = " à " if language is Language.FRENCH else ", "
    return f"{day(value, language)}{joint}{at:%H:%M}"


def instant(value: datetime, time_zone: str, language: Language) -> str:
    """Return an instant in a place's time with its offset, which tells the two hours of an autumn night apart."""
    local = value.astimezone(ZoneInfo(time_zone))
    seconds = (local.replace(tzinfo=UTC) - value.astimezone(UTC)).total_seconds()
    sign, minutes = ("-", -seconds) if seconds < 0 else ("+", seconds)
    hours, rest = divmod(round(minutes / 60), 60)
    return f"{minute(local.date(), local.time(), language)} (UTC{sign}{hours:02d}:{rest:02d})"


def pair(label: str, value: str, language: Language) -> str:
    """Return a label with its value; French has a space before the colon."""
    return f"{label} : {value}" if language is Language.FRENCH else f"{label}: {value}"


def number(value: float, language: Language) -> str:
    """Return a number with the decimal mark of a language."""
    written = f"{value:.10g}" if isinstance(value, float) else str(value)
    return written.replace(".", ",") if language is Language.FRENCH else written
