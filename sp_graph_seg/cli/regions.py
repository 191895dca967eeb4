"""``sp-graph-seg regions``: the regions of photographs, coarse or fine, without any training."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Masks, Switch, app
from sp_graph_seg.cli.inputs import read_mask
from sp_graph_seg.cli.outputs import check_outputs, join_names, report
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
    """Find the regions of photographs, without any training on them.

    For each image NAME this writes NAME_regions.png, one channel of 16 bits whose value is the
    number of the region; NAME_overlay.png to look at; NAME_contours.png, dark where people would
    draw a boundary; and NAME_tree.npz, which makes the next run on the image much faster, even for
    another number of regions. The numbers of regions are unrelated between images; for
    labels that mean the same in all images, use segment.

    Args:
        images: Photographs; grey images and other numbers of channels work too.
        output: Folder for the results, made if it is missing.
        regions: Number of regions; by default chosen by how probable the boundaries are, mostly 10
            to 20.
        threshold: Instead of --regions: the probability, 0 to 1, above which a boundary is kept.
        max_size: Longest side in pixels at which regions are found; a larger image is scaled down
            first. 0 never scales.
        mask: A mask of the same size for each image, 0 where there is no data; those pixels get the
            value 65535.
        overwrite: Replace files that exist.
    """
    _check_wishes(regions, threshold, max_size)
    if mask and len(mask) != len(images):
        raise InputError(f"--mask: got {len(mask)} for {len(images)} images; give one for each.")
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
        raise InputError("--threshold: cannot be used with --regions; leave one of them out.")
    if regions is not None and not 1 <= regions < _NO_DATA:
        raise InputError(f"--regions {regions}: is out of range; use 1 to {_NO_DATA - 1}.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold:g}: is not a probability; use 0 to 1.")
    if max_size < 0:
        raise InputError(f"--max-size {max_size}: is negative; use 0 or more.")


def _make_tree(
    path: Path, output: Path, mask: Path | None, max_size: int
) -> tuple[np.ndarray, "RegionTree"]:
    """Reads an image, and reads its tree of regions from the output folder or builds it."""
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
        raise InputError(f"{path}: has no data pixels; leave it out.")
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
