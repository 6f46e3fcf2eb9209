"""What `pacs` says to the rest of Telegarde: values and event topics. Others import this of pacs and nothing else.

Event payloads are JSON objects in the outbox. A topic ends in its version; keys are only ever added.

``instances_stored/1``
    ``{"issuer", "study_instance_uid", "study_pk", "series": [{"series_instance_uid", "series_pk", "modality",
    "sop_instance_uids": [...]}], "calling_aet"}``: these instances are durable and can be found.
``instance_conflict/1``
    ``{"study_instance_uid", "series_instance_uid", "sop_instance_uid", "conflict_pk", "calling_aet"}``: other bytes
    came under a known SOP Instance UID; the first stays served, the newcomer is kept as evidence.
``study_in_two_patients/1``
    ``{"study_instance_uid", "study_pks": [...]}``: one Study Instance UID arrived under two patients; both are kept
    apart.
``storage_commitment_result/1``
    ``{"transaction_uid", "calling_aet", "committed", "failed"}``.
"""

from dataclasses import dataclass
from typing import Final, NewType

SopInstanceUid = NewType("SopInstanceUid", str)
SeriesInstanceUid = NewType("SeriesInstanceUid", str)
StudyInstanceUid = NewType("StudyInstanceUid", str)

TOPIC_INSTANCES_STORED: Final = "instances_stored/1"
TOPIC_INSTANCE_CONFLICT: Final = "instance_conflict/1"
TOPIC_STUDY_IN_TWO_PATIENTS: Final = "study_in_two_patients/1"
TOPIC_STORAGE_COMMITMENT_RESULT: Final = "storage_commitment_result/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceRef:
    """One stored instance and where its bytes are.

    ``offset`` and ``length_bytes`` delimit the Part 10 file inside the pack; the data set proper (what C-STORE carries,
    in ``transfer_syntax_uid``) begins ``dataset_offset`` bytes into the file. ``digest`` is XXH3-128 of the data set.
    """

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    sop_instance_uid: SopInstanceUid
    sop_class_uid: str
    transfer_syntax_uid: str
    pack: str
    offset: int
    length_bytes: int
    dataset_offset: int
    digest: bytes
