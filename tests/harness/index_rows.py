"""Rows of the index without ingest: entities described by keyword, inserted as ingest would.

For query tests that need odd values or many studies; what ingest itself makes of data sets is tested elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert

from pacs.archive.attributes import ATTRIBUTE_BY_TAG, LEVEL_ATTRIBUTES, Level, Source
from pacs.archive.person_name import person_name_key
from pacs.archive.schema import instance, pack, patient, series, study

_BY_KEYWORD = {attribute.keyword: attribute for attribute in LEVEL_ATTRIBUTES}


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """An instance; `values` by keyword."""

    values: Mapping[str, str | int]
    is_damaged: bool = False


@dataclass(frozen=True, kw_only=True)
class SeriesRow:
    """A series; `attributes` is DICOM JSON by tag."""

    values: Mapping[str, str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    instances: Sequence[InstanceRow] = ()


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study; its counts and sets are made from its series."""

    values: Mapping[str, str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    series: Sequence[SeriesRow] = ()


@dataclass(frozen=True, kw_only=True)
class PatientRow:
    """A patient."""

    values: Mapping[str, str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    studies: Sequence[StudyRow] = ()


def json_member(keyword: str, *values: Any) -> dict[str, Any]:
    """Return one member of a DICOM JSON object, by keyword."""
    attribute = _BY_KEYWORD[keyword]
    return {f"{attribute.tag:08X}": {"vr": attribute.vr, "Value": list(values)}}


def insert_patient(connection: Connection, row: PatientRow) -> int:
    """Insert a patient with everything below; return its key."""
    values = _columns(Level.PATIENT, row.values)
    values["patient_name_key"] = person_name_key(values["patient_name"])
    patient_pk = _insert(connection, patient, {**values, "attributes": json.dumps(row.attributes)})
    for one in row.studies:
        insert_study(connection, patient_pk, one)
    return patient_pk


def insert_study(connection: Connection, patient_pk: int, row: StudyRow) -> int:
    """Insert a study with everything below; return its key."""
    values = _columns(Level.STUDY, row.values)
    values["referring_physician_name_key"] = person_name_key(values["referring_physician_name"])
    modalities = sorted({one.values["Modality"] for one in row.series if one.values.get("Modality")})
    classes = sorted({str(i.values["SOPClassUID"]) for one in row.series for i in one.instances})
    values["modalities_in_study"] = row.values.get("ModalitiesInStudy", "\\".join(modalities))
    values["sop_classes_in_study"] = row.values.get("SOPClassesInStudy", "\\".join(classes))
    counts = {
        "number_of_study_related_series": len(row.series),
        "number_of_study_related_instances": sum(len(one.instances) for one in row.series),
    }
    study_pk = _insert(
        connection, study, {**values, **counts, "patient_pk": patient_pk, "attributes": json.dumps(row.attributes)}
    )
    for one in row.series:
        insert_series(connection, study_pk, one)
    return study_pk


def insert_series(connection: Connection, study_pk: int, row: SeriesRow) -> int:
    """Insert a series with its instances; return its key."""
    values = _columns(Level.SERIES, row.values)
    values["number_of_series_related_instances"] = len(row.instances)
    series_pk = _insert(connection, series, {**values, "study_pk": study_pk, "attributes": json.dumps(row.attributes)})
    for number, one in enumerate(row.instances):
        columns = _columns(Level.IMAGE, one.values)
        place = {
            "series_pk": series_pk,
            "pack_pk": 1,
            "file_offset": 4096 * number,
            "file_length_bytes": 4096,
            "dataset_offset": 400,
            "digest": bytes(16),
            "is_damaged": int(one.is_damaged),
        }
        connection.execute(insert(instance).values({**columns, **place}))
    return series_pk


def insert_pack(connection: Connection) -> None:
    """Insert the one pack that all instances are in."""
    connection.execute(insert(pack).values(pack_pk=1, name="lane-0001", state="open", size_bytes=0))


def _columns(level: Level, values: Mapping[str, Any]) -> dict[str, Any]:
    known = [a for a in ATTRIBUTE_BY_TAG.values() if a.level is level and a.source is Source.COLUMN]
    unknown = values.keys() - {attribute.keyword for attribute in known}
    assert not unknown, unknown
    defaults: dict[str, Any] = {"Rows": None, "Columns": None, "NumberOfFrames": None}
    return {
        str(attribute.column): values.get(attribute.keyword, defaults.get(attribute.keyword, ""))
        for attribute in known
        if not attribute.keyword.startswith("NumberOf") or attribute.keyword == "NumberOfFrames"
    }


def _insert(connection: Connection, table: Any, values: Mapping[str, Any]) -> int:
    result = connection.execute(insert(table).values(values))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])
