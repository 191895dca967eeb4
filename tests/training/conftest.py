"""A tiny configuration, networks and images for the training loop."""

import numpy as np
import pytest
import torch

from sp_graph_seg import Config, ToRAG, WNet
from sp_graph_seg.nn import SuperpixelNet
from sp_graph_seg.training import TrainingImage

_CONFIG = Config(
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


def _make_net(config=_CONFIG, channels=3, head=None):
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        wnet = WNet(channels, config.num_features, config.width, config.depth)
    return SuperpixelNet(wnet, head)


def _blocks(height=32, width=48, channels=3, seed=0, noise=0.1):
    """Blocks of random colours with noise, in [0, 1]."""
    rng = np.random.default_rng(seed)
    colors = rng.random((channels, -(-height // 8), -(-width // 8)))
    image = np.kron(colors, np.ones((8, 8)))[:, :height, :width]
    image = (1 - noise) * image + noise * rng.random(image.shape)
    return torch.from_numpy(image.astype(np.float32))


def _subject(image, mask=None):
    return TrainingImage(image, ToRAG(n_segments=40, mask=mask)(image))


def _weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def _columns(history, names=("loss", "rec", "cut", "sim", "con", "num_labels")):
    return np.array([history[name] for name in names])


@pytest.fixture(scope="session")
def config():
    return _CONFIG


@pytest.fixture(scope="session")
def one_step():
    return _CONFIG.replace(epochs=1, minibatches=1)


@pytest.fixture(scope="session")
def make_net():
    return _make_net


@pytest.fixture(scope="session")
def blocks():
    return _blocks


@pytest.fixture(scope="session")
def subject():
    return _subject


@pytest.fixture(scope="session")
def one():
    return _subject(_blocks())


@pytest.fixture(scope="session")
def another():
    return _subject(_blocks(40, 36, seed=1))


@pytest.fixture(scope="session")
def weights():
    return _weights


@pytest.fixture(scope="session")
def columns():
    return _columns
