from fractions import Fraction

import av
import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import write_overlay_video

COLOURS = np.array([(200, 30, 40), (30, 180, 60), (20, 40, 220), (128, 128, 128), (255, 255, 0)])


def frames(height=33, width=47, count=5):
    for number in range(count):
        frame = np.empty((height, width, 3), np.uint8)
        frame[:] = COLOURS[number % 5]
        yield frame


def read(path):
    """The name of the codec, the times, and the frames as ``(n, H, W, 3)``."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        times = [frame.pts * frame.time_base for frame in decoded]
        arrays = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
        return stream.codec_context.name, times, arrays, stream.pix_fmt


@pytest.mark.parametrize("codecs", [{"libx264"}, set()])
def test_the_frames_come_back(tmp_path, monkeypatch, codecs):
    monkeypatch.setattr(av, "codecs_available", codecs)
    write_overlay_video(tmp_path / "a.mp4", frames(), fps=25)
    codec, times, arrays, pixels = read(tmp_path / "a.mp4")
    assert (codec, pixels) == ("h264" if codecs else "mpeg4", "yuv420p")
    assert times == [Fraction(number, 25) for number in range(5)]
    assert arrays.shape == (5, 34, 48, 3)  # odd sides are padded, with the same colour
    assert np.abs(arrays.astype(int) - COLOURS[:, None, None]).max() <= 5
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


@pytest.mark.parametrize("height", [32, 33])
def test_only_odd_sides_are_padded(tmp_path, height):
    write_overlay_video(tmp_path / "a.mp4", frames(height, 64, count=1), fps=5)
    assert read(tmp_path / "a.mp4")[2].shape == (1, 32 if height == 32 else 34, 64, 3)


def test_broadcast_rates_are_exact_and_times_may_vary(tmp_path):
    write_overlay_video(tmp_path / "a.mp4", frames(), fps=30000 / 1001)
    assert read(tmp_path / "a.mp4")[1] == [Fraction(1001 * k, 30000) for k in range(5)]
    write_overlay_video(tmp_path / "a.mp4", frames(), 25, times=iter([7, 7.5, 7.6, 9, 10]))
    assert read(tmp_path / "a.mp4")[1] == [0, Fraction(1, 2), Fraction(3, 5), 2, 3]


def test_frames_are_taken_one_by_one(tmp_path, monkeypatch):
    """The encoder gets each frame before the next one is asked for."""
    events = []
    original = av.VideoFrame.from_ndarray

    class Recorder:
        @staticmethod
        def from_ndarray(*args, **kwargs):
            events.append("encode")
            return original(*args, **kwargs)

    def asked():
        for frame in frames():
            events.append("ask")
            yield frame

    monkeypatch.setattr(av, "VideoFrame", Recorder)
    write_overlay_video(tmp_path / "a.mp4", asked(), 25)
    assert events == ["ask", "encode"] * 5


def late_failure():
    yield from frames(count=2)
    raise KeyError("reader")


@pytest.mark.parametrize(
    ("name", "given", "options", "reason"),
    [
        ("a.avi", frames(), {}, "does not end in .mp4"),
        ("a.mp4", iter(()), {}, "no frames"),
        ("a.mp4", frames(), {"fps": 0}, "^fps: 0"),
        ("a.mp4", frames(), {"fps": float("nan")}, "^fps: nan"),
        ("a.mp4", [np.zeros((4, 4, 3))], {}, "frame 0 is a float64"),
        ("a.mp4", [np.zeros((4, 4), np.uint8)], {}, "frame 0 is a uint8"),
        ("a.mp4", [np.zeros((0, 4, 3), np.uint8)], {}, "frame 0 is"),
        ("a.mp4", [*frames(4, 4, 2), *frames(4, 6, 1)], {}, "frame 2 is .*4, 6, 3"),
        ("a.mp4", frames(), {"times": [0, 1, 1, 2, 3]}, "times: frame 2 has the time 1 s"),
        ("a.mp4", frames(), {"times": [0, float("nan"), 1, 2, 3]}, "frame 1 has the time nan s"),
        ("a.mp4", frames(), {"times": [0, 1]}, "times: there are only 2"),
        ("none/a.mp4", frames(), {}, "cannot be written"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, name, given, options, reason):
    with pytest.raises(InputError, match=reason) as caught:
        write_overlay_video(tmp_path / name, given, **{"fps": 25} | options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_between_frames_keeps_the_old_video(tmp_path):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(KeyError):
        write_overlay_video(tmp_path / "a.mp4", late_failure(), 25)
    assert (tmp_path / "a.mp4").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]
