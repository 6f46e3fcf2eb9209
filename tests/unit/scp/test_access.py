"""Who is admitted: everything that no rule names is rejected with the reason of PS3.8 Table 9-21."""

import dataclasses
import ipaddress

import pytest

from pacs.scp.access import AccessRules, Admitted, Call, Load, PeerRule, Rejected, RejectedBy, decide
from pacs.scp.services import Rights
from pacs.upper_layer.associate import RejectResult, RejectSource

RIGHTS = Rights(may_store=True, may_query=False, may_retrieve=False, move_destinations=frozenset(), issuer="NORTH")
CT = PeerRule(
    networks=(ipaddress.ip_network("10.4.1.20/32"), ipaddress.ip_network("10.9.0.0/16")),
    requires_tls=False,
    certificate_names=frozenset(),
    associations_max=2,
    rights=RIGHTS,
)
WORKSTATION = dataclasses.replace(CT, requires_tls=True, certificate_names=frozenset({"reading room 1"}))
RULES = AccessRules(
    called_aets=frozenset({"TELEGARDE"}), peers={"CT1": CT, "READING_1": WORKSTATION}, anyone=None, associations_max=10
)
IDLE = Load(associations=0, associations_of_peer=0)


def call(
    *,
    calling: str = "CT1",
    called: str = "TELEGARDE",
    address: str = "10.4.1.20",
    names: frozenset[str] | None = None,
) -> Call:
    return Call(called_aet=called, calling_aet=calling, address=address, certificate_names=names)


def rejection(call: Call, load: Load = IDLE) -> Rejected:
    decision = decide(RULES, call, load)
    assert isinstance(decision, Rejected)
    return decision


def test_a_configured_peer_at_its_address_gets_its_rights() -> None:
    assert decide(RULES, call(), IDLE) == Admitted(rights=RIGHTS)


def test_another_called_ae_title_is_rejected_with_reason_7() -> None:
    rejected = rejection(call(called="OTHER"))

    assert rejected.rejected_by is RejectedBy.CALLED_AET
    assert (rejected.answer.result, rejected.answer.source, rejected.answer.reason) == (1, 1, 7)


@pytest.mark.parametrize(
    ("stranger", "rejected_by"),
    [
        (call(calling="CT2"), RejectedBy.CALLING_AET),
        (call(calling="ct1"), RejectedBy.CALLING_AET),
        (call(address="10.4.1.21"), RejectedBy.ADDRESS),
        (call(address="::1"), RejectedBy.ADDRESS),
        (call(address="not an address"), RejectedBy.ADDRESS),
        (call(calling="READING_1"), RejectedBy.TLS_REQUIRED),
        (call(calling="READING_1", names=frozenset()), RejectedBy.CERTIFICATE),
        (call(calling="READING_1", names=frozenset({"reading room 2"})), RejectedBy.CERTIFICATE),
    ],
)
def test_a_stranger_is_rejected_with_reason_3(stranger: Call, rejected_by: RejectedBy) -> None:
    rejected = rejection(stranger)

    assert rejected.rejected_by is rejected_by
    assert (rejected.answer.result, rejected.answer.source, rejected.answer.reason) == (1, 1, 3)


def test_a_network_admits_each_of_its_addresses() -> None:
    assert isinstance(decide(RULES, call(address="10.9.200.3"), IDLE), Admitted)


def test_an_ipv4_address_is_known_when_the_socket_listens_on_ipv6() -> None:
    assert isinstance(decide(RULES, call(address="::ffff:10.4.1.20"), IDLE), Admitted)
    assert rejection(call(address="::ffff:10.4.1.21")).rejected_by is RejectedBy.ADDRESS


def test_a_link_local_address_is_matched_without_its_interface() -> None:
    rules = dataclasses.replace(
        RULES, peers={"CT1": dataclasses.replace(CT, networks=(ipaddress.ip_network("fe80::/10"),))}
    )

    assert isinstance(decide(rules, call(address="fe80::1%eth0"), IDLE), Admitted)


def test_a_certificate_that_carries_the_configured_name_is_admitted() -> None:
    names = frozenset({"reading room 1", "host.example"})

    assert isinstance(decide(RULES, call(calling="READING_1", names=names), IDLE), Admitted)


def test_a_peer_may_use_tls_when_it_need_not() -> None:
    assert isinstance(decide(RULES, call(names=frozenset({"ct1"})), IDLE), Admitted)


def test_the_last_association_within_a_limit_is_admitted() -> None:
    assert isinstance(decide(RULES, call(), Load(associations=9, associations_of_peer=1)), Admitted)


@pytest.mark.parametrize(
    ("load", "rejected_by", "reason"),
    [
        (Load(associations=10, associations_of_peer=0), RejectedBy.ASSOCIATIONS, 1),
        (Load(associations=2, associations_of_peer=2), RejectedBy.ASSOCIATIONS_OF_PEER, 2),
    ],
)
def test_a_limit_is_a_transient_rejection(load: Load, rejected_by: RejectedBy, reason: int) -> None:
    rejected = rejection(call(), load)

    assert rejected.rejected_by is rejected_by
    assert rejected.answer.result == RejectResult.TRANSIENT
    assert rejected.answer.source == RejectSource.SERVICE_PROVIDER_PRESENTATION
    assert rejected.answer.reason == reason


def test_a_stranger_does_not_learn_that_the_node_is_busy() -> None:
    assert rejection(call(calling="CT2"), Load(associations=10, associations_of_peer=0)).answer.result == 1


def test_the_rule_for_anyone_does_not_widen_a_named_peer() -> None:
    rules = dataclasses.replace(RULES, anyone=dataclasses.replace(CT, networks=(ipaddress.ip_network("127.0.0.0/8"),)))

    assert isinstance(decide(rules, call(calling="ANY", address="127.0.0.1"), IDLE), Admitted)
    assert isinstance(decide(rules, call(calling="ANY", address="10.4.1.20"), IDLE), Rejected)
    assert isinstance(decide(rules, call(calling="CT1", address="127.0.0.1"), IDLE), Rejected)
