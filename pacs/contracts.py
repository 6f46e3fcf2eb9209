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
``storage_commitment_requested/1``
    ``{"transaction_uid", "calling_aet", "study_instance_uids", "count"}``: a modality has asked to commit to its
    instances: it thinks that it has sent them all. Stated when the request was checked and all of them are here.
``association_ended/1``
    ``{"calling_aet", "studies": [{"issuer", "study_instance_uid"}], "is_released", "how"}``: an association that
    stored instances of these studies has ended: ``released``, ``aborted`` by the sender between two messages, or
    ``cut`` (inside a message, by a lost connection, a time-out, or by us). Stated after all that it stored.
``order/1``
    ``{"order_id", "site_id", "change"}``: an order was ``placed``, ``updated``, ``cancelled``, or is told to be done
    (``performed``: ANS flux 4). What it says is asked of the orders by its id.
``worklist_delivered/1``
    ``{"order_id", "site_id", "protocol_version", "calling_aet"}``: a console has been given an order with this version
    of its protocol.
``performed_step/1``
    ``{"mpps_uid", "site_id", "state", "order_ids", "study_instance_uids", "is_unscheduled", "calling_aet"}``: a
    Modality Performed Procedure Step is ``IN PROGRESS``, ``COMPLETED`` or ``DISCONTINUED``.
``patient_identity/1``
    ``{"change_id", "change", "issuer"}``: patients of an issuer were ``merged`` (A40), ``linked`` (A24), ``unlinked``
    (A37) or their identity was ``updated`` (A08, INS); who, is asked by the id.
``site_link/1``
    ``{"site_id", "state", "since_s", "cause"}``: a hospital that should be sending is ``silent``, for so many seconds
    when this was stated (since its last image, or the first of the C-ECHO that nobody answered; ``cause`` is ``quiet``
    or ``link``), or is ``back``.
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
TOPIC_STORAGE_COMMITMENT_REQUESTED: Final = "storage_commitment_requested/1"
TOPIC_ASSOCIATION_ENDED: Final = "association_ended/1"
TOPIC_ORDER: Final = "order/1"
TOPIC_WORKLIST_DELIVERED: Final = "worklist_delivered/1"
TOPIC_PERFORMED_STEP: Final = "performed_step/1"
TOPIC_PATIENT_IDENTITY: Final = "patient_identity/1"
TOPIC_SITE_LINK: Final = "site_link/1"


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
