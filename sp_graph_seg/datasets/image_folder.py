"""ImageFolderRAG: any folder of images, with or without a folder of labels."""

import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from numpy.typing import NDArray

from sp_graph_seg.datasets.base import GraphDataset, Source, ToGraph, Transform
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import decode_image, read_labels
from sp_graph_seg.transforms.prepare import normalize

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
LABEL_SUFFIXES = frozenset((".npy", ".png", ".tif", ".tiff"))


class ImageFolderRAG(GraphDataset):
    r"""The region adjacency graphs of a folder of images.

    Args:
        root: Folder for the graphs; they lie in ``root/processed``.
        images: Folder of images, as :func:`~sp_graph_seg.io.read_image` takes them; subfolders and
            other files are ignored. Graphs come in the order of the files' names.
        labels: Folder with a label file for each image, whose name differs in its suffix only, as
            :func:`~sp_graph_seg.io.read_labels` takes them. (default: :obj:`None`)
        to_graph: Makes a graph of an image ``(C, H, W)``. (default: :obj:`ToRAG()`)
        intensity_range: The values that become 0 and 1 in all images. By default unsigned integers
            are divided by the largest of their type, and others kept. (default: :obj:`None`)
        transform: Called with a graph before every access. (default: :obj:`None`)
        pre_transform: Called with a graph before it is saved. (default: :obj:`None`)
        force_reload: Make all graphs anew. (default: :obj:`False`)
        num_workers: Processes that make graphs; by default one for every 32 images, but no more
            than there are cores.

    Raises:
        InputError: If the folder is missing or holds no image, an image has no label file, or one
            cannot be read; the graphs already made are kept.

    Example:
        >>> from sp_graph_seg import ToRAG
        >>> from sp_graph_seg.datasets import ImageFolderRAG
        >>> dataset = ImageFolderRAG("data", "photos", to_graph=ToRAG(500))  # doctest: +SKIP
        >>> loader = DataLoader(dataset, batch_size=4, shuffle=True)  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        images: str | os.PathLike[str],
        labels: str | os.PathLike[str] | None = None,
        to_graph: ToGraph | None = None,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        force_reload: bool = False,
        num_workers: int | None = None,
        intensity_range: tuple[float, float] | None = None,
    ) -> None:
        files: dict[str, tuple[Path, ...]] = {
            stem: (file,) for stem, file in list_by_stem(images, IMAGE_SUFFIXES, "image").items()
        }
        if labels is not None:
            files = _add_labels(files, labels)
        sources = [
            Source(stem, partial(read_pair, pair, intensity_range), pair)
            for stem, pair in files.items()
        ]
        parameters = {
            "intensity_range": intensity_range,
            "images": _resolve(images),
            "labels": None if labels is None else _resolve(labels),
        }
        super().__init__(
            root, sources, to_graph, transform, pre_transform, force_reload, num_workers, parameters
        )


def list_by_stem(
    folder: str | os.PathLike[str], suffixes: frozenset[str], kind: str
) -> dict[str, Path]:
    """The files of a kind in a folder by their names without suffix, sorted.

    Raises:
        InputError: If there is no such folder or file, or two differ in their suffix only.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"{folder}: is no folder; give the folder that holds the {kind}s.")
    files = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder}: holds no {kind}; known are {', '.join(sorted(suffixes))}.")
    stem, count = Counter(file.stem for file in files).most_common(1)[0]
    if count > 1:
        raise InputError(f"{folder}: {count} {kind}s are called {stem!r}; rename or remove one.")
    return {file.stem: file for file in files}


def read_pair(
    files: Sequence[Path], intensity_range: tuple[float, float] | None = None
) -> tuple[NDArray, NDArray | None]:
    """Reads an image, as :class:`ImageFolderRAG` scales it, and its labels if they are there."""
    path, *labels = files
    image = decode_image(path)
    if intensity_range is not None:
        image = normalize(image, *intensity_range)
    return image, read_labels(labels[0]) if labels else None


def _add_labels(
    images: dict[str, tuple[Path, ...]], folder: str | os.PathLike[str]
) -> dict[str, tuple[Path, ...]]:
    labels = list_by_stem(folder, LABEL_SUFFIXES, "label file")
    for stem, (image,) in images.items():
        if stem not in labels:
            raise InputError(f"{image}: has no label file in {folder}; add {stem}.png.")
    return {stem: (image, labels[stem]) for stem, (image,) in images.items()}


def _resolve(folder: str | os.PathLike[str]) -> Path:
    return Path(folder).expanduser().resolve()
