import pytest
from matplotlib.figure import Figure
from PIL import Image

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import save_figure


def test_the_suffix_names_the_format(tmp_path):
    for suffix, kind in {"png": "PNG", "jpg": "JPEG"}.items():
        save_figure(tmp_path / f"figure.{suffix}", Figure(figsize=(2, 1)))
        with Image.open(tmp_path / f"figure.{suffix}") as picture:
            assert (picture.format, picture.size) == (kind, (400, 200))


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(InputError, match=r"none/figure\.png: cannot be written"):
        save_figure(tmp_path / "none/figure.png", Figure())
    with pytest.raises(ValueError, match="not supported"):
        save_figure(tmp_path / "figure.xyz", Figure())
    assert list(tmp_path.iterdir()) == []
