import types

import numpy as np
import pytest
import torch
import torch_geometric.typing
from torch_geometric.utils import scatter

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import scatter_mean
from sp_graph_seg.transforms.reduce import majority_over_nodes, mean_over_nodes


def loop_mean(values, pixel_index, num_nodes):
    means = values.new_zeros(num_nodes, values.size(0))
    for node in range(num_nodes):
        if (pixel_index == node).any():
            means[node] = values[:, pixel_index == node].sum(dim=1) / (pixel_index == node).sum()
    return means


def pixels(num_features=3, num_pixels=40, num_nodes=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(num_features, num_pixels, generator=generator, dtype=dtype)
    index = torch.randint(0, num_nodes, (num_pixels,), generator=generator)
    index[index == 2] = 0  # node 2 is empty
    return values, index, num_nodes


#: A pixel's features far apart in memory, side by side as in channels_last, and neither.
LAYOUTS = {
    "features first": lambda values: values,
    "pixels first": lambda values: values.t().contiguous().t(),
    "strided": lambda values: values.repeat_interleave(2, dim=1)[:, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 40, 7), (1, 1, 1), (5, 4, 30), (2, 0, 3)])
def test_equals_a_loop(dtype, shape, layout):
    values, index, num_nodes = pixels(*shape, dtype=dtype)
    values = LAYOUTS[layout](values)
    result = scatter_mean(values, index, num_nodes)
    assert result.dtype == dtype
    torch.testing.assert_close(result, loop_mean(values, index, num_nodes))


def test_empty_node_is_zero():
    values, index, num_nodes = pixels()
    assert (index == 2).sum() == 0
    assert not scatter_mean(values, index, num_nodes)[2].any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient(layout):
    values, index, num_nodes = pixels(num_pixels=12)
    values = LAYOUTS[layout](values).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: scatter_mean(v, index, num_nodes), values)


def test_mean_over_pixels_is_kept():
    values, index, num_nodes = pixels()
    means = scatter_mean(values, index, num_nodes)
    count = torch.bincount(index, minlength=num_nodes).double()
    torch.testing.assert_close((count[:, None] * means).sum(dim=0), values.sum(dim=1))
    torch.testing.assert_close(scatter_mean(means.t()[:, index], index, num_nodes), means)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_torch_scatter_gives_the_same(monkeypatch, layout):
    """Both code paths, where torch-scatter is installed."""
    module = pytest.importorskip("torch_scatter")
    monkeypatch.setattr(torch_geometric.typing, "torch_scatter", module, raising=False)
    values, index, num_nodes = pixels()
    results = []
    for installed in (False, True):
        monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", installed)
        leaf = LAYOUTS[layout](values.clone()).requires_grad_()
        means = scatter_mean(leaf, index, num_nodes)
        (means**2).sum().backward()
        results.append((means.detach(), leaf.grad))
    torch.testing.assert_close(*results)


def test_takes_torch_scatter_where_pyg_found_it(monkeypatch):
    """The choice itself, with a stand-in that works in the same way and tells that it was used."""
    calls = []

    def stand_in(src, index, dim, dim_size):
        calls.append((dim, dim_size))
        monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", False)
        return scatter(src, index, dim, dim_size, "mean")

    fake = types.SimpleNamespace(scatter_mean=stand_in)
    monkeypatch.setattr(torch_geometric.typing, "torch_scatter", fake, raising=False)
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", True)
    values, index, num_nodes = pixels()
    result = scatter_mean(values, index, num_nodes)
    assert calls == [(1, num_nodes)]
    torch.testing.assert_close(result, loop_mean(values, index, num_nodes))


@pytest.mark.parametrize(
    ("values", "index", "name"),
    [
        (torch.zeros(4), torch.zeros(4, dtype=torch.long), "values"),
        (torch.zeros(2, 2, 2), torch.zeros(4, dtype=torch.long), "values"),
        (torch.zeros(2, 4), torch.zeros(3, dtype=torch.long), "pixel_index"),
        (torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), "pixel_index"),
        (torch.zeros(2, 4), torch.zeros(2, 2, dtype=torch.long), "pixel_index"),
        (torch.zeros(2, 2), torch.tensor([0, 3]), "pixel_index"),
        (torch.zeros(2, 2), torch.tensor([-1, 0]), "pixel_index"),
    ],
)
def test_refuses(values, index, name):
    with pytest.raises(InputError, match=name):
        scatter_mean(values, index, 3)


def test_mean_over_nodes_equals_a_loop_and_adds_up_in_64_bits():
    rng = np.random.default_rng(0)
    values, nodes = rng.normal(size=(3, 50)), rng.integers(0, 6, 50)
    nodes[nodes == 2] = 3  # node 2 has no pixel
    means = mean_over_nodes(values, nodes, np.bincount(nodes, minlength=7))
    assert means.dtype == torch.float32
    for node in range(7):
        expected = values[:, nodes == node].mean(axis=1) if (nodes == node).any() else np.zeros(3)
        np.testing.assert_allclose(means[node], expected, rtol=1e-6)
    many = np.full((1, 1 << 20), 0.1, np.float32)  # float32 would give 0.10003 one by one
    assert mean_over_nodes(
        many, np.zeros(many.size, int), np.array([many.size])
    ).item() == np.float32(0.1)


@pytest.mark.parametrize("labels", [2, 5, 1000])
@pytest.mark.parametrize("shift", [0, 2**40])
def test_majority_over_nodes_equals_a_loop(labels, shift):
    generator = torch.Generator().manual_seed(labels)
    values = torch.randint(-1, labels, (60,), generator=generator)
    nodes = torch.randint(0, 9, (60,), generator=generator)
    values[values >= 0] += shift
    nodes[nodes == 4] = 3  # node 4 has no pixel
    values[nodes == 7] = -5  # node 7 has no label
    majority = majority_over_nodes(values, nodes, 9).tolist()
    for node in range(9):
        own = values[(nodes == node) & (values >= 0)].tolist()
        best = max(sorted(set(own)), key=own.count) if own else -1  # the first one in a tie
        assert majority[node] == best
    assert majority[4] == majority[7] == -1


def test_majority_over_nodes_without_any_label():
    majority = majority_over_nodes(torch.full((3,), -1), torch.tensor([0, 1, 1]), 2)
    assert majority.tolist() == [-1, -1]
