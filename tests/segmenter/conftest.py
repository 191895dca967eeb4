"""A tiny image, a Segmenter trained on it, and what the documentation says of its features."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.segmenter import segmenter as module

_CONFIG = Config(
    num_features=6,
    width=4,
    depth=2,
    n_segments=60,
    patches=((4, 16, 16),),
    epochs=2,
    minibatches=2,
    learning_rate=1e-2,
    accelerator="cpu",
)


def _blocks(height=32, width=48, channels=3, seed=0):
    """Blocks of random colours with noise: whole numbers from 0 to 255 divided by 255, float32."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 230, (channels, -(-height // 8), -(-width // 8)))
    image = np.kron(colors, np.ones((8, 8), int))[:, :height, :width]
    image = image + rng.integers(0, 26, image.shape)
    return image.astype(np.float32) / np.float32(255)


def _learned_features(segmenter, image, pixel_index):
    """z of the nodes as the documentation has it: scale, encode, scale back, average."""
    config = segmenter.config
    low, high = segmenter.intensity_range_
    tensor = ((torch.from_numpy(image) - low) / (high - low)).clamp(0, 1)[None]
    height, width = image.shape[1:]
    if 0 < config.max_size < max(height, width):
        factor = config.max_size / max(height, width)
        size = [round(height * factor), round(width * factor)]
        tensor = F.interpolate(tensor, size, mode="bilinear", antialias=True)
    with torch.no_grad():
        z = copy.deepcopy(segmenter.net_).eval().wnet.encoder(tensor)
    z = F.interpolate(z, (height, width), mode="bilinear")[0].flatten(1)
    nodes = range(int(pixel_index.max()) + 1)
    return torch.stack([z[:, pixel_index == node].mean(1) for node in nodes])


@pytest.fixture(scope="session")
def config():
    return _CONFIG


@pytest.fixture(scope="session")
def blocks():
    return _blocks


@pytest.fixture(scope="session")
def learned_features():
    return _learned_features


@pytest.fixture(scope="session")
def image():
    """Blocks of 3x32x48; no test may change them."""
    return _blocks()


@pytest.fixture(scope="session")
def fitted():
    """A trained model; no test may change it."""
    return Segmenter(_CONFIG).fit(_blocks())


@pytest.fixture
def seen(monkeypatch):
    """What the Segmenter hands to the training loop."""
    trainings = []

    def fit(net, images, *arguments):
        trainings.extend(images)
        return original(net, images, *arguments)

    original = module.fit
    monkeypatch.setattr(module, "fit", fit)
    return trainings
