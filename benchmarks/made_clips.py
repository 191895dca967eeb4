"""How well videos are labelled that no setting was chosen on: clips made of photographs.

    python benchmarks/made_clips.py --data FOLDER [--clips N] [--json FILE]

FOLDER is that of BSDS300, with ``images/train`` and ``groundTruth/train``. An annotated object is
cut out of a photograph, and its hole filled with what lies beside it. Then it moves, grows or
shrinks and turns a little, while the camera pans and zooms and the light changes. Noise and JPEG
come last. Ours is the preset of videos without its network, which takes minutes and hardly changes
these scores.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from report import print_table
from scipy.io import loadmat
from scipy.ndimage import affine_transform, gaussian_filter, label
from sklearn.cluster import KMeans
from streams import BASELINES, Labels, Subject, flicker, update_json
from videos import union_ious

from sp_graph_seg import Config
from sp_graph_seg.baselines import felzenszwalb_regions
from sp_graph_seg.prototypes import fit_appearance
from sp_graph_seg.transforms.touching import region_means

Picture = NDArray[np.float32]
Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

#: Photographs of the training set of BSDS300. The settings were chosen on clips of others.
HELD_OUT = (
    "105053", "112082", "118020", "140055", "153093", "159045", "170054", "187003", "189003",
    "189011", "202012", "216053", "23080", "24063", "249087", "293029", "35091", "43070",
    "68077", "8049",
)  # fmt: skip

FRAMES = 12
SIZE = (200, 320)

#: Height and width of the part of a photograph that the camera sees without zoom.
VIEW = (240, 384)

#: Least and largest share of a photograph that an object covers.
SHARES = (0.02, 0.1)

#: Number of annotators who have to agree on an object; it is the one that they agree on best.
ANNOTATORS = 3

#: Frames that are trained on.
TRAIN_ON = (2, 8)

#: Numbers of labels; 0 is the number by default.
NUM_LABELS = (0, 4, 6, 8, 12)


class Clip(NamedTuple):
    """Frames ``(3, H, W)`` in [0, 1], and the masks ``(H, W)`` of the object in them."""

    frames: list[Picture]
    masks: list[Mask]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of BSDS300")
    parser.add_argument("--clips", type=int, default=8, help="number of clips, up to 20")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    rows = measure_clips(arguments.data, HELD_OUT[: arguments.clips])
    title = f"{arguments.clips} clips made of photographs: IoU, flicker"
    print_table(title, list(rows[0]), [list(row.values()) for row in rows])
    update_json(arguments.json, "made clips", rows)


def measure_clips(data: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each method: IoU and flicker, mean over the clips, for each number of labels."""
    scores: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for name in names:
        clip = make_clip(data, name)
        masks = dict(enumerate(clip.masks))
        for (method, fit), count in product(METHODS.items(), NUM_LABELS):
            if count or method == OURS:
                labels = fit(clip, count)
                _, iou, _ = union_ious(dict(enumerate(labels)), masks, TRAIN_ON)
                scores.setdefault((method, count), []).append((iou, flicker(labels)))
    rows = []
    for method in METHODS:
        row = {"method": method}
        for count in NUM_LABELS:
            title = f"K = {count}" if count else "by default"
            pair = np.mean(scores.get((method, count), [(np.nan, np.nan)]), axis=0)
            row[title] = "" if np.isnan(pair[0]) else f"{pair[0]:.3f}, {pair[1]:.1%}"
        rows.append(row)
    return rows


def label_by_ours(clip: Clip, num_labels: int) -> list[Labels]:
    """The preset of videos without its network."""
    config = Config.preset("video").replace(num_labels=num_labels, epochs=1, minibatches=1)
    images = [clip.frames[n] for n in TRAIN_ON]
    model = replace(fit_appearance(images, [None] * len(images), config)[0], net=None)
    labels, before = [], None
    for frame in clip.frames:
        one, _, before = model.predict_after(before, frame)
        labels.append(one)
    return labels


def label_by_felzenszwalb(clip: Clip, num_labels: int) -> list[Labels]:
    """K-means of the mean colours of the regions of Felzenszwalb & Huttenlocher's method."""
    regions = [felzenszwalb_regions(frame, 100.0) for frame in clip.frames]
    colors = [
        region_means(np.moveaxis(frame, 0, -1), own)
        for frame, own in zip(clip.frames, regions, strict=True)
    ]
    seen = np.concatenate([colors[n] for n in TRAIN_ON])
    model = KMeans(min(num_labels, len(seen)), n_init=3, random_state=0).fit(seen)
    return [model.predict(part)[own] for part, own in zip(colors, regions, strict=True)]


def _by_baseline(name: str) -> Callable[[Clip, int], list[Labels]]:
    def label_frames(clip: Clip, num_labels: int) -> list[Labels]:
        subject = Subject([clip.frames[n] for n in TRAIN_ON], (0.0, 1.0), Config.preset("video"))
        labeler = getattr(subject, name)(num_labels)
        return [labeler(frame) for frame in clip.frames]

    return label_frames


OURS = "ours"
METHODS: dict[str, Callable[[Clip, int], list[Labels]]] = {
    OURS: label_by_ours,
    **{title: _by_baseline(name) for name, title in BASELINES.items()},
    "K-means on regions of Felzenszwalb": label_by_felzenszwalb,
}


