"""When nobody answered, somebody at the hospital is really told: what is on record as an alarm is in the queue."""

from oncall.case.event import CaseId
from oncall.directory import ChannelKind, PersonId
from oncall.engine.ports import Store
from oncall.messages import MessageState
from oncall.reading.board import Urgency
from tests.harness.small_territory import BEGIN, at, engine, ready_case, run_until


def alarms(store: Store, case_id: CaseId) -> set[MessageState]:
    """Return where the messages to the hospital's physician are that the log says were decided."""
    keys = [
        event.fact.payload["message_key"]
        for event in store.events_of(case_id)
        if event.type == "escalation.notified" and event.fact.payload["person_id"] == "emma"
    ]
    with store.queue() as queue:
        found = [queue.status(key) for key in keys]
    return {one.state for one in found if one is not None}


def test_an_alarm_goes_out_though_another_reader_is_found_before_a_channel_took_it(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1), urgency=Urgency.P1)
    run_until(runner, at(11))
    assert alarms(store, case_id) == {MessageState.QUEUED}

    # The one who has it is gone, and one who was silent is there again: the case is theirs.
    runner.set_available(PersonId("anna"), at(11.01))

    assert runner.case(case_id).reading.assigned_to == "anna"
    assert alarms(store, case_id) == {MessageState.QUEUED}


def test_an_alarm_that_no_channel_has_is_taken_back_when_the_case_is_opened(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1), urgency=Urgency.P1)
    run_until(runner, at(11))

    runner.claim(case_id, PersonId("boris"), at(11.01), transaction_uid="1.2")

    assert alarms(store, case_id) == {MessageState.CANCELLED}


def test_pages_that_no_channel_has_are_taken_back_when_another_reader_is_asked(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    reader = runner.case(case_id).reading.assigned_to
    assert reader is not None

    runner.set_unavailable(reader, at(1.1), reason="network")

    assert runner.case(case_id).reading.assigned_to != reader
    with store.queue() as queue:
        waiting = queue.lease(ChannelKind.SMS, at(1.1), worker="sender", limit=9).messages
    assert reader not in {message.person_id for message in waiting}
