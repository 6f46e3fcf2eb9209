"""Sends to a DICOMweb service by STOW-RS: batches of instances as multipart/related, streamed.

For: destinations that are DICOMweb nodes. Not for: what is sent when (`pacs.routing.worker`), or reading answers
(`pacs.routing.stow_answer`).

Invariants
----------
* Instances go as stored; an instance has arrived when the answer names it as kept, never by an HTTP status alone.
* A request that the service refuses as a whole is made again one instance at a time, so that one instance it cannot
  take does not keep the others back.
* Certificates are verified. Redirections are not followed: what goes there was configured.

References
----------
PS3.18 8.6.1 (multipart), 10.5 (Store Transaction); RFC 2387 (multipart/related), RFC 6750, RFC 7617
"""

import base64
import contextlib
import http.client
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from foundation.errors import Unavailable
from pacs.archive import file_meta
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.routing.bandwidth import Throttle
from pacs.routing.consignment import INTERRUPTED, Consignment
from pacs.routing.stow_answer import ANSWER_BYTES_MAX, AnswerUnreadable, StowAnswer, read_answer
from pacs.scu.association import Timeouts
from pacs.scu.errors import ConnectFailed, ConnectionLost, PeerTimedOut, PeerUnavailable

REQUEST_BYTES_MAX: Final = 32 * 1024 * 1024
"""Data sets of one request that are read before it; a larger instance goes alone, in parts."""

REQUEST_INSTANCES_MAX: Final = 100
"""A request is answered as a whole: this bounds what is sent again when its answer is lost."""

PART_BYTES_MAX: Final = 256 * 1024
"""Written at a time: the time-out is for each write as a whole, so a slow line takes this much within it."""

DEFECTS_MAX: Final = 5
"""Instances in a row for which a service answers 500 before it is taken to be away."""

_JSON: Final = "application/dicom+json"
# What says that nobody there can serve now, or that we may not: not the instances' fault.
_NOT_NOW: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.INSUFFICIENT_STORAGE,
    }
)  # fmt: skip
# With what a service answers for instances (PS3.18 Table 10.5.3-1).
_ANSWERS: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT})
# What may be the fault of one instance among many.
_OF_THE_WHOLE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)  # fmt: skip


class HttpUnavailable(PeerUnavailable):
    """The service answered that it cannot serve us now; ``status`` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the DICOMweb service answers HTTP status {status}")
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class WebService:
    """Where a DICOMweb service is.

    Attributes
    ----------
    url : str
        What comes before ``/studies``; https, or http on this machine.
    authorization : str
        The value of the header of that name; '' for none. Never printed.
    tls : ssl.SSLContext or None
        For https; None for the machine's authorities.
    """

    url: str
    authorization: str = ""
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        """Return the URL only."""
        return f"WebService({self.url!r})"


def basic_authorization(username: str, password: str) -> str:
    """Return the header of HTTP basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Part:
    """One instance of a request: its head, and its data set whole or in parts."""

    ref: InstanceRef
    head: bytes
    dataset: memoryview | Iterator[memoryview]
    size_bytes: int


