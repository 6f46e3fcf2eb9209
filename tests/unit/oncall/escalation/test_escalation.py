"""The ladder by example: who is paged when, and what is said of every silence."""

from datetime import UTC, datetime, timedelta

import pytest

from oncall.case.event import CaseId
from oncall.chain import CONTROL_ROOM
from oncall.directory import ChannelKind, ContactMethod, PersonId, SiteId
from oncall.escalation import (
    DEFAULT_LADDER,
    Acknowledged,
    Action,
    Callee,
    CancelPages,
    Chain,
    ChainState,
    Closed,
    Declined,
    Due,
    Page,
    PageFailed,
    PageKind,
    Raised,
    Record,
    Subject,
    Target,
    advance,
    begin,
)
from oncall.reading.board import Urgency

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
PUSH, SMS = ChannelKind.PUSH, ChannelKind.SMS
Who = dict[Target, tuple[Callee, ...]]


def callee(name: str, *kinds: ChannelKind, refusal: str = "") -> Callee:
    methods = tuple(ContactMethod(kind=kind, address=f"{name}-{kind}") for kind in kinds)
    return Callee(person_id=PersonId(name), methods=methods, refusal=refusal)


EVERYBODY: Who = {
    Target.ASSIGNED_READER: (callee("ann", PUSH, SMS),),
    Target.ANOTHER_READER: (callee("ann", PUSH, SMS), callee("bob", PUSH, SMS)),
    Target.SENIOR: (callee("sam", SMS),),
    Target.BACKUP: (callee("cyd", SMS), callee("dan", SMS), callee("eve", SMS)),
    Target.NEIGHBOUR_PROVIDER: (callee("fay", SMS),),
    Target.COORDINATOR: (callee("gus", SMS),),
    Target.HOSPITAL: (callee("doctor", SMS, PUSH), callee("admin", SMS)),
}


def started(who: Who = EVERYBODY, urgency: Urgency = Urgency.P2) -> tuple[Chain, tuple[Action, ...]]:
    subject = Subject(case_id=CaseId("c1"), site_id=SiteId("ambert"), urgency=urgency)
    return advance(begin(DEFAULT_LADDER, subject, NOW, chain_id="c1/1"), Due(callees=who), NOW)


def next_alarm(chain: Chain, who: Who = EVERYBODY) -> tuple[Chain, tuple[Action, ...]]:
    assert chain.next_alarm_at is not None
    return advance(chain, Due(callees=who), chain.next_alarm_at)


def pages(actions: tuple[Action, ...]) -> list[str]:
    return [f"{page.kind}:{page.person_id}:{page.method.kind}" for page in actions if isinstance(page, Page)]


def said(actions: tuple[Action, ...]) -> list[str]:
    facts = [action.fact for action in actions if isinstance(action, Record)]
    return [f"{fact.type.removeprefix('escalation.')}:{fact.payload.get('reason', '')}" for fact in facts]


def timeline(urgency: Urgency, who: Who = EVERYBODY) -> list[tuple[float, list[str]]]:
    """Let nobody answer; return minutes and pages until the hospital has been alarmed twice."""
    chain, actions = started(who, urgency)
    told, minutes = [(0.0, pages(actions))], 0.0
    while chain.state is ChainState.RUNNING or chain.position < 1:
        assert chain.next_alarm_at is not None
        minutes = (chain.next_alarm_at - NOW).total_seconds() / 60
        chain, actions = next_alarm(chain, who)
        told.append((minutes, pages(actions)))
    return told


def test_a_stroke_that_nobody_answers_for_reaches_the_hospital_within_twelve_minutes() -> None:
    assert timeline(Urgency.P1) == [
        (0, ["read_case:ann:push"]),
        (1, ["repeated:ann:sms"]),
        (2, ["escalated:bob:push"]),
        (3, ["repeated:bob:sms"]),
        (4, ["escalated:sam:sms"]),
        (5, ["repeated:sam:sms"]),
        (6, ["escalated:cyd:sms", "escalated:dan:sms"]),
        (7, ["repeated:cyd:sms", "repeated:dan:sms"]),
        (8, ["escalated:fay:sms"]),
        (9, ["repeated:fay:sms"]),
        (10, ["escalated:gus:sms"]),
        (11, ["repeated:gus:sms"]),
        (12, ["hospital_alarm:doctor:sms", "hospital_alarm:admin:sms"]),
        (17, ["hospital_alarm:doctor:push", "hospital_alarm:admin:sms"]),
    ]


def test_a_case_that_is_less_urgent_gives_each_five_minutes_and_pages_again_after_two() -> None:
    assert [minutes for minutes, _ in timeline(Urgency.P3)][:5] == [0, 2, 5, 7, 10]


