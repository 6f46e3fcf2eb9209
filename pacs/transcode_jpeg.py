"""A pydicom decoding plugin for JPEG baseline, extended and lossless, over imagecodecs (libjpeg-turbo, BSD).

For: `pacs.transcode_frames`. pydicom's own choices for these are under the GPL or stop at 8 bits. Not for: anything
that pydicom decodes well already. imagecodecs is optional; without it these syntaxes are not offered for transcoding.

References
----------
PS3.5 A.4.1, 8.2.1; ITU-T T.81; pydicom's guide to decoder plugins (names and signatures are its)
"""

import importlib.util
from typing import Any, Final

from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

DECODER_DEPENDENCIES: Final = {
    JPEGBaseline8Bit: ("imagecodecs",),
    JPEGExtended12Bit: ("imagecodecs",),
    JPEGLossless: ("imagecodecs",),
    JPEGLosslessSV1: ("imagecodecs",),
}


def is_available(uid: str) -> bool:
    """Say whether frames of this transfer syntax can be decoded here (asked by pydicom)."""
    return uid in DECODER_DEPENDENCIES and importlib.util.find_spec("imagecodecs") is not None


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame (called by pydicom).

    Parameters
    ----------
    src : bytes
        A whole JPEG codestream.
    runner : DecodeRunner
        What the data set says; Bits Allocated and Planar Configuration are set to what is returned.

    Returns
    -------
    bytearray
        Samples as coded, without any colour transform, colour by pixel, little endian, in 8 or 16 bits.
    """
    import imagecodecs

    colour: dict[str, Any] = {}
    if runner.samples_per_pixel == 3:
        # Told both ends, libjpeg neither guesses from markers nor transforms.
        space = "RGB" if runner.photometric_interpretation == "RGB" else "YCBCR"
        colour = {"colorspace": space, "outcolorspace": space}
        runner.set_option("planar_configuration", 0)
    samples = imagecodecs.jpeg8_decode(src, **colour)
    runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    return bytearray(samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes())