class StowSender:
    """A way to one DICOMweb service; a `pacs.routing.consignment.Sender`.

    Parameters
    ----------
    service : WebService
    reader : InstanceReader
    throttle : Throttle
    timeouts : Timeouts
        ``connect_s`` and ``response_s``.
    on_part : callable
        Runs before each part of a request; what it raises ends it.
    """

    def __init__(
        self,
        service: WebService,
        *,
        reader: InstanceReader,
        throttle: Throttle,
        timeouts: Timeouts,
        on_part: Callable[[], None],
    ) -> None:
        self._service = service
        self._reader = reader
        self._throttle = throttle
        self._timeouts = timeouts
        self._on_part = on_part

    def send(self, consignment: Consignment) -> None:
        """Send until nothing is left or it may not go on; see `Sender`."""
        with contextlib.closing(_Session(self._service, self._timeouts)) as session:
            # After an attempt that brought nothing: one instance may be what the service cannot survive.
            instances_max = 1 if consignment.is_careful else REQUEST_INSTANCES_MAX
            for batch in _batches(consignment.refs, instances_max):
                if not consignment.may_go_on():
                    return
                self._send_batch(session, consignment, batch)

    def probe(self) -> None:
        """Ask for one study, or for whatever it answers to that; see `Sender`."""
        with contextlib.closing(_Session(self._service, self._timeouts)) as session:
            status, _ = session.request("GET", "/studies?limit=1", None, {"Accept": _JSON})
        if status in _NOT_NOW:
            raise HttpUnavailable(status)

    def _send_batch(self, session: "_Session", consignment: Consignment, batch: Sequence[InstanceRef]) -> None:
        parts = [part for ref in batch if (part := self._read(consignment, ref)) is not None]
        if not parts:
            return
        try:
            status, body = self._store(session, parts)
        except PeerUnavailable:
            for part in parts:
                consignment.failed(part.ref, INTERRUPTED)
            raise
        except Unavailable:
            # Its bytes changed while they were sent: the service has not got the end of the request.
            for part in parts:
                consignment.failed(part.ref, "not_readable")
            return
        if status in _NOT_NOW:
            for part in parts:
                consignment.failed(part.ref, f"http_{status}")
            raise HttpUnavailable(status)
        if self._take_answer(consignment, parts, status, body):
            return
        for fruitless, ref in enumerate(batch):
            if fruitless == DEFECTS_MAX and status == HTTPStatus.INTERNAL_SERVER_ERROR and not consignment.brought:
                raise HttpUnavailable(status)
            if not consignment.may_go_on():
                return
            self._send_batch(session, consignment, [ref])

    def _read(self, consignment: Consignment, ref: InstanceRef) -> _Part | None:
        size_bytes = ref.length_bytes - ref.dataset_offset
        head = file_meta.encode(
            sop_class_uid=ref.sop_class_uid,
            sop_instance_uid=ref.sop_instance_uid,
            transfer_syntax_uid=ref.transfer_syntax_uid,
            source_aet="",
        )
        try:
            if size_bytes > REQUEST_BYTES_MAX:
                return _Part(ref, head, self._reader.read_parts(ref), size_bytes)
            return _Part(ref, head, self._reader.read_file(ref)[ref.dataset_offset :], size_bytes)
        except Unavailable:
            consignment.failed(ref, "not_readable")
            return None

    def _store(self, session: "_Session", parts: Sequence[_Part]) -> tuple[int, bytes]:
        boundary = f"telegarde-{secrets.token_hex(16)}"
        before = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        after = f"--{boundary}--\r\n".encode("ascii")
        length = sum(len(before) + len(part.head) + part.size_bytes + 2 for part in parts) + len(after)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(length),
            "Accept": _JSON,
        }

        def body() -> Iterator[bytes | memoryview]:
            for part in parts:
                yield before + part.head
                pieces = iter([part.dataset]) if isinstance(part.dataset, memoryview) else part.dataset
                for piece in self._throttle.all_parts(pieces):
                    for start in range(0, len(piece), PART_BYTES_MAX):
                        self._on_part()
                        yield piece[start : start + PART_BYTES_MAX]
                yield b"\r\n"
            yield after

        return session.request("POST", "/studies", body(), headers)

    def _take_answer(self, consignment: Consignment, parts: Sequence[_Part], status: int, body: bytes) -> bool:
        """Take note of an answer; return False when the request should be made again one instance at a time."""
        answer = _answer_of(status, body)
        kept = answer.kept if answer else frozenset()
        refused = answer.refused if answer else {}
        uids = {part.ref.sop_instance_uid for part in parts}
        if uids.isdisjoint(kept | refused.keys()) and len(parts) > 1 and status in _OF_THE_WHOLE:
            return False
        for part in parts:
            uid = part.ref.sop_instance_uid
            if uid in kept:
                consignment.arrived(part.ref)
            elif uid in refused:
                consignment.failed(part.ref, f"status_{refused[uid]:04X}")
            else:
                is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
                consignment.failed(part.ref, "not_confirmed" if is_success else f"http_{status}")
        return True


def _answer_of(status: int, body: bytes) -> StowAnswer | None:
    """Return what an answer says of instances; None when it says nothing that can be read."""
    if status not in _ANSWERS:
        return None
    try:
        return read_answer(body)
    except AnswerUnreadable:
        return None


class _Session:
    """One HTTP connection, kept open between requests; opened when first needed."""

    def __init__(self, service: WebService, timeouts: Timeouts) -> None:
        parts = urlsplit(service.url)
        assert parts.hostname is not None, "settings are checked"
        self._path = parts.path.rstrip("/")
        self._authorization = service.authorization
        self._timeouts = timeouts
        self._connection = (
            http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeouts.connect_s, context=service.tls or _default_tls()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeouts.connect_s)
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(
        self, method: str, path: str, body: Iterator[bytes | memoryview] | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Make one request; return status and body.

        Raises
        ------
        PeerUnavailable
            There is no answer; the connection is closed.
        """
        if self._authorization:
            headers = {**headers, "Authorization": self._authorization}
        try:
            if self._connection.sock is None:
                self._connect()
            self._send(method, f"{self._path}{path}", body, headers)
            answer = self._connection.getresponse()
            content = answer.read(ANSWER_BYTES_MAX + 1)
        except TimeoutError as error:
            self.close()
            raise PeerTimedOut("the DICOMweb service did not answer in time") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionLost(f"the DICOMweb service ended the connection ({type(error).__name__})") from error
        except BaseException:
            # A body that was not sent to its end: the connection can carry nothing more.
            self.close()
            raise
        if len(content) > ANSWER_BYTES_MAX or answer.will_close:
            self.close()
        return answer.status, content

    def _connect(self) -> None:
        try:
            self._connection.connect()
        except OSError as error:
            raise ConnectFailed(f"no connection to the DICOMweb service ({type(error).__name__})") from error
        assert self._connection.sock is not None
        self._connection.sock.settimeout(self._timeouts.response_s)

    def _send(self, method: str, path: str, body: Iterator[bytes | memoryview] | None, headers: dict[str, str]) -> None:
        try:
            self._connection.request(method, path, body=body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            # It may have answered without hearing the end, for example that it takes nothing so large.
            sock: socket.socket | None = self._connection.sock
            if sock is None:
                raise


def _default_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _batches(refs: Sequence[InstanceRef], instances_max: int) -> Iterator[list[InstanceRef]]:
    """Yield instances that go in one request; a SOP Instance UID is in it once: the answer names nothing else."""
    batch: list[InstanceRef] = []
    uids: set[str] = set()
    size_bytes = 0
    for ref in refs:
        of_ref = ref.length_bytes - ref.dataset_offset
        is_full = len(batch) >= instances_max or size_bytes + of_ref > REQUEST_BYTES_MAX
        if batch and (is_full or ref.sop_instance_uid in uids):
            yield batch
            batch, uids, size_bytes = [], set(), 0
        batch.append(ref)
        uids.add(ref.sop_instance_uid)
        size_bytes += of_ref
    if batch:
        yield batch
