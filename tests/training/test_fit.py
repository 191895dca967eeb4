"""The training loop: its random numbers, its statistics, and what it refuses."""

import copy
import random
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GraphConv

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.training import TrainingImage, count_steps, fit

module = import_module("sp_graph_seg.training.fit")

TERMS = ("rec", "cut", "sim", "con")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loss_of_a_simple_image_decreases(seed, config, make_net, subject):
    image = torch.zeros(3, 32, 40)
    image[:, 8:24, 10:30] = torch.tensor([0.9, 0.5, 0.1])[:, None, None]
    config = config.replace(seed=seed, epochs=16, beta_cut=0.0)
    history = fit(make_net(config), [subject(image)], config)
    first, last = (
        {name: np.mean(history[name][part]) for name in ("loss", "rec", "sim")}
        for part in (slice(3), slice(-3, None))
    )
    assert last["loss"] < 0.6 * first["loss"]
    assert last["rec"] < 0.6 * first["rec"]
    assert last["sim"] < 0.6 * first["sim"]


def test_the_same_seed_trains_bit_by_bit_the_same(one, another, config, make_net, weights, columns):
    runs = []
    for seed in (3, 3, 4):
        net = make_net()  # the seed of the weights stays, that of the patches does not
        history = fit(net, [one, another], config.replace(seed=seed))
        runs.append((weights(net), columns(history)))
    (first, losses), (again, same_losses), (other, other_losses) = runs
    assert all(torch.equal(first[name], again[name]) for name in first)
    np.testing.assert_array_equal(losses, same_losses)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert (losses[:2] != other_losses[:2]).any()


@pytest.mark.parametrize("similarity_labels", ["argmax", "kmeans"])
def test_random_states_stay(one, similarity_labels, one_step, make_net):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    fit(make_net(), [one], one_step.replace(similarity_labels=similarity_labels))
    assert random.getstate() == states[0]
    for now, before in zip(np.random.get_state(), states[1], strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(now, before)
    assert torch.equal(torch.get_rng_state(), states[2])


def test_images_and_graphs_stay(one, config, make_net):
    image, graph = one.image.clone(), one.graph.clone()
    fit(make_net(), [one], config)
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
def test_batch_norm_knows_the_whole_images(one, another, number, config, make_net):
    trainings = [one, another][:number]
    net = make_net()
    fit(net, trainings, config)
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


def test_evaluation_of_the_training_image_equals_training(one, config, make_net):
    net = make_net()
    fit(net, [one], config)
    assert not any(module.training for module in net.modules())
    trained = batch_statistics(net.train(), one.image)[1]
    with torch.no_grad():
        evaluated = net.eval().wnet.encode(one.image[None])
    # Batch normalisation divides by n in training and by n - 1 in evaluation; n is 96 at least.
    assert (evaluated - trained).square().mean().sqrt() < 0.02 * trained.std()
    assert (evaluated.argmax(1) == trained.argmax(1)).float().mean() > 0.99


def test_every_step_is_reported(one, config, make_net):
    reported = []
    history = fit(make_net(), [one], config, reported.append)
    assert reported == list(history)
    assert len(reported) == config.epochs * config.minibatches


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels, one_step, make_net, blocks, subject):
    training = subject(blocks(channels=channels))
    history = fit(make_net(channels=channels), [training], one_step)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("region", ["one node", "flat"])
def test_images_without_edges_or_contrast_train(region, config, make_net, blocks, subject, columns):
    image = blocks() if region == "one node" else torch.full((3, 32, 48), 0.5)
    graph = ToRAG(superpixels=np.zeros((32, 48), int))(image) if region == "one node" else None
    training = TrainingImage(image, graph) if graph else subject(image)
    history = fit(make_net(), [training], config)
    assert np.isfinite(columns(history)).all()
    if region == "one node":
        assert history["con"] == history["cut"] == [0.0] * 4


def test_bfloat16_on_a_cpu(one, config, make_net, columns):
    half = config.replace(precision="bf16-mixed")
    net, exact = make_net(), make_net()
    history = fit(net, [one], half)
    reference = fit(exact, [one], config)
    assert np.isfinite(columns(history)).all()
    assert history["loss"][0] == pytest.approx(reference["loss"][0], rel=0.02)
    assert history["loss"][0] != reference["loss"][0]
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in net.parameters())


