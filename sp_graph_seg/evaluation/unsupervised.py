"""A score that needs no truth, for the choice between several segmentations of one image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch_geometric.data import Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.transforms import ToRAG, affinity, majority_labels
from sp_graph_seg.transforms.prepare import Image, as_image_list

#: The affinity of two superpixels is exp(tau * distance), as in the N-Cut loss by default.
_TAU = -10.0

#: Superpixels of the graph by which a Segmenter is scored.
_SUPERPIXELS = 500


def unsupervised_score(labels: ArrayLike, graph: Data) -> float:
    r"""Scores how well labels divide an image into uniform parts with edges between them.

    .. math::
        S = \underbrace{\left(1 - \frac{\sum_I n_I \|x_I - \mu_{y_I}\|^2}
        {\sum_I n_I \|x_I - \mu\|^2}\right)}_{\text{variance of colour explained}}
        \cdot \underbrace{\frac{1}{K} \sum_{p=1}^{K}
        \frac{\sum_{I,J \in p} w_{IJ}}{\sum_{I \in p, J} w_{IJ}}}_{\text{mean association}}

    I and J are superpixels, p is a label and K is the number of labels. :math:`n_I` is the area of
    superpixel I, and :math:`x_I` is its mean colour. :math:`y_I` is the most frequent label of its
    pixels, or the lowest of these labels if several are equally frequent. The mean colour of the
    image is :math:`\mu`, and the mean colour of label p is :math:`\mu_p`. The affinity of two
    neighbouring superpixels is :math:`w_{IJ} = \exp(-10 |x_I - x_J|)`.

    With more labels, the first factor grows and the second factor shrinks. The second factor is the
    association of Shi & Malik (2000). Unlabelled superpixels are left out of both factors. Labels
    whose superpixels have no neighbour are left out of the second factor. The typical score differs
    from image to image, so use it only to compare segmentations of the same image.

    Args:
        labels: ``(H, W)`` integer labels. Negative pixels are unlabelled.
        graph: Region adjacency graph of the image, from :class:`~sp_graph_seg.ToRAG`.

    Returns:
        A number from 0 to 1. It is 0 if there is only one label or one colour. 1 is best.

    Raises:
        InputError: If the labels have another size than the image of the graph, or if every pixel
            is unlabelled.
    """
    array = np.asarray(labels)
    size = tuple(graph.image_size[0].tolist())
    if array.shape != size:
        raise InputError(
            f"labels: the size is {array.shape}, but the image of the graph has the size {size}; "
            "give the labels of this image."
        )
    y = majority_labels(array, graph).numpy()
    has_label = y >= 0
    if not has_label.any():
        raise InputError("labels: every pixel is unlabelled (below 0); label at least one pixel.")
    y[has_label] = np.unique(y[has_label], return_inverse=True)[1]  # without gaps
    areas = np.bincount(graph.pixel_index.numpy(), minlength=graph.num_nodes) * has_label
    colors = graph.x.numpy().astype(np.float64)
    return _explained(colors, areas, y) * _association(graph, y, has_label)


def unsupervised_scorer(
    segmenter: Segmenter, images: Image | Sequence[Image], y: None = None
) -> float:
    """Scores a trained Segmenter with :func:`unsupervised_score`.

    Use this function as ``scoring`` in scikit-learn. The score is computed on a graph of 500
    superpixels for each image, whatever the configuration of the Segmenter. To choose settings for
    one image, train and score on the same image: ``GridSearchCV(..., cv=[([0], [0])])``.

    Args:
        segmenter: A trained Segmenter.
        images: One image ``(C, H, W)``, or a sequence of such images.
        y: Ignored. scikit-learn passes it to every scorer.

    Returns:
        The mean score over the images.

    Example:
        >>> from sklearn.model_selection import GridSearchCV
        >>> from sp_graph_seg import Config
        >>> search = GridSearchCV(
        ...     Segmenter(Config()),
        ...     {"config__beta_sim": [0.3, 3.0]},
        ...     scoring=unsupervised_scorer,
        ...     cv=2,
        ... )  # search.fit(images)
    """
    scores = []
    for image in as_image_list(images):
        values, inside = segmenter.normalize(image)
        graph = ToRAG(n_segments=_SUPERPIXELS, mask=inside)(values)
        scores.append(unsupervised_score(segmenter.predict(image), graph))
    return float(np.mean(scores))


def _explained(x: NDArray, areas: NDArray, y: NDArray) -> float:
    """Computes the share of the variance of the colours that the labels explain."""
    total = (areas[:, None] * (x - np.average(x, axis=0, weights=areas)) ** 2).sum()
    if total == 0:
        return 0.0
    within = 0.0
    for label in np.unique(y[areas > 0]):
        own = (y == label) & (areas > 0)
        mean = np.average(x[own], axis=0, weights=areas[own])
        within += (areas[own, None] * (x[own] - mean) ** 2).sum()
    return max(0.0, float(1 - within / total))  # rounding may leave -1e-16


def _association(graph: Data, y: NDArray, has_label: NDArray[np.bool_]) -> float:
    """Computes the mean association, the second factor of :func:`unsupervised_score`.

    For each label, all edges at its nodes are considered. The association of the label is the share
    of their total weight that belongs to edges within the label. The mean is taken over the labels.
    """
    source, target = graph.edge_index.numpy()
    weight = affinity(graph.edge_attr[:, 0], _TAU).numpy().astype(np.float64)
    counted = has_label[source] & has_label[target]
    source, target, weight = source[counted], target[counted], weight[counted]
    count = int(y.max()) + 1
    total = np.bincount(y[target], weights=weight, minlength=count)
    within = weight * (y[source] == y[target])
    inside = np.bincount(y[target], weights=within, minlength=count)
    present = total > 0
    return float(np.mean(inside[present] / total[present])) if present.any() else 0.0
