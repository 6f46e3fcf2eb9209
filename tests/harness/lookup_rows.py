"""Index rows and their outbox events without any bytes, for tests of what reads the index."""

from collections.abc import Mapping, Sequence
from typing import Any

import xxhash
from sqlalchemy import Column, Connection, String, insert, select

from foundation import outbox
from foundation.database import Database
from pacs.archive.schema import instance, pack, patient, series, study
from pacs.contracts import TOPIC_INSTANCES_STORED

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
PACK = "20260101T000000-0000.tar"


def add_instances(
    database: Database,
    uids: Sequence[str],
    *,
    series_uid: str = "1.2.3.1",
    study_uid: str = "1.2.3",
    sop_class_uid: str = CT_IMAGE,
    tell: bool = True,
) -> int:
    """Insert instances of one series as `pacs.archive.index` does, and their event when `tell`.

    Returns
    -------
    int
        The series_pk.
    """
    with database.write() as connection:
        pack_pk = _key(connection, pack.c.pack_pk, {"name": PACK, "state": "open", "size_bytes": 0}, ["name"])
        patient_pk = _key(
            connection, patient.c.patient_pk, {"issuer": "NORTH", "patient_id": "1"}, ["issuer", "patient_id"]
        )
        of_study = {"patient_pk": patient_pk, "study_instance_uid": study_uid}
        study_pk = _key(connection, study.c.study_pk, of_study, list(of_study))
        of_series = {"study_pk": study_pk, "series_instance_uid": series_uid}
        series_pk = _key(connection, series.c.series_pk, of_series, list(of_series))
        connection.execute(
            insert(instance),
            [
                {
                    "series_pk": series_pk,
                    "sop_instance_uid": uid,
                    "sop_class_uid": sop_class_uid,
                    "transfer_syntax_uid": EXPLICIT_LITTLE,
                    "instance_number": "1",
                    "pack_pk": pack_pk,
                    "file_offset": position * 1024,
                    "file_length_bytes": len(file_of(uid)),
                    "dataset_offset": DATASET_OFFSET,
                    "digest": xxhash.xxh3_128_digest(file_of(uid)[DATASET_OFFSET:]),
                }
                for position, uid in enumerate(uids)
            ],
        )
        if tell:
            tell_stored(connection, series_pk, uids)
        return series_pk


def _key(connection: Connection, key: Column[int], values: Mapping[str, Any], unique: Sequence[str]) -> int:
    """Return the key of a row, inserted with '' in every other column that wants text, unless it is there."""
    table = key.table
    found = connection.execute(select(key).where(*(table.c[name] == values[name] for name in unique))).scalar()
    if found is not None:
        return found
    blank = {
        column.name: ""
        for column in table.c
        if isinstance(column.type, String) and not column.nullable and column.default is None
    }
    return connection.execute(insert(table).values({**blank, **values}).returning(key)).scalar_one()


DATASET_OFFSET = 8


def file_of(uid: str) -> bytes:
    """Return the bytes that stand for an instance's Part 10 file: a head of `DATASET_OFFSET`, then the data set."""
    return b"PREAMBLE" + uid.encode() * 3


def tell_stored(connection: Connection, series_pk: int, uids: Sequence[str]) -> None:
    """Append the event for instances of one series."""
    outbox.append(
        connection,
        TOPIC_INSTANCES_STORED,
        {
            "issuer": "NORTH",
            "study_instance_uid": "1.2.3",
            "study_pk": 1,
            "series": [
                {
                    "series_instance_uid": "1.2.3.1",
                    "series_pk": series_pk,
                    "modality": "CT",
                    "sop_instance_uids": list(uids),
                }
            ],
            "calling_aet": "CT1",
        },
        created_at_s=0.0,
    )
