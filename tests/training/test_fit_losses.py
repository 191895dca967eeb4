"""The losses of the first step against an oracle: dense matrices, loops, double precision."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv, GraphConv

from sp_graph_seg.nn import kmeans_labels
from sp_graph_seg.training import PatchSampler, cut_patches, fit

TERMS = ("rec", "cut", "sim", "con")


def node_means(z, graph):
    """z ``(F, H, W)`` averaged over the superpixels, ``(N, F)``."""
    flat = z.flatten(1).double()
    return torch.stack([flat[:, graph.pixel_index == n].mean(1) for n in range(graph.num_nodes)])


def similarity_targets(rule, z, x, graph):
    if rule == "argmax":
        return x.argmax(1)
    if rule == "kmeans":
        return kmeans_labels(x.float())
    votes = z.flatten(1).argmax(0)
    return torch.stack([votes[graph.pixel_index == n].mode()[0] for n in range(graph.num_nodes)])


def reconstruction_of_patches(net, image, sampled):
    errors = []
    for positions in sampled:
        patches = cut_patches(image, positions)
        z = net.wnet.encoder(patches)
        errors.append((net.wnet.decoder(z.softmax(1)) - patches).double().flatten() ** 2)
    return torch.cat(errors).mean()


def expected_terms(net, training, config, patches=()):
    """The losses of one image for a network in training mode, by the paper's formulas."""
    net = copy.deepcopy(net).train()
    image, graph = training.image, training.graph
    with torch.no_grad():
        z = net.wnet.encoder(image[None])[0]
        x = node_means(z, graph)
        f = x.softmax(1)
        features = x if config.loss_input == "logits" else f
        source, target = graph.edge_index
        distance = (graph.x[source] - graph.x[target]).double().norm(dim=1)
        A = torch.zeros(len(x), len(x), dtype=torch.double)
        W = A.clone()
        A[target, source] = (config.tau_con * distance).exp()
        W[target, source] = (config.tau_cut * distance).exp()
        A = A / A.sum(1, keepdim=True)
        y = similarity_targets(config.similarity_labels, z, x, graph)
        ratios = [(f[:, p] @ W @ f[:, p]) / (W.sum(0) @ f[:, p]) for p in range(f.size(1))]
        if config.reconstruction == "image":
            rec = (net.wnet.decoder(z[None].softmax(1))[0] - image).double().square().mean()
        elif config.reconstruction == "patch":
            rec = reconstruction_of_patches(net, image, patches)
        else:
            rec = torch.tensor(math.nan)
        log_f = features - features.logsumexp(1, keepdim=True)
        terms = {
            "rec": rec,
            "cut": 1 - sum(ratios) / len(ratios),
            "sim": -sum(log_f[i, y[i]] for i in range(len(x))) / len(x),
            "con": (A @ features - features).abs().mean(),
        }
    return {name: value.item() for name, value in terms.items()}


def first_patches(trainings, config):
    """The patches of the first step: all images draw from one generator, seeded once."""
    generator = torch.Generator().manual_seed(config.seed)
    samplers = [
        PatchSampler(
            tuple(training.image.shape[1:]),
            config.patches,
            config.minibatches,
            generator,
            mask=training.inside,
            foreground=config.foreground,
        )
        for training in trainings
    ]
    return [next(sampler.epoch()) for sampler in samplers]


def weighted(terms, config):
    betas = {name: getattr(config, f"beta_{name}") for name in TERMS}
    return sum(betas[name] * value for name, value in terms.items() if not math.isnan(value))


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
@pytest.mark.parametrize("similarity_labels", ["argmax", "pixels", "kmeans"])
@pytest.mark.parametrize("reconstruction", ["patch", "image", "none"])
def test_the_first_step_has_the_losses_of_the_paper(
    one, loss_input, similarity_labels, reconstruction, config, make_net
):
    config = config.replace(
        loss_input=loss_input, similarity_labels=similarity_labels, reconstruction=reconstruction
    )
    net = make_net()
    expected = expected_terms(net, one, config, first_patches([one], config)[0])
    history = fit(net, [one], config)
    first = next(iter(history))
    assert {name: first[name] for name in TERMS} == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert first["loss"] == pytest.approx(weighted(expected, config), rel=1e-4)
    assert history["step"] == [1, 2, 3, 4]
    assert history["epoch"] == [1, 1, 2, 2]
    assert np.isfinite(history["loss"]).all()
    assert np.isnan(history["rec"]).all() == (reconstruction == "none")
    assert (np.diff(history["seconds"]) >= 0).all()


