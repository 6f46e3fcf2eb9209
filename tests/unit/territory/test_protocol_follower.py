"""What a console must know of a case stands on its order, in both databases, whatever is told again."""

from dataclasses import replace

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.case import commands as case_commands
from oncall.case.event import CaseId
from oncall.case.log import CaseLog
from oncall.case.sql_log import SqlCaseLog
from oncall.directory import PersonId
from oncall.followers import Followers
from oncall.protocol import commands
from oncall.reading.board import Urgency
from pacs.worklist import orders
from pacs.worklist.order import Order, OrderPriority, OrderState
from territory.protocol_follower import WorklistProtocols
from tests.harness.orders import NOW, order
from tests.harness.small_territory import person
from tests.unit.oncall.case.cases import ANNE, Story, at, numbered_ids
from tests.unit.oncall.protocol.protocols import protocol


def placed(database: Database) -> Order:
    database.create_tables()
    with database.write(durable=True) as connection:
        asked = order(site_id="roanne")
        return orders.place(connection, replace(asked, patient=replace(asked.patient, weight_kg=60.0)), NOW).order


def kept(database: Database, asked: Order) -> Order:
    with database.read() as connection:
        found = orders.find(connection, asked.order_id)
    assert found is not None
    return found


def followers(database: Database) -> Followers:
    follower = WorklistProtocols(lambda person_id, now: person(person_id) if person_id == ANNE else None)
    return Followers(database, [follower], ManualClock(NOW))


def log(database: Database) -> CaseLog:
    return SqlCaseLog(database, numbered_ids())


@pytest.fixture
def asked(database: Database) -> Order:
    return placed(database)


def test_what_was_sent_stands_on_the_order_with_its_numbers_and_the_radiologists_name(
    database: Database, asked: Order
) -> None:
    story = Story(log(database))
    story.opened(request_id=asked.order_id)
    story.append(commands.send(story.case, at(4), author=ANNE, protocol=protocol("ct-polytrauma"), text="Left arm."), 4)
    followers(database).take()

    found = kept(database, asked).protocol
    assert found is not None
    assert (found.version, found.protocol_id, found.library_version, found.author) == (
        1, "ct-polytrauma", "1.0", "Anne",
    )  # fmt: skip
    assert [(one.value, one.scheme) for one in found.codes] == [("CT-POLYTRAUMA", "99TELEGARDE")]
    said = {one.concept.value: (one.value, one.unit) for one in found.parameters}
    # 1.5 mL/kg for 60 kg.
    assert said["122091"] == ("90", "mL")
    assert "Radiologist: Left arm." in found.text
    assert found.contrast_agent == "Iodinated contrast medium 350 mg/mL"


def test_a_newer_version_takes_its_place_and_what_is_told_again_changes_nothing(
    database: Database, asked: Order
) -> None:
    story = Story(log(database))
    story.opened(request_id=asked.order_id)
    story.append(commands.send(story.case, at(4), author=ANNE, protocol=protocol("ct-pe")), 4)
    followers(database).take()
    story.append(commands.send(story.case, at(5), author=PersonId("bruno"), protocol=None, text="Chest only."), 5)
    assert followers(database).take() == 1
    assert followers(database).take() == 0

    found = kept(database, asked).protocol
    assert found is not None
    assert (found.version, found.title, found.text, found.author) == (
        2, "Protocole rédigé par le radiologue", "Chest only.", "",
    )  # fmt: skip


def test_a_case_without_an_order_or_with_one_that_is_not_here_holds_nobody_up(database: Database, asked: Order) -> None:
    story = Story(log(database))
    story.opened(request_id="0123")
    story.append(commands.send(story.case, at(4), author=ANNE, protocol=protocol("ct-pe")), 4)
    story.append(case_commands.acknowledge_protocol(story.case, at(5), version=1, radiographer="M. Petit"), 5)
    assert followers(database).take() == 3
    assert kept(database, asked).protocol is None


@pytest.mark.parametrize("is_refused", [True, False])
def test_what_is_refused_or_withdrawn_leaves_the_worklist_unless_its_exam_has_begun(
    database: Database, asked: Order, is_refused: bool
) -> None:
    with database.write(durable=True) as connection:
        begun = orders.place(connection, order(2, site_id="roanne"), NOW).order
        orders.set_state(connection, begun.order_id, OrderState.IN_PROGRESS, NOW)
    shared = log(database)
    for number, one in enumerate((asked, begun)):
        story = Story(shared, CaseId(f"case-{number}"))
        story.opened(request_id=one.order_id)
        end = case_commands.refuse if is_refused else case_commands.withdraw
        story.append(end(story.case, at(5), motive="not needed"), 5)
    followers(database).take()

    assert kept(database, asked).state is OrderState.CANCELLED
    assert kept(database, begun).state is OrderState.IN_PROGRESS


def test_an_order_becomes_as_urgent_as_its_case_and_never_less(database: Database, asked: Order) -> None:
    story = Story(log(database))
    story.opened(request_id=asked.order_id)
    for minutes, urgency, expected in ((5, Urgency.P1, OrderPriority.STAT), (6, Urgency.P3, OrderPriority.STAT)):
        story.append(case_commands.triage(story.case, at(minutes), urgency=urgency, reason="said"), minutes)
        followers(database).take()
        assert kept(database, asked).priority is expected
