"""Identifiers of queries, written and read by pydicom, so that our own reader and writer are not their own judges."""

import io
import warnings
import zlib

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def encode(dataset: Dataset, transfer_syntax: str) -> bytes:
    """Write a data set with pydicom, text in its Specific Character Set."""
    stream = DicomBytesIO()
    stream.is_little_endian = transfer_syntax != EXPLICIT_BIG
    stream.is_implicit_VR = transfer_syntax == IMPLICIT_LITTLE
    with warnings.catch_warnings():
        # Ranges, wildcards and lists are no values of their VRs; that is what queries are made of.
        warnings.simplefilter("ignore")
        write_dataset(stream, dataset, parent_encoding=str(dataset.get("SpecificCharacterSet", "ISO_IR 6")))
    written = stream.getvalue()
    if transfer_syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        written = deflater.compress(written) + deflater.flush()
        return written + b"\0" * (len(written) % 2)
    return written


def decode(written: bytes, transfer_syntax: str) -> Dataset:
    """Read a data set with pydicom, every value of it; a warning is an error."""
    if transfer_syntax == DEFLATED:
        written = zlib.decompress(written, -zlib.MAX_WBITS)
    dataset = read_dataset(
        io.BytesIO(written),
        is_implicit_VR=transfer_syntax == IMPLICIT_LITTLE,
        is_little_endian=transfer_syntax != EXPLICIT_BIG,
    )
    dataset.decode()
    for _ in dataset.iterall():
        # Values are converted when they are looked at.
        pass
    return dataset
