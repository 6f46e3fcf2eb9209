"""The synthetic studies are what the standard asks for, and what their module promises."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from benchmarks import studies
from benchmarks.studies import write_ct_study, write_mr_study, write_multiframe


def dciodvfy_errors(path: Path) -> list[str]:
    """Ask David Clunie's validator; fails when it could not tell what the object is."""
    tool = Path(sys.executable).with_name("dciodvfy")
    finished = subprocess.run([tool, "-new", path], capture_output=True, text=True, check=False)
    assert "Image" in finished.stderr, finished.stderr
    return [line for line in finished.stderr.splitlines() if line.startswith("Error")]


def digests(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.mark.parametrize("region", ["head", "thorax"])
@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_dciodvfy_finds_no_error_in_a_ct_study(
    tmp_path: Path, region: studies.Region, character_set: studies.CharacterSet
) -> None:
    paths = write_ct_study(tmp_path, seed=4, slices=2, series=2, region=region, character_set=character_set)
    assert [dciodvfy_errors(path) for path in paths] == [[]] * 4


def test_dciodvfy_finds_no_error_in_an_mr_study(tmp_path: Path) -> None:
    paths = write_mr_study(tmp_path, seed=2, slices=1)
    assert [dciodvfy_errors(path) for path in paths] == [[]] * 4


def test_dciodvfy_finds_no_error_in_a_multiframe_object(tmp_path: Path) -> None:
    path = write_multiframe(tmp_path / "capture.dcm", size_bytes=2_000_000, seed=1)
    assert dciodvfy_errors(path) == []


def test_dciodvfy_does_find_an_error_that_was_put_in(tmp_path: Path) -> None:
    (path,) = write_ct_study(tmp_path, seed=1, slices=1)
    ds = pydicom.dcmread(path)
    del ds.KVP
    ds.save_as(path)
    assert any("KVP" in line for line in dciodvfy_errors(path))


def test_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    first = write_ct_study(tmp_path / "a", seed=7, slices=2, series=2)
    second = write_ct_study(tmp_path / "b", seed=7, slices=2, series=2)
    assert digests(first) == digests(second)
    assert len(set(digests(first))) == 4


def test_different_arguments_share_no_uid(tmp_path: Path) -> None:
    groups = [
        write_ct_study(tmp_path / "a", seed=7, slices=2),
        write_ct_study(tmp_path / "b", seed=8, slices=2),
        write_ct_study(tmp_path / "c", seed=7, slices=3),
        write_ct_study(tmp_path / "d", seed=7, slices=2, hospital=studies.HOSPITALS[0]),
        write_mr_study(tmp_path / "e", seed=7, slices=2, series=2),
        [write_multiframe(tmp_path / "f.dcm", size_bytes=1, seed=7)],
    ]
    headers = [[pydicom.dcmread(path, stop_before_pixels=True) for path in group] for group in groups]
    instance_uids = [ds.SOPInstanceUID for group in headers for ds in group]
    study_uids = [{ds.StudyInstanceUID for ds in group} for group in headers]
    assert len(set(instance_uids)) == len(instance_uids) == 14
    assert [len(uids) for uids in study_uids] == [1] * len(groups)
    assert len(set().union(*study_uids)) == len(groups)


def test_one_ct_image_has_the_size_that_the_benchmarks_are_stated_for(tmp_path: Path) -> None:
    (path,) = write_ct_study(tmp_path, seed=1, slices=1)
    ds = pydicom.dcmread(path)
    assert 525_000 < path.stat().st_size < 527_000
    assert ds.pixel_array.shape == (512, 512)
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_slices_stand_evenly_along_the_patient(tmp_path: Path) -> None:
    paths = write_ct_study(tmp_path, seed=3, slices=5)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    heights_mm = np.array([float(ds.ImagePositionPatient[2]) for ds in headers])
    assert [int(ds.InstanceNumber) for ds in headers] == [1, 2, 3, 4, 5]
    assert np.allclose(np.diff(heights_mm), float(headers[0].SliceThickness), atol=1e-3)
    assert [float(ds.SliceLocation) for ds in headers] == list(heights_mm)
    corner_mm = float(headers[0].ImagePositionPatient[0])
    assert corner_mm == pytest.approx(-511 / 2 * float(headers[0].PixelSpacing[0]), abs=0.05)


def test_a_head_has_bone_brain_and_air(tmp_path: Path) -> None:
    path = write_ct_study(tmp_path, seed=1, slices=3)[1]
    ds = pydicom.dcmread(path)
    hounsfield = ds.pixel_array.astype(int) + int(ds.RescaleIntercept)
    assert hounsfield[5, 5] < -900
    assert hounsfield.max() > 900
    middle = hounsfield[236:276, 236:276]
    assert 0 < np.median(middle) < 60


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_french_names_survive_their_character_set(tmp_path: Path, character_set: studies.CharacterSet) -> None:
    (path,) = write_ct_study(
        tmp_path,
        seed=1,
        slices=1,
        patient=studies.PATIENTS[3],
        hospital=studies.HOSPITALS[1],
        character_set=character_set,
    )
    ds = pydicom.dcmread(path)
    assert str(ds.PatientName) == "D'HÉRICOURT^Anne-Laëtitia"
    assert ds.InstitutionName == "Hôpital Saint-Étienne-le-Vieux"
    assert ds.IssuerOfPatientID == "HP-STETIENNE"


def test_a_multiframe_object_has_the_wanted_size_to_within_a_frame(tmp_path: Path) -> None:
    path = write_multiframe(tmp_path / "capture.dcm", size_bytes=6_000_000, seed=1)
    ds = pydicom.dcmread(path)
    assert 6_000_000 - studies.FRAME_BYTES < path.stat().st_size <= 6_000_000
    assert ds.pixel_array.shape == (int(ds.NumberOfFrames), 512, 512)


def test_a_multiframe_object_too_big_for_one_element_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        write_multiframe(tmp_path / "capture.dcm", size_bytes=2**32 + 4096, seed=1)


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="negative"):
        write_ct_study(tmp_path, seed=-1, slices=1)
