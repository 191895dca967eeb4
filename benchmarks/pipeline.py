"""How fast the path from one image to labels is: ``python benchmarks/pipeline.py [--json FILE]``.

Every time is the median of several with the least and the greatest; every ratio is taken pair by
pair in this one run. The graph is compared with scikit-image's, which the authors of the paper
build on; a training step with the forward and backward passes of its convolutions alone.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from report import Spread, print_table, ratios, time_together, write_json
from skimage import data as images
from skimage.graph import rag_mean_color

from sp_graph_seg import Config, WNet, continuity_loss, ncut_loss, scatter_mean, similarity_loss
from sp_graph_seg.nn import SuperpixelNet, sort_edges
from sp_graph_seg.training import PatchSampler, TrainingImage, cut_patches, fit
from sp_graph_seg.transforms import ToRAG, affinity, compute_superpixels
from sp_graph_seg.transforms.prepare import scale_down

MILLI = 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    image = images.astronaut()[:321, :481].transpose(2, 0, 1).astype("float32") / 255
    rows = [
        graph_building(image),
        *sparse_losses(image),
        training_step(image),
        help_screen(),
        demo(),
    ]
    columns = ("measure", "median (least to greatest)", "ratio", "target", "holds")
    print_table(
        "From one image to labels", columns, [[str(cell) for cell in row.values()] for row in rows]
    )
    if arguments.json:
        write_json(arguments.json, rows)


def graph_building(image) -> dict[str, str]:
    superpixels = compute_superpixels(image, 4000)
    transform = ToRAG(superpixels=superpixels)
    pixels = image.transpose(1, 2, 0)
    ours, theirs = time_together(
        lambda: transform(image), lambda: rag_mean_color(pixels, superpixels), repeats=7
    )
    median = Spread.of(ours).median
    return row(
        f"321x481 image, {superpixels.max() + 1} superpixels -> Data",
        f"{Spread.of([t * MILLI for t in ours]):.1f} ms",
        f"scikit-image's RAG takes {ratios(theirs, ours).median:.0f}x",
        "under 50 ms",
        median < 0.05,
    )


def sparse_losses(image) -> list[dict[str, str]]:
    small, large = (losses_call(image, n) for n in (4000, 12000))
    seconds = time_together(small, large, repeats=15)
    growth = ratios(seconds[1], seconds[0])
    return [
        row(
            "reduce + 3 losses, forward + backward, F = 32, 4000 superpixels",
            f"{Spread.of([t * MILLI for t in seconds[0]]):.1f} ms",
            "",
            "under 100 ms",
            Spread.of(seconds[0]).median < 0.1,
        ),
        row(
            "the same, 12000 superpixels",
            f"{Spread.of([t * MILLI for t in seconds[1]]):.1f} ms",
            f"{growth:.2f} of 4000 superpixels",
            "at most 2",
            growth.median <= 2,
        ),
    ]


def losses_call(image, n_segments: int):
    graph = ToRAG(n_segments, edge_weight="softmax")(image)
    edges, weight = sort_edges(graph.edge_index, graph.num_nodes, graph.edge_weight)
    affinities = affinity(graph.edge_attr[:, 0])
    z = torch.randn(32, image[0].size, requires_grad=True)

    def call() -> None:
        z.grad = None
        x = scatter_mean(z, graph.pixel_index, graph.num_nodes)
        loss = ncut_loss(x.softmax(-1), edges, affinities)
        loss = loss + similarity_loss(x) + continuity_loss(x, edges, weight)
        loss.backward()

    return call


def training_step(image) -> dict[str, str]:
    """Between every two training steps, the same convolutions are timed alone."""
    config = Config(beta_cut=1.0, accelerator="cpu")
    small = scale_down(image, config.max_size)
    wnet = WNet(3, config.num_features, config.width, config.depth)
    generator = torch.Generator().manual_seed(0)
    sampler = PatchSampler(small.shape[1:], config.patches, config.minibatches, generator)
    batches = [cut_patches(small, positions) for positions in next(sampler.epoch())]

    def convolutions() -> None:
        wnet.encode(small.unsqueeze(0)).mean().backward()
        for batch in batches:
            F.mse_loss(wnet(batch)[1], batch).backward()

    steps, alone = [], []
    clock = time.perf_counter()

    def on_step(_) -> None:
        nonlocal clock
        steps.append(time.perf_counter() - clock)
        start = time.perf_counter()
        convolutions()
        alone.append(time.perf_counter() - start)
        clock = time.perf_counter()

    net = SuperpixelNet(WNet(3, config.num_features, config.width, config.depth))
    fit(net, [TrainingImage(small, ToRAG(config.n_segments)(small))], config, on_step)
    ratio = ratios(steps[2:], alone[2:])
    return row(
        "a training step of the fast preset with all four losses",
        f"{Spread.of([t * MILLI for t in steps[2:]]):.0f} ms",
        f"{ratio:.2f} of its convolutions",
        "at most 1.2",
        ratio.median <= 1.2,
    )


def help_screen() -> dict[str, str]:
    command = [Path(sys.executable).parent / "sp-graph-seg", "--help"]
    (seconds,) = time_together(
        lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), repeats=5
    )
    return row(
        "sp-graph-seg --help",
        f"{Spread.of(seconds):.2f} s",
        "",
        "under 1 s",
        Spread.of(seconds).median < 1,
    )


def demo() -> dict[str, str]:
    """What ``make demo`` does, in a process of its own."""
    photo = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets/images/flower.jpg"
    with tempfile.TemporaryDirectory() as folder:
        command = [Path(sys.executable).parent / "sp-graph-seg", "segment", photo, "-o", folder]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
    gibibytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return row(
        "make demo, 427x640 photograph",
        f"{seconds:.0f} s, {gibibytes:.2f} GiB",
        "",
        "under 60 s and 2 GiB",
        seconds < 60 and gibibytes < 2,
    )


def row(measure: str, value: str, ratio: str, target: str, holds: bool) -> dict[str, str]:
    return {
        "measure": measure,
        "value": value,
        "ratio": ratio,
        "target": target,
        "holds": "yes" if holds else "no",
    }


if __name__ == "__main__":
    main()
