"""The report as a DICOM structured report: Enhanced SR, TID 2000 Basic Diagnostic Imaging Report.

For: archives and workstations that keep reports beside images. Not for: measurements beyond the answers of a form.

Invariants: a preliminary report is partial, unverified and flagged; any other is complete, verified by its signer and
final; what it builds on is named as predecessor; an addendum holds the report that it adds to.
Source: PS3.16 TID 2000, CID 7001 and 7002; PS3.3 A.35.2 (Enhanced SR), C.17.
"""

from typing import Final

from pydicom.dataset import Dataset

from oncall.report.content import Answer, Chapter, CodedConcept, ReportContent
from oncall.report.version import VersionKind
from oncall.report_documents.dicom_header import (
    date_time,
    header,
    predecessors,
    put,
    put_coding_schemes,
    requests,
    short,
    signer_codes,
)
from oncall.report_documents.identifiers import DocumentKind
from oncall.report_documents.observation import language_and_observer
from oncall.report_documents.outline import Outline, Part, answer_text, outline
from oncall.report_documents.person_name import as_pn
from oncall.report_documents.source import DocumentSource
from oncall.report_documents.sr_content import (
    concept,
    container,
    evidence,
    image_item,
    item,
    number_item,
    text_item,
    with_children,
)
from oncall.report_documents.texts import pair

ENHANCED_SR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.88.22"

_TITLE: Final = concept("18748-4", "LN", "Diagnostic Imaging Report")
_FINDING: Final = concept("121071", "DCM", "Finding")
_ILLUSTRATES: Final = concept("121080", "DCM", "Best illustration of finding")
_SUMMARY: Final = concept("55112-7", "LN", "Summary")
_ADDENDUM: Final = concept("55107-7", "LN", "Addendum")
_DOSE: Final = concept("73569-6", "LN", "Radiation Exposure and Protection Information")
_KEY_IMAGES: Final = concept("55113-5", "LN", "Key Images")

# Heading (CID 7001) and the element under it (CID 7002).
_CHAPTERS: Final = {
    Chapter.INDICATION: (
        concept("18785-6", "LN", "Indications for Procedure"),
        concept("11329-0", "LN", "History"),
    ),
    Chapter.TECHNIQUE: (
        concept("55111-9", "LN", "Current Procedure Descriptions"),
        concept("121065", "DCM", "Procedure Description"),
    ),
    Chapter.RESULTS: (concept("59776-5", "LN", "Findings"), _FINDING),
    Chapter.CONCLUSION: (concept("55110-1", "LN", "Conclusions"), concept("121077", "DCM", "Conclusion")),
}


def structured_report(source: DocumentSource) -> Dataset:
    """Return a version as an Enhanced SR instance."""
    version = source.version
    said = outline(source)
    dataset = header(source, DocumentKind.STRUCTURED_REPORT, ENHANCED_SR_STORAGE, "SR")
    put(
        dataset,
        ReferencedPerformedProcedureStepSequence=[],
        PerformedProcedureCodeSequence=[],
        ReferencedRequestSequence=requests(source),
    )
    _put_flags(dataset, source)
    _put_evidence(dataset, source, said)
    former = predecessors(source, DocumentKind.STRUCTURED_REPORT, ENHANCED_SR_STORAGE)
    if former:
        put(dataset, PredecessorDocumentsSequence=former)
    put_coding_schemes(dataset, version)
    template = Dataset()
    put(template, MappingResource="DCMR", TemplateIdentifier="2000")
    root = item("", "CONTAINER", _TITLE, ContinuityOfContent="SEPARATE", ContentTemplateSequence=[template])
    dataset.update(with_children(root, [*language_and_observer(version), *_notices(said), *_sections(said)]))
    return dataset


def _put_flags(dataset: Dataset, source: DocumentSource) -> None:
    """Say how complete, verified and final the document is (PS3.3 C.17.2)."""
    version = source.version
    is_preliminary = version.kind is VersionKind.PRELIMINARY
    put(
        dataset,
        CompletionFlag="PARTIAL" if is_preliminary else "COMPLETE",
        VerificationFlag="UNVERIFIED" if is_preliminary else "VERIFIED",
        PreliminaryFlag="PRELIMINARY" if is_preliminary else "FINAL",
    )
    organisation = short(version.author.organisation or source.exam.site_name)
    author = Dataset()
    put(
        author,
        ObserverType="PSN",
        PersonName=as_pn(version.author.name),
        PersonIdentificationCodeSequence=signer_codes(version),
        InstitutionName=organisation,
        InstitutionCodeSequence=[],
    )
    put(dataset, AuthorObserverSequence=[author])
    if not is_preliminary:
        verifier = Dataset()
        put(
            verifier,
            VerifyingOrganization=organisation,
            VerificationDateTime=date_time(source, version.signed_at),
            VerifyingObserverName=as_pn(version.author.name),
            VerifyingObserverIdentificationCodeSequence=signer_codes(version),
        )
        put(dataset, VerifyingObserverSequence=[verifier])


