"""Decodes all image formats except TIFF.

16-bit PNGs are decoded with imagecodecs, and all other images with Pillow.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.decoding import ORIENTATION_TAG, PNG_MAGIC, orient

if TYPE_CHECKING:
    from PIL import Image


def decode_pillow(path: str | os.PathLike[str], header: bytes) -> np.ndarray:
    """Decodes an image to an array ``(C, H, W)`` in the type in which it is stored.

    16-bit PNGs are decoded with imagecodecs, and all other images with Pillow.
    """
    from PIL import Image, UnidentifiedImageError

    # Given a name, Pillow maps the file to memory and scrambles a rotated CMYK TIFF.
    with open(path, "rb") as file:
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            raise InputError(
                f"{path}: is not an image of a known format; give a PNG, JPEG or TIFF file."
            ) from error
        # The other pictures of a phone's MPO and the layers of a PSD are not frames.
        frames = 1 if image.format in ("MPO", "PSD") else getattr(image, "n_frames", 1)
        if frames > 1:
            raise InputError(f"{path}: is an animation of {frames} frames; save one frame as PNG.")
        image.load()
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        is_deep_png = header.startswith(PNG_MAGIC) and header[24] == 16  # bits per sample
        array = _deep_png(path) if is_deep_png else np.asarray(_grey_or_rgb(image))
        if (image.format, image.mode) == ("PPM", "I"):  # Pillow reads 16 bits of a PGM as int32
            array = array.astype(np.uint16)
    return orient(np.atleast_3d(array).transpose(2, 0, 1), orientation)


def _grey_or_rgb(image: "Image.Image") -> "Image.Image":
    """Drops alpha and converts all colours to RGB."""
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        return image
    return image.convert("L" if image.mode in ("LA", "La") else "RGB")


def _deep_png(path: str | os.PathLike[str]) -> np.ndarray:
    """Decodes a 16-bit PNG to a uint16 array ``(H, W)`` or ``(H, W, 3)``.

    Pillow would reduce the values to 8 bits.
    """
    require("imagecodecs")
    import imagecodecs

    array = imagecodecs.png_decode(Path(path).read_bytes())
    has_alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    return array[:, :, :-1] if has_alpha else array
