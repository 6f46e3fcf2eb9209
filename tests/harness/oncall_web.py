"""The on-call pages served over real HTTP on the demonstration territory, with a clock that a test moves."""

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import Clock, ManualClock
from foundation.database import Database, sqlite_url
from oncall.channels.http_gateway import HttpGateway
from oncall.delivery.documents import DocumentStore
from oncall.delivery.making import make
from oncall.directory import ChannelKind
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules, InForce
from oncall.engine.sql_store import SqlStore
from oncall.evidence.making import Evidence
from oncall.messages import MessageState, Sent
from oncall.messages_sql import SqlMessages
from oncall.notify import Sender
from oncall.report.signing import Ed25519Keys
from oncall.report.version import SignedVersion
from oncall.report_documents.source import ExamFacts, ExaminedStudy, Subject
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from pacs.archive.reader import PackReader
from storage_tiers.local_packs import LocalPacks
from territory.demo_roster import demo_roster
from territory.demo_territory import demo_directory
from territory.oncall_web.access import Access
from territory.oncall_web.app import make_site
from territory.oncall_web.delivery_room import DeliveryRoom
from territory.oncall_web.desk import Desk
from territory.oncall_web.figures_room import FiguresRoom
from territory.oncall_web.order_room import OrderRoom
from territory.oncall_web.protocol_room import ProtocolRoom
from territory.oncall_web.report_room import ReportRoom
from territory.oncall_web.rooms import EvidenceRoom, Rooms
from territory.oncall_web.server import WebServer
from territory.performed_facts import ArchivePerformed
from territory.seen_studies import IndexSeen
from territory.task_owner_parts import make_workitem_room

NIGHT = datetime(2026, 10, 24, 19, 0, tzinfo=UTC)
SECRET = b"a secret of the test only"
SITES = sorted(demo_directory().sites)
GATEWAY = HttpGateway(
    kind=ChannelKind.SMS,
    url="http://127.0.0.1:9/",
    body={"to": "{to}", "text": "{text}"},
    receipt_states={"delivered": MessageState.DELIVERED},
    receipt_secret="receipts",
)
GOOD = {
    "site_id": SITES[0],
    "exam": "head",
    "urgency": "2",
    "modality": "CT",
    "patient_id": "IPP-4711",
    "requester": "Dr Roy",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Web:
    """A server and what stands behind it."""

    port: int
    clock: ManualClock
    database: Database
    engine: Engine

    def ask(
        self,
        path: str,
        sent: Mapping[str, Any] | None = None,
        *,
        token: str = "",
        is_json: bool = False,
        language: str = "en",
        raw: bool = False,
        **headers: str,
    ) -> Answer:
        """Send one request; a body makes it a POST. Of a `raw` answer every byte is a character."""
        body = None if sent is None else (json.dumps(sent) if is_json else urllib.parse.urlencode(sent)).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        request.add_header("Accept-Language", language)
        if is_json:
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=20) as answer:
                return _answer(answer, raw=raw)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)

    def run_due(self) -> None:
        """Let the engine do what is due, as its own process does."""
        self.engine.run_due(self.clock.now())


def _answer(answer: "HTTPResponse | urllib.error.HTTPError", *, raw: bool = False) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status or 0, headers, answer.read().decode("latin-1" if raw else "utf-8"))


def demo_in_force() -> InForce:
    """Return the demonstration territory as it is in the night of the tests."""
    directory = demo_directory()
    roster = demo_roster(directory)
    within = Span(start=NIGHT - timedelta(weeks=18), end=NIGHT + timedelta(weeks=18))
    return InForce(directory=directory, roster=roster, timeline=Timeline(roster, directory, within))


@contextmanager
def served(place: Path, in_force: InForce, access: Access) -> Iterator[Web]:
    """Serve the pages on a database in `place` until the end."""
    clock, rules = ManualClock(NIGHT), FixedRules(in_force)
    sender = Sender(answer_url="http://127.0.0.1/oncall/a/", secret=SECRET)
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(Database(sqlite_url(place / "index.sqlite"))) as database:
        database.create_tables()
        store = SqlStore(database)
        engine = Engine(store, rules, sender, worker="engine")
        desk = Desk(Engine(store, rules, sender, worker="web"), rules, database, sender, clock)
        rooms = rooms_of(desk, database, clock, place)
        server = WebServer(make_site(desk, rooms, access, SECRET, gateways={ChannelKind.SMS: GATEWAY}), listener)
        server.start()
        try:
            yield Web(port=listener.getsockname()[1], clock=clock, database=database, engine=engine)
        finally:
            server.close()


def rooms_of(desk: Desk, database: Database, clock: Clock, place: Path) -> Rooms:
    """Return the rooms on a database, with keys in `place`; who the patient is, is made up."""
    keys = Ed25519Keys(place / "keys")
    documents = DocumentStore(database, described, make, clock)
    return Rooms(
        reports=ReportRoom(desk, database, keys, described, documents, IndexSeen(database)),
        deliveries=DeliveryRoom(database),
        evidence=EvidenceRoom(maker=Evidence(database, keys), signer=keys),
        figures=FiguresRoom(desk, database),
        orders=OrderRoom(database),
        protocols=ProtocolRoom(database, ArchivePerformed(database, PackReader(LocalPacks(place)), clock)),
        workitems=make_workitem_room(
            desk,
            database,
            clock,
            SECRET,
            lambda now: desk.in_force().directory,
            node_aet="TELEGARDE",
            peer_aets=frozenset({"CT1"}),
        ),
    )


def described(signed: SignedVersion) -> tuple[Subject, ExamFacts]:
    """Return a patient and an exam for any version."""
    study = ExaminedStudy(study_instance_uid="1.2.3.4", modality="CT")
    exam = ExamFacts(site_name="Hôpital", time_zone="Europe/Paris", studies=(study,))
    return Subject(name="Ångström^Zoé", patient_id=f"of {signed.version.case_id}", issuer="ISSUER"), exam


def open_case(web: Web, **changes: str) -> str:
    """Open a case over the interface."""
    answer = web.ask("/oncall/api/cases", {**GOOD, **changes}, is_json=True)
    assert answer.status == 201, answer.body
    return str(answer.json["case_id"])


def hand_over(web: Web) -> list[str]:
    """Do what channels do: take every message, and say that it went out; return the providers' ids."""
    now, ids = web.clock.now(), []
    with web.database.write() as connection:
        messages = SqlMessages(connection)
        for channel in ChannelKind:
            for message in messages.lease(channel, now, worker="test", limit=100).messages:
                ids.append(f"id-{len(ids)}")
                outcome = Sent(provider_id=ids[-1])
                messages.settle(message.message_key, outcome, now, worker="test", is_repeatable=False)
    return ids
