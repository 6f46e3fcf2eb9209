"""The languages people read here."""

from enum import StrEnum


class Language(StrEnum):
    """ISO 639-1 codes."""

    FRENCH = "fr"
    ENGLISH = "en"
