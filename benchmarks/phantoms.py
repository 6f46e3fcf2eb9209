"""Numerical phantoms: a head, a thorax and a brain drawn from ellipsoids, as label maps and as image slices.

For: giving synthetic studies pixels that look like anatomy and compress like it, quickly. Not for: physics; no
projection, no k-space, no dose. Invariants: the same seed gives the same bytes; nothing is clinical data. Place in the
flow: `benchmarks.studies` asks for slices and writes them into DICOM files.

Coordinates are in millimetres in the patient's system (x to the patient's left, y to the back, z to the head; the
origin in the middle of the volume), as in PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Anatomy is drawn on this many levels and interpolated between them.
KEY_LEVELS = 32

#: One noise field is drawn and every slice takes a window of it at its own offset; the margin gives 65,536 offsets.
NOISE_MARGIN_PIXELS = 256


class Tissue(enum.IntEnum):
    """What a voxel is made of; the value is the label in a label map."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    BONE = 3
    MARROW = 4
    FLUID = 5
    GREY_MATTER = 6
    WHITE_MATTER = 7
    LUNG = 8
    BLOOD = 9
    LIVER = 10
    HAEMATOMA = 11
    CALCIFICATION = 12
    TABLE = 13


#: Typical attenuation in Hounsfield units.
HOUNSFIELD_UNITS: Mapping[Tissue, int] = {
    Tissue.AIR: -1000,
    Tissue.FAT: -95,
    Tissue.MUSCLE: 52,
    Tissue.BONE: 980,
    Tissue.MARROW: 340,
    Tissue.FLUID: 8,
    Tissue.GREY_MATTER: 39,
    Tissue.WHITE_MATTER: 29,
    Tissue.LUNG: -860,
    Tissue.BLOOD: 44,
    Tissue.LIVER: 58,
    Tissue.HAEMATOMA: 72,
    Tissue.CALCIFICATION: 420,
    Tissue.TABLE: -180,
}


