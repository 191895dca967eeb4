"""The graphs, features and labels that the losses refuse."""

import math

import pytest
import torch

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import continuity_loss, ncut_loss, similarity_loss

X = torch.full((3, 2), 0.5)
EDGES = torch.tensor([[0, 1], [1, 0]])
WEIGHT = torch.ones(2)
BAD_GRAPHS = {
    "edge_index names nodes 0 to 3": {"edge_index": torch.tensor([[0, 3], [3, 0]])},
    "edge_index names nodes -1 to 0": {"edge_index": torch.tensor([[0, -1], [-1, 0]])},
    "edge_index: .*reverse": {"edge_index": torch.tensor([[0, 1], [1, 2]])},
    "edge_index: .*float32": {"edge_index": EDGES.float()},
    "edge_index: .*int32": {"edge_index": EDGES.int()},
    r"edge_index: shape \(2, 2, 1\)": {"edge_index": EDGES[:, :, None]},
    r"edge_index: shape \(3, 2\)": {"edge_index": torch.zeros(3, 2, dtype=torch.long)},
    r"edge_weight: shape \(3,\)": {"edge_weight": torch.ones(3)},
    r"edge_weight: shape \(2, 1\)": {"edge_weight": torch.ones(2, 1)},
    "edge_weight: .*NaN": {"edge_weight": torch.tensor([1.0, math.nan])},
    "edge_weight: .*Inf": {"edge_weight": torch.tensor([math.inf, 1.0])},
    r"x: shape \(3,\)": {"x": X[:, 0]},
    r"x: shape \(1, 3, 2\)": {"x": X[None]},
    "x: .*int64": {"x": X.long()},
    r"x: .*\(0, 2\)": {"x": X[:0]},
    r"x: .*\(3, 0\)": {"x": X[:, :0]},
    r"batch: shape \(2,\)": {"batch": torch.zeros(2, dtype=torch.long)},
    "batch: .*float32": {"batch": torch.zeros(3)},
    r"batch: shape \(1, 3\)": {"batch": torch.zeros(1, 3, dtype=torch.long)},
    "batch: ": {"batch": torch.tensor([0, -1, 0])},
}


@pytest.mark.parametrize(("message", "bad"), BAD_GRAPHS.items(), ids=BAD_GRAPHS.keys())
@pytest.mark.parametrize("loss", [ncut_loss, continuity_loss])
def test_bad_graphs(loss, message, bad):
    good = {"x": X, "edge_index": EDGES, "edge_weight": WEIGHT}
    assert loss(**good).isfinite()
    with pytest.raises(InputError, match=f"^{message}") as caught:
        loss(**{**good, **bad})
    assert "\n" not in str(caught.value)


def test_ncut_refuses_what_is_negative():
    with pytest.raises(InputError, match=r"^x: some memberships are negative"):
        ncut_loss(X - 1, EDGES, WEIGHT)
    with pytest.raises(InputError, match=r"^edge_weight: some affinities are negative"):
        ncut_loss(X, EDGES, -WEIGHT)
    assert continuity_loss(X - 1, EDGES, -WEIGHT).isfinite()


BAD_NODES = {
    r"labels: shape \(2,\)": {"labels": torch.zeros(2, dtype=torch.long)},
    r"labels: shape \(3, 1\)": {"labels": torch.zeros(3, 1, dtype=torch.long)},
    "labels: .*float32": {"labels": torch.zeros(3)},
    "labels: .*0 to 1": {"labels": torch.tensor([0, 1, 2])},
    "labels: some values are not from 0": {"labels": torch.tensor([0, -1, 1])},
    **{key: bad for key, bad in BAD_GRAPHS.items() if key.startswith(("x", "batch"))},
}


@pytest.mark.parametrize(("message", "bad"), BAD_NODES.items(), ids=BAD_NODES.keys())
def test_similarity_refuses(message, bad):
    with pytest.raises(InputError, match=f"^{message}"):
        similarity_loss(**{"x": X, **bad})
