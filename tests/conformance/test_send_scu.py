"""The sending engine against DCMTK's storescp: what arrives is what was sent, with the system calls it should take."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from benchmarks.studies import write_ct_study, write_mr_study
from benchmarks.transfer_syntaxes import NATIVE_SYNTAXES, TRANSFER_SYNTAXES, with_transfer_syntax
from pacs.scp.tls import TlsFiles, client_context
from pacs.scu.send import SendReport, send
from tests.conformance.retrieve_node import stored_dataset
from tests.harness.peers import StorageServer, TlsIdentity, make_certificates, storescp

#: Needs no decoder at the peer and none here.
JPEG_XL = "1.2.840.10008.1.2.4.110"


def send_to(peer: StorageServer, *paths: Path, parallel: int = 1, **options: object) -> SendReport:
    return send(
        paths,
        host=peer.host,
        port=peer.port,
        calling_aet="SENDER",
        called_aet=peer.ae_title,
        parallel=parallel,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_study_arrives_byte_for_byte(tmp_path: Path, parallel: int) -> None:
    paths = write_ct_study(tmp_path / "study", seed=1, slices=12) + write_mr_study(
        tmp_path / "study", seed=2, slices=3, series=2
    )
    with storescp(tmp_path / "peer") as peer:
        report = send_to(peer, tmp_path / "study", parallel=parallel)
        files = {pydicom.dcmread(path).SOPInstanceUID: path for path in peer.files()}

    assert (report.instances, report.sent, report.failed) == (18, 18, 0), report
    assert report.bytes_sent == sum(len(stored_dataset(path)) for path in paths)
    for path in paths:
        assert stored_dataset(files[pydicom.dcmread(path).SOPInstanceUID]) == stored_dataset(path)


def test_every_transfer_syntax_passes_through_where_the_peer_takes_it(tmp_path: Path) -> None:
    (original,) = write_ct_study(tmp_path / "original", seed=1, slices=1)
    (tmp_path / "all").mkdir()
    for syntax in TRANSFER_SYNTAXES:
        copy = with_transfer_syntax(original, syntax)
        # DCMTK 3.6.7 knows neither HTJ2K nor JPEG XL by default.
        if syntax != JPEG_XL and "4.201" not in syntax:
            copy.rename(tmp_path / "all" / f"{syntax}.dcm")

    with storescp(tmp_path / "peer", options=("+B", "+xa", "+uf")) as peer:
        report = send_to(peer, tmp_path / "all")
        syntaxes = {str(pydicom.dcmread(path).file_meta.TransferSyntaxUID) for path in peer.files()}

    assert (report.failed, report.transcoded) == (0, 0), report
    assert syntaxes == {path.stem for path in (tmp_path / "all").iterdir()}


def test_every_decodable_syntax_is_transcoded_for_a_peer_that_takes_only_native_ones(tmp_path: Path) -> None:
    (original,) = write_ct_study(tmp_path / "original", seed=1, slices=1)
    ds = pydicom.dcmread(original)
    (tmp_path / "all").mkdir()
    for syntax in TRANSFER_SYNTAXES:
        with_transfer_syntax(original, syntax).rename(tmp_path / "all" / f"{syntax}.dcm")

    with storescp(tmp_path / "peer", options=("+B", "+uf")) as peer:
        report = send_to(peer, tmp_path / "all")
        received = [pydicom.dcmread(path) for path in peer.files()]

    assert report.failures == {"not_accepted": 1}, "JPEG XL has no decoder here"
    assert report.sent == len(TRANSFER_SYNTAXES) - 1
    assert report.transcoded == len(TRANSFER_SYNTAXES) - 1 - (len(NATIVE_SYNTAXES) - 1)
    assert len(received) == report.sent
    for one in received:
        assert (one.pixel_array == ds.pixel_array).all()
        assert one.SOPInstanceUID == ds.SOPInstanceUID


def test_over_tls_a_study_arrives_and_a_stranger_is_refused(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    write_mr_study(tmp_path / "study", seed=2, slices=4, series=1)
    identity = TlsIdentity(own=certificates.server, trusted=certificates.authority.certificate)

    def tls(own: object) -> object:
        return client_context(
            TlsFiles(
                certificate_file=own.certificate,  # type: ignore[attr-defined]
                key_file=own.key,  # type: ignore[attr-defined]
                ca_file=certificates.authority.certificate,
            )
        )

    with storescp(tmp_path / "peer", tls=identity) as peer:
        known = send_to(peer, tmp_path / "study", tls=tls(certificates.client))
        stranger = send_to(peer, tmp_path / "study", tls=tls(certificates.stranger))

    assert (known.sent, known.failed) == (4, 0), known
    assert (stranger.sent, stranger.failed) == (0, 4)


SENDING = """
import sys
from pathlib import Path
from pacs.scu.send import send
report = send([Path(sys.argv[1])], host="127.0.0.1", port=int(sys.argv[2]), calling_aet="S", called_aet="STORESCP")
assert report.sent == 20, report
"""


def test_an_image_takes_one_read_one_write_and_one_receive(tmp_path: Path) -> None:
    write_ct_study(tmp_path / "study", seed=1, slices=20)
    with storescp(tmp_path / "peer") as peer:
        trace = tmp_path / "trace"
        names = "trace=sendmsg,sendto,recvfrom,preadv,preadv2,pread64,poll,select,pselect6,setsockopt"
        subprocess.run(
            [
                "strace",
                "-f",
                "-e",
                names,
                "-o",
                trace,
                sys.executable,
                "-c",
                SENDING,
                tmp_path / "study",
                str(peer.port),
            ],
            check=True,
            capture_output=True,
        )

    calls = Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    # The association itself: request, accept, release, its answer, and what prepares the socket.
    assert calls["preadv"] + calls["preadv2"] == 20
    # A write of half a megabyte may be taken in two parts when the peer is slow.
    assert 22 <= calls["sendmsg"] <= 22 + 20
    # storescp writes its responses in two pieces, which sometimes come one by one.
    assert calls["recvfrom"] <= 22 + 20
    assert calls["setsockopt"] <= 8 + calls["recvfrom"]
    assert calls["poll"] + calls["sendto"] + calls["select"] + calls["pread64"] <= 6
