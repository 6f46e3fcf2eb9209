"""Programs that nobody here wrote, asked what they think of a document."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from pypdf import PdfReader

# XPath limits of Java that the validator's style sheets exceed.
_JAVA_OPTIONS: Final = (
    "-Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0 -XX:TieredStopAtLevel=1"
)
_TIMEOUT_S: Final = 120.0


def dciodvfy_errors(path: Path) -> list[str]:
    """Return what dciodvfy (dicom3tools) says is wrong with an instance."""
    tool = Path(sys.executable).with_name("dciodvfy")
    result = subprocess.run([tool, path], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    lines = (result.stdout + result.stderr).splitlines()
    assert any("SR" in line or "PDF" in line or "KeyObject" in line for line in lines), "it knows what it looked at"
    return [line for line in lines if line.startswith("Error")]


def dsrdump(path: Path) -> str:
    """Return a structured report as DCMTK reads it, in UTF-8."""
    result = subprocess.run(
        ["dsrdump", "+Pl", path], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True, encoding="utf-8"
    )
    return result.stdout


def sr_template_remarks(path: Path) -> tuple[str, list[str]]:
    """Return the template that PixelMed's validator recognises, and its errors and warnings."""
    result = subprocess.run(
        ["DicomSRValidator", path],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={**os.environ, "JAVA_TOOL_OPTIONS": _JAVA_OPTIONS},
    )
    lines = (result.stdout + result.stderr).splitlines()
    assert "IOD validation complete" in lines
    found = next((line for line in lines if line.startswith("Found Root Template")), "")
    return found, [line for line in lines if line.startswith(("Error", "Warning"))]


def words_of(pdf: bytes) -> list[str]:
    """Return the text of each page."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def inked(pdf: bytes, directory: Path) -> list[float]:
    """Return for each page how much of its middle is reddish, drawn by poppler at 40 points an inch."""
    (directory / "page.pdf").write_bytes(pdf)
    subprocess.run(["pdftoppm", "-r", "40", directory / "page.pdf", directory / "page"], check=True, timeout=_TIMEOUT_S)
    return [_red_share(path.read_bytes()) for path in sorted(directory.glob("page*.ppm"))]


def _red_share(picture: bytes) -> float:
    """Return how much of the middle half of a PPM picture is reddish: margins have colours of their own."""
    _magic, size, _depth, points = picture.split(b"\n", 3)
    width, height = (int(number) for number in size.split())
    middle = points[3 * width * (height // 4) : 3 * width * (3 * height // 4)]
    red = sum(r > g + 20 and r > b + 20 for r, g, b in zip(middle[::3], middle[1::3], middle[2::3], strict=True))
    return red / (len(middle) // 3)
