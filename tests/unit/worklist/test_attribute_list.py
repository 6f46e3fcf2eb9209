"""Attribute lists: pydicom writes and reads them too; bounds hold; what is kept comes back."""

import io
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from pacs.worklist.attribute_list import (
    UnreadableIdentifier,
    decode_attribute_list,
    encode_attribute_list,
    from_json,
    to_json,
)

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def a_step() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Lefèvre^Zoé"
    dataset.PerformedStationAETitle = "CT1"
    dataset.TotalNumberOfExposures = 3
    dataset.ImageAndFluoroscopyAreaDoseProduct = "0.10"
    series = Dataset()
    series.SeriesDescription = "Artériel"
    image = Dataset()
    image.ReferencedSOPInstanceUID = "1.2.3.4"
    series.ReferencedImageSequence = [image]
    dataset.PerformedSeriesSequence = [series]
    dataset.PerformedProtocolCodeSequence = []
    return dataset


def written(dataset: Dataset, transfer_syntax: str) -> bytes:
    into = DicomBytesIO()
    into.is_implicit_VR, into.is_little_endian = transfer_syntax == IMPLICIT, transfer_syntax != BIG_ENDIAN
    write_dataset(into, dataset)
    if transfer_syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflater.compress(into.getvalue()) + deflater.flush()
    return into.getvalue()


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED])
def test_what_pydicom_writes_is_read_in_each_transfer_syntax(transfer_syntax: str) -> None:
    read = decode_attribute_list(written(a_step(), transfer_syntax), transfer_syntax)

    assert read[0x00100010].text == "Lefèvre^Zoé"
    assert read[0x00400301].text == "3"
    assert read[0x00400340].items[0][0x0008103E].text == "Artériel"
    assert read[0x00400340].items[0][0x00081140].items[0][0x00081155].text == "1.2.3.4"
    assert read[0x00400260].items == ()
    assert 0x00080005 not in read


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_pydicom_reads_what_is_answered_in_each_transfer_syntax(transfer_syntax: str) -> None:
    item = decode_attribute_list(written(a_step(), IMPLICIT), IMPLICIT)

    answered = read_dataset(
        io.BytesIO(encode_attribute_list(item, transfer_syntax)),
        transfer_syntax == IMPLICIT,
        transfer_syntax != BIG_ENDIAN,
    )

    answered.decode()
    assert answered.PatientName == "Lefèvre^Zoé"
    assert answered.SpecificCharacterSet == "ISO_IR 192"
    assert answered.TotalNumberOfExposures == 3
    assert answered.PerformedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"


def test_values_come_back_from_their_json_as_they_were() -> None:
    item = decode_attribute_list(written(a_step(), EXPLICIT), EXPLICIT)

    text = json.dumps(to_json(item))

    assert from_json(json.loads(text)) == item
    assert json.loads(text)["0018115E"]["Value"] == ["0.10"]
    assert Dataset.from_json(text).PatientName == "Lefèvre^Zoé"


def test_private_attributes_and_bulk_data_are_left_out() -> None:
    dataset = a_step()
    dataset.add_new(0x00090010, "LO", "ACME")
    dataset.add_new(0x00091001, "UN", b"\1\2")
    dataset.add_new(0x00420011, "OB", b"%PDF")

    read = decode_attribute_list(written(dataset, EXPLICIT), EXPLICIT)

    assert not {0x00090010, 0x00091001, 0x00420011} & read.keys()
    assert 0x00100010 in read


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_bytes_are_values_or_unreadable(data: st.DataObject) -> None:
    good = bytearray(written(a_step(), EXPLICIT))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(good[: data.draw(st.integers(0, len(good)))])

    for transfer_syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED):
        try:
            item = decode_attribute_list(cut, transfer_syntax)
        except UnreadableIdentifier:
            continue
        assert json.dumps(to_json(item))
        encode_attribute_list(item, EXPLICIT)
