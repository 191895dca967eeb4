"""The transfer cut against the dense problem on all nodes."""

from importlib import import_module

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackNoConvergence

from sp_graph_seg.regions import transfer_cut, transfer_cut_regions
from sp_graph_seg.regions.transfer_cut import bipartite_affinity, spectral_embedding
from sp_graph_seg.transforms import ToMultiscale


def dense_cut(affinity, weight):
    """Of all nodes, each row repeated as often as it weighs."""
    rows = np.repeat(affinity.toarray(), weight.astype(int), axis=0)
    x, y = rows.shape
    graph = np.block([[np.zeros((x, x)), rows], [rows.T, np.zeros((y, y))]])
    degree = np.diag(graph.sum(axis=1))
    values, vectors = eigh(degree - graph, degree)
    return values, vectors[:x]


def check(affinity, weight, count):
    values, vectors = transfer_cut(affinity, weight, count)
    expected, dense = dense_cut(affinity, weight)
    np.testing.assert_allclose(values, expected[:count], atol=1e-9)
    for value, vector in zip(values, vectors.T, strict=True):  # some values occur twice
        space = dense[:, np.abs(expected - value) < 1e-7]
        found = np.repeat(vector, weight.astype(int))
        rest = found - space @ np.linalg.lstsq(space, found)[0]
        assert np.linalg.norm(rest) < 1e-6 * np.linalg.norm(found)


def test_it_equals_the_dense_problem_of_a_random_graph():
    rng = np.random.default_rng(0)
    graph = rng.random((30, 9)) * (rng.random((30, 9)) < 0.6) + 0.01
    check(csr_array(graph), rng.integers(1, 4, 30).astype(float), 5)


def test_it_equals_the_dense_problem_of_an_image():
    rng = np.random.default_rng(1)
    levels = np.kron(rng.integers(0, 4, (3, 3, 4)), np.ones((2, 2), int))
    graph = ToMultiscale([lambda _, ids=ids: ids for ids in levels])(np.zeros((1, 6, 8)))
    means = 0.05 * rng.random((graph["superpixel"].num_nodes, 3))
    check(*bipartite_affinity(graph, means), 4)


def test_the_sparse_solver_gives_what_the_dense_one_does(monkeypatch):
    module = import_module("sp_graph_seg.regions.transfer_cut")  # a function has its name
    rng = np.random.default_rng(2)
    graph = csr_array(rng.random((90, 40)) + 0.01)
    dense = transfer_cut(graph, np.ones(90), 3)[0]
    monkeypatch.setattr(module, "_DENSE", 10)
    np.testing.assert_allclose(transfer_cut(graph, np.ones(90), 3)[0], dense)

    def fail(*_, **__):
        raise ArpackNoConvergence("no convergence", np.empty(0), np.empty(0))

    monkeypatch.setattr(module, "eigsh", fail)
    np.testing.assert_allclose(transfer_cut(graph, np.ones(90), 3)[0], dense)


def test_sas_finds_two_halves():
    image = np.zeros((3, 40, 60))
    image[:, :, 25:] = 0.8
    mask = np.ones((40, 60), bool)
    mask[:10] = False
    labels = transfer_cut_regions(ToMultiscale(mask=mask)(image), np.moveaxis(image, 0, -1), 2)
    assert (labels[:10] == -1).all()
    assert (labels[10:] == labels[10, 0]).sum() == 30 * 25
    assert np.unique(labels).tolist() == [-1, 0, 1]


def test_one_region_in_all_levels_has_no_vectors():
    graph = ToMultiscale()(np.full((3, 16, 16), 0.5))
    assert spectral_embedding(graph, np.zeros((16, 16, 3)), 16).shape[0] == 1
    assert not transfer_cut_regions(graph, np.zeros((16, 16, 3)), 3).any()
