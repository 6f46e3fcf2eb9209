"""Which attributes the index knows, at which level of the Query/Retrieve model, and where each is kept.

One table, `LEVEL_ATTRIBUTES`, is read by ingest (what to keep), by the query (what can be asked) and by the
conformance statement (what we say). An attribute belongs to one level. Tags and VRs are those of pydicom's dictionary.

Attributes of the IMAGE level that have no column are read from the stored header when somebody asks; so everything in
a header can be asked for at the IMAGE level, listed here or not (`header_vr`).

References
----------
PS3.4 C.6.1.1 (Patient Root), C.6.2.1 (Study Root), C.3.4 (additional attributes); PS3.3 C.7.1 to C.7.5 (modules)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052), PS3.4 C.6.1.1 and C.6.2.1."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"

    @property
    def depth(self) -> int:
        """0 for PATIENT to 3 for IMAGE."""
        return LEVELS.index(self)


LEVELS: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)


class Source(StrEnum):
    """Where the value of an attribute comes from."""

    # A column of the level's table; several values are separated by backslash.
    COLUMN = "column"
    # A member of the level's ``attributes`` column, a DICOM JSON object (PS3.18 F).
    JSON = "json"
    # Summed over the studies of the patient when asked for.
    PATIENT_SUM = "patient_sum"
    # A fact of this archive and not of the object: Retrieve AE Title, Instance Availability.
    ARCHIVE = "archive"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """One attribute that the index knows.

    ``column`` is the name in the table of ``level`` for `Source.COLUMN`; for `Source.PATIENT_SUM` it is the column
    of the study table to be summed, or None to count studies.
    """

    tag: int
    keyword: str
    vr: str
    level: Level
    source: Source
    column: str | None


_COLUMNS: Final = {
    Level.PATIENT: {
        "PatientID": "patient_id",
        "IssuerOfPatientID": "issuer",
        "PatientName": "patient_name",
        "PatientBirthDate": "patient_birth_date",
        "PatientBirthTime": "patient_birth_time",
        "PatientSex": "patient_sex",
    },
    Level.STUDY: {
        "StudyInstanceUID": "study_instance_uid",
        "StudyDate": "study_date",
        "StudyTime": "study_time",
        "AccessionNumber": "accession_number",
        "StudyID": "study_id",
        "StudyDescription": "study_description",
        "ReferringPhysicianName": "referring_physician_name",
        "ModalitiesInStudy": "modalities_in_study",
        "SOPClassesInStudy": "sop_classes_in_study",
        "NumberOfStudyRelatedSeries": "number_of_study_related_series",
        "NumberOfStudyRelatedInstances": "number_of_study_related_instances",
    },
    Level.SERIES: {
        "SeriesInstanceUID": "series_instance_uid",
        "Modality": "modality",
        "SeriesNumber": "series_number",
        "SeriesDescription": "series_description",
        "BodyPartExamined": "body_part_examined",
        "SeriesDate": "series_date",
        "SeriesTime": "series_time",
        "InstitutionName": "institution_name",
        "StationName": "station_name",
        "NumberOfSeriesRelatedInstances": "number_of_series_related_instances",
    },
    Level.IMAGE: {
        "SOPInstanceUID": "sop_instance_uid",
        "SOPClassUID": "sop_class_uid",
        "InstanceNumber": "instance_number",
        "Rows": "rows",
        "Columns": "columns",
        "NumberOfFrames": "number_of_frames",
        "AvailableTransferSyntaxUID": "transfer_syntax_uid",
    },
}

_PATIENT_SUMS: Final = {
    "NumberOfPatientRelatedStudies": None,
    "NumberOfPatientRelatedSeries": "number_of_study_related_series",
    "NumberOfPatientRelatedInstances": "number_of_study_related_instances",
}

_JSON: Final = {
    Level.PATIENT: """
        TypeOfPatientID IssuerOfPatientIDQualifiersSequence OtherPatientIDs OtherPatientIDsSequence OtherPatientNames
        PatientBirthName PatientMotherBirthName PatientAddress PatientTelephoneNumbers PatientTelecomInformation
        PatientBirthDateInAlternativeCalendar PatientAlternativeCalendar PatientPrimaryLanguageCodeSequence
        EthnicGroup EthnicGroupCodeSequence PatientReligiousPreference MilitaryRank BranchOfService
        CountryOfResidence RegionOfResidence MedicalRecordLocator PatientComments
        ConfidentialityConstraintOnPatientDataDescription QualityControlSubject ReferencedPatientSequence
        SourcePatientGroupIdentificationSequence GroupOfPatientsIdentificationSequence
        PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence
        ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization
        PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence
        ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID
        ClinicalTrialSiteName ClinicalTrialSubjectID ClinicalTrialSubjectReadingID
    """,
    Level.STUDY: """
        IssuerOfAccessionNumberSequence ReferringPhysicianIdentificationSequence ReferringPhysicianAddress
        ReferringPhysicianTelephoneNumbers ConsultingPhysicianName ConsultingPhysicianIdentificationSequence
        PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence NameOfPhysiciansReadingStudy
        PhysiciansReadingStudyIdentificationSequence RequestingService RequestingServiceCodeSequence
        RequestingPhysician RequestedProcedureDescription RequestedProcedureCodeSequence RequestedProcedureID
        ReferencedStudySequence ReferencedRequestSequence ProcedureCodeSequence
        ReasonForPerformedProcedureCodeSequence ReasonForStudy StudyComments OtherStudyNumbers
        AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence AdmissionID IssuerOfAdmissionIDSequence
        ServiceEpisodeID ServiceEpisodeDescription IssuerOfServiceEpisodeIDSequence ReasonForVisit
        ReasonForVisitCodeSequence CurrentPatientLocation ConfidentialityCode
        PatientAge PatientSize PatientWeight PatientBodyMassIndex MedicalAlerts Allergies SmokingStatus
        AdditionalPatientHistory PregnancyStatus LastMenstrualDate PatientSexNeutered Occupation PatientState
        SpecialNeeds ClinicalTrialTimePointID ClinicalTrialTimePointDescription TimezoneOffsetFromUTC
    """,
    Level.SERIES: """
        SeriesDescriptionCodeSequence Laterality ProtocolName PerformedProtocolCodeSequence RelatedSeriesSequence
        PerformingPhysicianName PerformingPhysicianIdentificationSequence OperatorsName OperatorIdentificationSequence
        AnatomicRegionSequence PrimaryAnatomicStructureSequence PatientPosition PatientOrientationCodeSequence
        RequestAttributesSequence ReferencedPerformedProcedureStepSequence
        PerformedProcedureStepID PerformedProcedureStepDescription PerformedProcedureStepStartDate
        PerformedProcedureStepStartTime PerformedProcedureStepEndDate PerformedProcedureStepEndTime
        PerformedProcedureTypeDescription PerformedStationAETitle PerformedStationName PerformedLocation
        CommentsOnThePerformedProcedureStep TreatmentSessionUID
        Manufacturer ManufacturerModelName DeviceSerialNumber DeviceUID SoftwareVersions GantryID
        InstitutionAddress InstitutionCodeSequence InstitutionalDepartmentName
        InstitutionalDepartmentTypeCodeSequence FrameOfReferenceUID PositionReferenceIndicator
        SynchronizationFrameOfReferenceUID PresentationIntentType ContrastBolusAgent
        ClinicalTrialSeriesID ClinicalTrialSeriesDescription ClinicalTrialCoordinatingCenterName
    """,
}


def _attribute(keyword: str, level: Level, source: Source, column: str | None = None) -> Attribute:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return Attribute(tag=tag, keyword=keyword, vr=dictionary_VR(tag), level=level, source=source, column=column)


def _build() -> tuple[Attribute, ...]:
    attributes = [
        _attribute(keyword, level, Source.COLUMN, column)
        for level, columns in _COLUMNS.items()
        for keyword, column in columns.items()
    ]
    attributes += [
        _attribute(keyword, Level.PATIENT, Source.PATIENT_SUM, column) for keyword, column in _PATIENT_SUMS.items()
    ]
    attributes += [
        _attribute(keyword, level, Source.JSON) for level, keywords in _JSON.items() for keyword in keywords.split()
    ]
    # PS3.4 C.3.4 puts these at any level; the highest one makes them known to all.
    attributes += [
        _attribute(keyword, Level.PATIENT, Source.ARCHIVE) for keyword in ("RetrieveAETitle", "InstanceAvailability")
    ]
    return tuple(sorted(attributes, key=lambda attribute: (attribute.level.depth, attribute.tag)))


# Sorted by level, then by tag.
LEVEL_ATTRIBUTES: Final[tuple[Attribute, ...]] = _build()

ATTRIBUTE_BY_TAG: Final[Mapping[int, Attribute]] = MappingProxyType({a.tag: a for a in LEVEL_ATTRIBUTES})

# What ingest keeps in the ``attributes`` column of each level's table; the IMAGE level has none.
JSON_ATTRIBUTES: Final[Mapping[Level, tuple[Attribute, ...]]] = MappingProxyType(
    {level: tuple(a for a in LEVEL_ATTRIBUTES if a.level is level and a.source is Source.JSON) for level in LEVELS}
)

# PS3.4 C.6.1.1.2 to C.6.1.1.5: the key of type U of each level.
UNIQUE_KEY: Final[Mapping[Level, Attribute]] = MappingProxyType(
    {
        Level.PATIENT: ATTRIBUTE_BY_TAG[0x00100020],
        Level.STUDY: ATTRIBUTE_BY_TAG[0x0020000D],
        Level.SERIES: ATTRIBUTE_BY_TAG[0x0020000E],
        Level.IMAGE: ATTRIBUTE_BY_TAG[0x00080018],
    }
)

# Bulk data and values of no agreed form: never kept in the index, never a key.
_VRS_NEVER_KEYS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"})


def header_vr(tag: int) -> str | None:
    """Return the VR with which an attribute may be asked for at the IMAGE level from stored headers, else None.

    Private attributes, file meta information, group lengths and bulk data cannot be asked for.
    """
    if tag < 0x00080000 or tag & 0xFFFF == 0 or tag >= 0x60000000 or not dictionary_has_tag(tag):
        return None
    # 'US or SS' and the like: the reader knows the VR that the object has, we compare numbers.
    vr = dictionary_VR(tag).split(" or ")[0]
    return None if vr in _VRS_NEVER_KEYS else vr
