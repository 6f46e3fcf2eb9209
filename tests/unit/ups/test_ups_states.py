"""The state table of work items against that of the standard, cell by cell (PS3.4 Table CC.1.1-2)."""

from datetime import timedelta

import pytest

from pacs.status import Status
from pacs.worklist.ups.model import State, Workitem, WorkitemUid
from pacs.worklist.ups.states import TABLE, Asked, decide, decide_change, decide_update
from tests.harness.workitems import LOCK, NIGHT, OTHER_LOCK

STATES = (None, State.SCHEDULED, State.IN_PROGRESS, State.COMPLETED, State.CANCELED)
# As printed: a status, or the state that follows.
STANDARD = {
    Asked.CREATE: ("SCHEDULED", "0111", "0111", "0111", "0111"),
    Asked.CLAIM: ("C307", "IN PROGRESS", "C302", "C300", "C300"),
    Asked.CLAIM_UNLOCKED: ("C307", "C301", "C301", "C301", "C301"),
    Asked.SCHEDULE: ("C307", "C303", "C303", "C303", "C303"),
    Asked.COMPLETE: ("C307", "C310", "COMPLETED", "B306", "C300"),
    Asked.COMPLETE_UNLOCKED: ("C307", "C301", "C301", "C301", "C301"),
    Asked.REQUEST_CANCEL: ("C307", "CANCELED", "report", "C311", "B304"),
    Asked.CANCEL: ("C307", "C310", "CANCELED", "C300", "B304"),
    Asked.CANCEL_UNLOCKED: ("C307", "C301", "C301", "C301", "C301"),
    # CC.2.6.3 and Table CC.2.6-1
    Asked.UPDATE: ("C307", "C310", "done", "C300", "C300"),
    Asked.UPDATE_UNLOCKED: ("C307", "done", "C301", "C300", "C300"),
    Asked.UPDATE_WRONG: ("C307", "C310", "C301", "C300", "C300"),
}
CELLS = [(asked, state, cell) for asked, row in STANDARD.items() for state, cell in zip(STATES, row, strict=True)]


def workitem(state: State, transaction_uid: str = LOCK) -> Workitem:
    return Workitem(
        uid=WorkitemUid("1.2"),
        state=state,
        transaction_uid="" if state is State.SCHEDULED else transaction_uid,
        created_at=NIGHT,
        changed_at=NIGHT,
    )


@pytest.mark.parametrize(("asked", "state", "printed"), CELLS, ids=[f"{a.name}-{s}" for a, s, _ in CELLS])
def test_each_cell_is_what_the_standard_prints(asked: Asked, state: State | None, printed: str) -> None:
    cell = decide(asked, state)

    if cell.to is not None:
        found = cell.to.value
    elif cell.tells_only:
        found = "report"
    else:
        found = "done" if cell.is_done else f"{cell.status:04X}"
    assert found == printed


def test_no_cell_is_missing_and_none_leads_back_to_scheduled() -> None:
    assert set(TABLE) == set(Asked) == set(STANDARD)
    for asked, row in TABLE.items():
        assert set(row) == set(STATES)
        assert all(cell.to is not State.SCHEDULED for state, cell in row.items() if state is not None), asked


@pytest.mark.parametrize("state", [State.COMPLETED, State.CANCELED])
def test_nothing_leaves_a_final_state(state: State) -> None:
    assert all(row[state].to is None for row in TABLE.values())


def test_final_states_are_entered_by_their_performer_only_with_what_they_require() -> None:
    entering = [(asked, row[State.IN_PROGRESS]) for asked, row in TABLE.items() if row[State.IN_PROGRESS].to]

    assert {asked for asked, _ in entering} == {Asked.COMPLETE, Asked.CANCEL}
    assert all(cell.needs_final for _, cell in entering)


def test_of_two_who_claim_the_second_has_the_wrong_transaction_uid() -> None:
    claimed = workitem(State.IN_PROGRESS)

    assert decide_change(claimed, State.IN_PROGRESS, OTHER_LOCK).status is Status.UPS_TRANSACTION_UID_WRONG
    assert decide_change(claimed, State.IN_PROGRESS, LOCK).status is Status.UPS_ALREADY_IN_PROGRESS


def test_a_claim_without_a_transaction_uid_is_no_claim() -> None:
    cell = decide_change(workitem(State.SCHEDULED), State.IN_PROGRESS, "")

    assert cell.status is Status.UPS_TRANSACTION_UID_WRONG


def test_a_work_item_that_was_never_claimed_has_no_transaction_uid_that_is_right() -> None:
    canceled = workitem(State.CANCELED, "")

    assert decide_change(canceled, State.CANCELED, "").status is Status.UPS_TRANSACTION_UID_WRONG
    assert decide_update(canceled, "").status is Status.UPS_NO_LONGER_UPDATABLE


def test_a_scheduled_work_item_is_set_without_a_transaction_uid_only() -> None:
    scheduled = workitem(State.SCHEDULED)

    assert decide_update(scheduled, "").is_done
    assert decide_update(scheduled, LOCK).status is Status.UPS_NOT_YET_IN_PROGRESS


def test_moving_sets_when_it_ended_and_keeps_the_lock() -> None:
    later = NIGHT + timedelta(minutes=5)

    done = workitem(State.IN_PROGRESS).moved(State.COMPLETED, later)

    assert (done.state, done.final_at, done.transaction_uid) == (State.COMPLETED, later, LOCK)
