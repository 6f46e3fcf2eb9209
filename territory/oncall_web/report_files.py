"""Documents of a signed version as downloads: PDF, DICOM SR, CDA, FHIR, text.

For: which bytes and which headers. Not for: how a document looks (`oncall.report_documents`).

Invariant: what was sent to a hospital is what is downloaded: PDF, SR and text are the kept documents of the version.
CDA and FHIR are made anew, with the patient as the archive names them now.
"""

import json
from typing import Final

from starlette.responses import Response

from oncall.case.state import Case
from oncall.delivery.documents import DocumentKind, NotDescribed
from oncall.notify import case_code
from oncall.report_documents.cda import cda
from oncall.report_documents.fhir import bundle
from territory.oncall_web.app import Site
from territory.oncall_web.refusals import RefusedInWords
from territory.oncall_web.report_page import pdf_answer

_KEPT: Final = {
    "pdf": (DocumentKind.PDF, "application/pdf"),
    "sr": (DocumentKind.STRUCTURED_REPORT, "application/dicom"),
    "text": (DocumentKind.PLAIN_TEXT, "text/plain; charset=utf-8"),
}
_ENDS: Final = {"pdf": "pdf", "sr": "dcm", "text": "txt", "cda": "xml", "fhir": "json"}


def file_answer(site: Site, case: Case, version: int, form: str) -> Response:
    """Return a document of a version.

    Raises
    ------
    foundation.errors.Refused
        If there is no such version or no such document, or the archive does not know for certain whose it is.
    """
    room = site.rooms.reports
    room.version(case.case_id, version)
    if form not in _ENDS:
        raise RefusedInWords("report.wrong.no_document")
    name = f"{case_code(case.case_id)}-v{version}.{_ENDS[form]}"
    try:
        return _answer(site, case, version, form, name)
    except NotDescribed as error:
        # The page says what the version says; a document waits until it is certain whose it is.
        raise RefusedInWords("report.wrong.not_described") from error


def _answer(site: Site, case: Case, version: int, form: str, name: str) -> Response:
    room = site.rooms.reports
    if form in _KEPT:
        kind, media = _KEPT[form]
        body = room.documents.of_version(case.case_id, version)[kind]
        return pdf_answer(body, name) if form == "pdf" else _attached(body, media, name)
    source = room.source(case.case_id, version)
    if form == "cda":
        printed = room.documents.of_version(case.case_id, version)[DocumentKind.PDF]
        return _attached(cda(source, printed), "application/xml", name)
    body = json.dumps(bundle(source), ensure_ascii=False).encode()
    return _attached(body, "application/fhir+json", name)


def _attached(body: bytes, media: str, name: str) -> Response:
    return Response(body, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})
