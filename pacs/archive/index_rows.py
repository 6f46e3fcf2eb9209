"""The rows of the index made from what was received: pure functions from arrivals to column values.

Text is cut to its column: PostgreSQL refuses what is too long, and one odd value must not lose an instance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pacs.archive.attributes import Level
from pacs.archive.header import InstanceHeader, LevelDescription
from pacs.archive.person_name import person_name_key
from pacs.archive.schema import patient, series, study
from storage_tiers.pack import Member


@dataclass(frozen=True, slots=True)
class Arrival:
    """A durable member that wants its index row. ``levels`` is needed only for a series not yet known."""

    pack_name: str
    member: Member
    header: InstanceHeader
    transfer_syntax_uid: str
    # The issuer when the data set has none: the calling AE's configured one.
    default_issuer: str
    levels: Mapping[Level, LevelDescription] | None
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class SeriesKeys:
    """What is remembered of a series: its keys, and what events say of it."""

    study_pk: int
    series_pk: int
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    issuer: str


EVIDENCE_COLUMNS: Final = (
    "series_pk",
    "sop_instance_uid",
    "sop_class_uid",
    "transfer_syntax_uid",
    "file_offset",
    "file_length_bytes",
    "dataset_offset",
    "digest",
)


def instance_row(arrival: Arrival, keys: SeriesKeys, pack_pk: int) -> dict[str, Any]:
    """Return the row of one instance."""
    header, member = arrival.header, arrival.member
    return {
        "series_pk": keys.series_pk,
        "sop_instance_uid": header.sop_instance_uid,
        "sop_class_uid": header.identity.sop_class_uid.decode("ascii"),
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "instance_number": header.instance_number,
        "rows": header.rows,
        "columns": header.columns,
        "number_of_frames": header.number_of_frames,
        "pack_pk": pack_pk,
        "file_offset": member.file_offset,
        "file_length_bytes": member.file_length_bytes,
        "dataset_offset": member.dataset_offset,
        "digest": member.dataset_digest,
        "is_damaged": int(arrival.is_damaged),
    }


def _fit(table: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Cut text to its column: PostgreSQL refuses what is too long, and one odd value must not lose an instance."""
    fitted: dict[str, Any] = {}
    for name, value in values.items():
        length = getattr(table.c[name].type, "length", None)
        fitted[name] = value[:length] if length and isinstance(value, str) else value
    return fitted


def patient_row_of(described: LevelDescription, default_issuer: str, study_instance_uid: str) -> dict[str, Any]:
    """Return a patient's row; without an ID it is kept apart, by its study."""
    columns = described.columns
    return _fit(
        patient,
        {
            **columns,
            "issuer": columns["issuer"] or default_issuer,
            "apart": "" if columns["patient_id"] else study_instance_uid,
            "patient_name_key": person_name_key(columns["patient_name"]),
            "attributes": described.attributes,
        },
    )


def study_row_of(described: LevelDescription, patient_pk: int, received_at_s: float) -> dict[str, Any]:
    """Return a study's row, counts still at zero; the time of its first instance is in seconds since 1970 UTC."""
    names = (
        "study_instance_uid", "study_date", "study_time", "accession_number", "study_id", "study_description",
        "referring_physician_name",
    )  # fmt: skip
    columns = {name: described.columns[name] for name in names}
    return _fit(
        study,
        {
            **columns,
            "patient_pk": patient_pk,
            "referring_physician_name_key": person_name_key(columns["referring_physician_name"]),
            "modalities_in_study": "",
            "sop_classes_in_study": "",
            "number_of_study_related_series": 0,
            "number_of_study_related_instances": 0,
            "size_bytes": 0,
            "first_received_at_s": received_at_s,
            "last_received_at_s": received_at_s,
            "attributes": described.attributes,
        },
    )


def series_row_of(described: LevelDescription, study_pk: int) -> dict[str, Any]:
    """Return a series' row, with counts still at zero."""
    names = (
        "series_instance_uid", "modality", "series_number", "series_description", "body_part_examined", "series_date",
        "series_time", "institution_name", "station_name",
    )  # fmt: skip
    return _fit(
        series,
        {
            **{name: described.columns[name] for name in names},
            "study_pk": study_pk,
            "number_of_series_related_instances": 0,
            "size_bytes": 0,
            "attributes": described.attributes,
        },
    )


def joined_with(joined: str, value: str, length_max: int) -> str:
    """Add a value to a sorted set joined by backslashes (PS3.5 6.4); unchanged when it would become too long."""
    values = {one for one in joined.split("\\") if one}
    if value:
        values.add(value)
    text = "\\".join(sorted(values))
    return text if len(text) <= length_max else joined


def stored_payload(study_pk: int, parts: Sequence[tuple[SeriesKeys, list[Arrival]]]) -> dict[str, Any]:
    """Return the payload of ``instances_stored/1`` for one study (`pacs.contracts`)."""
    first = parts[0][0]
    return {
        "issuer": first.issuer,
        "study_instance_uid": first.study_instance_uid,
        "study_pk": study_pk,
        "series": [
            {
                "series_instance_uid": key.series_instance_uid,
                "series_pk": key.series_pk,
                "modality": key.modality,
                "sop_instance_uids": [arrival.header.sop_instance_uid for arrival in stored],
            }
            for key, stored in parts
        ],
        "calling_aet": parts[0][1][0].member.calling_aet,
    }
