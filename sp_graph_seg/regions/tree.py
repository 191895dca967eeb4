"""The region tree: the order in which regions are merged, and how probable each boundary is."""

import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, maximum_filter

from sp_graph_seg.errors import FewLabelsWarning, InputError
from sp_graph_seg.io import atomic_write
from sp_graph_seg.transforms.superpixels import Labels
from sp_graph_seg.transforms.touching import number_regions

#: The cut without any wish: regions above a probability, but neither fewer nor more than this.
#: Chosen on 40 training photographs of BSDS300 that the weights did not see: A-MI 0.701, PRI 0.859
#: and Covering 0.662; with at most 20 regions 0.697, 0.856 and 0.658.
_AUTO_THRESHOLD = 0.525
_AUTO_REGIONS = (10, 26)

#: Boundaries as sure as this are kept in any number: none of those photographs has over 15 such
#: regions, the stripes of a drawing are.
_SURE = 0.75

#: What is stored of a tree.
_FIELDS = ("children", "altitude", "leaves")


@dataclass(frozen=True)
class RegionTree:
    """A tree of regions. Starting from N leaves, each step merges two regions.

    ``children`` has the form of ``children_`` in scikit-learn's ``AgglomerativeClustering``.

    Attributes:
        children: ``(N - 1, 2)``. Row t holds the two nodes that step t merges into node N + t.
        altitude: ``(N - 1,)``, from 0 to 1. The probability that people separate the two nodes of a
            step. If an earlier step has a larger value, the larger value is used, so the altitude
            never decreases. Regions that do not touch because of a mask are merged at altitude 1.
        leaves: The leaf of each pixel, ``(H, W)`` or ``(D, H, W)``, with -1 where there is no data.
    """

    children: NDArray[np.int64]
    altitude: NDArray[np.float64]
    leaves: Labels

    @property
    def num_leaves(self) -> int:
        """The number N of leaves, which is the largest possible number of regions."""
        return len(self.children) + 1

    def cut(self, num_regions: int | None = None, threshold: float | None = None) -> Labels:
        """Cuts the tree into regions and returns the region of each pixel, counted from 0.

        Pixels without data are -1. The tree is not computed again. Give at most one of the two
        arguments.

        By default, two regions are separate if the probability of their boundary is above 0.525. If
        this gives fewer than 10 regions, the tree is cut into 10. If it gives more than 26, the
        tree is cut into 26, or into more if the probability of more boundaries is above 0.75.

        Args:
            num_regions: The number of regions. If the tree has fewer leaves, each leaf becomes a
                region, and a warning is given.
            threshold: Regions are separate if their altitude is above this value, from 0 to 1.
        """
        if num_regions is not None and threshold is not None:
            raise InputError("num_regions, threshold: both are given; leave out one of them.")
        if threshold is not None:
            if not 0 <= threshold <= 1:
                raise InputError(
                    f"threshold={threshold} is not a probability; use a number from 0 to 1."
                )
            num_regions = self._num_above(threshold)
        elif num_regions is None:
            num_regions = min(self.auto_num_regions(), self.num_leaves)
        group = self._group(num_regions)
        is_used = np.bincount(self.leaves.ravel() + 1, minlength=len(group) + 1)[1:] > 0
        return np.append(number_regions(np.where(is_used, group, -1)), -1)[self.leaves]

    def auto_num_regions(self) -> int:
        """Returns how many regions :meth:`cut` makes by default, if there are enough leaves."""
        likely = np.clip(self._num_above(_AUTO_THRESHOLD), *_AUTO_REGIONS)
        return max(int(likely), self._num_above(_SURE))

    def ucm(self) -> NDArray[np.float64]:
        """Makes the ultrametric contour map, ``(2 H + 1, 2 W + 1)`` (Arbelaez et al. 2011).

        The pixels of the image are at odd rows and columns of the map. The value between two pixels
        is the altitude at which their regions are merged. It is 0 inside a leaf, and 1 along the
        border of the data. The map of a volume is ``(2 D + 1, 2 H + 1, 2 W + 1)``.
        :func:`~sp_graph_seg.evaluation.ucm2_labels` converts the map of an image to labels.
        """
        strength = np.zeros([2 * length - 1 for length in self.leaves.shape])
        for axis in range(strength.ndim):
            between = tuple(slice(k == axis, None, 2) for k in range(strength.ndim))
            strength[between] = self._joined_along(axis)
        # Where the faces meet stands the strongest of those around.
        odd = np.sum(np.indices(strength.shape) % 2, axis=0)
        cross = generate_binary_structure(strength.ndim, 1)
        for count in range(2, strength.ndim + 1):
            around = maximum_filter(strength, footprint=cross, mode="nearest")
            strength[odd == count] = around[odd == count]
        return np.pad(strength, 1, mode="edge")

    def contours(self) -> NDArray[np.float64]:
        """Makes a contour map of the size of the image.

        Each pixel is compared with the next pixel along each axis. The value of the pixel is the
        largest altitude at which its region is merged with the region of one of these pixels.
        """
        strength = np.zeros(self.leaves.shape)
        for axis, length in enumerate(self.leaves.shape):
            here = strength[_part(self.leaves.ndim, axis, slice(0, length - 1))]
            np.maximum(here, self._joined_along(axis), out=here)
        return strength

    def save(self, path: str | os.PathLike[str], made_of: str = "") -> None:
        """Writes the tree to an ``.npz`` file. If writing fails, no incomplete file is left.

        Args:
            path: The file. Its folder must exist.
            made_of: A fingerprint of the image and the parameters from which the tree was made. It
                is stored, so that :meth:`load` can refuse the tree of another image.
        """
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, made_of=made_of, **{n: getattr(self, n) for n in _FIELDS})

    @classmethod
    def load(cls, path: str | os.PathLike[str], made_of: str | None = None) -> "RegionTree":
        """Reads a tree that :meth:`save` wrote.

        Args:
            path: The file.
            made_of: The fingerprint that the tree must have been saved with. If None, the
                fingerprint is not checked.

        Raises:
            InputError: The file is missing, holds no tree, or holds another fingerprint.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                tree, origin = cls(*(stored[name] for name in _FIELDS)), str(stored["made_of"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: holds no region tree; give a file that RegionTree.save wrote."
            ) from error
        if made_of not in (None, origin):
            raise InputError(
                f"{path}: holds the tree of another image or of other parameters; build it again."
            )
        return tree

    def _num_above(self, threshold: float) -> int:
        merged = int(np.searchsorted(self.altitude, threshold, side="right"))
        return self.num_leaves - merged

    def _group(self, num_regions: int) -> Labels:
        """Returns the node that contains each leaf, ``(N,)``.

        The leaves are merged until ``num_regions`` nodes are left.
        """
        num = self.num_leaves
        if num_regions < 1:
            raise InputError(f"num_regions={num_regions} is too small; use 1 or more.")
        if num_regions > num:
            warnings.warn(
                f"num_regions={num_regions}: the image has only {num} regions, and all are "
                f"returned; give {num} or fewer.",
                FewLabelsWarning,
                stacklevel=3,
            )
        node = self._parents(max(0, num - num_regions))
        for number in range(len(node) - 1, -1, -1):  # parents lie above their children
            node[number] = node[node[number]]
        return node[:num]

    def _parents(self, merges: int) -> Labels:
        """Returns the parent of each node after the first ``merges`` steps.

        A node without a parent is its own parent.
        """
        parent = np.arange(self.num_leaves + merges)
        parent[self.children[:merges]] = np.arange(self.num_leaves, parent.size)[:, None]
        return parent

    def _joined_along(self, axis: int) -> NDArray[np.float64]:
        """Finds the altitude at which each pixel is merged with the next pixel along an axis.

        The altitude is 1 at the border of the data.
        """
        last = self.leaves.shape[axis] - 1
        one = self.leaves[_part(self.leaves.ndim, axis, slice(0, last))]
        other = self.leaves[_part(self.leaves.ndim, axis, slice(1, last + 1))]
        found = np.where((one >= 0) != (other >= 0), 1.0, 0.0)
        differ = (one != other) & (one >= 0) & (other >= 0)
        parent = self._parents(len(self.children))
        pair = np.stack([one[differ], other[differ]])
        while (pair[0] != pair[1]).any():  # the earlier node climbs
            pair = np.where((pair < pair[::-1]), parent[pair], pair)
        found[differ] = self.altitude[pair[0] - self.num_leaves]
        return found


def _part(ndim: int, axis: int, part: slice) -> tuple[slice, ...]:
    """Returns the index that selects a part along one axis."""
    return tuple(part if k == axis else slice(None) for k in range(ndim))
