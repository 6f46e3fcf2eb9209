"""The images that show the findings, as a key object selection.

For: a workstation that opens the images a report is about. Not for: images of other studies; the structured report
refers to those, since a selection over several studies needs a copy in each (PS3.3 C.17.6.2).
Source: PS3.16 TID 2010; PS3.3 A.35.4, C.17.6.
"""

from typing import Final

from pydicom.dataset import Dataset

from oncall.report_documents.dicom_header import header, put, put_coding_schemes, requests
from oncall.report_documents.identifiers import DocumentKind
from oncall.report_documents.observation import language_and_observer
from oncall.report_documents.outline import outline
from oncall.report_documents.source import DocumentSource
from oncall.report_documents.sr_content import concept, evidence, image_item, item, text_item, with_children

KEY_OBJECT_SELECTION_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.88.59"

_OF_INTEREST: Final = concept("113000", "DCM", "Of Interest")
_DESCRIPTION: Final = concept("113012", "DCM", "Key Object Description")


def key_objects(source: DocumentSource) -> Dataset | None:
    """Return the key images of the study that documents are filed with, None when there are none.

    A withdrawn report shows nothing: its images are no longer of interest for what it said.
    """
    study_uid = source.exam.study.study_instance_uid
    parts = outline(source).parts
    images = [image for part in parts for image in part.key_images if image.study_instance_uid == study_uid]
    if not images or source.is_withdrawn:
        return None
    dataset = header(source, DocumentKind.KEY_OBJECTS, KEY_OBJECT_SELECTION_STORAGE, "KO")
    put(
        dataset,
        ReferencedPerformedProcedureStepSequence=[],
        ReferencedRequestSequence=[one for one in requests(source) if one.StudyInstanceUID == study_uid],
        CurrentRequestedProcedureEvidenceSequence=evidence(images),
    )
    put_coding_schemes(dataset, source.version)
    template = Dataset()
    put(template, MappingResource="DCMR", TemplateIdentifier="2010")
    root = item("", "CONTAINER", _OF_INTEREST, ContinuityOfContent="SEPARATE", ContentTemplateSequence=[template])
    notes = "\n".join(f"{number}. {image.note}" for number, image in enumerate(images, start=1) if image.note)
    described = [text_item("CONTAINS", _DESCRIPTION, notes)] if notes else []
    shown = [image_item("CONTAINS", image) for image in images]
    dataset.update(with_children(root, [*language_and_observer(source.version), *described, *shown]))
    return dataset
