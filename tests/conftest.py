"""Fixtures for all tests: random graphs, random label maps, and the plain formulas to compare with.

The oracles are loops and N x N matrices on purpose: nothing in them is shared with the package.
"""

import itertools
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import torch
from torch import Tensor

hypothesis.settings.register_profile("tests", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")
torch.set_num_threads(1)  # the tensors are small: two threads would only wait for one another


class Graph(NamedTuple):
    """Random node features and weighted edges in random order."""

    x: Tensor
    edge_index: Tensor
    edge_weight: Tensor

    @property
    def num_nodes(self):
        return self.x.size(0)


class Regions(NamedTuple):
    """What a loop over all pixels finds in a label map."""

    nodes: dict  # id -> list of pixels
    pairs: dict  # (id, id), both directions -> list of (pixel, pixel, is_face)


def _random_graph(
    num_nodes,
    num_features=3,
    *,
    seed=0,
    density=0.3,
    dtype=torch.float64,
    isolated=0,
    self_loops=0,
    duplicates=0,
):
    """A graph with every edge in both directions, each with its own weight in [0, 1)."""
    rng = np.random.default_rng(seed)
    linked = num_nodes - isolated
    one, other = np.nonzero(np.triu(rng.random((linked, linked)) < density, k=1))
    if duplicates and one.size:
        again = rng.integers(0, one.size, duplicates)
        one, other = np.append(one, one[again]), np.append(other, other[again])
    loops = rng.integers(0, max(linked, 1), self_loops)
    edges = np.array([[*one, *other, *loops], [*other, *one, *loops]], dtype=np.int64)
    edges = edges[:, rng.permutation(edges.shape[1])]
    # Which nodes are isolated should not depend on their number.
    edges = rng.permutation(num_nodes)[edges]
    return Graph(
        torch.tensor(rng.normal(size=(num_nodes, num_features)), dtype=dtype),
        torch.from_numpy(edges),
        torch.tensor(rng.random(edges.shape[1]), dtype=dtype),
    )


def _adjacency(edge_index, edge_weight, num_nodes):
    """A[I, J] adds up the weights of the edges from J to I."""
    matrix = edge_weight.new_zeros(num_nodes, num_nodes)
    return matrix.index_put((edge_index[1], edge_index[0]), edge_weight, accumulate=True)


def _find_regions(labels, connectivity):
    labels = np.asarray(labels)
    nodes, pairs = {}, {}
    offsets = [
        offset
        for offset in itertools.product((-1, 0, 1), repeat=labels.ndim)
        if 1 <= sum(map(abs, offset)) <= connectivity
    ]
    for pixel in itertools.product(*map(range, labels.shape)):
        here = int(labels[pixel])
        if here < 0:
            continue
        nodes.setdefault(here, []).append(pixel)
        for offset in offsets:
            neighbor = tuple(p + o for p, o in zip(pixel, offset, strict=True))
            if not all(0 <= p < n for p, n in zip(neighbor, labels.shape, strict=True)):
                continue
            there = int(labels[neighbor])
            if there >= 0 and there != here:
                is_face = sum(map(abs, offset)) == 1
                pairs.setdefault((here, there), []).append((pixel, neighbor, is_face))
    return Regions(nodes, pairs)


def _label_map(shape, num_labels=6, seed=0):
    """A label map of blobs, some of them in several pieces."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    centers = rng.uniform(0, shape, (2 * num_labels, len(shape)))
    distance = np.linalg.norm(grid[..., None, :] - centers, axis=-1)
    return distance.argmin(axis=-1) % num_labels


def _edge_set(edge_index):
    return set(map(tuple, edge_index.t().tolist()))


@pytest.fixture(scope="session")
def random_graph():
    return _random_graph


@pytest.fixture(scope="session")
def adjacency():
    return _adjacency


@pytest.fixture(scope="session")
def find_regions():
    return _find_regions


@pytest.fixture(scope="session")
def label_map():
    return _label_map


@pytest.fixture(scope="session")
def edge_set():
    return _edge_set
