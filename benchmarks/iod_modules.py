"""The modules of PS3.3 that the synthetic CT, MR and multi-frame objects are made of.

For: `benchmarks.studies`. Not for: reading or judging other objects. Invariant: what these
functions add together has every type 1 and type 2 attribute of the three IODs; `dciodvfy` is the
judge. Each function names the module it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)

from benchmarks.phantoms import Weighting
from benchmarks.territory_cast import StudyFacts

#: Stored value plus this is the value in Hounsfield units.
CT_RESCALE_INTERCEPT_HU = -1024


@dataclass(frozen=True, kw_only=True)
class AxialStack:
    """Geometry of a stack of square axial images, patient head first and supine."""

    slices: int
    side_pixels: int
    pixel_mm: float
    slice_mm: float

    def slice_location_mm(self, index: int) -> float:
        """Give the place of a slice along the patient's axis; it grows towards the head."""
        return (index - (self.slices - 1) / 2) * self.slice_mm

    def image_position_mm(self, index: int) -> tuple[float, float, float]:
        """Give the centre of the first pixel of a slice (PS3.3 C.7.6.2.1.1)."""
        corner_mm = -(self.side_pixels - 1) / 2 * self.pixel_mm
        return corner_mm, corner_mm, self.slice_location_mm(index)


def decimal_string(value: float) -> str:
    """Write a number as a VR of DS: at most 16 characters, four decimals."""
    return f"{value:.4f}"


def patient_study_and_equipment(facts: StudyFacts) -> Dataset:
    """Start a data set: Patient, General Study, Patient Study, General Equipment, SOP Common."""
    ds = Dataset()
    ds.SpecificCharacterSet = facts.character_set
    ds.TimezoneOffsetFromUTC = facts.acquired_at.strftime("%z")
    ds.PatientName = facts.patient.name
    ds.PatientID = facts.patient.patient_id
    if facts.hospital.issuer_of_patient_id is not None:
        ds.IssuerOfPatientID = facts.hospital.issuer_of_patient_id
    ds.PatientBirthDate = facts.patient.birth_date.strftime("%Y%m%d")
    ds.PatientSex = facts.patient.sex
    ds.StudyInstanceUID = facts.uid("study")
    ds.StudyDate = facts.acquired_at.strftime("%Y%m%d")
    ds.StudyTime = facts.acquired_at.strftime("%H%M%S")
    ds.ReferringPhysicianName = "URGENCES^Médecin"
    ds.StudyID = facts.accession_number[-6:]
    ds.AccessionNumber = facts.accession_number
    ds.StudyDescription = facts.description
    years = (facts.acquired_at.date() - facts.patient.birth_date).days // 365
    ds.PatientAge = f"{years:03d}Y"
    ds.PatientWeight = "71"
    ds.Manufacturer = "Telegarde fantôme"
    ds.InstitutionName = facts.hospital.institution_name
    ds.StationName = facts.hospital.station_name
    ds.ManufacturerModelName = "Ellipsoid 1"
    ds.DeviceSerialNumber = "0001"
    ds.SoftwareVersions = "1"
    return ds


def add_series(ds: Dataset, facts: StudyFacts, *, modality: str, series_number: int) -> None:
    """General Series; General Image as far as the series shares it."""
    ds.Modality = modality
    ds.SeriesInstanceUID = facts.uid("series", series_number)
    ds.SeriesNumber = str(series_number)
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = ds.StudyDate
    ds.SeriesTime = ds.AcquisitionTime = ds.StudyTime
    ds.AcquisitionNumber = str(series_number)


def add_image_pixel(ds: Dataset, *, side_pixels: int) -> None:
    """Image Pixel: one sample of 12 bits in 16, unsigned."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = side_pixels
    ds.BitsAllocated = 16
    ds.BitsStored = 12
    ds.HighBit = 11
    ds.PixelRepresentation = 0


def add_axial_stack(ds: Dataset, facts: StudyFacts, stack: AxialStack) -> None:
    """Frame of Reference, and Image Plane as far as the series shares it."""
    ds.FrameOfReferenceUID = facts.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.PatientPosition = "HFS"
    ds.PixelSpacing = [decimal_string(stack.pixel_mm)] * 2
    ds.SliceThickness = decimal_string(stack.slice_mm)
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    add_image_pixel(ds, side_pixels=stack.side_pixels)


def add_ct_image(ds: Dataset, *, is_sharp: bool, is_head: bool) -> None:
    """CT Image (PS3.3 C.8.2.1) and VOI LUT."""
    ds.SOPClassUID = CTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.RescaleIntercept = str(CT_RESCALE_INTERCEPT_HU)
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.KVP = "120"
    ds.XRayTubeCurrent = "240"
    ds.ExposureTime = "500"
    ds.ConvolutionKernel = "H70h" if is_sharp else "H30s"
    ds.WindowCenter = "500" if is_sharp else "40"
    ds.WindowWidth = "2500" if is_sharp else "100" if is_head else "400"
    ds.BodyPartExamined = "HEAD" if is_head else "CHEST"


def add_mr_image(ds: Dataset, weighting: Weighting) -> None:
    """MR Image (PS3.3 C.8.3.1) and VOI LUT."""
    repetition_ms, echo_ms, echoes = {
        Weighting.T1: ("520", "9", 1),
        Weighting.T2: ("4800", "98", 15),
        Weighting.FLAIR: ("9000", "110", 17),
        Weighting.DIFFUSION: ("5200", "82", 64),
    }[weighting]
    ds.SOPClassUID = MRImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.ScanningSequence = {
        Weighting.FLAIR: ["SE", "IR"],
        Weighting.DIFFUSION: ["EP", "SE"],
    }.get(weighting, "SE")
    ds.SequenceVariant = "SK" if echoes > 1 else "NONE"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime = repetition_ms
    ds.EchoTime = echo_ms
    ds.EchoTrainLength = str(echoes)
    if weighting is Weighting.FLAIR:
        ds.InversionTime = "2500"
    ds.BodyPartExamined = "BRAIN"
    ds.MagneticFieldStrength = "1.5"
    ds.FlipAngle = "90"
    ds.WindowCenter = "450"
    ds.WindowWidth = "900"


def add_multiframe_capture(ds: Dataset, *, side_pixels: int) -> None:
    """SC Equipment, SC Image, SC Multi-frame (PS3.3 C.8.6), Cine, Multi-frame."""
    ds.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    ds.ConversionType = "SYN"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ["L", "P"]
    ds.BodyPartExamined = "HEAD"
    add_image_pixel(ds, side_pixels=side_pixels)
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"
    ds.RescaleIntercept = "0"
    ds.RescaleSlope = "1"
    ds.RescaleType = "US"
    ds.FrameTime = "40"
    ds.FrameIncrementPointer = (0x0018, 0x1063)
