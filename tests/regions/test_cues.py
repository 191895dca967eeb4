"""Gradients of pixels and histograms of regions."""

import numpy as np

from sp_graph_seg.regions.cues import HISTOGRAM_STARTS, boundary_maps, region_histograms

RNG = np.random.default_rng(0)


def test_boundaries_are_where_colour_or_texture_changes():
    lab = np.zeros((40, 60, 3))
    lab[..., 0] = 0.5
    lab[:, 30:, 1] = 0.3
    for strength in boundary_maps(lab)[:3]:
        assert strength.shape == (40, 60)
        assert 28 <= strength.mean(axis=0).argmax() <= 31
        assert strength[:, :5].max() < 1e-3
    rough = np.full((40, 60, 3), 0.5)
    rough[:, 30:, 0] += RNG.normal(0, 0.1, (40, 30))
    texture = boundary_maps(rough)[3].mean(axis=0)
    assert texture[25:35].mean() > 2 * max(texture[:10].mean(), texture[-10:].mean())


def test_histograms_are_shares_of_the_pixels_inside():
    lab = RNG.random((12, 14, 3)) - [0, 0.5, 0.5]
    labels = RNG.integers(-1, 4, (12, 14))
    tables = region_histograms(lab, labels)
    assert [table.shape[1] for table in tables] == np.diff(HISTOGRAM_STARTS).tolist()
    for table in tables:
        np.testing.assert_allclose(table.sum(axis=1), 1)
    lab[labels < 0] = [0, -0.5, -0.5]
    for table, again in zip(tables[:3], region_histograms(lab, labels), strict=False):
        assert (table == again).all()
