"""A disk that fills up: 0xA700 before anything is half-written, and the node recovers by itself (PS3.4 B.2.3).

The disk is a small one in memory, the node a real process whose data directory is on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pacs.status import Status
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, encode_command
from pacs.upper_layer.events import DataFragment
from tests.harness.configured_node import ConfiguredNode
from tests.harness.data_sets import image, written
from tests.harness.disks import filled_up, small_disk
from tests.harness.peers import LOOPBACK, telegarde_json
from tests.harness.raw_peer import ECHO, FIND, STUDY_ROOT_FIND, VERIFICATION, RawPeer
from tests.harness.stored_datasets import served_datasets

MEGABYTE = 1024 * 1024
#: A lane reserves 64 MiB at a time: room for three, the index and what is kept free.
DISK_BYTES = 256 * MEGABYTE
RESERVE_BYTES = 8 * MEGABYTE
TOML = f"""
[[peers]]
aet = "CT1"
addresses = ["{LOOPBACK}"]
rights = ["store", "query"]
issuer = "NORTH"
"""
STUDY = written({0x00080052: ("CS", b"STUDY "), 0x0020000D: ("UI", b"1.2.3\0")})


@dataclass(frozen=True, kw_only=True)
class Place:
    """A node and the disk it is on."""

    node: ConfiguredNode
    disk: Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with (
        small_disk(tmp_path / "disk", size_bytes=DISK_BYTES) as disk,
        ConfiguredNode(disk / "node", TOML, free_space_reserve_bytes=RESERVE_BYTES) as node,
    ):
        yield Place(node=node, disk=disk)
        node.wait_until_idle()
        found = telegarde_json("verify", "--data", node.data)
        assert (found["missing"], found["corrupt"], found["unindexed"]) == (0, 0, 0), found


def peer_of(place: Place) -> RawPeer:
    return RawPeer(place.node.port, calling_aet="CT1")


def megabytes(uid: str, count: int) -> bytes:
    return image(uid, pixels=b"\1\2" * (count * MEGABYTE // 2))


def echo(peer: RawPeer) -> int:
    command = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_ECHO_RQ,
        message_id=1,
        data_set_type=NO_DATA_SET,
    )
    peer.write(peer.message(ECHO, command))
    return peer.next_status()


def found_studies(peer: RawPeer) -> int:
    """Ask for the one study; return how many answers came."""
    command = encode_command(
        affected_sop_class_uid=STUDY_ROOT_FIND,
        command_field=CommandField.C_FIND_RQ,
        message_id=1,
        priority=0,
        data_set_type=1,
    )
    peer.write(peer.message(FIND, command, STUDY))
    answers = 0
    while peer.next_status() == Status.PENDING:
        answers += 1
        while not (event := peer.next_event())[2]:
            assert isinstance(event, DataFragment)
    return answers


def stored_until_refused(peer: RawPeer, *, first: int, megabytes_each: int) -> list[str]:
    """Store until there is no room for such a one; return what was acknowledged."""
    acknowledged = []
    for number in range(first, first + 90):
        uid = f"1.2.3.1.{number}"
        status = peer.store(uid, megabytes(uid, megabytes_each))
        if status != Status.SUCCESS:
            assert status == 0xA700
            return acknowledged
        acknowledged.append(uid)
    pytest.fail("the disk did not fill up")


def test_a_full_disk_is_refused_while_echo_and_find_are_answered_and_room_mends_it(place: Place) -> None:
    with peer_of(place) as peer:
        assert peer.store("1.2.3.1.1", megabytes("1.2.3.1.1", 1)) == Status.SUCCESS
        with filled_up(place.disk, leave_bytes=RESERVE_BYTES):
            # What the lane has reserved is still written; then nothing more is begun.
            kept = stored_until_refused(peer, first=2, megabytes_each=4)
            kept += stored_until_refused(peer, first=100, megabytes_each=1)
            assert len(kept) >= 10
            assert peer.store("1.2.3.1.900", image("1.2.3.1.900")) == 0xA700
            assert echo(peer) == Status.SUCCESS
            assert found_studies(peer) == 1
            with peer_of(place) as other:
                assert other.store("1.2.3.1.901", image("1.2.3.1.901")) == 0xA700
                assert echo(other) == Status.SUCCESS
            assert served_datasets(place.node.data).keys() == {"1.2.3.1.1", *kept}
        # The same association, a moment later.
        assert peer.store("1.2.3.1.900", image("1.2.3.1.900")) == Status.SUCCESS
    assert served_datasets(place.node.data).keys() == {"1.2.3.1.1", "1.2.3.1.900", *kept}


def test_an_instance_for_which_the_room_ends_half_way_is_refused_and_leaves_nothing(place: Place) -> None:
    with peer_of(place) as peer:
        assert peer.store("1.2.3.1.1", image("1.2.3.1.1")) == Status.SUCCESS
        with filled_up(place.disk, leave_bytes=RESERVE_BYTES + 16 * MEGABYTE):
            # It begins in the 64 MiB that are reserved and would end outside of the disk.
            assert peer.store("1.2.3.1.2", megabytes("1.2.3.1.2", 100)) == 0xA700
            # Where it lay there is room for smaller ones.
            assert peer.store("1.2.3.1.3", megabytes("1.2.3.1.3", 4)) == Status.SUCCESS
        assert peer.store("1.2.3.1.2", megabytes("1.2.3.1.2", 100)) == Status.SUCCESS
    served = served_datasets(place.node.data)
    assert served.keys() == {"1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"}
    assert served["1.2.3.1.2"].dataset == megabytes("1.2.3.1.2", 100)


def test_a_disk_full_to_the_last_byte_confirms_nothing_it_does_not_keep(place: Place) -> None:
    with peer_of(place) as peer:
        assert peer.store("1.2.3.1.1", image("1.2.3.1.1")) == Status.SUCCESS
        acknowledged = {"1.2.3.1.1"}
        # Somebody else takes even what is reserved for the index.
        with filled_up(place.disk):
            for number in range(2, 60):
                uid = f"1.2.3.1.{number}"
                status = peer.store(uid, image(uid))
                assert status in {Status.SUCCESS, 0xA700}
                if status == Status.SUCCESS:
                    acknowledged.add(uid)
            assert echo(peer) == Status.SUCCESS
            assert found_studies(peer) == 1
        assert peer.store("1.2.3.1.900", image("1.2.3.1.900")) == Status.SUCCESS
    assert acknowledged <= served_datasets(place.node.data).keys()
