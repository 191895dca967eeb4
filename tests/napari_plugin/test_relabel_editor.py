import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel, read_relabel
from sp_graph_seg.napari_plugin.relabel_editor import RelabelEditor, as_stored, labels_in
from sp_graph_seg.napari_plugin.session import write_map

COLORS = {0: "#0077dd", 1: "#ffbb00", 2: "#bb0000", 3: "#33ddff"}


@pytest.fixture
def labels():
    return RelabelEditor(COLORS)


def shown(labels):
    return [(row.label, row.name, row.merged) for row in labels.rows()]


def test_at_first_every_label_is_itself(labels):
    assert shown(labels) == [(label, "", ()) for label in COLORS]
    assert labels.colors() == COLORS
    assert not labels.can_undo
    assert labels.to_relabel() == Relabel(labels={n: {"color": c} for n, c in COLORS.items()})


def test_a_merger_is_what_relabel_makes_of_it(labels):
    assert labels.merge([3, 1]) == 3
    assert labels.merge([2, 3]) == 2
    assert shown(labels) == [(0, "", ()), (2, "", (1, 3))]
    assert labels.colors() == {**COLORS, 1: COLORS[2], 3: COLORS[2]}
    array = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    np.testing.assert_array_equal(labels.to_relabel().apply(array), [[0, 2, 2, 2]])


def test_a_merged_label_is_named_by_what_it_has_become(labels):
    labels.merge([3, 1])
    assert labels.merge([1, 0]) == 3
    assert shown(labels) == [(2, "", ()), (3, "", (0, 1))]
    with pytest.raises(InputError, match=r"^merge: fewer than two different labels are selected; "):
        labels.merge([1, 3])


def test_names_survive_a_merger(labels):
    labels.name(1, " grain ")
    labels.merge([2, 1])
    assert shown(labels) == [(0, "", ()), (2, "grain", (1,)), (3, "", ())]
    labels.name(3, "rim")
    labels.merge([2, 3])
    assert shown(labels) == [(0, "", ()), (2, "grain", (1, 3))]
    labels.name(2, "")
    assert shown(labels) == [(0, "", ()), (2, "", (1, 3))]


@pytest.mark.parametrize(
    ("what", "values", "message"),
    [
        ("name", (1, "pore"), "0 and 1 have the same name"),
        ("color", (1, "no colour"), "color"),
    ],
)
def test_what_cannot_be_changes_nothing(labels, what, values, message):
    labels.name(0, "pore")
    before = labels.to_relabel()
    with pytest.raises(InputError, match=message):
        getattr(labels, what)(*values)
    assert labels.to_relabel() == before
    labels.undo()
    assert not labels.can_undo


def test_every_change_is_taken_back_in_turn(labels):
    states = [labels.to_relabel()]
    for change in (
        lambda: labels.name(0, "pore"),
        lambda: labels.merge([0, 3]),
        lambda: labels.color(0, "orange"),
        lambda: labels.merge([1, 2]),
    ):
        change()
        states.append(labels.to_relabel())
    assert states[-1].colors == {0: "#ffa500", 1: "#ffbb00"}
    for state in reversed(states[:-1]):
        assert labels.can_undo
        labels.undo()
        assert labels.to_relabel() == state
    labels.undo()
    assert labels.to_relabel() == states[0]


def test_it_goes_on_from_a_description_and_keeps_its_other_steps():
    given = Relabel(labels={1: {"name": "grain"}}, merge={1: [0]}, smooth=2, remove_small={1: 9})
    labels = RelabelEditor(COLORS, given)
    assert shown(labels) == [(1, "grain", (0,)), (2, "", ()), (3, "", ())]
    labels.merge([1, 2])
    after = labels.to_relabel()
    assert (after.merge, after.smooth, after.remove_small) == ({1: (0, 2)}, 2, {1: 9})
    with pytest.raises(InputError, match="label 1 cannot be used, because it is merged into"):
        labels.merge([3, 1])  # a step needs label 1
    assert labels.to_relabel() == after


def test_only_labels_in_use_are_listed(labels):
    labels.merge([3, 1])
    assert [row.label for row in labels.rows([0, 1])] == [0, 3]


def test_the_file_is_read_by_the_command_line(labels, tmp_path):
    labels.name(2, "pore")
    labels.merge([2, 0])
    write_map(tmp_path / "map.yaml", labels)
    assert read_relabel(tmp_path / "map.yaml") == labels.to_relabel()


def test_pixels_without_a_label_get_the_largest_value():
    stored = as_stored(np.array([[-1, 0, 7]]), np.dtype(np.uint8))
    np.testing.assert_array_equal(stored, [[255, 0, 7]])
    assert stored.dtype == np.uint8
    assert labels_in(stored, 255) == [0, 7]
