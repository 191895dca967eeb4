"""The colours of labels: far apart, stable, and seen on any ground and by most eyes."""

import itertools

import numpy as np
import pytest
from skimage.color import rgb2lab

from sp_graph_seg.io.colors import NUM_COLORS, label_colors

#: Red-green colour blindness after Brettel, Viénot and Mollon (Viénot et al. 1999), linear RGB to
#: LMS. It is another model than that of the package.
_TO_LMS = np.array(
    [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
)
_PROTANOPIA = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
_DEUTERANOPIA = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])


def rgb_of(colors):
    return np.array([list(bytes.fromhex(color[1:])) for color in colors.values()]) / 255


def linear(rgb):
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def gamma(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def closest(rgb):
    """The smallest distance of two colours in CIELAB."""
    lab = rgb2lab(rgb)
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))


def test_oklab_is_that_of_its_author():
    """White, red, green and blue, as colour libraries give them."""
    from sp_graph_seg.io.colors import _as_seen

    np.testing.assert_allclose(_as_seen(np.ones(3))[0], (1, 0, 0), atol=1e-6)
    red, green, blue = _as_seen(np.eye(3))[0]
    np.testing.assert_allclose(red, (0.62796, 0.22486, 0.12585), atol=1e-4)
    np.testing.assert_allclose(green, (0.86644, -0.23389, 0.17950), atol=1e-4)
    np.testing.assert_allclose(blue, (0.45201, -0.03246, -0.31153), atol=1e-4)


@pytest.mark.parametrize(("count", "least"), [(2, 90), (3, 70), (6, 45), (12, 20), (24, 12)])
def test_colours_are_far_apart_also_without_red_or_green(count, least):
    rgb = rgb_of(label_colors(range(count)))
    assert closest(rgb) > least
    for view in (_PROTANOPIA, _DEUTERANOPIA):
        seen = linear(rgb) @ (np.linalg.inv(_TO_LMS) @ view @ _TO_LMS).T
        assert closest(gamma(np.clip(seen, 0, 1))) > least / 3


def test_colours_are_seen_on_black_on_white_and_on_grey():
    rgb = rgb_of(label_colors(range(NUM_COLORS)))
    luminance = linear(rgb) @ (0.2126, 0.7152, 0.0722)
    assert ((luminance + 0.05) / 0.05).min() > 2  # contrast of WCAG
    assert (1.05 / (luminance + 0.05)).min() > 1.6
    assert (rgb.max(axis=1) - rgb.min(axis=1)).min() > 0.15


def test_no_colour_is_used_twice_before_all_are_used():
    colors = list(label_colors(range(NUM_COLORS + 5)).values())
    assert len(set(colors)) == NUM_COLORS
    assert colors[NUM_COLORS:] == colors[:5]


def test_labels_in_use_get_the_first_colours_whatever_their_numbers():
    first = list(label_colors(range(4)).values())
    assert label_colors([9, 14, 20, 3]) == dict(zip([9, 14, 20, 3], first, strict=True))


def test_a_label_keeps_its_colour_when_others_follow_or_vanish():
    before = label_colors([0, 1, 2, 3])
    assert label_colors(range(9)).items() >= before.items()
    after = label_colors([0, 2, 3], given=before)
    assert after == {label: before[label] for label in (0, 2, 3)}


def test_others_keep_away_from_a_given_colour():
    first = label_colors([0])[0]
    colors = label_colors([0, 1], given={1: first.upper()})
    assert colors[1] == first
    assert closest(rgb_of(colors)) > 90


def test_a_given_colour_of_another_label_changes_nothing():
    assert label_colors([0, 1], given={5: "#ff0000"}) == label_colors([0, 1])


def test_the_greedy_choice_is_close_to_the_best_of_many_random_ones():
    """Gonzalez (1985): at least half of the largest possible smallest distance."""
    from sp_graph_seg.io.colors import _as_seen, _candidates

    rgb, _ = _candidates()

    def smallest(colors):
        seen = _as_seen(colors)
        apart = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1).min(axis=0)
        return apart[np.triu_indices(len(colors), 1)].min()

    random = np.random.default_rng(0)
    tries = [smallest(random.choice(rgb, 5, replace=False)) for _ in range(2000)]
    assert smallest(rgb_of(label_colors(range(5)))) > max(tries) / 2
