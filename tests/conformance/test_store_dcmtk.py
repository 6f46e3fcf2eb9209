"""The Storage SCP: what DCMTK sends is kept byte for byte, and each refusal has its status (PS3.4 B.2.3).

DCMTK writes data sets anew when it sends, so what it sent is what its own bit-preserving ``storescp +B`` received of
the same files. Data sets that no tool sends come from a peer that sends what it is told.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pydicom
import pytest

from benchmarks.studies import write_mr_study
from benchmarks.transfer_syntaxes import (
    JPEG_XL_LOSSLESS,
    TRANSFER_SYNTAXES,
    with_opaque_pixels,
    with_transfer_syntax,
)
from pacs.scp.presentation import STORAGE_TRANSFER_SYNTAXES
from pacs.scu.send import send
from pacs.status import Status
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, encode_command
from tests.harness.configured_node import ConfiguredNode
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, MR_IMAGE, image, image_elements, uid, written
from tests.harness.part10 import read_part10
from tests.harness.peers import LOOPBACK, run_client, storescp, telegarde_json
from tests.harness.raw_peer import STORE, RawPeer
from tests.harness.sample_files import character_set_files, pydicom_test_files
from tests.harness.stored_datasets import evidence, served_datasets

PRIVATE_TAKEN, PRIVATE_REFUSED = "1.2.840.113619.4.30", "1.2.276.0.99.1"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
DEFLATED = "1.2.840.10008.1.2.1.99"
#: What storescu must be told so that it proposes a file's own transfer syntax and sends it as it is.
STORESCU_OPTIONS = {
    "1.2.840.10008.1.2": "-xi",
    EXPLICIT_LITTLE: "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    DEFLATED: "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.4.100": "-xm",
    "1.2.840.10008.1.2.4.101": "-xh",
    "1.2.840.10008.1.2.4.102": "-xn",
    "1.2.840.10008.1.2.4.103": "-xl",
    "1.2.840.10008.1.2.4.104": "-x2",
    "1.2.840.10008.1.2.4.105": "-x3",
    "1.2.840.10008.1.2.4.106": "-xo",
    "1.2.840.10008.1.2.4.107": "-x4",
    "1.2.840.10008.1.2.4.108": "-x5",
    "1.2.840.10008.1.2.5": "-xr",
}
TOML = f"""
[dicom.storage]
private_sop_classes = ["{PRIVATE_TAKEN}"]
[[peers]]
aet = "CT1"
addresses = ["{LOOPBACK}"]
rights = ["store"]
issuer = "NORTH"
"""
REFUSING = """
[dicom.storage]
duplicates = "refuse_conflicts"
[[peers]]
aet = "CT1"
addresses = ["127.0.0.1"]
rights = ["store"]
issuer = "NORTH"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredNode]:
    """Give a node that every test stores other instances on; at the end every byte is proven."""
    with ConfiguredNode(tmp_path_factory.mktemp("store"), TOML) as started:
        yield started
        started.wait_until_idle()
    assert_whole(started)


def assert_whole(node: ConfiguredNode) -> None:
    found = telegarde_json("verify", "--data", node.data)
    assert (found["missing"], found["corrupt"], found["unindexed"]) == (0, 0, 0), found


def peer_of(node: ConfiguredNode, sop_class_uid: str = CT_IMAGE, transfer_syntax: str = EXPLICIT_LITTLE) -> RawPeer:
    return RawPeer(node.port, contexts={STORE: sop_class_uid}, transfer_syntax=transfer_syntax, calling_aet="CT1")


def received(paths: Iterable[Path]) -> dict[str, tuple[str, bytes]]:
    """Return transfer syntax and data set of files that the bit-preserving peer received, by SOP Instance UID."""
    found = {}
    for path in paths:
        part10 = read_part10(path)
        assert part10 is not None
        found[part10.uid(0x0003)] = part10.transfer_syntax_uid, part10.dataset
    return found


def kept(node: ConfiguredNode) -> dict[str, tuple[str, bytes]]:
    return {key: (one.transfer_syntax_uid, one.dataset) for key, one in served_datasets(node.data).items()}


