"""Arrays of any shape, type and values make a graph, or are refused in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import (
    array_shapes,
    arrays,
    boolean_dtypes,
    complex_number_dtypes,
    floating_dtypes,
    integer_dtypes,
    unicode_string_dtypes,
    unsigned_integer_dtypes,
)

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ToPixelGraph, ToRAG

NUMBERS = boolean_dtypes() | integer_dtypes() | unsigned_integer_dtypes() | floating_dtypes()
TYPES = NUMBERS | NUMBERS | complex_number_dtypes() | unicode_string_dtypes(max_len=3)
SHAPES = array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)
IMAGES = array_shapes(min_dims=3, max_dims=4, max_side=7)


@pytest.mark.filterwarnings("ignore::sp_graph_seg.errors.SegmentationWarning")
@pytest.mark.parametrize("transform", [ToRAG(4), ToPixelGraph(1.5)], ids=repr)
@given(image=st.one_of(SHAPES, IMAGES, IMAGES).flatmap(lambda s: arrays(TYPES, s)))
def test_any_array(transform, image):
    before = image.copy()
    try:
        data = transform(image)
    except InputError as error:
        reason = str(error)
    else:
        reason = ""
        assert image.ndim in (3, 4)
        assert data.validate()
        assert np.isfinite(data.x.numpy()).all()
        assert np.isfinite(data.edge_weight.numpy()).all()
        assert data.x.shape[1] == len(image)
    assert "\n" not in reason
    np.testing.assert_array_equal(image, before)
