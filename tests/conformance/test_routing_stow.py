"""Forwarding by STOW-RS: Orthanc's DICOMweb plugin as the judge, and a strict receiver that answers as it is told."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from benchmarks.peers.orthanc import configuration
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.archive.reader import InstanceUnreadable, PackReader
from pacs.contracts import InstanceRef
from pacs.routing import destinations, stow_sender, studies
from pacs.routing.bandwidth import Throttle
from pacs.routing.consignment import Consignment, Outcomes
from pacs.routing.model import ItemState
from pacs.routing.stow_sender import StowSender, WebService, basic_authorization
from pacs.scu.association import Timeouts
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.peers import (
    LOOPBACK,
    OrthancServer,
    ServerProcess,
    dicom_environment,
    free_port,
    is_listening,
    make_certificates,
    orthanc,
)
from tests.harness.routing import QUICK, START, Kept, item_of, keep_study, later, make_worker

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    with open_archive(database, tmp_path / "journal") as opened:
        yield opened
    database.close()


@contextmanager
def dicomweb_orthanc(directory: Path) -> Iterator[tuple[OrthancServer, WebService]]:
    options = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with orthanc(directory, options=options) as server:
        yield server, WebService(url=f"http://{LOOPBACK}:{server.http_port}/dicom-web")


def test_orthanc_takes_every_instance_by_stow_with_its_bytes(archive: Archive, tmp_path: Path) -> None:
    with dicomweb_orthanc(tmp_path / "orthanc") as (server, service):
        worker = make_worker(archive, {"away": service})
        kept = keep_study(archive, images=stow_sender.REQUEST_INSTANCES_MAX + 7, pixels=bytes(range(256)))
        worker.drain()

        found = server.post_json("/tools/find", {"Level": "Instance", "Query": {}, "Expand": True})
        tags = [one["MainDicomTags"]["SOPInstanceUID"] for one in found]
    item = item_of(archive.database)
    assert (item.state, item.sent, item.attempts) == (ItemState.SENT, len(kept.uids), 1)
    assert sorted(tags) == sorted(kept.uids)


def test_a_service_that_wants_a_password_is_away_until_it_is_right(archive: Archive, tmp_path: Path) -> None:
    clock = ManualClock(START)
    options = {
        "Plugins": [PLUGIN], "AuthenticationEnabled": True, "RegisteredUsers": {"telegarde": "right"},
    }  # fmt: skip
    directory = tmp_path / "orthanc"
    with guarded_orthanc(directory, options) as url:
        wrong = WebService(url=url, authorization=basic_authorization("telegarde", "wrong"))
        keep = make_worker(archive, {"away": wrong}, clock=clock)
        keep_study(archive)
        keep.drain()
        with archive.database.read() as connection:
            reach = destinations.status_of(connection, "away").reach
        assert (reach.is_away, reach.reason, item_of(archive.database).sent) == (True, "http_401", 0)

        later(clock, seconds=QUICK.wait_max_s)
        right = WebService(url=url, authorization=basic_authorization("telegarde", "right"))
        worker = make_worker(archive, {"away": right}, clock=clock, worker="w2")
        worker.drain()
        worker.drain()

    assert item_of(archive.database).state is ItemState.SENT


@contextmanager
def guarded_orthanc(directory: Path, options: dict[str, object]) -> Iterator[str]:
    """Run an Orthanc whose REST interface wants a password: its readiness is that of its DICOM port."""
    directory.mkdir()
    port, http_port = free_port(), free_port()
    settings = configuration(directory, ae_title="ORTHANC", port=port, http_port=http_port, modalities={})
    file = directory / "orthanc.json"
    file.write_text(json.dumps({**settings, **options}))
    with ServerProcess(
        "orthanc", ["Orthanc", file], directory=directory, environment=dicom_environment(no_delay=True)
    ) as process:
        process.wait_until_ready(lambda: is_listening(port) and is_listening(http_port))
        yield f"http://{LOOPBACK}:{http_port}/dicom-web"


class StrictReceiver:
    """Takes store requests apart by the letter of RFC 2387 and PS3.18 10.5, and answers as `answer` says.

    Attributes
    ----------
    requests : list of tuple of str
        SOP Instance UIDs of each request, read from the parts by pydicom.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, ...]] = []
        self.headers: list[dict[str, str]] = []
        self.refusing: dict[str, int] = {}
        self.statuses: dict[int, int] = {}
        self.rejecting_requests_with = ""
        self.complaints: list[str] = []
        self.forgets: set[str] = set()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a request."""
        self.headers.append(headers)
        message = message_from_bytes(
            f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body, policy=policy.HTTP
        )
        self.expect(path == "/dicom-web/studies", path)
        self.expect(message.get_content_type() == "multipart/related", "multipart")
        self.expect(message.get_param("type") == "application/dicom", "type")
        self.expect(not message.defects, repr(message.defects))
        uids = []
        for part in message.iter_parts():
            self.expect(part.get_content_type() == "application/dicom", "part")
            file = part.get_payload(decode=True)
            assert isinstance(file, bytes)
            data_set = dcmread(BytesIO(file))
            self.expect(data_set.file_meta.MediaStorageSOPInstanceUID == data_set.SOPInstanceUID, "meta")
            uids.append(str(data_set.SOPInstanceUID))
        self.requests.append(tuple(uids))
        if self.rejecting_requests_with in uids:
            return 400, b"no"
        if status := self.statuses.get(len(self.requests)):
            return status, b""
        return self.answer([uid for uid in uids if uid not in self.forgets])

    def answer(self, uids: list[str]) -> tuple[int, bytes]:
        """Return the answer for instances."""
        refused = [uid for uid in uids if uid in self.refusing]
        kept = [uid for uid in uids if uid not in self.refusing]
        body = {
            "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in kept]},
            "00081198": {
                "vr": "SQ",
                "Value": [
                    {
                        "00081155": {"vr": "UI", "Value": [uid]},
                        "00081197": {"vr": "US", "Value": [self.refusing[uid]]},
                    }
                    for uid in refused
                ],
            },
        }
        return (409 if not kept else 202 if refused else 200), json.dumps(body).encode()

    def expect(self, is_so: bool, what: str) -> None:
        """Note a breach of the protocol."""
        if not is_so:
            self.complaints.append(what)


@contextmanager
def receiving(receiver: StrictReceiver, *, tls: ssl.SSLContext | None = None) -> Iterator[WebService]:
    """Serve a receiver on the loopback; fails at the end when the protocol was broken."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                # The sender left in the middle: nothing may be made of a part of a request.
                self.close_connection = True
                return
            status, answer = receiver.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self._send(status, answer)

        def do_GET(self) -> None:
            self._send(200, b"[]")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        scheme = "http" if tls is None else "https"
        yield WebService(url=f"{scheme}://{LOOPBACK}:{server.server_port}/dicom-web", authorization="Bearer token")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert receiver.complaints == []


