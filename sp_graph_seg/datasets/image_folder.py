"""A dataset of the images in a folder. Their labels and masks may be in two other folders."""

import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Unpack

from sp_graph_seg.datasets.base import Example, GraphDataset, Options, Source
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
        root: Folder for the graphs, which are stored in ``root/processed``.
        images: Folder of images that :func:`~sp_graph_seg.io.read_image` can read. Subfolders and
            other files are ignored. The graphs are in the order of the file names.
        labels: Folder with a label file for each image, see :func:`~sp_graph_seg.io.read_labels`.
            The label file has the same name as the image, except for the suffix. (default:
            :obj:`None`)
        masks: Folder with a mask file for each image. Mask files are named and read like label
            files. Pixels with a value of 0 or less in the mask are left out. (default: :obj:`None`)
        intensity_range: The two values that become 0 and 1 in all images. By default, unsigned
            integers are divided by the largest value of their type, and other values are not
            changed. (default: :obj:`None`)
        **options: ``to_graph``, ``transform``, ``in_memory`` and the other parameters of
            :class:`GraphDataset`.

    Raises:
        InputError: If a folder is missing or has no images, an image has no label file or no mask
            file, or a file cannot be read. The graphs that are finished by then are kept.

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
        *,
        intensity_range: tuple[float, float] | None = None,
        masks: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        files = list_by_stem(images, IMAGE_SUFFIXES, "image")
        truth = {} if labels is None else _files_of(files, labels, "label file")
        inside = {} if masks is None else _files_of(files, masks, "mask")
        sources = []
        for stem, file in files.items():
            parts = (file, truth.get(stem), inside.get(stem))
            read = partial(read_example, *parts, intensity_range=intensity_range)
            sources.append(Source(stem, read, tuple(part for part in parts if part is not None)))
        parameters = {
            "intensity_range": intensity_range,
            **{
                name: None if folder is None else resolve(folder)
                for name, folder in (("images", images), ("labels", labels), ("masks", masks))
            },
        }
        super().__init__(root, sources, parameters, **options)


def list_by_stem(
    folder: str | os.PathLike[str], suffixes: frozenset[str], kind: str
) -> dict[str, Path]:
    """Lists the files in a folder that have one of the given suffixes, sorted by name.

    Args:
        folder: The folder. Its subfolders and hidden files are ignored.
        suffixes: The suffixes in lower case, such as ``.png``.
        kind: The word for one of these files in error messages, such as ``"image"``.

    Returns:
        A dictionary from the name of each file, without its suffix, to the path of the file.

    Raises:
        InputError: If the folder is missing or has no such file, or if two of the files have the
            same name except for the suffix.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"{folder}: is not a folder; give the folder that holds the {kind}s.")
    files = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".")
    )
    if not files:
        raise InputError(
            f"{folder}: holds no {kind}; give a folder with files of the types "
            f"{', '.join(sorted(suffixes))}."
        )
    stem, count = Counter(file.stem for file in files).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"{folder}: {count} {kind}s have the name {stem!r}; rename or remove all but one."
        )
    return {file.stem: file for file in files}


def read_example(
    image: Path,
    truth: Path | None = None,
    mask: Path | None = None,
    label: int | None = None,
    intensity_range: tuple[float, float] | None = None,
) -> Example:
    """Reads an image, and its labels and its mask if their files are given.

    The image is scaled as in :class:`ImageFolderRAG`.
    """
    values = decode_image(image)
    if intensity_range is not None:
        values = normalize(values, *intensity_range)
    return Example(
        values,
        None if truth is None else read_labels(truth),
        None if mask is None else read_labels(mask) > 0,
        label,
    )


def resolve(folder: str | os.PathLike[str]) -> Path:
    """Returns the absolute path of a folder."""
    return Path(folder).expanduser().resolve()


def _files_of(
    images: dict[str, Path], folder: str | os.PathLike[str], kind: str
) -> dict[str, Path]:
    """Lists the label files or mask files in a folder. Checks that every image has one."""
    files = list_by_stem(folder, LABEL_SUFFIXES, kind)
    for stem, image in images.items():
        if stem not in files:
            raise InputError(f"{image}: has no {kind} in {folder}; add {stem}.png to this folder.")
    return files
