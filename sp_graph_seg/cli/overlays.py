"""Overlays of volumes and videos: the labels over the slices, as a video."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sp_graph_seg.label_jobs import LabelJob
    from sp_graph_seg.volumes import Volume

#: Frames per second of an overlay if the input has no frame rate.
_FRAME_RATE = 10.0


def write_overlay(
    path: Path,
    volume: "Volume",
    job: "LabelJob",
    intensity_range: tuple[float, float],
    colors: Mapping[int, str],
) -> None:
    """Writes a video of the labels over the frames, from the finished blocks."""
    from sp_graph_seg.io import write_overlay_video
    from sp_graph_seg.plot import overlay_labels
    from sp_graph_seg.streaming import read_slice

    def frames() -> Iterator[np.ndarray]:
        for start, _ in job.blocks:
            block = job.read_block(start)
            assert block is not None, "all blocks are labelled"
            for number, labels in enumerate(block.labels, start=start):
                if number in block.skipped:
                    yield np.zeros((*job.shape[1:], 3), np.uint8)
                else:
                    frame = read_slice(volume, number)
                    yield overlay_labels(
                        frame,
                        np.where(labels == job.unlabelled, -1, labels.astype(np.int64)),
                        intensity_range=intensity_range,
                        colors=colors,
                    )

    write_overlay_video(path, frames(), volume.frame_rate or _FRAME_RATE, volume.frame_times)
