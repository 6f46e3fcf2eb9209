"""Making a dossier: gathered from one snapshot, sealed with the node's key, and recorded in the case's own log.

For: `Evidence`, which the command line and the pages ask. Not for: what a dossier holds (`oncall.evidence.gathering`).

Invariant: a dossier is handed out only after its sealing is committed as ``evidence.sealed`` in the log of its case, so
that a dossier nobody recorded is one that nobody made.
"""

from datetime import datetime

from foundation import log
from foundation.database import Database
from foundation.errors import TelegardeError
from oncall.case.commands import Context, Facts, say
from oncall.case.event import Actor, CaseId
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.engine.engine import Engine
from oncall.evidence.dossier import Gathered, Sealed, digest_to_seal, seal
from oncall.evidence.gathering import SubjectDescriber, gather
from oncall.report.canonical import signature_from_json
from oncall.report.signing import Signer
from oncall.report.store import keep_key
from oncall.report.time_stamps import TimeStamper
from oncall.strict_json import Value


class Evidence:
    """Makes sealed dossiers.

    Parameters
    ----------
    database : Database
        Where the logs are.
    signer : Signer
        Signs as the node.
    describe : SubjectDescriber, optional
        Says who the patient is; without it a dossier names them by the opaque key alone.
    stamper : TimeStamper, optional
        Time-stamps each seal (RFC 3161); when it does not answer the dossier is sealed without.
    """

    def __init__(
        self,
        database: Database,
        signer: Signer,
        describe: SubjectDescriber = lambda _case: None,
        stamper: TimeStamper | None = None,
    ) -> None:
        self._database = database
        self._signer = signer
        self._describe = describe
        self._stamper = stamper

    def make(self, engine: Engine, case_id: CaseId, centre_id: str, now: datetime, *, actor: Actor) -> Sealed:
        """Return a dossier of a case for a centre, recorded.

        Parameters
        ----------
        engine : Engine
            Records the sealing.
        centre_id : str
            The site that asked, or `oncall.evidence.dossier.PLATFORM`.
        actor : Actor
            Who wants it.

        Raises
        ------
        foundation.errors.Refused
            If there is no such case, or it is no case of that centre.
        oncall.case.log.ChainBroken
            If a log does not prove itself; verify the logs, and restore them from the other copy.
        """
        with self._database.read() as connection:
            gathered = gather(connection, case_id, centre_id, now, made_by=actor.who, describe=self._describe)
        sealed = seal(gathered, self._signer, self._stamped(gathered))
        with self._database.write(durable=True) as connection:
            keep_key(
                connection, signature_from_json(Value(place="seal", raw=sealed.sections["seal"]["signature"])), now
            )

        def record(case: Case, context: Context) -> Facts:
            return say(case, context, E.EVIDENCE_SEALED, reference=sealed.reference)

        engine.execute(CaseId(gathered.case_id), record, now, actor=actor)
        return sealed

    def _stamped(self, gathered: Gathered) -> bytes | None:
        if self._stamper is None:
            return None
        try:
            return self._stamper.stamp(digest_to_seal(gathered))
        except TelegardeError as error:
            log.warning("dossier_not_stamped", error=type(error).__name__)
            return None
