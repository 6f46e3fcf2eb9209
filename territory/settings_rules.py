"""Turns settings into the rules that `pacs` takes, because `pacs` knows no settings.

Invariant: every rule comes from a named setting; nothing is granted here that the settings do not grant.
"""

import ipaddress
from types import MappingProxyType
from typing import Final

from pacs.scp.access import AccessRules, PeerRule
from pacs.scp.presentation import PresentationPolicy
from pacs.scp.services import Rights
from pacs.scp.tls import TlsFiles
from territory.settings import Peer, Right, Settings
from territory.settings_checks import calling_networks

_LOOPBACK_NETWORKS: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))


def access_rules(settings: Settings) -> AccessRules:
    """Return who may connect and what they may do."""
    return AccessRules(
        called_aets=frozenset(settings.dicom.aet),
        peers=MappingProxyType(
            {}
            if settings.is_open_loopback
            else {peer.aet: _peer_rule(settings, peer) for peer in settings.peers if peer.rights}
        ),
        anyone=_open_loopback_rule(settings) if settings.is_open_loopback else None,
        associations_max=settings.dicom.limits.associations_max,
    )


def _peer_rule(settings: Settings, peer: Peer) -> PeerRule:
    is_any = peer.move_destinations == ("*",)
    return PeerRule(
        networks=calling_networks(peer),
        requires_tls=peer.tls,
        certificate_names=frozenset(name.lower() for name in peer.certificate_names),
        associations_max=peer.associations_max or settings.dicom.limits.associations_per_peer_max,
        rights=Rights(
            may_store=Right.STORE in peer.rights,
            may_query=Right.QUERY in peer.rights,
            may_retrieve=Right.RETRIEVE in peer.rights,
            may_commit=Right.COMMIT in peer.rights,
            move_destinations=None if is_any else frozenset(peer.move_destinations),
            issuer=peer.issuer,
            may_worklist=Right.WORKLIST in peer.rights,
            may_workitems=Right.WORKITEMS in peer.rights,
            site=peer.site,
        ),
    )


def _open_loopback_rule(settings: Settings) -> PeerRule:
    return PeerRule(
        networks=_LOOPBACK_NETWORKS,
        requires_tls=False,
        certificate_names=frozenset(),
        associations_max=settings.dicom.limits.associations_per_peer_max,
        rights=Rights(
            may_store=True,
            may_query=True,
            may_retrieve=True,
            may_commit=True,
            may_worklist=True,
            may_workitems=True,
            move_destinations=None,
            issuer="",
        ),
    )


def presentation_policy(settings: Settings) -> PresentationPolicy:
    """Return which SOP Classes are offered."""
    return PresentationPolicy(private_sop_classes=settings.dicom.storage.private_sop_classes)


def tls_files(settings: Settings) -> TlsFiles | None:
    """Return the node's certificate, key and authorities; None when it has no TLS."""
    tls = settings.dicom.tls
    if tls is None:
        return None
    return TlsFiles(
        certificate_file=tls.certificate_file,
        key_file=tls.key_file,
        ca_file=tls.ca_file,
        key_password=settings.key_password.reveal() if settings.key_password else None,
    )
