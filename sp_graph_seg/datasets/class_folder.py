"""A dataset of images that are sorted into one folder for each class."""

import os
from functools import partial
from typing import Unpack

from sp_graph_seg.datasets.base import GraphDataset, Options, Source
from sp_graph_seg.datasets.image_folder import IMAGE_SUFFIXES, list_by_stem, read_example, resolve
from sp_graph_seg.errors import InputError


class ClassFolderRAG(GraphDataset):
    r"""The region adjacency graphs of images that are sorted into one folder for each class.

    Use this dataset for graph classification. The images are ``images/CLASS/image.png``, as in
    torchvision's ``ImageFolder``. ``dataset.classes`` is the sorted list of the names of the
    classes. In each graph, ``y (1,)`` is the position of the class in this list, and ``name`` is
    ``CLASS/image``.

    Args:
        root: Folder for the graphs, which are stored in ``root/processed``.
        images: Folder that holds one folder for each class. Hidden folders are ignored. Files
            beside the folders of the classes are ignored too.
        intensity_range: The two values that become 0 and 1 in all images. By default, unsigned
            integers are divided by the largest value of their type, and other values are not
            changed. (default: :obj:`None`)
        **options: ``to_graph``, ``transform``, ``in_memory`` and the other parameters of
            :class:`GraphDataset`.

    Raises:
        InputError: If there is no folder of a class, a class has no image, or a file cannot be
            read. The graphs that are finished by then are kept.

    Example:
        >>> from sp_graph_seg.datasets import ClassFolderRAG
        >>> dataset = ClassFolderRAG("data", "flowers")  # doctest: +SKIP
        >>> dataset.classes[dataset[0].y]  # doctest: +SKIP
        'daisy'
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        images: str | os.PathLike[str],
        *,
        intensity_range: tuple[float, float] | None = None,
        **options: Unpack[Options],
    ) -> None:
        folder = resolve(images)
        found = folder.iterdir() if folder.is_dir() else ()
        self.classes = sorted(f.name for f in found if f.is_dir() and not f.name.startswith("."))
        if not self.classes:
            raise InputError(
                f"{images}: holds no folder; give a folder that holds one folder for each class."
            )
        sources = [
            Source(
                f"{name}/{stem}",
                partial(read_example, file, label=label, intensity_range=intensity_range),
                (file,),
            )
            for label, name in enumerate(self.classes)
            for stem, file in list_by_stem(folder / name, IMAGE_SUFFIXES, "image").items()
        ]
        parameters = {"images": folder, "classes": self.classes, "intensity_range": intensity_range}
        super().__init__(root, sources, parameters, **options)
