"""The table of a delivery's states, cell by cell, and what its columns mean."""

from typing import Final

import pytest

from oncall.delivery.model import ARRIVED, PENDING, TRANSITIONS, WAITING, DeliveryState

# Rows: where it is; columns: where it may go. A dot is a refusal.
_COLUMNS: Final = "queued sending sent delivered failed given_up superseded acknowledged"
_TABLE: Final = """
queued        .  x  .  .  .  x  x  x
sending       x  .  x  x  x  .  x  x
sent          x  .  .  x  x  .  .  x
delivered     x  .  .  .  .  .  .  x
failed        .  x  .  .  .  x  x  x
given_up      x  .  .  .  .  .  x  x
superseded    .  .  .  .  .  .  .  .
acknowledged  x  .  .  .  .  .  .  .
"""
_CELLS: Final = [
    pytest.param(row.split()[0], to, cell == "x", id=f"{row.split()[0]}-{to}")
    for row in _TABLE.strip().splitlines()
    for to, cell in zip(_COLUMNS.split(), row.split()[1:], strict=True)
]


@pytest.mark.parametrize(("state", "to", "is_allowed"), _CELLS)
def test_each_move_of_a_delivery_is_as_written_here(state: str, to: str, *, is_allowed: bool) -> None:
    assert (DeliveryState(to) in TRANSITIONS[DeliveryState(state)]) is is_allowed


def test_every_pair_of_states_is_in_the_table_above() -> None:
    assert len(_CELLS) == len(DeliveryState) ** 2


def test_what_has_not_arrived_either_waits_is_on_its_way_or_was_given_up_by_somebody() -> None:
    assert PENDING | ARRIVED | {DeliveryState.SUPERSEDED} == frozenset(DeliveryState)
    assert not PENDING & ARRIVED
    assert {DeliveryState.SENDING, DeliveryState.GIVEN_UP} == PENDING - WAITING
