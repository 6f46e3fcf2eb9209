"""Plan blanc: who is called when by what, as pure decisions."""

from datetime import UTC, datetime, timedelta

import pytest

from foundation.errors import Refused
from oncall.directory import PersonId
from oncall.messages import MessageState
from oncall.plan_blanc import Answer, Attempt, Reply, board, next_calls, next_due_at
from tests.unit.oncall.recall.people import EMAIL, SMS, order, recalled

NOW = datetime(2026, 6, 7, 20, 0, tzinfo=UTC)
ANN, BOB = PersonId("ann"), PersonId("bob")


def attempt(
    method: int = 0, state: MessageState = MessageState.SENT, *, ago_s: float = 0.0, reason: str = ""
) -> Attempt:
    return Attempt(method=method, called_at=NOW - timedelta(seconds=ago_s), state=state, reason=reason)


def test_everybody_is_called_at_once_by_their_first_method_and_who_has_none_stands_on_the_board() -> None:
    list_ = order(recalled("ann", SMS, EMAIL), recalled("bob", EMAIL), recalled("cyd"))

    calls = next_calls(list_, {}, {}, NOW)

    assert [(call.person_id, call.method, call.number) for call in calls] == [("ann", 0, 0), ("bob", 0, 0)]
    assert [(line.person_id, line.reason) for line in board(list_, {}, {}).standings] == [
        ("ann", ""),
        ("bob", ""),
        ("cyd", "no_contact_method"),
    ]


@pytest.mark.parametrize("state", [MessageState.FAILED, MessageState.UNKNOWN])
def test_who_was_not_reached_is_called_by_the_next_method_at_once(state: MessageState) -> None:
    calls = next_calls(order(recalled("ann", SMS, EMAIL)), {ANN: [attempt(state=state)]}, {}, NOW)

    assert [(call.method, call.number) for call in calls] == [(1, 1)]


def test_who_is_silent_is_called_by_the_next_method_after_a_while_and_not_before() -> None:
    list_ = order(recalled("ann", SMS, EMAIL))

    assert next_calls(list_, {ANN: [attempt(ago_s=119)]}, {}, NOW) == ()
    assert [call.method for call in next_calls(list_, {ANN: [attempt(ago_s=120)]}, {}, NOW)] == [1]
    assert next_due_at(list_, {ANN: [attempt(ago_s=119)]}, {}, NOW) == NOW + timedelta(seconds=1)


def test_a_channel_that_fails_every_time_is_not_hammered() -> None:
    list_ = order(recalled("ann", SMS))

    assert next_calls(list_, {ANN: [attempt(state=MessageState.FAILED)]}, {}, NOW) == ()
    later = next_calls(list_, {ANN: [attempt(state=MessageState.FAILED, ago_s=120)]}, {}, NOW)
    assert [call.number for call in later] == [1]


def test_calls_to_one_person_end() -> None:
    made = [attempt(method=number % 2, ago_s=10_000) for number in range(4)]

    assert next_calls(order(recalled("ann", SMS, EMAIL)), {ANN: made}, {}, NOW) == ()
    assert next_due_at(order(recalled("ann", SMS, EMAIL)), {ANN: made}, {}, NOW) is None


def test_an_answer_stops_the_calls_to_that_person_and_to_nobody_else() -> None:
    list_ = order(recalled("ann", SMS, EMAIL), recalled("bob", SMS, EMAIL))
    attempts = {ANN: [attempt(ago_s=200)], BOB: [attempt(ago_s=200)]}

    calls = next_calls(list_, attempts, {ANN: Reply(answer=Answer.NOT_COMING, answered_at=NOW)}, NOW)

    assert [call.person_id for call in calls] == ["bob"]


def test_the_board_says_who_channel_delivered_answered_and_when_they_arrive() -> None:
    list_ = order(recalled("ann", SMS, EMAIL), recalled("bob", SMS), recalled("cyd"), recalled("dan", EMAIL))
    attempts = {
        ANN: [attempt(state=MessageState.FAILED, reason="refused_400"), attempt(1, MessageState.ANSWERED)],
        BOB: [attempt(state=MessageState.DELIVERED)],
        PersonId("dan"): [attempt(state=MessageState.FAILED, reason="no_connection")],
    }
    replies = {ANN: Reply(answer=Answer.COMING, answered_at=NOW, arrives_at=NOW + timedelta(minutes=25))}

    shown = board(list_, attempts, replies)

    assert shown.count() == {
        "recalled": 4,
        "handed_over": 2,
        "delivered": 2,
        "coming": 1,
        "not_coming": 0,
        "silent": 3,
        "out_of_reach": 2,
    }
    assert [(line.channel, line.calls, line.reason) for line in shown.standings] == [
        ("email", 2, ""),
        ("sms", 1, ""),
        ("", 0, "no_contact_method"),
        ("email", 1, "no_connection"),
    ]


@pytest.mark.parametrize(
    "people",
    [(), ("ann", "ann"), tuple(str(number) for number in range(5001))],
    ids=["nobody", "somebody twice", "too many"],
)
def test_a_list_that_cannot_be_recalled_is_refused(people: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        order(*(recalled(name, SMS) for name in people))


@pytest.mark.parametrize("recall_id", ["", "a/b", "a b", "x" * 49])
def test_an_id_that_would_not_be_part_of_a_key_is_refused(recall_id: str) -> None:
    with pytest.raises(Refused):
        order(recalled("ann", SMS), recall_id=recall_id)
