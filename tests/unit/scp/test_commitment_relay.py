"""The relay of commitment results: what is due is tried once a turn, nothing is forgotten, nobody holds up others."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.archive import commitment
from pacs.archive.commitment import Commitment, Ledger, Reference
from pacs.scp.commitment_relay import CommitmentRelay, NoReportAddress, ReportCaller, ReportNotTaken
from pacs.scu.association import Timeouts
from tests.harness.lookup_rows import CT_IMAGE, add_instances
from tests.harness.stored_files import StoredFiles

REFERENCES = [Reference(CT_IMAGE, "1.2.3.1.1")]


@dataclass(kw_only=True)
class Peers:
    """Stands for the network: which peers are silent, which refuse, and what arrived."""

    silent: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    arrived: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def __call__(self, examined: Commitment) -> None:
        assert examined.result is not None
        self.called.append(examined.transaction_uid)
        if examined.calling_aet in self.silent:
            raise Unavailable("no connection")
        if examined.calling_aet in self.refusing:
            raise ReportNotTaken("status 0110")
        self.arrived.append(examined.transaction_uid)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 31, 23, 0, tzinfo=UTC))


@pytest.fixture
def ledger(database: Database, clock: ManualClock) -> Ledger:
    add_instances(database, ["1.2.3.1.1"])
    return Ledger(database, clock)


def due(ledger: Ledger, transaction_uid: str, calling_aet: str = "CT1") -> None:
    ledger.hand_over(
        ledger.record(
            transaction_uid=transaction_uid, calling_aet=calling_aet, called_aet="TELEGARDE", references=REFERENCES
        )
    )


def relay(ledger: Ledger, peers: Peers, *, reader: StoredFiles | None = None, stop: bool = False) -> CommitmentRelay:
    return CommitmentRelay(ledger, reader or StoredFiles(), peers, is_stopping=lambda: stop)


def test_what_a_crash_left_unchecked_is_checked_and_delivered(ledger: Ledger, clock: ManualClock) -> None:
    ledger.record(transaction_uid="2.25.1", calling_aet="CT1", called_aet="TELEGARDE", references=REFERENCES)
    reader = StoredFiles()
    peers = Peers()

    assert relay(ledger, peers, reader=reader).deliver_due() == 0
    clock.advance(timedelta(seconds=commitment.LEASE_S))
    assert relay(ledger, peers, reader=reader).deliver_due() == 1

    assert reader.read == ["1.2.3.1.1"]
    assert peers.arrived == ["2.25.1"]
    assert ledger.counts()["delivered"] == 1


def test_a_checked_result_is_not_checked_again(ledger: Ledger, clock: ManualClock) -> None:
    due(ledger, "2.25.1")
    reader = StoredFiles()

    relay(ledger, Peers(silent={"CT1"}), reader=reader).deliver_due()
    clock.advance(timedelta(hours=1))
    relay(ledger, Peers(), reader=reader).deliver_due()

    assert reader.read == ["1.2.3.1.1"]
    assert ledger.counts()["delivered"] == 1


def test_a_silent_peer_costs_one_attempt_a_turn_and_others_get_theirs(ledger: Ledger) -> None:
    for number in range(3):
        due(ledger, f"2.25.1{number}", "CT1")
    due(ledger, "2.25.2", "MR1")
    peers = Peers(silent={"CT1"})

    assert relay(ledger, peers).deliver_due() == 1

    assert peers.arrived == ["2.25.2"]
    assert len(peers.called) == 2


def test_a_refused_report_does_not_hold_up_the_next_of_the_same_peer(ledger: Ledger) -> None:
    due(ledger, "2.25.1")
    due(ledger, "2.25.2")
    peers = Peers(refusing={"CT1"})

    assert relay(ledger, peers).deliver_due() == 0

    assert peers.called == ["2.25.1", "2.25.2"]


def test_a_peer_that_comes_back_gets_its_result(ledger: Ledger, clock: ManualClock) -> None:
    due(ledger, "2.25.1")
    peers = Peers(silent={"CT1"})
    for _ in range(3):
        relay(ledger, peers).deliver_due()
        clock.advance(timedelta(hours=1))
    peers.silent.clear()

    assert relay(ledger, peers).deliver_due() == 1
    assert peers.arrived == ["2.25.1"]


def test_a_report_given_up_is_an_error_in_the_log_and_stays(
    ledger: Ledger, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    due(ledger, "2.25.1")
    peers = Peers(silent={"CT1"})

    for _ in range(commitment.ATTEMPTS_MAX + 5):
        relay(ledger, peers).deliver_due()
        clock.advance(timedelta(seconds=commitment.RETRY_S_MAX))

    assert len(peers.called) <= commitment.ATTEMPTS_MAX
    assert ledger.counts()["given_up"] == 1
    assert [record.levelname for record in caplog.records if "commitment_given_up" in record.getMessage()] == ["ERROR"]


def test_a_stop_ends_the_turn_and_leaves_the_rest_due(ledger: Ledger) -> None:
    due(ledger, "2.25.1")

    assert relay(ledger, Peers(), stop=True).deliver_due() == 0

    assert ledger.claim_due() is not None


def test_a_peer_without_address_is_named_with_what_to_do(ledger: Ledger) -> None:
    due(ledger, "2.25.1")
    caller = ReportCaller({}, Timeouts())

    assert CommitmentRelay(ledger, StoredFiles(), caller, is_stopping=lambda: False).deliver_due() == 0
    kept = ledger.counts()
    assert kept["checked"] == 1
    with pytest.raises(NoReportAddress, match="CT1"):
        caller(_examined(ledger))


def _examined(ledger: Ledger) -> Commitment:
    due(ledger, "2.25.9")
    kept = ledger.claim_due()
    assert kept is not None
    return commitment.examine(ledger, StoredFiles(), kept, is_stopping=lambda: False)
