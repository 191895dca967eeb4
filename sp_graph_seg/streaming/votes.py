"""Labels a volume along several axes and combines the results by their mean probability.

This is an addition to the method of the paper.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.transforms.prepare import scale_labels

_AXES = "zyx"


def vote_axes(
    segmenter: Segmenter, volume: NDArray[np.floating], axes: Sequence[str] = _AXES
) -> NDArray[np.int64]:
    """Labels the slices of a volume along each of several axes, and combines the results.

    For each axis, the volume is cut into slices perpendicular to this axis, and each slice is
    labelled by itself. Each voxel then gets the label with the highest mean probability over the
    axes. Thus neighbouring slices influence each other, because the slices along the other axes
    cut through both.

    The function suits volumes that look the same from all sides and have cubic voxels. All
    probabilities are held in memory, with 2 bytes for each voxel and feature.

    Args:
        segmenter: A trained model.
        volume: A floating-point array ``(C, D, H, W)`` in the units of the model's
            ``intensity_range_``. NaN marks voxels without data.
        axes: The axes to label along, one or more of z, y and x. (default: all three)

    Returns:
        The labels ``(D, H, W)``. Voxels without data have the value -1.

    Raises:
        InputError: The volume has another shape or type, ``axes`` is empty, or an axis is unknown
            or repeated.
    """
    volume = np.asarray(volume)
    if volume.ndim != 4 or volume.dtype.kind != "f":
        raise InputError(
            f"volume: is a {volume.dtype} array of shape {volume.shape}; give a floating-point "
            "array (C, D, H, W)."
        )
    if not axes or not set(axes) <= set(_AXES) or len(set(axes)) < len(axes):
        raise InputError(
            f"axes: {axes!r} is empty, or names an unknown axis or the same axis twice; give "
            "one or more of z, y and x, each once."
        )
    total = np.zeros((segmenter.paper_net.num_outputs, *volume.shape[1:]), dtype=np.float16)
    for axis in axes:
        position = 1 + _AXES.index(axis)
        images = np.moveaxis(volume, position, 0)  # (slices, C, rows, columns)
        votes = np.moveaxis(total, position, 0)
        for image, vote in zip(images, votes, strict=True):
            vote += _probabilities(segmenter, image) / len(axes)
    labels = np.stack([total[:, z].argmax(axis=0) for z in range(total.shape[1])])
    insides = ~np.isnan(volume).any(axis=0)
    return np.stack(
        [
            segmenter.finish(label_map, label_map.shape, None if inside.all() else inside)
            for label_map, inside in zip(labels, insides, strict=True)
        ]
    )


def _probabilities(segmenter: Segmenter, image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Computes the label probabilities of the pixels, ``(F, H, W)``.

    They are the softmax of the features of the node to which each pixel belongs.
    """
    prepared = segmenter.prepare(image)
    p = segmenter.node_features(prepared).softmax(dim=-1).cpu().numpy()  # (N, F)
    if prepared.nodes is not None:  # node -1 indexes the last row: zeros
        p = np.concatenate([p, np.zeros_like(p, shape=(1, p.shape[1]))])[prepared.nodes]
    p = p.T.reshape(-1, *prepared.node_size)
    return np.stack([scale_labels(channel, prepared.size) for channel in p])
