"""Delivers storage commitment results that no association has taken yet, each on a new one, until the peer confirms.

For: the supervisor's maintenance loop. Not for: requests (`pacs.scp.commitment`).

Invariants: a report is tried with longer and longer waits until `ATTEMPTS_MAX`, then it is an error in the log and
stays in the ledger; requests that a crash left unchecked are checked here; a peer that does not answer costs one
attempt per turn and never holds up the others for longer.

References
----------
PS3.4 J.3.3 (the SCP may use another association), PS3.7 D.3.3.4 (roles: we are SCP and request the association)
"""

from collections.abc import Callable, Mapping
from typing import Final

from foundation import log
from foundation.errors import Unavailable
from pacs.archive.commitment import Commitment, FileReader, Ledger, NodeStopping, State, examine
from pacs.scp.commitment_messages import encode_event_information, encode_event_report, is_taken
from pacs.scp.presentation import STORAGE_COMMITMENT_PUSH_MODEL
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.upper_layer.associate import PresentationContextProposal, RoleSelection

_CONTEXT_ID: Final = 1
_TRANSFER_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit and Implicit VR Little Endian: every AE takes the second (PS3.5 10.1)."""

Report = Callable[[Commitment], None]
"""Delivers one checked commitment, or raises `Unavailable`."""


class ReportNotTaken(Unavailable):
    """The peer was reached and did not take the report."""


class NoReportAddress(Unavailable):
    """The peer is not configured with host and port, so no new association can be opened with it."""


class ReportCaller:
    """Reports on new associations.

    Parameters
    ----------
    addresses : mapping
        Where each AE title listens.
    timeouts : Timeouts
    """

    def __init__(self, addresses: Mapping[str, PeerAddress], timeouts: Timeouts) -> None:
        self._addresses = addresses
        self._timeouts = timeouts

    def __call__(self, examined: Commitment) -> None:
        """Deliver one result.

        Raises
        ------
        NoReportAddress, ReportNotTaken, pacs.scu.errors.PeerUnavailable
            It was not delivered, or the peer's answer was lost.
        """
        assert examined.result is not None
        address = self._addresses.get(examined.calling_aet)
        if address is None:
            raise NoReportAddress(f"give host and port of peer {examined.calling_aet} in the settings")
        with RequestorAssociation(
            address,
            # The title by which the peer asked us.
            calling_aet=examined.called_aet,
            contexts=[
                PresentationContextProposal(
                    context_id=_CONTEXT_ID,
                    abstract_syntax=STORAGE_COMMITMENT_PUSH_MODEL,
                    transfer_syntaxes=_TRANSFER_SYNTAXES,
                )
            ],
            roles=[RoleSelection(sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL, scu_role=False, scp_role=True)],
            timeouts=self._timeouts,
        ) as association:
            # Whether it answered the role selection is not looked at: modalities that do not still take the report.
            context = association.contexts.get(_CONTEXT_ID)
            if context is None:
                raise ReportNotTaken("the peer accepts no storage commitment context")
            message_id = association.next_message_id()
            answer = association.request(
                _CONTEXT_ID,
                message_id,
                encode_event_report(message_id, examined.result),
                encode_event_information(examined.transaction_uid, examined.result, context.transfer_syntax),
            )
            if not is_taken(answer, message_id):
                raise ReportNotTaken(f"the peer answers the report with status {answer.status:04X}")


class CommitmentRelay:
    """Takes up what is due.

    Parameters
    ----------
    ledger : Ledger
    reader : FileReader
        Reads stored bytes again, for requests not yet checked.
    report : callable
        Usually a `ReportCaller`.
    is_stopping : callable
        Says that the turn should end at its next step.
    """

    def __init__(self, ledger: Ledger, reader: FileReader, report: Report, *, is_stopping: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._reader = reader
        self._report = report
        self._is_stopping = is_stopping

    def deliver_due(self) -> int:
        """Try everything that is due once; return how many results were delivered.

        Raises
        ------
        foundation.database.DatabaseAway
            The rest is due again at the next turn, or when its lease runs out.
        """
        delivered = 0
        silent: set[str] = set()
        while not self._is_stopping():
            kept = self._ledger.claim_due(but_not_for=silent)
            if kept is None:
                break
            try:
                if kept.result is None:
                    kept = examine(self._ledger, self._reader, kept, is_stopping=self._is_stopping)
            except NodeStopping:
                self._ledger.hand_over(kept)
                break
            try:
                self._report(kept)
            except ReportNotTaken as error:
                self._note_failure(kept, str(error))
            except Unavailable as error:
                self._note_failure(kept, str(error))
                silent.add(kept.calling_aet)
            else:
                self._ledger.delivered(kept)
                log.info("commitment_delivered", **_fields(kept))
                delivered += 1
        self._ledger.purge()
        return delivered

    def _note_failure(self, kept: Commitment, reason: str) -> None:
        if self._ledger.failed(kept) is State.GIVEN_UP:
            log.error("commitment_given_up", **_fields(kept), reason=reason)
        else:
            log.warning("commitment_not_delivered", **_fields(kept), reason=reason)


def _fields(kept: Commitment) -> dict[str, object]:
    return {"calling_aet": kept.calling_aet, "transaction": kept.transaction_uid, "attempt": kept.attempts}
