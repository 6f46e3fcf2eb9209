"""A whole node in one process, on a clock that is moved by hand: every service on a port of its own, on the loopback.

For: rehearsals of a night in seconds, in which what happens at 02:30 happens at 02:30. Not for: serving; ``telegarde
serve`` runs the same parts in processes that are watched.

Invariants: nothing happens by itself but answers to peers: what is due is done by `settle`, and time passes only in
`pass_time`, which stops wherever the engine wanted to be woken. The territory is that of the demonstration.
"""

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.directory import ChannelKind, Directory, LineId, ReportChannel, ReportChannelKind, SiteId
from oncall.documents_store import publish_directory
from oncall.engine.sql_store import SqlStore
from oncall.roster_publication import publish_roster
from oncall.rota.model import LineKind
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from territory import bootstrap, settings
from territory.demo_node import LOOPBACK, NODE_AET, StepFailed, choose_port, find_studies
from territory.demo_roster import FIRST_DAY, demo_roster
from territory.demo_territory import demo_directory
from territory.hl7_parts import Hl7Parts
from territory.interfaces_process import hl7_ports
from territory.launch import Launch
from territory.listening import BACKLOG_CONNECTIONS, ListeningPort
from territory.oncall_parts import OncallParts
from territory.rehearsal.hospital import NAME as SENDING_APPLICATION
from territory.rehearsal.interface import Interface
from territory.rehearsal.telephones import Telephones
from territory.routing_parts import RoutingParts
from territory.worker_table import WorkerTable

SITE: Final = SiteId("fontclaire")
"""The hospital of the story."""

SCANNER_AET: Final = "FONTCLAIRE_CT"
WORKSTATION_AET: Final = "READING_ROOM"

_DRAIN_S: Final = 20.0
_SETTLED_TURNS_MAX: Final = 20


class RehearsalNode:
    """The node, its territory, and the people who have tokens.

    Parameters
    ----------
    directory : Path
        Where data and configuration go; empty.
    start : datetime
        What the clock shows first (aware).
    report_port : int or None
        Where the hospital's system listens for reports, over MLLP; None for nowhere.
    """

    def __init__(self, directory: Path, start: datetime, *, report_port: int | None = None) -> None:
        self.clock = ManualClock(start)
        self.telephones = Telephones(self.clock.now)
        self.directory = _directory(report_port)
        self.roster = demo_roster(self.directory)
        self.dicom_port, self.web_port, self.hl7_port = choose_port(0), choose_port(0), choose_port(0)
        self.scanner_port = choose_port(0)
        self._place = directory
        self._settings = _settings(directory, self, _tokens(self.directory), report_port)
        self._stack = ExitStack()
        self._oncall: OncallParts | None = None
        self._hl7: Hl7Parts | None = None
        self._routing: RoutingParts | None = None

    @property
    def oncall(self) -> OncallParts:
        """The on-call engine's parts; the node is started."""
        assert self._oncall is not None, "the node is started"
        return self._oncall

    @property
    def now(self) -> datetime:
        """What the clock shows, UTC."""
        return self.clock.now()

    def start(self) -> None:
        """Publish the territory and open every port."""
        self._settings.archive.data_dir.mkdir(parents=True, exist_ok=True)
        database = self._stack.enter_context(bootstrap.open_database(self._settings))
        database.create_tables()
        self._publish(database)
        bootstrap.recover(self._settings, database)
        self.telephones.start()
        self._stack.callback(self.telephones.close)
        self._stack.enter_context(_dicom(self._settings, self.dicom_port, self.clock))
        self._hl7 = self._interfaces()
        self._routing = RoutingParts(self._settings, worker="rehearsal", clock=self.clock)
        self._stack.callback(self._routing.stop)
        self._oncall = OncallParts(self._settings, worker="rehearsal", clock=self.clock)
        self._oncall.start_web()
        self._stack.callback(self._oncall.close)
        self.database = database

    def close(self) -> None:
        """End everything, in the other order."""
        self._stack.close()

    def _interfaces(self) -> Hl7Parts:
        ports = hl7_ports(self._settings)
        for sock, _ in ports:
            self._stack.callback(sock.close)
        parts = Hl7Parts(self._settings, ports, clock=self.clock)
        parts.start_listening()
        self._stack.callback(parts.stop)
        return parts

    def interface(self, who: str) -> Interface:
        """Return the pages as somebody sees them."""
        return Interface(port=self.web_port, token=_token(who))

    def settle(self) -> None:
        """Do what is due now, until nothing is."""
        for _ in range(_SETTLED_TURNS_MAX):
            before = SqlStore(self.database).head()
            self.oncall.settle()
            assert self._hl7 is not None, "the node is started"
            self._hl7.drain()
            if SqlStore(self.database).head() == before:
                return
        raise StepFailed("the node does not come to rest")

    def look_at_sites(self) -> None:
        """Ask the watched machines whether they are there; then settle."""
        assert self._routing is not None, "the node is started"
        self._routing.look()
        self.settle()

    def pass_time(self, to: datetime) -> None:
        """Let time pass until `to` (aware), stopping wherever something is due; then settle."""
        self.settle()
        while (due_at := SqlStore(self.database).next_due_at()) is not None and due_at <= to:
            self.clock.advance(max(due_at - self.now, timedelta(seconds=1)))
            self.settle()
        self.clock.advance(max(to.astimezone(UTC) - self.now, timedelta(0)))
        self.settle()

    def timeline(self) -> Timeline:
        """Return who is on duty around now."""
        return Timeline(
            self.roster, self.directory, Span(start=self.now - timedelta(days=2), end=self.now + timedelta(days=2))
        )

    def kind_of(self, line_id: LineId) -> LineKind:
        """Return what a line of the roster is for."""
        return next(line.kind for line in self.roster.lines if line.line_id == line_id)

    def find_studies(self, calling_aet: str, **keys: str) -> list[Dataset]:
        """Ask the archive for studies by C-FIND, as a workstation does."""
        return find_studies(self.dicom_port, calling_aet, **keys)

    def _publish(self, database: Database) -> None:
        published_at = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
        with database.write(durable=True) as connection:
            publish_directory(connection, self.directory, by="rehearsal", now=published_at)
            publish_roster(connection, self.roster, self.directory, by="rehearsal", now=published_at)


