"""The colours of a model: first for the labels of its training images, kept when labels merge."""

import copy
import dataclasses

from sp_graph_seg import Segmenter
from sp_graph_seg.io import label_colors
from sp_graph_seg.labels.relabel import Relabel


def test_labels_seen_in_training_have_the_colours_that_are_farthest_apart(fitted):
    seen = fitted.seen_labels_
    assert list(seen) == sorted(seen)
    assert len(seen) == fitted.history_["num_labels"][-1]
    colors = fitted.colors_
    assert {label: colors[label] for label in seen} == label_colors(seen)
    assert sorted(colors) == list(range(fitted.num_labels_))
    assert len(set(colors.values())) == fitted.num_labels_


def test_colours_are_saved_with_the_model(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    assert Segmenter.load(tmp_path / "model.safetensors").colors_ == fitted.colors_


def test_a_merge_keeps_the_colours_of_the_others(fitted):
    merged = copy.copy(fitted)
    first, second, *_ = range(merged.num_labels_)
    merged.relabel_ = Relabel(merge={first: [second]})
    assert merged.colors_ == fitted.colors_
    given = Relabel(labels={first: {"color": "#123456"}})
    merged.relabel_ = given
    assert merged.colors_[first] == "#123456"


def test_labels_of_prototypes_have_their_colours_by_number(blocks, config):
    prototypes = dataclasses.replace(config, label_by="phases", num_labels=2)
    model = Segmenter(prototypes).fit(blocks(channels=1))
    assert model.seen_labels_ == ()
    assert model.colors_ == label_colors([0, 1])
    assert model.colors_[1] == label_colors(range(9))[1]
