"""What an ADT message says of patients: who they are (A01, A04, A05, A08, A28, A31), and which are one (A40, A24, A37).

For: `AdtSaid` of a message, or its errors. Not for: rows, or what follows (`pacs.worklist.identity`).

Invariants: a sender speaks of its own hospital's patients only: what joins or parts patients of another issuer is
refused; a message that names one patient where two are needed is an error, never half a merge.

References
----------
HL7 2.5.1 3.3 (events), 3.4.2 (PID), 3.4.9 (MRG); IHE PAM and its French extension 2.11
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs.worklist.hl7.ins import is_validated
from pacs.worklist.hl7.message import ErrorCode, FieldError, SenderIdentity
from pacs.worklist.hl7.patients_in import missing, read_patient, read_prior
from pacs.worklist.hl7.reading import Segment, every
from pacs.worklist.identity import PatientKey
from pacs.worklist.order import OrderPatient

UPDATES: Final = frozenset({"A01", "A04", "A05", "A08", "A28", "A31"})
"""Events that say who a patient is."""

MERGES_MAX: Final = 50
"""Merges of one message: more are a batch."""


class AdtWanted(StrEnum):
    """What an ADT message asks for."""

    UPDATE = "update"
    MERGE = "merge"
    LINK = "link"
    UNLINK = "unlink"


EVENTS: Final = {
    **dict.fromkeys(UPDATES, AdtWanted.UPDATE),
    "A40": AdtWanted.MERGE,
    "A24": AdtWanted.LINK,
    "A37": AdtWanted.UNLINK,
}
"""MSH-9.2 to what it asks for; anything else is answered AR."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdtSaid:
    """What an ADT message says.

    Attributes
    ----------
    pairs : tuple of (PatientKey, PatientKey)
        Who stays (or is the first named), and the other one.
    patients : tuple of OrderPatient
        Everybody whom it describes: one of an update, those who stay of a merge.
    is_doubted : bool
        PID-32 says something else than validated.
    """

    wanted: AdtWanted
    patients: tuple[OrderPatient, ...] = ()
    pairs: tuple[tuple[PatientKey, PatientKey], ...] = ()
    is_doubted: bool = False
    errors: tuple[FieldError, ...] = ()


def read_adt(segments: Sequence[Segment], wanted: AdtWanted, sender: SenderIdentity) -> AdtSaid:
    """Return what an ADT message says, or every error at once."""
    pids = every(segments, "PID")
    if not pids:
        return AdtSaid(wanted=wanted, errors=(missing("PID", 0, "a patient (PID)"),))
    match wanted:
        case AdtWanted.UPDATE:
            return _update(pids[0], sender)
        case AdtWanted.MERGE:
            return _merge(segments, sender)
        case AdtWanted.LINK | AdtWanted.UNLINK:
            return _two(wanted, pids, sender)


def _update(pid: Segment, sender: SenderIdentity) -> AdtSaid:
    said = read_patient(pid, sender)
    if said.patient is None:
        return AdtSaid(wanted=AdtWanted.UPDATE, errors=() if said.error is None else (said.error,))
    is_doubted = pid.has(32) and not is_validated(pid)
    return AdtSaid(wanted=AdtWanted.UPDATE, patients=(said.patient,), is_doubted=is_doubted)


def _merge(segments: Sequence[Segment], sender: SenderIdentity) -> AdtSaid:
    """Read A40: one or more groups of PID and MRG."""
    errors: list[FieldError] = []
    patients: list[OrderPatient] = []
    pairs: list[tuple[PatientKey, PatientKey]] = []
    relevant = [one for one in segments if one.name in {"PID", "MRG"}]
    for index, pid in enumerate(relevant):
        if pid.name != "PID":
            continue
        mrg = relevant[index + 1] if index + 1 < len(relevant) and relevant[index + 1].name == "MRG" else None
        said, prior = read_patient(pid, sender), read_prior(mrg, sender)
        if said.error is not None:
            errors.append(said.error)
        if prior is None:
            errors.append(missing("MRG", 1, "the patient who is merged away", sequence=pid.sequence))
        if said.patient is None or prior is None:
            continue
        kept, other = _key(said.patient), PatientKey(prior[1], prior[0])
        errors += _foreign(sender, (("PID", 3, kept), ("MRG", 1, other)), pid.sequence)
        patients.append(said.patient)
        pairs.append((kept, other))
    if len(pairs) > MERGES_MAX:
        text = f"at most {MERGES_MAX} merges in a message; send several"
        errors.append(FieldError(segment="MRG", sequence=len(pairs), code=ErrorCode.SEGMENT_SEQUENCE, text=text))
    if errors:
        return AdtSaid(wanted=AdtWanted.MERGE, errors=tuple(errors))
    return AdtSaid(wanted=AdtWanted.MERGE, patients=tuple(patients), pairs=tuple(pairs))


def _two(wanted: AdtWanted, pids: Sequence[Segment], sender: SenderIdentity) -> AdtSaid:
    """Read A24 or A37: two PIDs."""
    if len(pids) != 2:
        text = "two patients (two PID)"
        return AdtSaid(wanted=wanted, errors=(missing("PID", 0, text, sequence=len(pids) + 1),))
    both = [read_patient(pid, sender) for pid in pids]
    errors = [said.error for said in both if said.error is not None]
    patients = [said.patient for said in both if said.patient is not None]
    if not errors:
        named = [("PID", 3, _key(patient)) for patient in patients]
        errors += _foreign(sender, named[:1], 1) + _foreign(sender, named[1:], 2)
    if errors:
        return AdtSaid(wanted=wanted, errors=tuple(errors))
    one, other = patients
    return AdtSaid(wanted=wanted, patients=(one, other), pairs=((_key(one), _key(other)),))


def _foreign(sender: SenderIdentity, named: Sequence[tuple[str, int, PatientKey]], sequence: int) -> list[FieldError]:
    """Return an error for each patient that is not of the sender's hospital."""
    text = "of another authority than this hospital's: only its own patients are joined or parted"
    return [
        FieldError(
            segment=segment, sequence=sequence, field=field, component=4,
            code=ErrorCode.UNKNOWN_KEY_IDENTIFIER, text=text,
        )
        for segment, field, key in named
        if key.issuer != sender.issuer
    ]  # fmt: skip


def _key(patient: OrderPatient) -> PatientKey:
    return PatientKey(patient.issuer, patient.patient_id)
