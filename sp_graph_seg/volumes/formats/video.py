"""Reads video files with PyAV. Frames are read in order or by number."""

import bisect
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.volumes.axes import check_axes_of_files, checked_letters, one_slice
from sp_graph_seg.volumes.formats.video_index import (
    REMEDY,
    VideoIndex,
    index_frames,
    index_packets,
    video_stream,
)
from sp_graph_seg.volumes.geometry import UNKNOWN, Axis
from sp_graph_seg.volumes.source import PlaneReader, Reader, Source, reading

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif"),
    *(".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv"),
)

Matrix = tuple[int, int, int, int]

_UPRIGHT: Matrix = (1, 0, 0, 1)


@dataclass(frozen=True, kw_only=True)
class VideoSource(Source):
    """A video file.

    Its frames are read as RGB with 8 bits. If the video is stored as grey, they are read as grey
    with 8 or 16 bits.

    Attributes:
        pixels: The FFmpeg name of the pixel format that frames are converted to.
        matrix: The entries a, b, c, d of the display matrix (ISO/IEC 14496-12, 8.3.2). A stored
            pixel (x, y) is shown at (a x + c y, b x + d y).
        index: The time stamps and keyframes of the video.
    """

    pixels: str
    matrix: Matrix
    index: VideoIndex = field(compare=False)

    def open(self) -> Reader:
        """Opens the file and returns a reader of its frames."""
        return _FrameReader(self)


class _FrameReader(PlaneReader):
    """A reader that decodes frames in order, and seeks to a keyframe if this is faster."""

    def __init__(self, source: VideoSource) -> None:
        from av.video.reformatter import VideoReformatter

        self.source: VideoSource = source
        self._reformatter = VideoReformatter()
        self._last: tuple[int, np.ndarray] | None = None
        self._start()

    def plane(self, z: int, channels: range) -> np.ndarray:
        """Decodes the given channels of frame z. Returns ``(c, H, W)``."""
        if self._last is None or self._last[0] != z:
            with reading(self._name(z), REMEDY):
                self._last = z, self._convert(self._find(z), z)
        return self._last[1][channels.start : channels.stop]

    def problem(self, z: int, quick: bool) -> str | None:
        """Returns why frame z cannot be used, or None if it can be used.

        The frame is decoded. With ``quick``, nothing is checked, because the index of the video
        was checked when the video was opened.
        """
        return None if quick else super().problem(z, quick)

    def close(self) -> None:
        """Closes the file."""
        if hasattr(self, "_container"):
            self._container.close()

    def _name(self, z: int) -> str:
        return f"{self.source.path}: frame {z} (of 0 to {self.source.sizes[0] - 1})"

    def _start(self) -> None:
        """Opens the file again, so that decoding begins with the first frame."""
        self.close()
        with reading(self.source.path, REMEDY):
            self._container = open_container(self.source.path, self.source.file)
            self._stream = video_stream(self.source.path, self._container)
            self._stream.thread_type = "AUTO"
        self._at(0)

    def _at(self, number: int) -> None:
        """Prepares to decode from the current position of the file.

        The next frame is counted as frame ``number`` if it has no usable time stamp.
        """
        self._frames = self._numbered(number)
        self._pending: tuple[int, VideoFrame] | None = None
        self._landed: int | None = None
        self._next = number

    def _find(self, z: int) -> "VideoFrame":
        """Decodes frame z. Begins at the current position, or at the last keyframe before z."""
        keyframes = self.source.index.keyframes
        key = bisect.bisect_right(keyframes, z) - 1
        can_seek = self.source.index.can_seek
        if z >= self._next and not (can_seek and keyframes[key] > self._next):
            found = self._advance(z)
        else:
            # In some files seeking lands after the frame: go back one keyframe, or to the start.
            for start in (key, max(key - 1, 0), 0) if can_seek else (0,):
                self._seek(start)
                found = self._advance(z)
                if found is not None or (self._landed is not None and self._landed <= z):
                    break
        if found is None:
            raise InputError(f"{self._name(z)}: cannot be decoded and may be damaged; {REMEDY}.")
        return found

    def _seek(self, key: int) -> None:
        """Goes to a keyframe, or to the start of the video if seeking fails."""
        import av

        index = self.source.index
        number = index.keyframes[key]
        try:
            if key:
                self._container.seek(index.stamps[number], stream=self._stream)
                self._at(number)
                return
        except av.FFmpegError:
            pass
        self._start()

    def _advance(self, z: int) -> "VideoFrame | None":
        """Decodes up to frame z. Returns None if it is skipped or the video ends before it."""
        while (item := self._pending or next(self._frames, None)) is not None:
            number, frame = item
            self._pending = None
            if self._landed is None:
                self._landed = number
            if number == z:
                self._next = z + 1
                return frame
            if number > z:
                self._pending, self._next = item, number
                return None
        self._next = self.source.sizes[0]
        return None

    def _numbered(self, number: int) -> "Iterator[tuple[int, VideoFrame]]":
        """Yields the number of each frame, and the frame.

        The number is looked up by the time stamp of the frame. Frames without usable time stamps
        are counted from ``number``.
        """
        import av

        index = self.source.index
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # the missing number will be noticed
            for frame in frames:
                if index.can_seek and frame.pts is not None:
                    number = bisect.bisect_left(index.stamps, frame.pts)
                    if index.stamps[number : number + 1] != (frame.pts,):
                        continue
                yield number, frame
                number += 1

    def _convert(self, frame: "VideoFrame", z: int) -> np.ndarray:
        """Converts a frame to an upright array ``(C, H, W)``.

        Refuses a frame that is damaged or differs from the first frame in size.
        """
        if frame.is_corrupt:
            raise InputError(
                f"{self._name(z)}: is damaged; copy the file again, or leave out the frame."
            )
        array = convert(frame, self.source.pixels, self.source.matrix, self._reformatter)
        if array.shape != self.source.sizes[1:]:
            raise InputError(
                f"{self._name(z)}: has {array.shape[1]} x {array.shape[2]} pixels, but the first "
                f"frame has {self.source.sizes[2]} x {self.source.sizes[3]}; {REMEDY}."
            )
        return array


