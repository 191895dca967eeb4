"""The command ``sp-graph-seg regions``, which finds regions of photographs without training."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Masks, Switch, app
from sp_graph_seg.cli.inputs import read_mask
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs, join_names
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, decode_image, write_image, write_labels
from sp_graph_seg.io.fingerprint import fingerprint

if TYPE_CHECKING:
    from sp_graph_seg.regions import RegionTree

#: What a folder holds for each image.
ENDINGS = ("_regions.png", "_overlay.png", "_contours.png", "_tree.npz")

#: The value of pixels that are no data.
_NO_DATA = 65535


@app.command(sort_key=3, usage=f"Usage: {PROGRAM} regions IMAGE... --output FOLDER [OPTIONS]")
def regions(
    images: Images,
    /,
    *,
    output: Folder,
    regions: int | None = None,
    threshold: float | None = None,
    max_size: int = 500,
    mask: Masks = None,
    overwrite: Switch = False,
) -> None:
    """Find the regions of photographs, without any training.

    For each image NAME, the command writes four files. NAME_regions.png has one channel of 16 bits,
    whose value is the number of the region. NAME_overlay.png shows the regions over the image.
    NAME_contours.png is dark where people would draw a boundary. NAME_tree.npz makes the next run
    on the image much faster, even for another number of regions. Region numbers of different images
    are unrelated. For labels that mean the same in all images, use the command segment.

    Args:
        images: Photographs. Images that are grey or have another number of channels work too.
        output: Folder for the results. It is made if it is missing.
        regions: Number of regions. By default, it depends on how probable the boundaries are, and
            is mostly 10 to 26.
        threshold: Keep the boundaries whose probability is above this number, from 0 to 1. Use this
            instead of --regions.
        max_size: Longest side, in pixels, of the image in which regions are found. A larger image
            is scaled down first. 0 means that no image is scaled.
        mask: A mask of the same size for each image. Pixels where the mask is 0 have no data and
            get the value 65535.
        overwrite: Replace files that exist.
    """
    _check_wishes(regions, threshold, max_size)
    if mask and len(mask) != len(images):
        raise InputError(
            f"--mask: got {len(mask)} masks for {len(images)} images; give a mask for each image."
        )
    outputs = [output / f"{image.stem}{end}" for end in ENDINGS for image in images]
    check_outputs(outputs, [*images, *(mask or [])], overwrite)
    check_writable(output)
    for number, path in enumerate(images):
        array, tree = _make_tree(path, output, mask[number] if mask else None, max_size)
        labels = tree.cut(num_regions=regions, threshold=threshold)
        _write(path, output, array, labels, tree)
    for number, what in enumerate(("regions", "overlay", "contours", "tree")):
        files = outputs[number * len(images) : (number + 1) * len(images)]
        report(what, join_names(map(str, files)))


def _check_wishes(regions: int | None, threshold: float | None, max_size: int) -> None:
    if regions is not None and threshold is not None:
        raise InputError("--threshold: cannot be used with --regions; leave out one of the two.")
    if regions is not None and not 1 <= regions < _NO_DATA:
        raise InputError(f"--regions {regions}: is out of range; use 1 to {_NO_DATA - 1}.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold:g}: is not a probability; use 0 to 1.")
    if max_size < 0:
        raise InputError(f"--max-size {max_size}: is negative; use 0 or more.")


def _make_tree(
    path: Path, output: Path, mask: Path | None, max_size: int
) -> tuple[np.ndarray, "RegionTree"]:
    """Reads an image. Reads its region tree from the output folder, or builds the tree."""
    from sp_graph_seg.regions import RegionTree, build_region_tree
    from sp_graph_seg.transforms.arrays import as_native
    from sp_graph_seg.transforms.prepare import (
        find_data,
        measure_intensity_range,
        scale_intensities,
    )

    stored = decode_image(path)
    array = as_native(stored, str(path))
    inside = find_data(array, None if mask is None else read_mask(mask, path, array), None)
    if inside is not None and not inside.any():
        raise InputError(f"{path}: has no data pixels; leave this image out.")
    file = output / f"{path.stem}{ENDINGS[-1]}"
    made_of = fingerprint(image=stored, inside=inside, max_size=max_size, version=__version__)
    try:
        return array, RegionTree.load(file, made_of)
    except InputError:
        pass  # there is none, or that of another image
    is_photo = stored.dtype == np.uint8  # whose values are what a camera made of light
    low, high = (0.0, 255.0) if is_photo else measure_intensity_range([array], [inside])
    values = scale_intensities(array, inside, low, high).values
    tree = build_region_tree(values, inside, max_size)
    tree.save(file, made_of)
    return array, tree


def _write(
    path: Path, output: Path, array: np.ndarray, labels: np.ndarray, tree: "RegionTree"
) -> None:
    from sp_graph_seg.plot import overlay_labels

    regions, overlay, contours, _ = (output / f"{path.stem}{end}" for end in ENDINGS)
    write_labels(regions, np.where(labels < 0, _NO_DATA, labels), bits=16)
    write_image(overlay, overlay_labels(array, labels).transpose(2, 0, 1))
    write_image(contours, 1 - tree.contours()[None])
