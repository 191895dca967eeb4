"""The Berkeley Segmentation Dataset BSDS300, read from the files that its authors distribute."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.datasets.base import Example, GraphDataset, Options, Source
from sp_graph_seg.datasets.image_folder import list_by_stem
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import decode_image, read_labels
from sp_graph_seg.limits import check_limit

_HOW_TO_GET = (
    "get BSDS300-images.tgz and BSDS300-human.tgz from "
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/, unpack both and give the "
    "folder BSDS300, which then has images/train, images/test and human/color."
)


class BSDS300(GraphDataset):
    r"""The region adjacency graphs of the `Berkeley Segmentation Dataset
    <https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/>`_ BSDS300.

    The dataset has 200 training and 100 test photographs. Several people have segmented each of
    them. The files are not downloaded, because the authors ask for non-commercial use in research
    and education. Two layouts of files can be read:

    * The layout of BSDS300 has the photographs ``images/{train,test}/<id>.jpg`` and the text files
      ``human/color/<annotator>/<id>.seg``, see :func:`read_seg`.
    * The layout of its successor BSDS500 has no folder ``human``. It has the photographs
      ``images/{train,test}/<id>.jpg`` and the files ``groundTruth/{train,test}/<id>.mat``. (The
      test images of BSDS300 are called ``val`` in BSDS500.)

    Each image has four to nine annotators, who number their segments in any order. Therefore,
    ``y (N,)`` holds the segments of only one annotator. For evaluation, :meth:`truth` returns the
    label maps of all annotators.

    Args:
        root: Folder of the dataset. The graphs are stored in ``root/processed``. If the dataset is
            read-only, make another folder with links to the folders of the dataset, and give that
            folder.
        split: ``"train"`` or ``"test"``. (default: :obj:`"train"`)
        annotator: The annotator whose segments become ``y``. The annotators of each image are
            numbered from 0. (default: :obj:`0`)
        **options: ``to_graph``, ``transform``, ``in_memory`` and the other parameters of
            :class:`GraphDataset`.

    Raises:
        InputError: If the dataset is missing, an image has no such annotator, or a file cannot be
            read. The graphs that are finished by then are kept.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: Literal["train", "test"] = "train",
        *,
        annotator: int = 0,
        **options: Unpack[Options],
    ) -> None:
        if split not in ("train", "test"):
            raise InputError(f"split={split!r} is unknown; use 'train' or 'test'.")
        if annotator < 0:
            raise InputError(f"annotator={annotator} is negative; use 0 or more.")
        found = find_bsds300(root, split)
        self._truth_files = {name: truth for name, (_, truth) in found.items()}
        sources = [
            Source(name, partial(_read, image, truth, annotator), (image, *truth))
            for name, (image, truth) in found.items()
        ]
        kind = next(iter(self._truth_files.values()))[0].suffix
        parameters = {"split": split, "annotator": annotator, "truth": kind}
        super().__init__(root, sources, parameters, **options)

    def truth(self, idx: int) -> list[NDArray[np.int64]]:
        """Returns the label map ``(H, W)`` of each annotator of an image.

        The segments of each annotator are numbered from 0.

        Args:
            idx: Position of the image's graph in this dataset.
        """
        return _read_truth(self._truth_files[self.names[self.indices()[idx]]])


def find_bsds300(
    root: str | os.PathLike[str], split: Literal["train", "test"]
) -> dict[str, tuple[Path, tuple[Path, ...]]]:
    """Finds the photograph and the ground truth files of each image.

    Args:
        root: Folder of the dataset, in one of the layouts that :class:`BSDS300` reads.
        split: ``"train"`` or ``"test"``.

    Returns:
        For each name of an image, the path of the photograph and the paths of the ground truth
        files. The names are sorted. An image has one ``.mat`` file for all annotators, or one
        ``.seg`` file for each annotator.

    Raises:
        InputError: If the dataset is missing, or an image has no ground truth.
    """
    images = _find_images(Path(root).expanduser(), split)
    truth = _find_truth(Path(root).expanduser(), split, images)
    return {name: (file, truth[name]) for name, file in images.items()}


