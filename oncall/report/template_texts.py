"""What templates say to people beyond their own words: punctuation of a language, refusals of answers, what is missing.

For: French and English sentences as constants. Not for: the words of one template, which are its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from oncall.language import Language


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of one language; ``{...}`` are filled in by who uses them, ``units`` are UCUM as it is read there."""

    yes: str
    no: str
    colon: str
    last_of_list: str
    decimal_mark: str
    date: str
    time: str
    date_time: str
    unknown_field: str
    hidden_field: str
    wants_text: str
    wants_number: str
    wants_whole: str
    too_small: str
    too_great: str
    wants_choice: str
    wants_choices: str
    excludes: str
    wants_yes_no: str
    wants_date: str
    wants_time: str
    wants_date_time: str
    too_long: str
    missing_answer: str
    missing_conclusion: str
    missing_results: str
    missing_indication: str
    missing_technique: str
    missing_dose: str
    units: Mapping[str, str]


WORDS: Final[Mapping[Language, Words]] = {
    Language.FRENCH: Words(
        yes="oui",
        no="non",
        colon=" : ",
        last_of_list=" et ",
        decimal_mark=",",
        date="%d/%m/%Y",
        time="%H h %M",
        date_time="le %d/%m/%Y à %H h %M",
        unknown_field="cette question n'est pas dans le modèle",
        hidden_field="sans objet : la réponse dont dépend cette question a changé",
        wants_text="un texte est attendu",
        wants_number="un nombre est attendu",
        wants_whole="un nombre entier est attendu",
        too_small="au moins {bound} est attendu",
        too_great="au plus {bound} est attendu",
        wants_choice="un des choix proposés est attendu",
        wants_choices="des choix proposés, chacun une fois, sont attendus",
        excludes="« {label} » exclut tout autre choix",
        wants_yes_no="oui ou non est attendu",
        wants_date="une date comme 2026-10-25 est attendue",
        wants_time="une heure comme 02:30 est attendue",
        wants_date_time="une date et une heure comme 2026-10-25T02:30 sont attendues",
        too_long="au plus {bound} caractères",
        missing_answer="non renseigné : {label}",
        missing_conclusion="La conclusion est vide.",
        missing_results="Les résultats sont vides.",
        missing_indication="L'indication est vide.",
        missing_technique="La technique est vide.",
        missing_dose="La dose n'est pas renseignée (arrêté du 22 septembre 2006).",
        units={"a": "ans", "ug/L": "µg/L", "mGy.cm": "mGy·cm", "[hnsf'U]": "UH", "Cel": "°C", "cm2": "cm²"},
    ),
    Language.ENGLISH: Words(
        yes="yes",
        no="no",
        colon=": ",
        last_of_list=" and ",
        decimal_mark=".",
        date="%Y-%m-%d",
        time="%H:%M",
        date_time="%Y-%m-%d at %H:%M",
        unknown_field="the template does not ask this",
        hidden_field="does not apply: the answer that this question depends on has changed",
        wants_text="a text is wanted",
        wants_number="a number is wanted",
        wants_whole="a whole number is wanted",
        too_small="at least {bound} is wanted",
        too_great="at most {bound} is wanted",
        wants_choice="one of the choices is wanted",
        wants_choices="some of the choices, each once, are wanted",
        excludes="“{label}” excludes any other choice",
        wants_yes_no="yes or no is wanted",
        wants_date="a date like 2026-10-25 is wanted",
        wants_time="a time like 02:30 is wanted",
        wants_date_time="a date and time like 2026-10-25T02:30 is wanted",
        too_long="at most {bound} characters",
        missing_answer="not answered: {label}",
        missing_conclusion="The conclusion is empty.",
        missing_results="The results are empty.",
        missing_indication="The indication is empty.",
        missing_technique="The technique is empty.",
        missing_dose="The dose is not stated (decree of 22 September 2006).",
        units={"a": "years", "ug/L": "µg/L", "mGy.cm": "mGy·cm", "[hnsf'U]": "HU", "Cel": "°C", "cm2": "cm²"},
    ),
}