def belongs_somewhere(path: Path) -> bool:
    """Ask pydicom whether a received file names its study and series, and is the instance that was announced."""
    found = pydicom.dcmread(path, stop_before_pixels=True)
    is_announced = found.get("SOPInstanceUID") == found.file_meta.MediaStorageSOPInstanceUID
    return is_announced and bool(found.get("StudyInstanceUID")) and bool(found.get("SeriesInstanceUID"))


def distinct_files(directory: Path) -> Path:
    """Make a directory with one of pydicom's files for each SOP Instance UID."""
    directory.mkdir()
    seen = set()
    for path in pydicom_test_files() + character_set_files():
        part10 = read_part10(path)
        if part10 is not None and part10.uid(0x0003) not in seen:
            seen.add(part10.uid(0x0003))
            (directory / path.name).symlink_to(path)
    return directory


def test_echoscu_is_answered(node: ConfiguredNode) -> None:
    done = run_client("echoscu", ["-aet", "CT1", "-aec", node.ae_title, LOOPBACK, str(node.port)])
    assert done.returncode == 0, done.stderr


def test_dcmsend_what_it_sends_of_pydicoms_files_is_kept_byte_for_byte(tmp_path: Path) -> None:
    files = distinct_files(tmp_path / "files")
    options = ["-v", "-dn", "-nh", "-nuc", "-aet", "CT1", "+sd"]
    with (
        ConfiguredNode(tmp_path / "node", TOML) as ours,
        storescp(tmp_path / "reference", options=("+B", "+xa", "+uf"), fork=False) as reference,
    ):
        for ae_title, port in ((ours.ae_title, ours.port), (reference.ae_title, reference.port)):
            run_client("dcmsend", [*options, "-aec", ae_title, LOOPBACK, str(port), files])
        # storescp refuses nothing by itself, so whatever it has, dcmsend has sent.
        expected = received(path for path in reference.directory.iterdir() if belongs_somewhere(path))
        assert len(expected) >= 40
        assert kept(ours) == expected
        ours.wait_until_idle()
    assert_whole(ours)


def test_every_transfer_syntax_dcmtk_knows_is_kept_as_storescu_sends_it(tmp_path: Path, node: ConfiguredNode) -> None:
    originals = write_mr_study(tmp_path / "originals", seed=5, slices=len(STORESCU_OPTIONS), series=1)
    sent = {}
    with storescp(tmp_path / "reference", options=("+B", "+xa", "+uf"), fork=False) as reference:
        for number, (syntax, option) in enumerate(STORESCU_OPTIONS.items()):
            if syntax in TRANSFER_SYNTAXES:
                path = with_transfer_syntax(originals[number], syntax)
            else:
                path = with_opaque_pixels(originals[number], syntax, seed=number)
            sent[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)] = syntax
            for ae_title, port in ((node.ae_title, node.port), (reference.ae_title, reference.port)):
                arguments = ["-v", "-R", option, "-aet", "CT1", "-aec", ae_title, LOOPBACK, str(port), path]
                done = run_client("storescu", arguments)
                assert "Received Store Response (Success)" in done.stdout + done.stderr, (syntax, done.stderr)
        expected = received(reference.directory.iterdir())
    stored = kept(node)
    assert {key: syntax for key, (syntax, _) in expected.items()} == sent
    assert {key: stored.get(key) for key in sent} == expected


@pytest.mark.parametrize("syntax", sorted(STORAGE_TRANSFER_SYNTAXES))
def test_every_standard_transfer_syntax_is_kept_as_our_sender_sends_it(
    tmp_path: Path, node: ConfiguredNode, syntax: str
) -> None:
    seed = 100 + sorted(STORAGE_TRANSFER_SYNTAXES).index(syntax)
    (original,) = write_mr_study(tmp_path / "study", seed=seed, slices=1, series=1)
    if syntax in TRANSFER_SYNTAXES:
        path = with_transfer_syntax(original, syntax)
    else:
        path = with_opaque_pixels(original, syntax, seed=seed)
    report = send([path], host=LOOPBACK, port=node.port, calling_aet="CT1", called_aet=node.ae_title)
    assert (report.sent, report.warnings, report.transcoded) == (1, 0, 0), report
    part10 = read_part10(path)
    assert part10 is not None
    assert kept(node)[part10.uid(0x0003)] == (syntax, part10.dataset)


