"""What every DICOM document of a report begins with: patient, study, series, equipment, and its place in the study.

For: data sets that file with the images they are about. Not for: their content.

Invariants: the Study Instance UID, the patient's identifiers and the study's own attributes are those of the study; the
characters are UTF-8; dates and times are the hospital's local time, as those of its images are; nothing reads a clock.
Source: PS3.3 C.7.1.1, C.7.2.1, C.7.3.1, C.7.5.1, C.12.1; PS3.10 7.1.
"""

import io
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from oncall.report.version import ReportVersion, VersionKind
from oncall.report_documents.characters import readable
from oncall.report_documents.identifiers import DocumentKind, document_uid, series_uid
from oncall.report_documents.outline import standing_before
from oncall.report_documents.person_name import as_pn
from oncall.report_documents.source import DocumentSource, ExaminedStudy

LO_CHARACTERS_MAX: Final = 64
"""Of a Long String (PS3.5 6.2)."""

RPPS_DESIGNATOR: Final = "99RPPS"
RPPS_OID: Final = "1.2.250.1.71.4.2.1"

# High, so that documents come after the images in every viewer; one series for each kind.
_SERIES_NUMBERS: Final = {
    DocumentKind.STRUCTURED_REPORT: 9101,
    DocumentKind.ENCAPSULATED_PDF: 9102,
    DocumentKind.KEY_OBJECTS: 9103,
}


def put(dataset: Dataset, **attributes: object) -> None:
    """Set attributes by keyword as they are.

    pydicom checks lengths and forms by warnings that quote the value: a patient's name has no business in a log, and
    what the archive accepted from a modality is repeated here, not judged.
    """
    for keyword, value in attributes.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        items = Sequence(value) if dictionary_VR(tag) == "SQ" else value  # type: ignore[arg-type]  # a list of data sets
        dataset[tag] = DataElement(tag, dictionary_VR(tag), items, validation_mode=config.IGNORE)


def header(source: DocumentSource, kind: DocumentKind, sop_class_uid: str, modality: str) -> Dataset:
    """Return a data set with everything but its content; its file meta information is set."""
    version, exam, study = source.version, source.exam, source.exam.study
    signed_at = local(source, version.signed_at)
    dataset = Dataset()
    put(
        dataset,
        SpecificCharacterSet="ISO_IR 192",
        InstanceCreationDate=f"{signed_at:%Y%m%d}",
        InstanceCreationTime=f"{signed_at:%H%M%S}",
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=document_uid(source, kind),
        StudyInstanceUID=study.study_instance_uid,
        StudyDate=f"{study.study_date:%Y%m%d}" if study.study_date else "",
        StudyTime=f"{study.study_time:%H%M%S}" if study.study_time else "",
        StudyID=study.study_id,
        AccessionNumber=study.accession_number,
        ReferringPhysicianName=as_pn(exam.referring_physician or exam.requester),
        Modality=modality,
        SeriesInstanceUID=series_uid(source, kind),
        SeriesNumber=_SERIES_NUMBERS[kind],
        SeriesDate=f"{signed_at:%Y%m%d}",
        SeriesTime=f"{signed_at:%H%M%S}",
        SeriesDescription=short(version.content.title) or "Report",
        InstanceNumber=version.version,
        ContentDate=f"{signed_at:%Y%m%d}",
        ContentTime=f"{signed_at:%H%M%S}",
        Manufacturer="Telegarde",
        ManufacturerModelName="Telegarde",
        InstitutionName=short(exam.site_name),
    )
    if study.description:
        put(dataset, StudyDescription=study.description)
    if study.accession_issuer:
        put(dataset, IssuerOfAccessionNumberSequence=[_entity(study.accession_issuer)])
    _put_patient(dataset, source)
    dataset.file_meta = _file_meta(sop_class_uid, str(dataset.SOPInstanceUID))
    return dataset


def part10(dataset: Dataset) -> bytes:
    """Return a data set as a file: preamble, file meta information, Explicit VR Little Endian."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def local(source: DocumentSource, instant: datetime) -> datetime:
    """Return an instant in the hospital's time."""
    return instant.astimezone(ZoneInfo(source.exam.time_zone))


def date_time(source: DocumentSource, instant: datetime) -> str:
    """Return an instant as a DT with its offset (PS3.5 6.2)."""
    return f"{local(source, instant):%Y%m%d%H%M%S%z}"


def short(text: str) -> str:
    """Return a text as a Long String holds it (PS3.5 6.2): one line of 64 characters, no backslash between values."""
    return " ".join(readable(text).replace("\\", "/").split())[:LO_CHARACTERS_MAX]


def coded(code: str, scheme: str, meaning: str) -> Dataset:
    """Return a code sequence item (PS3.3 8.8)."""
    item = Dataset()
    put(item, CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning=short(meaning))
    return item


