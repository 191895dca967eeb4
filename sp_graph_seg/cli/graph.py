"""The command ``sp-graph-seg graph``, which makes the region adjacency graph of an image."""

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, File, Range, Switch, app
from sp_graph_seg.cli.flags import GraphFlags
from sp_graph_seg.cli.inputs import check_range, read_map
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs, check_suffix
from sp_graph_seg.cli.volume_flags import looks_like_volume
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import atomic_write, check_writable, read_image


@app.command(sort_key=3, usage=f"Usage: {PROGRAM} graph IMAGE --output GRAPH.pt [OPTIONS]")
def graph(
    image: Annotated[Path, Parameter(name="IMAGE")],
    /,
    *,
    output: File,
    slice_number: Annotated[int | None, Parameter(name="--slice")] = None,
    labels: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    intensity_range: Range = None,
    overwrite: Switch = False,
    flags: GraphFlags = GraphFlags(),  # noqa: B008, it is frozen
) -> None:
    """Make the region adjacency graph of an image, or of a slice of a volume.

    The command writes GRAPH.pt, a dictionary of tensors, and GRAPH.png, a picture of the graph. In
    Python, ImageGraph.from_dict(torch.load("GRAPH.pt")) makes a PyTorch Geometric graph from the
    dictionary. As in training, colours are scaled so that the intensity range of the image becomes
    0 to 1. Dead and hot pixels do not count for this range. Edge weights follow Eq. 8 of the paper.

    Args:
        image: Image or volume from which the graph is made.
        output: File for the graph, ending in .pt.
        slice_number: Number of the slice of a volume, counted from 0. By default, the middle slice.
        labels: Label map (PNG, TIFF or .npy) to use instead of superpixels. It must have the size
            of the image. Every component becomes a node. Pixels with a negative label, or with NaN
            in the image, belong to no node.
        intensity_range: The two intensities that become 0 and 1. By default, the measured range.
        overwrite: Replace files that exist.
        flags: The configuration.
    """
    config = flags.resolve()
    check_range(intensity_range)
    check_suffix(output, ".pt")
    picture = output.with_suffix(".png")
    check_outputs([output, picture], [image, *([labels] if labels else [])], overwrite)
    array = _read(image, slice_number)
    superpixels = None if labels is None else read_map(labels, image, array)
    check_writable(output.parent)
    import torch

    from sp_graph_seg import ToRAG
    from sp_graph_seg.plot import draw_graph, save_figure
    from sp_graph_seg.transforms.prepare import (
        find_data,
        measure_intensity_range,
        scale_intensities,
    )

    inside = find_data(array, None, superpixels)
    to_rag = ToRAG(
        tau=config.tau_con,
        superpixels=superpixels,
        mask=inside,
        edge_weight="softmax",
        **config.superpixel_options(),
    )
    low, high = intensity_range or measure_intensity_range([array], [inside])
    data = to_rag(scale_intensities(array, inside, low, high).values)
    with atomic_write(output) as temporary:
        torch.save(data.to_dict(), temporary)
    save_figure(picture, draw_graph(array, data))
    report("graph", f"{data.num_nodes} nodes and {data.num_edges} directed edges in {output}")
    report("picture", str(picture))


def _read(path: Path, number: int | None) -> np.ndarray:
    """Reads an image, or a slice of a volume."""
    if number is None and not looks_like_volume(path):
        return read_image(path)
    from sp_graph_seg.streaming import read_slice
    from sp_graph_seg.volumes import open_volume

    volume = open_volume(path)
    chosen = len(volume) // 2 if number is None else number
    if not 0 <= chosen < len(volume):
        raise InputError(
            f"--slice {chosen}: does not exist; give a number from 0 to {len(volume) - 1}."
        )
    if number is None:
        report("chosen", f"{volume.named(chosen)} of {len(volume)}, as --slice {chosen} does")
    return read_slice(volume, chosen)