class Weighting(enum.Enum):
    """The contrasts of a usual brain MR protocol."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    DIFFUSION = "DWI b1000"


def _signal(**levels: int) -> Mapping[Tissue, int]:
    """Signal (arbitrary units, 0 to 1000) by tissue; what is not named is dark."""
    named = {Tissue[name.upper()]: level for name, level in levels.items()}
    return {tissue: named.get(tissue, 0) for tissue in Tissue}


#: Signal in arbitrary units by tissue and weighting.
MR_SIGNAL: Mapping[Weighting, Mapping[Tissue, int]] = {
    Weighting.T1: _signal(
        fat=900, muscle=330, bone=40, marrow=520, fluid=120, grey_matter=430, white_matter=610, haematoma=700
    ),
    Weighting.T2: _signal(
        fat=620, muscle=240, bone=30, marrow=400, fluid=950, grey_matter=520, white_matter=380, haematoma=260
    ),
    Weighting.FLAIR: _signal(
        fat=560, muscle=260, bone=30, marrow=360, fluid=90, grey_matter=540, white_matter=430, haematoma=820
    ),
    Weighting.DIFFUSION: _signal(
        fat=60, muscle=120, bone=10, marrow=60, fluid=50, grey_matter=420, white_matter=380, haematoma=880
    ),
}


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """One ellipsoid of one tissue, painted over what is below it.

    Centre and semi-axes in millimetres; `turn_degrees` turns it in the axial plane.
    """

    tissue: Tissue
    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    turn_degrees: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """Ellipsoids in painting order and the box they fill.

    `field_of_view_mm` is the side of the square axial image, `height_mm` the extent along z.
    """

    ellipsoids: Sequence[Ellipsoid]
    field_of_view_mm: float
    height_mm: float


def head(seed: int) -> Phantom:
    """Draw a head: scalp, skull, brain, ventricles, eyes, sinuses, and for two seeds of three a haematoma."""
    rng = np.random.default_rng([seed, 1])
    size = float(rng.uniform(0.94, 1.06))

    def solid(
        tissue: Tissue, x: float, y: float, z: float, a: float, b: float, c: float, turn_degrees: float = 0.0
    ) -> Ellipsoid:
        return Ellipsoid(
            tissue=tissue,
            centre_mm=(x * size, y * size, z * size),
            semi_axes_mm=(a * size, b * size, c * size),
            turn_degrees=turn_degrees,
        )

    parts = [
        solid(Tissue.TABLE, 0, 118, 0, 95, 10, 400),
        solid(Tissue.FAT, 0, 0, -10, 80, 99, 98),
        solid(Tissue.MUSCLE, 0, 2, -10, 77, 95, 95),
        solid(Tissue.BONE, 0, 0, -8, 74, 93, 92),
        solid(Tissue.MARROW, 0, 0, -8, 71.5, 90.5, 89),
        solid(Tissue.BONE, 0, 0, -8, 69, 88, 87),
        solid(Tissue.FLUID, 0, 0, -8, 66, 85, 84),
        solid(Tissue.GREY_MATTER, 0, 0, -8, 64, 83, 82),
    ]
    parts += _cortical_folds(rng, size)
    for side in (-1.0, 1.0):
        parts += [
            solid(Tissue.WHITE_MATTER, side * 30, -4, 4, 23, 60, 56, side * 6),
            solid(Tissue.GREY_MATTER, side * 24, -6, 2, 9, 22, 17, side * 12),
            solid(Tissue.FLUID, side * 12, -22, 16, 6, 25, 15, side * 14),
            solid(Tissue.FLUID, side * 18, 22, 8, 6, 20, 13, side * -16),
            solid(Tissue.CALCIFICATION, side * 19, 26, 9, 2.5, 3.5, 3),
            solid(Tissue.FLUID, side * 31, -84, -52, 13, 13, 13),
            solid(Tissue.BONE, side * 48, -30, -66, 14, 20, 12, side * 35),
            solid(Tissue.AIR, side * 58, 22, -64, 10, 12, 10),
            solid(Tissue.AIR, side * 11, -66, -60, 9, 16, 24),
        ]
    parts += [
        solid(Tissue.WHITE_MATTER, 0, -2, 26, 26, 40, 6),
        solid(Tissue.FLUID, 0, 2, 0, 2.6, 14, 12),
        solid(Tissue.MUSCLE, 0, 0, 30, 1.2, 82, 46),
        solid(Tissue.CALCIFICATION, 0, 16, 2, 2.2, 2.2, 3),
        solid(Tissue.WHITE_MATTER, 0, 14, -42, 14, 13, 30),
        solid(Tissue.GREY_MATTER, 0, 48, -46, 44, 26, 24),
        solid(Tissue.BONE, 0, 62, -80, 16, 10, 12),
    ]
    if seed % 3 != 0:
        side = 1.0 if rng.random() < 0.5 else -1.0
        y, z = float(rng.uniform(-30, 30)), float(rng.uniform(-10, 35))
        parts.append(solid(Tissue.FLUID, side * 36, y, z, 17, 24, 17, side * 20))
        parts.append(solid(Tissue.HAEMATOMA, side * 36, y, z, 13, 20, 14, side * 20))
    return Phantom(ellipsoids=parts, field_of_view_mm=250.0, height_mm=180.0)


def thorax(seed: int) -> Phantom:
    """Draw a thorax: chest wall, ribs, spine, lungs with vessels, heart, aorta, and the dome of the liver."""
    rng = np.random.default_rng([seed, 2])
    size = float(rng.uniform(0.93, 1.05))

    def solid(
        tissue: Tissue, x: float, y: float, z: float, a: float, b: float, c: float, turn_degrees: float = 0.0
    ) -> Ellipsoid:
        return Ellipsoid(
            tissue=tissue,
            centre_mm=(x * size, y * size, z * size),
            semi_axes_mm=(a * size, b * size, c * size),
            turn_degrees=turn_degrees,
        )

    parts = [
        solid(Tissue.TABLE, 0, 172, 0, 190, 16, 900),
        solid(Tissue.FAT, 0, 0, 0, 172, 118, 420),
        solid(Tissue.MUSCLE, 0, 2, 0, 158, 106, 400),
    ]
    for level in range(-150, 151, 25):
        for side in (-1.0, 1.0):
            for step in range(-4, 5):
                angle = np.radians(step * 18.0)
                x, y = side * 143 * np.cos(angle), 2 + 93 * np.sin(angle)
                parts.append(solid(Tissue.BONE, x, y, level + 2.2 * step, 5, 13, 7, side * (step * 16.0)))
    parts += [
        solid(Tissue.LUNG, -76, 4, 10, 60, 84, 165, -5),
        solid(Tissue.LUNG, 76, 4, 10, 60, 84, 165, 5),
        solid(Tissue.MUSCLE, 0, -8, 0, 32, 80, 190),
        solid(Tissue.LIVER, -48, 0, -150, 95, 84, 70),
        solid(Tissue.BLOOD, 26, -22, -40, 58, 46, 62, -30),
        solid(Tissue.BLOOD, 18, 50, -20, 12, 12, 200),
        solid(Tissue.BLOOD, 8, -14, 50, 14, 16, 60),
        solid(Tissue.FAT, 0, -46, 40, 20, 12, 60),
        solid(Tissue.AIR, 0, 22, 120, 8, 9, 110),
        solid(Tissue.BONE, 0, -96, 20, 18, 6, 90),
        solid(Tissue.BONE, 0, 70, 0, 23, 18, 420),
        solid(Tissue.MARROW, 0, 68, 0, 18, 13, 420),
        solid(Tissue.BONE, 0, 94, 0, 9, 22, 420),
        solid(Tissue.FLUID, 0, 86, 0, 9, 8, 420),
    ]
    for _ in range(140):
        side = -1.0 if rng.random() < 0.5 else 1.0
        x, y, z = rng.uniform(38, 116), rng.uniform(-56, 60), rng.uniform(-110, 130)
        radius, length = rng.uniform(0.9, 3.4), rng.uniform(4, 22)
        parts.append(solid(Tissue.BLOOD, side * x, y, z, radius, radius * 2.2, length, float(rng.uniform(0, 180))))
    if seed % 2:
        parts.append(solid(Tissue.MUSCLE, 82, float(rng.uniform(-30, 30)), float(rng.uniform(-20, 80)), 7, 8, 7))
    return Phantom(ellipsoids=parts, field_of_view_mm=400.0, height_mm=300.0)


def _cortical_folds(rng: np.random.Generator, size: float) -> list[Ellipsoid]:
    """Give the brain's surface its sulci: small pockets of fluid along the inside of the skull."""
    folds = []
    for _ in range(110):
        turn, height = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.75, 0.95))
        rim = np.sqrt(1.0 - height * height) * float(rng.uniform(0.86, 0.97))
        folds.append(
            Ellipsoid(
                tissue=Tissue.FLUID,
                centre_mm=(
                    float(64 * size * rim * np.cos(turn)),
                    float(83 * size * rim * np.sin(turn)),
                    size * (82 * height - 8),
                ),
                semi_axes_mm=(float(rng.uniform(4, 11)), 1.5, float(rng.uniform(5, 14))),
                turn_degrees=float(np.degrees(turn)) + float(rng.uniform(-25, 25)),
            )
        )
    return folds