def open_container(path: str, file: Path) -> "InputContainer":
    """Opens a video file. Invalid bytes in its metadata are ignored."""
    import av

    try:
        return av.open(os.fspath(file), metadata_errors="ignore")
    except av.EOFError as error:
        raise InputError(f"{path}: has no frames; record or convert it again.") from error


def convert(
    frame: "VideoFrame", pixels: str, matrix: Matrix, reformatter: "VideoReformatter"
) -> np.ndarray:
    """Converts a frame to an upright array ``(C, H, W)``.

    Args:
        frame: The decoded frame.
        pixels: The FFmpeg name of the pixel format: ``rgb24``, ``gray`` or ``gray16le``.
        matrix: The display matrix, see `VideoSource.matrix`.
        reformatter: The PyAV object that converts the pixel format. Pass the same object for all
            frames, because it caches conversion tables.
    """
    array: np.ndarray = reformatter.reformat(frame, format=pixels).to_ndarray()
    return _as_shown(np.atleast_3d(array).transpose(2, 0, 1), matrix)


def _display_matrix(frame: "VideoFrame") -> Matrix:
    """Reads the display matrix of a frame, see `VideoSource.matrix`.

    Call this function for one frame only. It delays the release of the frame's memory to the next
    garbage collection.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return _UPRIGHT
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
    return a, b, c, d


def _as_shown(array: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Rotates and mirrors an array ``(C, H, W)`` by a display matrix, see `VideoSource.matrix`."""
    a, b, c, d = matrix
    if max(abs(a), abs(d)) < max(abs(b), abs(c)):
        array, right, down = array.swapaxes(1, 2), c, b
    else:
        right, down = a, d
    return array[:, :: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


def open_video(path: str, file: Path, axes: str | None) -> Source:
    """Returns a description of a video.

    The frames are counted from the packets of the file, which are read but not decoded. In some
    videos, the packets do not identify the frames. This is so in VP8 and in AVI files with H.264 or
    HEVC. It is also so if time stamps are missing, repeated, or contradict the first decoded frame.
    Such a video is decoded once as a whole to count its frames.

    Args:
        path: The path that the user gave, for messages.
        file: The file.
        axes: The axis letters that the user gave, or None. They must begin with z or t, because
            the frames are the slices.

    Returns:
        The description.

    Raises:
        InputError: The file is not a video, is encrypted or cut off, has an unknown codec, or has
            no frames.
    """
    require("av")
    from av.video.reformatter import VideoReformatter

    letters = None if axes is None else checked_letters(axes)
    check_axes_of_files(path, letters)
    with reading(path, REMEDY):
        with open_container(path, file) as container:
            index = index_packets(path, container, video_stream(path, container))
        with open_container(path, file) as container:
            stream = video_stream(path, container)
            first = next(container.decode(stream), None)
            if first is None:
                raise InputError(f"{path}: has no frames; record or convert it again.")
            pixels = _pixels(first.format.name)
            matrix = _display_matrix(first)
            shape = convert(first, pixels, matrix, VideoReformatter()).shape
            rate, base = stream.average_rate, stream.time_base
        if index is None or index.stamps[:1] != (first.pts,):
            with open_container(path, file) as container:
                index = index_frames(container, video_stream(path, container))
    if letters is None and len(index.stamps) == 1:
        raise one_slice(path, (1, *shape))
    seconds = float(base or 1 / (rate or 1)) if index.can_seek else 1 / float(rate or 1)
    return VideoSource(
        path=path,
        file=file,
        sizes=(len(index.stamps), *shape),
        dtype=np.dtype(np.uint16 if pixels == "gray16le" else np.uint8),
        chunks=(1, *shape[1:]),
        stamp=stamp(file),
        axes=(Axis("t", float(1 / rate), "second") if rate else Axis("t"), *UNKNOWN[1:]),
        frame_rate=float(rate) if rate else None,
        frame_times=tuple((stamp - index.stamps[0]) * seconds for stamp in index.stamps),
        pixels=pixels,
        matrix=matrix,
        index=index,
    )


def _pixels(stored: str) -> str:
    """Returns the FFmpeg name of the pixel format that frames are converted to.

    This is RGB, or grey with 8 or 16 bits for videos that are stored as grey.
    """
    if stored == "gray":
        return "gray"
    is_deep = stored.startswith("gray") and not stored.startswith("grayf")
    return "gray16le" if is_deep else "rgb24"
