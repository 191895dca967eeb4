"""Training with pixels as nodes: the paper's dense models."""

import copy
import itertools
import math

import pytest
import torch

from sp_graph_seg.presets import MODEL_TYPES
from sp_graph_seg.training import TrainingImage, fit
from sp_graph_seg.transforms import ToPixelGraph

TERMS = ("rec", "cut", "sim", "con")


@pytest.fixture
def dense(one_step):
    return one_step.replace(nodes="pixels", patches=((4, 8, 8),))


@pytest.fixture
def dense_subject(blocks, config):
    def make(radius=1.0):
        image = blocks(12, 14)
        return TrainingImage(image, ToPixelGraph(radius, config.tau_con)(image))

    return make


def dense_terms(net, image, radius, tau_cut):
    """The dense losses of the paper (Eqs. 1, 3 and 4) by loops over pixels."""
    with torch.no_grad():
        z = copy.deepcopy(net).train().wnet.encoder(image[None])[0].double()
    f, colors = z.softmax(0).flatten(1), image.double().flatten(1)
    pixels = list(itertools.product(range(image.size(1)), range(image.size(2))))
    W = torch.zeros(len(pixels), len(pixels), dtype=torch.double)
    for i, j in itertools.permutations(range(len(pixels)), 2):
        if math.dist(pixels[i], pixels[j]) <= radius:
            W[i, j] = math.exp(tau_cut * (colors[:, i] - colors[:, j]).norm())
    ratios = [(p @ W @ p) / (W.sum(0) @ p) for p in f]
    down, right = z.diff(dim=1).abs(), z.diff(dim=2).abs()
    return {
        "cut": 1 - sum(ratios) / len(ratios),
        "sim": -z.log_softmax(0).max(dim=0).values.mean(),
        "con": (down.mean() + right.mean()) / 2,
    }


@pytest.mark.parametrize("radius", [1.0, 2.5])
def test_with_pixels_as_nodes_the_losses_are_the_dense_ones(radius, make_net, dense, dense_subject):
    training, net = dense_subject(radius), make_net()
    expected = dense_terms(net, training.image, radius, dense.tau_cut)
    history = fit(net, [training], dense)
    for name, value in expected.items():
        assert history[name] == [pytest.approx(value.item(), rel=1e-4)], name
    loss = sum(getattr(dense, f"beta_{name}") * history[name][0] for name in TERMS)
    assert history["loss"] == [pytest.approx(loss, rel=1e-5)]


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_each_model_type_has_its_terms(one, name, one_step, make_net, dense_subject):
    config = one_step.as_type(name, 0.5).replace(patches=((4, 8, 8),))
    history = fit(make_net(), [dense_subject() if "Dense" in name else one], config)
    wanted = {"cut"} if "NCut" in name else {"sim", "con"}
    wanted |= set() if "NoRec" in name else {"rec"}
    assert {term for term in TERMS if not math.isnan(history[term][0])} == wanted


def test_for_pixels_as_nodes_both_are_the_same(make_net, dense, dense_subject):
    """The similarity on nodes and that on pixels."""
    training = dense_subject()
    first, second = (
        fit(make_net(), [training], dense.replace(similarity_on=on)) for on in ("nodes", "pixels")
    )
    assert first["sim"] == second["sim"]
