"""One thing that is wrong, or odd, in a message: where, how bad, and which rule says so.

For: `pacs.worklist.hl7.validation` and what it is made of. Not for: what becomes of a message (`handling`).

Invariant: a finding names a place and a rule, never a value of the message.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Table 0516, as far as it is used."""

    ERROR = "E"
    WARNING = "W"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One of them.

    Attributes
    ----------
    severity : Severity
        ERROR breaks the standard or the profile; WARNING is allowed, and unwise.
    place : str
        Segment, its number, field and component, such as ``OBX[2]-5.1``; a whole group such as ``ORDER[1]``.
    rule : str
        Where the rule is: ``HL7 2.5.1``, ``TLR flux 1``, ``INS``, ``emergency extension``.
    text : str
        What is expected.
    """

    severity: Severity
    place: str
    rule: str
    text: str
