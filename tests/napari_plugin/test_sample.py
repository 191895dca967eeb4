import numpy as np

from sp_graph_seg.napari_plugin.sample import VOXEL, make_sample, make_scan


def test_the_sample_has_its_phases_and_is_the_same_each_time():
    ((scan, about, kind),) = make_sample()
    assert (kind, scan.shape, scan.dtype) == ("image", (40, 160, 160), np.uint8)
    assert about["scale"] == (VOXEL,) * 3
    assert about["units"] == ("micrometer",) * 3
    np.testing.assert_array_equal(scan, make_scan())
    assert not np.array_equal(scan, make_scan(seed=1))
    counts, _ = np.histogram(scan, [0, 80, 120, 256])
    shares = counts / scan.size
    assert 0.08 < shares[0] < 0.2  # pores
    assert 0.5 < shares[1] < 0.75  # matrix
    assert 0.15 < shares[2] < 0.3  # grains with rims
