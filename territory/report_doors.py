"""Doors that documents of reports go through: this node's own archive and the hospitals' AEs, by C-STORE.

For: the port `oncall.delivery.channels.dicom.StorageDoor` on `pacs.scu`. Not for: which documents, or when.

Invariants: an instance counts as stored only when the other end has answered success, or a warning that says that it
keeps it (PS3.4 B.2.3); what was stored before is stored again with the same bytes. The node's own archive is called on
its own port like any peer: what it acknowledges is in the journal, indexed, and told in the outbox.
"""

from collections.abc import Callable, Sequence
from typing import Final

from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import AssociationRejected, ConnectFailed, PeerUnavailable
from pacs.scu.part10 import FileMeta, NotPart10, read_meta
from pacs.scu.store import ContextChooser, plan_contexts, send_instance
from pacs.status import is_success_or_warning

TIMEOUTS: Final = Timeouts(connect_s=5.0, associate_s=10.0, response_s=30.0, release_s=2.0)
"""Shorter than for images: documents are small, and a delivery's lease must outlast its hand-over."""

FindPeer = Callable[[str], PeerAddress | None]
"""Returns where an AE title listens; None when this node may not call it."""


class ScuDoor:
    """Stores documents with peers.

    Parameters
    ----------
    find_peer : callable
        Says where an address is.
    calling_aet : str
        Who we are.
    """

    def __init__(self, find_peer: FindPeer, calling_aet: str, timeouts: Timeouts = TIMEOUTS) -> None:
        self._find_peer = find_peer
        self._calling_aet = calling_aet
        self._timeouts = timeouts

    def store(self, address: str, instances: Sequence[bytes]) -> str:
        """Store whole files; return why they are not all kept there, or nothing."""
        peer = self._find_peer(address)
        if peer is None:
            return "unknown_aet"
        try:
            files = [(read_meta(instance), instance) for instance in instances]
        except NotPart10:
            return "no_dicom_file"
        try:
            return self._store(peer, files)
        except AssociationRejected:
            return "rejected"
        except ConnectFailed:
            return "no_connection"
        except PeerUnavailable:
            return "association_ended"

    def _store(self, peer: PeerAddress, files: Sequence[tuple[FileMeta, bytes]]) -> str:
        # A report has three documents of three SOP classes: their contexts fit one association.
        (contexts,) = plan_contexts((meta.sop_class_uid, meta.transfer_syntax_uid) for meta, _ in files)
        with RequestorAssociation(
            peer, calling_aet=self._calling_aet, contexts=contexts, timeouts=self._timeouts
        ) as association:
            chooser = ContextChooser(
                (one.context_id, one.abstract_syntax, one.transfer_syntax) for one in association.contexts.values()
            )
            for meta, file in files:
                chosen = chooser.choose((meta.sop_class_uid, meta.transfer_syntax_uid))
                if chosen is None or chosen.is_transcoding:
                    return "not_accepted"
                dataset = memoryview(file)[meta.dataset_offset :]
                message_id = send_instance(
                    association, chosen.context_id, meta.sop_class_uid, meta.sop_instance_uid, dataset
                )
                status = association.receive_response(message_id).status
                if status is None or not is_success_or_warning(status):
                    return "refused" if status is None else f"refused_{status:04x}"
        return ""