def _directory(report_port: int | None) -> Directory:
    known = demo_directory()
    # There is no mail relay here: everybody is reached by telephone, departments by their page and by HL7.
    persons = {
        person_id: replace(
            person,
            contact_methods=tuple(one for one in person.contact_methods if one.kind is not ChannelKind.EMAIL),
        )
        for person_id, person in known.persons.items()
    }
    found = replace(known, persons=persons)
    if report_port is None:
        return found
    channel = ReportChannel(kind=ReportChannelKind.HL7, address=SENDING_APPLICATION)
    site = replace(found.sites[SITE], report_channels=(channel,))
    return replace(found, sites={**found.sites, SITE: site})


def _tokens(directory: Directory) -> list[dict[str, Any]]:
    """Return the access file: everybody of the story by the person's own token."""
    may = {
        "radiologist": ["watch", "read"],
        "coordinator": ["watch", "coordinate", "recall", "figures"],
        "emergency_physician": ["watch", "request"],
        "radiographer": ["watch", "request"],
    }
    return [
        {
            "who": person.person_id,
            "may": may[person.role.value],
            "sites": [SITE] if person.role.value in ("emergency_physician", "radiographer") else [],
            "token_sha256": hashlib.sha256(_token(person.person_id).encode()).hexdigest(),
        }
        for person in directory.persons.values()
        if person.role.value in may and (not person.sites or SITE in person.sites or person.role.value == "radiologist")
    ]


def _token(who: str) -> str:
    return f"rehearsal-token-of-{who}"


def _settings(
    place: Path, node: RehearsalNode, tokens: list[dict[str, Any]], report_port: int | None
) -> settings.Settings:
    place.mkdir(parents=True, exist_ok=True)
    (place / "access.json").write_text(json.dumps(tokens))
    (place / "gateways.json").write_text(json.dumps(node.telephones.gateways()))
    peer = '[[peers]]\naet = "{aet}"\naddresses = ["127.0.0.1/32"]\nrights = [{rights}]\n{more}\n'
    scanner = f'host = "{LOOPBACK}"\nport = {node.scanner_port}\nsite = "{SITE}"\nissuer = "{SITE.upper()}"'
    peers = (
        (SCANNER_AET, ("store", "query", "commit", "worklist"), scanner),
        (WORKSTATION_AET, ("query", "retrieve", "workitems"), ""),
        ("TELEGARDE_CR", ("store",), 'issuer = "GIE"'),
    )
    listed = "".join(
        peer.format(aet=aet, rights=", ".join(f'"{right}"' for right in rights), more=more)
        for aet, rights, more in peers
    )
    destination = ""
    if report_port is not None:
        destination = f"""[[hl7.destinations]]
name = "{SENDING_APPLICATION}"
site = "{SITE}"
host = "{LOOPBACK}"
port = {report_port}
sends = ["answers", "order_status"]
"""
    text = f"""
[archive]
data_dir = {json.dumps(str(place / "data"))}
free_space_reserve_bytes = 0
[dicom]
aet = ["{NODE_AET}"]
host = "{LOOPBACK}"
port = {node.dicom_port}
workers = 1
[oncall]
gateways_file = {json.dumps(str(place / "gateways.json"))}
[oncall.web]
port = {node.web_port}
access_file = {json.dumps(str(place / "access.json"))}
{listed}[[watched_sites]]
site = "{SITE}"
silent_after_s = 7200.0
echo_peers = ["{SCANNER_AET}"]
[hl7]
host = "{LOOPBACK}"
port = {node.hl7_port}
[[hl7.senders]]
application = "{SENDING_APPLICATION}"
site = "{SITE}"
issuer = "{SITE.upper()}"
addresses = ["127.0.0.1/32"]
{destination}"""
    (place / "telegarde.toml").write_text(text)
    return settings.load(place / "telegarde.toml", environment={})


@contextmanager
def _dicom(configured: settings.Settings, port: int, clock: ManualClock) -> Iterator[None]:
    """Run the DICOM engine of one worker in this process."""
    table = WorkerTable.create(workers=1, associations_max=configured.dicom.limits.associations_max)
    listener = socket.create_server((LOOPBACK, port), backlog=BACKLOG_CONNECTIONS)
    try:
        ports = (ListeningPort(descriptor=listener.fileno(), host=LOOPBACK, port=port, is_tls=False),)
        launch = Launch(settings=configured, worker=0, table_descriptor=-1, ports=ports)
        engine = bootstrap.WorkerEngine(launch, [listener], table.row(0), clock)
        engine.start()
        try:
            yield
        finally:
            engine.stop(_DRAIN_S)
    finally:
        listener.close()
        table.close()
