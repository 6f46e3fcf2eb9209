"""The national health identity (INS) in messages: read from PID-3 and PID-32, checked, and written back when it may be.

For: one rule for all messages. Not for: the look-up of an INS in the national service, or what patients are linked
(`pacs.worklist.identity`).

Invariants
----------
* A matricule that fails its own check digits is no INS: it is left out, and never makes two patients one.
* Only a qualified INS is sent: the matricule was there and the identity was validated (PID-32 ``VALI``).

References
----------
ANS, annexe "Prise en charge de l'INS dans les standards d'interopérabilité" (CX of PID-3, PID-32); RNIV (the four
statuses); decree of 2019-10-08 (matricule: NIR or NIA of 13 characters and a key of 2)
"""

import re
from typing import Final

from pacs.worklist.hl7.codes import INS_OIDS, INS_TYPE, NIA_OID, VALIDATED
from pacs.worklist.hl7.reading import Segment
from pacs.worklist.hl7.writing import Value
from pacs.worklist.order import Ins, InsStatus

_MATRICULE: Final = re.compile(r"(\d{5}(?:\d\d|2A|2B)\d{6})(\d\d)")
# Corsica: 2A counts as 19, 2B as 18 (INSEE).
_CORSICA: Final = {"2A": "19", "2B": "18"}
_NAMES: Final = {True: "ASIP-SANTE-INS-NIA", False: "ASIP-SANTE-INS-NIR"}


def is_matricule(text: str) -> bool:
    """Say whether a text is a matricule of 15 characters with the right key."""
    found = _MATRICULE.fullmatch(text)
    if found is None:
        return False
    digits = found[1]
    if (place := digits[5:7]) in _CORSICA:
        digits = digits[:5] + _CORSICA[place] + digits[7:]
    return 97 - int(digits) % 97 == int(found[2])


def is_ins(pid: Segment, repetition: int) -> bool:
    """Say whether a repetition of PID-3 means to be an INS, right or wrong."""
    authority = pid.text(3, 4, 2, repetition=repetition)
    return authority in INS_OIDS or pid.text(3, 5, repetition=repetition) == INS_TYPE


def read_ins(pid: Segment) -> Ins | None:
    """Return the INS of a PID segment with its status; None when there is none that passes its own checks."""
    for repetition in range(1, pid.count(3) + 1):
        matricule = pid.text(3, 1, repetition=repetition)
        oid = pid.text(3, 4, 2, repetition=repetition)
        if is_ins(pid, repetition) and oid in INS_OIDS and is_matricule(matricule):
            return Ins(matricule=matricule, oid=oid, status=_status(pid))
    return None


def is_validated(pid: Segment) -> bool:
    """Say whether the hospital has validated the identity (PID-32)."""
    return any(pid.text(32, repetition=number) == VALIDATED for number in range(1, pid.count(32) + 1))


def ins_as_cx(ins: Ins) -> Value:
    """Return an INS as a repetition of PID-3; only for one that may be sent."""
    assert ins.may_be_sent, "only a qualified INS leaves this node"
    return (ins.matricule, "", "", (_NAMES[ins.oid == NIA_OID], ins.oid, "ISO"), INS_TYPE)


def _status(pid: Segment) -> InsStatus:
    # The traits came from the national service with the matricule; validated as well, the identity is qualified.
    return InsStatus.QUALIFIED if is_validated(pid) else InsStatus.RETRIEVED
