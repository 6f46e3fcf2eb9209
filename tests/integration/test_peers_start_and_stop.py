"""The peers that other tests rely on start, work, say why when they fail, and leave nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from benchmarks.studies import write_ct_study
from tests.harness import sample_files
from tests.harness.peers import (
    LOOPBACK,
    CommandFailed,
    OrthancServer,
    PeerFailed,
    ServerProcess,
    StorageServer,
    TelegardeNode,
    TlsIdentity,
    dcmqrscp,
    dicom_environment,
    free_port,
    is_listening,
    make_certificates,
    orthanc,
    postgresql,
    pynetdicom_storage,
    run_client,
    storescp,
    telegarde_json,
)

Starter = Callable[[Path], AbstractContextManager[StorageServer]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_ct_study(tmp_path_factory.mktemp("ct"), seed=1, slices=3)


def addresses_listened_on(port: int) -> set[str]:
    """Read the kernel's table: local addresses, in hexadecimal, on which a port is open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}


LOOPBACK_IN_HEXADECIMAL = "0100007F"


def store(server: StorageServer | OrthancServer | TelegardeNode, images: list[Path]) -> None:
    finished = run_client("storescu", ["-aec", server.ae_title, server.host, str(server.port), *images])
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("starter", [storescp, dcmqrscp, pynetdicom_storage])
def test_a_storage_server_keeps_what_it_is_sent_and_ends(starter: Starter, images: list[Path], tmp_path: Path) -> None:
    with starter(tmp_path) as server:
        assert addresses_listened_on(server.port) == {LOOPBACK_IN_HEXADECIMAL}
        store(server, images)
        assert len(server.files()) == 3
        pid = server.process.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not is_listening(server.port)


def test_storescp_keeps_the_bytes_as_they_were_sent(images: list[Path], tmp_path: Path) -> None:
    with storescp(tmp_path) as server:
        store(server, images)
        received = sorted(path.read_bytes()[-524_288:] for path in server.files())
    assert received == sorted(path.read_bytes()[-524_288:] for path in images)


def test_orthanc_stores_finds_and_moves_on_the_loopback(images: list[Path], tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "destination", ae_title="DEST") as destination,
        orthanc(tmp_path / "orthanc", modalities={"DEST": destination.port}) as server,
    ):
        assert addresses_listened_on(server.port) == {LOOPBACK_IN_HEXADECIMAL}
        assert addresses_listened_on(server.http_port) == {LOOPBACK_IN_HEXADECIMAL}
        store(server, images)
        assert server.count_instances() == 3
        query = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]
        called = ["-aec", server.ae_title, server.host, str(server.port)]
        found = run_client("findscu", [*query, *called])
        assert found.stderr.count("2.25.") + found.stdout.count("2.25.") == 1, found.stderr
        (study,) = server.post_json("/tools/find", {"Level": "Study", "Query": {}, "Expand": True})
        study_uid = study["MainDicomTags"]["StudyInstanceUID"]
        move = ["-S", "-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY"]
        moved = run_client("movescu", [*move, "-k", f"StudyInstanceUID={study_uid}", *called])
        assert moved.returncode == 0, moved.stderr
        assert len(destination.files()) == 3


def test_dcmtk_can_call_over_tls_and_a_stranger_cannot(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    trusted = certificates.authority.certificate
    with storescp(tmp_path / "scp", tls=TlsIdentity(own=certificates.server, trusted=trusted)) as server:

        def echo(*arguments: str) -> int:
            called = ["-aec", server.ae_title, server.host, str(server.port)]
            return run_client("echoscu", [*arguments, *called]).returncode

        assert echo() != 0
        for own, may_enter in (
            (certificates.client, True),
            (certificates.expired, False),
            (certificates.stranger, False),
        ):
            identity = TlsIdentity(own=own, trusted=trusted)
            assert (echo(*identity.dcmtk_arguments()) == 0) is may_enter


def test_our_node_starts_again_on_its_data_after_it_was_stopped_or_killed(images: list[Path], tmp_path: Path) -> None:
    node = TelegardeNode(tmp_path, workers=1)
    with node:
        assert addresses_listened_on(node.port) == {LOOPBACK_IN_HEXADECIMAL}
        assert addresses_listened_on(node.http_port) == {LOOPBACK_IN_HEXADECIMAL}
        store(node, images[:1])
        assert node.status()["instances"] == 1
        assert node.stop() == 0
        node.start()
        store(node, images[1:2])
        node.kill()
        node.start()
        store(node, images[2:])
    assert node.process.returncode == 0
    assert node.verify()["instances"] == 3
    assert not is_listening(node.port)


def test_a_command_of_ours_that_prints_no_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="telegarde reindexx"):
        telegarde_json("reindexx", "--data", tmp_path)


