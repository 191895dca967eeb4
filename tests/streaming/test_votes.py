import numpy as np
import pytest

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming import vote_axes


@pytest.fixture(scope="module")
def volume():
    noise = np.random.default_rng(0).random((1, 16, 20, 24)).astype(np.float32)
    noise[:, 4:12, 5:15, 6:18] += 2.0
    return noise


@pytest.fixture(scope="module")
def segmenter(volume, config):
    return Segmenter(config).fit(volume[:, 8])


def test_one_axis_is_slice_by_slice(segmenter, volume):
    for position, axis in enumerate("zyx"):
        images = np.moveaxis(volume, 1 + position, 0)
        expected = np.stack([segmenter.predict(image) for image in images])
        labels = np.moveaxis(vote_axes(segmenter, volume, axis), position, 0)
        assert (labels == expected).mean() > 0.999  # votes have 16 bits


def test_turning_the_volume_turns_the_labels(segmenter, volume):
    turned = volume.transpose(0, 1, 3, 2)
    labels, of_turned = vote_axes(segmenter, volume, "yx"), vote_axes(segmenter, turned, "xy")
    assert (labels == of_turned.transpose(0, 2, 1)).mean() > 0.999


def test_a_voxel_gets_the_label_of_the_best_mean_probability(segmenter, volume):
    total = 0.0
    for position in range(3):
        graphs = [segmenter.transform(image) for image in np.moveaxis(volume, 1 + position, 0)]
        images = [
            g.z.softmax(-1)[g.pixel_index].T.reshape(-1, *g.image_size[0].tolist()).numpy()
            for g in graphs
        ]
        total = total + np.stack(images, axis=1 + position) / 3  # (F, D, H, W)
    assert (vote_axes(segmenter, volume) == total.argmax(axis=0)).mean() > 0.999


@pytest.mark.parametrize(
    ("change", "axes", "named"),
    [
        (lambda v: v[0], "zyx", "volume"),
        (lambda v: (v * 100).astype(np.uint16), "zyx", "volume"),
        (lambda v: v, "zz", "axes"),
        (lambda v: v, "", "axes"),
        (lambda v: v, "zt", "axes"),
    ],
)
def test_what_cannot_be_voted_on(segmenter, volume, change, axes, named):
    with pytest.raises(InputError, match=named):
        vote_axes(segmenter, change(volume), axes)
