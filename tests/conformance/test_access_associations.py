"""Who may connect and what is negotiated, asked by pynetdicom and DCMTK; PS3.8 Table 9-21, PS3.7 D.3.3.4."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from benchmarks.peers.processes import wait_until
from pacs.scp.presentation import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from tests.harness.configured_node import ConfiguredNode
from tests.harness.peers import LOOPBACK, run_client

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
PRIVATE = "1.2.840.113619.4.30"
TOML = """
[dicom.limits]
associations_max = 6
[dicom.storage]
private_sop_classes = ["1.2.840.113619.4."]
[[peers]]
aet = "CT1"
addresses = ["127.0.0.1"]
rights = ["store", "commit"]
issuer = "NORTH"
associations_max = 2
[[peers]]
aet = "VIEWER"
addresses = ["127.0.0.0/30"]
rights = ["query", "retrieve"]
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredNode]:
    with ConfiguredNode(tmp_path_factory.mktemp("access"), TOML) as started:
        yield started


@dataclass
class Peer:
    """Opens associations and ends those that are left."""

    node: ConfiguredNode
    opened: list[Association]

    def associate(
        self,
        calling: str,
        *classes: str,
        called: str = "TELEGARDE",
        address: str = LOOPBACK,
        roles: tuple[str, ...] = (),
    ) -> Association:
        ae = AE(calling)
        for uid in classes or (VERIFICATION,):
            ae.add_requested_context(uid)
        association = ae.associate(
            LOOPBACK,
            self.node.port,
            ae_title=called,
            bind_address=(address, 0),
            ext_neg=[build_role(uid, scp_role=True) for uid in roles],
        )
        self.opened.append(association)
        return association


@pytest.fixture
def peer(node: ConfiguredNode) -> Iterator[Peer]:
    node.wait_until_idle()
    made = Peer(node, [])
    yield made
    for association in made.opened:
        if association.is_established:
            association.release()


def rejection(association: Association) -> tuple[int, int, int]:
    assert association.is_rejected
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def accepted(association: Association) -> set[str]:
    return {str(context.abstract_syntax) for context in association.accepted_contexts}


def test_a_configured_peer_is_admitted_and_echoes(peer: Peer) -> None:
    association = peer.associate("CT1")

    assert association.is_established
    assert association.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    ("calling", "called", "address", "reason"),
    [
        ("CT1", "OTHER", "127.0.0.1", 7),
        ("CT2", "TELEGARDE", "127.0.0.1", 3),
        ("CT1", "TELEGARDE", "127.0.0.2", 3),
        ("VIEWER", "TELEGARDE", "127.0.0.5", 3),
    ],
    ids=["called title", "calling title", "address", "network"],
)
def test_a_stranger_is_rejected_for_good_with_the_reason(
    peer: Peer, calling: str, called: str, address: str, reason: int
) -> None:
    # Once, on a loaded machine, pynetdicom reported neither acceptance nor rejection: that is no answer, so ask again.
    attempts = (peer.associate(calling, called=called, address=address) for _ in range(3))
    answered = next(one for one in attempts if one.is_rejected or one.is_established)
    assert rejection(answered) == (1, 1, reason)


def test_dcmtk_is_told_why_it_is_rejected(node: ConfiguredNode) -> None:
    finished = run_client("echoscu", ["-aet", "CT2", "-aec", "TELEGARDE", LOOPBACK, str(node.port)])

    assert finished.returncode != 0
    assert "Calling AE Title Not Recognized" in finished.stdout + finished.stderr


def test_a_peer_is_admitted_from_each_address_of_its_network(peer: Peer) -> None:
    assert peer.associate("VIEWER", address="127.0.0.3").is_established


def test_contexts_without_the_right_are_refused_and_others_accepted(peer: Peer) -> None:
    asked = (VERIFICATION, CT, PRIVATE, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET, STORAGE_COMMITMENT_PUSH_MODEL)

    assert accepted(peer.associate("CT1", *asked)) == {VERIFICATION, CT, PRIVATE, STORAGE_COMMITMENT_PUSH_MODEL}
    viewer = peer.associate("VIEWER", *asked)
    assert accepted(viewer) == {VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET}


def test_a_private_sop_class_that_no_policy_names_is_refused(peer: Peer) -> None:
    assert accepted(peer.associate("CT1", VERIFICATION, "1.3.46.670589.11.0.0.12.1")) == {VERIFICATION}


def test_a_c_get_requestor_is_storage_scp_without_the_right_to_store(peer: Peer) -> None:
    association = peer.associate("VIEWER", STUDY_ROOT_GET, CT, roles=(CT,))

    (context,) = [one for one in association.accepted_contexts if one.abstract_syntax == CT]
    assert context.as_scp
    assert not context.as_scu


def test_one_association_more_than_a_peer_may_have_is_rejected_for_now(peer: Peer) -> None:
    first, second = peer.associate("CT1"), peer.associate("CT1")
    assert first.is_established
    assert second.is_established

    assert rejection(peer.associate("CT1")) == (2, 3, 2)


def test_one_association_more_than_the_node_takes_is_rejected_for_now(peer: Peer) -> None:
    held = [peer.associate("VIEWER") for _ in range(6)]
    assert all(association.is_established for association in held)

    assert rejection(peer.associate("CT1")) == (2, 3, 1)


def test_places_are_free_again_after_release_and_after_abort(peer: Peer, node: ConfiguredNode) -> None:
    for end in ("release", "abort"):
        for association in (peer.associate("CT1"), peer.associate("CT1")):
            assert association.is_established
            getattr(association, end)()
        node.wait_until_idle()

    assert peer.associate("CT1").is_established


def test_the_log_names_the_rule_and_no_more(node: ConfiguredNode, peer: Peer) -> None:
    peer.associate("CT1", address="127.0.0.2")

    # The answer may arrive before the line has come through the supervisor.
    wait_until(lambda: "rule=address" in node.process.output(), what="the rejection in the log")
    line = [line for line in node.process.output().splitlines() if "rule=address" in line][-1]
    assert "association_rejected" in line
    assert "calling_aet=CT1" in line
