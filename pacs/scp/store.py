"""The C-STORE SCP: streams each data set into the archive and says what became of it.

Success is said only for what `pacs.archive.ingest` confirmed. Whatever is refused is refused by a status, after the
data set has been taken in and dropped, so that the association goes on.

References
----------
PS3.4 B.2.3 (statuses), PS3.7 9.1.1
"""

from dataclasses import dataclass
from typing import Final

from foundation import log
from foundation.errors import DiskFull, TelegardeError, Unavailable
from pacs.archive.header import UnusableDataSet
from pacs.archive.ingest import Announcement, Ingest, InstanceStream, NotAsAnnounced, Receipt
from pacs.scp.association_facts import StudiesStored, TellEnd, ending_of
from pacs.scp.services import Context, Peer
from pacs.status import Status
from pacs.upper_layer import dimse
from pacs.upper_layer.dimse import Command

_RECEIPTS: Final = {
    Receipt.STORED: (Status.SUCCESS, ""),
    Receipt.ALREADY_STORED: (Status.SUCCESS, ""),
    Receipt.STORED_DAMAGED: (
        Status.WARNING_DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        "kept as sent, but the data set is damaged",
    ),
    Receipt.KEPT_AS_EVIDENCE: (
        Status.COERCION_OF_DATA_ELEMENTS,
        "other bytes are served under this UID; yours kept as evidence",
    ),
    Receipt.CONFLICT_REFUSED: (Status.DUPLICATE_SOP_INSTANCE, "other bytes are stored under this UID"),
}


@dataclass(slots=True)
class StoreTally:
    """What one association stored, for its summary line."""

    instances: int = 0
    dataset_bytes: int = 0
    duplicates: int = 0
    conflicts: int = 0
    failures: int = 0


class StoreReceiver:
    """Receives the C-STORE requests of one association, one after another."""

    def __init__(self, ingest: Ingest, peer: Peer) -> None:
        self._ingest = ingest
        self._peer = peer
        self._stream: InstanceStream | None = None
        self._request: Command | None = None
        self._refusal: tuple[int, str] | None = None
        self._is_receiving = False
        self._studies = StudiesStored()
        self.tally = StoreTally()

    def begin(self, context: Context, request: Command) -> None:
        """Take a C-STORE-RQ; its data set follows through `write`."""
        self._request = request
        self._is_receiving = True
        self._refusal = self._refuse(context, request)
        if self._refusal is None:
            if self._stream is None:
                self._stream = self._ingest.open_stream()
            try:
                self._stream.begin(
                    Announcement(
                        sop_class_uid=request.affected_sop_class_uid,
                        sop_instance_uid=request.affected_sop_instance_uid,
                        transfer_syntax_uid=context.transfer_syntax,
                        calling_aet=self._peer.calling_aet,
                        issuer=self._peer.rights.issuer,
                    )
                )
            except TelegardeError as error:
                self._fail(error)

    def write(self, fragment: memoryview) -> None:
        """Take a fragment of the data set; copied before this returns."""
        if self._refusal is None and self._stream is not None:
            try:
                self._stream.write(fragment)
            except TelegardeError as error:
                self._fail(error)

    def room(self, length: int) -> memoryview | None:
        """Return where the next bytes, at most `length`, may be received; None when they must go through `write`."""
        if self._refusal is not None or self._stream is None:
            return None
        return self._stream.room(length) or None

    def advance(self, length: int) -> None:
        """Take what was received into the last `room`."""
        assert self._stream is not None
        try:
            self._stream.advance(length)
        except TelegardeError as error:
            self._fail(error)

    def finish(self) -> bytes:
        """Return the C-STORE-RSP to send, after the data set's last fragment."""
        request = self._request
        assert request is not None
        self._is_receiving = False
        tally = self.tally
        if self._refusal is None:
            stream = self._stream
            assert stream is not None
            length = stream.dataset_length_bytes
            try:
                receipt = stream.finish()
            except TelegardeError as error:
                self._fail(error)
            else:
                status, comment = _RECEIPTS[receipt]
                self._studies.add(stream.study_instance_uid)
                tally.instances += 1
                tally.dataset_bytes += length
                if receipt is Receipt.ALREADY_STORED:
                    tally.duplicates += 1
                elif receipt in {Receipt.KEPT_AS_EVIDENCE, Receipt.CONFLICT_REFUSED}:
                    tally.conflicts += 1
                return self._answer(request, status, comment)
        assert self._refusal is not None
        tally.failures += 1
        status_code, comment = self._refusal
        log.warning(
            "store_refused",
            calling_aet=self._peer.calling_aet,
            status=f"{status_code:04X}",
            reason=comment,
            # A request with an error may name no instance, or one that is no UID and not for a log.
            sop_instance=request.affected_sop_instance_uid if request.error is None else "",
        )
        return self._answer(request, status_code, comment)

    def close(self) -> None:
        """Give back what the association held; an instance in the middle is forgotten."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def end(self, word: str, tell: TellEnd) -> None:
        """Give back what the association held, and state how it ended if it stored anything (`word`: in the log)."""
        try:
            self.close()
        finally:
            uids = self._studies.uids
            if uids:
                tell(self._peer.calling_aet, uids, ending_of(word, is_receiving=self._is_receiving))

    def _refuse(self, context: Context, request: Command) -> tuple[int, str] | None:
        if request.error is not None:
            return request.error.status, str(request.error)
        if not self._peer.rights.may_store:
            return Status.NOT_AUTHORIZED, "this AE may not store here"
        if request.affected_sop_class_uid != context.abstract_syntax:
            return Status.SOP_CLASS_NOT_SUPPORTED, "not the SOP Class of the presentation context"
        return None

    def _fail(self, error: TelegardeError) -> None:
        self._refusal = status_of(error), str(error)
        if self._stream is not None:
            self._stream.abandon()

    @staticmethod
    def _answer(request: Command, status: int, comment: str) -> bytes:
        if request.error is not None:
            return dimse.response(request, status, error_comment=comment or None)
        return dimse.store_response(
            request.message_id,
            request.affected_sop_class_uid,
            request.affected_sop_instance_uid,
            status,
            comment,
        )


def status_of(error: TelegardeError) -> Status:
    """Return the status that answers an error on the way in (the one table of this edge)."""
    if isinstance(error, NotAsAnnounced):
        return Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    if isinstance(error, UnusableDataSet):
        return Status.CANNOT_UNDERSTAND
    if isinstance(error, DiskFull | Unavailable):
        return Status.OUT_OF_RESOURCES
    return Status.PROCESSING_FAILURE
