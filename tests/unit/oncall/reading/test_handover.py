"""Handover: nothing open is left out, and what has no next reader is named."""

from oncall.directory import PersonId
from oncall.reading.board import Urgency
from oncall.reading.handover import OpenState, handover
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import board, case, directory, everybody, person, reader

LEAVING, ARRIVING = frozenset({PersonId("old")}), frozenset({PersonId("new")})


def test_every_open_case_is_handed_over_most_urgent_first() -> None:
    view = board(
        [case("a", assigned_to="old"), case("p1", urgency=Urgency.P1), case("open", claimed_by="old")],
        [reader("old", until_min=0), reader("new", from_min=0)],
    )
    found = handover(view, LEAVING, ARRIVING, everybody(view), DEFAULT)
    assert [item.case_id for item in found.items] == ["p1", "a", "open"]
    assert [item.state for item in found.items] == [
        OpenState.UNASSIGNED,
        OpenState.ASSIGNED,
        OpenState.BEING_READ,
    ]


def test_what_is_open_is_finished_by_who_opened_it_and_the_rest_goes_to_who_comes() -> None:
    view = board(
        [case("a", assigned_to="old"), case("open", claimed_by="old")],
        [reader("old", until_min=0), reader("new", from_min=0)],
    )
    found = {item.case_id: item for item in handover(view, LEAVING, ARRIVING, everybody(view), DEFAULT).items}
    assert (found["a"].from_person, found["a"].to_person) == ("old", "new")
    assert (found["open"].to_person, found["open"].is_kept) == ("old", True)


def test_a_case_that_nobody_of_the_next_shift_may_read_stands_on_the_list_for_nobody() -> None:
    view = board([case("a", assigned_to="old")], [reader("old", until_min=0), reader("new", from_min=0)])
    known = directory(person("old"), person("new", sites=()))
    (item,) = handover(view, LEAVING, ARRIVING, known, DEFAULT).items
    assert (item.case_id, item.to_person) == ("a", None)
