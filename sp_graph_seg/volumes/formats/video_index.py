"""The frames of a video: how many, when, and where decoding can begin."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.source import quietly

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_HIDES_FRAMES = ("vp8",)
"""Codecs with packets of their own for frames that are never shown."""

_REORDERED = ("h264", "hevc")
"""Codecs whose order of frames an AVI file, which has no time stamps, does not tell."""

REMEDY = "convert it, such as with: ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4"


@dataclass(frozen=True)
class VideoIndex:
    """When the frames of a video are shown.

    Attributes:
        stamps: Time stamp of each frame in units of the stream, rising.
        keyframes: Numbers of the frames that decode without others, rising from 0.
        can_seek: Whether the stamps name the frames; otherwise they are counted from the start.
    """

    stamps: tuple[int, ...]
    keyframes: tuple[int, ...]
    can_seek: bool = True


def video_stream(path: str, container: "InputContainer") -> "VideoStream":
    """Give the video in a file, or say why there is none that can be decoded."""
    if not container.streams.video:
        raise InputError(f"{path}: has no picture (no video stream); give a video file")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise InputError(f"{path}: its codec is unknown, or it is encrypted; {REMEDY}")
    return stream


def index_packets(
    path: str, container: "InputContainer", stream: "VideoStream"
) -> VideoIndex | None:
    """Index the frames from the packets that hold them, without decoding.

    Returns:
        The index, or None where packets do not tell the frames: they have no true time stamps, or
        the codec hides frames.

    Raises:
        InputError: Fewer packets are there than an MP4 or MOV promises, or they are encrypted.
    """
    codec = stream.codec_context.name
    is_avi = container.format.name == "avi"
    is_told = codec not in _HIDES_FRAMES and not (is_avi and codec in _REORDERED)
    stamps, keys, total = [], set(), 0
    for packet in container.demux(stream):
        if packet.size == 0:  # the end
            continue
        if packet.has_sidedata("encryption_info"):
            raise InputError(f"{path}: is encrypted; decrypt it, or record it without protection")
        total += 1
        if packet.is_discard:
            continue
        if packet.pts is None or not is_told:
            return None
        stamps.append(packet.pts)
        if packet.is_keyframe:
            keys.add(packet.pts)
    if "mp4" in container.format.name and total < stream.frames:
        raise InputError(
            f"{path}: is cut off: {total} of {stream.frames} frames are there; copy it again"
        )
    if len(set(stamps)) < len(stamps):
        return None
    stamps.sort()
    return VideoIndex(tuple(stamps), (0, *(i for i, s in enumerate(stamps) if i and s in keys)))


def index_frames(container: "InputContainer", stream: "VideoStream") -> VideoIndex:
    """Index the frames by decoding all of them."""
    stamps, keys = [], [0]
    with quietly():
        for number, frame in enumerate(container.decode(stream)):
            stamps.append(frame.pts)
            if number and frame.key_frame:
                keys.append(number)
    known = [stamp for stamp in stamps if stamp is not None]
    can_seek = len(known) == len(stamps) and known == sorted(set(known))
    return VideoIndex(tuple(known if can_seek else range(len(stamps))), tuple(keys), can_seek)
