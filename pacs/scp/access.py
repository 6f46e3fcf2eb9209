"""Who may open an association, and what it may do then: one pure decision, taken once per A-ASSOCIATE-RQ.

For: AE titles, address, TLS and certificate, limits. Not for: what the request itself breaks
(`pacs.upper_layer.negotiation.refusal`), which presentation contexts are accepted (`pacs.scp.presentation`), or
counting associations (the engine does and gives the counts in).

Invariants: what no rule admits is rejected; a stranger learns nothing but that it is one (identity is judged before
load); a peer with `requires_tls` is never admitted on its AE title alone.

References
----------
PS3.8 9.3.4, Table 9-21
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs.scp.services import Rights
from pacs.upper_layer.associate import AssociateReject, RejectResult, RejectSource

__all__ = ["AccessRules", "Admitted", "Call", "Load", "Network", "PeerRule", "Rejected", "RejectedBy", "decide"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_CALLING_AE_TITLE_NOT_RECOGNIZED: Final = 3
_CALLED_AE_TITLE_NOT_RECOGNIZED: Final = 7
_TEMPORARY_CONGESTION: Final = 1
_LOCAL_LIMIT_EXCEEDED: Final = 2


class RejectedBy(StrEnum):
    """Which rule rejected a call; for the log, the peer is told the standard's reason only."""

    CALLED_AET = "called_aet"
    CALLING_AET = "calling_aet"
    ADDRESS = "address"
    TLS_REQUIRED = "tls_required"
    CERTIFICATE = "certificate"
    ASSOCIATIONS = "associations_max"
    ASSOCIATIONS_OF_PEER = "associations_per_peer_max"


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerRule:
    """What is demanded of one calling AE, and what it may do.

    Attributes
    ----------
    networks : tuple of ip_network
        Where it may call from; empty admits no address.
    requires_tls : bool
        Whether a call without TLS is rejected.
    certificate_names : frozenset of str
        Lower-case names of which its certificate must carry one; empty for any certificate that the TLS layer
        accepted.
    associations_max : int
        Open at once under this AE title.
    """

    networks: tuple[Network, ...]
    requires_tls: bool
    certificate_names: frozenset[str]
    associations_max: int
    rights: Rights


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessRules:
    """All rules of a node.

    Attributes
    ----------
    called_aets : frozenset of str
        AE titles this node answers to.
    peers : mapping
        Rule by calling AE title.
    anyone : PeerRule or None
        Rule of calling AE titles that are not in `peers`: only the open loopback demonstration has one.
    associations_max : int
        Open at once, all peers together.
    """

    called_aets: frozenset[str]
    peers: Mapping[str, PeerRule]
    anyone: PeerRule | None
    associations_max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """An association request, as far as access depends on it.

    Attributes
    ----------
    address : str
        Of the other end of the connection, as the socket gives it.
    certificate_names : frozenset of str or None
        Lower-case names in the certificate that TLS verified (`pacs.scp.tls.certificate_names`); None without TLS.
    """

    called_aet: str
    calling_aet: str
    address: str
    certificate_names: frozenset[str] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """How many associations are open now, without the one that is asked for."""

    associations: int
    associations_of_peer: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """The association may be negotiated, within these rights."""

    rights: Rights


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The association is rejected: what to answer and why."""

    answer: AssociateReject
    rejected_by: RejectedBy


def decide(rules: AccessRules, call: Call, load: Load) -> Admitted | Rejected:
    """Decide about one association request.

    Returns
    -------
    Admitted or Rejected
        A wrong address, a missing TLS or a wrong certificate is answered "calling AE title not recognized": the peer is
        not who it says. Limits are transient, so that a modality tries again.

    References
    ----------
    PS3.8 Table 9-21
    """
    if call.called_aet not in rules.called_aets:
        return _permanent(_CALLED_AE_TITLE_NOT_RECOGNIZED, RejectedBy.CALLED_AET)
    rule = rules.peers.get(call.calling_aet, rules.anyone)
    if rule is None:
        return _permanent(_CALLING_AE_TITLE_NOT_RECOGNIZED, RejectedBy.CALLING_AET)
    stranger = _is_stranger(rule, call)
    if stranger is not None:
        return _permanent(_CALLING_AE_TITLE_NOT_RECOGNIZED, stranger)
    if load.associations >= rules.associations_max:
        return _transient(_TEMPORARY_CONGESTION, RejectedBy.ASSOCIATIONS)
    if load.associations_of_peer >= rule.associations_max:
        return _transient(_LOCAL_LIMIT_EXCEEDED, RejectedBy.ASSOCIATIONS_OF_PEER)
    return Admitted(rights=rule.rights)


def _is_stranger(rule: PeerRule, call: Call) -> RejectedBy | None:
    if not _is_within(call.address, rule.networks):
        return RejectedBy.ADDRESS
    if not rule.requires_tls:
        return None
    if call.certificate_names is None:
        return RejectedBy.TLS_REQUIRED
    if rule.certificate_names and rule.certificate_names.isdisjoint(call.certificate_names):
        return RejectedBy.CERTIFICATE
    return None


def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        # A link-local address carries its interface (fe80::1%eth0), which is no part of any network.
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # A socket that listens on IPv6 shows IPv4 callers as ::ffff:10.0.0.1.
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def _permanent(reason: int, rejected_by: RejectedBy) -> Rejected:
    answer = AssociateReject(result=RejectResult.PERMANENT, source=RejectSource.SERVICE_USER, reason=reason)
    return Rejected(answer=answer, rejected_by=rejected_by)


def _transient(reason: int, rejected_by: RejectedBy) -> Rejected:
    source = RejectSource.SERVICE_PROVIDER_PRESENTATION
    answer = AssociateReject(result=RejectResult.TRANSIENT, source=source, reason=reason)
    return Rejected(answer=answer, rejected_by=rejected_by)