def test_steps_without_anybody_do_not_wait_and_say_why() -> None:
    who: Who = {
        Target.ASSIGNED_READER: (),
        Target.ANOTHER_READER: (callee("bob"),),
        Target.SENIOR: (callee("sam", SMS, refusal="REST_11_H"),),
        Target.BACKUP: (callee("cyd", SMS),),
    }

    _, actions = started(who)

    assert pages(actions) == ["escalated:cyd:sms"]
    assert said(actions) == [
        "no_notification_sent:nobody_is_assigned_reader",
        "skipped_empty_step:",
        "no_notification_sent:no_contact_method",
        "skipped_empty_step:",
        "no_notification_sent:REST_11_H",
        "skipped_empty_step:",
        "started:",
        "notified:",
    ]


def test_an_answer_of_anybody_who_was_paged_stops_the_chain_and_takes_back_what_is_queued() -> None:
    chain, _ = next_alarm(next_alarm(started()[0])[0])

    ended, actions = advance(chain, Acknowledged(chain_id="c1/1", person_id=PersonId("ann")), NOW)

    assert ended.state is ChainState.ACKNOWLEDGED
    assert CancelPages(chain_id="c1/1") in actions
    assert advance(ended, Due(callees=EVERYBODY), NOW + timedelta(days=90)) == (ended, ())


def test_who_declines_is_not_waited_for_and_not_asked_again() -> None:
    chain, _ = started()

    chain, actions = advance(chain, Declined(chain_id="c1/1", person_id=PersonId("ann"), callees=EVERYBODY), NOW)

    assert pages(actions) == ["escalated:bob:push"]


def test_a_page_in_doubt_is_followed_by_another_channel_at_once_and_then_by_another_person() -> None:
    chain, first = started()
    (page,) = [action for action in first if isinstance(action, Page)]

    chain, second = advance(
        chain, PageFailed(message_key=page.message_key, reason="interrupted", callees=EVERYBODY), NOW
    )
    (again,) = [action for action in second if isinstance(action, Page)]
    chain, third = advance(
        chain, PageFailed(message_key=again.message_key, reason="refused_400", callees=EVERYBODY), NOW
    )

    assert (pages(second), pages(third)) == (["repeated:ann:sms"], ["escalated:bob:push"])
    assert said(second)[0] == "no_notification_sent:interrupted"


def test_a_hospital_that_no_channel_reaches_is_shown_on_the_wall_of_the_control_room() -> None:
    chain, actions = started({Target.HOSPITAL: (callee("doctor", SMS),)})
    (page,) = [action for action in actions if isinstance(action, Page)]
    assert (page.kind, page.person_id) == (PageKind.HOSPITAL_ALARM, "doctor")

    chain, wall = advance(chain, PageFailed(message_key=page.message_key, reason="no_connection", callees={}), NOW)

    assert pages(wall) == [f"hospital_alarm:{CONTROL_ROOM}:console"]
    assert chain.next_alarm_at == NOW + timedelta(minutes=5)


def test_a_hospital_that_names_nobody_is_a_logged_defect_and_still_alarms_a_human() -> None:
    _, actions = started({})

    assert pages(actions) == [f"hospital_alarm:{CONTROL_ROOM}:console"]
    assert "no_notification_sent:no_hospital_contact" in said(actions)


def test_a_case_that_turns_out_to_be_a_stroke_is_escalated_sooner_and_never_later() -> None:
    chain, _ = started(urgency=Urgency.P3)
    later = NOW + timedelta(seconds=30)

    sooner, _ = advance(chain, Raised(urgency=Urgency.P1), later)
    same, _ = advance(sooner, Raised(urgency=Urgency.P3), later)

    assert chain.next_alarm_at == NOW + timedelta(seconds=120)
    assert sooner.next_alarm_at == NOW + timedelta(seconds=90)
    assert same == sooner


@pytest.mark.parametrize("days", [0.1, 60.0, 120.0])
def test_a_node_that_comes_back_after_months_does_one_step_and_then_waits(days: float) -> None:
    chain, _ = started()
    back = NOW + timedelta(days=days)

    chain, actions = advance(chain, Due(callees=EVERYBODY), back)

    assert pages(actions) == ["escalated:bob:push"]
    assert chain.next_alarm_at == back + timedelta(seconds=120)


def test_a_closed_case_pages_nobody_any_more() -> None:
    chain, _ = started()

    ended, actions = advance(chain, Closed(reason="signed"), NOW)

    assert (ended.state, ended.next_alarm_at) == (ChainState.STOPPED, None)
    assert said(actions) == ["stopped:signed"]
