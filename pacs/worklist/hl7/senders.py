"""Whose messages are taken: sending applications that the settings know, by name, address and certificate.

For: the decision. Not for: reading names from a message (`pacs.worklist.hl7.header`).

Invariant: an application that is not configured, or that calls from elsewhere, is nobody: its messages have no effect.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from pacs.worklist.hl7.message import SenderIdentity

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """The other end of a connection.

    Attributes
    ----------
    address : str
        As the socket gives it.
    certificate_names : frozenset of str or None
        Lower-case names in its certificate; None without TLS.
    """

    address: str
    certificate_names: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderRule:
    """One sending application of the settings.

    Attributes
    ----------
    identity : SenderIdentity
    character_set : str
        Of its messages without MSH-18.
    networks : tuple of Network
        Where it calls from; () for anywhere.
    requires_tls : bool
    certificate_names : frozenset of str
        Lower-case names of which its certificate must have one; empty for any that the authorities signed.
    """

    identity: SenderIdentity
    character_set: str
    networks: tuple[Network, ...] = ()
    requires_tls: bool = False
    certificate_names: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderRules:
    """Every sending application.

    Attributes
    ----------
    rules : tuple of SenderRule
        At most one of the same application and facility.
    anyone : callable or None
        Gives a rule for an application and facility that are not in `rules`, or None; only the open demonstration has
        one.
    """

    rules: tuple[SenderRule, ...]
    anyone: Callable[[str, str], SenderRule | None] | None = None

    def named(self, application: str, facility: str) -> SenderRule | None:
        """Return the rule of these names, whoever says them; one without a facility is for every facility."""
        of_application = [rule for rule in self.rules if rule.identity.application == application]
        for wanted in (facility, ""):
            for rule in of_application:
                if rule.identity.facility == wanted:
                    return rule
        return None if self.anyone is None else self.anyone(application, facility)

    def admitted(self, application: str, facility: str, caller: Caller) -> SenderRule | None:
        """Return the rule of these names when this caller may say them."""
        rule = self.named(application, facility)
        if rule is None or not _is_within(caller.address, rule.networks):
            return None
        if rule.requires_tls and caller.certificate_names is None:
            return None
        if rule.certificate_names and rule.certificate_names.isdisjoint(caller.certificate_names or ()):
            return None
        return rule

    def may_connect(self, address: str) -> bool:
        """Say whether any application may call from this address."""
        return self.anyone is not None or any(_is_within(address, rule.networks) for rule in self.rules)


def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks:
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # A socket that listens on IPv6 shows IPv4 callers as ::ffff:10.0.0.1.
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)
