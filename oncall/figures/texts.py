"""What figures are called, in French and English: for plots, the monthly report and pages.

For: words, and numbers as each language writes them. Not for: counting. The clinic's words are those of the glossary.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from oncall.case.clocks import Clock
from oncall.figures.row import Cause, Outcome, Period
from oncall.figures.summary import Share
from oncall.language import Language

_Texts = Mapping[str, tuple[str, str]]

_FRENCH_FIRST: Final = (Language.FRENCH, Language.ENGLISH)

_CLOCKS: Final[Mapping[Clock, tuple[str, str]]] = MappingProxyType(
    {
        Clock.ANSWER: ("Réponse à la demande", "Answer to the request"),
        Clock.IMAGES: ("Mise à disposition des images", "Images available"),
        Clock.ACKNOWLEDGEMENT: ("Prise en charge par le lecteur", "Reader's answer"),
        Clock.REPORT: ("Compte rendu (l'heure)", "Report (the hour)"),
        Clock.PERCEIVED: ("Délai perçu, demande à remise", "Perceived, request to delivery"),
        Clock.CRITICAL: ("Résultat critique transmis", "Critical result taken over"),
        Clock.ONSET: ("Depuis le début de l'AVC", "Since stroke onset"),
        Clock.SECOND_READ: ("Deuxième lecture", "Second reading"),
        Clock.KNOWN_TO_ED: ("Lu par les urgences", "Acknowledged by the ED"),
    }
)
_PERIODS: Final[Mapping[Period, tuple[str, str]]] = MappingProxyType(
    {
        Period.DEEP_NIGHT: ("nuit profonde (0 h à 8 h)", "deep night (00:00 to 08:00)"),
        Period.HOLIDAY: ("jour férié", "public holiday"),
        Period.WEEKEND: ("week-end", "weekend"),
        Period.EVENING: ("soirée (18 h 30 à 0 h)", "evening (18:30 to 00:00)"),
        Period.DAY: ("jour ouvré", "working day"),
    }
)
_CAUSES: Final[Mapping[Cause, tuple[str, str]]] = MappingProxyType(
    {
        Cause.CAPACITY: ("capacité : inévitable", "capacity: unavoidable"),
        Cause.ORDER: ("évitable : autre ordre, ou plus tôt", "avoidable by order, or sooner"),
        Cause.SILENCE: ("silence d'un lecteur", "a reader's silence"),
        Cause.TRANSFER: ("transfert des images", "transfer of images"),
        Cause.OWN_LENGTH: ("durée propre de la lecture", "its own length"),
        Cause.WAITING: ("attente, non jugée", "waiting, not judged"),
    }
)
_OUTCOMES: Final[Mapping[Outcome, tuple[str, str]]] = MappingProxyType(
    {
        Outcome.OPEN: ("en cours", "open"),
        Outcome.REPORTED: ("compte rendu signé", "reported"),
        Outcome.RETRACTED: ("compte rendu retiré", "report retracted"),
        Outcome.REFUSED: ("demande refusée", "request refused"),
        Outcome.WITHDRAWN: ("demande retirée", "request withdrawn"),
        Outcome.EXPIRED: ("sans suite", "came to nothing"),
        Outcome.MERGED: ("fusionné avec un autre cas", "merged into another case"),
        Outcome.MOVED: ("images déplacées vers un autre cas", "images moved to another case"),
        Outcome.UNREPORTED: ("clos sans compte rendu", "closed without a report"),
    }
)
_DIMENSIONS: Final[_Texts] = MappingProxyType(
    {
        "site": ("établissement", "hospital"),
        "class": ("classe d'urgence", "priority class"),
        "period": ("période", "period"),
        "provider": ("prestataire", "provider"),
        "reader": ("lecteur", "reader"),
    }
)
_WORDS: Final[_Texts] = MappingProxyType(
    {
        "title": ("Téléradiologie de garde : chiffres du mois", "On-call teleradiology: figures of the month"),
        "nothing": (
            "Aucun cas dans cette période. Rien n'y a été mesuré : ni succès, ni retard.",
            "There is no case in this time. Nothing was measured in it: neither success nor delay.",
        ),
        "the_hour": (
            "L'heure : des images complètes au compte rendu signé",
            "The hour: from images complete to signed report",
        ),
        "in_time": ("Dans le délai", "In time"),
        "late": ("En retard", "Late"),
        "running": ("En cours", "Running"),
        "overdue": ("dont échus", "overdue"),
        "median": ("médiane", "median"),
        "max": ("maximum", "maximum"),
        "cases": ("cas", "cases"),
        "minutes": ("minutes", "minutes"),
        "p1_wait": ("P1 : attente avant ouverture", "P1: wait until opened"),
        "p1_wait_short": ("attente P1", "P1 wait"),
        "p1_finding": ("P1 : premier résultat communiqué", "P1: first finding told"),
        "worst_site": ("Établissement le moins bien servi", "Hospital that fares worst"),
        "clocks": ("Toutes les horloges", "All clocks"),
        "clock": ("Horloge", "Clock"),
        "causes": ("Causes des retards", "Causes of late reports"),
        "outcomes": ("Devenir des cas", "What became of the cases"),
        "reassigned": ("Cas confiés à un autre lecteur", "Cases given to another reader"),
        "second_readings": ("Deuxièmes lectures", "Second readings"),
        "redundant": ("Un examen récent répondait peut-être", "A recent exam may have answered"),
        "avoided": ("dont examens évités", "of these, exams avoided"),
        "needed": ("dont examens nécessaires", "of these, exams needed"),
        "by": ("Par", "By"),
        "limit": ("une heure", "one hour"),
        "sites_plot": ("Délai du compte rendu par établissement", "Time to report, by hospital"),
        "days_plot": ("Cas par jour", "Cases by day"),
        "site_legend": ("médiane à p95, point : maximum", "median to p95, dot: maximum"),
        "none": ("sans", "none"),
        "ledger": ("Équité de la garde", "Fairness of duty"),
        "person": ("Personne", "Person"),
        "nights": ("nuits", "nights"),
        "deep_nights": ("nuits profondes", "deep nights"),
        "weekends": ("week-ends", "weekends"),
        "holidays": ("fériés", "holidays"),
        "hours": ("heures", "hours"),
        "calls": ("appels", "calls"),
        "minutes_read": ("min lues", "min read"),
        "burden": ("charge", "burden"),
        "judged": ("Nuits jugées par le calcul clairvoyant", "Nights judged by the clairvoyant"),
        "clairvoyant": ("Ce qui était possible, les arrivées connues d'avance", "What was possible, arrivals known"),
        "possible": ("dans le délai, au mieux", "in time, at best"),
        "without_silence": ("au mieux, sans silence", "at best, without silence"),
        "without_transfers": ("au mieux, sans transfert arrêté", "at best, without stalled transfers"),
        "reader_hours": ("heures de lecteur", "reader hours"),
        "definitions": ("Définitions", "Definitions"),
        "as_of": ("État au", "As of"),
        "percentiles": (
            "p95 et p99 sont des valeurs observées : la plus petite que 95 % (99 %) des valeurs ne dépassent pas.",
            "p95 and p99 are observed values: the smallest that 95 % (99 %) of the values do not exceed.",
        ),
        "shares": (
            (
                "La part dans le délai se lit avec p95, p99, le maximum, l'attente des P1 et l'établissement le moins "
                "bien servi : seule, elle récompense l'abandon des cas en retard. Elle porte sur les cas rendus ou "
                "échus. Aucun pourcentage sur moins de dix cas."
            ),
            (
                "The share in time is read with p95, p99, the maximum, the wait of P1 and the hospital that fares "
                "worst: alone, it rewards abandoning late cases. It is of the cases that were reported or are overdue. "
                "No percentage of fewer than ten cases."
            ),
        ),
        "measured": (
            (
                "Un cas compte au jour où ses images étaient complètes. Les durées sont écoulées (UTC), changements "
                "d'heure compris. Un compte rendu retiré ne répond à rien ; un addendum n'arrête aucune horloge ; un "
                "cas fusionné est mesuré une seule fois."
            ),
            (
                "A case counts on the day on which its images were complete. Durations are elapsed (UTC), changes of "
                "the clock included. A retracted report answers nothing; an addendum stops no clock; a merged case is "
                "measured once."
            ),
        ),
    }
)
_MONTHS: Final = (
    ("janvier", "January"), ("février", "February"), ("mars", "March"), ("avril", "April"), ("mai", "May"),
    ("juin", "June"), ("juillet", "July"), ("août", "August"), ("septembre", "September"), ("octobre", "October"),
    ("novembre", "November"), ("décembre", "December"),
)  # fmt: skip


def word(name: str, language: Language) -> str:
    """Return a word or sentence of ours by its name."""
    return _of(_WORDS[name], language)


def clock_name(clock: Clock, language: Language) -> str:
    """Return what a clock is called."""
    return _of(_CLOCKS[clock], language)


def period_name(period: Period, language: Language) -> str:
    """Return what a period is called."""
    return _of(_PERIODS[period], language)


def cause_name(cause: Cause, language: Language) -> str:
    """Return what a cause is called."""
    return _of(_CAUSES[cause], language)


def outcome_name(outcome: Outcome, language: Language) -> str:
    """Return what an outcome is called."""
    return _of(_OUTCOMES[outcome], language)


def dimension_name(dimension: str, language: Language) -> str:
    """Return what cases are told apart by is called."""
    return _of(_DIMENSIONS[dimension], language)


def month_name(first: date, language: Language) -> str:
    """Return a month with its year."""
    return f"{_of(_MONTHS[first.month - 1], language)} {first.year}"


def duration_text(seconds: float | None, language: Language) -> str:
    """Return a duration as people read it: minutes with one decimal, from ten hours on hours; a dash for none."""
    if seconds is None:
        return "–"
    value, unit = (seconds / 60, "min") if seconds < 36_000 else (seconds / 3600, "h")
    return f"{_decimal(f'{value:.1f}', language)} {unit}"


def share_text(share: Share, language: Language) -> str:
    """Return counts, and the percentage where there are enough."""
    of = f"{share.count} sur {share.of}" if language is Language.FRENCH else f"{share.count} of {share.of}"
    if share.share is None:
        return of
    # Rounded down: what is not all is never 100 %.
    percent = int(share.share * 1000) / 10
    return f"{_decimal(f'{percent:.1f}', language)} % ({of})"


def _decimal(text: str, language: Language) -> str:
    return text.replace(".", ",") if language is Language.FRENCH else text


def _of(texts: tuple[str, str], language: Language) -> str:
    return texts[_FRENCH_FIRST.index(language)]
