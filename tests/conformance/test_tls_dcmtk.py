"""DICOM over TLS with DCMTK as peer: who gets in with which certificate, in both directions; PS3.15 B.12."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.peers.processes import wait_until
from benchmarks.studies import write_ct_study
from tests.harness.configured_node import ConfiguredNode
from tests.harness.peers import (
    LOOPBACK,
    Certificates,
    KeyAndCertificate,
    StorageServer,
    TlsIdentity,
    free_port,
    make_certificates,
    run_client,
    storescp,
)

SLICES = 3


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def destination(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[StorageServer]:
    identity = TlsIdentity(own=certificates.server, trusted=certificates.authority.certificate)
    with storescp(tmp_path_factory.mktemp("destination"), ae_title="SECURE_DEST", tls=identity) as server:
        yield server


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[StorageServer]:
    """A destination whose certificate is signed by somebody we do not know, but who trusts us."""
    identity = TlsIdentity(own=certificates.stranger, trusted=certificates.authority.certificate)
    with storescp(tmp_path_factory.mktemp("impostor"), ae_title="IMPOSTOR", tls=identity) as server:
        yield server


class SecureNode(ConfiguredNode):
    """A node with a TLS port besides the plain one."""

    def __init__(self, directory: Path, certificates: Certificates, destinations: list[StorageServer]) -> None:
        self.tls_port = free_port()
        called = "\n".join(
            f'[[peers]]\naet = "{server.ae_title}"\nhost = "{LOOPBACK}"\nport = {server.port}\ntls = true'
            for server in destinations
        )
        super().__init__(
            directory,
            f"""
[dicom.tls]
port = {self.tls_port}
certificate_file = "{certificates.server.certificate}"
key_file = "{certificates.server.key}"
ca_file = "{certificates.authority.certificate}"
[[peers]]
aet = "SECURE"
tls = true
addresses = ["{LOOPBACK}"]
rights = ["store"]
issuer = "NORTH"
[[peers]]
aet = "NAMED"
tls = true
certificate_names = ["somebody else"]
addresses = ["{LOOPBACK}"]
rights = ["query"]
[[peers]]
aet = "PLAIN"
addresses = ["{LOOPBACK}"]
rights = ["query", "retrieve"]
move_destinations = ["*"]
{called}
""",
        )


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Certificates,
    destination: StorageServer,
    impostor: StorageServer,
) -> Iterator[SecureNode]:
    with SecureNode(tmp_path_factory.mktemp("node"), certificates, [destination, impostor]) as started:
        yield started


def echo(
    node: SecureNode, certificates: Certificates, pair: KeyAndCertificate | None, *, calling: str = "SECURE"
) -> tuple[int, str]:
    trusted = certificates.authority.certificate
    identity = TlsIdentity(own=pair, trusted=trusted).dcmtk_arguments() if pair else ["+tla", "+cf", str(trusted)]
    finished = run_client(
        "echoscu", [*identity, "-aet", calling, "-aec", node.ae_title, "localhost", str(node.tls_port)]
    )
    return finished.returncode, finished.stdout + finished.stderr


def test_a_peer_with_a_trusted_certificate_gets_in(node: SecureNode, certificates: Certificates) -> None:
    returncode, output = echo(node, certificates, certificates.client)

    assert returncode == 0, output


@pytest.mark.parametrize("whose", ["stranger", "expired", None])
def test_a_peer_without_a_trusted_certificate_is_refused_in_the_handshake(
    node: SecureNode, certificates: Certificates, whose: str | None
) -> None:
    refused_before = node.process.output().count("connection_refused")

    returncode, _ = echo(node, certificates, getattr(certificates, whose) if whose else None)

    assert returncode != 0
    # The peer may be gone before the node has written its line.
    wait_until(
        lambda: node.process.output().count("connection_refused") > refused_before, what="the refusal in the log"
    )
    assert node.process.output().count("connection_refused") == refused_before + 1


def test_a_certificate_does_not_make_a_peer_of_another_name(node: SecureNode, certificates: Certificates) -> None:
    returncode, output = echo(node, certificates, certificates.client, calling="NAMED")

    assert returncode != 0
    assert "Calling AE Title Not Recognized" in output


def test_a_peer_that_must_use_tls_is_rejected_without(node: SecureNode) -> None:
    finished = run_client("echoscu", ["-aet", "SECURE", "-aec", node.ae_title, LOOPBACK, str(node.port)])

    assert finished.returncode != 0
    assert "Calling AE Title Not Recognized" in finished.stdout + finished.stderr


def test_a_peer_that_need_not_use_tls_gets_in_both_ways(node: SecureNode, certificates: Certificates) -> None:
    finished = run_client("echoscu", ["-aet", "PLAIN", "-aec", node.ae_title, LOOPBACK, str(node.port)])
    assert finished.returncode == 0

    assert echo(node, certificates, certificates.client, calling="PLAIN")[0] == 0


def test_a_peer_that_speaks_no_tls_on_the_tls_port_gets_nothing(node: SecureNode) -> None:
    finished = run_client("echoscu", ["-aet", "PLAIN", "-aec", node.ae_title, LOOPBACK, str(node.tls_port)])

    assert finished.returncode != 0


@pytest.fixture(scope="module")
def stored(node: SecureNode, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images stored over TLS; their Study Instance UID."""
    images = write_ct_study(tmp_path_factory.mktemp("ct"), seed=4, slices=SLICES)
    identity = TlsIdentity(own=certificates.client, trusted=certificates.authority.certificate)
    finished = run_client(
        "storescu",
        [
            *identity.dcmtk_arguments(),
            "-aet",
            "SECURE",
            "-aec",
            node.ae_title,
            "localhost",
            str(node.tls_port),
            *images,
        ],
    )
    assert finished.returncode == 0, finished.stderr
    dumped = run_client("dcmdump", ["+P", "StudyInstanceUID", "-q", str(images[0])])
    return dumped.stdout.partition("[")[2].partition("]")[0]


def move(node: SecureNode, study_uid: str, destination: str) -> tuple[int, str]:
    # DCMTK's movescu speaks no TLS itself; what is tested is our association to the destination.
    finished = run_client(
        "movescu",
        [
            *("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}"),
            *("-aet", "PLAIN", "-aec", node.ae_title, "-aem", destination, LOOPBACK, str(node.port)),
        ],
    )
    return finished.returncode, finished.stdout + finished.stderr


def test_images_stored_over_tls_are_moved_over_tls(node: SecureNode, stored: str, destination: StorageServer) -> None:
    returncode, output = move(node, stored, "SECURE_DEST")

    assert returncode == 0, output
    assert len(destination.files()) == SLICES


def test_nothing_is_moved_to_a_destination_whose_certificate_is_not_trusted(
    node: SecureNode, stored: str, impostor: StorageServer
) -> None:
    returncode, _ = move(node, stored, "IMPOSTOR")

    assert returncode != 0
    assert impostor.files() == []