def test_what_dcmtk_does_not_know_is_among_the_transfer_syntaxes_tried() -> None:
    assert {HTJ2K_LOSSLESS, JPEG_XL_LOSSLESS} <= STORAGE_TRANSFER_SYNTAXES.keys()
    assert STORESCU_OPTIONS.keys() <= STORAGE_TRANSFER_SYNTAXES.keys()


def test_the_same_bytes_again_are_acknowledged_and_kept_once(node: ConfiguredNode) -> None:
    with peer_of(node) as peer:
        sent = image("1.2.3.10.1", pixels=b"\1\2" * 500)
        assert [peer.store("1.2.3.10.1", sent) for _ in range(3)] == [Status.SUCCESS] * 3
    packs = b"".join(path.read_bytes() for path in (node.data / "packs").iterdir())
    assert served_datasets(node.data)["1.2.3.10.1"].dataset == sent
    # Each newcomer is overwritten by the next; only the last one may lie, unreachable, behind the end of its lane.
    assert packs.count(sent) <= 2
    assert not [one for one in evidence(node.data) if one[0] == "1.2.3.10.1"]


def test_other_bytes_under_a_known_uid_are_evidence_and_the_first_stays_served(node: ConfiguredNode) -> None:
    first, second = (image("1.2.3.11.1", pixels=pixels * 100) for pixels in (b"\1\2", b"\3\4"))
    with peer_of(node) as peer:
        assert peer.store("1.2.3.11.1", first) == Status.SUCCESS
        assert peer.store("1.2.3.11.1", second) == 0xB000
        assert peer.store("1.2.3.11.1", second) == 0xB000
        assert peer.store("1.2.3.11.1", first) == Status.SUCCESS
    assert served_datasets(node.data)["1.2.3.11.1"].dataset == first
    assert [bytes_ for key, bytes_ in evidence(node.data) if key == "1.2.3.11.1"] == [second]


def test_with_the_refusing_policy_other_bytes_get_0x0111_and_are_not_kept(tmp_path: Path) -> None:
    first, second = (image("1.2.3.12.1", pixels=pixels * 100) for pixels in (b"\1\2", b"\3\4"))
    with ConfiguredNode(tmp_path, REFUSING) as node:
        with peer_of(node) as peer:
            assert peer.store("1.2.3.12.1", first) == Status.SUCCESS
            assert peer.store("1.2.3.12.1", second) == 0x0111
            assert peer.store("1.2.3.12.1", first) == Status.SUCCESS
        node.wait_until_idle()
        assert served_datasets(node.data)["1.2.3.12.1"].dataset == first
        assert evidence(node.data) == []
    assert_whole(node)


def test_a_private_sop_class_is_taken_when_configured_and_its_context_refused_when_not(node: ConfiguredNode) -> None:
    contexts = {STORE: PRIVATE_TAKEN, 3: PRIVATE_REFUSED}
    with RawPeer(node.port, contexts=contexts, calling_aet="CT1") as peer:
        assert set(peer.upper.contexts) == {STORE}
        sent = image("1.2.3.13.1", sop_class_uid=PRIVATE_TAKEN)
        assert peer.store("1.2.3.13.1", sent) == Status.SUCCESS
    assert served_datasets(node.data)["1.2.3.13.1"].dataset == sent


def test_a_data_set_that_ends_inside_an_element_is_kept_as_sent_and_marked(node: ConfiguredNode) -> None:
    sent = image("1.2.3.14.1", pixels=b"\1\2" * 500)[:-300]
    with peer_of(node) as peer:
        assert peer.store("1.2.3.14.1", sent) == 0xB007
    stored = served_datasets(node.data)["1.2.3.14.1"]
    assert (stored.dataset, stored.is_damaged) == (sent, True)


def test_a_data_set_that_pydicom_cannot_parse_is_kept_as_sent_and_marked(node: ConfiguredNode) -> None:
    # The UIDs come first; what follows the series is no element of any kind.
    elements = {tag: one for tag, one in image_elements("1.2.3.14.2").items() if tag <= 0x0020000E}
    sent = written(elements) + b"\x20\x00\x13\x00??" + b"\xff" * 120
    with peer_of(node) as peer:
        assert peer.store("1.2.3.14.2", sent) == 0xB007
    stored = served_datasets(node.data)["1.2.3.14.2"]
    assert (stored.dataset, stored.is_damaged) == (sent, True)


