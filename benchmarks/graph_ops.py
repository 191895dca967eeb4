"""Graphs and losses from 10^2 to 10^6 nodes: ``python benchmarks/graph_ops.py [--json FILE]``.

Each size runs in a process of its own, so that its peak memory is its own. Side by side in one run:
ours, scikit-image's RAG, PyG's ``dense_mincut_pool``, and the same losses by plain ``SimpleConv``
message passing. A reference that would need over ``--limit`` GiB, or a minute, is left out.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import peak_memory, print_table, write_json
from scipy.ndimage import zoom
from skimage.graph import rag_mean_color
from torch_geometric.nn import SimpleConv, dense_mincut_pool
from torch_geometric.utils import to_dense_adj

from sp_graph_seg import ToRAG, continuity_loss, ncut_loss, scatter_mean, similarity_loss
from sp_graph_seg.nn import sort_edges
from sp_graph_seg.transforms import affinity

SIZES = (10**2, 10**3, 10**4, 10**5, 10**6)
FEATURES = 32
PIXELS_PER_NODE = 16
SECONDS_PER_CASE = 2.0
LARGEST_SCIKIT_IMAGE = 10**5  # it takes about a minute there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--limit", type=float, default=8, help="GiB a reference may take")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of nodes")
    parser.add_argument("--only", type=int, help="measure this size in this process (internal)")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.limit)))
        return
    rows = [in_own_process(size, arguments.limit) for size in arguments.sizes]
    show(rows)
    rows.append(supervoxels())
    if arguments.json:
        write_json(arguments.json, rows)


def in_own_process(size: int, limit: float) -> dict:
    command = [sys.executable, __file__, "--only", str(size), "--limit", str(limit)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{size} nodes measured", file=sys.stderr)
    return json.loads(out)


def measure(size: int, limit: float) -> dict:
    """Seconds and bytes of every operation at one size; ``None`` for what was left out."""
    torch.manual_seed(0)
    image, labels = make_regions(size)
    transform = ToRAG(superpixels=labels)
    graph = transform(image)
    n = graph.num_nodes
    edges, weight = sort_edges(graph.edge_index, n, graph.edge_weight)
    affinities = affinity(graph.edge_attr[:, 0])
    x = torch.randn(n, FEATURES, requires_grad=True)
    z = torch.randn(FEATURES, graph.pixel_index.numel(), requires_grad=True)

    def three(ncut: Callable, continuity: Callable, edge_index: torch.Tensor) -> Callable:
        return lambda: backward(
            ncut(x.softmax(-1), edge_index, affinities)
            + similarity_loss(x)
            + continuity(x, edge_index, weight)
        )

    cases: dict[str, Callable | None] = {
        "build": lambda: transform(image),
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
        "dense_mincut_pool": (
            (lambda: backward(dense_ncut(x, graph.edge_index, affinities)))
            if 4 * 4 * n**2 < limit * 2**30
            else None
        ),
    }
    result: dict = {"nodes": n, "edges": graph.num_edges, "pixels": int(labels.size)}
    for name, call in cases.items():
        result[name] = None if call is None else time_and_memory(call)
    return result


def time_and_memory(call: Callable) -> dict:
    """The least of the seconds that fit into a short while, and the peak of one call."""
    start = time.perf_counter()
    call()  # first, so that nothing that is loaded or cached once counts as its memory
    seconds = [time.perf_counter() - start]
    memory = peak_memory(call)
    while sum(seconds) < SECONDS_PER_CASE and len(seconds) < 20:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "worst": max(seconds), "bytes": memory}


def make_regions(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random RGB image and about ``size`` blocks, whose borders are jittered."""
    random = np.random.default_rng(0)
    side = math.isqrt(size)
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
    names = [name for name in rows[0] if name not in ("nodes", "edges", "pixels")]
    head = ["operation", *(f"N = {row['nodes']}" for row in rows), "exponent from 10^4"]
    for title, key, unit in (
        ("Time (least, s)", "seconds", 1.0),
        ("Peak memory (MiB)", "bytes", 2.0**20),
    ):
        table = [
            [name, *(cell(row[name], key, unit) for row in rows), exponent(rows, name, key)]
            for name in names
        ]
        print_table(title, head, table)
    at = {row["nodes"]: row for row in rows}.get(10**4)
    if at:
        build = at["scikit-image RAG"]["seconds"] / at["build"]["seconds"]
        memory = at["dense_mincut_pool"]["bytes"] / max(at["three losses"]["bytes"], 1)
        print(f"\n10^4 nodes: graph building {build:.0f}x faster than scikit-image's RAG,")
        print(f"three losses in 1/{memory:.0f} of the memory of dense_mincut_pool")


def cell(value: dict | None, key: str, unit: float) -> str:
    return "-" if value is None else f"{value[key] / unit:.3g}"


def exponent(rows: list[dict], name: str, key: str) -> str:
    points = [
        (math.log(row["nodes"]), math.log(row[name][key]))
        for row in rows
        if row["nodes"] >= 10**4 and row[name] is not None and row[name][key] > 0
    ]
    if len(points) < 2:
        return "-"
    slope, _ = np.polyfit(*zip(*points, strict=True), deg=1)
    return f"{slope:.2f}"


if __name__ == "__main__":
    main()