def labels_at(phantom: Phantom, z_mm: float, side_pixels: int) -> NDArray[np.uint8]:
    """Draw one axial level of a phantom.

    Returns
    -------
    ndarray, shape (side_pixels, side_pixels), uint8
        `Tissue` labels; axis 0 is rows (y, from front to back), axis 1 columns (x, from the patient's right to left).
    """
    pixel_mm = phantom.field_of_view_mm / side_pixels
    axis_mm = (np.arange(side_pixels, dtype=np.float32) + 0.5) * pixel_mm - phantom.field_of_view_mm / 2
    labels = np.zeros((side_pixels, side_pixels), dtype=np.uint8)
    for solid in phantom.ellipsoids:
        share = 1.0 - ((z_mm - solid.centre_mm[2]) / solid.semi_axes_mm[2]) ** 2
        if share <= 0.0:
            continue
        radius_x_mm = solid.semi_axes_mm[0] * share**0.5
        radius_y_mm = solid.semi_axes_mm[1] * share**0.5
        reach_mm = max(radius_x_mm, radius_y_mm)
        columns = slice(*np.searchsorted(axis_mm, [solid.centre_mm[0] - reach_mm, solid.centre_mm[0] + reach_mm]))
        rows = slice(*np.searchsorted(axis_mm, [solid.centre_mm[1] - reach_mm, solid.centre_mm[1] + reach_mm]))
        x = axis_mm[columns][None, :] - solid.centre_mm[0]
        y = axis_mm[rows][:, None] - solid.centre_mm[1]
        cosine, sine = np.cos(np.radians(solid.turn_degrees)), np.sin(np.radians(solid.turn_degrees))
        along = (x * cosine + y * sine) / radius_x_mm
        across = (y * cosine - x * sine) / radius_y_mm
        labels[rows, columns][along * along + across * across <= 1.0] = solid.tissue
    return labels


