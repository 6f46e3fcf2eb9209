"""The PDF inside DICOM, so that it is where the images are.

For: workstations that show documents, and the hospital's archive. Not for: making the PDF.
Source: PS3.3 A.45.1 (Encapsulated PDF), C.24.2.
"""

from typing import Final

from pydicom.dataset import Dataset

from oncall.report.version import VersionKind
from oncall.report_documents.characters import readable
from oncall.report_documents.dicom_header import coded, header, predecessors, put
from oncall.report_documents.identifiers import DocumentKind
from oncall.report_documents.source import DocumentSource

ENCAPSULATED_PDF_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.104.1"


def encapsulated_pdf(source: DocumentSource, pdf: bytes) -> Dataset:
    """Return a PDF of a version as an Encapsulated PDF instance."""
    version = source.version
    dataset = header(source, DocumentKind.ENCAPSULATED_PDF, ENCAPSULATED_PDF_STORAGE, "DOC")
    put(
        dataset,
        ConversionType="WSD",
        AcquisitionDateTime="",
        BurnedInAnnotation="YES",
        RecognizableVisualFeatures="NO",
        DocumentTitle=readable(version.content.title),
        ConceptNameCodeSequence=[coded("18748-4", "LN", "Diagnostic Imaging Report")],
        VerificationFlag="UNVERIFIED" if version.kind is VersionKind.PRELIMINARY else "VERIFIED",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        # An OB has an even length; the true one stands beside it.
        EncapsulatedDocument=pdf + b"\0" * (len(pdf) % 2),
        EncapsulatedDocumentLength=len(pdf),
    )
    former = predecessors(source, DocumentKind.ENCAPSULATED_PDF, ENCAPSULATED_PDF_STORAGE)
    if former:
        put(dataset, PredecessorDocumentsSequence=former)
    return dataset
