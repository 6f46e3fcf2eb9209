"""Pictures of a retrieved slice: in the terminal, and as a PNG file.

For: `territory.demo`. Not for: diagnosis; the window is applied, nothing else.
"""

import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from rich.text import Text

_UPPER_HALF_BLOCK: Final = "▀"
# From dark to light, for terminals without colours.
_RAMP: Final = " .:-=+*#%@"


def grey_levels(ds: Dataset) -> NDArray[np.uint8]:
    """Return one frame as the data set asks for it to be shown.

    Returns
    -------
    ndarray, shape (rows, columns), uint8
        0 is black.

    References
    ----------
    PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT)
    """
    shown = np.asarray(apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds), dtype=np.float64)
    low, high = float(shown.min()), float(shown.max())
    scaled = (shown - low) * (255.0 / max(high - low, 1e-9))
    if ds.PhotometricInterpretation == "MONOCHROME1":
        scaled = 255.0 - scaled
    return scaled.astype(np.uint8)


def as_text(grey: NDArray[np.uint8], *, columns: int, has_colour: bool) -> Text:
    """Draw grey levels with characters: two pixels in each with colours, one without."""
    height = columns if has_colour else columns // 2
    small = shrunk(grey, rows=height, columns=columns)
    text = Text(no_wrap=True)
    if not has_colour:
        for row in small:
            text.append("".join(_RAMP[int(value) * (len(_RAMP) - 1) // 255] for value in row) + "\n")
        return text
    for upper, lower in zip(small[0::2], small[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append(_UPPER_HALF_BLOCK, style=f"rgb({above},{above},{above}) on rgb({below},{below},{below})")
        text.append("\n")
    return text


def write_png(path: Path, grey: NDArray[np.uint8]) -> None:
    """Write grey levels as a PNG file (ISO/IEC 15948): no library is needed for that."""
    rows, columns = grey.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    # Each line begins with its filter type: 0, none.
    lines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), grey]).tobytes()
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in chunks
        )
    )


def shrunk(grey: NDArray[np.uint8], *, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return the mean of each cell of a grid laid over the picture."""
    row_edges = np.linspace(0, grey.shape[0], rows + 1).astype(int)
    column_edges = np.linspace(0, grey.shape[1], columns + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey.astype(np.float64), row_edges[:-1], axis=0), column_edges[:-1], axis=1)
    means: NDArray[np.float64] = sums / np.outer(np.diff(row_edges), np.diff(column_edges))
    return means.astype(np.uint8)
