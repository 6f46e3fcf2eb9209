"""Any board: who is chosen may read it, P1 is never delayed by others, nothing waiting is forgotten (§4.4)."""

import dataclasses
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.directory import Competence, Directory, SubSpecialty
from oncall.reading.assignment import decide, next_case
from oncall.reading.board import Board, ExamKind, Urgency
from oncall.reading.eligibility import exclusions
from oncall.reading.forecast import forecast
from oncall.reading.planning import plan
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import NOW_S, backup, board, case, directory, person, reader

READERS = ("r0", "r1", "r2", "r3")
ANY_URGENCY = st.sampled_from(Urgency)
COMPETENCES = st.dictionaries(st.sampled_from(SubSpecialty), st.sampled_from(Competence))


@st.composite
def rooms(draw: st.DrawFn, urgency: st.SearchStrategy[Urgency] = ANY_URGENCY) -> tuple[Board, Directory]:
    """Return a board in any state, and a directory in which not everybody may read everything."""
    persons = [
        person(name, sites=draw(st.sets(st.sampled_from("AB"))), competences=draw(COMPETENCES))
        for name in (*READERS, "backup")
    ]
    readers = [
        reader(
            name,
            from_min=draw(st.integers(-700, 40)),
            until_min=draw(st.integers(0, 300)),
            is_unavailable=draw(st.booleans()),
            resting_until_min=draw(st.none() | st.integers(-30, 30)),
            cases_read=draw(st.integers(0, 60)),
            is_backup=draw(st.booleans()),
        )
        for name in draw(st.lists(st.sampled_from(READERS), unique=True, max_size=4))
    ]
    names = st.sampled_from([each.person_id for each in readers]) if readers else st.nothing()
    cases = [
        case(
            f"c{number}",
            waited_min=draw(st.integers(0, 150)),
            urgency=draw(urgency),
            exam=draw(st.sampled_from(ExamKind)),
            needs=draw(st.sampled_from(SubSpecialty)),
            site=draw(st.sampled_from("AB")),
            assigned_to=draw(st.none() | names) if readers else None,
            claimed_by=draw(st.none() | names) if readers else None,
            claimed_min_ago=draw(st.integers(0, 60)),
            declined_by=draw(st.sets(st.sampled_from(READERS), max_size=2)),
            patient=draw(st.sampled_from(["", "p"])),
        )
        for number in range(draw(st.integers(0, 10)))
    ]
    return board(cases, readers, [backup("backup")]), directory(*persons)


@given(rooms())
@settings(max_examples=40, deadline=None)
def test_whoever_opens_a_case_may_read_it_is_on_duty_and_rested(room: tuple[Board, Directory]) -> None:
    view, known = room
    for who in view.readers:
        made = next_case(view, who.person_id, known, DEFAULT)
        if made is not None:
            opened = next(each for each in view.cases if each.case_id == made.case_id)
            assert opened.claimed_by is None
            assert exclusions(opened, who, view, known, DEFAULT) == ()


@given(rooms(), rooms(st.sampled_from([Urgency.P2, Urgency.P3])))
@settings(max_examples=40, deadline=None)
def test_no_other_case_ever_delays_a_p1(room: tuple[Board, Directory], more: tuple[Board, Directory]) -> None:
    view, known = room
    others = tuple(
        dataclasses.replace(each, case_id=f"more-{each.case_id}", claimed_by=None, claimed_at_s=None)
        for each in more[0].cases
    )
    fuller = dataclasses.replace(view, cases=(*view.cases, *others))
    urgent = {each.case_id for each in view.cases if each.urgency is Urgency.P1}

    def starts(of: Board) -> dict[str, float]:
        return {read.case_id: read.start_s for read in plan(of, known, DEFAULT).reads if read.case_id in urgent}

    assert starts(fuller) == starts(view)


@given(rooms())
@settings(max_examples=40, deadline=None)
def test_every_waiting_case_is_planned_once_or_said_to_have_no_reader(room: tuple[Board, Directory]) -> None:
    view, known = room
    made = plan(view, known, DEFAULT)
    planned = [read.case_id for read in made.reads]
    waiting = sorted(each.case_id for each in view.cases if each.claimed_by is None)
    assert sorted([*planned, *made.unplanned]) == waiting


@given(rooms())
@settings(max_examples=40, deadline=None)
def test_a_reader_reads_one_case_at_a_time_and_begins_none_off_duty(room: tuple[Board, Directory]) -> None:
    view, known = room
    made = plan(view, known, DEFAULT)
    for who in view.readers:
        mine = sorted(made.list_of(who.person_id), key=lambda read: read.start_s)
        assert all(before.done_s <= after.start_s for before, after in pairwise(mine))
        assert all(max(NOW_S, who.on_duty_from_s) <= read.start_s < who.off_duty_at_s for read in mine)


@given(rooms())
@settings(max_examples=40, deadline=None)
def test_every_case_that_waits_without_a_reader_is_decided_and_every_reader_is_accounted_for(
    room: tuple[Board, Directory],
) -> None:
    view, known = room
    made = {each.case_id: each for each in decide(view, known, DEFAULT)}
    assert {each.case_id for each in view.cases if each.claimed_by is None and each.assigned_to is None} <= set(made)
    for each in made.values():
        named = {one.person_id for one in each.candidates} | {one.person_id for one in each.excluded}
        assert named == {who.person_id for who in view.readers}


@given(rooms())
@settings(max_examples=40, deadline=None)
def test_the_same_board_gives_the_same_decisions(room: tuple[Board, Directory]) -> None:
    view, known = room
    again = dataclasses.replace(view, cases=tuple(dataclasses.replace(each) for each in view.cases))
    assert decide(view, known, DEFAULT) == decide(again, known, DEFAULT)
    assert forecast(view, known, DEFAULT) == forecast(again, known, DEFAULT)


@given(rooms())
@settings(max_examples=40, deadline=None)
def test_a_forecast_only_keeps_called_readers_and_only_longer(room: tuple[Board, Directory]) -> None:
    view, known = room
    readers = {who.person_id: who for who in view.readers}
    for stay in forecast(view, known, DEFAULT).stays:
        assert readers[stay.person_id].is_backup
        assert stay.until_s > readers[stay.person_id].off_duty_at_s
