import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GATv2Conv, GCNConv, GraphConv, Sequential

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import SuperpixelNet, WNet, call_head, make_head

NAMES = ("gcn", "gat", "graph", "transformer")  # with weights
ALL = ("appnp", *NAMES)
F = 4
TINY = Config(
    width=4,
    depth=1,
    num_features=F,
    n_segments=30,
    epochs=1,
    minibatches=1,
    patches=((2, 8, 8),),
    accelerator="cpu",
)


class Gat(nn.Module):
    """A module of its own, which takes the weights as edge features."""

    def __init__(self):
        super().__init__()
        self.conv = GATv2Conv(F, F, edge_dim=1)

    def forward(self, x, edge_index, edge_weight):
        return self.conv(x, edge_index, edge_weight.unsqueeze(-1))


def stack():
    weighted = "x, edge_index, edge_weight -> x"
    layers = [(GCNConv(F, 6), weighted), nn.ReLU(), (GCNConv(6, F), weighted)]
    return Sequential("x, edge_index, edge_weight", layers)


CUSTOM = {
    "GCNConv": lambda: GCNConv(F, F),
    "GraphConv": lambda: GraphConv(F, F, aggr="mean"),
    "GATv2Conv": Gat,
    "Sequential": stack,
}


@pytest.fixture
def graph(random_graph):
    return random_graph(12, F, dtype=torch.float32, isolated=2)


@pytest.fixture
def image():
    image = torch.zeros(3, 24, 20)
    image[0, 6:18, 5:15] = 1.0
    return image


def seeded(make, *args):
    torch.manual_seed(0)
    return make(*args)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("name", ALL)
def test_output_has_the_shape_of_the_input(graph, name, num_layers):
    out = seeded(make_head, name, F, num_layers)(*graph)
    assert out.shape == graph.x.shape
    assert out.isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_a_permutation_of_the_nodes_permutes_the_output(graph, name):
    head = seeded(make_head, name, F).eval()
    permutation = torch.randperm(12, generator=torch.manual_seed(1))
    x = torch.empty_like(graph.x)
    x[permutation] = graph.x
    permuted = head(x, permutation[graph.edge_index], graph.edge_weight)
    torch.testing.assert_close(permuted[permutation], head(*graph))


@pytest.mark.parametrize("name", ALL)
def test_neighbors_count(graph, name):
    head = seeded(make_head, name, F, 1).eval()
    target = graph.edge_index[1, 0]
    source = graph.edge_index[0, 0]
    moved = graph.x.clone()
    moved[source, 0] += 1
    before, after = head(*graph), head(moved, graph.edge_index, graph.edge_weight)
    assert not torch.allclose(before[target], after[target])


@pytest.mark.parametrize("name", ALL)
def test_edge_weights_count(graph, name):
    head = seeded(make_head, name, F).eval()
    other = head(graph.x, graph.edge_index, graph.edge_weight.flip(0))
    assert not torch.allclose(other, head(*graph))


@pytest.mark.parametrize("name", NAMES)
def test_a_head_with_weights_is_added_to_its_input(graph, name):
    head = seeded(make_head, name, F, 1).eval()
    normed = torch.nn.functional.layer_norm(graph.x, (F,))
    added = call_head(head.layers[0], normed, graph.edge_index, graph.edge_weight)
    torch.testing.assert_close(head(*graph), graph.x + added)


def test_appnp_smooths_without_weights(graph):
    head = make_head("appnp", F)
    assert not list(head.parameters())
    n = graph.x.size(0)
    adjacency = torch.eye(n)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = graph.edge_weight
    scale = adjacency.sum(dim=1).rsqrt()
    matrix = scale[:, None] * adjacency * scale
    expected = graph.x
    for _ in range(10):
        expected = 0.9 * matrix @ expected + 0.1 * graph.x
    torch.testing.assert_close(head(*graph), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_reaches_every_weight_and_the_features(graph, name):
    head = seeded(make_head, name, F)
    x = graph.x.clone().requires_grad_()
    (head(x, graph.edge_index, graph.edge_weight) * torch.rand(12, F)).sum().backward()
    assert x.grad.abs().sum() > 0
    for key, weight in head.named_parameters():
        # The softmax over keys does not see what is added to all of them.
        if not (name == "transformer" and key.endswith("lin_key.bias")):
            assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ALL)
def test_a_graph_without_edges_is_no_problem(name):
    empty = torch.empty(2, 0, dtype=torch.long)
    out = seeded(make_head, name, F)(torch.rand(3, F), empty, torch.empty(0))
    assert out.shape == (3, F)
    assert out.isfinite().all()


def test_identity_is_no_head():
    assert make_head("identity", F) is None
    net = SuperpixelNet(WNet(3, F, width=4, depth=1))
    x = torch.rand(5, F)
    assert net.cluster(x, Data(edge_index=torch.empty(2, 0, dtype=torch.long))) is x


@pytest.mark.parametrize("name", ["cheb", ""])
def test_unknown_heads_are_named(name):
    with pytest.raises(
        InputError, match=f"^head='{name}' is unknown; use one of identity, appnp, gcn, gat"
    ):
        make_head(name, F)


@pytest.mark.parametrize("name", ["gcn", "appnp"])
def test_a_head_needs_a_layer(name):
    with pytest.raises(InputError, match=r"^num_layers=0 is too small"):
        make_head(name, F, 0)


def assert_learned(segmenter, initial):
    trained = segmenter.net_.head.state_dict()
    assert trained.keys() == initial.keys()
    assert any(not torch.equal(trained[key], initial[key]) for key in trained)


@pytest.mark.parametrize("name", ["identity", *ALL])
def test_segmenter_saves_and_loads_a_named_head(tmp_path, image, name):
    segmenter = Segmenter(TINY.replace(head=name)).fit(image)
    segmenter.save(tmp_path / "model")
    loaded = Segmenter.load(tmp_path / "model")
    assert (loaded.net_.head is None) is (name == "identity")
    assert torch.equal(loaded.transform(image).z, segmenter.transform(image).z)


@pytest.mark.parametrize("name", CUSTOM)
def test_segmenter_saves_and_loads_a_head_of_the_user(tmp_path, image, name):
    head = seeded(CUSTOM[name])
    initial = {key: value.clone() for key, value in head.state_dict().items()}
    segmenter = Segmenter(TINY, head).fit(image)
    assert_learned(segmenter, initial)
    for key, value in head.state_dict().items():
        assert torch.equal(value, initial[key])  # training starts from a copy
    segmenter.save(tmp_path / "model")
    loaded = Segmenter.load(tmp_path / "model", CUSTOM[name]())
    assert torch.equal(loaded.transform(image).z, segmenter.transform(image).z)
    assert loaded.predict(image).shape == (24, 20)


def test_segmenter_refuses_a_missing_or_another_head(tmp_path, image):
    Segmenter(TINY, GCNConv(F, F)).fit(image).save(tmp_path / "model")
    with pytest.raises(
        InputError, match=r"model: .* another head \(saved GCNConv, given no head\)"
    ):
        Segmenter.load(tmp_path / "model")
    with pytest.raises(InputError, match="saved GCNConv, given GraphConv"):
        Segmenter.load(tmp_path / "model", GraphConv(F, F))
    with pytest.raises(InputError, match="not a model that this version can read"):
        Segmenter.load(tmp_path / "model", GCNConv(F, F, bias=False))
    Segmenter(TINY).fit(image).save(tmp_path / "plain")
    with pytest.raises(InputError, match="saved no head, given GCNConv"):
        Segmenter.load(tmp_path / "plain", GCNConv(F, F))
