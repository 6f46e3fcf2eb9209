"""Whose messages are taken: by name, address and certificate."""

import ipaddress

import pytest

from pacs.worklist.hl7.message import SenderIdentity
from pacs.worklist.hl7.senders import Caller, SenderRule, SenderRules


def rule(facility: str, *, networks: tuple[str, ...] = (), names: frozenset[str] = frozenset()) -> SenderRule:
    return SenderRule(
        identity=SenderIdentity(application="DXCARE", facility=facility, site_id=f"site-{facility}", issuer=""),
        character_set="ASCII",
        networks=tuple(ipaddress.ip_network(network) for network in networks),
        requires_tls=bool(names),
        certificate_names=names,
    )


def site_of(rules: SenderRules, facility: str, address: str, names: frozenset[str] | None = None) -> str:
    found = rules.admitted("DXCARE", facility, Caller(address=address, certificate_names=names))
    return "" if found is None else found.identity.site_id


@pytest.mark.parametrize(
    ("facility", "address", "site"),
    [
        ("NORTH", "10.4.1.2", "site-NORTH"),
        ("NORTH", "::ffff:10.4.1.2", "site-NORTH"),
        ("NORTH", "10.5.1.2", ""),
        ("NORTH", "not an address", ""),
        ("SOUTH", "10.5.1.2", "site-"),
        ("", "10.9.9.9", "site-"),
    ],
)
def test_a_sender_is_known_by_facility_and_address(facility: str, address: str, site: str) -> None:
    rules = SenderRules(rules=(rule(""), rule("NORTH", networks=("10.4.0.0/16",))))

    assert site_of(rules, facility, address) == site


@pytest.mark.parametrize(
    ("names", "site"),
    [(None, ""), (frozenset(), ""), (frozenset({"eve"}), ""), (frozenset({"ris", "b"}), "site-NORTH")],
)
def test_a_sender_with_certificate_names_needs_one_of_them(names: frozenset[str] | None, site: str) -> None:
    rules = SenderRules(rules=(rule("NORTH", names=frozenset({"ris"})),))

    assert site_of(rules, "NORTH", "10.4.1.2", names) == site


def test_only_addresses_that_some_sender_calls_from_may_connect() -> None:
    rules = SenderRules(rules=(rule("NORTH", networks=("10.4.0.0/16",)), rule("SOUTH", networks=("10.5.0.0/16",))))

    assert [rules.may_connect(address) for address in ("10.4.0.1", "10.5.0.1", "10.6.0.1")] == [True, True, False]
    assert not SenderRules(rules=()).may_connect("127.0.0.1")
