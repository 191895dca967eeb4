import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import parse_crop
from sp_graph_seg.volumes.selection import choose_range


@pytest.mark.parametrize(
    ("text", "crop"),
    [
        ("10:200,30:400", ((10, 200), (30, 400))),
        (" 10:, :-5 ", ((10, None), (None, -5))),
        (":,:", ((None, None), (None, None))),
    ],
)
def test_parse_crop(text, crop):
    assert parse_crop(text) == crop


@pytest.mark.parametrize(
    "text", ["", "1:2", "1,2", "1:2:3,4:5", "a:b,c:d", "1:2,3:4,5:6", "1.5:2,:"]
)
def test_what_is_no_crop(text):
    with pytest.raises(InputError, match=r"^crop: .*; give rows and columns"):
        parse_crop(text)


@pytest.mark.parametrize("bounds", [(None, None), (2, None), (-3, None), (1, -1), (None, 4)])
def test_a_range_is_that_of_python(bounds):
    chosen = choose_range("rows", 6, bounds, 2)
    assert list(chosen) == list(range(6))[slice(*bounds, 2)]


@pytest.mark.parametrize("bounds", [(-7, None), (None, 7), (3, 3), (4, 2), (6, None)])
def test_a_range_is_not_cut_short_in_silence(bounds):
    with pytest.raises(InputError, match=r"^rows: .* is not a range inside 0:6"):
        choose_range("rows", 6, bounds)