def _put_evidence(dataset: Dataset, source: DocumentSource, said: Outline) -> None:
    """Say where the images are that the report shows: those of the exam, and those of other studies."""
    images = [image for part in said.parts for image in part.key_images]
    asked_for = {study.study_instance_uid for study in source.exam.studies}
    current = evidence([image for image in images if image.study_instance_uid in asked_for])
    other = evidence([image for image in images if image.study_instance_uid not in asked_for])
    if current:
        put(dataset, CurrentRequestedProcedureEvidenceSequence=current)
    if other:
        put(dataset, PertinentOtherEvidenceSequence=other)


def _notices(said: Outline) -> list[Dataset]:
    """Return what must be read first."""
    texts = [text_item("CONTAINS", _SUMMARY, f"{notice.title}\n{notice.text}") for notice in said.notices]
    return [container("CONTAINS", _SUMMARY, texts)] if texts else []


def _sections(said: Outline) -> list[Dataset]:
    """Return the chapters; those of an addendum under a heading of their own."""
    sections: list[Dataset] = []
    for part in said.parts:
        if part.version.kind is VersionKind.ADDENDUM:
            sections.append(container("CONTAINS", _ADDENDUM, _elements(part)))
        else:
            sections += _chapters(part)
    return sections


def _chapters(part: Part) -> list[Dataset]:
    """Return one container for each chapter that says something."""
    content = part.version.content
    made = []
    for chapter, (heading, element) in _CHAPTERS.items():
        texts = [text_item("CONTAINS", element, one.text) for one in part.sections if one.chapter is chapter]
        if chapter is Chapter.RESULTS:
            texts += [_answer(answer, content) for answer in content.answers]
        if texts:
            made.append(container("CONTAINS", heading, texts))
    return made + _dose_and_images(part)


def _elements(part: Part) -> list[Dataset]:
    """Return everything that an addendum says, headed by when and by whom it was signed."""
    content = part.version.content
    headed = [text_item("CONTAINS", _FINDING, f"{part.heading}\n{part.byline}")]
    texts = [text_item("CONTAINS", _CHAPTERS[one.chapter][1], one.text) for one in part.sections]
    answers = [_answer(answer, content) for answer in content.answers]
    doses = [text_item("CONTAINS", _FINDING, pair(row.label, row.value, content.language)) for row in part.doses]
    return [*headed, *texts, *answers, *doses, *_images(content)]


def _answer(answer: Answer, content: ReportContent) -> Dataset:
    """Return an answer: a number as a number where the question has a code, everything else in words."""
    name = answer.concept
    if isinstance(answer.value, int | float) and not isinstance(answer.value, bool) and name is not None:
        return number_item("CONTAINS", name, answer.value, answer.unit)
    written = answer_text(answer.value, answer.unit, content)
    if name is not None and _fits(name):
        return text_item("CONTAINS", name, written)
    return text_item("CONTAINS", _FINDING, pair(answer.label, written, content.language))


def _fits(name: CodedConcept) -> bool:
    """Say whether a code can be a code sequence item."""
    return 0 < len(name.code) <= 16 and 0 < len(name.scheme) <= 16


def _dose_and_images(part: Part) -> list[Dataset]:
    """Return the dose, which the report must state, and the key images."""
    made = []
    language = part.version.content.language
    doses = [text_item("CONTAINS", _FINDING, pair(row.label, row.value, language)) for row in part.doses]
    if doses:
        made.append(container("CONTAINS", _DOSE, doses))
    images = _images(part.version.content)
    if images:
        made.append(container("CONTAINS", _KEY_IMAGES, images))
    return made


def _images(content: ReportContent) -> list[Dataset]:
    """Return the key images, each under what it shows."""
    return [
        text_item("CONTAINS", _FINDING, image.note, image_item("INFERRED FROM", image, _ILLUSTRATES))
        if image.note
        else image_item("CONTAINS", image, _ILLUSTRATES)
        for image in content.key_images
    ]
