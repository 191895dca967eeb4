"""Following a training step by step, with the model as it is so far."""

import numpy as np
import pytest

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.training.follow import as_it_is, each_step

PHASES = Config.preset("tomogram").replace(
    width=4, num_features=4, patches=((32, 16, 16),), epochs=2, minibatches=2, num_labels=3
)
APPEARANCE = Config.preset("video").replace(
    width=4, depth=2, num_features=4, n_segments=60, patches=((8, 16, 16),), num_labels=3
)
ARGMAX = Config(width=4, depth=2, num_features=4, n_segments=60, epochs=2, patches=((8, 16, 16),))
REGIONS = Config.preset("photo").replace(num_labels=3)


def picture(channels):
    rng = np.random.default_rng(0)
    image = np.zeros((channels, 48, 48))
    image[:, 8:24, 8:40], image[0, 30:44, 6:42] = 1.0, 2.0
    return image + rng.normal(0, 0.05, image.shape)


@pytest.mark.parametrize(
    ("config", "channels"),
    [(PHASES, 1), (APPEARANCE, 3), (ARGMAX, 1)],
    ids=["phases", "appearance", "argmax"],
)
def test_a_followed_training_gives_the_same_model(config, channels):
    image, rows, seen = picture(channels), [], []

    def follow(row, so_far):
        rows.append(row)
        model = so_far()
        seen.append(model.predict(image))
        assert model.config_ == config
        assert model.in_channels_ == channels

    followed = Segmenter(config).fit(image, on_step=follow)
    alone = Segmenter(config).fit(image)
    assert [row["loss"] for row in rows] == alone.history_["loss"] == followed.history_["loss"]
    np.testing.assert_array_equal(followed.predict(image), alone.predict(image))
    assert all(labels.shape == (48, 48) and labels.min() >= 0 for labels in seen)
    assert all(labels.max() < alone.num_labels_ for labels in seen)


def test_the_last_model_so_far_labels_nearly_as_the_trained_one():
    image, last = picture(1), []
    segmenter = Segmenter(PHASES).fit(image, on_step=lambda _, so_far: last.append(so_far))
    model = last[-1]()  # after the training, so with its weights; batch normalisation differs
    assert np.mean(model.predict(image) == segmenter.predict(image)) > 0.95


def test_an_exception_ends_the_training_and_keeps_the_model():
    image, steps = picture(1), []
    segmenter = Segmenter(PHASES).fit(image)
    before, history = segmenter.predict(image), segmenter.history_

    def stop(row, so_far):
        steps.append(row["step"])
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        segmenter.fit(image * 5, on_step=stop)
    assert steps == [1]
    assert segmenter.history_ is history
    np.testing.assert_array_equal(segmenter.predict(image), before)


def test_without_a_training_nothing_is_followed():
    steps = []
    Segmenter(REGIONS).fit(picture(3), on_step=lambda *step: steps.append(step))
    assert steps == []


def test_a_copy_is_for_use_and_the_network_stays_in_training():
    from torch import nn

    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    copied = as_it_is(net)
    assert not copied.training
    assert net.training
    assert copied[0].weight is not net[0].weight
    assert each_step(None, lambda: None) is None