def test_the_similarity_rules_differ_on_this_image(one, make_net):
    """Otherwise the test above would not tell them apart."""
    net = make_net().train()
    with torch.no_grad():
        z = net.wnet.encode(one.image[None])[0]
    x = node_means(z, one.graph)
    targets = [
        similarity_targets(rule, z, x, one.graph).tolist()
        for rule in ("argmax", "pixels", "kmeans")
    ]
    assert targets[0] != targets[1] != targets[2] != targets[0]


@pytest.mark.parametrize("beta", [1.0, 0.25])
@pytest.mark.parametrize("term", TERMS)
def test_a_beta_alone_leaves_only_its_term(one, term, beta, one_step, make_net, weights):
    alone = {f"beta_{name}": beta if name == term else 0.0 for name in TERMS}
    config = one_step.replace(**alone)
    net = make_net()
    before = weights(net)
    expected = expected_terms(net, one, config, first_patches([one], config)[0])
    history = fit(net, [one], config)
    for name in TERMS:
        wanted = expected[name] if name == term else math.nan
        assert history[name] == pytest.approx([wanted], rel=1e-4, nan_ok=True)
    assert history["loss"] == pytest.approx([beta * expected[term]], rel=1e-4)
    moved = {
        name.split(".")[1]
        for name, value in weights(net).items()
        if "weight" in name and not torch.equal(value, before[name])
    }
    assert moved == ({"encoder", "decoder"} if term == "rec" else {"encoder"})


@pytest.fixture
def symmetric(subject):
    """An image that no turn and no flip changes, so that all of its full patches are equal."""
    size = 24
    ring = (torch.arange(size) - (size - 1) / 2).abs()
    image = torch.maximum(ring[:, None], ring[None, :])[None] / size
    return subject(torch.cat([image, image**2, 1 - image]))


def assert_same_weights(net, other, **tolerance):
    """All but the running averages of the decoder, which nothing uses, and all counters."""
    expected = other.state_dict()
    for name, value in net.state_dict().items():
        unused = name.startswith("wnet.decoder") and "running" in name
        if not unused and not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, expected[name], **tolerance, msg=name)


@pytest.mark.parametrize("reconstruction", ["image", "none", "patch"])
def test_two_copies_of_an_image_train_as_one(
    one, symmetric, reconstruction, config, make_net, columns
):
    config = config.replace(reconstruction=reconstruction)
    if reconstruction == "patch":  # patches of two images differ, unless all that there are do not
        one, config = symmetric, config.replace(patches=((2, 24, 24),))
    single, double = make_net(), make_net()
    history = fit(single, [one], config)
    histories = fit(double, [one, one], config)
    np.testing.assert_allclose(columns(histories), columns(history), rtol=1e-6)
    assert_same_weights(double, single, rtol=1e-5, atol=1e-6)


