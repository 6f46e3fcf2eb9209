"""Input Information Sequence as the archive can answer it now: every series and instance of the studies that it names.

For: a work item that names studies whole, while their images may still arrive. Not for: work items that name their
instances themselves.

References
----------
PS3.3 Table 10-3b (Referenced Instances and Access Macro); PS3.4 Table CC.2.5-2c
"""

from typing import Final

from sqlalchemy import Connection, select

from pacs.archive.query_values import Element, Item
from pacs.archive.schema import instance, patient, series, study
from pacs.worklist.ups import attributes as tag

INSTANCES_MAX: Final = 20_000
"""Instances that one work item names: three whole-body studies; of more only the first are named."""


def expanded(connection: Connection, dataset: Item) -> Item:
    """Return a work item's data set whose inputs are named instance by instance, as far as they are here."""
    inputs = dataset.get(tag.INPUT_INFORMATION_SEQUENCE)
    if inputs is None or not inputs.items:
        return dataset
    issuer = tag.text_of(dataset, tag.ISSUER_OF_PATIENT_ID)
    items: list[Item] = []
    for item in inputs.items:
        is_whole_study = tag.STUDY_INSTANCE_UID in item and tag.SERIES_INSTANCE_UID not in item
        found = _series_items(connection, item, issuer) if is_whole_study else []
        items += found or [item]
    return {**dataset, tag.INPUT_INFORMATION_SEQUENCE: Element(vr="SQ", items=tuple(items))}


def _series_items(connection: Connection, item: Item, issuer: str) -> list[Item]:
    query = (
        select(series.c.series_instance_uid, instance.c.sop_class_uid, instance.c.sop_instance_uid)
        .join(instance, instance.c.series_pk == series.c.series_pk)
        .join(study, study.c.study_pk == series.c.study_pk)
        .join(patient, patient.c.patient_pk == study.c.patient_pk)
        .where(study.c.study_instance_uid == tag.text_of(item, tag.STUDY_INSTANCE_UID))
        .order_by(series.c.series_pk, instance.c.sop_instance_uid)
        .limit(INSTANCES_MAX)
    )
    if issuer:
        query = query.where(patient.c.issuer == issuer)
    references: dict[str, list[Item]] = {}
    for row in connection.execute(query):
        reference = {
            tag.REFERENCED_SOP_CLASS_UID: tag.value("UI", row.sop_class_uid),
            tag.REFERENCED_SOP_INSTANCE_UID: tag.value("UI", row.sop_instance_uid),
        }
        references.setdefault(row.series_instance_uid, []).append(reference)
    return [
        {
            **item,
            tag.SERIES_INSTANCE_UID: tag.value("UI", uid),
            tag.REFERENCED_SOP_SEQUENCE: tag.sequence(*found),
        }
        for uid, found in references.items()
    ]
