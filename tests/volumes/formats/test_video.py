import json
import struct
import subprocess
import sys

import av
import numpy as np
import pytest
from av.stream import Disposition

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume
from sp_graph_seg.volumes.formats import video as videos

RNG = np.random.default_rng(0)
COUNT = 40
GRID = np.mgrid[:32, :48].sum(0)
#: A moving pattern: each frame differs from all others, after lossy coding too.
MOVING = np.stack(
    [[(GRID * 3 + 6 * i) % 256, np.full((32, 48), 6 * i), GRID * 2] for i in range(COUNT)]
).astype(np.uint8)
CODECS = {
    "h264.mp4": ("libx264", "yuv420p", {"g": "12", "bf": "2", "sc_threshold": "0"}),
    "open.mp4": ("libx264", "yuv420p", {"g": "12", "bf": "2", "x264-params": "open-gop=1"}),
    "h264.mov": ("libx264", "yuv420p", {"g": "9"}),
    "h264.avi": ("libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "h264.mkv": ("libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "h265.mp4": (
        "libx265",
        "yuv420p",
        {"g": "12", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    ),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"g": "12", "bf": "2"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "12"}),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "mjpeg.avi": ("mjpeg", "yuvj444p", {}),
    "raw.avi": ("rawvideo", "bgr24", {}),
    "a.gif": ("gif", "rgb8", {}),
}


def decode(path):
    """The oracle: every frame in the order in which the decoder gives them."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).transpose(0, 3, 1, 2)


ENCODE = """
import json, sys
import av
import numpy as np

path, array, codec, pixels, options, rate = sys.argv[1:]
with av.open(path, "w") as file:
    stream = file.add_stream(codec, rate=int(rate), options=json.loads(options))
    frames = np.load(array)
    stream.height, stream.width = frames.shape[2:]
    stream.pix_fmt = pixels
    for number, image in enumerate(frames):
        picture = np.ascontiguousarray(np.moveaxis(image, 0, -1))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        file.mux(stream.encode(frame))
    file.mux(stream.encode())