@pytest.fixture
def gradients(make_net):
    """The gradients of the first step, whose scale Adam would hide in the weights."""

    def find(trainings, config):
        net = make_net(config)
        found = {}

        def keep(step):
            found.update(
                {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
            )

        fit(net, trainings, config, keep)
        return found

    return find


def test_gradients_are_the_mean_over_images(one, another, one_step, make_net, gradients):
    config = one_step.replace(reconstruction="image")
    first, second = gradients([one], config), gradients([another], config)
    both, twice = gradients([one, another], config), gradients([one, one], config)
    assert set(both) == set(first) == {name for name, _ in make_net().named_parameters()}
    for name, gradient in both.items():
        expected = (first[name] + second[name]) / 2
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(twice[name], first[name], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("reconstruction", ["patch", "image", "none"])
def test_losses_are_the_mean_over_images_of_different_sizes(
    one, another, reconstruction, config, make_net, blocks, subject
):
    config = config.replace(reconstruction=reconstruction)
    trainings = [one, another, subject(blocks(17, 64, seed=2))]
    net = make_net()
    patches = first_patches(trainings, config)
    single = [
        expected_terms(net, training, config, own)
        for training, own in zip(trainings, patches, strict=True)
    ]
    expected = {name: np.mean([terms[name] for terms in single]) for name in TERMS}
    first = next(iter(fit(net, trainings, config)))
    assert {name: first[name] for name in TERMS} == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert first["loss"] == pytest.approx(weighted(expected, config), rel=1e-4)


class OneLabel(nn.Module):
    """A head that gives all nodes of a graph the same label: their number modulo 7."""

    def forward(self, x, edge_index, edge_weight):
        return 9.0 * (torch.arange(7) == len(x) % 7) + x.mean(1, keepdim=True)


def test_labels_are_counted_over_all_images(one, another, config, one_step, make_net):
    assert one.graph.num_nodes % 7 != another.graph.num_nodes % 7
    for trainings, expected in (([one], 1), ([one, one], 1), ([one, another, one], 2)):
        net = make_net(head=OneLabel())
        assert fit(net, trainings, one_step)["num_labels"] == [expected]
    # Without a head: the largest mean features.
    with torch.no_grad():
        z = make_net().train().wnet.encode(one.image[None])[0]
    labels = node_means(z, one.graph).argmax(1).unique()
    assert 1 < len(labels) < config.num_features
    assert fit(make_net(), [one], one_step)["num_labels"] == [len(labels)]


class Scale(nn.Module):
    """A head with other features than z has."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 7)

    def forward(self, x, edge_index, edge_weight):
        assert edge_index.shape == (2, len(edge_weight))
        return self.linear(x)


def scale():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Scale()


@pytest.mark.parametrize(
    "make_head",
    [Scale, lambda: GCNConv(5, 5), lambda: GraphConv(5, 6)],
    ids=["Scale", "GCNConv", "GraphConv"],
)
def test_a_head_is_used_and_trained(one, make_head, config, make_net, weights):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = make_head()
    net = make_net(head=head)
    before = weights(net)
    with torch.no_grad():
        x = node_means(net.train().wnet.encode(one.image[None])[0], one.graph).float()
        source, target = one.graph.edge_index
        weight = (config.tau_cut * (one.graph.x[source] - one.graph.x[target]).norm(dim=1)).exp()
        features = head(x, one.graph.edge_index, weight)
    history = fit(net, [one], config)
    log_f = features.log_softmax(1)
    assert history["sim"][0] == pytest.approx(-log_f.max(1).values.mean().item(), rel=1e-4)
    assert history["num_labels"][0] == len(features.argmax(1).unique())
    after = weights(net)
    for name in before:
        if name.startswith("head.") or name == "wnet.encoder.head.weight":
            assert not torch.equal(after[name], before[name]), name
    assert history["sim"][-1] != history["sim"][0]


def test_the_input_of_a_head_can_be_judged_too(one, one_step, make_net):
    """The losses are then those with a head and those without one, added up."""

    def losses(head, **changes):
        history = fit(make_net(head=head), [one], one_step.replace(**changes))
        return np.array([history["sim"][0], history["con"][0]])

    without = losses(None)
    np.testing.assert_allclose(losses(None, head_losses="both"), without)
    own = losses(scale(), head_losses="output")
    np.testing.assert_allclose(losses(scale(), head_losses="both"), own + without, rtol=1e-5)


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
@pytest.mark.parametrize("similarity_labels", ["argmax", "pixels"])
def test_pixels_are_compared_with_the_label_of_their_node(
    one, loss_input, similarity_labels, one_step, make_net
):
    config = one_step.replace(
        similarity_on="pixels", loss_input=loss_input, similarity_labels=similarity_labels
    )
    net = make_net()
    with torch.no_grad():
        z = copy.deepcopy(net).train().wnet.encoder(one.image[None])[0]
    y = similarity_targets(similarity_labels, z, node_means(z, one.graph), one.graph)
    features = z.double() if loss_input == "logits" else z.double().softmax(0)
    log_f = features.log_softmax(0).flatten(1)
    losses = [-log_f[y[node], i] for i, node in enumerate(one.graph.pixel_index.tolist())]
    history = fit(net, [one], config)
    assert history["sim"] == [pytest.approx((sum(losses) / len(losses)).item(), rel=1e-4)]
    on_nodes = fit(make_net(), [one], config.replace(similarity_on="nodes"))
    assert on_nodes["sim"][0] != pytest.approx(history["sim"][0], rel=1e-3)