def find_object(data: Path, name: str) -> Mask:
    """The object of a photograph that its annotators agree on best, ``(H, W)``."""
    annotated = loadmat(data / "groundTruth" / "train" / f"{name}.mat")["groundTruth"][0]
    segmentations = [each["Segmentation"][0, 0].astype(int) for each in annotated]
    mask, _ = max(_objects(segmentations), key=lambda pair: pair[1])
    return mask


def _objects(segmentations: list[NDArray[np.int64]]) -> Iterator[tuple[Mask, float]]:
    """Segments in one piece, away from the border, and how well annotators agree on them."""
    for own in segmentations:
        shares = np.bincount(own.ravel()) / own.size
        for number in np.flatnonzero((shares > SHARES[0]) & (shares < SHARES[1])):
            mask = own == number
            touches = mask[[0, -1]].any() or mask[:, [0, -1]].any()
            pieces = np.bincount(label(mask)[0][mask])
            if touches or pieces.max() < 0.9 * mask.sum():
                continue
            ious = np.sort([_best_iou(mask, each) for each in segmentations])
            yield mask, float(ious[-ANNOTATORS])


def _best_iou(mask: Mask, segmentation: NDArray[np.int64]) -> float:
    areas = np.bincount(segmentation.ravel())
    hits = np.bincount(segmentation[mask], minlength=len(areas))
    return float((hits / (mask.sum() + areas - hits)).max())


def make_clip(data: Path, name: str) -> Clip:
    """Makes the clip of a photograph; all that is drawn depends on its name."""
    mask = find_object(data, name)
    photo = np.asarray(Pillow.open(data / "images" / "train" / f"{name}.jpg"), np.float32) / 255
    random = np.random.default_rng(int(name))
    ground = fill(photo, mask)
    way = random.choice([-1, 1], 2) * random.uniform((0, 35), (12, 70))  # rows and columns
    grows, turns = random.uniform(0.85, 1.2), random.uniform(-0.12, 0.12)
    pan = random.uniform(-1, 1, 2) * (np.array(photo.shape[:2]) - VIEW) / 2
    zoom, light = random.uniform((1, -0.12), (1.15, 0.12))
    tint = random.normal(0, 0.02, 3)
    noise, quality = random.uniform(0.005, 0.025), int(random.integers(35, 80))
    middle = np.array(np.nonzero(mask)).mean(axis=1)
    frames, masks = [], []
    for time in np.linspace(-0.5, 0.5, FRAMES):
        sway = np.array([3 * np.sin(9 * time), 0])
        place = _turn(turns * time) / grows ** (2 * time)
        back = middle - place @ (middle + way * time + sway)
        cover = gaussian_filter(mask.astype(np.float32), 0.7)
        alpha = affine_transform(cover, place, back, order=1)[..., None]
        moved = _move(photo, place, back, mask.shape)
        scene = alpha * moved + (1 - alpha) * ground
        scale = np.array(VIEW) / SIZE / zoom ** (time + 0.5)
        corner = (np.array(photo.shape[:2]) - scale * SIZE) / 2 + pan * 2 * time
        soft = gaussian_filter(scene, (0.4, 0.4, 0))
        frame = _move(soft, np.diag(scale), corner, SIZE)
        frame = frame * (1 + light * time * 2) + tint * time * 2
        frame = frame + random.normal(0, noise, frame.shape)
        frames.append(_compress(frame.clip(0, 1), quality))
        masks.append(affine_transform(alpha[..., 0], np.diag(scale), corner, SIZE, order=1) > 0.5)
    return Clip(frames, masks)


def fill(photo: Floats, mask: Mask) -> Floats:
    """Fills the hole of an object with the nearest part of the picture that lies beside it."""
    wide = gaussian_filter(mask.astype(np.float32), 2) > 0.02
    best: tuple[float, int, int] = (np.inf, 0, 0)
    for rows in range(-160, 161, 10):
        for columns in range(-240, 241, 10):
            covered = _shifted(wide, rows, columns)[wide].mean()
            best = min(best, (covered * 1e3 + np.hypot(rows, columns), rows, columns))
    beside = _shifted(photo, *best[1:])
    share = gaussian_filter(wide.astype(np.float32), 1.5)[..., None].clip(0, 1)
    return np.where(wide[..., None], beside, share * beside + (1 - share) * photo)


def _shifted(array: NDArray, rows: int, columns: int) -> NDArray:
    """The array moved, mirrored at its border."""
    height, width = array.shape[:2]
    mirrored = [np.abs(np.arange(size) + step) for size, step in ((height, rows), (width, columns))]
    row, column = (
        np.where(index >= size, 2 * size - 2 - index, index)
        for index, size in zip(mirrored, (height, width), strict=True)
    )
    return array[row][:, column]


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _move(picture: Floats, matrix: NDArray, offset: NDArray, size: tuple[int, ...]) -> Floats:
    """An affine transform of each channel of a picture ``(H, W, C)``."""
    channels = [
        affine_transform(picture[..., channel], matrix, offset, size, order=1, mode="mirror")
        for channel in range(picture.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def _compress(frame: Floats, quality: int) -> Picture:
    buffer = io.BytesIO()
    Pillow.fromarray((frame * 255).round().astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.moveaxis(np.asarray(Pillow.open(buffer), np.float32) / np.float32(255), -1, 0)


if __name__ == "__main__":
    main()