@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E], ids="{:08X}".format)
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "empty"])
def test_without_its_uids_a_data_set_is_not_understood_and_not_stored(
    node: ConfiguredNode, tag: int, is_there: bool
) -> None:
    instance_uid = f"1.2.3.15.{tag}.{int(is_there)}"
    elements = image_elements(instance_uid)
    del elements[tag]
    if is_there:
        elements[tag] = ("UI", b"")
    with peer_of(node) as peer:
        assert peer.store(instance_uid, written(elements)) in {0xC000, 0xA900}
        # The association goes on.
        assert peer.store(f"{instance_uid}.1", image(f"{instance_uid}.1")) == Status.SUCCESS
    stored = served_datasets(node.data)
    assert instance_uid not in stored
    assert f"{instance_uid}.1" in stored


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"not a data set at all", b"\xff" * 4096], ids=["0", "2", "21", "4096"])
def test_what_is_no_data_set_is_not_understood_and_not_stored(node: ConfiguredNode, sent: bytes) -> None:
    instance_uid = f"1.2.3.16.{len(sent)}"
    with peer_of(node) as peer:
        assert peer.store(instance_uid, sent) in {0xC000, 0xA900}
        assert peer.store(f"{instance_uid}.1", image(f"{instance_uid}.1")) == Status.SUCCESS
    assert instance_uid not in served_datasets(node.data)


@pytest.mark.parametrize(
    "changed",
    [{0x00080018: ("UI", uid("1.2.3.17.99"))}, {0x00080016: ("UI", uid(MR_IMAGE))}],
    ids=["SOPInstanceUID", "SOPClassUID"],
)
def test_a_data_set_with_other_uids_than_announced_gets_0xa900_and_is_not_stored(
    node: ConfiguredNode, changed: dict[int, tuple[str, bytes]]
) -> None:
    sent = written(image_elements("1.2.3.17.1", extra=changed))
    with peer_of(node) as peer:
        assert peer.store("1.2.3.17.1", sent) == 0xA900
    assert not {"1.2.3.17.1", "1.2.3.17.99"} & served_datasets(node.data).keys()


def test_a_request_for_another_sop_class_than_its_contexts_is_refused(node: ConfiguredNode) -> None:
    with peer_of(node) as peer:
        sent = image("1.2.3.18.1", sop_class_uid=MR_IMAGE)
        assert peer.store("1.2.3.18.1", sent, sop_class_uid=MR_IMAGE) == Status.SOP_CLASS_NOT_SUPPORTED
    assert "1.2.3.18.1" not in served_datasets(node.data)


def test_a_request_without_instance_uid_is_refused_after_its_data_set_and_the_association_goes_on(
    node: ConfiguredNode,
) -> None:
    with peer_of(node) as peer:
        command = encode_command(
            affected_sop_class_uid=CT_IMAGE, command_field=CommandField.C_STORE_RQ, message_id=7, priority=0,
            data_set_type=1,
        )  # fmt: skip
        peer.write(peer.message(STORE, command, image("1.2.3.19.1")))
        assert peer.next_status() == Status.MISTYPED_ARGUMENT
        assert peer.store("1.2.3.19.2", image("1.2.3.19.2")) == Status.SUCCESS
    assert "1.2.3.19.1" not in served_datasets(node.data)


def test_a_request_that_announces_no_data_set_fails_and_the_association_goes_on(node: ConfiguredNode) -> None:
    with peer_of(node) as peer:
        command = encode_command(
            affected_sop_class_uid=CT_IMAGE,
            command_field=CommandField.C_STORE_RQ,
            message_id=7,
            priority=0,
            data_set_type=NO_DATA_SET,
            affected_sop_instance_uid="1.2.3.20.1",
        )
        peer.write(peer.message(STORE, command))
        assert peer.next_status() in {Status.MISTYPED_ARGUMENT, Status.CANNOT_UNDERSTAND}
        assert peer.store("1.2.3.20.2", image("1.2.3.20.2")) == Status.SUCCESS
    assert "1.2.3.20.1" not in served_datasets(node.data)
