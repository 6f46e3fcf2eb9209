"""What is stated of an association that stored images, once, when it has ended: released, aborted or cut."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies import write_mr_study
from foundation import outbox
from foundation.clock import SystemClock
from foundation.database import Database
from pacs.contracts import TOPIC_ASSOCIATION_ENDED, TOPIC_INSTANCES_STORED
from pacs.scp.association_facts import STUDIES_MAX, AssociationFacts, Ending, StudiesStored, ending_of
from tests.harness.data_sets import image
from tests.harness.node import Node, node_policy, running_node
from tests.harness.peers import LOOPBACK, run_client
from tests.harness.raw_peer import RawPeer


@contextmanager
def telling_node(database: Database, journal: Path) -> Iterator[Node]:
    policy = replace(node_policy(), tell_end=AssociationFacts(database, SystemClock()))
    with running_node(database, journal, policy=policy) as node:
        yield node
        node.wait_until_idle()


def stated(database: Database, topic: str = TOPIC_ASSOCIATION_ENDED) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(event.payload) for event in outbox.read_after(connection, 0, topics=[topic])]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_what_storescu_sent_and_released_is_stated_once_after_its_images(
    database: Database, journal: Path, tmp_path: Path
) -> None:
    write_mr_study(tmp_path / "study", seed=1, slices=4, series=2)
    with telling_node(database, journal) as node:
        done = run_client(
            "storescu", ["-aet", "MR1", "-aec", "TELEGARDE", "+sd", LOOPBACK, str(node.port), tmp_path / "study"]
        )
        assert done.returncode == 0, done.stderr
    with database.read() as connection:
        events = outbox.read_after(connection, 0, topics=[TOPIC_INSTANCES_STORED, TOPIC_ASSOCIATION_ENDED])
    study = events[0].payload
    assert [event.topic for event in events[:-1]] == [TOPIC_INSTANCES_STORED] * (len(events) - 1)
    assert events[-1].topic == TOPIC_ASSOCIATION_ENDED
    assert events[-1].payload == {
        "calling_aet": "MR1",
        "studies": [{"issuer": study["issuer"], "study_instance_uid": study["study_instance_uid"]}],
        "is_released": True,
        "how": "released",
    }


def test_an_abort_between_two_images_is_told_from_a_cut_inside_one(database: Database, journal: Path) -> None:
    whole = image("1.2.3.1.1", study_instance_uid="1.2.3")
    with telling_node(database, journal) as node:
        with RawPeer(node.port, calling_aet="CT1") as peer:
            assert peer.store("1.2.3.1.1", whole) == 0
            peer.write(peer.upper.abort())
            node.wait_until_idle()
        with RawPeer(node.port, calling_aet="CT2") as peer:
            assert peer.store("1.2.3.1.1", whole) == 0
            half = peer.store_message("1.2.3.1.2", image("1.2.3.1.2", pixels=b"\1\2" * 20_000))
            peer.write(half[: len(half) // 2])
    assert [(one["calling_aet"], one["is_released"], one["how"]) for one in stated(database)] == [
        ("CT1", False, "aborted"),
        ("CT2", False, "cut"),
    ]


def test_an_association_that_stored_nothing_states_nothing(database: Database, journal: Path) -> None:
    with telling_node(database, journal) as node, RawPeer(node.port) as peer:
        peer.release()
    assert stated(database) == []


@pytest.mark.parametrize(
    ("word", "is_receiving", "ending"),
    [
        ("released", False, Ending.RELEASED),
        ("aborted_by_peer", False, Ending.ABORTED),
        ("aborted_by_peer", True, Ending.CUT),
        ("lost", False, Ending.CUT),
        ("no_progress", True, Ending.CUT),
        ("node_stopping", False, Ending.CUT),
    ],
)
def test_only_a_release_and_an_abort_between_images_are_ends_of_the_senders(
    word: str, is_receiving: bool, ending: Ending
) -> None:
    assert ending_of(word, is_receiving=is_receiving) is ending


def test_a_migration_of_many_studies_is_remembered_within_a_bound() -> None:
    studies = StudiesStored()
    for number in range(2 * STUDIES_MAX):
        studies.add(f"1.2.{number}\0".encode())
        studies.add(b"1.2.0")
    assert len(studies.uids) <= STUDIES_MAX
    assert "1.2.0" in studies.uids
