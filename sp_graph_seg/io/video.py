"""Writes colour frames as an .mp4 video for viewing."""

import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.files import atomic_write

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

# A frame lasts a whole number of ticks at the usual rates (24, 25, 30, 50, 60, and those divided by
# 1.001). Below 65536, the limit of MPEG-4 Part 2.
TICKS = 60000
BT709, LIMITED_RANGE = 1, 1  # codes of ITU-T H.273


def write_overlay_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float,
    times: Iterable[float] | None = None,
) -> None:
    """Writes colour frames as an .mp4 video.

    The video is encoded as H.264, or as MPEG-4 Part 2 if FFmpeg lacks libx264. Frames are encoded
    one by one, so the use of memory does not grow with their number. Every 2 x 2 pixels share one
    colour (yuv420p), because most players require this. An odd height or width is therefore made
    even by repeating the last row or column.

    Args:
        path: The .mp4 file to write. An existing file is replaced.
        frames: The frames, uint8 arrays ``(H, W, 3)`` that all have the same shape.
        fps: The number of frames per second.
        times: The time of each frame in seconds, in increasing order, for a video with a variable
            frame rate. The video starts with the first frame, whatever its time. Default: ``fps``
            frames per second.

    Raises:
        InputError: There are no frames, an argument is invalid, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".mp4":
        raise InputError(f"{path}: the name does not end in .mp4; give a name that does.")
    if not 0.001 <= fps <= TICKS:
        raise InputError(f"fps: {fps} is not a frame rate; give a number from 0.001 to {TICKS}.")
    checked = _checked(frames)
    first = next(checked, None)
    if first is None:
        raise InputError(f"{path}: there are no frames to write; give at least one.")
    require("av")
    import av

    try:
        with atomic_write(path) as temporary, av.open(temporary, "w", format="mp4") as container:
            stream = _add_stream(container, first, fps)
            _encode(container, stream, chain([first], checked), _ticks(fps, times))
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: cannot be encoded ({error}); check the size of the frames and the frame rate."
        ) from error


def _checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the frames, padded to even height and width. Refuses a wrong type or shape."""
    shape = None
    for number, frame in enumerate(frames):
        frame = np.asarray(frame)
        shape = frame.shape if shape is None else shape
        good = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size
        if not good or frame.shape != shape:
            raise InputError(
                f"frames: frame {number} is a {frame.dtype} array of shape {frame.shape}; give "
                "uint8 arrays (H, W, 3) that all have the same shape."
            )
        height, width, _ = shape
        yield np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _ticks(fps: float, times: Iterable[float] | None) -> Iterator[int]:
    """Yields the time of each frame after the first frame, in ticks of 1/60000 s."""
    if times is None:
        number = 0
        while True:
            yield round(number * TICKS / fps)
            number += 1
    first, last = None, -1
    for number, time in enumerate(times):
        first = time if first is None else first
        elapsed = (time - first) * TICKS
        if not math.isfinite(elapsed):
            raise InputError(
                f"times: frame {number} has the time {time} s, which is not finite; give a finite "
                "time for each frame."
            )
        tick = round(elapsed)
        if tick <= last:
            raise InputError(
                f"times: frame {number} has the time {time} s, which is not later than the time of "
                "the frame before; give times in increasing order."
            )
        yield tick
        last = tick


def _add_stream(container: "OutputContainer", frame: np.ndarray, fps: float) -> "VideoStream":
    """Adds a video stream for frames of the same size as ``frame``."""
    import av

    rate = Fraction(fps).limit_denominator(1001)
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
    else:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "3"})
    stream.height, stream.width = frame.shape[:2]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, TICKS)
    # Without these, players guess the colour space from the frame size.
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED_RANGE
    return stream


def _encode(
    container: "OutputContainer",
    stream: "VideoStream",
    frames: Iterable[np.ndarray],
    ticks: Iterator[int],
) -> None:
    """Encodes all frames, each with its time in ticks."""
    import av

    for number, array in enumerate(frames):
        tick = next(ticks, None)
        if tick is None:
            raise InputError(
                f"times: there are only {number} times, but more frames; give one time for each "
                "frame."
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="itu709")
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
