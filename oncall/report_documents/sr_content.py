"""Content items of structured reports, as values of pydicom (PS3.3 C.17.3).

For: the few kinds of item that a report needs, by value. Not for: templates; those are in the modules that use it.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from oncall.report.content import CodedConcept, KeyImage
from oncall.report_documents.characters import readable
from oncall.report_documents.dicom_header import coded, put, study_reference


def concept(code: str, scheme: str, meaning: str) -> CodedConcept:
    """Return a coded concept."""
    return CodedConcept(code=code, scheme=scheme, meaning=meaning)


def item(relationship: str, value_type: str, name: CodedConcept | None, **value: object) -> Dataset:
    """Return a content item with its attributes."""
    made = Dataset()
    if relationship:
        put(made, RelationshipType=relationship)
    put(made, ValueType=value_type)
    if name is not None:
        put(made, ConceptNameCodeSequence=[coded(name.code, name.scheme, name.meaning)])
    put(made, **value)
    return made


def text_item(relationship: str, name: CodedConcept, text: str, *children: Dataset) -> Dataset:
    """Return a TEXT item; its line ends are CR LF, as UT writes them (PS3.5 6.1.3)."""
    made = item(relationship, "TEXT", name, TextValue=readable(text).replace("\n", "\r\n"))
    return with_children(made, children)


def code_item(relationship: str, name: CodedConcept, value: CodedConcept) -> Dataset:
    """Return a CODE item."""
    return item(relationship, "CODE", name, ConceptCodeSequence=[coded(value.code, value.scheme, value.meaning)])


def number_item(relationship: str, name: CodedConcept, value: float, unit: str) -> Dataset:
    """Return a NUM item; ``unit`` is UCUM."""
    measured = Dataset()
    # A DS has 16 bytes; ten digits are more than any measurement here has.
    put(measured, MeasurementUnitsCodeSequence=[coded(unit or "1", "UCUM", unit or "no units")])
    put(measured, NumericValue=f"{value:.10g}")
    return item(relationship, "NUM", name, MeasuredValueSequence=[measured])


def image_item(relationship: str, image: KeyImage, purpose: CodedConcept | None = None) -> Dataset:
    """Return an IMAGE item; ``purpose`` says what the image is shown for."""
    reference = Dataset()
    put(reference, ReferencedSOPClassUID=image.sop_class_uid, ReferencedSOPInstanceUID=image.sop_instance_uid)
    if image.frames:
        put(reference, ReferencedFrameNumber=list(image.frames))
    return item(relationship, "IMAGE", purpose, ReferencedSOPSequence=[reference])


def container(relationship: str, name: CodedConcept, children: Sequence[Dataset]) -> Dataset:
    """Return a CONTAINER item."""
    return with_children(item(relationship, "CONTAINER", name, ContinuityOfContent="SEPARATE"), children)


def with_children(parent: Dataset, children: Sequence[Dataset]) -> Dataset:
    """Return an item with children, when there are any: an empty sequence is not allowed."""
    if children:
        put(parent, ContentSequence=list(children))
    return parent


def evidence(images: Sequence[KeyImage]) -> list[Dataset]:
    """Return where images are, each once, by study and series (PS3.3 C.17.2.1)."""
    studies: dict[str, dict[str, dict[str, Dataset]]] = {}
    for image in images:
        reference = Dataset()
        put(reference, ReferencedSOPClassUID=image.sop_class_uid, ReferencedSOPInstanceUID=image.sop_instance_uid)
        series = studies.setdefault(image.study_instance_uid, {}).setdefault(image.series_instance_uid, {})
        series[image.sop_instance_uid] = reference
    return [
        study_reference(study, {series: list(instances.values()) for series, instances in by_series.items()})
        for study, by_series in studies.items()
    ]
