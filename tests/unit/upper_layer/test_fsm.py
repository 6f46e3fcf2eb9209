"""Every cell of PS3.8 Table 9-10 against a transcription of its own, and against pynetdicom's."""

from __future__ import annotations

import pynetdicom.fsm
import pytest

from pacs.upper_layer.fsm import ACTIONS, TRANSITIONS, Action, FsmEvent, State, transition

# PS3.8 Table 9-10, row by row as printed; "." is a blank cell.
TABLE_9_10 = """
         Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1     AE-1  .     .     .     .     .     .     .     .     .     .     .     .
Evt2     .     .     .     AE-2  .     .     .     .     .     .     .     .     .
Evt3     .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4     .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5     AE-5  .     .     .     .     .     .     .     .     .     .     .     .
Evt6     .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7     .     .     AE-7  .     .     .     .     .     .     .     .     .     .
Evt8     .     .     AE-8  .     .     .     .     .     .     .     .     .     .
Evt9     .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
Evt10    .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11    .     .     .     .     .     AR-1  .     .     .     .     .     .     .
Evt12    .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13    .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14    .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
Evt15    .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
Evt16    .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17    .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18    .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
Evt19    .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""

# PS3.8 Tables 9-6 to 9-9: "next state is", and the second outcome of AE-6 and AR-8.
NEXT_STATES = """
AE-1 Sta4       AE-2 Sta5       AE-3 Sta6        AE-4 Sta1        AE-5 Sta2        AE-6 Sta3/Sta13
AE-7 Sta6       AE-8 Sta13      DT-1 Sta6        DT-2 Sta6        AR-1 Sta7        AR-2 Sta8
AR-3 Sta1       AR-4 Sta13      AR-5 Sta1        AR-6 Sta7        AR-7 Sta8        AR-8 Sta9/Sta10
AR-9 Sta11      AR-10 Sta12     AA-1 Sta13       AA-2 Sta1        AA-3 Sta1        AA-4 Sta1
AA-5 Sta1       AA-6 Sta13      AA-7 Sta13       AA-8 Sta13
"""


def table_cells() -> list[tuple[str, str, str | None]]:
    header, *rows = [line.split() for line in TABLE_9_10.strip().splitlines()]
    return [
        (event, state, None if action == "." else action)
        for event, *actions in rows
        for state, action in zip(header, actions, strict=True)
    ]


CELLS = table_cells()


def test_the_transcribed_table_has_all_13_by_19_cells_and_123_are_not_blank() -> None:
    assert len(CELLS) == 13 * 19
    assert sum(action is not None for _, _, action in CELLS) == 123


@pytest.mark.parametrize(("event", "state", "action"), CELLS, ids=[f"{e}-{s}" for e, s, _ in CELLS])
def test_each_cell_is_that_of_table_9_10(event: str, state: str, action: str | None) -> None:
    found = transition(FsmEvent(event), State(state))
    assert (found.value if found else None) == action
    # A second oracle, made by others.
    assert pynetdicom.fsm.TRANSITION_TABLE.get((event, state)) == action


def test_no_cell_exists_beyond_the_table() -> None:
    assert len(TRANSITIONS) == 123
    assert len(State) == 13
    assert len(FsmEvent) == 19


def test_each_action_leads_to_the_state_of_tables_9_6_to_9_9() -> None:
    words = NEXT_STATES.split()
    expected = dict(zip(words[::2], words[1::2], strict=True))
    found = {}
    for action, row in ACTIONS.items():
        found[action.value] = row.next_state.value
        if row.otherwise is not None:
            found[action.value] += f"/{row.otherwise.value}"
    assert found == expected
    assert set(ACTIONS) == set(Action)
