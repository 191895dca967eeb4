"""Video files by PyAV: every frame, in order or by its number."""

import bisect
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
from sp_graph_seg.volumes.source import PlaneReader, Reader, Source, reading

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif"),
    *(".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv"),
)


@dataclass(frozen=True, kw_only=True)
class VideoSource(Source):
    """A video: RGB with 8 bits, or grey with 8 or 16 bits if it is stored without colours.

    Attributes:
        pixels: Name of the pixels to convert to, in FFmpeg's terms.
        index: The frames.
    """

    pixels: str
    index: VideoIndex = field(compare=False)

    def open(self) -> Reader:
        """Open the file for decoding."""
        return _FrameReader(self)


class _FrameReader(PlaneReader):
    """Decodes frames in order, and seeks where that is shorter."""

    def __init__(self, source: VideoSource) -> None:
        from av.video.reformatter import VideoReformatter

        self.source: VideoSource = source
        self._reformatter = VideoReformatter()
        self._last: tuple[int, np.ndarray] | None = None
        self._start()

    def plane(self, z: int, channels: range) -> np.ndarray:
        """Decode a frame."""
        if self._last is None or self._last[0] != z:
            with reading(self._name(z), REMEDY):
                self._last = z, self._convert(self._find(z), z)
        return self._last[1][channels.start : channels.stop]

    def problem(self, z: int, quick: bool) -> str | None:
        """Decode the frame; quick trusts the index, which is whole."""
        return None if quick else super().problem(z, quick)

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_container"):
            self._container.close()

    def _name(self, z: int) -> str:
        return f"{self.source.path}: frame {z} (of 0 to {self.source.sizes[0] - 1})"

    def _start(self) -> None:
        """Open the file, at its first frame."""
        self.close()
        with reading(self.source.path, REMEDY):
            self._container = open_container(self.source.path, self.source.file)
            self._stream = video_stream(self.source.path, self._container)
            self._stream.thread_type = "AUTO"
        self._at(0)

    def _at(self, number: int) -> None:
        """Begin to decode; ``number`` is what comes next, as far as is known."""
        self._frames = self._numbered(number)
        self._pending: tuple[int, VideoFrame] | None = None
        self._landed: int | None = None
        self._next = number

    def _find(self, z: int) -> "VideoFrame":
        """Go to a frame: onwards if no keyframe lies between, else from the last keyframe."""
        keyframes = self.source.index.keyframes
        key = bisect.bisect_right(keyframes, z) - 1
        can_seek = self.source.index.can_seek
        if z >= self._next and not (can_seek and keyframes[key] > self._next):
            found = self._advance(z)
        else:
            # Some files put us behind the frame: then from a keyframe before, or from the start.
            for start in (key, max(key - 1, 0), 0) if can_seek else (0,):
                self._seek(start)
                found = self._advance(z)
                if found is not None or (self._landed is not None and self._landed <= z):
                    break
        if found is None:
            raise InputError(
                f"{self._name(z)}: cannot be decoded, the file may be damaged; {REMEDY}"
            )
        return found

    def _seek(self, key: int) -> None:
        """Go to a keyframe; where that fails, to the start."""
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
        """Decode up to a frame; None if the video goes on behind it, or ends before."""
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
        """Decode frames with their numbers, by their time stamps or counted from the first."""
        import av

        index = self.source.index
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # its frame will be missed by its number
            for frame in frames:
                if index.can_seek and frame.pts is not None:
                    number = bisect.bisect_left(index.stamps, frame.pts)
                    if index.stamps[number : number + 1] != (frame.pts,):
                        continue
                yield number, frame
                number += 1

    def _convert(self, frame: "VideoFrame", z: int) -> np.ndarray:
        """Convert a frame to ``(C, H, W)``, upright, and compare it with the first."""
        if frame.is_corrupt:
            raise InputError(f"{self._name(z)}: is damaged; copy the file again, or leave it out")
        array = convert(frame, self.source.pixels, self._reformatter)
        if array.shape != self.source.sizes[1:]:
            raise InputError(
                f"{self._name(z)}: is {array.shape[1]} x {array.shape[2]} pixels, the first is "
                f"{self.source.sizes[2]} x {self.source.sizes[3]}; {REMEDY}"
            )
        return array


def open_container(path: str, file: Path) -> "InputContainer":
    """Open a video; odd bytes in its texts do not matter."""
    import av

    try:
        return av.open(os.fspath(file), metadata_errors="ignore")
    except av.EOFError as error:
        raise InputError(f"{path}: has no frame; record or convert it again") from error


def convert(frame: "VideoFrame", pixels: str, reformatter: "VideoReformatter") -> np.ndarray:
    """Convert a frame to ``(C, H, W)``, upright.

    Args:
        frame: The decoded frame.
        pixels: ``rgb24``, ``gray`` or ``gray16le``.
        reformatter: Keeps the tables of the conversion.
    """
    array: np.ndarray = reformatter.reformat(frame, format=pixels).to_ndarray()
    array = np.atleast_3d(array).transpose(2, 0, 1)
    return np.rot90(array, round(frame.rotation / 90), axes=(1, 2))  # anticlockwise, as FFmpeg's


def open_video(path: str, file: Path, axes: str | None) -> Source:
    """Describe a video.

    The frames are counted from the packets of the file, which takes reading but no decoding; where
    packets do not tell the frames (VP8, H.264 in AVI, streams without time stamps, or time stamps
    that the first decoded frame contradicts), from decoding the whole video once.

    Args:
        path: What the user gave, for messages.
        file: The file.
        axes: The user's letters, or None; they can only confirm that frames are the slices.

    Returns:
        The description.

    Raises:
        InputError: The file is no video, encrypted, of an unknown codec, cut off, or has no frame.
    """
    require("av")
    from av.video.reformatter import VideoReformatter

    letters = None if axes is None else checked_letters(axes)
    check_axes_of_files(path, letters)
    with reading(path, REMEDY):
        with open_container(path, file) as container:
            index = index_packets(path, container, video_stream(path, container))
        with open_container(path, file) as container:
            stream = container.streams.video[0]
            first = next(container.decode(stream), None)
            if first is None:
                raise InputError(f"{path}: has no frame; record or convert it again")
            pixels = _pixels(first.format.name)
            shape = convert(first, pixels, VideoReformatter()).shape
            rate, base = stream.average_rate, stream.time_base
        if index is None or index.stamps[:1] != (first.pts,):
            with open_container(path, file) as container:
                index = index_frames(container, container.streams.video[0])
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
        frame_rate=float(rate) if rate else None,
        frame_times=tuple((stamp - index.stamps[0]) * seconds for stamp in index.stamps),
        pixels=pixels,
        index=index,
    )


def _pixels(stored: str) -> str:
    """Give the pixels to convert to: grey stays grey, more than 8 bits of it become 16."""
    if stored == "gray":
        return "gray"
    is_deep = stored.startswith("gray") and not stored.startswith("grayf")
    return "gray16le" if is_deep else "rgb24"
