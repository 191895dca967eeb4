import copy
import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv, GraphConv

from sp_graph_seg import Config, ToRAG, WNet
from sp_graph_seg.config import MODEL_TYPES
from sp_graph_seg.errors import InputError, SmallImageWarning
from sp_graph_seg.nn import SuperpixelNet, kmeans_labels
from sp_graph_seg.training import PatchSampler, TrainingImage, cut_patches, fit
from sp_graph_seg.transforms import ToPixelGraph

TERMS = ("rec", "cut", "sim", "con")

CONFIG = Config(
    num_features=5,
    width=4,
    depth=2,
    patches=((4, 16, 12), (3, 8, 8)),
    epochs=2,
    minibatches=2,
    learning_rate=1e-2,
    beta_rec=0.5,
    beta_cut=0.3,
    beta_sim=2.0,
    beta_con=0.7,
    tau_con=-3.0,
    tau_cut=-2.0,
    accelerator="cpu",
)

ONE_STEP = CONFIG.replace(epochs=1, minibatches=1)


def make_net(config=CONFIG, channels=3, head=None):
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        wnet = WNet(channels, config.num_features, config.width, config.depth)
    return SuperpixelNet(wnet, head)


def blocks(height=32, width=48, channels=3, seed=0, noise=0.1):
    """Blocks of random colours with noise, in [0, 1]."""
    rng = np.random.default_rng(seed)
    colors = rng.random((channels, -(-height // 8), -(-width // 8)))
    image = np.kron(colors, np.ones((8, 8)))[:, :height, :width]
    image = (1 - noise) * image + noise * rng.random(image.shape)
    return torch.from_numpy(image.astype(np.float32))


def subject(image, mask=None):
    return TrainingImage(image, ToRAG(n_segments=40)(image), mask)


def symmetric_subject(size=24):
    """An image that no turn and no flip changes, so that all of its full patches are equal."""
    ring = (torch.arange(size) - (size - 1) / 2).abs()
    image = torch.maximum(ring[:, None], ring[None, :])[None] / size
    return subject(torch.cat([image, image**2, 1 - image]))


FULL_PATCHES = ((2, 24, 24),)


@pytest.fixture(scope="module")
def one():
    return subject(blocks())


@pytest.fixture(scope="module")
def another():
    return subject(blocks(40, 36, seed=1))


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same_weights(net, other, **tolerance):
    """All but the running averages of the decoder, which nothing uses, and all counters."""
    expected = weights(other)
    for name, value in weights(net).items():
        unused = name.startswith("wnet.decoder") and "running" in name
        if not unused and not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, expected[name], **tolerance, msg=name)


def columns(history, names=("loss", *TERMS, "num_labels")):
    return np.array([history[name] for name in names])


# An oracle for the losses: dense matrices, one loop a formula, double precision.


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


def reconstruction_of_patches(net, image, sampler_windows):
    errors = []
    for windows in sampler_windows:
        patches = cut_patches(image, windows)
        z = net.wnet.encoder(patches)
        errors.append((net.wnet.decoder(z.softmax(1)) - patches).double().flatten() ** 2)
    return torch.cat(errors).mean()


def expected_terms(net, training, config, windows=()):
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
            rec = reconstruction_of_patches(net, image, windows)
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


def first_windows(trainings, config):
    """The windows of the first step: all images draw from one generator, seeded once."""
    generator = torch.Generator().manual_seed(config.seed)
    samplers = [
        PatchSampler(
            tuple(training.image.shape[1:]),
            config.patches,
            config.minibatches,
            generator,
            mask=training.mask,
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
    one, loss_input, similarity_labels, reconstruction
):
    config = CONFIG.replace(
        loss_input=loss_input, similarity_labels=similarity_labels, reconstruction=reconstruction
    )
    net = make_net()
    expected = expected_terms(net, one, config, first_windows([one], config)[0])
    history = fit(net, [one], config)
    first = next(iter(history))
    assert {name: first[name] for name in TERMS} == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert first["loss"] == pytest.approx(weighted(expected, config), rel=1e-4)
    assert history["step"] == [1, 2, 3, 4]
    assert history["epoch"] == [1, 1, 2, 2]
    assert np.isfinite(history["loss"]).all()
    assert np.isnan(history["rec"]).all() == (reconstruction == "none")
    assert (np.diff(history["seconds"]) >= 0).all()


def test_the_similarity_rules_differ_on_this_image(one):
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
def test_a_beta_alone_leaves_only_its_term(one, term, beta):
    alone = {f"beta_{name}": beta if name == term else 0.0 for name in TERMS}
    config = ONE_STEP.replace(**alone)
    net = make_net()
    before = weights(net)
    expected = expected_terms(net, one, config, first_windows([one], config)[0])
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


@pytest.mark.parametrize("reconstruction", ["image", "none", "patch"])
def test_two_copies_of_an_image_train_as_one(one, reconstruction):
    config = CONFIG.replace(reconstruction=reconstruction)
    if reconstruction == "patch":  # patches of two images differ, unless all that there are do not
        one, config = symmetric_subject(), config.replace(patches=FULL_PATCHES)
    single, double = make_net(), make_net()
    history = fit(single, [one], config)
    histories = fit(double, [one, one], config)
    np.testing.assert_allclose(columns(histories), columns(history), rtol=1e-6)
    assert_same_weights(double, single, rtol=1e-5, atol=1e-6)


def gradients(trainings, config):
    """The gradients of the first step, whose scale Adam would hide in the weights."""
    net = make_net(config)
    found = {}

    def keep(step):
        found.update({n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None})

    fit(net, trainings, config, keep)
    return found


def test_gradients_are_the_mean_over_images(one, another):
    config = ONE_STEP.replace(reconstruction="image")
    first, second = gradients([one], config), gradients([another], config)
    both, twice = gradients([one, another], config), gradients([one, one], config)
    assert set(both) == set(first) == {name for name, _ in make_net().named_parameters()}
    for name, gradient in both.items():
        expected = (first[name] + second[name]) / 2
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(twice[name], first[name], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("reconstruction", ["patch", "image", "none"])
def test_losses_are_the_mean_over_images_of_different_sizes(one, another, reconstruction):
    config = CONFIG.replace(reconstruction=reconstruction)
    trainings = [one, another, subject(blocks(17, 64, seed=2))]
    net = make_net()
    windows = first_windows(trainings, config)
    single = [
        expected_terms(net, training, config, own)
        for training, own in zip(trainings, windows, strict=True)
    ]
    expected = {name: np.mean([terms[name] for terms in single]) for name in TERMS}
    first = next(iter(fit(net, trainings, config)))
    assert {name: first[name] for name in TERMS} == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert first["loss"] == pytest.approx(weighted(expected, config), rel=1e-4)


class OneLabel(nn.Module):
    """A head that gives all nodes of a graph the same label: their number modulo 7."""

    def forward(self, x, edge_index, edge_weight):
        return 9.0 * (torch.arange(7) == len(x) % 7) + x.mean(1, keepdim=True)


def test_labels_are_counted_over_all_images(one, another):
    assert one.graph.num_nodes % 7 != another.graph.num_nodes % 7
    for trainings, expected in (([one], 1), ([one, one], 1), ([one, another, one], 2)):
        net = make_net(head=OneLabel())
        assert fit(net, trainings, ONE_STEP)["num_labels"] == [expected]
    # Without a head: the largest mean features.
    with torch.no_grad():
        z = make_net().train().wnet.encode(one.image[None])[0]
    labels = node_means(z, one.graph).argmax(1).unique()
    assert 1 < len(labels) < CONFIG.num_features
    assert fit(make_net(), [one], ONE_STEP)["num_labels"] == [len(labels)]


WHOLE = (1, 32, 48)

# 4 and 3 patches in 2 mini-batches.
PATCH_BATCHES = [[(2, 16, 12), (2, 8, 8)], [(2, 16, 12), (1, 8, 8)]]


@pytest.mark.parametrize(
    ("changes", "encoded", "decoded"),
    [
        ({"reconstruction": "none"}, [[WHOLE]] * 2, []),
        ({"beta_rec": 0.0}, [[WHOLE]] * 2, []),
        ({"reconstruction": "image"}, [[WHOLE]] * 2, [[WHOLE]] * 2),
        ({"reconstruction": "patch"}, [[WHOLE, *batch] for batch in PATCH_BATCHES], PATCH_BATCHES),
    ],
    ids=["none", "beta_rec=0", "image", "patch"],
)
def test_what_encoder_and_decoder_see(one, changes, encoded, decoded):
    net = make_net()
    seen = {"encoder": [], "decoder": []}
    for name, sizes in seen.items():
        getattr(net.wnet, name).register_forward_hook(
            lambda _, inputs, output, sizes=sizes: sizes.append(
                (inputs[0].size(0), *inputs[0].shape[2:])
            )
        )
    fit(net, [one], CONFIG.replace(**changes))
    assert seen["decoder"] == list(itertools.chain(*decoded * 2))  # two epochs
    assert seen["encoder"] == [*itertools.chain(*encoded * 2), WHOLE]  # the last for the statistics


@pytest.mark.parametrize("redraw", [True, False])
def test_patches_are_redrawn_only_if_asked_to(one, redraw):
    net = make_net()
    seen = []
    net.wnet.encoder.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if len(inputs[0]) > 1 else None
    )
    config = ONE_STEP.replace(epochs=2, patches=((5, 8, 8),), redraw_patches=redraw)
    fit(net, [one], config)
    first, second = seen
    assert first.shape == (5, 3, 8, 8)
    assert torch.equal(first, second) == (not redraw)


def test_the_mask_moves_the_patches(one):
    mask = torch.zeros(32, 48, dtype=torch.bool)
    mask[16, 20] = True
    net = make_net()
    seen = []
    net.wnet.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    config = ONE_STEP.replace(patches=((6, 9, 9),), foreground=1.0)
    fit(net, [TrainingImage(one.image, one.graph, mask)], config)
    (patches,) = [images for images in seen if len(images) == 6]
    window = one.image[:, 12:21, 16:25]
    for patch in patches:
        turns = [window.rot90(k, (1, 2)) for k in range(4)]
        assert any(torch.equal(patch, t) or torch.equal(patch, t.flip(2)) for t in turns)


def test_what_takes_no_patches_does_not_check_them(one):
    config = ONE_STEP.replace(patches=((1, 500, 2),), minibatches=2)
    for changes in ({"reconstruction": "none"}, {"reconstruction": "image"}, {"beta_rec": 0.0}):
        assert len(fit(make_net(), [one], config.replace(**changes))) == 2


def test_patches_larger_than_the_image_shrink(one):
    config = ONE_STEP.replace(patches=((1, 500, 8),))
    with pytest.warns(SmallImageWarning, match="500x8 shrink to 32x8"):
        fit(make_net(), [one], config)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loss_of_a_simple_image_decreases(seed):
    image = torch.zeros(3, 32, 40)
    image[:, 8:24, 10:30] = torch.tensor([0.9, 0.5, 0.1])[:, None, None]
    config = CONFIG.replace(seed=seed, epochs=8, beta_cut=0.0)
    history = fit(make_net(config), [subject(image)], config)
    first, last = (
        {name: np.mean(history[name][part]) for name in ("loss", "rec", "sim")}
        for part in (slice(3), slice(-3, None))
    )
    assert last["loss"] < 0.6 * first["loss"]
    assert last["rec"] < 0.6 * first["rec"]
    assert last["sim"] < 0.6 * first["sim"]


def test_the_same_seed_trains_bit_by_bit_the_same(one, another):
    runs = []
    for seed in (3, 3, 4):
        net = make_net()  # the seed of the weights stays, that of the patches does not
        history = fit(net, [one, another], CONFIG.replace(seed=seed))
        runs.append((weights(net), columns(history)))
    (first, losses), (again, same_losses), (other, other_losses) = runs
    assert all(torch.equal(first[name], again[name]) for name in first)
    np.testing.assert_array_equal(losses, same_losses)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert (losses[:2] != other_losses[:2]).any()


@pytest.mark.parametrize("similarity_labels", ["argmax", "kmeans"])
def test_random_states_stay(one, similarity_labels):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    fit(make_net(), [one], ONE_STEP.replace(similarity_labels=similarity_labels))
    assert random.getstate() == states[0]
    for now, before in zip(np.random.get_state(), states[1], strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(now, before)
    assert torch.equal(torch.get_rng_state(), states[2])


def test_images_and_graphs_stay(one):
    image, graph = one.image.clone(), one.graph.clone()
    fit(make_net(), [one], CONFIG)
    assert torch.equal(one.image, image)
    assert one.graph.keys() == graph.keys()
    for key in graph.keys():  # noqa: SIM118
        assert torch.equal(torch.as_tensor(one.graph[key]), torch.as_tensor(graph[key])), key


def batch_norms(net):
    modules = net.wnet.encoder.named_modules()
    return [(name, module) for name, module in modules if isinstance(module, nn.BatchNorm2d)]


def batch_statistics(net, image):
    """Mean and variance of what each batch normalisation of the encoder gets from an image."""
    net = copy.deepcopy(net).train()
    found = {}

    def measure(name, inputs):
        pixels = inputs[0].double().transpose(0, 1).flatten(1)
        found[name] = pixels.mean(1).float(), pixels.var(1).float()

    for name, norm in batch_norms(net):
        norm.register_forward_pre_hook(lambda _, inputs, name=name: measure(name, inputs))
    with torch.no_grad():
        output = net.wnet.encode(image[None])
    return found, output


@pytest.mark.parametrize("number", [1, 2])
def test_batch_norm_knows_the_whole_images(one, another, number):
    trainings = [one, another][:number]
    net = make_net()
    fit(net, trainings, CONFIG)
    per_image = [batch_statistics(net, training.image)[0] for training in trainings]
    norms = batch_norms(net)
    assert len(norms) == 10  # two each in 2 * depth + 1 modules
    for name, norm in norms:
        mean, variance = (
            torch.stack(values).mean(0)
            for values in zip(*(statistics[name] for statistics in per_image), strict=True)
        )
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)
        assert norm.momentum == 0.1


def test_evaluation_of_the_training_image_equals_training(one):
    net = make_net()
    fit(net, [one], CONFIG)
    assert not any(module.training for module in net.modules())
    trained = batch_statistics(net.train(), one.image)[1]
    with torch.no_grad():
        evaluated = net.eval().wnet.encode(one.image[None])
    # Batch normalisation divides by n in training and by n - 1 in evaluation; n is 96 at least.
    assert (evaluated - trained).square().mean().sqrt() < 0.02 * trained.std()
    assert (evaluated.argmax(1) == trained.argmax(1)).float().mean() > 0.99


def test_every_step_is_reported(one):
    reported = []
    history = fit(make_net(), [one], CONFIG, reported.append)
    assert reported == list(history)
    assert len(reported) == CONFIG.epochs * CONFIG.minibatches


class Scale(nn.Module):
    """A head with other features than z has."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 7)

    def forward(self, x, edge_index, edge_weight):
        assert edge_index.shape == (2, len(edge_weight))
        return self.linear(x)


@pytest.mark.parametrize(
    "make_head", [Scale, lambda: GCNConv(5, 5), lambda: GraphConv(5, 6)], ids=str
)
def test_a_head_is_used_and_trained(one, make_head):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = make_head()
    net = make_net(head=head)
    before = weights(net)
    with torch.no_grad():
        x = node_means(net.train().wnet.encode(one.image[None])[0], one.graph).float()
        source, target = one.graph.edge_index
        weight = (CONFIG.tau_con * (one.graph.x[source] - one.graph.x[target]).norm(dim=1)).exp()
        weight = weight / torch.zeros(len(x)).index_add(0, target, weight)[target]
        features = head(x, one.graph.edge_index, weight)
    history = fit(net, [one], CONFIG)
    log_f = features.log_softmax(1)
    assert history["sim"][0] == pytest.approx(-log_f.max(1).values.mean().item(), rel=1e-4)
    assert history["num_labels"][0] == len(features.argmax(1).unique())
    after = weights(net)
    for name in before:
        if name.startswith("head.") or name == "wnet.encoder.head.weight":
            assert not torch.equal(after[name], before[name]), name
    assert history["sim"][-1] != history["sim"][0]


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels):
    training = subject(blocks(channels=channels))
    history = fit(make_net(channels=channels), [training], ONE_STEP)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("region", ["one node", "flat"])
def test_images_without_edges_or_contrast_train(region):
    image = blocks() if region == "one node" else torch.full((3, 32, 48), 0.5)
    graph = ToRAG(superpixels=np.zeros((32, 48), int))(image) if region == "one node" else None
    training = TrainingImage(image, graph) if graph else subject(image)
    history = fit(make_net(), [training], CONFIG)
    assert np.isfinite(columns(history)).all()
    if region == "one node":
        assert history["con"] == history["cut"] == [0.0] * 4


def test_bfloat16_on_a_cpu(one):
    config = CONFIG.replace(precision="bf16-mixed")
    net, exact = make_net(), make_net()
    history = fit(net, [one], config)
    reference = fit(exact, [one], CONFIG)
    assert np.isfinite(columns(history)).all()
    assert history["loss"][0] == pytest.approx(reference["loss"][0], rel=0.02)
    assert history["loss"][0] != reference["loss"][0]
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in net.parameters())


def test_no_images():
    with pytest.raises(InputError, match="images: there is none"):
        fit(make_net(), [], CONFIG)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(one):
    with pytest.raises(InputError, match="accelerator='gpu'"):
        fit(make_net(), [one], CONFIG.replace(accelerator="gpu"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patches": ((4, 16, 16), (4, 8, 3))}, "patches: 3 pixels .* depth=2, which needs 4"),
        ({"patches": ((4, 3, 8),)}, "patches: 3 pixels"),
        ({"patches": ((1, 8, 8), (1, 9, 9))}, "patches: 1 .* minibatches=2"),
        ({f"beta_{name}": 0.0 for name in TERMS}, "beta_rec, beta_cut, beta_sim, beta_con"),
        (
            {f"beta_{name}": 0.0 for name in TERMS[1:]} | {"reconstruction": "none"},
            "reconstruction='none'",
        ),
    ],
)
def test_a_configuration_that_cannot_train(one, changes, message):
    net = make_net()
    before = weights(net)
    with pytest.raises(InputError, match=message):
        fit(net, [one], CONFIG.replace(**changes))
    assert all(torch.equal(value, before[name]) for name, value in weights(net).items())


def test_the_smallest_patches_train(one):
    history = fit(make_net(), [one], CONFIG.replace(patches=((3, 4, 4),)))
    assert np.isfinite(history["rec"]).all()


@pytest.mark.parametrize("similarity_labels", ["argmax", "pixels", "kmeans"])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_exploding_learning_rate_is_named(one, similarity_labels, steps):
    config = CONFIG.replace(
        learning_rate=1e30, epochs=1, minibatches=steps, similarity_labels=similarity_labels
    )
    with pytest.raises(InputError, match="learning_rate=1e\\+30"):
        fit(make_net(), [one], config)


# Pixels as nodes, the paper's dense models


def dense_subject(radius=1.0):
    image = blocks(12, 14)
    return TrainingImage(image, ToPixelGraph(radius, CONFIG.tau_con)(image))


DENSE = ONE_STEP.replace(nodes="pixels", patches=((4, 8, 8),))


def dense_terms(net, image, radius):
    """The dense losses of the paper (Eqs. 1, 3 and 4) by loops over pixels."""
    with torch.no_grad():
        z = copy.deepcopy(net).train().wnet.encoder(image[None])[0].double()
    f, colors = z.softmax(0).flatten(1), image.double().flatten(1)
    pixels = list(itertools.product(range(image.size(1)), range(image.size(2))))
    W = torch.zeros(len(pixels), len(pixels), dtype=torch.double)
    for i, j in itertools.permutations(range(len(pixels)), 2):
        if math.dist(pixels[i], pixels[j]) <= radius:
            W[i, j] = math.exp(CONFIG.tau_cut * (colors[:, i] - colors[:, j]).norm())
    ratios = [(p @ W @ p) / (W.sum(0) @ p) for p in f]
    down, right = z.diff(dim=1).abs(), z.diff(dim=2).abs()
    return {
        "cut": 1 - sum(ratios) / len(ratios),
        "sim": -z.log_softmax(0).max(dim=0).values.mean(),
        "con": (down.mean() + right.mean()) / 2,
    }


@pytest.mark.parametrize("radius", [1.0, 2.5])
def test_with_pixels_as_nodes_the_losses_are_the_dense_ones(radius):
    training, net = dense_subject(radius), make_net()
    expected = dense_terms(net, training.image, radius)
    history = fit(net, [training], DENSE)
    for name, value in expected.items():
        assert history[name] == [pytest.approx(value.item(), rel=1e-4)], name
    assert history["loss"] == [
        pytest.approx(weighted({name: history[name][0] for name in TERMS}, DENSE), rel=1e-5)
    ]


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_each_model_type_has_its_terms(one, name):
    config = ONE_STEP.as_type(name, 0.5).replace(patches=((4, 8, 8),))
    history = fit(make_net(), [dense_subject() if "Dense" in name else one], config)
    wanted = {"cut"} if "NCut" in name else {"sim", "con"}
    wanted |= set() if "NoRec" in name else {"rec"}
    assert {term for term in TERMS if not math.isnan(history[term][0])} == wanted


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
@pytest.mark.parametrize("similarity_labels", ["argmax", "pixels"])
def test_pixels_are_compared_with_the_label_of_their_node(one, loss_input, similarity_labels):
    config = ONE_STEP.replace(
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


def test_for_pixels_as_nodes_both_are_the_same():
    training = dense_subject()
    first, second = (
        fit(make_net(), [training], DENSE.replace(similarity_on=on)) for on in ("nodes", "pixels")
    )
    assert first["sim"] == second["sim"]


def test_a_head_and_the_similarity_of_pixels_are_refused(one):
    net = make_net(head=GraphConv(5, 5))
    config = CONFIG.replace(similarity_on="pixels")
    with pytest.raises(InputError, match=r"similarity_on='pixels' compares .* no head"):
        fit(net, [one], config)
    assert len(fit(net, [one], config.replace(beta_sim=0.0))) == 4  # where it does not count


# The least number of labels


def test_training_ends_when_few_labels_are_left(one):
    config = CONFIG.replace(num_features=12, epochs=4, learning_rate=0.02, tau_con=0.0, seed=1)
    whole = fit(make_net(config), [one], config)
    labels = whole["num_labels"]
    least = min(labels)
    first = labels.index(least) + 1
    assert 1 < first < len(whole)
    net, steps = make_net(config), []
    history = fit(net, [one], config.replace(min_labels=least), steps.append)
    assert len(history) == len(steps) == first
    assert history["loss"] == whole["loss"][:first]
    assert not net.training
    assert len(fit(make_net(config), [one], config.replace(min_labels=12))) == 1