def signer_codes(version: ReportVersion) -> list[Dataset]:
    """Return the signer as a code of the national register, empty without a number."""
    author = version.author
    return [coded(author.rpps, RPPS_DESIGNATOR, author.name)] if author.rpps else []


def put_coding_schemes(dataset: Dataset, version: ReportVersion) -> None:
    """Say which register the signer's code is of."""
    if version.author.rpps:
        item = Dataset()
        put(item, CodingSchemeDesignator=RPPS_DESIGNATOR, CodingSchemeUID=RPPS_OID, CodingSchemeName="RPPS")
        put(dataset, CodingSchemeIdentificationSequence=[item])


def requests(source: DocumentSource) -> list[Dataset]:
    """Return what was asked for and is answered by this document, study by study (PS3.3 C.17.2)."""
    return [_request(study, source.exam.procedure) for study in source.exam.studies]


def predecessors(source: DocumentSource, kind: DocumentKind, sop_class_uid: str) -> list[Dataset]:
    """Return the documents of the versions that this one adds to, replaces, withdraws or follows (PS3.3 C.17.2)."""
    numbers = _predecessor_numbers(source)
    if not numbers:
        return []
    stored = {document.version: document for document in source.stored_documents if document.kind == kind.value}
    by_series: dict[str, list[Dataset]] = {}
    for number in numbers:
        known = stored.get(number)
        item = Dataset()
        put(
            item,
            ReferencedSOPClassUID=sop_class_uid,
            ReferencedSOPInstanceUID=known.sop_instance_uid if known else document_uid(source, kind, version=number),
        )
        series = known.series_instance_uid if known else series_uid(source, kind)
        by_series.setdefault(series, []).append(item)
    return [study_reference(source.exam.study.study_instance_uid, by_series)]


def study_reference(study_instance_uid: str, by_series: dict[str, list[Dataset]]) -> Dataset:
    """Return a hierarchical SOP instance reference (PS3.3 C.17.2.1)."""
    series_items = []
    for series_instance_uid, instances in by_series.items():
        series = Dataset()
        put(series, SeriesInstanceUID=series_instance_uid, ReferencedSOPSequence=instances)
        series_items.append(series)
    study = Dataset()
    put(study, StudyInstanceUID=study_instance_uid, ReferencedSeriesSequence=series_items)
    return study


def _predecessor_numbers(source: DocumentSource) -> list[int]:
    """Return the versions that this one builds on, oldest first."""
    version = source.version
    former = {signed.version.version for signed in source.history if signed.version.version < version.version}
    numbers = {max(former)} if former else set()
    if version.replaces in former:
        numbers.add(version.replaces)
    if version.kind in (VersionKind.ADDENDUM, VersionKind.REPLACEMENT, VersionKind.RETRACTION):
        numbers.update(one.version for one in standing_before(source))
    return sorted(numbers)


def _put_patient(dataset: Dataset, source: DocumentSource) -> None:
    """Set who the patient is (PS3.3 C.7.1.1)."""
    subject = source.subject
    put(
        dataset,
        PatientName=readable(subject.name),
        PatientID=subject.patient_id,
        PatientBirthDate=f"{subject.birth_date:%Y%m%d}" if subject.birth_date else "",
        PatientSex=subject.sex,
    )
    if subject.issuer:
        put(dataset, IssuerOfPatientID=subject.issuer)
    if subject.issuer_oid:
        put(dataset, IssuerOfPatientIDQualifiersSequence=[_oid(subject.issuer_oid)])
    if subject.ins is not None:
        other = Dataset()
        put(
            other,
            PatientID=subject.ins.matricule,
            IssuerOfPatientID="INS",
            TypeOfPatientID="TEXT",
            IssuerOfPatientIDQualifiersSequence=[_oid(subject.ins.oid)],
        )
        put(dataset, OtherPatientIDsSequence=[other])


def _oid(oid: str) -> Dataset:
    """Return qualifiers of an issuer that has an OID (PS3.3 10.15)."""
    item = Dataset()
    put(item, UniversalEntityID=oid, UniversalEntityIDType="ISO")
    return item


def _entity(name: str) -> Dataset:
    """Return an issuer that has a name (PS3.3 10.17)."""
    item = Dataset()
    put(item, LocalNamespaceEntityID=name)
    return item


def _request(study: ExaminedStudy, procedure: str) -> Dataset:
    """Return one request; what we were not told is empty, as type 2 attributes may be."""
    item = Dataset()
    put(
        item,
        StudyInstanceUID=study.study_instance_uid,
        ReferencedStudySequence=[],
        AccessionNumber=study.accession_number,
        PlacerOrderNumberImagingServiceRequest="",
        FillerOrderNumberImagingServiceRequest="",
        RequestedProcedureID="",
        RequestedProcedureDescription=short(procedure or study.description),
        RequestedProcedureCodeSequence=[],
    )
    return item


def _file_meta(sop_class_uid: str, sop_instance_uid: str) -> FileMetaDataset:
    """Return file meta information (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta
