"""The base class of ToRAG and ToPixelGraph."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.arrays import as_array, as_image, as_mask
from sp_graph_seg.transforms.attributes import (
    Attribute,
    NodePixels,
    attribute_name,
    centroid,
    compute_attribute,
    mean_color,
)
from sp_graph_seg.transforms.image_graph import ImageGraph
from sp_graph_seg.transforms.node_labels import majority_labels
from sp_graph_seg.transforms.weights import affinity, color_distance, softmax_adjacency

EdgeWeight = Literal["affinity", "softmax"]

#: The default tau of each kind of weights.
_TAU = {"affinity": -10.0, "softmax": 1.0}

#: Fields of a ``Data`` that the transforms use and do not copy to the graph.
_INPUTS = frozenset({"image", "mask", "superpixels", "edge_map"})

#: A volume of so few slices is more likely a batch ``(B, C, H, W)`` of grey images or photographs.
_CHANNELS_OF_IMAGES = (1, 3)


class Given(NamedTuple):
    """The inputs of one call of a transform, already checked.

    ``*size`` stands for ``H, W`` in an image and for ``D, H, W`` in a volume.
    """

    image: NDArray[np.float32]
    """``(C, *size)``, 0 outside the mask."""
    mask: NDArray[np.bool_] | None
    superpixels: Tensor | ArrayLike | None
    edge_map: NDArray[np.float32] | None
    """``(*size)``, the input of the attribute ``edge_strength``."""


class ImageTransform(BaseTransform):
    """Base class of the transforms that convert an image to an :class:`ImageGraph`."""

    def __init__(
        self,
        edge_weight: EdgeWeight,
        tau: float | None,
        mask: ArrayLike | Tensor | None,
        spacing: Sequence[float] | None,
        attributes: Iterable[str | Attribute],
    ) -> None:
        if edge_weight not in _TAU:
            known = " or ".join(map(repr, _TAU))
            raise InputError(f"edge_weight={edge_weight!r} is unknown; use {known}.")
        if tau is not None and not np.isfinite(tau):
            raise InputError(f"tau={tau} is not finite; use a finite number.")
        if edge_weight == "affinity" and tau is not None and tau >= 0:
            raise InputError(
                f"tau={tau} does not give affinities; use a negative number, or "
                "edge_weight='softmax'."
            )
        if spacing is not None and not all(np.isfinite(s) and s > 0 for s in spacing):
            raise InputError(
                f"spacing={tuple(spacing)} is not positive; give a positive number for each axis."
            )
        self.edge_weight = edge_weight
        self.tau = _TAU[edge_weight] if tau is None else tau
        self.mask = mask
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        self.attributes = tuple(attributes)
        names = [attribute_name(attribute) for attribute in self.attributes]
        for name in names:
            if names.count(name) > 1 or name in _FIELDS:
                raise InputError(
                    f"attributes: {name!r} is already a field of the graph; use another name."
                )

    def __call__(self, data: Tensor | ArrayLike | Data) -> ImageGraph:
        """Calls ``forward`` without a copy of the input, because ``forward`` does not change it."""
        return self.forward(data)

    def forward(self, data: Tensor | ArrayLike | Data) -> ImageGraph:
        """Converts an image ``(C, H, W)`` or a volume ``(C, D, H, W)`` to a graph.

        Args:
            data: The image, or a :class:`~torch_geometric.data.Data` with ``image``. The fields
                ``mask`` and ``superpixels`` replace the parameters of the transform. The attribute
                ``edge_strength`` needs the field ``edge_map``. If a field ``y`` has the size of the
                image, each node gets the most frequent label of its pixels as ``y``. A node without
                a labelled pixel gets -1, and its ``train_mask (N,)`` is false. All other fields are
                copied, unless the transform makes a field of the same name.
        """
        fields: dict[str, Any] = data.to_dict() if isinstance(data, Data) else {"image": data}
        if fields.get("image") is None:
            raise InputError(
                "data: the field image is missing; give Data(image=...) with an image (C, H, W) or "
                "a volume (C, D, H, W)."
            )
        given = self._check(fields)
        nodes = self._node_pixels(given)
        edge_index = nodes.edge_index
        x = mean_color(nodes)
        distance = color_distance(x, edge_index)
        graph = ImageGraph(
            x=x,
            pos=centroid(nodes),
            edge_index=edge_index,
            edge_attr=distance.unsqueeze(-1),
            edge_weight=self._weigh(distance, edge_index, nodes.num_nodes),
            pixel_index=torch.from_numpy(nodes.pixel_index),
            pixel_mask=torch.from_numpy(nodes.inside),
            num_nodes=nodes.num_nodes,
            image_size=torch.tensor([nodes.labels.shape]),
        )
        for attribute in self.attributes:
            values = compute_attribute(attribute, nodes, edge_index.size(1))
            graph[attribute_name(attribute)] = values
        for name, value in fields.items():
            if name not in _INPUTS | _FIELDS:
                graph[name] = value
        _add_labels(graph, fields.get("y"), nodes.labels.shape)
        return graph

    @abstractmethod
    def _node_pixels(self, given: Given) -> NodePixels:
        """Finds the nodes of an image."""

    def _weigh(self, distance: Tensor, edge_index: Tensor, num_nodes: int) -> Tensor:
        if self.edge_weight == "affinity":
            return affinity(distance, self.tau)
        return softmax_adjacency(distance, edge_index, num_nodes, self.tau)

    def _check(self, fields: dict[str, Any]) -> Given:
        own = {"mask": self.mask, "superpixels": getattr(self, "superpixels", None)}
        chosen = {
            name: default if fields.get(name) is None else fields[name]
            for name, default in own.items()
        }
        image = as_image(fields["image"], mask=chosen["mask"])
        size, ndim = image.shape[1:], image.ndim - 1
        if self.spacing is not None and len(self.spacing) != ndim:
            raise InputError(
                f"spacing={self.spacing} does not fit this image; give {ndim} numbers, one for "
                "each axis."
            )
        is_said = any(value is not None for value in (self.spacing, *chosen.values()))
        if ndim == 3 and size[0] in _CHANNELS_OF_IMAGES and not is_said:
            raise InputError(
                f"image: shape {image.shape} looks like a batch of images; call the transform on "
                "each image, or give spacing=(1, 1, 1) if it is a volume."
            )
        mask = None if chosen["mask"] is None else as_mask(chosen["mask"], size)
        return Given(image, mask, chosen["superpixels"], _as_edge_map(fields.get("edge_map"), size))

    def _spacing_of(self, given: Given) -> NDArray[np.float64]:
        return np.asarray(self.spacing or (1.0,) * (given.image.ndim - 1))

    def __repr__(self) -> str:
        names = [*self._shown(), "tau"]
        if self.edge_weight != "affinity":
            names.append("edge_weight")
        names += [n for n in ("mask", "spacing") if getattr(self, n) is not None]
        names += ["attributes"] if self.attributes else []
        return f"{type(self).__name__}({', '.join(map(self._show, names))})"

    @abstractmethod
    def _shown(self) -> list[str]:
        """Returns the parameters of the subclass that ``repr`` shows."""

    def _show(self, name: str) -> str:
        if name in ("superpixels", "mask"):
            return f"{name}=..."
        if name == "attributes":
            return f"attributes={tuple(map(attribute_name, self.attributes))!r}"
        return f"{name}={getattr(self, name)!r}"


#: Fields that the transforms make.
_FIELDS = frozenset(
    {"x", "pos", "edge_index", "edge_attr", "edge_weight", "pixel_index", "pixel_mask"}
    | {"num_nodes", "image_size"}
)


def _as_edge_map(values: Any, size: tuple[int, ...]) -> NDArray[np.float32] | None:
    if values is None:
        return None
    edge_map = as_array(values, "edge_map")
    if edge_map.shape != size or not np.isfinite(edge_map).all():
        raise InputError(
            f"edge_map: shape {edge_map.shape} differs from the image size {size}, or a value is "
            "NaN or Inf; give one finite number for each pixel."
        )
    return edge_map.astype(np.float32)


def _add_labels(graph: ImageGraph, y: Any, size: tuple[int, ...]) -> None:
    """Converts labels of pixels, ``y``, to labels of nodes.

    A ``y`` of another size than the image, such as one label of the image, stays unchanged.
    """
    if isinstance(y, Tensor | np.ndarray) and tuple(y.shape) == size:
        graph.y = majority_labels(y, graph)
        graph.train_mask = graph.y >= 0
