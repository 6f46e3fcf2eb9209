"""A link that is back: what was cut off has time to come before anybody guesses that there is no more."""

from oncall.case.regions import ImagesState
from oncall.engine.ports import Store
from tests.harness.small_territory import at, run_until
from tests.unit.oncall.engine.test_completeness import STEP, E, Night


def test_the_rest_of_an_exam_has_time_to_come_once_the_link_is_back(store: Store) -> None:
    night = Night(store)
    night.say(4, E.EXAM_STARTED, mpps_uid=STEP)
    night.hospital.stored(at(5))
    night.hospital.ended(at(5))
    night.tick(5)
    night.hospital.link(at(6), "silent")
    night.tick(6)
    run_until(night.engine, at(120))
    night.hospital.link(at(120), "back")
    night.tick(120)
    run_until(night.engine, at(122))
    assert night.case.images.complete_at is None
    night.hospital.stored(at(122), 90)
    night.tick(122)
    run_until(night.engine, at(140))
    assert night.case.images.complete_at == at(122)
    assert night.case.images.deadline_at == at(182)


def test_what_was_all_there_before_the_link_was_lost_is_read_soon_after_it_is_back(store: Store) -> None:
    night = Night(store)
    night.hospital.stored(at(5))
    night.hospital.ended(at(5))
    night.tick(5)
    night.hospital.link(at(5.1), "silent")
    night.tick(5.1)
    run_until(night.engine, at(60))
    assert night.case.images.state is ImagesState.STALLED
    night.hospital.link(at(60), "back")
    night.tick(60)
    run_until(night.engine, at(63))
    # The hour began with the last image: what the link cost is not hidden.
    assert night.case.images.complete_at == at(5)
