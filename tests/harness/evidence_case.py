"""A case with everything that a dossier has to hold, in a database: signed, told, anchored, sealed for both centres."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from foundation.database import Database
from foundation.instants import microseconds
from oncall.case.commands import Context, Facts, say
from oncall.case.event import Actor, CaseId
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, PersonId
from oncall.documents_store import publish_directory
from oncall.engine.engine import Engine
from oncall.engine.sql_store import SqlStore
from oncall.evidence.anchor_store import Anchors
from oncall.evidence.dossier import PLATFORM, Sealed
from oncall.evidence.making import Evidence
from oncall.language import Language
from oncall.report.content import Dose, ReportContent
from oncall.report.signing import Ed25519Keys
from oncall.report.version import SeenStudy, SignedVersion, VersionKind
from oncall.report_documents.source import Subject
from oncall.roster_publication import publish_roster
from oncall.schema import oncall_report_document
from tests.harness.small_territory import BEGIN, at, directory, engine, in_force, ready_case, roster

CASE: Final = CaseId("C1")
UID: Final = "1.2.9"
SIGNER: Final = PersonId("anna")
CLERK: Final = Actor(who="coline", role="coordinator", authentication="token")
RPPS: Final = "10100000008"
RESULTS: Final = "Pas d'hémorragie. Ñ Ω 所見"
SEEN: Final = (
    SeenStudy(issuer="NORTH", study_instance_uid="1.2.3", instances=420, modality="CT"),
    SeenStudy(issuer="NORTH", study_instance_uid="1.2.1", instances=210, is_prior=True, study_date="20250101"),
)
PATIENT: Final = Subject(name="ΠΑΠΑΣ^Ñoël=山田^太郎", patient_id="P-1", issuer="NORTH", sex="F")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A node's database with its keys, and what works on it."""

    database: Database
    keys: Ed25519Keys
    engine: Engine

    @property
    def evidence(self) -> Evidence:
        """What makes dossiers here."""
        return Evidence(self.database, self.keys, lambda _case: PATIENT)

    @property
    def anchors(self) -> Anchors:
        """What makes anchors here."""
        return Anchors(self.database, self.keys)

    def dossier(self, centre: str = "north", minutes: float = 60, case_id: CaseId = CASE) -> Sealed:
        """Return a dossier made now."""
        return self.evidence.make(self.engine, case_id, centre, at(minutes), actor=CLERK)

    def both(self, minutes: float = 60) -> tuple[Sealed, Sealed]:
        """Return the hospital's copy and the platform's, one after the other."""
        return self.dossier("north", minutes), self.dossier(PLATFORM, minutes + 1)

    def say(self, event_type: E, minutes: float, *, case_id: CaseId = CASE, **payload: object) -> Case:
        """Record a fact of a case."""

        def command(case: Case, context: Context) -> Facts:
            return say(case, context, event_type, **payload)

        return self.engine.execute(case_id, command, at(minutes), actor=CLERK)

    def sign(
        self, minutes: float, kind: VersionKind = VersionKind.FINAL, *, results: str = RESULTS, reason: str = ""
    ) -> SignedVersion:
        """Sign the next version of the report."""
        content = ReportContent(
            language=Language.FRENCH, title="TDM cérébrale", indication="Chute", technique="Sans injection",
            results=results, conclusion="Normal", doses=(Dose(quantity="DLP", value=812.5, unit="mGy.cm"),),
        )  # fmt: skip
        return self.engine.sign_report(
            CASE, SIGNER, content, at(minutes), signer_port=self.keys, transaction_uid=UID, kind=kind, reason=reason,
            seen=SEEN,
        )  # fmt: skip


def keep_documents(database: Database, minutes: float) -> None:
    """Keep two documents of version 1."""
    rows = [
        {"case_id": CASE, "version": 1, "made_of": "p", "kind": kind, "digest": sha256(body).hexdigest(),
         "made_at_us": microseconds(at(minutes)), "body": body}
        for kind, body in (("pdf", b"%PDF-1.7 ..."), ("structured_report", b"DICM"))
    ]  # fmt: skip
    with database.write(durable=True) as connection:
        connection.execute(insert(oncall_report_document), rows)


def known() -> Directory:
    """Return the small territory's directory, with a number by which the signer is known to everybody."""
    small = directory()
    signer = replace(small.persons[SIGNER], rpps=RPPS)
    return replace(small, persons={**small.persons, SIGNER: signer})


def place(database: Database, directory_of_keys: Path) -> Place:
    """Return an empty node in a database that has its tables."""
    with database.write(durable=True) as connection:
        publish_directory(connection, known(), by="admin", now=BEGIN)
        publish_roster(connection, roster(), known(), by="admin", now=BEGIN)
    runner = engine(SqlStore(database), in_force(people=known()))
    return Place(database=database, keys=Ed25519Keys(directory_of_keys), engine=runner)


def told(database: Database, directory_of_keys: Path) -> Place:
    """Return a node whose one case was read, signed and told, with incidents on its way; anchored twice."""
    here = place(database, directory_of_keys)
    runner = here.engine
    ready_case(runner, CASE, at(5))
    here.say(E.MODE_DEGRADED_ENTERED, 5.5, what="wan", fallback="telephone")
    here.say(E.EXAM_CONTRAST_INJECTED, 5.6, agent="iomeprol", volume_ml=80)
    reader = runner.case(CASE).reading.assigned_to
    assert reader == SIGNER
    runner.claim(CASE, reader, at(6), transaction_uid=UID)
    here.anchors.make(at(7))
    here.sign(10)
    here.say(
        E.CRITICAL_DECLARED, 11, critical_id="k1", category=1, finding="Hématome ñ", radiologist=reader,
        identified_at_us=microseconds(at(10)), due_at_us=microseconds(at(26)),
    )  # fmt: skip
    here.say(E.CRITICAL_CALL_ATTEMPT, 12, critical_id="k1", outcome="no_answer", attempt=1, recipient="emma")
    here.say(
        E.CRITICAL_COMMUNICATED, 13, critical_id="k1", recipient="Dr Emma", received_at_us=microseconds(at(13)),
        method="phone", read_back="Hématome, relu",
    )  # fmt: skip
    keep_documents(database, 14)
    here.say(E.REPORT_SENT, 14, channel="web")
    here.say(E.REPORT_DELIVERY_FAILED, 15, reason="no_answer", channel="dicom")
    here.say(E.REPORT_DELIVERED, 16, channel="web")
    here.say(E.REPORT_ACCESSED, 17, person_id="emma", version=1)
    here.anchors.make(at(20))
    return here