def read_seg(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """Reads a segmentation from a ``.seg`` file of the Berkeley Segmentation Dataset.

    The file is text, and ``#`` starts a comment. The file begins with a header, in which each line
    holds a key and a value. The header must contain ``width``, ``height`` and ``segments``, the
    number of segments. If the header contains ``format``, the value must be ``ascii cr``. The
    header ends with the line ``data``. Each line after it holds four numbers: the segment, the row,
    the first column and the last column. All four numbers count from 0, and the last column belongs
    to the segment.

    Args:
        path: The file.

    Returns:
        The number of the segment of each pixel, ``(H, W)``. It is -1 for pixels that no line
        covers.

    Raises:
        InputError: If the file cannot be read or has another format.

    Example:
        A file with the lines ``width 3``, ``height 1``, ``segments 2``, ``data``, ``0 0 0 1`` and
        ``1 0 2 2`` is read as ``[[0, 0, 1]]``.
    """
    try:
        text = Path(path).read_text(encoding="ascii")
        lines = [line.split() for line in (row.partition("#")[0] for row in text.splitlines())]
        lines = [line for line in lines if line]
        start = lines.index(["data"])
        header = {line[0]: line[1:] for line in lines[:start]}
        height, width, segments = (int(header[k][0]) for k in ("height", "width", "segments"))
        runs = np.array(lines[start + 1 :], dtype=np.int64).reshape(-1, 4)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the path.") from error
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise _damaged(path, str(error)) from error
    if header.get("format", ["ascii", "cr"]) != ["ascii", "cr"]:
        raise _damaged(path, f"format {' '.join(header['format'])}, not ascii cr")
    if min(height, width) < 1:
        raise _damaged(path, f"{width} x {height} pixels")
    check_limit("pixels in a .seg file", height * width, path)
    segment, row, first, last = runs.T
    if runs.size and (
        runs.min() < 0
        or segment.max() >= segments
        or row.max() >= height
        or last.max() >= width
        or (first > last).any()
    ):
        raise _damaged(path, "a line names a segment or a pixel that does not exist")
    labels = np.full((height, width), -1, dtype=np.int64)
    for s, r, begin, end in runs.tolist():
        labels[r, begin : end + 1] = s
    return labels


def read_truth(path: str | os.PathLike[str]) -> list[NDArray[np.int64]]:
    """Reads the label maps of one or several annotators of an image from a ground truth file.

    Args:
        path: The file. A ``.mat`` file of BSDS500 holds the label maps of all annotators. A
            ``.seg`` file of BSDS300 holds the label map of one annotator, see :func:`read_seg`. Any
            other file is read as a label image, see :func:`~sp_graph_seg.io.read_labels`.

    Returns:
        One label map ``(H, W)`` for each annotator, at least one. Pixels without a segment are
        negative.

    Raises:
        InputError: If the file cannot be read, or holds label maps of different sizes.
    """
    path = Path(path)
    if path.suffix.lower() != ".mat":
        return [read_seg(path) if path.suffix.lower() == ".seg" else read_labels(path)]
    people = _read_mat(path)
    shapes = {labels.shape for labels in people}
    if len(shapes) != 1 or len(shapes.pop()) != 2 or people[0].size == 0:
        raise _damaged(path, "no annotators, or annotators of different sizes")
    return people


def _find_images(root: Path, split: str) -> dict[str, Path]:
    try:
        return list_by_stem(root / "images" / split, frozenset([".jpg"]), "image")
    except InputError as error:
        raise InputError(f"{root}: holds no images/{split}/*.jpg; {_HOW_TO_GET}") from error


def _find_truth(root: Path, split: str, images: dict[str, Path]) -> dict[str, tuple[Path, ...]]:
    """Finds the ground truth files of each image: one for each annotator, or one for all."""
    by_hand = root / "human" / "color"
    if by_hand.is_dir():
        people = sorted((p for p in by_hand.iterdir() if p.is_dir()), key=_numerically)
        found = {name: [person / f"{name}.seg" for person in people] for name in images}
    else:
        found = {name: [root / "groundTruth" / split / f"{name}.mat"] for name in images}
    truth = {name: tuple(file for file in files if file.is_file()) for name, files in found.items()}
    for name, files in truth.items():
        if not files:
            raise InputError(
                f"{root}: image {name} has neither human/color/*/{name}.seg nor "
                f"groundTruth/{split}/{name}.mat; {_HOW_TO_GET}"
            )
    return truth


def _numerically(path: Path) -> tuple[int, str]:
    return (int(path.name) if path.name.isdecimal() else 0, path.name)


def _read(image: Path, truth: Sequence[Path], annotator: int) -> Example:
    people = _read_truth(truth)
    if annotator >= len(people):
        raise InputError(
            f"annotator={annotator}: the annotators of {image} are numbered from 0 to "
            f"{len(people) - 1}; give one of these numbers."
        )
    return Example(decode_image(image), people[annotator])


def _read_truth(files: Sequence[Path]) -> list[NDArray[np.int64]]:
    return _read_mat(files[0]) if files[0].suffix == ".mat" else [read_seg(file) for file in files]


def _read_mat(path: Path) -> list[NDArray[np.int64]]:
    """Reads the label maps of all annotators from a ``.mat`` file of BSDS500.

    In the file, segments are numbered from 1. In the result, they are numbered from 0.
    """
    from scipy.io import loadmat

    try:
        people = loadmat(path, variable_names=["groundTruth"])["groundTruth"][0]
        return [person["Segmentation"][0, 0].astype(np.int64) - 1 for person in people]
    except Exception as error:  # loadmat raises many kinds
        raise _damaged(path, " ".join(str(error).split()) or type(error).__name__) from error


def _damaged(path: str | os.PathLike[str], reason: str) -> InputError:
    return InputError(
        f"{path}: is not a BSDS ground truth file ({reason}); unpack the dataset again."
    )
