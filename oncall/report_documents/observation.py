"""Who observed, and in which language: what structured reports and key object selections say first.

Source: PS3.16 TID 1001, 1002, 1003 (observer), TID 1204 (language).
"""

from typing import Final

from pydicom.dataset import Dataset

from oncall.language import Language
from oncall.report.version import ReportVersion
from oncall.report_documents.person_name import as_pn
from oncall.report_documents.sr_content import code_item, concept, item, text_item

_LANGUAGES: Final = {
    Language.FRENCH: concept("fr", "RFC5646", "French"),
    Language.ENGLISH: concept("en", "RFC5646", "English"),
}
_LANGUAGE: Final = concept("121049", "DCM", "Language of Content Item and Descendants")
_OBSERVER_TYPE: Final = concept("121005", "DCM", "Observer Type")
_PERSON: Final = concept("121006", "DCM", "Person")
_NAME: Final = concept("121008", "DCM", "Person Observer Name")
_ORGANISATION: Final = concept("121009", "DCM", "Person Observer's Organization Name")
_IDENTIFIER: Final = concept("128775", "DCM", "Identifier within Person Observer's Role")


def language_and_observer(version: ReportVersion) -> list[Dataset]:
    """Return the rows of TID 1204 and TID 1001 for a version."""
    author = version.author
    rows = [
        code_item("HAS CONCEPT MOD", _LANGUAGE, _LANGUAGES[version.content.language]),
        code_item("HAS OBS CONTEXT", _OBSERVER_TYPE, _PERSON),
        item("HAS OBS CONTEXT", "PNAME", _NAME, PersonName=as_pn(author.name)),
    ]
    if author.organisation:
        rows.append(text_item("HAS OBS CONTEXT", _ORGANISATION, author.organisation))
    if author.rpps:
        rows.append(text_item("HAS OBS CONTEXT", _IDENTIFIER, author.rpps))
    return rows
