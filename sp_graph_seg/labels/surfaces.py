"""The surface of a label as a triangle mesh."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError


class Surface(NamedTuple):
    """A triangle mesh of V vertices and T triangles.

    Attributes:
        vertices: ``(V, 3)`` float32, the physical coordinates x, y and z of each vertex, along
            width, height and depth. The centre of the first voxel is at 0.
        faces: ``(T, 3)`` int64, the numbers of the three vertices of each triangle. Seen from
            outside, they are in counter-clockwise order.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]


def extract_surface(
    labels: ArrayLike, label: int | None = None, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> Surface:
    """Extracts the surface of a label as a triangle mesh.

    The surface is closed, even where the label meets the border of the volume. The method is
    marching cubes (Lorensen & Cline 1987), in the variant of scikit-image (Lewiner et al. 2003).

    Args:
        labels: Label map or mask, ``(D, H, W)``.
        label: The label to extract. If None, the surface encloses all voxels that are not 0.
            (default: :obj:`None`)
        spacing: Size of a voxel along depth, height and width. (default: 1 each)

    Returns:
        The surface. Its coordinates are in the order x, y, z.

    Raises:
        InputError: If ``labels`` is not a label map or mask ``(D, H, W)``, the label does not occur
            in it, or ``spacing`` is not three positive numbers.
    """
    from skimage.measure import marching_cubes

    volume = np.asarray(labels)
    if volume.ndim != 3 or volume.dtype.kind not in "bui":
        raise InputError(
            f"labels: an array of {volume.dtype} with shape {volume.shape} is not a label map of a "
            "volume; give an array of integers with shape (D, H, W)."
        )
    widths = np.asarray(spacing, dtype=np.float64)
    if widths.shape != (3,) or not (np.isfinite(widths) & (widths > 0)).all():
        raise InputError(
            f"spacing: {spacing} is invalid; give 3 positive lengths, for depth, height and width."
        )
    mask = volume != 0 if label is None else volume == label
    if not mask.any():
        missing = "all voxels are 0" if label is None else f"no voxel has the label {label}"
        raise InputError(f"labels: {missing}; choose a label that occurs in the volume.")
    # The padding closes the surface at the border.
    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), level=0.5)
    xyz = ((vertices - 1) * widths)[:, ::-1].astype(np.float32)
    # scikit-image's triangles face outwards in x, y, z, not in its own z, y, x.
    return Surface(np.ascontiguousarray(xyz), faces.astype(np.int64))
