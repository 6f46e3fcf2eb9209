"""The DICOM upper layer state machine: PS3.8 Tables 9-1 to 9-10 as data.

For: everything that decides which event is allowed in which state, what is done and what
comes next. Not for: doing it (`connection`), or reading PDUs (`pdu`, `associate_codec`).

Invariants: nothing outside this module changes a state except by `transition`; a cell that the standard leaves
blank is absent from `TRANSITIONS`. The values of the enumerations are the standard's codes.

References
----------
PS3.8 9.2.1 (states), 9.2.2 (actions), 9.2.3 (transition table)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

__all__ = [
    "ACTIONS",
    "TRANSITIONS",
    "Action",
    "ActionDefinition",
    "Artim",
    "FsmEvent",
    "State",
    "transition",
]


class State(Enum):
    """PS3.8 Tables 9-1 to 9-5."""

    IDLE = "Sta1"
    AWAITING_ASSOCIATE_RQ = "Sta2"
    AWAITING_LOCAL_ASSOCIATE_RESPONSE = "Sta3"
    AWAITING_TRANSPORT_OPEN = "Sta4"
    AWAITING_ASSOCIATE_AC_OR_RJ = "Sta5"
    DATA_TRANSFER = "Sta6"
    AWAITING_RELEASE_RP = "Sta7"
    AWAITING_LOCAL_RELEASE_RESPONSE = "Sta8"
    COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE = "Sta9"
    COLLISION_ACCEPTOR_AWAITING_RELEASE_RP = "Sta10"
    COLLISION_REQUESTOR_AWAITING_RELEASE_RP = "Sta11"
    COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE = "Sta12"
    AWAITING_TRANSPORT_CLOSE = "Sta13"


class FsmEvent(Enum):
    """The rows of PS3.8 Table 9-10."""

    ASSOCIATE_REQUEST = "Evt1"
    TRANSPORT_CONFIRM = "Evt2"
    ASSOCIATE_AC_RECEIVED = "Evt3"
    ASSOCIATE_RJ_RECEIVED = "Evt4"
    TRANSPORT_INDICATION = "Evt5"
    ASSOCIATE_RQ_RECEIVED = "Evt6"
    ASSOCIATE_RESPONSE_ACCEPT = "Evt7"
    ASSOCIATE_RESPONSE_REJECT = "Evt8"
    P_DATA_REQUEST = "Evt9"
    P_DATA_TF_RECEIVED = "Evt10"
    RELEASE_REQUEST = "Evt11"
    RELEASE_RQ_RECEIVED = "Evt12"
    RELEASE_RP_RECEIVED = "Evt13"
    RELEASE_RESPONSE = "Evt14"
    ABORT_REQUEST = "Evt15"
    ABORT_RECEIVED = "Evt16"
    TRANSPORT_CLOSED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    INVALID_PDU_RECEIVED = "Evt19"


class Action(Enum):
    """The names of PS3.8 Tables 9-6 to 9-9."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


class Artim(Enum):
    """What an action does with the association request/reject/release timer (PS3.8 9.1.5)."""

    LEAVE = "leave"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class ActionDefinition:
    """One row of PS3.8 Tables 9-6 to 9-9.

    Attributes
    ----------
    meaning : str
        What is done, in short.
    next_state : State
        What follows. For AE-6 when the request is acceptable, for AR-8 when this side requested the association.
    otherwise : State or None
        The second outcome of AE-6 and AR-8; None for the others.
    artim : Artim
        The timer's fate (for AE-6: when the request is acceptable).
    closes_transport : bool
        Whether the action closes the connection, or notes that it is closed.
    """

    meaning: str
    next_state: State
    otherwise: State | None = None
    artim: Artim = Artim.LEAVE
    closes_transport: bool = False


_LEAVE, _START, _STOP = Artim.LEAVE, Artim.START, Artim.STOP

# Action, next state (with the second outcome of AE-6 and AR-8), timer, whether the transport is closed, meaning.
_ACTION_ROWS: Final[tuple[tuple[str, str, Artim, bool, str], ...]] = (
    # Table 9-6: association establishment
    ("AE-1", "Sta4", _LEAVE, False, "issue TRANSPORT CONNECT request"),
    ("AE-2", "Sta5", _LEAVE, False, "send A-ASSOCIATE-RQ"),
    ("AE-3", "Sta6", _LEAVE, False, "confirm A-ASSOCIATE (accept)"),
    ("AE-4", "Sta1", _LEAVE, True, "confirm A-ASSOCIATE (reject), close transport"),
    ("AE-5", "Sta2", _START, False, "issue transport connection response, start ARTIM"),
    ("AE-6", "Sta3/Sta13", _STOP, False, "stop ARTIM; indicate A-ASSOCIATE, or send A-ASSOCIATE-RJ and start ARTIM"),
    ("AE-7", "Sta6", _LEAVE, False, "send A-ASSOCIATE-AC"),
    ("AE-8", "Sta13", _START, False, "send A-ASSOCIATE-RJ, start ARTIM"),
    # Table 9-7: data transfer
    ("DT-1", "Sta6", _LEAVE, False, "send P-DATA-TF"),
    ("DT-2", "Sta6", _LEAVE, False, "indicate P-DATA"),
    # Table 9-8: release
    ("AR-1", "Sta7", _LEAVE, False, "send A-RELEASE-RQ"),
    ("AR-2", "Sta8", _LEAVE, False, "indicate A-RELEASE"),
    ("AR-3", "Sta1", _LEAVE, True, "confirm A-RELEASE, close transport"),
    ("AR-4", "Sta13", _START, False, "send A-RELEASE-RP, start ARTIM"),
    ("AR-5", "Sta1", _STOP, True, "stop ARTIM"),
    ("AR-6", "Sta7", _LEAVE, False, "indicate P-DATA"),
    ("AR-7", "Sta8", _LEAVE, False, "send P-DATA-TF"),
    ("AR-8", "Sta9/Sta10", _LEAVE, False, "indicate A-RELEASE (collision)"),
    ("AR-9", "Sta11", _LEAVE, False, "send A-RELEASE-RP"),
    ("AR-10", "Sta12", _LEAVE, False, "confirm A-RELEASE"),
    # Table 9-9: abort
    ("AA-1", "Sta13", _START, False, "send A-ABORT (service user), start or restart ARTIM"),
    ("AA-2", "Sta1", _STOP, True, "stop ARTIM, close transport"),
    ("AA-3", "Sta1", _LEAVE, True, "indicate A-ABORT or A-P-ABORT, close transport"),
    ("AA-4", "Sta1", _LEAVE, True, "indicate A-P-ABORT"),
    ("AA-5", "Sta1", _STOP, True, "stop ARTIM"),
    ("AA-6", "Sta13", _LEAVE, False, "ignore PDU"),
    ("AA-7", "Sta13", _LEAVE, False, "send A-ABORT"),
    ("AA-8", "Sta13", _START, False, "send A-ABORT (service provider), indicate A-P-ABORT, start ARTIM"),
)


