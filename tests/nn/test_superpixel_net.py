import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import SuperpixelNet, WNet, sort_edges


class Recorder(nn.Module):
    """A head of one layer that keeps what it was called with."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.seen = None

    def forward(self, x, edge_index, edge_weight):
        self.seen = x, edge_index, edge_weight
        return self.layer(x)


@pytest.fixture
def wnet():
    torch.manual_seed(0)
    return WNet(3, 4, width=4, depth=2)


@pytest.fixture
def sample(random_graph):
    image = torch.rand(3, 11, 14, generator=torch.Generator().manual_seed(0))
    pixel_index = torch.arange(11 * 14) * 6 // (11 * 14)
    _, edge_index, edge_weight = random_graph(6, density=0.6, dtype=torch.float32)
    graph = Data(
        edge_index=edge_index, edge_weight=edge_weight, pixel_index=pixel_index, num_nodes=6
    )
    return image, graph


def test_features_are_those_of_the_encoder_and_their_means(wnet, sample):
    net = SuperpixelNet(wnet).eval()
    image, graph = sample
    z, x = net(*sample)
    expected = wnet(image[None])[0][0].flatten(1)
    torch.testing.assert_close(z.flatten(1), expected)
    torch.testing.assert_close(net.encode(image).flatten(1), expected)
    means = [expected[:, graph.pixel_index == node].mean(dim=1) for node in range(6)]
    torch.testing.assert_close(x, torch.stack(means))


@pytest.mark.parametrize("prepared", [False, True])
def test_head_gets_the_graph(wnet, sample, prepared):
    image, graph = sample
    if prepared:
        graph = graph.clone()
        graph.edge_index, graph.edge_weight = sort_edges(graph.edge_index, 6, graph.edge_weight)
    head = Recorder()
    net = SuperpixelNet(wnet, head).eval()
    z, x = net(image, graph)
    means = SuperpixelNet(wnet).eval()(*sample)[1]
    torch.testing.assert_close(head.seen[0], means)
    assert type(head.seen[1]) is torch.Tensor
    assert torch.equal(head.seen[1], torch.Tensor.as_subclass(graph.edge_index, torch.Tensor))
    assert torch.equal(head.seen[2], graph.edge_weight)
    torch.testing.assert_close(x, head.layer(means))
    assert z.shape == (4, 11, 14)


def test_gradients_reach_encoder_and_head(wnet, sample):
    net = SuperpixelNet(wnet, Recorder()).train()
    net(*sample)[1].square().sum().backward()
    trained = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    weights = {name for name, _ in net.named_parameters() if name.endswith("weight")}
    assert {name for name in weights if "decoder" not in name} <= trained
    assert not any("decoder" in name for name in trained)


def test_reconstruct(wnet):
    net = SuperpixelNet(wnet).eval()
    images = torch.rand(2, 3, 9, 12)
    expected = wnet(images)[1]
    torch.testing.assert_close(net.reconstruct(images), expected)
    torch.testing.assert_close(net.decode(net.encode(images[1])), expected[1])


def test_features_have_at_least_32_bits(wnet, sample):
    net = SuperpixelNet(wnet).eval()
    expected = net(*sample)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = net(*sample)
    assert [part.dtype for part in result] == [torch.float32] * 2
    torch.testing.assert_close(result, expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("head", [None, GraphConv(4, 7), GraphConv(-1, 7), nn.Sequential()])
def test_a_head_is_tried_when_the_net_is_made(wnet, head, sample):
    net = SuperpixelNet(wnet, head)
    assert (
        net.num_outputs == net(*sample)[1].size(1) == (7 if head else 4)
    )  # an empty Sequential is a head, but has no length


def test_a_head_that_does_not_fit_is_refused(wnet):
    with pytest.raises(InputError, match=r"^head: GraphConv cannot be called on nodes of 4 feat"):
        SuperpixelNet(wnet, GraphConv(5, 7))
