"""The names, defaults, validation and YAML form of all hyperparameters.

This module does not import torch, so that the command line prints its help at once.
"""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.presets import MODEL_TYPES, PRESETS
from sp_graph_seg.yaml_reader import read_yaml

Patches = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The hyperparameters of a segmentation. The defaults are those of the preset ``fast``.

    The notation follows Leng et al., VISAPP 2024 (doi 10.5220/0012380700003660). An invalid value
    raises :class:`~sp_graph_seg.errors.InputError` with the name of the field.

    Attributes:
        label_by: How labels are found. argmax takes the largest feature of a node, as in the paper.
            regions, for photographs, compares the mean colours of the regions of an image with
            prototypes and needs no network. phases, for tomograms and micrographs, compares the
            denoised value or the texture of a pixel with prototypes. appearance, for videos,
            compares superpixels with prototypes, and combines the result with the features of a
            network.
        num_labels: Number of labels if label_by is regions, phases or appearance. 0 derives the
            number from the data.
        position_weight: Weight of position against colour if label_by is appearance. A distance of
            a hundredth of the longer side of the image counts as much as a colour difference of
            this many CIELAB units.
        memory: Weight of the label probabilities of the previous frame of a video if label_by is
            appearance. The probabilities count only at nodes that have not changed. 0 labels each
            frame by itself.
        join_slices: Whether to average the features of each pixel of a volume with those of the
            same pixel in the slices before and after, wherever these slices look alike. It has an
            effect only if label_by is phases.
        num_features: Number F of features, which are the output channels of the encoder. argmax
            finds at most F labels.
        width: Number of channels at the top level of each U-Net. Each level has twice as many
            channels as the level above.
        depth: Number of poolings in each U-Net. Each pooling halves the height and width.
        head: Graph network that refines the features of the nodes before the losses are computed.
            identity means no network, as in the paper.
        head_layers: Number of graph convolutions in the head.
        head_losses: Where the similarity and continuity losses are computed if there is a head: on
            its output, or on both its output and its input.
        max_size: Longest side, in pixels, of an image in the network. A larger image is scaled
            down, but its labels keep the full resolution. 0 means that no image is scaled.
        hessian_scales: Standard deviations of Gaussians, in pixels of the scaled image. For each
            Gaussian, the smoothed image and the eigenvalues of its Hessian are added as channels,
            as in the paper's Fig. 5a for tomograms. By default, no channels are added.
        nodes: Nodes of the graph in the losses: superpixels, as in the paper's sparse models, or
            single pixels, as in the paper's dense models.
        radius: Distance, in pixels, up to which pixels are neighbours in the N-Cut loss if nodes
            are pixels. Xia & Kulis 2017 use 5.
        superpixel_method: Algorithm that makes the superpixels: SLIC, a faster form of SLIC, a
            compact watershed, or the graph-based algorithm of Felzenszwalb & Huttenlocher 2004. The
            last algorithm ignores compactness. If label_by is appearance, slic means SLIC in
            training and its faster form in prediction.
        n_segments: Approximate number of superpixels in an image.
        compactness: Weight of position against colour in the superpixels. A larger weight makes
            superpixels squarer.
        superpixel_size: Longest side, in pixels, of the image in which prediction makes superpixels
            or, if label_by is regions, the hierarchy of regions. A larger image is scaled down,
            which is faster but coarser. 0 means that no image is scaled.
        tau_con: Factor tau of Eq. 8. It multiplies the colour distance in the weights of neighbours
            in the continuity loss. Below 0, the most similar neighbours weigh most. At 0, all
            neighbours weigh the same. Above 0, the most different neighbours weigh most.
        tau_cut: Factor in the affinities exp(tau_cut * w) of the N-Cut loss and of the head, where
            w is the colour distance. It must be negative.
        beta_rec: Weight of the reconstruction loss in Eq. 9.
        beta_cut: Weight of the soft N-Cut loss (Eq. 5) in Eq. 9.
        beta_sim: Weight of the similarity loss (Eq. 6) in Eq. 9.
        beta_con: Weight of the continuity loss (Eq. 7) in Eq. 9.
        loss_input: Node features in the similarity and continuity losses. logits takes the mean of
            the logits z, as in the authors' code. softmax takes the softmax of this mean, as in the
            paper.
        similarity_labels: The label y of a node in Eq. 6. argmax takes the largest feature of the
            node. pixels takes the most frequent label of the pixels of the node. kmeans takes the
            largest feature of the K-means centroid of the node.
        similarity_on: What Eq. 6 compares with the label y of a node: the features of the node or,
            as an option of the authors' code, the features of each pixel of the node.
        reconstruction: What the decoder reconstructs: patches, the whole image, or nothing.
        patches: Patches that are cut from each image in an epoch. Give (count, height, width) for
            each shape.
        redraw_patches: Draw new patches in every epoch instead of keeping the first ones.
        foreground: Share of the patches whose centres lie inside the mask, if there is a mask.
        epochs: Number of passes over the patches of all training images.
        minibatches: Number of mini-batches that the patches of an image are divided into. A step
            takes one mini-batch from each image of the step.
        images_per_step: Number of training images in a step. 0 takes all images. A smaller number
            of images means more steps in an epoch. If label_by is phases, the number of steps stays
            the same, and the images of a step are drawn at random.
        learning_rate: Step size of Adam.
        min_labels: Training stops early when at most this number of labels is left, as in Kim et
            al. 2020. 0 never stops training early.
        seed: Seed of the initial weights and of the positions of the patches.
        accelerator: Where to train. auto takes a CUDA GPU if there is one, and otherwise the CPU.
            Prediction runs on the device of the network, which is the CPU unless the network was
            moved.
        precision: Floating-point precision of the network. The graph losses use at least 32 bits.
            16-mixed needs a GPU.
    """

    label_by: Literal["argmax", "regions", "phases", "appearance"] = "argmax"
    num_labels: int = 0
    position_weight: float = 0.0
    memory: float = 0.0
    join_slices: bool = False
    num_features: int = 32
    width: int = 16
    depth: int = 4
    head: Literal["identity", "appnp", "gcn", "gat", "graph", "transformer"] = "identity"
    head_layers: int = 2
    head_losses: Literal["output", "both"] = "output"
    max_size: int = 320
    hessian_scales: tuple[float, ...] = ()
    nodes: Literal["superpixels", "pixels"] = "superpixels"
    radius: float = 5.0
    superpixel_method: Literal["slic", "grid_slic", "watershed", "felzenszwalb"] = "slic"
    n_segments: int = 2000
    compactness: float = 10.0
    superpixel_size: int = 0
    tau_con: float = 1.0
    tau_cut: float = -10.0
    beta_rec: float = 1.0
    beta_cut: float = 0.0
    beta_sim: float = 3.0
    beta_con: float = 3.0
    loss_input: Literal["logits", "softmax"] = "logits"
    similarity_labels: Literal["argmax", "pixels", "kmeans"] = "argmax"
    similarity_on: Literal["nodes", "pixels"] = "nodes"
    reconstruction: Literal["patch", "image", "none"] = "patch"
    patches: Patches = ((24, 64, 64), (40, 48, 48), (96, 32, 32))
    redraw_patches: bool = True
    foreground: float = 0.8
    epochs: int = 4
    minibatches: int = 8
    images_per_step: int = 0
    learning_rate: float = 1e-3
    min_labels: int = 0
    seed: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            object.__setattr__(self, name, _cast(name, getattr(self, name), hint))
        for name, minimum in _AT_LEAST.items():
            if getattr(self, name) < minimum:
                raise InputError(
                    f"{name}={getattr(self, name)} is too small; use {minimum} or more."
                )
        for name, maximum in _AT_MOST.items():
            if getattr(self, name) > maximum:
                raise InputError(
                    f"{name}={getattr(self, name)} is too large; use {maximum} or less."
                )
        if self.num_labels and self.label_by == "argmax":
            raise InputError(
                f"num_labels={self.num_labels} cannot be used with label_by='argmax'; use "
                "label_by='phases', 'regions' or 'appearance', as the presets tomogram, photo and "
                "video do."
            )
        if self.tau_cut >= 0:
            raise InputError(f"tau_cut={self.tau_cut} is not negative; use a number below 0.")
        for name in ("compactness", "learning_rate"):
            if getattr(self, name) <= 0:
                raise InputError(
                    f"{name}={getattr(self, name)} is not positive; use a number above 0."
                )
        if any(scale <= 0 for scale in self.hessian_scales):
            raise InputError(
                f"hessian_scales={self.hessian_scales} are not all positive; use numbers above 0."
            )
        for name in ("foreground", "memory"):
            if getattr(self, name) > 1:
                raise InputError(
                    f"{name}={getattr(self, name)} is above 1; use a number from 0 to 1."
                )
        if not self.patches:
            raise InputError(
                "patches=() is empty; leave out this setting, or give entries such as "
                "(24, 64, 64). To train without patches, leave it out and use "
                "reconstruction='none'."
            )
        if min(min(patch) for patch in self.patches) < 1:
            raise InputError(
                f"patches={self.patches} holds a number below 1; use a positive count, height and "
                "width in each entry, such as (24, 64, 64)."
            )

    @classmethod
    def preset(cls, name: str) -> "Config":
        """Returns the configuration of a preset.

        ``"tomogram"``, ``"photo"`` and ``"video"`` are named after their kind of data. ``"paper"``
        is the model of the paper's section 3.1. ``"fast"`` is a smaller version of the same model,
        and holds the defaults of all fields.
        """
        if name not in PRESETS:
            raise InputError(f"preset={name!r} is unknown; use {' or '.join(PRESETS)}.")
        return cls(**PRESETS[name])

    def as_type(self, name: str, beta: float) -> "Config":
        """Returns a copy for one of the nine model types of the paper's Table 1.

        Args:
            name: One of :data:`MODEL_TYPES`, such as ``"Sparse-SimCon-Patch"``. The three parts of
                a name give the nodes of the graph, the losses on the graph, and what is
                reconstructed.
            beta: Weight of the losses on the graph. It is the value of ``beta_cut`` for NCut, and
                of both ``beta_sim`` and ``beta_con`` for SimCon.
        """
        if name not in MODEL_TYPES:
            raise InputError(f"type={name!r} is unknown; use one of {', '.join(MODEL_TYPES)}.")
        if not beta > 0:
            raise InputError(f"beta={beta} is not positive; use a number above 0.")
        betas = dict.fromkeys(MODEL_TYPES[name].betas, beta)
        none = {name: 0.0 for name in BETAS if name != "beta_rec"}
        return self.replace(**MODEL_TYPES[name].settings, **(none | betas))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Makes a configuration from plain values, such as those of JSON. Refuses unknown keys."""
        names = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                close = difflib.get_close_matches(_RENAMED.get(key, str(key)), names, n=1)
                hint = f"use {close[0]!r}." if close else f"use one of {', '.join(names)}."
                raise InputError(f"{key!r} is an unknown configuration key; {hint}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain values that can be written as JSON or YAML."""
        values = dataclasses.asdict(self)
        values["patches"] = [list(patch) for patch in self.patches]
        values["hessian_scales"] = list(self.hessian_scales)
        return values

    def superpixel_options(self) -> dict[str, Any]:
        """Returns the fields that superpixels depend on, as keyword arguments of ``ToRAG``."""
        return {name: getattr(self, name) for name in SUPERPIXEL_FIELDS}

    def replace(self, **changes: Any) -> "Config":
        """Returns a copy with some fields changed."""
        return self.from_dict({**dataclasses.asdict(self), **changes})


#: The weights of the losses in Eq. 9.
BETAS = tuple(field.name for field in dataclasses.fields(Config) if field.name.startswith("beta_"))

#: Old keys and their present names.
_RENAMED = {"superpixels": "superpixel_method"}

#: The fields that superpixels depend on, besides the image.
SUPERPIXEL_FIELDS = ("superpixel_method", "n_segments", "compactness")

_AT_LEAST: dict[str, float] = {
    "num_labels": 0,
    "position_weight": 0,
    "memory": 0,
    "num_features": 1,
    "width": 1,
    "depth": 1,
    "head_layers": 1,
    "max_size": 0,
    "n_segments": 1,
    "radius": 1,
    "superpixel_size": 0,
    **dict.fromkeys(BETAS, 0),
    "foreground": 0,
    "epochs": 1,
    "minibatches": 1,
    "images_per_step": 0,
    "min_labels": 0,
    "seed": 0,
}

_AT_MOST: dict[str, float] = {
    "depth": 12,  # needs an image of 4096x4096 pixels or more
    "head_layers": 100,
    "num_features": 4096,
    "width": 4096,
    "learning_rate": 1e37,  # Adam divides it by 0.1, and 32 bits end at 3e38
    "seed": 2**32 - 1,  # the largest seed of scikit-learn
}


def read_config(path: str | Path) -> dict[str, Any]:
    """Reads the keys and values of a YAML file. Does not add defaults or validate values.

    Raises:
        InputError: If the file cannot be read or is not a mapping of names to values.
    """
    return read_yaml(path, "epochs: 4")


def config_to_yaml(config: Config) -> str:
    """Converts a configuration to YAML text that :func:`read_config` reads back."""
    require("yaml")
    import yaml

    return yaml.safe_dump(config.to_dict(), sort_keys=False, default_flow_style=None)


def _cast(name: str, value: Any, hint: Any) -> Any:
    """Converts a value to the plain Python type of a hint. Errors name the field."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            choices = ", ".join(map(repr, get_args(hint)))
            raise InputError(f"{name}={value!r} is unknown; use one of {choices}.")
        return value
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise InputError(f"{name}={value!r} is not a list; put square brackets around it.")
        items = list(value)
        kinds = [inner[0]] * len(items) if inner[-1] is Ellipsis else list(inner)
        if len(items) != len(kinds):
            raise InputError(
                f"{name}={value!r} has the wrong length; give {len(kinds)} numbers in each entry."
            )
        return tuple(_cast(name, item, kind) for item, kind in zip(items, kinds, strict=True))
    try:
        if isinstance(value, str) and hint is float:
            value = float(value)  # YAML 1.1 reads 1e-3 as text
        if (isinstance(value, str | bool) or hint is bool) and type(value) is not hint:
            raise TypeError
        cast = hint(value)
        if cast != value or (hint is float and not math.isfinite(cast)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        kind = {int: "a whole number", float: "a finite number", bool: "true or false"}
        raise InputError(f"{name}={value!r} must be {kind.get(hint, hint.__name__)}.") from None
    return cast
