"""The DICOM files that ship with pydicom and pydicom-data: many modalities, makers and faults.

For: feeding the node what real and broken files look like. Not for: judging pixels. Nothing is
fetched from the network; the lists are what the installed packages hold, sorted by path.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pydicom.data

#: Files of pydicom's that break PS3.10 or PS3.5, by name, with what is wrong with them.
BROKEN_FILES = {
    "MR_truncated.dcm": "the pixels end early",
    "badVR.dcm": "a VR that the standard does not have",
    "empty_charset_LEI.dcm": "SpecificCharacterSet without a value",
    "meta_missing_tsyntax.dcm": "no transfer syntax in the file meta information",
    "no_meta.dcm": "no file meta information",
    "no_meta_group_length.dcm": "no group length in the file meta information",
    "rtplan_truncated.dcm": "the data set ends inside an element",
}


def _package_directory() -> Path:
    return Path(pydicom.data.__file__).parent


def pydicom_test_files() -> list[Path]:
    """List pydicom's test files, without its DICOMDIR trees."""
    return sorted((_package_directory() / "test_files").glob("*.dcm"))


def character_set_files() -> list[Path]:
    """List pydicom's files with names in Arabic, Chinese, French, Greek, Hebrew, Japanese, ..."""
    return sorted((_package_directory() / "charset_files").glob("*.dcm"))


def pydicom_data_files() -> list[Path]:
    """List the files of pydicom-data: big, compressed, multi-frame and broken ones."""
    with importlib.resources.as_file(importlib.resources.files("data_store")) as directory:
        return sorted((directory / "data").glob("*.dcm"))


def broken_files() -> list[Path]:
    """List those of pydicom's files that `BROKEN_FILES` names."""
    return [path for path in pydicom_test_files() if path.name in BROKEN_FILES]
