"""Each step against loops or scipy.ndimage, and the laws that a clean-up has to keep."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import (
    Relabel,
    read_relabel,
    relabel_to_yaml,
    starter_yaml,
)

UNLABELLED = 9
EXAMPLE = """\
labels:
  0: {name: background, color: "#202020"}
  3: {name: grain, color: orange}
merge: {0: [1, 5], 3: [4]}
remove_small: {grain: 50}
fill_holes: [grain]
keep_largest: []
smooth: 1
"""


def label_images(labels=(0, 1, 2, 3, UNLABELLED), dtype=np.uint8):
    shapes = array_shapes(min_dims=2, max_dims=3, max_side=9)
    return arrays(dtype, shapes, elements=st.sampled_from(labels))


def component_sizes(labels, label):
    components, _ = ndimage.label(labels == label)
    return sorted(np.bincount(components.ravel())[1:].tolist())


# Steps


@given(label_images(), st.sampled_from([{}, {"unlabelled": UNLABELLED}, {"labels": {2: None}}]))
def test_an_empty_description_changes_nothing(labels, values):
    before = labels.copy()
    result = Relabel(**values).apply(labels)
    np.testing.assert_array_equal(result, before)
    assert result.dtype == labels.dtype
    assert not np.shares_memory(result, labels)


STEPS = [
    {"smooth": 1},
    {"remove_small": {1: 4, 2: 3}},
    {"fill_holes": [1, 2]},
    {"keep_largest": [0, 2]},
]
EVERYTHING = {"merge": {2: [0], 3: [1]}, "smooth": 1, "remove_small": {2: 5, 3: 2}}
EVERYTHING |= {"fill_holes": [3], "keep_largest": [2]}


@given(label_images(), st.sampled_from([*STEPS, EVERYTHING]))
def test_unlabelled_pixels_stay_and_do_not_spread_and_no_label_is_new(labels, values):
    before = labels.copy()
    relabel = Relabel(**values, unlabelled=UNLABELLED)
    result = relabel.apply(labels)
    np.testing.assert_array_equal(labels, before)  # pure
    np.testing.assert_array_equal(result == UNLABELLED, labels == UNLABELLED)
    assert set(np.unique(result)) <= set(np.unique(Relabel(merge=relabel.merge).apply(labels)))


@given(label_images(), st.sampled_from([{"merge": {0: [2], 3: [1]}}, *STEPS[1:]]))
def test_steps_are_idempotent(labels, values):
    relabel = Relabel(**values, unlabelled=UNLABELLED)
    once = relabel.apply(labels)
    np.testing.assert_array_equal(relabel.apply(once), once)


@given(label_images(labels=range(6)), st.permutations(range(6)))
def test_merge_commutes_with_a_permutation_of_the_labels(labels, order):
    order = np.array(order, dtype=np.uint8)
    merge = {0: [1, 5], 3: [4]}
    permuted = {int(order[t]): [int(order[s]) for s in sources] for t, sources in merge.items()}
    expected = order[Relabel(merge=merge).apply(labels)]
    np.testing.assert_array_equal(Relabel(merge=permuted).apply(order[labels]), expected)


def test_labels_that_swap_their_numbers_are_not_mixed_up():
    """Merging looks at the labels given, never at those it has just written."""
    labels = np.array([[0, 1, 2, 3]])
    assert Relabel(merge={1: [3], 0: [2]}).apply(labels).tolist() == [[0, 1, 0, 1]]
    assert Relabel(merge={1: [1, 2]}).apply(labels).tolist() == [[0, 1, 1, 3]]


@given(label_images(), st.integers(1, 3))
def test_smooth_is_the_majority_in_the_window(labels, radius):
    result = Relabel(smooth=radius, unlabelled=UNLABELLED).apply(labels)
    for pixel in np.ndindex(labels.shape):
        if labels[pixel] == UNLABELLED:
            continue
        window = labels[tuple(slice(max(i - radius, 0), i + radius + 1) for i in pixel)]
        counts = np.bincount(window[window != UNLABELLED])
        winners = np.flatnonzero(counts == counts.max())
        expected = labels[pixel] if labels[pixel] in winners else winners[0]
        assert result[pixel] == expected


@given(label_images(), st.integers(0, 30))
def test_remove_small_keeps_what_is_large_enough(labels, size):
    result = Relabel(remove_small={1: size}, unlabelled=UNLABELLED).apply(labels)
    components, count = ndimage.label(labels == 1)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    small = (sizes < size)[components] & (components > 0)
    np.testing.assert_array_equal(result[~small], labels[~small])
    # What is left of the small ones has nothing around it that it could become.
    left = small & (result == 1)
    around = ndimage.binary_dilation(left) & ~left
    assert (labels[around] == UNLABELLED).all()
    assert [n for n in component_sizes(result, 1) if n < size] == component_sizes(
        np.where(left, 1, 0), 1
    )


def test_a_part_of_just_the_least_size_stays():
    labels = np.array([[1, 1, 1, 0, 1, 1, 0, 1]])
    assert Relabel(remove_small={1: 2}).apply(labels).tolist() == [[1, 1, 1, 0, 1, 1, 0, 0]]
    assert Relabel(remove_small={1: 3}).apply(labels).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]]


def test_removed_pixels_take_the_most_frequent_label_around_them():
    labels = np.full((7, 7), 3)
    labels[:, 3:] = 1
    labels[2, 2:4] = 5  # one pixel among 3, one among 1
    labels[6, 0] = 5
    result = Relabel(remove_small={5: 3}).apply(labels)
    expected = np.full((7, 7), 3)
    expected[:, 3:] = 1
    np.testing.assert_array_equal(result, expected)


def test_removed_pixels_are_filled_from_the_rim_inwards():
    labels = np.array([[1, 5, 5, 5, 5, 5, 2]])
    # The pixel in the middle is reached from both sides: the smaller label.
    assert Relabel(remove_small={5: 6}).apply(labels).tolist() == [[1, 1, 1, 1, 2, 2, 2]]


def test_an_image_of_removed_pixels_alone_stays():
    labels = np.full((3, 4), 5, dtype=np.uint16)
    np.testing.assert_array_equal(Relabel(remove_small={5: 99}).apply(labels), labels)


@given(label_images())
def test_fill_holes_is_that_of_scipy(labels):
    result = Relabel(fill_holes=[1], unlabelled=UNLABELLED).apply(labels)
    holes = ndimage.binary_fill_holes(labels == 1) & (labels != UNLABELLED)
    np.testing.assert_array_equal(result, np.where(holes, 1, labels))


@given(label_images())
def test_keep_largest_leaves_one_component(labels):
    result = Relabel(keep_largest=[1, 2]).apply(labels)
    for label in (1, 2):
        before, after = component_sizes(labels, label), component_sizes(result, label)
        assert len(after) == min(len(before), 1)
        assert not before or after[0] >= before[-1]


def test_a_volume_is_cleaned_in_3d_and_its_slices_in_2d():
    volume = np.zeros((3, 5, 5), dtype=np.uint8)
    volume[:, 2, 2] = 1  # 3 voxels, one in a slice
    relabel = Relabel(remove_small={1: 2})
    np.testing.assert_array_equal(relabel.apply(volume), volume)
    assert not np.stack([relabel.apply(image) for image in volume]).any()


def test_components_touch_with_faces_only():
    labels = np.eye(4, dtype=int)
    assert not Relabel(remove_small={1: 2}).apply(labels).any()


@pytest.mark.parametrize("unlabelled", [-1, 255, 65535])
def test_unlabelled_may_be_any_value(unlabelled):
    labels = np.array([[0, 0, 0], [0, 7, unlabelled], [0, 0, 0]])
    relabel = Relabel(remove_small={7: 5}, keep_largest=[0], smooth=1, unlabelled=unlabelled)
    assert relabel.apply(labels).tolist() == [[0, 0, 0], [0, 0, unlabelled], [0, 0, 0]]


def test_a_label_that_is_not_there_may_be_larger_than_the_type():
    relabel = Relabel(remove_small={300: 5}, fill_holes=[300], keep_largest=[300], unlabelled=65535)
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(relabel.apply(labels), labels)


def test_booleans_become_labels():
    result = Relabel(merge={3: [1]}).apply(np.array([[True, False]]))
    assert (result.tolist(), result.dtype) == ([[3, 0]], np.uint8)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros((2, 2)), "an array of float64"),
        (np.zeros(3, int), "shape"),
        (np.zeros((0, 2), int), "shape"),
        (np.array([[-1, 0]]), "the smallest label is -1"),
    ],
)
def test_apply_refuses(labels, reason):
    with pytest.raises(InputError, match=rf"^labels: .*{reason}"):
        Relabel().apply(labels)


def test_a_target_must_fit_the_type():
    with pytest.raises(InputError, match=r"^merge: label 300 does not fit labels of type uint8"):
        Relabel(merge={300: [1]}).apply(np.ones((2, 2), np.uint8))


# Descriptions and their files


def test_the_example(tmp_path):
    (tmp_path / "map.yaml").write_text(EXAMPLE)
    relabel = read_relabel(tmp_path / "map.yaml")
    assert relabel == Relabel(
        labels={
            0: {"name": "background", "color": "#202020"},
            3: {"name": "grain", "color": "#ffa500"},
        },
        merge={"background": [1, 5], "grain": [4]},
        remove_small={3: 50},
        fill_holes=[3],
        smooth=1,
    )
    assert relabel.names == {0: "background", 3: "grain"}
    assert relabel.colors == {0: "#202020", 3: "#ffa500"}
    assert relabel.merge == {0: (1, 5), 3: (4,)}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"unlabelled": 0},
        {"labels": {7: {"name": "äther: #1"}, 2: {"color": "red"}, 4: {}}, "smooth": 2},
        {"merge": {1: [2, 3]}, "remove_small": {1: 0}, "keep_largest": [1], "fill_holes": [5, 1]},
    ],
)
def test_yaml_and_json_give_back_the_description(tmp_path, values):
    relabel = Relabel(**values)
    (tmp_path / "map.yaml").write_text(relabel_to_yaml(relabel), encoding="utf-8")
    assert read_relabel(tmp_path / "map.yaml") == relabel
    assert Relabel.from_dict(json.loads(json.dumps(relabel.to_dict()))) == relabel


def test_a_description_says_only_what_it_does():
    assert Relabel(merge={0: [0]}, smooth=0, fill_holes=[]).to_dict() == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("remove_smal: {1: 3}", "'remove_smal': this key is unknown; did you mean 'remove_small'"),
        ("cleaning: 1", "'cleaning': this key is unknown; use labels, merge"),
        ("merge: {0: [4], 3: [4]}", "merge: label 4 is merged twice, into 0 and 3"),
        ("merge: {0: [1], 1: [2]}", "merge: label 1 is merged into 0, but other labels are"),
        ("merge: {0: [1], 0: [2]}", "0 is listed twice in the mapping that begins at line 1"),
        ("labels: {0: {name: a}}\nmerge: {0: [1], a: [2]}", "merge: two entries have the target 0"),
        ("merge: {0: 1}", r"merge: 1 is not a list of labels; write \[1\]"),
        ("merge: [0, 1]", r"merge: \[0, 1\] is not a mapping"),
        (
            "labels: {3: {name: grain}}\nfill_holes: [grian]",
            "fill_holes: the label 'grian' is unknown; did",
        ),
        (
            "fill_holes: [grain]",
            "fill_holes: the label 'grain' is unknown; give it a number and a name",
        ),
        ("fill_holes: [-1]", "fill_holes: the label -1 is unknown"),
        ("fill_holes: 3", "fill_holes: 3 is not a list"),
        ("keep_largest: [2.5]", "keep_largest: the label 2.5 is unknown"),
        ("remove_small: {3: -1}", "remove_small: the size for label 3 is -1; give a whole number"),
        ("remove_small: {3: many}", "remove_small: the size for label 3 is 'many'; give"),
        ("remove_small: {3: 1, '3': 2}", "remove_small: two entries give a size for label 3"),
        ("merge: {0: [3]}\nremove_small: {3: 5}", "remove_small: label 3 cannot be used, .* use 0"),
        ("smooth: -1", "smooth: the radius is -1"),
        ("smooth: true", "smooth: the radius is True"),
        ("unlabelled: none", "unlabelled: 'none' is not a whole number"),
        ("unlabelled: 3\nfill_holes: [3]", "unlabelled: 3 is also used as a label by another key"),
        ("labels: {grain: 3}", "labels: 'grain' is not the number of a label"),
        ("labels: {3: grain}", "labels: label 3: 'grain' is not a mapping"),
        (
            "labels: {3: {nam: grain}}",
            "labels: label 3 has the unknown key 'nam'; use only name and color",
        ),
        ("labels: {3: {name: no}}", "labels: label 3 has the name False, .* in quotes"),
        ("labels: {3: {name: '4'}}", "labels: label 3 has the name '4', which is a number"),
        ("labels: {3: {name: ''}}", "labels: label 3 has an empty name; write a name, or delete"),
        ("labels: {3: {name: 'a  b'}}", "labels: label 3 has the name 'a  b', which has extra"),
        ("labels: {1: {name: a}, 5: {name: a}}", r"1 and 5 have the same .* merge: {1: \[5\]}"),
        (
            "labels:\n  3: {color: greenish}",
            "label 3 has the color 'greenish', which is unknown; write",
        ),
        ("labels:\n  3:\n    color: #ff0000", "label 3 has the color None, .*; write .* in quotes"),
        ("labels: {3: {}, '3': {}}", "labels: two entries describe label 3"),
        ("grain", "is not a mapping of names to values; write lines"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file_the_key_and_the_remedy(tmp_path, text, reason):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_relabel(tmp_path / "map.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'map.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_empty_one(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml: cannot be read \(No such file"):
        read_relabel(tmp_path / "none.yaml")
    (tmp_path / "map.yaml").write_text("# nothing yet\n")
    assert read_relabel(tmp_path / "map.yaml") == Relabel()


def test_the_starter_changes_nothing_until_its_steps_are_uncommented(tmp_path):
    counts, colors = {0: 750, 3: 249, 7: 1}, {0: "#202020", 3: "#ffa500", 7: "#00ff00"}
    text = starter_yaml(counts, colors)
    assert '3: {name: label 3, color: "#ffa500"}  # 24.9 % of the pixels' in text
    (tmp_path / "map.yaml").write_text(text)
    relabel = read_relabel(tmp_path / "map.yaml")
    assert relabel == Relabel(labels=relabel.labels)
    assert relabel.colors == colors
    names = {0: "α-quartz", 3: "😀", 7: "a: b"}
    text = starter_yaml(counts, colors, names=names)
    assert '{name: "α-quartz",' in text
    (tmp_path / "named.yaml").write_text(text, encoding="utf-8")
    assert read_relabel(tmp_path / "named.yaml").names == names
    text = starter_yaml(counts, colors)

    steps = re.sub(r"^# (\w+: )", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "map.yaml").write_text(steps)
    assert read_relabel(tmp_path / "map.yaml") == Relabel(
        labels=relabel.labels,
        merge={0: [7]},
        smooth=1,
        remove_small={0: 50},
        fill_holes=[0],
        keep_largest=[0],
        unlabelled=255,
    )
