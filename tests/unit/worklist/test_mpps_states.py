"""The table of performed steps, cell by cell, against Table F.1-4 of PS3.4 as written here."""

import itertools

import pytest

from pacs.status import Status
from pacs.worklist.mpps_states import NO_LONGER_UPDATED, TABLE, Operation, Refusal, Said, StepState, decide

EVERY_CELL = list(itertools.product([None, *StepState], Operation, Said))
GOES_ON = {
    (None, "N-CREATE", "IN PROGRESS"): "IN PROGRESS",
    ("IN PROGRESS", "N-SET", "nothing"): "IN PROGRESS",
    ("IN PROGRESS", "N-SET", "IN PROGRESS"): "IN PROGRESS",
    ("IN PROGRESS", "N-SET", "COMPLETED"): "COMPLETED",
    ("IN PROGRESS", "N-SET", "DISCONTINUED"): "DISCONTINUED",
}


def expected(state: StepState | None, operation: Operation, said: Said) -> str | int:
    """Return the state after a request, or the status that refuses it."""
    known = GOES_ON.get((state, operation, said))  # type: ignore[call-overload]  # words are their own enumeration
    if known is not None:
        return known
    if operation is Operation.GET:
        return 0x0112 if state is None else state.value
    if state is None and operation is Operation.CREATE:
        return 0x0121 if said is Said.NOTHING else 0x0106
    if state is None:
        return 0x0112
    if operation is Operation.CREATE:
        return 0x0111
    return 0x0106 if state is StepState.IN_PROGRESS else 0x0110


@pytest.mark.parametrize(("state", "operation", "said"), EVERY_CELL)
def test_each_cell_leads_to_the_state_or_the_status_of_the_standard(
    state: StepState | None, operation: Operation, said: Said
) -> None:
    outcome = TABLE[state, operation, said]

    if isinstance(outcome, Refusal):
        assert outcome.status == expected(state, operation, said)
        assert 0 < len(outcome.comment) <= 64
        assert (outcome.error_id == NO_LONGER_UPDATED) == (outcome.status == Status.PROCESSING_FAILURE)
    else:
        assert outcome.value == expected(state, operation, said)


def test_the_table_has_every_cell_and_no_other() -> None:
    assert set(TABLE) == set(EVERY_CELL)


@pytest.mark.parametrize("text", ["nothing", "something else", "in progress", "SCHEDULED", "COMPLETED\\COMPLETED"])
def test_a_status_that_the_standard_does_not_define_is_refused(text: str) -> None:
    outcome = decide(StepState.IN_PROGRESS, Operation.SET, text)

    assert isinstance(outcome, Refusal)
    assert outcome.status == Status.INVALID_ATTRIBUTE_VALUE
