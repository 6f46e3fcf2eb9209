"""The table of subscriptions against that of the standard, cell by cell (PS3.4 Table CC.2.3-2)."""

import pytest

from pacs.worklist.ups.subscriptions import TABLE, Happening, Move, Subscription

N, L, U = Subscription.NONE, Subscription.LOCKED, Subscription.UNLOCKED
# From not subscribed, subscribed with lock, subscribed without; "!" where the AE is sent the current state.
STANDARD = {
    Happening.SUBSCRIBED_GLOBALLY_LOCKED: ("L!", "L", "U"),
    Happening.SUBSCRIBED_GLOBALLY_UNLOCKED: ("U", "L", "U"),
    Happening.SUBSCRIBED_LOCKED: ("L!", "L!", "L!"),
    Happening.SUBSCRIBED_UNLOCKED: ("U!", "U!", "U!"),
    Happening.UNSUBSCRIBED: ("N", "N", "N"),
    Happening.UNSUBSCRIBED_GLOBALLY: ("N", "N", "N"),
    Happening.SUSPENDED: ("N", "L", "U"),
}
CELLS = [(what, was, to) for what, row in STANDARD.items() for was, to in zip((N, L, U), row, strict=True)]


def printed(move: Move) -> str:
    return {N: "N", L: "L", U: "U"}[move.to] + ("!" if move.is_reported else "")


@pytest.mark.parametrize(("what", "was", "to"), CELLS, ids=[f"{w.name}-{s.name}" for w, s, _ in CELLS])
def test_each_subscription_cell_is_what_the_standard_prints(what: Happening, was: Subscription, to: str) -> None:
    assert printed(TABLE[what][was]) == to


@pytest.mark.parametrize(
    ("what", "to"), [(Happening.CREATED, "N"), (Happening.CREATED_LOCKED, "L!"), (Happening.CREATED_UNLOCKED, "U!")]
)
def test_a_new_work_item_is_told_to_who_asked_for_all(what: Happening, to: str) -> None:
    assert printed(TABLE[what][N]) == to


def test_no_happening_is_missing_from_the_table() -> None:
    assert set(TABLE) == set(Happening)
