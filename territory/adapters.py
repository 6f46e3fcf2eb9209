"""What `pacs` asks of its surroundings, answered from settings and packs: small classes that fit one side to the other.

For: `territory.bootstrap`, which hands them out.
"""

import dataclasses
from collections.abc import Callable, Mapping
from io import BytesIO

from pydicom import Dataset, dcmread

from foundation import log
from foundation.errors import Unavailable
from oncall.strict_json import DocumentInvalid
from pacs.archive.reader import InstanceUnreadable, PackReader
from pacs.contracts import InstanceRef
from pacs.scp import tls
from pacs.scp.access import Admitted, Call, Load, Rejected
from pacs.scu.association import PeerAddress
from territory import settings_rules
from territory.settings import Settings

Decide = Callable[[Call, Load], Admitted | Rejected]


def sites_of_callers(decide: Decide, site_of: Callable[[str], str]) -> Decide:
    """Return `decide`, with the site that the directory knows an AE title to be of: where no settings name it.

    A directory that cannot be read gives no site, and so no orders; storing goes on.
    """

    def decided(call: Call, load: Load) -> Admitted | Rejected:
        decision = decide(call, load)
        if isinstance(decision, Rejected):
            return decision
        try:
            site = site_of(call.calling_aet)
        except (Unavailable, DocumentInvalid):
            log.error("site_of_caller_unknown", calling_aet=call.calling_aet)
            return decision
        return Admitted(rights=dataclasses.replace(decision.rights, site=site))

    return decided


class ConfiguredPeers:
    """The peers that this node may call; implements `pacs.scp.retrieve.Destinations`."""

    def __init__(self, settings: Settings) -> None:
        files = settings_rules.tls_files(settings)
        context = tls.client_context(files) if files is not None else None
        self._addresses = {
            peer.aet: PeerAddress(host=peer.host, port=peer.port, ae_title=peer.aet, tls=context if peer.tls else None)
            for peer in settings.peers
            if peer.host is not None and peer.port is not None
        }

    @property
    def addresses(self) -> Mapping[str, PeerAddress]:
        """Where each AE title listens."""
        return self._addresses

    def find(self, ae_title: str) -> PeerAddress | None:
        """Return where an AE title listens; None when it is not configured."""
        return self._addresses.get(ae_title)


class StoredHeaders:
    """Reads the headers of stored instances; implements `pacs.archive.query_rows.HeaderReader`."""

    def __init__(self, reader: PackReader) -> None:
        self._reader = reader

    def read_dataset(self, ref: InstanceRef) -> Dataset:
        """Return a stored instance's data set up to its pixel data.

        Raises
        ------
        foundation.errors.Unavailable
            If the bytes cannot be had, or pydicom cannot read them.
        """
        file = self._reader.read_file(ref)
        try:
            return dcmread(BytesIO(file), stop_before_pixels=True, force=True)
        except Exception as error:  # pydicom raises whatever the damage provokes
            raise InstanceUnreadable(ref.sop_instance_uid) from error