"""


def encode_apart(path, array, codec, pixels, options, rate):
    """In a process of its own: after long test runs libx265 ended the whole process."""
    np.save(path.with_suffix(".npy"), array)
    arguments = [path, path.with_suffix(".npy"), codec, pixels, json.dumps(options), rate]
    subprocess.run([sys.executable, "-c", ENCODE, *map(str, arguments)], check=False)
    assert path.exists()


@pytest.fixture(scope="module")
def coded(tmp_path_factory, video):
    folder = tmp_path_factory.mktemp("coded")

    def get(name):
        codec, pixels, options = CODECS[name]
        if codec not in av.codecs_available:
            pytest.skip(f"FFmpeg is built without {codec}")
        rate = 25 if name.endswith("mpg") else 10
        if not (folder / name).exists():
            if codec == "libx265":
                encode_apart(folder / name, MOVING, codec, pixels, options, rate)
            else:
                video(folder / name, MOVING, codec, pixels, options, rate)
        return folder / name

    return get


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        open_volume(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "; " in message
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("name", CODECS)
def test_frames_are_exact_in_any_order(coded, name):
    path = coded(name)
    expected = decode(path)
    volume = open_volume(path)
    assert volume.read(0, len(volume)).shape == expected.shape == (COUNT, 3, 32, 48)
    np.testing.assert_array_equal(np.stack(list(volume)), expected)
    numbers = [COUNT - 1, 0, 13, 12, 11, 25, 26, 24, 23, *RNG.integers(0, COUNT, 25).tolist()]
    for number in numbers:
        np.testing.assert_array_equal(volume[number], expected[number], f"frame {number}")
    assert volume.check() == []


@pytest.mark.parametrize("shape", [(6, 3, 31, 37), (6, 1, 31, 37)])
def test_odd_sizes_without_loss(tmp_path, video, shape):
    array = RNG.integers(0, 256, shape, np.uint8)
    path = video(tmp_path / "a.mkv", array, pixels="bgr0" if shape[1] == 3 else "gray")
    np.testing.assert_array_equal(open_volume(path).read(0, 6), array)


def test_deep_grey(tmp_path):
    array = RNG.integers(0, 65536, (4, 16, 18), np.uint16)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 18, "gray16le"
        for image in array:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray16le")))
        container.mux(stream.encode())
    volume = open_volume(tmp_path / "a.mkv")
    assert volume.dtype == np.uint16
    np.testing.assert_array_equal(volume.read(0, 4)[:, 0], array)


def test_order_decides_about_seeking(coded, monkeypatch):
    """In order nothing is decoded twice; a step over keyframes skips what lies between."""
    sought = []
    seek = videos._FrameReader._seek
    monkeypatch.setattr(
        videos._FrameReader, "_seek", lambda self, key: sought.append(key) or seek(self, key)
    )
    source = open_volume(coded("h264.mp4")).source
    assert source.index.keyframes == (0, 12, 24, 36)
    reader = source.open()
    for number in range(COUNT):
        reader.plane(number, range(3))
        reader.plane(number, range(3))
    assert sought == []
    for number in (2, 3, 11, 30, 31, 35, 5):
        reader.plane(number, range(3))
    assert sought == [0, 2, 0]


def test_variable_frame_rate(tmp_path, video):
    stamps = [0, 1, 2, 10, 11, 30, 31, 32, 90, 91]
    path = video(tmp_path / "a.mkv", MOVING[:10], options={"g": "4"}, stamps=stamps)
    volume = open_volume(path)
    assert len(volume) == 10
    assert volume.frame_times == pytest.approx([stamp / 10 for stamp in stamps])
    for number in (9, 3, 8, 0, 5):
        np.testing.assert_array_equal(volume[number], MOVING[number])
    part = open_volume(path, start=1, stop=9, step=2, binning=(2, 1, 1))
    assert part.frame_times == pytest.approx([0.1, 3.0])


def test_frame_rate(coded, stored):
    volume = open_volume(coded("h264.mp4"))
    assert volume.frame_rate == 10
    assert volume.frame_times == pytest.approx([i / 10 for i in range(COUNT)])
    assert open_volume(coded("h264.mp4"), step=2, binning=(2, 1, 1)).frame_rate == 2.5
    across = open_volume(coded("h264.mp4"), axis="y")
    assert (across.frame_rate, across.frame_times) == (None, None)
    still = open_volume(stored["png"][0])
    assert (still.frame_rate, still.frame_times) == (None, None)


TURNED = [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
MIRRORED = [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]


@pytest.mark.parametrize("matrix", TURNED + MIRRORED)
def test_display_matrix(tmp_path, video, matrix):
    """A pixel (x, y) is shown at (a x + c y, b x + d y): x to the right, y down."""
    path = video(tmp_path / "a.mp4", MOVING[:4], "libx264", "yuv420p")
    expected = decode(path)
    a, b, c, d = matrix
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # version and flags, times, numbers, layer, volume
    fixed = (a << 16, b << 16, 0, c << 16, d << 16, 0)
    content[place : place + 24] = struct.pack(">6i", *fixed)
    path.write_bytes(content)
    height, width = expected.shape[2:]
    y, x = np.mgrid[:height, :width]
    shown_x, shown_y = a * x + c * y, b * x + d * y
    shown_x, shown_y = shown_x - shown_x.min(), shown_y - shown_y.min()
    upright = np.zeros((4, 3, shown_y.max() + 1, shown_x.max() + 1), np.uint8)
    upright[:, :, shown_y, shown_x] = expected
    np.testing.assert_array_equal(open_volume(path).read(0, 4), upright)


def boxes(content, start, end):
    """The boxes of an MP4 between two places: (name, first byte, end)."""
    while start < end:
        size = int.from_bytes(content[start : start + 4], "big")
        yield content[start + 4 : start + 8], start, start + size
        start += size


def put_notes_first(path):
    """Move the box with the cover picture before the film, so that its stream is the first."""
    content = path.read_bytes()
    moov = next(box for box in boxes(content, 0, len(content)) if box[0] == b"moov")
    parts = list(boxes(content, moov[1] + 8, moov[2]))
    parts.sort(key=lambda box: [b"mvhd", b"udta", b"trak"].index(box[0]))
    inside = b"".join(content[first:end] for _, first, end in parts)
    path.write_bytes(content[: moov[1] + 8] + inside + content[moov[2] :])


def test_a_cover_picture_is_not_the_video(tmp_path, video):
    film = video(tmp_path / "film.mp4", MOVING[:4], "libx264", "yuv420p")
    expected = decode(film)
    cover = video(tmp_path / "cover.mkv", MOVING[:1, :, :16, :16], "mjpeg", "yuvj420p")
    path = tmp_path / "both.mp4"
    with av.open(cover) as first, av.open(film) as second, av.open(path, "w") as file:
        streams = {}
        for source in (first, second):
            streams[source] = file.add_stream_from_template(source.streams.video[0])
        streams[first].disposition = Disposition.attached_pic.value
        for source, stream in streams.items():
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    file.mux(packet)
    put_notes_first(path)
    with av.open(path) as file:
        kinds = [bool(s.disposition & Disposition.attached_pic) for s in file.streams.video]
    assert kinds == [True, False]
    np.testing.assert_array_equal(open_volume(path).read(0, 4), expected)


# What is refused


def test_one_frame_needs_consent(tmp_path, video):
    path = video(tmp_path / "a.mkv", MOVING[:1])
    refused(path, "is one image")
    assert open_volume(path, axes="tyxc").num_slices == 1


def test_no_frame(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 18, "bgr0"
        container.start_encoding()
    refused(tmp_path / "a.mkv", "has no frame")


def test_no_picture(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    refused(tmp_path / "a.mkv", "no video stream")


def test_an_encrypted_video(tmp_path, video):
    protection = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00112233445566778899aabbccddeeff",
        "encryption_kid": "ffeeddccbbaa99887766554433221100",
    }
    path = video(tmp_path / "a.mp4", MOVING, "libx264", "yuv420p", container=protection)
    refused(path, "is encrypted")


def test_an_unknown_codec(tmp_path, video):
    path = video(tmp_path / "a.mp4", MOVING, "libx264", "yuv420p")
    content = path.read_bytes()
    assert content.count(b"avc1") > 1
    place = content.index(b"avc1", content.index(b"stsd"))
    path.write_bytes(content[:place] + b"zzzz" + content[place + 4 :])
    refused(path, "unknown codec", "convert the video")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}])
def test_cut_off(tmp_path, video, part, options):
    array = RNG.integers(0, 256, (COUNT, 3, 32, 48), np.uint8)
    path = video(tmp_path / "a.mp4", array, "libx264", "yuv420p", container=options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refused(path)


def test_damage(tmp_path, video):
    """A frame that the decoder drops is told by its number, and the others keep theirs."""
    array = RNG.integers(0, 256, (10, 3, 32, 48), np.uint8)
    path = video(tmp_path / "a.avi", array, "mjpeg", "yuvj444p")
    expected = decode(path)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    place = content.index(packets[4])
    path.write_bytes(content[:place] + bytes(len(packets[4])) + content[place + len(packets[4]) :])
    volume = open_volume(path)
    ((number, reason),) = volume.check()
    assert number == 4
    assert reason.startswith(f"{path}: frame 4 (of 0 to 9): ")
    for number in (3, 5, 9, 0):
        np.testing.assert_array_equal(volume[number], expected[number])
    with pytest.raises(InputError, match=r"frame 4 \(of 0 to 9\)"):
        volume.read(3, 6)


def test_a_frame_that_the_decoder_calls_corrupt_is_refused(tmp_path, video, monkeypatch):
    reader = open_volume(video(tmp_path / "a.mkv", MOVING[:3])).source.open()

    class Damaged:
        is_corrupt = True

    monkeypatch.setattr(reader, "_find", lambda z: Damaged())
    with pytest.raises(InputError, match=r"frame 1 .* is damaged"):
        reader.plane(1, range(3))
    reader.close()
