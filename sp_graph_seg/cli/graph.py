"""``sp-graph-seg graph``: the region adjacency graph of an image."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, File, Range, Switch, app
from sp_graph_seg.cli.flags import GraphFlags
from sp_graph_seg.cli.inputs import check_range, read_map
from sp_graph_seg.cli.outputs import check_outputs, check_suffix, report
from sp_graph_seg.io import atomic_write, check_writable, read_image


@app.command(sort_key=3, usage=f"Usage: {PROGRAM} graph IMAGE --output GRAPH.pt [OPTIONS]")
def graph(
    image: Annotated[Path, Parameter(name="IMAGE")],
    /,
    *,
    output: File,
    labels: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    intensity_range: Range = None,
    overwrite: Switch = False,
    flags: GraphFlags = GraphFlags(),  # noqa: B008, it is frozen
) -> None:
    """Make the region adjacency graph of an image.

    This writes a dictionary of tensors, GRAPH.pt, and a picture of the graph, GRAPH.png.
    ImageGraph.from_dict(torch.load("GRAPH.pt")) makes a PyTorch Geometric graph of the dictionary.
    As in training, colours are scaled so that the range of the image, without dead and hot pixels,
    becomes 0 to 1. Edge weights are those of Eq. 8.

    Args:
        image: Image to make the graph of.
        output: File for the graph, ending in .pt.
        labels: Label map to use instead of superpixels (PNG, TIFF or .npy), of the size of the
            image. Every connected region is a node, except negative ids and NaN in the image.
        intensity_range: Intensities that become 0 and 1, instead of the measured range.
        overwrite: Replace files that exist.
        flags: The configuration.
    """
    config = flags.resolve()
    check_range(intensity_range)
    check_suffix(output, ".pt")
    picture = output.with_suffix(".png")
    check_outputs([output, picture], [image, *([labels] if labels else [])], overwrite)
    array = read_image(image)
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
