"""ClassFolderRAG: a folder of images for each class."""

import os
from functools import partial

from sp_graph_seg.datasets.base import Filter, GraphDataset, Source, ToGraph, Transform
from sp_graph_seg.datasets.image_folder import IMAGE_SUFFIXES, list_by_stem, read_example, resolve
from sp_graph_seg.errors import InputError


class ClassFolderRAG(GraphDataset):
    r"""The region adjacency graphs of images in one folder for each class, for the
    classification of graphs: ``images/CLASS/image.png``, as in torchvision's ``ImageFolder``.

    ``y (1,)`` is the position of the class in ``dataset.classes``, the sorted names of the folders;
    ``name`` is ``CLASS/image``.

    Args:
        root: Folder for the graphs, which are stored in ``root/processed``.
        images: Folder of the class folders. Hidden folders and other files in it are ignored.
        to_graph: Makes a graph of an image ``(C, H, W)``. (default: :obj:`ToRAG()`)
        intensity_range: The values that become 0 and 1 in all images. By default unsigned integers
            are divided by the largest value of their type, and other values are kept.
            (default: :obj:`None`)
        transform: Called with a graph before every access. (default: :obj:`None`)
        pre_transform: Called with a graph before it is saved. (default: :obj:`None`)
        pre_filter: Called with a graph before ``pre_transform``; if it returns false, the graph is
            left out. (default: :obj:`None`)
        log: Show a progress bar in a terminal. (default: :obj:`True`)
        force_reload: Make all graphs again. (default: :obj:`False`)
        num_workers: Processes that make graphs; by default one for every 32 images, but no more
            than there are cores.

    Raises:
        InputError: If a class folder is missing, a class has no image, or a file cannot be read;
            finished graphs are kept.

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
        to_graph: ToGraph | None = None,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        pre_filter: Filter | None = None,
        log: bool = True,
        force_reload: bool = False,
        num_workers: int | None = None,
        intensity_range: tuple[float, float] | None = None,
    ) -> None:
        folder = resolve(images)
        found = folder.iterdir() if folder.is_dir() else ()
        self.classes = sorted(f.name for f in found if f.is_dir() and not f.name.startswith("."))
        if not self.classes:
            raise InputError(f"{images}: holds no folder; give a folder with one for each class.")
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
        super().__init__(
            root,
            sources,
            to_graph,
            transform,
            pre_transform,
            pre_filter,
            log,
            force_reload,
            num_workers,
            parameters,
        )