def _definition(row: tuple[str, str, Artim, bool, str]) -> ActionDefinition:
    _, next_states, artim, closes_transport, meaning = row
    first, _, second = next_states.partition("/")
    return ActionDefinition(
        meaning=meaning,
        next_state=State(first),
        otherwise=State(second) if second else None,
        artim=artim,
        closes_transport=closes_transport,
    )


ACTIONS: Final[Mapping[Action, ActionDefinition]] = MappingProxyType(
    {Action(row[0]): _definition(row) for row in _ACTION_ROWS}
)
"""PS3.8 Tables 9-6 to 9-9."""

# Each row of Table 9-10 as runs of states with the same action, by the numbers of the states.
_ROWS: Final[tuple[tuple[str, str, tuple[int, ...]], ...]] = (
    ("Evt1", "AE-1", (1,)),
    ("Evt2", "AE-2", (4,)),
    ("Evt3", "AA-1", (2,)),
    ("Evt3", "AE-3", (5,)),
    ("Evt3", "AA-8", (3, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt3", "AA-6", (13,)),
    ("Evt4", "AA-1", (2,)),
    ("Evt4", "AE-4", (5,)),
    ("Evt4", "AA-8", (3, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt4", "AA-6", (13,)),
    ("Evt5", "AE-5", (1,)),
    ("Evt6", "AE-6", (2,)),
    ("Evt6", "AA-8", (3, 5, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt6", "AA-7", (13,)),
    ("Evt7", "AE-7", (3,)),
    ("Evt8", "AE-8", (3,)),
    ("Evt9", "DT-1", (6,)),
    ("Evt9", "AR-7", (8,)),
    ("Evt10", "AA-1", (2,)),
    ("Evt10", "DT-2", (6,)),
    ("Evt10", "AR-6", (7,)),
    ("Evt10", "AA-8", (3, 5, 8, 9, 10, 11, 12)),
    ("Evt10", "AA-6", (13,)),
    ("Evt11", "AR-1", (6,)),
    ("Evt12", "AA-1", (2,)),
    ("Evt12", "AR-2", (6,)),
    ("Evt12", "AR-8", (7,)),
    ("Evt12", "AA-8", (3, 5, 8, 9, 10, 11, 12)),
    ("Evt12", "AA-6", (13,)),
    ("Evt13", "AA-1", (2,)),
    ("Evt13", "AR-3", (7, 11)),
    ("Evt13", "AR-10", (10,)),
    ("Evt13", "AA-8", (3, 5, 6, 8, 9, 12)),
    ("Evt13", "AA-6", (13,)),
    ("Evt14", "AR-4", (8, 12)),
    ("Evt14", "AR-9", (9,)),
    ("Evt15", "AA-1", (3, 5, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt15", "AA-2", (4,)),
    ("Evt16", "AA-2", (2, 13)),
    ("Evt16", "AA-3", (3, 5, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt17", "AA-5", (2,)),
    ("Evt17", "AA-4", (3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt17", "AR-5", (13,)),
    ("Evt18", "AA-2", (2, 13)),
    ("Evt19", "AA-1", (2,)),
    ("Evt19", "AA-8", (3, 5, 6, 7, 8, 9, 10, 11, 12)),
    ("Evt19", "AA-7", (13,)),
)

TRANSITIONS: Final[Mapping[tuple[FsmEvent, State], Action]] = MappingProxyType(
    {(FsmEvent(event), State(f"Sta{number}")): Action(action) for event, action, numbers in _ROWS for number in numbers}
)
"""PS3.8 Table 9-10 without its blank cells."""


def transition(event: FsmEvent, state: State) -> Action | None:
    """Look up one cell of PS3.8 Table 9-10.

    Returns
    -------
    Action or None
        None for a blank cell: the event is impossible in that state, or forbidden to the local user.
    """
    return TRANSITIONS.get((event, state))
