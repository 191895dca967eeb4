"""Graphs and losses from 10^2 to 10^6 nodes: ``python benchmarks/graph_ops.py [--json FILE]``.

Each size runs in a process of its own, so that its peak memory is its own. Side by side in one run:
ours, scikit-image's RAG, PyG's ``dense_mincut_pool`` and our sparse ``MinCutPooling``, and the same
losses by plain ``SimpleConv`` message passing. A reference that would need over ``--limit`` GiB, or
a minute, is left out. If torch-geometric-pool is installed (``pip install torch-geometric-pool``,
which compiles torch-scatter), its sparse cut is there too.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from report import peak_memory, print_table, ratios, time_together, write_json
from scipy.ndimage import zoom
from skimage.graph import rag_mean_color
from torch_geometric.nn import SimpleConv, dense_mincut_pool
from torch_geometric.utils import to_dense_adj

from sp_graph_seg import ToRAG, continuity_loss, ncut_loss, scatter_mean, similarity_loss
from sp_graph_seg.nn import MinCutPooling, sort_edges
from sp_graph_seg.transforms import affinity

SIZES = (10**2, 10**3, 10**4, 10**5, 10**6)
FEATURES = 32
CLUSTERS = 10
PIXELS_PER_NODE = 16
SECONDS_PER_CASE = 2.0
EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc gives every larger block back at once
LARGEST_SCIKIT_IMAGE = 10**5  # it takes about a minute there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--limit", type=float, default=8, help="GiB a reference may take")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of nodes")
    parser.add_argument("--only", type=int, help="measure this size in this process (internal)")
    parser.add_argument("--memory", action="store_true", help="with --only: bytes, not seconds")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.limit, arguments.memory)))
        return
    rows = [in_own_process(size, arguments.limit) for size in arguments.sizes]
    show(rows)
    beside_scikit_image()
    for size in (size for size in arguments.sizes if size >= 10**4):
        beside_scatter(size)
    rows.append(supervoxels())
    if arguments.json:
        write_json(arguments.json, rows)


def in_own_process(size: int, limit: float) -> dict:
    """Seconds and bytes of every operation, measured in two processes."""
    command = [sys.executable, __file__, "--only", str(size), "--limit", str(limit)]
    seconds, memory = (
        json.loads(
            subprocess.run(
                [*command, *flags], check=True, stdout=subprocess.PIPE, text=True, env=environment
            ).stdout
        )
        for flags, environment in (([], None), (["--memory"], {**os.environ, **EXACT_MEMORY}))
    )
    print(f"{size} nodes measured", file=sys.stderr)
    return {"sizes": seconds["sizes"], "seconds": seconds["cases"], "bytes": memory["cases"]}


def measure(size: int, limit: float, memory: bool) -> dict:
    """Seconds or bytes of every operation at one size; ``None`` for what was left out."""
    torch.manual_seed(0)
    image, labels = make_regions(size)
    transform = ToRAG(superpixels=labels)
    with_softmax = ToRAG(superpixels=labels, edge_weight="softmax")
    graph = with_softmax(image)
    n = graph.num_nodes
    edges, weight = sort_edges(graph.edge_index, n, graph.edge_weight)
    affinities = affinity(graph.edge_attr[:, 0])
    x = torch.randn(n, FEATURES, requires_grad=True)
    z = torch.randn(FEATURES, graph.pixel_index.numel(), requires_grad=True)

    layer = MinCutPooling(FEATURES, CLUSTERS)

    def three(ncut: Callable, continuity: Callable, edge_index: torch.Tensor) -> Callable:
        return lambda: backward(
            ncut(x.softmax(-1), edge_index, affinities)
            + similarity_loss(x)
            + continuity(x, edge_index, weight)
        )

    cases: dict[str, Callable | None] = {
        "build": lambda: transform(image),
        "build, softmax weights": lambda: with_softmax(image),
        "reduce": lambda: backward(scatter_mean(z, graph.pixel_index, n).sum()),
        "ncut": lambda: backward(ncut_loss(x.softmax(-1), edges, affinities)),
        "similarity": lambda: backward(similarity_loss(x)),
        "continuity": lambda: backward(continuity_loss(x, edges, weight)),
        "three losses": three(ncut_loss, continuity_loss, edges),
        "three losses, edge_index unprepared": three(ncut_loss, continuity_loss, graph.edge_index),
        "three losses by SimpleConv": three(simple_ncut, simple_continuity, graph.edge_index),
        "scikit-image RAG": (
            (lambda: rag_mean_color(image.transpose(1, 2, 0), labels))
            if size <= LARGEST_SCIKIT_IMAGE
            else None
        ),
        "MinCutPooling": lambda: backward(pooled(layer, x, edges, affinities)),
        "torch-geometric-pool": (
            (lambda: backward(other_mincut(layer, x, graph.edge_index, affinities)))
            if find_spec("tgp")
            else None
        ),
        "dense_mincut_pool": (
            (lambda: backward(dense_ncut(x, graph.edge_index, affinities)))
            if 4 * 4 * n**2 < limit * 2**30
            else None
        ),
    }
    take = bytes_of if memory else seconds_of
    return {
        "sizes": {"nodes": n, "edges": graph.num_edges, "pixels": int(labels.size)},
        "cases": {name: None if call is None else take(call) for name, call in cases.items()},
    }


def seconds_of(call: Callable) -> float:
    """The least of the times that fit into a short while, after a first call."""
    call()
    (seconds,) = time_together(call, repeats=1, warmup=0)
    repeats = max(2, min(20, int(SECONDS_PER_CASE / seconds[0])))
    return min(time_together(call, repeats=repeats, warmup=0)[0])


def bytes_of(call: Callable) -> int:
    """The growth of the process in a second call; what is cached once is no memory of the call."""
    call()
    return peak_memory(call)


def make_regions(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random RGB image and about ``size`` blocks, whose borders are jittered."""
    random = np.random.default_rng(0)
    side = math.isqrt(int(0.8 * size))  # the jitter cuts some blocks in two
    block = math.isqrt(PIXELS_PER_NODE)
    length = side * block
    ticks = np.arange(length)
    shift = random.integers(0, 2, size=(2, length))
    row = np.minimum((ticks[:, None] + shift[0][None, :]) // block, side - 1)
    column = np.minimum((ticks[None, :] + shift[1][:, None]) // block, side - 1)
    coarse = random.random((3, 8, 8), dtype=np.float32)
    image = zoom(coarse, (1, length / 8, length / 8), order=1)[:, :length, :length]
    return image, row * side + column


def backward(loss: torch.Tensor) -> None:
    loss.backward()


def simple_ncut(f, edge_index, weight):
    propagate = SimpleConv()
    degree = propagate(torch.ones_like(f[:, :1]), edge_index, weight)
    return 1 - ((f * propagate(f, edge_index, weight)).sum(0) / (f * degree).sum(0)).mean()


def simple_continuity(x, edge_index, weight):
    return (SimpleConv()(x, edge_index, weight) - x).abs().mean()


def pooled(layer, x, edges, weight):
    result = layer(x, edges, weight)
    return result.x.sum() + result.losses["cut"] + result.losses["orthogonality"]


def other_mincut(layer, x, edge_index, weight):
    """The losses of torch-geometric-pool, without its pooling."""
    from tgp.utils.losses import sparse_mincut_loss, unbatched_orthogonality_loss

    s = layer.mlp(x).softmax(dim=-1)
    return sparse_mincut_loss(edge_index, s, weight) + unbatched_orthogonality_loss(s)


def dense_ncut(x, edge_index, weight):
    adjacency = to_dense_adj(edge_index, edge_attr=weight, max_num_nodes=len(x))
    _, _, cut, orthogonality = dense_mincut_pool(x, adjacency, x)
    return cut + orthogonality


def supervoxels() -> dict:
    """A 256^3 volume of about 10^5 blocks; superpixels excluded."""
    random = np.random.default_rng(0)
    ticks = np.minimum((np.arange(256) / (256 / 46)).astype(int), 45)
    labels = (ticks[:, None, None] * 46 + ticks[None, :, None]) * 46 + ticks[None, None, :]
    volume = random.random((1, 256, 256, 256), dtype=np.float32)
    start = time.perf_counter()
    graph = ToRAG(superpixels=labels)(volume)
    seconds = time.perf_counter() - start
    print(f"\n256^3 volume, {graph.num_nodes} supervoxels -> Data: {seconds:.1f} s (target: 15 s)")
    return {"volume": "256^3", "nodes": graph.num_nodes, "seconds": seconds}


def show(rows: list[dict]) -> None:
    head = ["operation", *(f"N = {row['sizes']['nodes']}" for row in rows), "exponent from 10^4"]
    for title, key, unit in (
        ("Time (least, s)", "seconds", 1.0),
        ("Peak memory (MiB)", "bytes", 2.0**20),
    ):
        table = [
            [name, *(cell(row[key][name], unit) for row in rows), exponent(rows, key, name)]
            for name in rows[0][key]
        ]
        print_table(title, head, table)
    for row in rows:
        if round(row["sizes"]["nodes"], -4) == 10**4 and row["bytes"]["dense_mincut_pool"]:
            compare(row["bytes"])


def compare(memory: dict) -> None:
    dense = memory["dense_mincut_pool"]
    print(f"\nAbout 10^4 nodes: dense_mincut_pool takes {dense / memory['ncut']:.0f}x the memory")
    print(f"of ncut_loss and {dense / memory['three losses']:.0f}x that of all three losses.")


def beside_scikit_image() -> None:
    """The graph of about 10^4 nodes, ours and scikit-image's in turn, in CPU time."""
    image, labels = make_regions(10**4)
    calls = (
        lambda: rag_mean_color(image.transpose(1, 2, 0), labels),
        lambda: ToRAG(superpixels=labels)(image),
        lambda: ToRAG(superpixels=labels, edge_weight="softmax")(image),
    )
    theirs, ours, softmax = time_together(*calls, repeats=15, clock=time.process_time)
    print(f"\nscikit-image takes {ratios(theirs, ours):.0f} times the CPU time of ToRAG,")
    print(f"{ratios(theirs, softmax):.0f} times with softmax weights.")


def beside_scatter(size: int) -> None:
    """The three losses by sparse products, and by adding up edges as on other devices, in turn."""
    image, labels = make_regions(size)
    graph = ToRAG(superpixels=labels, edge_weight="softmax")(image)
    n = graph.num_nodes
    edges, weight = sort_edges(graph.edge_index, n, graph.edge_weight)
    affinities = affinity(graph.edge_attr[:, 0])
    x = torch.randn(n, FEATURES, requires_grad=True)
    propagate = sys.modules["sp_graph_seg.nn.propagate"]
    devices = propagate._WITH_SPARSE_ROWS

    def losses(with_products: Sequence[str]) -> None:
        propagate._WITH_SPARSE_ROWS = with_products
        ncut = ncut_loss(x.softmax(-1), edges, affinities)
        backward(ncut + similarity_loss(x) + continuity_loss(x, edges, weight))

    products, sums = time_together(
        lambda: losses(devices), lambda: losses(()), repeats=9, clock=time.process_time
    )
    propagate._WITH_SPARSE_ROWS = devices
    print(f"\n{n} nodes: adding up edges takes {ratios(sums, products):.2f} times the CPU time")
    print("of sparse products, for all three losses and their gradients.")


def cell(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:.3g}"


def exponent(rows: list[dict], key: str, name: str) -> str:
    """The slope of log cost over log nodes, from about 10^4 nodes on."""
    points = [
        (math.log(row["sizes"]["nodes"]), math.log(row[key][name]))
        for row in rows
        if row["sizes"]["nodes"] > 5000 and row[key][name]
    ]
    if len(points) < 2:
        return "-"
    slope, _ = np.polyfit(*zip(*points, strict=True), deg=1)
    return f"{slope:.2f}"


if __name__ == "__main__":
    main()
