import pytest
import torch

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import node_groups
from sp_graph_seg.nn.node_groups import NodeGroups


@pytest.mark.parametrize("parts", [2, 128])
@pytest.mark.parametrize("batch_size", [None, 4, 6])
@pytest.mark.parametrize("num_nodes", [1, 7, 300])
def test_sums_means_and_parts_equal_a_loop(num_nodes, batch_size, parts, monkeypatch):
    monkeypatch.setattr(node_groups, "_PARTS", parts)
    generator = torch.Generator().manual_seed(num_nodes)
    batch = torch.randint(0, 4, (num_nodes,), generator=generator)
    values = torch.rand(num_nodes, 3, generator=generator, dtype=torch.float64)
    groups = NodeGroups(num_nodes, batch, batch_size)
    size = batch_size or int(batch.max()) + 1
    each = [values[batch == graph] for graph in range(size)]
    torch.testing.assert_close(groups.sum(values), torch.stack([one.sum(dim=0) for one in each]))
    assert groups.counts().tolist() == [len(one) for one in each]
    means = torch.stack([one[:, 0].mean() for one in each if len(one)])
    torch.testing.assert_close(groups.mean(values[:, 0]), means.mean())
    for (part,), one in zip(groups.split(values), each, strict=True):
        assert torch.equal(part, one)


def test_one_graph():
    values = torch.rand(5, 2)
    groups = NodeGroups(5)
    torch.testing.assert_close(groups.sum(values), values.sum(dim=0)[None])
    assert groups.mean(values[:, 0]) == values[:, 0].mean()
    assert next(groups.split(values))[0] is values


def test_a_large_sum_keeps_its_digits():
    values = torch.full((1 << 20,), 0.1)
    batch = torch.zeros(1 << 20, dtype=torch.long)
    total = NodeGroups(1 << 20, batch).sum(values).item()
    assert total == pytest.approx(0.1 * (1 << 20), rel=1e-4)
    assert NodeGroups(1 << 20, batch).counts().item() == 1 << 20


@pytest.mark.parametrize(
    ("batch", "batch_size", "message"),
    [
        ([0, 1], None, r"batch: shape \(2,\) of type torch.int64 must be \(3,\)"),
        ([0.0, 1.0, 2.0], None, r"batch: .* of type torch.float32"),
        ([0, -1, 1], None, "batch: some numbers are negative"),
        ([0, -1, 1], 2, "batch: some numbers are negative"),
        ([0, 1, 2], 2, r"batch_size=2 must exceed each number in batch"),
    ],
)
def test_refuses(batch, batch_size, message):
    with pytest.raises(InputError, match=f"^{message}"):
        NodeGroups(3, torch.tensor(batch), batch_size)
