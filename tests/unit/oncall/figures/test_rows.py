"""One case in figures: clocks, outcomes, periods and causes."""

from oncall.directory import Directory
from oncall.figures.row import CaseFigure, Outcome, figure_of
from tests.unit.oncall.case.cases import CASE, Story, us, whole_story

NOWHERE = Directory(sites={}, persons={}, providers={})
MINUTE_US = 60_000_000


def row_of(story: Story) -> CaseFigure:
    return figure_of(story.log.events(story.case_id), lambda _: NOWHERE)


def test_a_whole_story_has_every_instant_and_clock() -> None:
    row = row_of(whole_story())

    assert (row.case_id, row.outcome, row.reader_id, row.counted_at_us) == (CASE, Outcome.REPORTED, "anne", us(10))
    assert (row.c3_us, row.c4_us, row.c5_us, row.c9_us) == (MINUTE_US, 20 * MINUTE_US, 31 * MINUTE_US, 9 * MINUTE_US)
    assert (row.wait_us, row.reading_us) == (3 * MINUTE_US, 17 * MINUTE_US)
    assert (row.running_clocks, row.late_clocks, row.cause) == (0, 0, "")
