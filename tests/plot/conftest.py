"""An image and labels for every test of a picture."""

import numpy as np
import pytest

HEIGHT, WIDTH = 30, 40


@pytest.fixture(params=[1, 2, 3, 5], ids=lambda channels: f"C={channels}")
def image(request):
    return np.random.default_rng(0).random((request.param, HEIGHT, WIDTH), dtype=np.float32)


@pytest.fixture
def halves():
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    labels[:, WIDTH // 2 :] = 7
    return labels
