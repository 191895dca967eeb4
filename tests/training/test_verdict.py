"""A training that is of no use says so, and what to change."""

import warnings

import numpy as np
import pytest
import torch

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import FewLabelsWarning, TrainingWarning
from sp_graph_seg.training import fit_blind_spot, measure_skill, seeded
from sp_graph_seg.training.history import History
from sp_graph_seg.training.verdict import warn_of_collapse, warn_of_divergence

SMALL = {"width": 4, "depth": 2, "n_segments": 40, "patches": ((8, 16, 16),), "minibatches": 2}
FAST = Config.preset("fast").replace(**SMALL, num_features=8, epochs=3, learning_rate=5e-3)
TOMOGRAM = Config.preset("tomogram").replace(**SMALL, num_features=4, epochs=1)


def blocks(channels=1, noise=0.02, side=8):
    rng = np.random.default_rng(0)
    image = np.kron(rng.random((channels, 6, 8)), np.ones((side, side)))
    return (image + noise * rng.normal(size=image.shape)).astype(np.float32)


def messages(images, config):
    """What a training warns of, by category."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Segmenter(config).fit(images)
    return [str(w.message) for w in caught if issubclass(w.category, TrainingWarning)]


def history_of(losses):
    history = History()
    for loss in losses:
        history.append({"loss": loss})
    return history


@pytest.mark.parametrize("losses", [[5.0], [5.0] * 9, [1.0, 1.9], [9, 8, 99, 7, 6], [-1, -2, -3]])
def test_losses_that_end_low_are_no_divergence(losses):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_divergence(history_of(losses), FAST)


@pytest.mark.parametrize("losses", [[1.0, 2.1], [1, 1, 1, 1e8], [-1.0, 0.5], [*range(1, 40)]])
def test_losses_that_end_high_are_a_divergence(losses):
    with pytest.warns(TrainingWarning, match=r"^learning_rate=0.005: the loss grew .* smaller"):
        warn_of_divergence(history_of(losses), FAST)


@pytest.mark.parametrize(
    ("num_labels", "most_nodes", "begins"),
    [(1, 300, "learning_rate=0.005: after training"), (1, 1, "n_segments=40: every training")],
)
def test_one_label_is_a_collapse(num_labels, most_nodes, begins):
    with pytest.warns(TrainingWarning, match=f"^{begins}"):
        warn_of_collapse(num_labels, most_nodes, FAST)


def test_a_usual_training_says_nothing():
    assert messages(blocks(3), FAST) == []


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"learning_rate": 100.0}, "learning_rate=100: the loss grew"),
        ({"n_segments": 1}, "n_segments=1: every training image has only one"),
        ({"beta_sim": 0.0, "beta_con": 1e4}, "learning_rate=0.005: after training, only"),
    ],
    ids=str,
)
def test_what_a_training_warns_of(change, begins):
    found = messages(blocks(3), FAST.replace(**{"epochs": 12} | change))
    assert any(message.startswith(begins) for message in found), found


@pytest.mark.parametrize("preset", ["fast", "photo", "video", "tomogram"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_image_is_called_so(preset, channels):
    """Also where each channel has its own value, and beside a mask that hides the rest."""
    config = Config.preset(preset)
    if config.label_by != "regions":
        config = config.replace(**SMALL, epochs=1)
    image = np.arange(channels)[:, None, None] * np.full((channels, 40, 48), 3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewLabelsWarning)
        assert messages(image, config)[0].startswith("images: all data pixels have the same")
        masked = image.copy()
        masked[:, :20] = np.nan
        assert messages([image, masked], config)[0].startswith("images: all data pixels")
        image[0, 0, 0] += 1
        assert not any(m.startswith("images:") for m in messages([masked, image], config))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_skill_is_the_error_of_hidden_pixels(channels):
    """An untrained network is worse than the mean of the neighbours; a trained one learns."""
    image = torch.from_numpy(blocks(channels))
    image = (image - image.mean()) / image.std()
    config = TOMOGRAM.replace(patches=((32, 16, 16),), epochs=30, learning_rate=5e-3)
    with seeded(0):
        from sp_graph_seg.prototypes.phases import make_blind_spot_net

        net = make_blind_spot_net(channels, config)
    before, simple = measure_skill(net.eval(), [image], [None], config)
    padded = torch.nn.functional.pad(image[None], (1, 1, 1, 1), "reflect")[0]
    height, width = image.shape[1:]
    around = sum(
        padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if i or j
    )
    everywhere = float((around / 8 - image).square().mean())
    assert everywhere / 2 < simple < 2 * everywhere  # fewer neighbours at the borders of windows
    fit_blind_spot(net, [image], [None], config, torch.device("cpu"))
    after, again = measure_skill(net, [image], [None], config)
    assert again == simple
    assert after < 0.5 * before


def test_the_skill_counts_only_data():
    image = torch.from_numpy(blocks())
    mask = torch.ones(image.shape[1:], dtype=torch.bool)
    mask[:, 40:] = False
    with seeded(0):
        from sp_graph_seg.prototypes.phases import make_blind_spot_net

        net = make_blind_spot_net(1, TOMOGRAM).eval()
    other = torch.where(mask, image, 1000.0)
    errors = measure_skill(net, [other], [mask], TOMOGRAM)
    assert max(errors) < 1e6  # of single pixels at the border of the mask


def test_a_network_that_has_not_learned_is_not_trusted():
    image = blocks(noise=0.1, side=20)
    with pytest.warns(TrainingWarning, match=r"^epochs=1, .* not used to remove noise; train with"):
        segmenter = Segmenter(TOMOGRAM).fit(image)
    assert segmenter.labeller_.blend == 1.0
    more = TOMOGRAM.replace(epochs=25, patches=((16, 16, 16),))
    assert not [line for line in messages(image, more) if "remove noise" in line]
    assert Segmenter(more).fit(image).labeller_.blend < 1.0
