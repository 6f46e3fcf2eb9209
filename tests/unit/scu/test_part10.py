"""Heads of DICOM files: read quickly, and refused with a reason."""

import pydicom
import pytest
from pydicom.filereader import read_file_meta_info

from pacs.archive.file_meta import encode
from pacs.scu.part10 import HEAD_BYTES_MAX, NotPart10, read_meta
from tests.harness.sample_files import character_set_files, pydicom_data_files, pydicom_test_files

HEAD = encode(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    source_aet="CT1",
)


def test_our_own_heads_are_read() -> None:
    meta = read_meta(HEAD + b"\x08\x00\x05\x00CS")

    assert (meta.sop_class_uid, meta.sop_instance_uid) == ("1.2.840.10008.5.1.4.1.1.2", "1.2.3")
    assert meta.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert meta.dataset_offset == len(HEAD)


@pytest.mark.filterwarnings("ignore")
def test_every_sample_file_is_read_as_pydicom_reads_it() -> None:
    compared = 0
    for path in (*pydicom_test_files(), *character_set_files(), *pydicom_data_files()):
        head = path.read_bytes()[:HEAD_BYTES_MAX]
        try:
            meta = read_meta(head)
        except NotPart10:
            continue
        theirs = read_file_meta_info(path)
        assert meta.sop_class_uid == theirs.MediaStorageSOPClassUID
        assert meta.sop_instance_uid == theirs.MediaStorageSOPInstanceUID
        assert meta.transfer_syntax_uid == theirs.TransferSyntaxUID
        with path.open("rb") as file:
            file.seek(132)
            pydicom.filereader._read_file_meta_info(file)
            assert meta.dataset_offset == file.tell(), path.name
        compared += 1
    assert compared > 150


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "not a DICOM file"),
        (b"\0" * 128, "not a DICOM file"),
        (b"%PDF-1.4" + b"\0" * 500, "not a DICOM file"),
        (HEAD[:132], "no SOP Class"),
        (HEAD[:300], "ends inside"),
        (HEAD[:132] + HEAD[144:200], "."),
        (HEAD.replace(b"1.2.3\0", b"1.x.3\0"), "no UID"),
        (HEAD.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"), "no transfer syntax"),
    ],
)
def test_what_is_missing_is_named(head: bytes, reason: str) -> None:
    with pytest.raises(NotPart10, match=reason):
        read_meta(head)


def test_every_truncation_is_refused_or_read_in_full() -> None:
    for length in range(len(HEAD)):
        try:
            meta = read_meta(HEAD[:length])
        except NotPart10:
            continue
        # Cut between the optional elements after the transfer syntax.
        assert meta.transfer_syntax_uid == "1.2.840.10008.1.2.1"
