"""A time-stamping authority that nobody here wrote: ``openssl ts`` behind a small HTTP server on this machine."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

_CONFIGURATION: Final = """
[ req ]
distinguished_name = dn
prompt = no
[ dn ]
CN = {name}
[ ca ]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[ tsa_certificate ]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ tsa ]
default_tsa = authority
[ authority ]
serial = {directory}/serial
signer_digest = sha256
digests = sha256
default_policy = 1.2.3.4.1
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class Authority:
    """Keys and certificates in a directory, and what to do with a query."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self.directory = directory
        self.is_down = False
        self.queries: list[bytes] = []
        directory.mkdir()
        (directory / "serial").write_text("01\n")
        self._configuration = directory / "openssl.cnf"
        self._configuration.write_text(_CONFIGURATION.format(name=name, directory=directory))
        self._make_certificates()

    @property
    def roots(self) -> bytes:
        """The root certificate in PEM."""
        return (self.directory / "ca.pem").read_bytes()

    def openssl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run openssl in the directory."""
        return subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True, check=False, timeout=30)

    def answer(self, query: bytes) -> bytes:
        """Return openssl's answer to a query."""
        self.queries.append(query)
        (self.directory / "query.tsq").write_bytes(query)
        self._done("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query.tsq", "-signer", "tsa.pem",
                   "-inkey", "tsa.key", "-out", "answer.tsr")  # fmt: skip
        return (self.directory / "answer.tsr").read_bytes()

    def _make_certificates(self) -> None:
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf")
        self._done("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-extensions", "ca")
        self._done("req", *new_key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=time stamps")
        self._done("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                   "30", "-extfile", "openssl.cnf", "-extensions", "tsa_certificate", "-out", "tsa.pem")  # fmt: skip

    def _done(self, *arguments: str) -> None:
        made = self.openssl(*arguments)
        assert made.returncode == 0, made.stderr.decode()


@contextmanager
def serving(authority: Authority) -> Iterator[str]:
    """Serve an authority; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            is_query = self.headers["Content-Type"] == "application/timestamp-query"
            if authority.is_down or not is_query:
                self.send_error(503)
                return
            body = authority.answer(query)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/ts"
        finally:
            server.shutdown()
            thread.join()
