"""Counts, statuses and the rhythm of Pending, on a clock that the test turns."""

from datetime import UTC, datetime, timedelta

import pytest

from foundation.clock import ManualClock
from pacs.scp.retrieve_progress import (
    CANCEL_POLL_INTERVAL_S,
    PENDING_INTERVAL_S,
    NodeStopping,
    Reporter,
    RetrieveCancelled,
    SubOperations,
)
from pacs.status import Status
from pacs.upper_layer.dimse import CommandField, decode_command, encode_command
from tests.harness.association import RecordedAssociation, context

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"


class Setting:
    def __init__(self, *, cancel_after: int | None = None) -> None:
        self.association = RecordedAssociation(cancel_after=cancel_after)
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        request = encode_command(
            command_field=CommandField.C_MOVE_RQ,
            message_id=7,
            affected_sop_class_uid=MOVE,
            move_destination="X",
            priority=0,
            data_set_type=1,
        )
        self.reporter = Reporter(self.association, context(MOVE), decode_command(request), self.clock)

    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.reporter.step()

    @property
    def statuses(self) -> list[int]:
        return [sent.status for sent in self.association.sent]


def test_the_first_pending_goes_out_before_anything_else() -> None:
    setting = Setting()

    setting.reporter.begin(250)

    (sent,) = setting.association.sent
    assert sent.status == Status.PENDING
    assert sent.dataset is None
    assert sent.command.message_id_being_responded_to == 7
    assert sent.command.number_of_remaining_suboperations == 250
    assert sent.command.number_of_completed_suboperations == 0


def test_pending_comes_at_least_every_second_however_often_step_is_called() -> None:
    setting = Setting()
    setting.reporter.begin(10)
    for _ in range(1000):
        setting.wait(0.01)

    assert 10 <= len(setting.statuses) - 1 <= 10 / PENDING_INTERVAL_S
    assert PENDING_INTERVAL_S + 0.5 <= 1.0, "a tick of half a second late must still be in time"


def test_nothing_is_sent_once_all_is_done() -> None:
    setting = Setting(cancel_after=1)
    setting.reporter.begin(1)
    setting.reporter.operations.record("1.2", Status.SUCCESS)

    setting.wait(10)

    assert setting.statuses == [Status.PENDING]


def test_a_cancel_is_seen_within_its_interval() -> None:
    setting = Setting(cancel_after=1)
    setting.reporter.begin(2)

    with pytest.raises(RetrieveCancelled):
        setting.wait(CANCEL_POLL_INTERVAL_S)


def test_a_stopping_node_stops() -> None:
    setting = Setting()
    setting.reporter.begin(2)
    setting.association.stopping = True

    with pytest.raises(NodeStopping):
        setting.wait(CANCEL_POLL_INTERVAL_S)


@pytest.mark.parametrize(
    ("statuses", "final"),
    [
        ([], Status.SUCCESS),
        ([0x0000, 0x0000], Status.SUCCESS),
        ([0x0000, 0xB000], Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES),
        ([0xB007], Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES),
        ([0x0000, 0xA700], Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES),
        ([0xB000, 0xC000], Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES),
        ([0xA700, 0x0110], Status.OUT_OF_RESOURCES_SUBOPERATIONS),
    ],
)
def test_the_final_status_follows_from_the_counts(statuses: list[int], final: Status) -> None:
    operations = SubOperations(len(statuses))
    for status in statuses:
        operations.record("1.2", status)

    assert operations.final_status() == final


def test_a_final_response_lists_what_failed_and_has_no_remaining_count() -> None:
    setting = Setting()
    setting.reporter.begin(3)
    for uid, status in (("1.1", 0x0000), ("1.2", 0xA700), ("1.3", 0xB000)):
        setting.reporter.operations.record(uid, status)

    setting.reporter.finish(is_cancelled=False, comment="the destination answered A700H")

    final = setting.association.sent[-1]
    assert final.status == Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES
    assert final.command.has_dataset
    assert final.dataset == b"\x08\x00\x58\x00UI\x04\x001.2\0"
    assert final.command.number_of_remaining_suboperations is None
    assert final.command.number_of_completed_suboperations == 1
    assert final.command.number_of_failed_suboperations == 1
    assert final.command.number_of_warning_suboperations == 1
    assert final.command.error_comment == "the destination answered A700H"


def test_a_cancelled_response_has_the_remaining_count() -> None:
    setting = Setting()
    setting.reporter.begin(3)
    setting.reporter.operations.record("1.1", 0x0000)

    setting.reporter.finish(is_cancelled=True, comment="")

    final = setting.association.sent[-1]
    assert final.status == Status.CANCEL
    assert final.dataset is None
    assert final.command.number_of_remaining_suboperations == 2
    assert final.command.number_of_completed_suboperations == 1


def test_success_has_no_comment_and_no_data_set() -> None:
    setting = Setting()
    setting.reporter.begin(0)

    setting.reporter.finish(is_cancelled=False, comment="")

    (final,) = setting.association.sent
    assert final.status == Status.SUCCESS
    assert not final.command.has_dataset
    assert final.command.number_of_completed_suboperations == 0
    assert final.command.error_comment is None
