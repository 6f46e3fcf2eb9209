"""A scanner's wall clock becomes an instant, in the night when the clocks change too; steps come as cases need them."""

from datetime import UTC, datetime, timedelta

import pytest

from foundation.database import Database
from pacs.worklist import mpps_store, orders
from pacs.worklist.mpps_store import Caller
from territory.exam_steps import StoredSteps, instant_of_wall_time
from tests.harness.orders import NOW, order
from tests.harness.performed_steps import MPPS_UID, code, created, ended, item
from tests.harness.small_territory import directory

PARIS = "Europe/Paris"
HEARD = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("20261120220500", "", "2026-11-20T21:05:00"),
        ("20260720220500.25", "", "2026-07-20T20:05:00.250000"),
        ("202611202205", "", "2026-11-20T21:05:00"),
        ("20261120220500", "+0000", "2026-11-20T22:05:00"),
        ("20261120220500", "-0330", "2026-11-21T01:35:00"),
        ("20261120235960", "+0000", "2026-11-20T23:59:59"),
    ],
)
def test_a_wall_time_is_read_in_the_zone_of_the_hospital_or_with_its_own_offset(
    text: str, offset: str, expected: str
) -> None:
    instant = instant_of_wall_time(text, offset, PARIS, heard_at=HEARD)
    assert instant == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "20261120", "20261399220500", "2026112022:05", "hier soir"])
def test_what_is_no_time_is_when_it_was_heard_of(text: str) -> None:
    assert instant_of_wall_time(text, "", PARIS, heard_at=HEARD) == HEARD


@pytest.mark.parametrize("hours", [0, 1])
def test_half_past_two_in_the_october_night_is_the_one_nearer_to_when_it_was_heard_of(hours: int) -> None:
    heard_at = datetime(2026, 10, 25, 0, 31, tzinfo=UTC) + timedelta(hours=hours)
    instant = instant_of_wall_time("20261025023000", "", PARIS, heard_at=heard_at)
    assert heard_at - instant == timedelta(minutes=1)


def test_a_stored_step_is_told_with_instants_counts_and_its_reason(database: Database) -> None:
    people = directory()
    site = next(iter(people.sites))
    caller = Caller(calling_aet="CT1", site_id=site)
    reason = code("110514", "DCM", "Incorrect worklist entry selected")
    with database.write(durable=True) as connection:
        asked = orders.place(connection, order(site_id=site), NOW).order
        mpps_store.create(connection, MPPS_UID, item(created(asked)), caller, NOW)
        mpps_store.change(
            connection,
            MPPS_UID,
            item(
                ended(
                    "DISCONTINUED",
                    PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason],
                    CommentsOnRadiationDose="TotalDLP=12.5",
                )
            ),
            caller,
            NOW,
        )

    steps = StoredSteps(database, lambda _: people)
    step = steps.find(MPPS_UID)

    assert step is not None
    assert list(steps.of_study(asked.study_instance_uid)) == [step]
    assert (step.is_completed, step.is_discontinued, step.expected) == (False, True, 5)
    assert step.began_at == datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
    assert step.reason == "Incorrect worklist entry selected (110514, DCM)"
    assert step.dose_mgy_cm == 12.5
    assert step.order_ids == (asked.order_id,)
    assert steps.find("1.2.3") is None
