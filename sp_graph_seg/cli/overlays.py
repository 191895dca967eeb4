"""Writes the overlay of a volume or video, which is a video with the labels over the frames."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sp_graph_seg import Segmenter
    from sp_graph_seg.label_jobs import LabelJob
    from sp_graph_seg.volumes import Volume

#: Frames per second of an overlay if the input has no frame rate.
_FRAME_RATE = 10.0


def write_overlay(path: Path, volume: "Volume", job: "LabelJob", segmenter: "Segmenter") -> None:
    """Writes a video of the frames with their labels and a legend.

    All blocks of the job must be labelled already.
    """
    from sp_graph_seg.io import write_overlay_video
    from sp_graph_seg.plot import overlay_labels
    from sp_graph_seg.plot.legend import LegendRow
    from sp_graph_seg.plot.strip import with_legend
    from sp_graph_seg.streaming import read_slice

    names, colors = segmenter.names_, segmenter.colors_
    legend = [
        LegendRow(label, colors[label], names.get(label, ""), math.nan, math.nan)
        for label in _labels_in(job)
    ]

    def frames() -> Iterator[np.ndarray]:
        for start, _ in job.blocks:
            block = job.read_block(start)
            assert block is not None, "all blocks are labelled"
            for number, labels in enumerate(block.labels, start=start):
                if number in block.skipped:
                    yield with_legend(np.zeros((*job.shape[1:], 3), np.uint8), legend)
                else:
                    frame = read_slice(volume, number)
                    overlay = overlay_labels(
                        frame,
                        np.where(labels == job.unlabelled, -1, labels.astype(np.int64)),
                        intensity_range=segmenter.intensity_range_,
                        colors=colors,
                    )
                    yield with_legend(overlay, legend)

    write_overlay_video(path, frames(), volume.frame_rate or _FRAME_RATE, volume.frame_times)


def _labels_in(job: "LabelJob") -> list[int]:
    """Returns the labels that occur in any block."""
    found: set[int] = set()
    for start, _ in job.blocks:
        block = job.read_block(start)
        assert block is not None, "all blocks are labelled"
        found.update(np.unique(block.labels).tolist())
    return sorted(found - {job.unlabelled})
