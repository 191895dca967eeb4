"""A data set of two tiny photographs, and a configuration that trains on them in no time."""

import numpy as np
import pytest
from PIL import Image

from sp_graph_seg import Config
from sp_graph_seg.experiments import Job, Method, find_photos

SIZE = 48


def _scene(seed):
    """A bright disc on a dark ground, and the labels of who sees it, and of who sees a bar too."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    disc = np.hypot(y - 24, x - 20 - 4 * seed) < 12
    colors = np.where(disc[..., None], [200, 120, 60], [40, 60, 90]) + rng.normal(
        0, 8, (SIZE, SIZE, 3)
    )
    return np.uint8(colors.clip(0, 255)), np.int64(disc), np.where(y < 8, 2, np.int64(disc))


def _save_seg(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = labels.shape
    lines = [f"width {width}", f"height {height}", f"segments {labels.max() + 1}", "data"]
    lines += [f"{label} {row} {column} {column}" for (row, column), label in np.ndenumerate(labels)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def dataset(tmp_path):
    """The layout of BSDS300: images 10 and 7, annotators 3 and 12."""
    root = tmp_path / "BSDS300"
    (root / "images/test").mkdir(parents=True)
    for seed, name in enumerate(("10", "7")):
        image, disc, with_bar = _scene(seed)
        Image.fromarray(image).save(root / f"images/test/{name}.jpg", quality=95)
        _save_seg(root / f"human/color/3/{name}.seg", disc)
        _save_seg(root / f"human/color/12/{name}.seg", with_bar)
    return root


@pytest.fixture
def photos(dataset):
    return find_photos(dataset, "test")


@pytest.fixture
def quick():
    small = {"width": 4, "depth": 2, "num_features": 4, "n_segments": 40}
    return Config(**small, epochs=1, minibatches=1, patches=((2, 16, 16),))


@pytest.fixture
def make_job(photos, quick, tmp_path):
    def make(kind="KMeans-Pixels", setting=3.0, seed=0, photo=photos[0], **changes):
        config = quick.replace(**changes)
        method = Method(name=kind, kind=kind, settings=(setting,), config=config)
        return Job(photo, method, setting, seed, tmp_path / "out")

    return make
