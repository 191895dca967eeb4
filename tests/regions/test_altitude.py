"""The cues of touching regions, and what their weights make of them."""

import numpy as np

from sp_graph_seg.regions.altitude import WEIGHTS, describe_regions, log_odds, pair_cues
from sp_graph_seg.transforms import ToMultiscale, color_space, connected_components


def test_cues_know_sizes_boundaries_and_colours(patches):
    image, truth = patches
    regions, leaves = describe_regions(ToMultiscale()(image), color_space(image, "lab"))
    assert (leaves == connected_components(leaves)).all()
    i = int(leaves[12, 12])
    others = np.array(sorted(regions.edges[i]))
    cues = dict(zip(WEIGHTS, pair_cues(regions, i, others).T, strict=True))
    sizes = np.bincount(leaves.ravel())
    small = np.minimum(sizes[i], sizes[others])
    np.testing.assert_allclose(cues["log_small"], np.log(small / leaves.size))
    faces = [
        (((leaves[1:] == i) & (leaves[:-1] == j)) | ((leaves[:-1] == i) & (leaves[1:] == j))).sum()
        + (
            ((leaves[:, 1:] == i) & (leaves[:, :-1] == j))
            | ((leaves[:, :-1] == i) & (leaves[:, 1:] == j))
        ).sum()
        for j in others
    ]
    np.testing.assert_allclose(cues["rim"], faces / np.sqrt(small))
    own = truth[leaves == i][0]
    for number, j in enumerate(others):
        is_other = truth[leaves == j][0] != own
        assert (cues["lightness"][number] > 0.5) == is_other
    assert np.isfinite(log_odds(regions, i, others)).all()
