"""What people say of a case after it was opened, through the engine on a store: once, in order, each kept."""

from functools import partial
from typing import Final

import pytest

from foundation.errors import Refused
from oncall.case import commands, commands_report
from oncall.case.event import Actor, CaseId
from oncall.case.regions import DeliveryState, ProtocolState, ReadingState, ReportState
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.ports import Store
from tests.harness.small_territory import at, engine, ready_case

# Facts of a case like any others: one database is enough.
pytestmark = pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)

CASE: Final = CaseId("C1")
UID: Final = "1.2.9"
READER: Final = Actor(who="anna", role="reader")


def claimed(store: Store) -> tuple[Engine, PersonId]:
    runner = engine(store)
    ready_case(runner, CASE, at(5))
    reader = runner.case(CASE).reading.assigned_to
    assert reader is not None
    runner.claim(CASE, reader, at(6), transaction_uid=UID)
    return runner, reader


def signed(store: Store) -> tuple[Engine, PersonId]:
    runner, reader = claimed(store)
    runner.sign(CASE, reader, at(10), transaction_uid=UID, content_hash="h1")
    return runner, reader


def test_a_protocol_that_was_sent_is_acknowledged_by_a_named_radiographer_in_that_version(store: Store) -> None:
    runner, reader = claimed(store)
    send = partial(commands.send_protocol, author=reader, protocol_id="head-1", text="sans injection")
    runner.execute(CASE, send, at(7))
    runner.execute(CASE, partial(commands.send_protocol, author=reader, protocol_id="head-2"), at(8))

    with pytest.raises(Refused, match="version 2"):
        runner.execute(CASE, partial(commands.acknowledge_protocol, version=1, radiographer="ines"), at(9))
    case = runner.execute(CASE, partial(commands.acknowledge_protocol, version=2, radiographer="ines"), at(9))

    protocol = case.protocol
    assert (protocol.state, protocol.version, protocol.acknowledged_by) == (ProtocolState.ACKNOWLEDGED, 2, "ines")


def test_a_parked_case_stays_its_readers_and_is_resumed_with_the_same_lock(store: Store) -> None:
    runner, reader = claimed(store)

    parked = runner.execute(CASE, partial(commands.park, transaction_uid=UID, reason="priors"), at(7), actor=READER)
    assert (parked.reading.state, parked.reading.claimed_by) == (ReadingState.PARKED, reader)
    with pytest.raises(Refused, match="C301"):
        runner.execute(CASE, partial(commands.resume, transaction_uid="1.2.8"), at(8), actor=READER)
    resumed = runner.execute(CASE, partial(commands.resume, transaction_uid=UID), at(8), actor=READER)

    assert (resumed.reading.state, resumed.reading.claimed_by) == (ReadingState.CLAIMED, reader)
    assert store.timers_of(CASE) != ()


def test_the_first_finding_is_told_once_before_the_report(store: Store) -> None:
    runner, _ = claimed(store)
    tell = partial(commands_report.communicate_finding, method="phone", recipient="Dr Martin")

    runner.execute(CASE, tell, at(8), actor=READER)
    case = runner.execute(CASE, tell, at(9), actor=READER)

    assert case.report.first_communicated_at == at(8)
    assert case.report.state is ReportState.NONE


def test_an_addendum_and_a_replacement_are_new_versions_and_begin_delivery_again(store: Store) -> None:
    runner, reader = signed(store)
    runner.execute(CASE, partial(commands_report.send_report, channel="mssante"), at(11))
    runner.execute(CASE, partial(commands_report.record_delivery, channel="mssante", version=1), at(12))

    add = partial(commands_report.add_addendum, signer=reader, content_hash="h2", reason="second reading")
    added = runner.execute(CASE, lambda case, context: add(case, context=context), at(13), actor=READER)
    assert (added.report.version, added.delivery.state) == (2, DeliveryState.NONE)
    replace = partial(commands_report.replace_report, signer=reader, content_hash="h3", reason="wrong side")
    case = runner.execute(CASE, lambda case, context: replace(case, context=context), at(14), actor=READER)

    assert [version.content_hash for version in case.report.versions] == ["h1", "h2", "h3"]
    assert case.report.signed_at == at(10)
    assert case.delivery.first_delivered_at == at(12)


def test_a_delivery_that_fails_is_counted_and_one_that_is_opened_is_not_yet_acknowledged(store: Store) -> None:
    runner, _ = signed(store)
    runner.execute(CASE, partial(commands_report.send_report, channel="mssante"), at(11))
    fail = partial(commands_report.record_delivery_failure, channel="mssante", reason="timeout", version=1)
    failed = runner.execute(CASE, fail, at(12))
    assert (failed.delivery.state, failed.delivery.failures) == (DeliveryState.FAILED, 1)

    runner.execute(CASE, partial(commands_report.record_delivery, channel="web", version=1), at(13))
    opened = runner.execute(
        CASE, lambda case, context: commands_report.record_access(case, PersonId("emma"), context, version=1), at(14)
    )

    assert (opened.delivery.state, opened.delivery.accessed_at) == (DeliveryState.ACCESSED, at(14))
    assert opened.delivery.acknowledged_at is None
    assert store.timers_of(CASE) != ()
