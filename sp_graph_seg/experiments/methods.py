"""The methods that are compared: models of the paper, baselines, and variants of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.baselines import (
    felzenszwalb_regions,
    grid_regions,
    kmeans_pixels,
    kmeans_superpixels,
    one_label,
    sas_regions,
    spectral_superpixels,
)
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.presets import MODEL_TYPES
from sp_graph_seg.prototypes import fit_region_colors
from sp_graph_seg.regions import build_region_tree
from sp_graph_seg.segmenter import Segmenter

#: The three baselines of the paper's Table 1.
BASELINES = ("KMeans-Pixels", "KMeans-Superpixels", "Spectral-Superpixels")

#: The twelve rows of the paper's Table 1, in its order.
METHODS = (*BASELINES, *MODEL_TYPES)

#: Methods that need neither training nor superpixels, with the default of their setting: a scale
#: for Felzenszwalb, else a number of regions or labels. That of the region tree is 15, the mean of
#: its own rule; One-Label ignores it.
REGION_METHODS: dict[str, float] = {
    "Felzenszwalb": 300.0,
    "SAS": 12.0,
    "Region-Tree": 15.0,
    "Region-Labels": 10.0,
    "One-Label": 1.0,
    "Grid": 12.0,
}

#: Numbers of clusters to try, which the paper does not give.
NUM_CLUSTERS = (2, 3, 4, 6, 8, 12, 16, 24, 32)

_ALL = (*METHODS, *REGION_METHODS)

#: Nine betas; the paper gives only their number.
BETAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method that is compared with others. Each method is one row of the table.

    Attributes:
        name: Name of the row.
        kind: One of :data:`METHODS` or :data:`REGION_METHODS`.
        settings: Values to try for the free parameter of the method. The free parameter is the beta
            of a model, the scale of Felzenszwalb, or the number of clusters, regions or labels of
            any other baseline.
        config: All other parameters. Fields that depend on the kind, the setting or the seed of a
            job are overwritten.
    """

    name: str
    kind: str
    settings: tuple[float, ...]
    config: Config

    def __post_init__(self) -> None:
        if self.kind not in _ALL:
            raise InputError(f"type={self.kind!r} is unknown; use one of {', '.join(_ALL)}.")
        if not self.settings:
            raise InputError("settings: the list is empty; give at least one positive number.")
        if not all(0 < value < np.inf for value in self.settings):
            raise InputError(
                f"settings={self.settings} are not all positive and finite; give numbers above 0."
            )
        if len(set(self.settings)) < len(self.settings):
            raise InputError(f"settings={self.settings} repeat a number; give each number once.")
        counts = self.is_baseline and self.kind != "Felzenszwalb"
        if counts and any(value != int(value) for value in self.settings):
            raise InputError(
                f"settings={self.settings} are not whole numbers; give whole numbers of clusters."
            )
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise InputError(
                f"name={self.name!r} cannot be the name of a folder; use letters and digits."
            )

    @property
    def is_baseline(self) -> bool:
        """True if the method is a baseline. A baseline needs no training."""
        return self.kind in BASELINES or self.kind in REGION_METHODS

    def describe(self, setting: float, seed: int) -> dict[str, Any]:
        """Returns everything that determines the result, except for the image and its truths."""
        if not self.is_baseline:
            values = _describe_model(self.config, self.kind, setting, seed)
            return {"kind": self.kind, "config": values}
        number = int(setting) if setting == int(setting) else setting
        superpixels = self.config.superpixel_options()  # also those of the unsupervised score
        return {"kind": self.kind, "num_labels": number, "seed": seed, **superpixels}

    def uses_superpixels(self) -> bool:
        """Tells whether :meth:`label` needs the superpixels of the image."""
        if self.kind in REGION_METHODS:
            return False
        return self.kind != "KMeans-Pixels" and not self.kind.startswith("Dense-")

    def label(
        self, image: NDArray[np.float32], superpixels: NDArray | None, setting: float, seed: int
    ) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Labels an image ``(C, H, W)``.

        Returns:
            The labels ``(H, W)``, and the final losses by name. A baseline has no losses.
        """
        if self.kind in REGION_METHODS:
            return find_regions(self.kind, image, setting, seed), {}
        if self.is_baseline:
            return self._cluster(image, superpixels, int(setting), seed), {}
        config = self.config.replace(seed=seed).as_type(self.kind, setting)
        segmenter = Segmenter(config).fit(image, superpixels=superpixels)
        history = segmenter.history_
        assert history is not None, "a model that was just trained has a history"
        return segmenter.predict(image, superpixels), history.last_losses()

    def _cluster(
        self, image: NDArray[np.float32], superpixels: NDArray | None, num_labels: int, seed: int
    ) -> NDArray[np.int64]:
        if self.kind == "KMeans-Pixels":
            return kmeans_pixels(image, num_labels, seed)
        assert superpixels is not None, "a baseline on superpixels is given some"
        cluster = {
            "KMeans-Superpixels": kmeans_superpixels,
            "Spectral-Superpixels": spectral_superpixels,
        }[self.kind]
        return cluster(image, num_labels, superpixels, seed)


def find_regions(
    kind: str, image: NDArray[np.float32], setting: float, seed: int = 0
) -> NDArray[np.int64]:
    """Finds regions ``(H, W)`` of an image by one of :data:`REGION_METHODS`.

    The values of the image lie between 0 and 1.
    """
    num = int(setting)
    if kind == "Felzenszwalb":
        return felzenszwalb_regions(image, setting)
    if kind == "SAS":
        return sas_regions(image, num, seed)
    if kind == "Region-Tree":
        tree = build_region_tree(image)
        return tree.cut(min(num, tree.num_leaves))
    if kind == "Region-Labels":
        config = Config(label_by="regions", num_labels=num)
        return fit_region_colors([image], [None], config).predict(image)[0]
    return grid_regions(image, num) if kind == "Grid" else one_label(image)


@cache
def _describe_model(config: Config, kind: str, setting: float, seed: int) -> dict[str, Any]:
    """Returns the values of the configuration. They are cached because all images share them."""
    return config.replace(seed=seed).as_type(kind, setting).to_dict()


def method_from_dict(
    name: str,
    values: Mapping[str, Any],
    config: Config,
    betas: tuple[float, ...],
    clusters: tuple[float, ...],
) -> Method:
    """Makes a method from a dictionary, such as one from a configuration file.

    Args:
        name: Name of the row.
        values: Parameters of the method. ``type`` is one of :data:`METHODS` or
            :data:`REGION_METHODS`, by default Sparse-SimCon-Patch. ``settings`` is one number or a
            list of numbers. All other keys are fields of the configuration.
        config: Configuration with the fields that ``values`` leaves out.
        betas: Settings of a model if ``values`` has no ``settings``.
        clusters: Settings of a baseline of the paper if ``values`` has no ``settings``.
    """
    own = dict(values)
    kind = own.pop("type", "Sparse-SimCon-Patch")
    usual = clusters if kind in BASELINES else betas
    if isinstance(kind, str) and kind in REGION_METHODS:
        usual = (REGION_METHODS[kind],)
    settings = own.pop("settings", usual)
    settings = settings if isinstance(settings, list | tuple) else [settings]
    try:
        numbers = tuple(float(value) for value in settings)
        return Method(name=name, kind=kind, settings=numbers, config=config.replace(**own))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error
