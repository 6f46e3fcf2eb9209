"""Who a message is about: PID, and what requests say of the patient beside it, as an `OrderPatient`.

For: orders and ADT messages alike. Not for: whether two patients are one (`pacs.worklist.identity`).

Invariants
----------
* A patient is named by the identifier that the hospital itself gave (PI, MR, or no type); by a qualified INS only when
  there is none. A visit or record number is no patient.
* The same identifier of two authorities is two patients: an identifier that names no authority is the sender's.

References
----------
HL7 2.5.1 3.4.2 (PID), table 0203; PS3.5 6.2.1 (person names); ANS volet Téléradiologie (PID)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pacs.worklist.hl7.ins import is_ins, read_ins
from pacs.worklist.hl7.message import ErrorCode, FieldError, SenderIdentity
from pacs.worklist.hl7.reading import Segment, every
from pacs.worklist.order import OrderPatient

PATIENT_TYPES: Final = ("PI", "MR", "")
"""Table 0203: identifiers of patients, the best first; '' is one without a type."""

OTHER_IDS_MAX: Final = 16
"""Further identifiers of one patient that are kept; a message that names more is not believed to be of one patient."""

ID_CHARACTERS_MAX: Final = 64
"""Of a Patient ID and of its issuer (PS3.5 6.2, LO)."""

NAME_CHARACTERS_MAX: Final = 324
TEXT_CHARACTERS_MAX: Final = 1024
"""Of texts that are joined, such as allergies; what is longer is cut, and ends in three points."""

_DATE: Final = re.compile(r"(\d{8})\d*.*", re.DOTALL)
_SEXES: Final = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O"}
_SEVERE: Final = {"SV": "!"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientSaid:
    """The patient whom a PID names, or what is wrong with it."""

    patient: OrderPatient | None = None
    error: FieldError | None = None


def read_patient(pid: Segment | None, sender: SenderIdentity, *, allergies: tuple[Segment, ...] = ()) -> PatientSaid:
    """Return whom a PID segment names.

    Parameters
    ----------
    pid : Segment or None
    sender : SenderIdentity
        Whose identifiers those are that name no authority.
    allergies : tuple of Segment
        The AL1 segments beside it.
    """
    if pid is None:
        return PatientSaid(error=missing("PID", 0, "the message names no patient"))
    ids = _identifiers(pid, sender)
    if not ids or len(ids) > OTHER_IDS_MAX:
        return PatientSaid(error=missing("PID", 3, "an identifier of the patient that the hospital gave (type PI)"))
    if any(len(part) > ID_CHARACTERS_MAX for pair in ids for part in pair):
        return PatientSaid(error=_too_long("PID", 3))
    name = _name(pid)
    if len(name) > NAME_CHARACTERS_MAX:
        return PatientSaid(error=_too_long("PID", 5))
    (patient_id, issuer), *others = ids
    birth = _DATE.fullmatch(pid.text(7))
    said = OrderPatient(
        patient_id=patient_id,
        issuer=issuer,
        name=name,
        birth_date="" if birth is None else birth[1],
        sex=_SEXES.get(pid.text(8).upper(), ""),
        ins=read_ins(pid),
        other_ids=tuple(others),
        allergies=joined(_allergy(one) for one in allergies),
    )
    return PatientSaid(patient=said)


def read_prior(mrg: Segment | None, sender: SenderIdentity) -> tuple[str, str] | None:
    """Return (Patient ID, issuer) of the patient who is merged away (MRG-1); None when there is none."""
    if mrg is None:
        return None
    ids = [pair for pair in _typed(mrg, 1, sender) if all(len(part) <= ID_CHARACTERS_MAX for part in pair)]
    return ids[0] if ids else None


def joined(texts: Iterable[str]) -> str:
    """Return texts as one, without what is empty, and not longer than is kept."""
    found = "; ".join(dict.fromkeys(text for text in texts if text))
    return found if len(found) <= TEXT_CHARACTERS_MAX else f"{found[: TEXT_CHARACTERS_MAX - 3]}..."


def allergies_of(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Return the AL1 segments of a message, before its first order."""
    return every(segments, "AL1")


def missing(segment: str, field: int, what: str, *, sequence: int = 1, component: int = 0) -> FieldError:
    """Return the error that something required is not there."""
    return FieldError(
        segment=segment, sequence=sequence, field=field, component=component,
        code=ErrorCode.REQUIRED_FIELD_MISSING, text=f"required: {what}",
    )  # fmt: skip


def _too_long(segment: str, field: int) -> FieldError:
    return FieldError(
        segment=segment, field=field, code=ErrorCode.VALUE_TOO_LONG, text="longer than DICOM can hold; shorten it"
    )


def _identifiers(pid: Segment, sender: SenderIdentity) -> list[tuple[str, str]]:
    found = _typed(pid, 3, sender)
    ins = read_ins(pid)
    if not found and ins is not None and ins.may_be_sent:
        # A patient of whom the hospital gives no number of its own: the national one identifies, if it is proved.
        return [(ins.matricule, ins.oid)]
    return found


def _typed(segment: Segment, field: int, sender: SenderIdentity) -> list[tuple[str, str]]:
    """Return (identifier, issuer) of a CX field that identify a patient: the sender's own first, then by type."""
    ranked = []
    for repetition in range(1, segment.count(field) + 1):
        value, kind = segment.text(field, 1, repetition=repetition), segment.text(field, 5, repetition=repetition)
        if not value or kind not in PATIENT_TYPES or (field == 3 and is_ins(segment, repetition)):
            continue
        issuer = _issuer(segment, field, repetition, sender)
        ranked.append((issuer != sender.issuer, PATIENT_TYPES.index(kind), repetition, value, issuer))
    return list(dict.fromkeys((value, issuer) for _, _, _, value, issuer in sorted(ranked)))


def _issuer(segment: Segment, field: int, repetition: int, sender: SenderIdentity) -> str:
    namespace = segment.text(field, 4, 1, repetition=repetition)
    universal = segment.text(field, 4, 2, repetition=repetition)
    if sender.issuer and sender.issuer in {namespace, universal}:
        return sender.issuer
    return namespace or universal or sender.issuer


def _name(pid: Segment) -> str:
    """Return PID-5 as a DICOM person name: the legal name (type L) if there are several."""
    count = pid.count(5)
    legal = [number for number in range(1, count + 1) if pid.text(5, 7, repetition=number) == "L"]
    which = (legal or [1])[0]
    # XPN family^given^middle^suffix^prefix to PN family^given^middle^prefix^suffix (PS3.5 6.2.1).
    parts = [pid.text(5, number, repetition=which).replace("^", " ").replace("=", " ") for number in (1, 2, 3, 5, 4)]
    if parts[2] == parts[1]:
        # In France the further given names begin with the first one again (IHE PAM France, PID-5).
        parts[2] = ""
    return "^".join(parts).rstrip("^")


def _allergy(al1: Segment) -> str:
    what = al1.text(3, 2) or al1.text(3, 1)
    reaction = al1.joined(5)
    mark = _SEVERE.get(al1.text(4).upper(), "")
    return f"{what}{mark}{f' ({reaction})' if reaction else ''}" if what else ""
