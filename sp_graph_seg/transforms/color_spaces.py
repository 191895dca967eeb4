"""Conversion of images to the colour spaces RGB, CIELAB and HSV."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.float64]
ColorSpace = Literal["rgb", "lab", "hsv"]

#: Number of pixels that are converted at once, to limit memory.
_PIXELS_AT_ONCE = 1 << 20

#: From linear RGB (IEC 61966-2-1) to X, Y and Z, divided by those of the white D65.
_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])


def rgb_to_lab(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Converts RGB in [0, 1] to CIELAB: ``(3, ...)`` -> ``(3, ...)``, all in 32 bits.

    The result is that of :func:`skimage.color.rgb2lab` up to 0.001 units, in half the time.
    """
    single = np.float32
    rgb = image.reshape(3, -1)
    bent = ((rgb + single(0.055)) * single(1 / 1.055)) ** single(2.4)
    linear = np.where(rgb > single(0.04045), bent, rgb * single(1 / 12.92))
    xyz = _XYZ.astype(single) @ linear
    x, y, z = np.where(xyz > single(0.008856), np.cbrt(xyz), single(7.787) * xyz + single(16 / 116))
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    return lab.reshape(image.shape)


def color_space(image: NDArray, space: ColorSpace) -> Colors:
    """Converts an image with values in [0, 1] to three channels of about the same range.

    The image is ``(C, *size)``, where ``*size`` is ``H, W`` or ``D, H, W``. The result is
    ``(*size, 3)``.

    * Three channels are taken as RGB and converted to ``space``. CIELAB is divided by 100. In HSV,
      hue is an angle that jumps at red. Hue and saturation are therefore converted to the two
      components of a vector.
    * One channel becomes the first channel of the result. The other two are 0.
    * Any other number of channels is replaced by the first three principal components.

    ``space`` has no effect unless the image has three channels.
    """
    from skimage import color

    if len(image) != 3:
        return _principal_components(image)
    values = np.moveaxis(image, 0, -1)
    if space == "rgb":
        return values
    if space == "lab":  # slice by slice or row by row, for its many copies
        at_once = max(1, _PIXELS_AT_ONCE // max(1, values[0, ..., 0].size))
        parts = [values[k : k + at_once] for k in range(0, len(values), at_once)]
        return np.concatenate([color.rgb2lab(part) / 100 for part in parts])
    h, s, v = np.moveaxis(color.rgb2hsv(values), -1, 0)
    chroma, angle = 0.5 * s * v, 2 * np.pi * h
    return np.stack([chroma * np.cos(angle), chroma * np.sin(angle), v], axis=-1)


def _principal_components(image: NDArray) -> Colors:
    """Converts an image ``(C, *size)`` to its first three principal components, ``(*size, 3)``.

    An image of C equal channels gives the same result as one of these channels.
    """
    values = image.reshape(len(image), -1).astype(np.float64)
    middle = values.mean(axis=1, keepdims=True)
    values = values - middle
    axes = np.linalg.eigh(values @ values.T)[1][:, :-4:-1].T  # the largest three first
    axes = axes * np.where(axes.sum(axis=1, keepdims=True) < 0, -1, 1)  # bright stays bright
    shares = axes @ values / np.sqrt(len(image))
    colors = np.zeros((*image.shape[1:], 3))
    colors.reshape(-1, 3)[:, : len(axes)] = shares.T
    colors[..., 0] += middle.mean()
    return colors
