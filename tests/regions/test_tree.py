"""Cuts and contours of a tree that is made by hand or at random."""

import numpy as np
import pytest

from sp_graph_seg.errors import FewLabelsWarning, InputError
from sp_graph_seg.evaluation import ucm2_labels
from sp_graph_seg.regions import RegionTree
from sp_graph_seg.transforms import connected_components

TREE = RegionTree(
    children=np.array([[0, 1], [3, 2], [4, 5]]),
    altitude=np.array([0.2, 0.6, 0.8]),
    leaves=np.array([[0, 1, 2, 3], [0, 1, 2, -1]]),
)


def random_tree(size, seed):
    """Patches of 4-connected pixels that merge with a neighbour at random."""
    rng = np.random.default_rng(seed)
    leaves = connected_components(rng.integers(0, 3, size))
    now, children = leaves.copy(), []
    num = int(leaves.max()) + 1
    while len(np.unique(now)) > 1:
        sides = np.concatenate(
            [
                np.stack([now[:, 1:].ravel(), now[:, :-1].ravel()], axis=1),
                np.stack([now[1:].ravel(), now[:-1].ravel()], axis=1),
            ]
        )
        sides = sides[sides[:, 0] != sides[:, 1]]
        i, j = sides[rng.integers(len(sides))]
        now[(now == i) | (now == j)] = num + len(children)
        children.append([i, j])
    altitude = np.sort(rng.random(len(children)))
    return RegionTree(np.array(children), altitude, leaves)


def is_same_partition(one, other):
    pairs = len(set(zip(one.ravel(), other.ravel(), strict=True)))
    return pairs == len(np.unique(one)) == len(np.unique(other))


def test_a_number_of_regions_is_what_is_cut():
    assert TREE.cut(num_regions=4).tolist() == [[0, 1, 2, 3], [0, 1, 2, -1]]
    assert TREE.cut(num_regions=3).tolist() == [[2, 2, 0, 1], [2, 2, 0, -1]]
    assert TREE.cut(num_regions=2).tolist() == [[0, 0, 1, 1], [0, 0, 1, -1]]
    assert TREE.cut(num_regions=1).tolist() == [[0, 0, 0, 0], [0, 0, 0, -1]]


@pytest.mark.parametrize(
    ("threshold", "num_regions"), [(0, 4), (0.2, 3), (0.5, 3), (0.6, 2), (0.79, 2), (1, 1)]
)
def test_a_threshold_undoes_what_lies_above_it(threshold, num_regions):
    assert (TREE.cut(threshold=threshold) == TREE.cut(num_regions=num_regions)).all()


def test_more_regions_than_there_are_give_all_with_a_warning():
    with pytest.warns(FewLabelsWarning, match="num_regions=9: the image has only 4 regions"):
        regions = TREE.cut(num_regions=9)
    assert (regions == TREE.cut(num_regions=4)).all()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"num_regions": 0}, "num_regions=0 is too small"),
        ({"threshold": 1.5}, "threshold=1.5 is not a probability"),
        ({"threshold": float("nan")}, "threshold=nan is not a probability"),
        ({"num_regions": 2, "threshold": 0.5}, "num_regions, threshold: both are given"),
    ],
)
def test_what_cannot_be_cut_is_refused(wish, message):
    with pytest.raises(InputError, match=f"^{message}"):
        TREE.cut(**wish)


@pytest.mark.parametrize(
    ("altitudes", "num_regions"),
    [
        (np.full(40, 0.1), 10),  # none is likely
        (np.r_[np.full(26, 0.1), np.full(14, 0.6)], 15),
        (np.full(40, 0.6), 26),  # all are, but not sure
        (np.r_[np.full(10, 0.6), np.full(30, 0.9)], 31),  # sure
        (np.full(3, 0.1), 4),  # no more leaves
    ],
)
def test_without_a_wish_there_are_10_to_26_regions_and_all_that_are_sure(altitudes, num_regions):
    num = len(altitudes) + 1
    children = np.array([[t if t == 0 else num + t - 1, t + 1] for t in range(num - 1)])
    tree = RegionTree(children, altitudes, np.arange(num)[None])
    assert len(np.unique(tree.cut())) == num_regions


@pytest.mark.parametrize("seed", range(3))
def test_cuts_of_the_contour_map_are_cuts_of_the_tree(seed):
    tree = random_tree((7, 9), seed)
    ucm = tree.ucm()
    assert ucm.shape == (15, 19)
    for threshold in (0, *tree.altitude[::4], 0.5, 1):
        cut = tree.cut(threshold=threshold)
        assert is_same_partition(ucm2_labels(ucm, threshold), cut)


def test_the_contour_map_has_the_rim_of_the_data():
    ucm = TREE.ucm()
    assert ucm[1::2, 1::2].max() == 0  # pixels
    assert ucm[1, 2:-1:2].tolist() == [0.2, 0.8, 0.6]
    assert ucm[2, 7] == ucm[3, 6] == 1


def test_a_single_leaf_is_one_region():
    tree = RegionTree(np.zeros((0, 2), int), np.zeros(0), np.zeros((3, 4), int))
    assert not tree.cut().any()
    assert not tree.cut(threshold=0).any()
    assert not tree.ucm().any()


def test_contours_of_a_volume_are_those_of_its_slices_where_these_do_not_differ():
    flat = random_tree((5, 6), 3)
    solid = RegionTree(flat.children, flat.altitude, np.stack([flat.leaves] * 2))
    ucm = solid.ucm()
    assert ucm.shape == (5, 11, 13)
    assert (ucm[1] == flat.ucm()).all()
    assert (ucm[2, 1:-1:2, 1:-1:2] == 0).all()  # between equal slices
    assert (ucm[2] == ucm[1]).all()
    assert (solid.contours() == flat.contours()).all()


def test_a_tree_is_stored_whole(tmp_path):
    tree = random_tree((5, 6), 1)
    path = tmp_path / "tree.npz"
    tree.save(path, made_of="a")
    again = RegionTree.load(path, made_of="a")
    for name in ("children", "altitude", "leaves"):
        assert (getattr(again, name) == getattr(tree, name)).all()
    assert [file.name for file in tmp_path.iterdir()] == ["tree.npz"]
    with pytest.raises(InputError, match=r"npz: holds the tree of another image"):
        RegionTree.load(path, made_of="b")
    path.write_bytes(path.read_bytes()[:-30])
    for bad in (path, tmp_path / "missing.npz"):
        with pytest.raises(InputError, match=r"npz: holds no region tree"):
            RegionTree.load(bad)
