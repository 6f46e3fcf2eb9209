"""One case that a reader has opened, to be reported; also as a process that signs and may be killed.

As a program: ``python -m tests.harness.report_night URL KEYS KIND MINUTE`` signs one version of the case in a database.
"""

import sys
from pathlib import Path
from typing import Final

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.ports import Store
from oncall.engine.sql_store import SqlStore
from oncall.report.content import ReportContent
from oncall.report.signing import Ed25519Keys, Signer
from oncall.report.version import SeenStudy, SignedVersion, VersionKind
from tests.harness import reports
from tests.harness.small_territory import at, engine, ready_case

CASE: Final = CaseId("C1")
UID: Final = "2.25.77"
SEEN: Final = (SeenStudy(issuer="NORTH", study_instance_uid="2.25.1", instances=3),)
_WITHOUT_REASON: Final = frozenset({VersionKind.PRELIMINARY, VersionKind.FINAL})


class ReportNight:
    """One case of one reader on a store, with keys in a directory."""

    def __init__(self, store: Store, keys: Path, *, worker: str = "one", is_claimed: bool = False) -> None:
        self.store = store
        self.keys = Ed25519Keys(keys)
        self.engine = engine(store, worker=worker)
        if not is_claimed:
            ready_case(self.engine, CASE, at(5))
        reader = self.engine.case(CASE).reading.assigned_to
        assert reader is not None
        self.reader = reader
        if not is_claimed:
            self.engine.claim(CASE, reader, at(6), transaction_uid=UID)

    def sign(
        self,
        kind: VersionKind = VersionKind.FINAL,
        minutes: float = 10,
        *,
        by: str = "",
        uid: str = UID,
        words: ReportContent | None = None,
        reason: str | None = None,
        port: Signer | None = None,
        runner: Engine | None = None,
    ) -> SignedVersion:
        """Sign at a minute of the night; other minutes are other words."""
        usual = "" if kind in _WITHOUT_REASON else "relecture"
        return (runner or self.engine).sign_report(
            CASE,
            PersonId(by or self.reader),
            words or reports.content(title=f"{kind} {minutes:g}"),
            at(minutes),
            signer_port=port or self.keys,
            transaction_uid=uid,
            kind=kind,
            reason=usual if reason is None else reason,
            seen=SEEN,
        )


def _main(url: str, keys: str, kind: str, minute: str) -> None:
    database = Database(url)
    night = ReportNight(SqlStore(database), Path(keys), worker="signer", is_claimed=True)
    night.sign(VersionKind(kind), float(minute))
    database.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