def test_images_in_mini_batches_have_all_their_turns(
    one, another, config, make_net, subject, blocks
):
    """In an epoch each image is in ``minibatches`` steps, whatever the size of the steps."""
    images = [one, another, subject(blocks(32, 32, seed=2))]
    config = config.replace(images_per_step=2, epochs=3, minibatches=2)
    seen = []
    original = module.backward_all

    def recorded(net, turns, *rest):
        seen.append([images[number].graph.num_nodes for number in find(turns)])
        return original(net, turns, *rest)

    def find(turns):
        sizes = [training.graph.num_nodes for training in images]
        return [sizes.index(subject.graph.num_nodes) for subject, _ in turns]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "backward_all", recorded)
        history = fit(make_net(), images, config)
    sizes = sorted(training.graph.num_nodes for training in images)
    assert len(set(sizes)) == 3
    assert len(history) == len(seen) == count_steps(config, 3) == 3 * 2 * 2
    assert [len(step) for step in seen] == [2, 1] * 6
    turns = [sorted(seen[n] + seen[n + 1]) for n in range(0, len(seen), 2)]
    assert turns == [sizes] * 6
    assert len({tuple(seen[n] + seen[n + 1]) for n in range(0, len(seen), 2)}) > 1  # shuffled
    assert history["epoch"] == [1] * 4 + [2] * 4 + [3] * 4


@pytest.mark.parametrize("images_per_step", [2, 3, 100])
def test_all_images_in_a_step_are_the_plain_training(
    one, another, config, make_net, columns, images_per_step
):
    expected = fit(make_net(), [one, another], config)
    other = fit(make_net(), [one, another], config.replace(images_per_step=images_per_step))
    np.testing.assert_array_equal(columns(other), columns(expected))


def test_no_images(config, make_net):
    with pytest.raises(InputError, match="images: the sequence is empty"):
        fit(make_net(), [], config)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(one, config, make_net):
    with pytest.raises(InputError, match="accelerator='gpu'"):
        fit(make_net(), [one], config.replace(accelerator="gpu"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patches": ((4, 16, 16), (4, 8, 3))}, "patches: 3 pixels .* depth=2, which .* least 4"),
        ({"patches": ((4, 3, 8),)}, "patches: 3 pixels"),
        ({"patches": ((1, 8, 8), (1, 9, 9))}, "patches: 1 .* minibatches=2"),
        ({f"beta_{name}": 0.0 for name in TERMS}, "beta_rec, beta_cut, beta_sim, beta_con"),
        (
            {f"beta_{name}": 0.0 for name in TERMS[1:]} | {"reconstruction": "none"},
            "reconstruction='none'",
        ),
    ],
)
def test_a_configuration_that_cannot_train(one, changes, message, config, make_net, weights):
    net = make_net()
    before = weights(net)
    with pytest.raises(InputError, match=message):
        fit(net, [one], config.replace(**changes))
    assert all(torch.equal(value, before[name]) for name, value in weights(net).items())


@pytest.mark.parametrize("similarity_labels", ["argmax", "pixels", "kmeans"])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_exploding_learning_rate_is_named(one, similarity_labels, steps, config, make_net):
    config = config.replace(
        learning_rate=1e30, epochs=1, minibatches=steps, similarity_labels=similarity_labels
    )
    with pytest.raises(InputError, match="learning_rate=1e\\+30"):
        fit(make_net(), [one], config)


def test_a_head_and_the_similarity_of_pixels_are_refused(one, config, make_net):
    net = make_net(head=GraphConv(5, 5))
    config = config.replace(similarity_on="pixels")
    with pytest.raises(InputError, match=r"similarity_on='pixels' cannot be used with a head"):
        fit(net, [one], config)
    assert len(fit(net, [one], config.replace(beta_sim=0.0))) == 4  # where it does not count


def test_training_ends_when_few_labels_are_left(one, config, make_net):
    config = config.replace(num_features=12, epochs=4, learning_rate=0.02, tau_con=0.0, seed=1)
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