def test_postgresql_makes_databases_and_is_gone_afterwards() -> None:
    with postgresql() as server:
        assert addresses_listened_on(server.port) == {LOOPBACK_IN_HEXADECIMAL}
        url = server.new_database("one")
        assert url == f"postgresql+psycopg://telegarde@127.0.0.1:{server.port}/one"
        with psycopg.connect(server.conninfo("one")) as connection:
            (version, durable) = (
                connection.execute("SHOW server_version").fetchone(),
                connection.execute("SHOW fsync").fetchone(),
            )
        pid = server.process.pid
    assert version is not None
    assert version[0].startswith("15.")
    assert durable == ("on",)
    assert not Path(f"/proc/{pid}").exists()


def test_nagle_is_off_or_on_as_asked(images: list[Path], tmp_path: Path) -> None:
    with storescp(tmp_path) as server:
        for no_delay, expected in ((True, True), (False, False)):
            trace = tmp_path / f"trace-{no_delay}"
            finished = run_client_traced(trace, server, images[:1], no_delay=no_delay)
            assert finished.returncode == 0, finished.stderr
            assert ("TCP_NODELAY, [1]" in trace.read_text()) is expected


def run_client_traced(
    trace: Path, server: StorageServer, images: list[Path], *, no_delay: bool
) -> subprocess.CompletedProcess[str]:
    """Run storescu under strace, with the environment that `run_client` gives it."""
    traced: list[str | Path] = ["strace", "-f", "-e", "trace=setsockopt", "-o", trace]
    client = ["storescu", "-aec", server.ae_title, server.host, str(server.port)]
    return subprocess.run(
        [*traced, *client, *images],
        env=dicom_environment(no_delay=no_delay),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_server_that_ends_at_once_is_an_error_with_its_output(tmp_path: Path) -> None:
    program = "print('the licence has run out'); raise SystemExit(3)"
    with ServerProcess("broken", [sys.executable, "-c", program], directory=tmp_path) as process:
        with pytest.raises(PeerFailed, match="the licence has run out") as failure:
            process.wait_until_ready(lambda: False)
        assert "status 3" in str(failure.value)


def test_a_server_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    program = "import time; time.sleep(600)"
    with ServerProcess("slow", [sys.executable, "-c", program], directory=tmp_path) as process:
        with pytest.raises(PeerFailed, match=r"waited 0\.1 s"):
            process.wait_until_ready(lambda: False, timeout_s=0.1)
        assert process.returncode == -signal.SIGKILL


def test_a_server_that_ignores_sigterm_is_killed_and_reported(tmp_path: Path) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    process = ServerProcess("deaf", [sys.executable, "-c", program], directory=tmp_path)
    process.wait_until_ready(lambda: "deaf" in process.output())
    with pytest.raises(PeerFailed, match="did not end"):
        process.stop(timeout_s=0.1)
    assert process.returncode == -signal.SIGKILL


def test_what_a_server_forked_ends_with_it(tmp_path: Path) -> None:
    program = "import os, time\nchild = os.fork()\nif child: print(child, flush=True)\ntime.sleep(600)\n"
    with ServerProcess("forking", [sys.executable, "-c", program], directory=tmp_path) as process:
        process.wait_until_ready(lambda: process.output().endswith("\n"))
        child = int(process.output())
        os.kill(child, 0)
    # What is left, if anything, is a zombie that init has yet to collect.
    with contextlib.suppress(FileNotFoundError):
        assert Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    assert not is_listening(port)
    with socket.create_server((LOOPBACK, port)):
        assert is_listening(port)


def test_sample_files_are_there() -> None:
    assert len(sample_files.pydicom_test_files()) > 75
    assert len(sample_files.character_set_files()) >= 17
    assert len(sample_files.pydicom_data_files()) > 50
    assert {path.name for path in sample_files.broken_files()} == set(sample_files.BROKEN_FILES)
