import pytest

from sp_graph_seg.evaluation import SCORE_NAMES
from sp_graph_seg.experiments import METHODS, PAPER


def test_the_figures_of_the_paper_are_those_of_rows_and_scores():
    assert set(PAPER) == set(METHODS)
    for scores in PAPER.values():
        assert tuple(scores) == SCORE_NAMES[:6]
    scores = PAPER["Sparse-SimCon-Patch"]
    h, c = scores["h"], scores["c"]
    assert scores["v"] == pytest.approx(2 * h * c / (h + c), abs=0.005)
