"""A DICOM file header that is encoded once and rendered quickly for each instance of a series.

For: `benchmarks.studies`; encoding a whole data set with pydicom for each image takes several
milliseconds, which is more than drawing the image takes. Not for: changing files that exist.
Invariants: Explicit VR Little Endian; elements ascend; pydicom reads back what was given.

References: PS3.5 7.1.2 (explicit VR), PS3.10 7.1 (file meta information).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

#: Made from a UUID once and for all (PS3.5 B.2); names this generator.
IMPLEMENTATION_CLASS_UID = UID("2.25.148673839708712277373130955149648972064")
IMPLEMENTATION_VERSION_NAME = "TELEGARDE_SYNTH"

_PREAMBLE = b"\0" * 128 + b"DICM"
_PIXEL_DATA_HEAD = struct.Struct("<HH2sHL")


class InstanceTemplate:
    """The header of a series' instances, up to and including the length of PixelData.

    Parameters
    ----------
    ds : Dataset
        Every element that the instances share, SOPClassUID included, without PixelData. Not kept.
    varying : tuple of str
        Keywords of the elements, besides SOPInstanceUID, that `render` fills in; their values are
        ASCII and their VR has a length field of two bytes.
    """

    def __init__(self, ds: Dataset, *, varying: tuple[str, ...]) -> None:
        self._sop_class_uid = UID(ds.SOPClassUID)
        encodings = convert_encodings(ds.SpecificCharacterSet)
        keyword_by_tag = {Tag(keyword): keyword for keyword in ("SOPInstanceUID", *varying)}
        # In order of tags: an encoded element that all instances share, or the keyword of one
        # that differs.
        self._parts: list[bytes | str] = []
        for tag in sorted({*ds.keys(), *keyword_by_tag}):
            if tag in keyword_by_tag:
                self._parts.append(keyword_by_tag[tag])
            else:
                buffer = _little_endian_buffer()
                write_data_element(buffer, ds[tag], encodings)
                self._parts.append(buffer.getvalue())

    def render(self, sop_instance_uid: str, values: Mapping[str, str], *, pixel_data_bytes: int) -> bytes:
        """Give the bytes that come before the pixels of one instance.

        Parameters
        ----------
        sop_instance_uid : str
        values : mapping from str to str
            A value for each keyword of `varying`.
        pixel_data_bytes : int
            Length of the pixels that follow (VR OW), even.

        Returns
        -------
        bytes
            Preamble, prefix, file meta information, data set, tag, VR and length of PixelData.
        """
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = self._sop_class_uid
        meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
        meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
        buffer = _little_endian_buffer()
        write_file_meta_info(buffer, meta)
        chunks = [_PREAMBLE, buffer.getvalue()]
        for part in self._parts:
            if isinstance(part, bytes):
                chunks.append(part)
            else:
                is_uid = part == "SOPInstanceUID"
                chunks.append(_short_element(part, sop_instance_uid if is_uid else values[part]))
        chunks.append(_PIXEL_DATA_HEAD.pack(0x7FE0, 0x0010, b"OW", 0, pixel_data_bytes))
        return b"".join(chunks)


def _little_endian_buffer() -> DicomBytesIO:
    """Give a buffer that pydicom writes Explicit VR Little Endian into."""
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = False
    return buffer


def _short_element(keyword: str, value: str) -> bytes:
    """Encode an element with a two-byte length, padded to even length as its VR demands."""
    tag = Tag(keyword)
    vr = dictionary_VR(tag)
    padding = "\0" if vr == "UI" else " "
    encoded = (value + padding * (len(value) % 2)).encode("ascii")
    head = struct.pack("<HH2sH", tag.group, tag.element, vr.encode("ascii"), len(encoded))
    return head + encoded
