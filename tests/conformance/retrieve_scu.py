"""A retrieve SCU whose every response can be looked at: pynetdicom's, for what DCMTK's tools do not show."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    PatientStudyOnlyQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

STUDY_MOVE = StudyRootQueryRetrieveInformationModelMove
PATIENT_MOVE = PatientRootQueryRetrieveInformationModelMove
PATIENT_STUDY_MOVE = PatientStudyOnlyQueryRetrieveInformationModelMove
STUDY_GET = StudyRootQueryRetrieveInformationModelGet
PATIENT_GET = PatientRootQueryRetrieveInformationModelGet

#: A retrieve that takes longer is taken for hung.
TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One C-MOVE-RSP or C-GET-RSP; counts are None when they are not in it."""

    status: int
    remaining: int | None
    completed: int | None
    failed: int | None
    warning: int | None
    comment: str
    failed_uids: list[str]
    after_s: float


def study_identifier(study_instance_uid: str) -> Dataset:
    """Return the identifier of a whole study."""
    ds = Dataset()
    ds.QueryRetrieveLevel = "STUDY"
    ds.StudyInstanceUID = study_instance_uid
    return ds


@contextmanager
def requesting(
    port: int,
    *sop_classes: str,
    storage: Sequence[tuple[str, Sequence[str]]] = (),
    on_store: Callable[[evt.Event], int] | None = None,
    relational: bool = False,
) -> Iterator[Association]:
    """Open an association with our node.

    Parameters
    ----------
    storage : sequence of (SOP Class UID, transfer syntaxes)
        Proposed with the SCP role, for C-GET.
    on_store : callable, optional
        Answers the C-STORE sub-operations of a C-GET.
    """
    from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

    ae = AE(ae_title="VIEWER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT_S
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class)
    items = []
    for sop_class, transfer_syntaxes in storage:
        for transfer_syntax in transfer_syntaxes:
            ae.add_requested_context(sop_class, transfer_syntax)
        items.append(build_role(sop_class, scp_role=True))
    if relational:
        for sop_class in sop_classes:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = sop_class
            item.service_class_application_information = b"\x01"
            items.append(item)
    handlers = [(evt.EVT_C_STORE, on_store)] if on_store else []
    association = ae.associate("127.0.0.1", port, ae_title="TELEGARDE", ext_neg=items, evt_handlers=handlers)
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def move(
    association: Association, identifier: Dataset, destination: str = "DEST", sop_class: str = STUDY_MOVE
) -> Iterator[Answer]:
    """Send a C-MOVE-RQ and yield its responses as they come."""
    yield from _answers(association.send_c_move(identifier, destination, sop_class, msg_id=7))


def get(association: Association, identifier: Dataset, sop_class: str = STUDY_GET) -> Iterator[Answer]:
    """Send a C-GET-RQ and yield its responses as they come."""
    yield from _answers(association.send_c_get(identifier, sop_class, msg_id=7))


def answers(port: int, identifier: Dataset, **options: str) -> list[Answer]:
    """Move once on an association of its own; return every response."""
    with requesting(port, options.get("sop_class", STUDY_MOVE)) as association:
        return list(move(association, identifier, **options))


def _answers(responses: Iterator[tuple[Dataset, Dataset | None]]) -> Iterator[Answer]:
    began_s = time.monotonic()
    for status, identifier in responses:
        assert "Status" in status, "the association ended without a final response"
        uids = identifier.get("FailedSOPInstanceUIDList", []) if identifier is not None else []
        yield Answer(
            status=status.Status,
            remaining=status.get("NumberOfRemainingSuboperations"),
            completed=status.get("NumberOfCompletedSuboperations"),
            failed=status.get("NumberOfFailedSuboperations"),
            warning=status.get("NumberOfWarningSuboperations"),
            comment=status.get("ErrorComment", ""),
            failed_uids=[uids] if isinstance(uids, str) else list(uids),
            after_s=time.monotonic() - began_s,
        )
