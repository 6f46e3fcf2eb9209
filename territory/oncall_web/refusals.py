"""Refusals that people read in their own language.

For: pages and interface alike. Not for: what another package refuses; its words are English and are shown as they are.
"""

from foundation.errors import Refused
from oncall.report.drafts import DraftHeld, StaleRevision
from territory.oncall_web.texts import text


class RefusedInWords(Refused):
    """A refusal with words of the pages: ``key`` is that of a text; programs get it in English."""

    def __init__(self, key: str) -> None:
        super().__init__(text(key, "en"))
        self.key = key


def words_of(error: Exception, language: str) -> str:
    """Return what went wrong, in the language of the page where there are words for it."""
    if isinstance(error, RefusedInWords):
        return text(error.key, language)
    if isinstance(error, StaleRevision):
        return text("report.wrong.stale", language)
    if isinstance(error, DraftHeld):
        return text("report.wrong.held", language)
    return str(error)
