"""The head that is put in front of what was received: valid Part 10 for readers nobody here wrote."""

import io

import pydicom
import pytest

from pacs.archive import file_meta
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, image


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize("sop_instance_uid", ["1.2.3", "1.2.34", "1." + "2" * 62])
@pytest.mark.parametrize("source_aet", ["", "CT1", "SIXTEEN_CHARS_AE"])
def test_pydicom_reads_a_file_that_begins_with_our_head(syntax: str, sop_instance_uid: str, source_aet: str) -> None:
    head = file_meta.encode(
        sop_class_uid=CT_IMAGE,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=syntax,
        source_aet=source_aet,
    )

    ds = pydicom.dcmread(io.BytesIO(head + image(sop_instance_uid, syntax=syntax)))

    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.file_meta.MediaStorageSOPClassUID == CT_IMAGE
    assert ds.file_meta.MediaStorageSOPInstanceUID == sop_instance_uid == ds.SOPInstanceUID
    assert ds.file_meta.get("SourceApplicationEntityTitle", "") == source_aet
    assert ds.file_meta.FileMetaInformationGroupLength == len(head) - 144
    assert len(head) % 2 == 0
    assert len(head) <= file_meta.LENGTH_BYTES_MAX


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, "1.2.840.10008.1.2.4.201"])
def test_the_transfer_syntax_is_read_back(syntax: str) -> None:
    head = file_meta.encode(
        sop_class_uid=CT_IMAGE, sop_instance_uid="1.2.3", transfer_syntax_uid=syntax, source_aet="CT1"
    )

    assert file_meta.transfer_syntax_uid(head) == syntax


@pytest.mark.parametrize("length", [0, 131, 140, 150])
def test_a_head_that_is_cut_has_no_transfer_syntax(length: int) -> None:
    head = file_meta.encode(
        sop_class_uid=CT_IMAGE, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT_LITTLE, source_aet=""
    )

    assert file_meta.transfer_syntax_uid(head[:length]) == ""