def forwarded(archive: Archive, receiver: StrictReceiver, *, images: int = 4, attempts: int = 1) -> Kept:
    clock = ManualClock(START)
    with receiving(receiver) as service:
        worker = make_worker(archive, {"away": service}, clock=clock)
        kept = keep_study(archive, images=images)
        for _ in range(attempts):
            worker.drain()
            later(clock, seconds=QUICK.wait_max_s)
    return kept


def test_a_request_is_multipart_related_with_one_part_for_each_instance(archive: Archive) -> None:
    receiver = StrictReceiver()
    kept = forwarded(archive, receiver)

    assert receiver.requests == [kept.uids]
    assert receiver.headers[0]["authorization"] == "Bearer token"
    assert receiver.headers[0]["accept"] == "application/dicom+json"
    assert "transfer-encoding" not in receiver.headers[0]


def test_what_the_service_refuses_by_name_has_not_arrived(archive: Archive) -> None:
    receiver = StrictReceiver()
    receiver.refusing = {"1.2.3.1.1.2": 0xA900}
    forwarded(archive, receiver)

    item = item_of(archive.database)
    assert (item.state, item.sent, item.unsent, item.reason) == (ItemState.FAILED, 3, 1, "status_A900")


def test_a_success_that_does_not_name_an_instance_confirms_nothing_of_it(archive: Archive) -> None:
    receiver = StrictReceiver()
    receiver.forgets = {"1.2.3.1.1.1"}
    forwarded(archive, receiver)

    item = item_of(archive.database)
    assert (item.state, item.sent, item.reason) == (ItemState.FAILED, 3, "not_confirmed")


def test_an_empty_success_confirms_nothing_at_all(archive: Archive) -> None:
    receiver = StrictReceiver()
    receiver.statuses = {1: 200}
    forwarded(archive, receiver)

    item = item_of(archive.database)
    assert (item.state, item.sent, item.reason) == (ItemState.FAILED, 0, "not_confirmed")


def test_a_request_that_is_refused_as_a_whole_is_made_again_one_by_one(archive: Archive) -> None:
    receiver = StrictReceiver()
    receiver.rejecting_requests_with = "1.2.3.1.1.0"
    kept = forwarded(archive, receiver)

    assert receiver.requests == [kept.uids, *((uid,) for uid in kept.uids)]
    item = item_of(archive.database)
    assert (item.state, item.sent, item.reason) == (ItemState.FAILED, 3, "http_400")


