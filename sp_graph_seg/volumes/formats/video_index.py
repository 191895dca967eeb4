"""Makes an index of a video: the times of its frames, and the frames where decoding can begin."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.source import quietly

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_HIDES_FRAMES = ("vp8",)
"""Codecs with separate packets for frames that are never shown."""

_REORDERED = ("h264", "hevc")
"""Codecs that reorder frames. An AVI file has no time stamps to restore the order."""

REMEDY = "convert the video, for example with 'ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4'"


@dataclass(frozen=True)
class VideoIndex:
    """The time stamps and keyframes of a video.

    Attributes:
        stamps: The time stamp of each frame, ascending, in the time units of the stream.
        keyframes: The numbers of the frames that can be decoded without other frames, ascending
            from 0.
        can_seek: Whether the time stamps identify the frames. If False, ``stamps`` holds the
            numbers of the frames instead. The frames are then counted from the start of the video.
    """

    stamps: tuple[int, ...]
    keyframes: tuple[int, ...]
    can_seek: bool = True


def video_stream(path: str, container: "InputContainer") -> "VideoStream":
    """Returns the first video stream of a file. A stream that holds a cover picture is ignored.

    Raises:
        InputError: The file has no video stream, or the stream cannot be decoded.
    """
    from av.stream import Disposition

    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        raise InputError(f"{path}: has no video stream; give a video file.")
    stream = films[0]
    if stream.codec_context is None:
        raise InputError(f"{path}: has an unknown codec or is encrypted; {REMEDY}.")
    return stream


def index_packets(
    path: str, container: "InputContainer", stream: "VideoStream"
) -> VideoIndex | None:
    """Makes the index of a video from its packets, without decoding them.

    A packet holds one encoded frame.

    Returns:
        The index, or None if the video must be decoded to make it. This is so if time stamps are
        missing or repeated, if the codec has packets for frames that are never shown, or if an
        AVI file may store the frames in another order than they are shown.

    Raises:
        InputError: The packets are encrypted, or an MP4 or MOV file holds fewer packets than the
            number of frames that it declares.
    """
    codec = stream.codec_context.name
    is_avi = container.format.name == "avi"
    is_told = codec not in _HIDES_FRAMES and not (is_avi and codec in _REORDERED)
    stamps, keys, total = [], set(), 0
    for packet in container.demux(stream):
        if packet.size == 0:  # the end
            continue
        if packet.has_sidedata("encryption_info"):
            raise InputError(f"{path}: is encrypted; decrypt it, or record it without protection.")
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
            f"{path}: is cut off: it has only {total} of {stream.frames} frames; copy it again."
        )
    if len(set(stamps)) < len(stamps):
        return None
    stamps.sort()
    return VideoIndex(tuple(stamps), (0, *(i for i, s in enumerate(stamps) if i and s in keys)))


def index_frames(container: "InputContainer", stream: "VideoStream") -> VideoIndex:
    """Makes the index of a video by decoding all of its frames."""
    stamps, keys = [], [0]
    with quietly():
        for number, frame in enumerate(container.decode(stream)):
            stamps.append(frame.pts)
            if number and frame.key_frame:
                keys.append(number)
    known = [stamp for stamp in stamps if stamp is not None]
    can_seek = len(known) == len(stamps) and known == sorted(set(known))
    return VideoIndex(tuple(known if can_seek else range(len(stamps))), tuple(keys), can_seek)
