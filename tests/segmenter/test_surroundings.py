"""A Segmenter does the same whatever the caller has set for torch."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from sp_graph_seg import Config, Segmenter

SMALL = {"width": 4, "depth": 2, "n_segments": 40, "patches": ((4, 16, 16),), "minibatches": 2}


@contextmanager
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SURROUNDINGS = {
    "float64": float64,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("preset", ["fast", "tomogram", "video"])
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_training_prediction_and_loading_are_the_same(preset, name, tmp_path):
    rng = np.random.default_rng(0)
    channels = 1 if preset == "tomogram" else 3
    image = np.kron(rng.random((channels, 4, 5)), np.ones((8, 8)))
    image += 0.05 * rng.normal(size=image.shape)
    config = Config.preset(preset).replace(**SMALL, epochs=2)
    expected = Segmenter(config).fit(image)
    with SURROUNDINGS[name]():
        before = torch.get_default_dtype(), torch.is_grad_enabled()
        found = Segmenter(config).fit(image)
        labels = found.predict(image)
        z = found.transform(image).z
        found.save(tmp_path / "model.safetensors")
        again = Segmenter.load(tmp_path / "model.safetensors").predict(image)
        assert (torch.get_default_dtype(), torch.is_grad_enabled()) == before
        assert torch.is_autocast_enabled("cpu") == (name == "autocast")
    np.testing.assert_array_equal(labels, expected.predict(image))
    np.testing.assert_array_equal(again, labels)
    assert torch.equal(z, expected.transform(image).z)
    np.testing.assert_array_equal(found.history_["loss"], expected.history_["loss"])