def test_a_service_that_is_busy_is_away_and_gets_everything_later(archive: Archive) -> None:
    receiver = StrictReceiver()
    receiver.statuses = {1: 503}
    kept = forwarded(archive, receiver, attempts=3)

    item = item_of(archive.database)
    assert (item.state, item.sent) == (ItemState.SENT, len(kept.uids))
    with archive.database.read() as connection:
        assert not destinations.status_of(connection, "away").reach.is_away


def test_a_service_whose_certificate_nobody_signed_gets_nothing(archive: Archive, tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "certificates")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(made.server.certificate, made.server.key)
    known = ssl.create_default_context(cafile=str(made.authority.certificate))
    unknown = ssl.create_default_context(cafile=str(made.stranger_authority.certificate))
    clock, receiver = ManualClock(START), StrictReceiver()

    with receiving(receiver, tls=server_side) as service:
        worker = make_worker(archive, {"away": replace(service, tls=unknown)}, clock=clock)
        keep_study(archive)
        worker.drain()
        assert receiver.requests == []
        assert item_of(archive.database).state is ItemState.QUEUED

        later(clock, seconds=QUICK.wait_max_s)
        worker = make_worker(archive, {"away": replace(service, tls=known)}, clock=clock, worker="w2")
        worker.drain()
        worker.drain()
    assert (item_of(archive.database).state, len(receiver.requests)) == (ItemState.SENT, 1)


def test_a_redirection_is_not_followed_and_confirms_nothing(archive: Archive) -> None:
    receiver = StrictReceiver()
    receiver.statuses = {1: 301}
    forwarded(archive, receiver)

    item = item_of(archive.database)
    assert (item.state, item.sent, item.reason, len(receiver.requests)) == (ItemState.FAILED, 0, "http_301", 1)


def test_an_instance_that_is_too_large_for_memory_goes_alone_and_in_parts(archive: Archive) -> None:
    receiver = StrictReceiver()
    large = keep_study(archive, 7, images=1, pixels=bytes(stow_sender.REQUEST_BYTES_MAX + 2))
    small = keep_study(archive, 7, images=2, first=1)
    with archive.database.read() as connection:
        refs = studies.locate(connection, large.study, [("1.2.3.7.1", uid) for uid in (*large.uids, *small.uids)])
    recorded: list[Outcomes] = []
    consignment = Consignment(
        refs,
        is_urgent=False,
        is_careful=False,
        must_yield=lambda: False,
        record=recorded.append,
        clock=ManualClock(START),
    )
    with receiving(receiver) as service:
        sender = StowSender(
            service, reader=PackReader(archive.packs), throttle=Throttle(None, lambda _: None),
            timeouts=Timeouts(), on_part=lambda: None,
        )  # fmt: skip
        sender.send(consignment)
    consignment.flush()

    assert receiver.requests == [large.uids, small.uids]
    assert [len(one.arrived) for one in recorded] == [3]


class FadingReader:
    """Reads large instances whose bytes change while they are sent; fulfils `InstanceReader`."""

    def __init__(self, reader: PackReader, fading_uid: str) -> None:
        self._reader = reader
        self._fading_uid = fading_uid

    def read_file(self, ref: InstanceRef) -> memoryview:
        """Read a small one."""
        return self._reader.read_file(ref)

    def read_parts(self, ref: InstanceRef) -> Iterator[memoryview]:
        """Read a large one; the fading one ends early."""
        parts = self._reader.read_parts(ref)
        yield next(parts)
        if ref.sop_instance_uid == self._fading_uid:
            raise InstanceUnreadable(ref.sop_instance_uid)
        yield from parts


def test_an_instance_whose_bytes_change_on_the_way_keeps_no_other_back(archive: Archive) -> None:
    receiver = StrictReceiver()
    large = keep_study(archive, 7, images=1, pixels=bytes(stow_sender.REQUEST_BYTES_MAX + 2))
    small = keep_study(archive, 7, images=2, first=1)
    with archive.database.read() as connection:
        refs = studies.locate(connection, large.study, [("1.2.3.7.1", uid) for uid in (*large.uids, *small.uids)])
    recorded: list[Outcomes] = []
    consignment = Consignment(
        refs, is_urgent=False, is_careful=False, must_yield=lambda: False,
        record=recorded.append, clock=ManualClock(START),
    )  # fmt: skip
    with receiving(receiver) as service:
        sender = StowSender(
            service, reader=FadingReader(PackReader(archive.packs), large.uids[0]),
            throttle=Throttle(None, lambda _: None), timeouts=Timeouts(response_s=5.0), on_part=lambda: None,
        )  # fmt: skip
        sender.send(consignment)
    consignment.flush()

    assert receiver.requests == [small.uids]
    assert [uid for one in recorded for _, uid in one.arrived] == list(small.uids)
    assert [reason for one in recorded for _, reason in one.failed] == ["not_readable"]