def _smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur with a 3 x 3 mean; edges wrap, where there is only air."""
    rows = image + np.roll(image, 1, axis=0) + np.roll(image, -1, axis=0)
    result: NDArray[np.float32] = (rows + np.roll(rows, 1, axis=1) + np.roll(rows, -1, axis=1)) / np.float32(9)
    return result


def key_levels(phantom: Phantom, side_pixels: int) -> list[NDArray[np.uint8]]:
    """Draw the levels between which `SliceSource` interpolates, from the feet end to the head end."""
    half_mm = phantom.height_mm / 2
    return [labels_at(phantom, float(z_mm), side_pixels) for z_mm in np.linspace(-half_mm, half_mm, KEY_LEVELS)]


class SliceSource:
    """Serves the slices of one volume: anatomy between key levels, plus noise; cheap per slice.

    Parameters
    ----------
    levels : sequence of ndarray, shape (side, side), uint8
        What `key_levels` gave; several series of a study share it.
    values : mapping from Tissue to int
        The value of each tissue, before noise, in stored units; differences at most 4,095.
    noise_sigma : float
        Standard deviation of the noise, in stored units.
    value_range : (int, int)
        Smallest and largest stored value; the rest is clipped.
    seed : (int, int)
        Of the noise; not negative.
    """

    def __init__(
        self,
        *,
        levels: Sequence[NDArray[np.uint8]],
        values: Mapping[Tissue, int],
        noise_sigma: float,
        value_range: tuple[int, int],
        seed: tuple[int, int],
    ) -> None:
        table = np.zeros(len(Tissue), dtype=np.float32)
        for tissue, value in values.items():
            table[tissue] = value
        self._side_pixels = levels[0].shape[0]
        self._value_range = value_range
        self._levels = [_smoothed(table[labels]).astype(np.int16) for labels in levels]
        rng = np.random.default_rng(seed)
        noise_side = self._side_pixels + NOISE_MARGIN_PIXELS
        white = rng.standard_normal((noise_side, noise_side), dtype=np.float32)
        # The mean of 3 x 3 independent samples has a third of their deviation, and the grain of
        # a reconstructed image.
        self._noise = (_smoothed(white) * np.float32(3 * noise_sigma)).astype(np.int16)
        self._offsets = rng.permutation(NOISE_MARGIN_PIXELS * NOISE_MARGIN_PIXELS)

    def pixels(self, position: float, index: int) -> NDArray[np.int16]:
        """Give one slice.

        Parameters
        ----------
        position : float
            0.0 at the feet end of the volume, 1.0 at the head end.
        index : int
            Chooses the noise; two indexes below 65,536 never get the same.

        Returns
        -------
        ndarray, shape (side, side), int16, native byte order
            A new array.
        """
        place = min(max(position, 0.0), 1.0) * (len(self._levels) - 1)
        lower = min(int(place), len(self._levels) - 2)
        # Weights in eighths: a difference of at most 4,095 times 8 stays inside int16.
        upper_eighths = np.int16(round((place - lower) * 8))
        below, above = self._levels[lower], self._levels[lower + 1]
        image = (above - below) * upper_eighths
        image >>= 3
        image += below
        offset = int(self._offsets[index % len(self._offsets)])
        row, column = divmod(offset, NOISE_MARGIN_PIXELS)
        image += self._noise[row : row + self._side_pixels, column : column + self._side_pixels]
        np.clip(image, *self._value_range, out=image)
        return image
