"""What the labels are worth: ours by default beside what one would use instead.

    python benchmarks/labels.py [--data FOLDER] [--only PART ...] [--seeds N] [--json FILE]

FOLDER holds ``sandstone/images`` and ``sandstone/masks``, and ``em_vnc/images`` and
``em_vnc/labels``; without it only what is drawn here is scored. Everything is fitted to the first
slice and scored on others, with the number of labels that the truth has. A baseline's best
smoothing is chosen by the truth of the scored slices; ours is not.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phantoms import PHANTOMS, Image, Labels, Phantom, moving, trivial
from report import print_table
from scipy.ndimage import gaussian_filter
from skimage.feature import multiscale_basic_features
from sklearn.cluster import KMeans
from streams import update_json

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.baselines import MultiOtsu, PixelKMeans, SuperpixelSpectral
from sp_graph_seg.evaluation import contingency_table, score_clustering
from sp_graph_seg.transforms import compute_superpixels
from sp_graph_seg.transforms.prepare import measure_intensity_range, normalize
from sp_graph_seg.volumes import open_volume

SMOOTHINGS = (0.0, 0.5, 1.0, 1.5, 2.0)

#: Phantoms are drawn from this seed on; the settings were chosen on lower ones.
FIRST_SEED = 100

Predict = Callable[[Image], Labels]
Part = np.s_[:, :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with sandstone and em_vnc")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    for part in arguments.only:
        start, rows = time.perf_counter(), PARTS[part](arguments)
        if rows:
            title = f"{part}, {time.perf_counter() - start:.0f} s"
            print_table(title, list(rows[0]), [[str(c) for c in row.values()] for row in rows])
            update_json(arguments.json, part, rows)


# Phases: slices with truth


def phantoms(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Each phantom, five seeds of ours on one drawing of it."""
    return [compare(name, draw(FIRST_SEED), arguments.seeds) for name, draw in PHANTOMS.items()]


