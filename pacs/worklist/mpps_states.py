"""The life of a Modality Performed Procedure Step, as one table: what each request does to a step in each state.

For: deciding whether N-CREATE, N-SET or N-GET may be carried out, and with which status it is refused. Not for: what
the attributes must be (`pacs.worklist.mpps_attributes`), or rows.

Invariants: a step begins in progress and ends completed or discontinued; what has ended never changes again.

References
----------
PS3.4 Tables F.1-3 and F.1-4 (states, transitions), F.7.2.1.2 (N-CREATE), F.7.2.2.2 and F.7.2.2.3 (N-SET), F.8.2.1
(N-GET); PS3.7 C.5 (statuses)
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from pacs.status import Status

NO_LONGER_UPDATED: Final = 0xA506
"""Error ID (0000,0903): Performed Procedure Step Object may no longer be updated (PS3.4 F.7.2.2.3)."""


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


_STATE_WORDS: Final = frozenset(state.value for state in StepState)

FINAL_STATES: Final = frozenset({StepState.COMPLETED, StepState.DISCONTINUED})
"""States that nothing follows."""


class Operation(StrEnum):
    """What a modality asks of a step."""

    CREATE = "N-CREATE"
    SET = "N-SET"
    GET = "N-GET"


class Said(StrEnum):
    """What a request says about the status."""

    NOTHING = "nothing"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    SOMETHING_ELSE = "something else"


class Refusal(NamedTuple):
    """Why a request is not carried out; ``error_id`` 0 for none."""

    status: Status
    comment: str
    error_id: int = 0


Outcome = StepState | Refusal
"""The state that a step is in afterwards, or why nothing changes."""

_KNOWN: Final = Refusal(Status.DUPLICATE_SOP_INSTANCE, "this step was created before")
_UNKNOWN: Final = Refusal(Status.NO_SUCH_OBJECT_INSTANCE, "no such performed procedure step")
_NOT_BEGUN: Final = Refusal(Status.INVALID_ATTRIBUTE_VALUE, "(0040,0252): a step is created IN PROGRESS")
_NO_STATUS: Final = Refusal(Status.MISSING_ATTRIBUTE_VALUE, "(0040,0252) has no value")
_NO_SUCH_STATUS: Final = Refusal(Status.INVALID_ATTRIBUTE_VALUE, "(0040,0252) has an undefined value")
_ENDED: Final = Refusal(
    Status.PROCESSING_FAILURE, "Performed Procedure Step Object may no longer be updated", NO_LONGER_UPDATED
)

_P, _C, _D = StepState.IN_PROGRESS, StepState.COMPLETED, StepState.DISCONTINUED


def _rows() -> dict[tuple[StepState | None, Operation, Said], Outcome]:
    table: dict[tuple[StepState | None, Operation, Said], Outcome] = {}
    for said in Said:
        table[None, Operation.CREATE, said] = _NOT_BEGUN
        table[None, Operation.SET, said] = _UNKNOWN
        table[None, Operation.GET, said] = _UNKNOWN
        for state in StepState:
            table[state, Operation.CREATE, said] = _KNOWN
            table[state, Operation.SET, said] = _ENDED
            table[state, Operation.GET, said] = state
    table[None, Operation.CREATE, Said.NOTHING] = _NO_STATUS
    table[None, Operation.CREATE, Said.IN_PROGRESS] = _P
    table[None, Operation.CREATE, Said.SOMETHING_ELSE] = _NO_SUCH_STATUS
    table[_P, Operation.SET, Said.NOTHING] = _P
    table[_P, Operation.SET, Said.IN_PROGRESS] = _P
    table[_P, Operation.SET, Said.COMPLETED] = _C
    table[_P, Operation.SET, Said.DISCONTINUED] = _D
    table[_P, Operation.SET, Said.SOMETHING_ELSE] = _NO_SUCH_STATUS
    return table


TABLE: Final[Mapping[tuple[StepState | None, Operation, Said], Outcome]] = MappingProxyType(_rows())
"""By the state of the step (None: there is none), the operation, and what it says about the status."""


def said_of(text: str) -> Said:
    """Return what a value of (0040,0252) says; '' when there is none."""
    if not text:
        return Said.NOTHING
    # The three that have a meaning on the wire; "nothing" as a value would be something else.
    return Said(text) if text in _STATE_WORDS else Said.SOMETHING_ELSE


def decide(state: StepState | None, operation: Operation, status_text: str = "") -> Outcome:
    """Return what a request does to a step in a state."""
    return TABLE[state, operation, said_of(status_text)]
