"""The forecast: when somebody is called, kept or let go, and why not."""

import dataclasses

import pytest

from oncall.directory import PersonId
from oncall.language import Language
from oncall.reading.board import Board, ExamKind
from oncall.reading.explanation import why_forecast
from oncall.reading.forecast import Reason, forecast
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import NOW_S, backup, board, case, directory, everybody, person, reader


def crowded(*more: object, backups: object = (), count: int = 12) -> Board:
    """Return a board on which one reader has far too much to read."""
    cases = [case(f"c{number:02d}", waited_min=10, exam=ExamKind.ABDOMEN) for number in range(count)]
    return board(cases, [reader("x"), *more], backups)


def test_an_empty_room_holds() -> None:
    view = board([], [reader("x")], [backup("b")])
    found = forecast(view, everybody(view), DEFAULT)
    assert (found.reason, found.call, found.breaches, found.expected_breaches) == (Reason.HOLDS, None, (), 0.0)


def test_a_queue_that_one_reader_cannot_read_in_time_calls_a_backup() -> None:
    view = crowded(reader("y"), backups=[backup("b")])
    found = forecast(view, everybody(view), DEFAULT)
    assert found.reason is Reason.CALLS
    assert found.call is not None
    assert found.call.person_id == "b"
    assert (found.call.arrives_at_s, found.call.paid_until_s) == (NOW_S + 900, NOW_S + 900 + 3600)
    assert found.call.breaches_avoided >= DEFAULT.backup.call_avoids_min
    assert {read.case_id for read in found.breaches} <= {each.case_id for each in view.cases}


def test_a_backup_whom_the_law_lets_rest_is_not_called_and_the_rule_is_told() -> None:
    view = crowded(reader("y"), backups=[backup("b", refusal="REST_11_H"), backup("c")])
    found = forecast(view, everybody(view), DEFAULT)
    assert found.call is not None
    assert found.call.person_id == "c"
    assert found.refusals == (("b", "REST_11_H"),)


def test_nobody_is_called_when_nobody_may_be() -> None:
    found = forecast(view := crowded(reader("y"), backups=[backup("b", refusal="REST_11_H")]), everybody(view), DEFAULT)
    assert (found.call, found.reason) == (None, Reason.NOBODY_TO_CALL)
    assert found.refusals == (("b", "REST_11_H"),)


def test_a_backup_who_may_not_read_what_waits_is_not_called_for_it() -> None:
    view = crowded(reader("y"), backups=[backup("b"), backup("c")])
    quiet = dataclasses.replace(DEFAULT, backup=dataclasses.replace(DEFAULT.backup, horizon_s=0.0))
    known = directory(person("x"), person("y"), person("b", sites=()), person("c"))
    found = forecast(view, known, quiet)
    assert found.call is not None
    assert found.call.person_id == "c"


def test_no_more_backups_are_called_than_the_policy_wants_at_once() -> None:
    present = [reader(f"b{number}", is_backup=True) for number in range(DEFAULT.backup.present_max)]
    view = crowded(*present, backups=[backup("z")], count=40)
    found = forecast(view, everybody(view), DEFAULT)
    assert (found.call, found.reason) == (None, Reason.BACKUPS_PRESENT)


def test_a_call_already_made_counts_so_that_nobody_is_called_twice_for_the_same_queue() -> None:
    first = crowded(reader("y"), backups=[backup("b"), backup("c")], count=9)
    call = forecast(first, everybody(first), DEFAULT).call
    assert call is not None
    coming = reader("b", from_min=15, until_min=75, is_backup=True)
    second = crowded(reader("y"), coming, backups=[backup("c")], count=9)
    found = forecast(second, everybody(second), DEFAULT)
    assert found.expected_breaches < forecast(first, everybody(first), DEFAULT).expected_breaches


@pytest.mark.parametrize(("count", "is_kept"), [(14, True), (1, False)])
def test_a_called_reader_is_kept_at_the_end_of_their_time_only_while_it_avoids_harm(count: int, is_kept: bool) -> None:
    called = reader("b", from_min=-59, until_min=1, is_backup=True)
    view = crowded(reader("y"), called, count=count)
    last = case("open", claimed_by="b", claimed_min_ago=8)
    found = forecast(view := dataclasses.replace(view, cases=(*view.cases, last)), everybody(view), DEFAULT)
    assert [each.person_id for each in found.stays] == ([PersonId("b")] if is_kept else [])
    assert all(each.until_s == NOW_S + 60 + DEFAULT.backup.extension_s for each in found.stays)


def test_readers_of_the_roster_are_never_kept_beyond_their_duty() -> None:
    view = crowded(reader("y", until_min=1), count=14)
    assert forecast(view, everybody(view), DEFAULT).stays == ()


def test_cases_still_to_come_are_foretold_to_be_late_behind_a_long_queue() -> None:
    view = crowded(reader("y"), reader("z"), backups=[backup("b")], count=12)
    blind = dataclasses.replace(DEFAULT, backup=dataclasses.replace(DEFAULT.backup, horizon_s=0.0))
    known = everybody(view)
    assert forecast(view, known, DEFAULT).expected_breaches > forecast(view, known, blind).expected_breaches


def test_when_everything_will_be_late_anyway_somebody_is_called_all_the_same() -> None:
    lost = [case(f"c{number:02d}", waited_min=70, exam=ExamKind.ABDOMEN) for number in range(12)]
    view = board(lost, [reader("x")], [backup("b")])
    assert forecast(view, everybody(view), DEFAULT).call is not None


def test_an_open_read_that_will_be_late_is_foretold() -> None:
    view = board([case("open", waited_min=58, claimed_by="x", claimed_min_ago=1)], [reader("x")])
    found = forecast(view, everybody(view), DEFAULT)
    assert [read.case_id for read in found.breaches] == ["open"]


def test_a_forecast_is_explained_in_french_and_in_english() -> None:
    kept = reader("k", from_min=-59, until_min=1, is_backup=True)
    open_read = case("open", claimed_by="k", claimed_min_ago=8)
    view = crowded(reader("y"), kept, backups=[backup("b", refusal="REST_11_H"), backup("c")], count=14)
    view = dataclasses.replace(view, cases=(*view.cases, open_read))
    found = forecast(view, known := everybody(view), DEFAULT)
    assert found.call is not None
    french, english = (why_forecast(found, known, language) for language in (Language.FRENCH, Language.ENGLISH))
    assert french[0].endswith("un lecteur d'astreinte est rappelé.")
    assert english[0].endswith("a backup reader is called.")
    assert english[1] == f"→ Dr c called (avoids {found.call.breaches_avoided:.1f})"
    assert english[2].startswith("→ Dr k stays 11 min from now (avoids ")
    assert (french[3], english[3]) == ("× Dr b : REST_11_H", "× Dr b: REST_11_H")


def test_every_reason_has_words_in_both_languages() -> None:
    view = board([], [reader("x")])
    quiet = forecast(view, known := everybody(view), DEFAULT)
    for reason in Reason:
        said = [why_forecast(dataclasses.replace(quiet, reason=reason), known, language)[0] for language in Language]
        assert said[0] != said[1]
