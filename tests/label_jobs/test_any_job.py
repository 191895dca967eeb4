"""Jobs of any shape, block size and number of labels, whose blocks come in any order."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.volumes import open_labels


@st.composite
def jobs(draw):
    sides = draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    shape = (draw(st.integers(2, 9)), *sides)
    num_labels = draw(st.sampled_from([1, 2, 200, 254, 255, 256, 300, 65534, 65535]))
    labels = draw(arrays(np.int64, shape, elements=st.integers(0, num_labels - 1)))
    skipped = draw(st.sets(st.integers(0, shape[0] - 1), max_size=3))
    return labels, num_labels, draw(st.integers(1, 12)), skipped


@given(jobs(), st.sampled_from(["a.zarr", "a.tif", "a.h5", "a.npy", "folder"]), st.randoms())
def test_what_is_written_comes_back(job, name, random):
    labels, num_labels, block, skipped = job
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / name
        opened = open_label_job(output, labels.shape, num_labels, {}, block=block)
        missing = opened.missing_blocks()
        assert [z for start, stop in missing for z in range(start, stop)] == [*range(len(labels))]
        random.shuffle(missing)
        for start, stop in missing:  # another process each time
            opened = open_label_job(output, labels.shape, num_labels, {}, block=block)
            reasons = {z: "damaged" for z in skipped if start <= z < stop}
            opened.write_block(start, labels[start:stop], reasons)
        assert opened.finish() == dict.fromkeys(sorted(skipped), "damaged")
        assert open_label_job(output, labels.shape, num_labels, {}, resume=True).complete
        expected = labels.copy()
        expected[sorted(skipped)] = opened.unlabelled
        found = open_labels(output, axes="zyx")
        np.testing.assert_array_equal([image[0] for image in found], expected)
        assert [path.name for path in Path(folder).iterdir()] == [name]
