"""Parts of labels.py: what the labels of tomograms are worth, on phantoms and on real slices."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from phantoms import PHANTOMS, Image, Labels, Phantom, moving, trivial, woven
from random_phantoms import draw
from report import Spread, ratios, time_together
from scipy.ndimage import gaussian_filter
from skimage.feature import multiscale_basic_features
from sklearn.cluster import KMeans

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.baselines import MultiOtsu, PixelKMeans, SuperpixelSpectral
from sp_graph_seg.evaluation import contingency_table, score_clustering
from sp_graph_seg.streaming.joined import describe_slice, label_joined
from sp_graph_seg.training import History
from sp_graph_seg.transforms import compute_superpixels
from sp_graph_seg.transforms.prepare import measure_intensity_range, normalize
from sp_graph_seg.volumes import open_volume

#: The module, which the package hides behind its function of the same name.
fit_phases = sys.modules["sp_graph_seg.prototypes.fit_phases"]

SMOOTHINGS = (0.0, 0.5, 1.0, 1.5, 2.0)

#: Phantoms are drawn from this seed on; the settings were chosen on lower ones.
FIRST_SEED = 100

Predict = Callable[[Image], Labels]
Tables = dict[str, list[dict[str, Any]]]
WHOLE = np.s_[:, :]


def train_once() -> None:
    """Trains a network for the same data and seed only once: it does not depend on K."""
    known: dict[tuple[Any, ...], Any] = {}
    train = fit_phases.fit_blind_spot

    def fit(net: Any, images: Any, masks: Any, config: Config, *options: Any) -> Any:
        data = tuple(float(image.double().square().sum()) for image in images)
        key = (config.seed, data, images[0].shape)
        if key in known:
            net.load_state_dict(known[key])
            net.eval()
            return History()
        history = train(net, images, masks, config, *options)
        known[key] = {name: weight.clone() for name, weight in net.state_dict().items()}
        return history

    fit_phases.fit_blind_spot = fit


# Phases: slices with truth


def phantom(name: str, seeds: int) -> Tables:
    """A phantom: each seed of ours on one drawing of it, and windows of its slices."""
    data = PHANTOMS[name](FIRST_SEED)
    return {"phantoms": compare(name, data, seeds), "windows": [window(name, data)]}


def at_random(kind: str, drawings: int) -> Tables:
    """Phantoms drawn at random: the mean over drawings of ours and of the best baseline of each."""
    first = 10 * FIRST_SEED
    rows = [compare(kind, draw(kind, first + number), 1)[0] for number in range(drawings)]

    def scores(column: str) -> NDArray[np.float64]:
        return np.array([float(row[column].split()[0]) for row in rows])

    best, own, automatic = map(scores, ("best baseline", "ours, median", "A-MI by auto"))
    above = own - best
    error = above.std(ddof=1) / np.sqrt(drawings)
    row = {
        "drawn at random": f"{kind}, {drawings} drawings",
        "best baseline": f"{best.mean():.3f}",
        "ours": f"{own.mean():.3f}",
        "ours above it": f"{above.mean():.3f} ± {error:.3f}",
        "at least": f"{above.min():.3f}",
        "A-MI by auto": f"{automatic.mean():.3f}",
    }
    return {"drawn at random": [row]}


def composite(seeds: int) -> Tables:
    """A woven composite; slices are joined along z, as by default in a volume."""
    data = woven(FIRST_SEED)
    scored = Phantom(
        [data.images[30], *data.images[60:120]], [data.truths[30], *data.truths[60:120]]
    )
    return {"composite": compare("woven composite", scored, seeds, joined=True)}


def sandstone(folder: Path, seeds: int) -> Tables:
    """Slice 0 of a sandstone, scored on slices 100 to 400, whole and in the middle."""
    images = [np.asarray(image, np.float32) for image in open_volume(folder / "images")]
    codes = [
        (image.astype(np.int64).T @ (1, 256, 65536)).T for image in open_volume(folder / "masks")
    ]
    colors = np.unique(np.concatenate([np.unique(code) for code in codes]))
    data = Phantom(images, [np.searchsorted(colors, code) for code in codes])
    parts = {"whole": WHOLE, "middle": np.s_[250:750, 250:750]}
    rows = [compare("sandstone", data, seeds, k, parts) for k in (3, 4)]
    return {"sandstone": rows[0] + rows[1]}


def micrograph(folder: Path, seeds: int) -> Tables:
    """Section 0 of a nerve cord, scored on the others: membrane, mitochondria, the rest."""
    images = [np.asarray(image, np.float32) for image in open_volume(folder / "images")]
    codes = [image[0] for image in open_volume(folder / "labels")]
    truths = [np.where(code <= 128, 0, np.where(code == 191, 1, 2)) for code in codes]
    return {"micrograph": compare("em_vnc", Phantom(images, truths), seeds)}


_FITTED: dict[tuple[int, int, int], tuple[Phantom, Segmenter]] = {}


def compare(
    name: str,
    data: Phantom,
    seeds: int,
    num_labels: int | None = None,
    parts: Mapping[str, Any] | None = None,
    joined: bool = False,
) -> list[dict[str, Any]]:
    """A row for each part of the slices: the best baseline, and the spread of ours over seeds."""
    k = num_labels or len(np.unique(np.concatenate([truth.ravel() for truth in data.truths])))
    scored, truths = data.images[1:], data.truths[1:]

    def labels_of(model: Segmenter) -> list[Labels]:
        return label_joined_images(model, scored) if joined else [model.predict(i) for i in scored]

    def score(labels: Sequence[Labels], part: Any) -> float:
        pairs = zip(labels, truths, strict=True)
        return float(np.mean([ami(own[part], truth[part]) for own, truth in pairs]))

    parts = parts or {"": WHOLE}
    best: dict[str, tuple[float, str]] = {}
    for title, predict in baselines(data.images[0], k):
        labels = [predict(image) for image in scored]
        for part, where in parts.items():
            best[part] = max(best.get(part, (0.0, "")), (score(labels, where), title))
    runs = [labels_of(ours(data, k, seed)) for seed in range(seeds)]
    automatic = ours(data, 0, 0)
    by_auto = labels_of(automatic)
    rows = []
    for part, where in parts.items():
        scores = [score(labels, where) for labels in runs]
        agreement = [
            np.mean([ami(a[where], b[where]) for a, b in zip(one, other, strict=True)])
            for one, other in combinations(runs, 2)
        ]
        rows.append(
            {
                "data": f"{name}, k = {k}" + (part and f", {part}"),
                "best baseline": f"{best[part][0]:.3f} ({best[part][1]})",
                "ours, median": f"{np.median(scores):.3f}",
                "worst": f"{min(scores):.3f}",
                "seeds agree, least": f"{min(agreement, default=1):.3f}",
                "labels by auto": automatic.num_labels_,
                "A-MI by auto": f"{score(by_auto, where):.3f}",
            }
        )
    return rows


def config(data: Phantom) -> Config:
    """The preset of the images."""
    return Config.preset("photo" if len(data.images[0]) == 3 else "tomogram")


def ours(data: Phantom, k: int, seed: int) -> Segmenter:
    """Ours, trained once for each seed and number of labels."""
    key = (id(data), k, seed)
    if key not in _FITTED:
        settings = config(data).replace(num_labels=k, seed=seed)
        _FITTED[key] = data, Segmenter(settings).fit(data.images[0])  # the data keep their id
    return _FITTED[key][1]


def label_joined_images(model: Segmenter, images: Sequence[Image]) -> list[Labels]:
    """Labels of neighbouring slices, joined along z as in a volume."""
    described = (describe_slice(model, number, image) for number, image in enumerate(images))
    return [labels for _, labels, _ in label_joined(model, described)]


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


def simple() -> Tables:
    """Discs, stripes and steps: V-measure on another drawing, with k given and by auto."""
    rows = []
    for channels, dtype in ((1, "uint8"), (1, "float32"), (3, "uint8"), (3, "uint16"),
                            (5, "uint16"), (30, "float32")):  # fmt: skip
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
    return {"trivial pictures": rows}


def window(name: str, data: Phantom) -> dict[str, Any]:
    """Labels of a window of a slice beside those of the whole slice."""
    k = int(max(truth.max() for truth in data.truths)) + 1
    model = ours(data, k, 0)
    image, size = data.images[1], min(data.images[1].shape[1:]) // 2
    corner = size // 2
    part = np.s_[corner : corner + size, corner : corner + size]
    alone = model.predict(np.ascontiguousarray(image[:, *part]))
    differs = model.predict(image)[part] != alone
    distance = np.minimum.outer(*[np.minimum(np.arange(size), np.arange(size)[::-1])] * 2)
    return {
        "data": name,
        "window": f"{size}x{size}",
        "differs within 8 pixels of its border": f"{differs[distance < 8].mean():.2%}",
        "farther than 40 pixels": f"{differs[distance > 40].mean():.2%}",
    }


def steadiness(seeds: int) -> Tables:
    """Labels that change from slice to slice, beside those of the truth that do."""
    data = moving(FIRST_SEED)
    models = [ours(data, 2, seed) for seed in range(seeds)]
    otsu = dict(baselines(data.images[0], 2))["multi-Otsu, Gaussian 1"]

    def changes(maps: Sequence[Labels]) -> float:
        return float(np.mean([(one != other).mean() for one, other in pairwise(maps)]))

    def row(title: str, runs: Sequence[Sequence[Labels]]) -> dict[str, Any]:
        change = [changes(maps) for maps in runs]
        scores = [np.mean([ami(*p) for p in zip(m, data.truths, strict=True)]) for m in runs]
        return {
            "labels": title,
            "change from slice to slice": f"{np.median(change):.2%}",
            "ratio to the truth": f"{np.median(change) / changes(data.truths):.2f}",
            "worst": f"{max(change) / changes(data.truths):.2f}",
            "A-MI": f"{np.median(scores):.3f}",
            "worst A-MI": f"{min(scores):.3f}",
        }

    rows = [
        row("truth", [data.truths]),
        row("ours, joined along z", [label_joined_images(m, data.images) for m in models]),
        row("ours, slice by slice", [[m.predict(i) for i in data.images] for m in models]),
        row("multi-Otsu, Gaussian 1", [[otsu(image) for image in data.images]]),
    ]
    return {"steadiness": rows}


def cost() -> Tables:
    """Seconds for a slice of 1024x1024 with white noise, where the network is needed."""
    random = np.random.default_rng(FIRST_SEED)
    grains = gaussian_filter(random.standard_normal((1024, 1024)), 5) > 0
    image = np.where(grains, 0.7, 0.4) + random.normal(0, 0.1, grains.shape)
    image = image.astype(np.float32)[None]
    torch.set_num_threads(2)
    start = time.perf_counter()
    model = Segmenter(Config.preset("tomogram").replace(num_labels=2)).fit(image)
    training = time.perf_counter() - start
    values = model.normalize(image).values
    encoder, labelling = time_together(
        lambda: model.labeller_.encode(values), lambda: model.predict(image), repeats=5, warmup=1
    )
    row = {
        "training": f"{training:.0f} s",
        "the encoder alone": f"{Spread.of(encoder):.2f} s",
        "labelling": f"{Spread.of(labelling):.2f} s",
        "speed, of the encoder's": f"{ratios(encoder, labelling):.2f}",
    }
    return {"cost of 1024x1024 on two cores": [row]}
