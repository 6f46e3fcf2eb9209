"""Seeded generator of synthetic CT and MR studies and of big multi-frame objects, as DICOM files.

For: the demo, the tests and the benchmarks, which need realistic studies in quantity and in
seconds, without any patient's data. Not for: clinical use; the pixels are phantoms.

Invariants: the same arguments write the same bytes; different arguments never share a UID, so no
two objects made here have one SOP Instance UID and different bytes; every file passes `dciodvfy`
with no error. Files are PS3.10, Explicit VR Little Endian, named `*.dcm`.

References: PS3.3 A.3 (CT Image), A.4 (MR Image), A.8.4 (Multi-frame Grayscale Word Secondary
Capture); PS3.5 B.2 (UIDs from UUIDs).
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from benchmarks import iod_modules, phantoms
from benchmarks.dicom_template import InstanceTemplate
from benchmarks.iod_modules import AxialStack
from benchmarks.phantoms import Phantom, SliceSource, Weighting
from benchmarks.territory_cast import (
    HOSPITALS,
    PATIENTS,
    CharacterSet,
    Hospital,
    Patient,
    StudyFacts,
    study_facts,
)

__all__ = [
    "HOSPITALS",
    "PATIENTS",
    "CharacterSet",
    "Hospital",
    "Patient",
    "Region",
    "write_ct_study",
    "write_mr_study",
    "write_multiframe",
]

#: Largest length of PixelData: even, and 0xFFFFFFFF means undefined (PS3.5 7.1.2).
PIXEL_DATA_BYTES_MAX = 0xFFFF_FFFE

CT_SIDE_PIXELS = 512
MR_SIDE_PIXELS = 256
MULTIFRAME_SIDE_PIXELS = 512
FRAME_BYTES = MULTIFRAME_SIDE_PIXELS * MULTIFRAME_SIDE_PIXELS * 2

_TWELVE_BITS = (0, 4095)
_VARYING_BY_SLICE = ("ContentTime", "InstanceNumber", "ImagePositionPatient", "SliceLocation")

Region = Literal["head", "thorax"]


def write_ct_study(
    directory: Path,
    *,
    seed: int,
    slices: int = 250,
    series: int = 1,
    region: Region = "head",
    patient: Patient | None = None,
    hospital: Hospital | None = None,
    character_set: CharacterSet = "ISO_IR 192",
    acquired_at: datetime.datetime | None = None,
) -> list[Path]:
    """Write one CT study: 512 x 512 x 16 bit, 526 KB an image.

    Parameters
    ----------
    directory : Path
        Created when missing; files of the same names in it are replaced.
    seed : int
        Not negative. Chooses anatomy, noise and, unless given, patient, hospital and time.
    slices, series : int
        Images in each series and series in the study, at least 1. Even series are the sharp
        reconstruction for the bones of the one before.
    region : {"head", "thorax"}
    patient : Patient, optional
    hospital : Hospital, optional
    character_set : {"ISO_IR 100", "ISO_IR 192"}
        Latin-1 or UTF-8.
    acquired_at : datetime, optional
        Aware; written as the local time it holds, with the offset.

    Returns
    -------
    list of Path
        By series and instance number, which runs from the feet to the head.

    Raises
    ------
    ValueError
        When the seed is negative or `acquired_at` is naive.
    """
    facts = study_facts(
        "CT",
        (slices, series, region),
        seed=seed,
        description="Scanner cérébral" if region == "head" else "Scanner thoracique",
        patient=patient,
        hospital=hospital,
        character_set=character_set,
        acquired_at=acquired_at,
    )
    phantom = phantoms.head(seed) if region == "head" else phantoms.thorax(seed)
    levels = phantoms.key_levels(phantom, CT_SIDE_PIXELS)
    stored_values = {
        tissue: value - iod_modules.CT_RESCALE_INTERCEPT_HU for tissue, value in phantoms.HOUNSFIELD_UNITS.items()
    }
    stack = _stack(phantom, slices, CT_SIDE_PIXELS)
    paths: list[Path] = []
    for series_number in range(1, series + 1):
        is_sharp = series_number % 2 == 0
        source = SliceSource(
            levels=levels,
            values=stored_values,
            noise_sigma=24.0 if is_sharp else 7.0,
            value_range=_TWELVE_BITS,
            seed=(seed, series_number),
        )
        ds = iod_modules.patient_study_and_equipment(facts)
        iod_modules.add_series(ds, facts, modality="CT", series_number=series_number)
        iod_modules.add_axial_stack(ds, facts, stack)
        iod_modules.add_ct_image(ds, is_sharp=is_sharp, is_head=region == "head")
        ds.SeriesDescription = "Os, filtre dur" if is_sharp else "Tissus mous"
        paths += _write_series(directory, facts, series_number, stack, ds, source)
    return paths


def write_mr_study(
    directory: Path,
    *,
    seed: int,
    slices: int = 40,
    series: int = 4,
    patient: Patient | None = None,
    hospital: Hospital | None = None,
    character_set: CharacterSet = "ISO_IR 192",
    acquired_at: datetime.datetime | None = None,
) -> list[Path]:
    """Write one MR study of the brain: 256 x 256 x 16 bit, 133 KB an image.

    The series are T1, T2, FLAIR and diffusion in turn. Parameters, result and errors are those of
    `write_ct_study`.
    """
    facts = study_facts(
        "MR",
        (slices, series),
        seed=seed,
        description="IRM cérébrale",
        patient=patient,
        hospital=hospital,
        character_set=character_set,
        acquired_at=acquired_at,
    )
    phantom = phantoms.head(seed)
    levels = phantoms.key_levels(phantom, MR_SIDE_PIXELS)
    stack = _stack(phantom, slices, MR_SIDE_PIXELS)
    weightings = tuple(Weighting)
    paths: list[Path] = []
    for series_number in range(1, series + 1):
        weighting = weightings[(series_number - 1) % len(weightings)]
        source = SliceSource(
            levels=levels,
            values=phantoms.MR_SIGNAL[weighting],
            noise_sigma=14.0,
            value_range=_TWELVE_BITS,
            seed=(seed, series_number),
        )
        ds = iod_modules.patient_study_and_equipment(facts)
        iod_modules.add_series(ds, facts, modality="MR", series_number=series_number)
        iod_modules.add_axial_stack(ds, facts, stack)
        iod_modules.add_mr_image(ds, weighting)
        ds.SeriesDescription = f"AX {weighting.value}"
        paths += _write_series(directory, facts, series_number, stack, ds, source)
    return paths


def write_multiframe(path: Path, *, size_bytes: int, seed: int) -> Path:
    """Write one multi-frame object of about the given size, holding one frame in memory.

    Parameters
    ----------
    path : Path
        Its directory is created when missing.
    size_bytes : int
        Wanted size of the file, which is smaller by less than one frame of 512 x 512 x 16 bit; a
        file has at least two frames.
    seed : int
        Not negative.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        When the seed is negative, or the pixels do not fit one uncompressed element (4 GiB).
    """
    facts = study_facts(
        "OT",
        (size_bytes,),
        seed=seed,
        description="Capture multi-image",
        patient=None,
        hospital=None,
        character_set="ISO_IR 192",
        acquired_at=None,
    )
    ds = iod_modules.patient_study_and_equipment(facts)
    iod_modules.add_series(ds, facts, modality="OT", series_number=1)
    iod_modules.add_multiframe_capture(ds, side_pixels=MULTIFRAME_SIDE_PIXELS)
    ds.ContentTime = ds.StudyTime
    ds.InstanceNumber = "1"
    template = InstanceTemplate(ds, varying=("NumberOfFrames",))

    def header(frames: int) -> bytes:
        return template.render(
            facts.uid("instance"),
            {"NumberOfFrames": str(frames)},
            pixel_data_bytes=frames * FRAME_BYTES,
        )

    frames = max(2, (size_bytes - len(header(2))) // FRAME_BYTES)
    if frames * FRAME_BYTES > PIXEL_DATA_BYTES_MAX:
        message = f"{size_bytes} bytes do not fit one uncompressed PixelData element"
        raise ValueError(message)
    source = SliceSource(
        levels=phantoms.key_levels(phantoms.head(seed), MULTIFRAME_SIDE_PIXELS),
        values=phantoms.MR_SIGNAL[Weighting.T1],
        noise_sigma=10.0,
        value_range=_TWELVE_BITS,
        seed=(seed, 0),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header(frames))
        for index in range(frames):
            file.write(_stored_bytes(source.pixels(index / (frames - 1), index)))
    return path


def _stack(phantom: Phantom, slices: int, side_pixels: int) -> AxialStack:
    """Cut the whole height of a phantom into slices."""
    return AxialStack(
        slices=slices,
        side_pixels=side_pixels,
        pixel_mm=phantom.field_of_view_mm / side_pixels,
        slice_mm=phantom.height_mm / slices,
    )


def _write_series(
    directory: Path,
    facts: StudyFacts,
    series_number: int,
    stack: AxialStack,
    ds: Dataset,
    source: SliceSource,
) -> list[Path]:
    """Write the images of one series, feet first."""
    directory.mkdir(parents=True, exist_ok=True)
    template = InstanceTemplate(ds, varying=_VARYING_BY_SLICE)
    paths: list[Path] = []
    for index in range(stack.slices):
        pixels = _stored_bytes(source.pixels((index + 0.5) / stack.slices, index))
        content_time = facts.acquired_at + datetime.timedelta(milliseconds=100 * index)
        position_mm = stack.image_position_mm(index)
        header = template.render(
            facts.uid("instance", series_number, index),
            {
                "ContentTime": content_time.strftime("%H%M%S.%f"),
                "InstanceNumber": str(index + 1),
                "ImagePositionPatient": "\\".join(map(iod_modules.decimal_string, position_mm)),
                "SliceLocation": iod_modules.decimal_string(stack.slice_location_mm(index)),
            },
            pixel_data_bytes=len(pixels),
        )
        path = directory / f"{ds.Modality}-{series_number:02d}-{index + 1:05d}.dcm"
        with path.open("wb") as file:
            file.write(header)
            file.write(pixels)
        paths.append(path)
    return paths


def _stored_bytes(pixels: NDArray[np.int16]) -> bytes:
    """Give pixels (all in 0 to 4,095) as 16 bit little endian."""
    return pixels.astype("<u2", copy=False).tobytes()