def sandstone(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Slice 0 of a sandstone, scored on slices 100 to 400, whole and in the middle."""
    if arguments.data is None:
        return []
    data = read_sandstone(arguments.data / "sandstone")
    middle = np.s_[250:750, 250:750]
    return [
        compare(f"sandstone, k = {k}, {name}", data, arguments.seeds, k, part)
        for k in (3, 4)
        for name, part in (("whole", np.s_[:, :]), ("middle", middle))
    ]


def read_sandstone(folder: Path) -> Phantom:
    """The slices of the sandstone, and their labels by the order of the colours of the masks."""
    images = [np.asarray(image, np.float32) for image in open_volume(folder / "images")]
    codes = [
        (image.astype(np.int64).T @ (1, 256, 65536)).T for image in open_volume(folder / "masks")
    ]
    colors = np.unique(np.concatenate([np.unique(code) for code in codes]))
    return Phantom(images, [np.searchsorted(colors, code) for code in codes])


def micrograph(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Section 0 of a nerve cord, scored on the others: membrane, mitochondria, the rest."""
    if arguments.data is None:
        return []
    folder = arguments.data / "em_vnc"
    if not folder.exists():
        folder = arguments.data.parent / "em_vnc"
    images = [np.asarray(image, np.float32) for image in open_volume(folder / "images")]
    codes = [image[0] for image in open_volume(folder / "labels")]
    truths = [np.where(code <= 128, 0, np.where(code == 191, 1, 2)) for code in codes]
    return [compare("em_vnc", Phantom(images, truths), arguments.seeds)]


_FITTED: dict[tuple[int, int, int], Predict] = {}


def compare(
    name: str, data: Phantom, seeds: int, num_labels: int | None = None, part: Any = Part
) -> dict[str, Any]:
    """A row: the best baseline, and the spread of ours over seeds."""
    k = num_labels or len(np.unique(np.concatenate([truth.ravel() for truth in data.truths])))

    def score(predict: Predict) -> tuple[float, list[Labels]]:
        labels = [predict(image) for image in data.images[1:]]
        pairs = zip(labels, data.truths[1:], strict=True)
        return float(np.mean([ami(own[part], truth[part]) for own, truth in pairs])), labels

    best = max(
        ((score(predict)[0], title) for title, predict in baselines(data.images[0], k)),
    )
    scores, labels = zip(*(score(ours(data, k, seed)) for seed in range(seeds)), strict=True)
    agreement = [
        np.mean([ami(a[part], b[part]) for a, b in zip(one, other, strict=True)])
        for one, other in combinations(labels, 2)
    ]
    auto = Segmenter(config(data)).fit(data.images[0])
    automatic, _ = score(auto.predict)
    return {
        "data": name,
        "best baseline": f"{best[0]:.3f} ({best[1]})",
        "ours, median": f"{np.median(scores):.3f}",
        "worst": f"{min(scores):.3f}",
        "seeds agree, least": f"{min(agreement, default=1):.3f}",
        "labels by auto": auto.num_labels_,
        "A-MI by auto": f"{automatic:.3f}",
    }


def config(data: Phantom) -> Config:
    """The preset of the images."""
    return Config.preset("photo" if len(data.images[0]) == 3 else "tomogram")


def ours(data: Phantom, k: int, seed: int) -> Predict:
    """Ours, trained once for each seed and number of labels."""
    key = (id(data), k, seed)
    if key not in _FITTED:
        settings = config(data).replace(num_labels=k, seed=seed)
        _FITTED[key] = Segmenter(settings).fit(data.images[0]).predict
    return _FITTED[key]


def baselines(image: Image, k: int) -> Iterator[tuple[str, Predict]]:
    """What one would use instead, fitted to one grey image."""
    limits = measure_intensity_range([image])

    def scaled(other: Image, sigma: float = 0) -> Image:
        return gaussian_filter(normalize(other, *limits), (0, sigma, sigma))

    for sigma in SMOOTHINGS:
        for title, estimator in (("multi-Otsu", MultiOtsu(k)), ("K-means", PixelKMeans(k))):
            estimator.fit(scaled(image, sigma))
            yield (
                f"{title}, Gaussian {sigma:g}",
                lambda other, e=estimator, s=sigma: e.predict(scaled(other, s)),
            )

    def features(other: Image) -> NDArray[np.float32]:
        values = multiscale_basic_features(scaled(other)[0])
        return values.reshape(-1, values.shape[-1])

    fitted = KMeans(k, n_init=3, random_state=0).fit(features(image)[::11])
    yield (
        "K-means on multiscale features",
        lambda other: fitted.predict(features(other)).reshape(other.shape[1:]),
    )

    def nodes(other: Image) -> Labels:
        return compute_superpixels(scaled(other), min(other[0].size // 100, 4000))

    spectral = SuperpixelSpectral(k).fit([scaled(image)], [nodes(image)])
    yield "spectral", lambda other: spectral.predict(scaled(other), nodes(other))


def ami(labels: Labels, truth: Labels) -> float:
    """The adjusted mutual information of two label maps."""
    return score_clustering(contingency_table(labels, truth))["ami"]


# Trivial pictures, windows, steadiness


def simple(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Discs, stripes and steps: V-measure on another drawing, with k given and by auto."""
    rows = []
    for channels, dtype in ((1, "uint8"), (1, "uint16"), (1, "float32"), (3, "uint8"),
                            (3, "uint16"), (5, "uint16"), (30, "float32")):  # fmt: skip
        row: dict[str, Any] = {"channels": channels, "type": dtype}
        for kind in ("disc", "stripes", "steps"):
            data = trivial(kind, channels, dtype, FIRST_SEED)
            k = int(data.truths[0].max()) + 1
            for title, count in ((f"{kind}, k = {k}", k), (f"{kind}, auto", 0)):
                settings = config(data).replace(num_labels=count)
                model = Segmenter(settings).fit(data.images[0])
                labels = model.predict(data.images[1])
                v = score_clustering(contingency_table(labels, data.truths[1]))["v"]
                row[title] = f"{v:.3f}" + ("" if count else f" ({model.num_labels_})")
        rows.append(row)
    return rows


def windows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Labels of a window of a slice beside those of the whole slice."""
    rows = []
    for name, data in _large(arguments).items():
        k = int(data.truths[0].max()) + 1
        predict = ours(data, k, 0)
        image, size = data.images[1], min(data.images[1].shape[1:]) // 2
        corner = size // 2
        window = np.s_[corner : corner + size, corner : corner + size]
        differs = predict(image)[window] != predict(np.ascontiguousarray(image[:, *window]))
        distance = np.minimum.outer(*[np.minimum(np.arange(size), np.arange(size)[::-1])] * 2)
        rows.append(
            {
                "data": name,
                "window": f"{size}x{size}",
                "differs within 8 pixels of its border": f"{differs[distance < 8].mean():.2%}",
                "farther than 40 pixels": f"{differs[distance > 40].mean():.2%}",
            }
        )
    return rows


def _large(arguments: argparse.Namespace) -> Mapping[str, Phantom]:
    return {name: draw(FIRST_SEED) for name, draw in PHANTOMS.items()}


def steadiness(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Labels that change from slice to slice, beside those of the truth that do."""
    data = moving(FIRST_SEED)
    labels = [ours(data, 2, 0)(image) for image in data.images]

    def changes(maps: Sequence[Labels]) -> float:
        return float(np.mean([(one != other).mean() for one, other in pairwise(maps)]))

    otsu = dict(baselines(data.images[0], 2))["multi-Otsu, Gaussian 1"]
    rows = []
    for title, maps in (
        ("truth", data.truths),
        ("ours", labels),
        ("multi-Otsu, Gaussian 1", [otsu(image) for image in data.images]),
    ):
        pairs = zip(maps, data.truths, strict=True)
        rows.append(
            {
                "labels": title,
                "change from slice to slice": f"{changes(maps):.2%}",
                "ratio to the truth": f"{changes(maps) / changes(data.truths):.2f}",
                "A-MI": f"{np.mean([ami(own, truth) for own, truth in pairs]):.3f}",
            }
        )
    return rows


PARTS = {
    "trivial pictures": simple,
    "phantoms": phantoms,
    "sandstone": sandstone,
    "micrograph": micrograph,
    "windows": windows,
    "steadiness": steadiness,
}

if __name__ == "__main__":
    main()
