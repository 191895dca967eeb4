"""Whether a graph network between the node means and the losses earns its place.

    python benchmarks/heads.py --data FOLDER --rows heads.jsonl [--images N] [--seeds N]

FOLDER holds ``bsds300`` and ``tomography/sandstone``. Every training is a line of the file of rows;
the same command continues an interrupted run. Each head is trained on each photograph alone, and on
one slice of the sandstone, whose other slices it labels. Heads are compared with no head image by
image: the table has the mean difference over the images and its standard error.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from labels import read_sandstone
from report import print_table
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GCNConv, SAGEConv, TransformerConv

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.evaluation import score_annotators
from sp_graph_seg.experiments import find_photos
from sp_graph_seg.nn import call_head, make_head

SIZE = 32

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "GCN": lambda: GCNConv(SIZE, SIZE),
    "GATv2": lambda: GATv2Conv(SIZE, SIZE, edge_dim=1),
    "GraphSAGE": lambda: SAGEConv(SIZE, SIZE),
    "Transformer": lambda: TransformerConv(SIZE, SIZE, edge_dim=1),
}

#: Form of the head, and what the similarity and continuity losses judge.
FORMS = {
    "plain": ("plain", "output"),
    "residual": ("residual", "output"),
    "plain, losses on input too": ("plain", "both"),
    "residual, losses on input too": ("residual", "both"),
}
#: The same for APPNP, which has no weights.
APPNP_FORMS = {
    "no weights": ("plain", "output"),
    "no weights, losses on input too": ("plain", "both"),
}

#: The smallest settings at which the losses still fall; four steps of eight mini-batches each.
COMMON = {"num_features": SIZE, "width": 16, "depth": 3, "learning_rate": 3e-3}
PHOTO = Config(max_size=160, n_segments=600, patches=((16, 32, 32),), **COMMON)
ROCK = Config(
    max_size=256, n_segments=1000, patches=((16, 32, 32),), beta_sim=0.3, beta_con=0.3, **COMMON
)

Case = tuple[str, list[Any], list[list[Any]], Config]


class Head(nn.Module):
    """Two layers; ``residual`` adds what they make of the normalised features to the features."""

    def __init__(self, make: Callable[[], nn.Module], form: str) -> None:
        super().__init__()
        self.is_residual = form == "residual"
        self.layers = nn.ModuleList([make(), make()])
        self.norms = nn.ModuleList([nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)])

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """``(N, F)`` -> ``(N, F)``."""
        h = self.norms[0](x) if self.is_residual else x
        h = call_head(self.layers[0], h, edge_index, edge_weight)
        h = call_head(self.layers[1], F.elu(self.norms[1](h)), edge_index, edge_weight)
        return x + h if self.is_residual else h


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="one JSON line for each training")
    parser.add_argument("--images", type=int, default=8, help="photographs")
    parser.add_argument("--first", type=int, default=12, help="position of the first photograph")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("photos", "sandstone"), default=("photos",))
    parser.add_argument("--show", action="store_true", help="print the table and train nothing")
    arguments = parser.parse_args()
    rows = read_rows(arguments.rows)
    if not arguments.show:
        done = {(row["head"], row["form"], row["case"], row["seed"]) for row in rows}
        cases = list(make_cases(arguments))
        for seed in range(arguments.seeds):  # all heads of a seed first, so that a part is fair
            for case in cases:
                for head, form in variants():
                    if (head, form, case[0], seed) not in done:
                        row = train(head, form, case, seed)
                        with arguments.rows.open("a") as file:
                            file.write(json.dumps(row) + "\n")
        rows = read_rows(arguments.rows)
    show(rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def variants() -> Iterator[tuple[str, str]]:
    yield "identity", ""
    yield from (("APPNP", form) for form in APPNP_FORMS)
    yield from ((head, form) for form in FORMS for head in LAYERS)


def make_cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Name, images, the truths of each, configuration; the first image is trained on."""
    if "photos" in arguments.only:
        photos = find_photos(arguments.data / "bsds300", "train")
        step = len(photos) // arguments.images
        for photo in photos[arguments.first :: step][: arguments.images]:
            yield photo.name, [photo.read()], [photo.read_truth()], PHOTO
    if "sandstone" in arguments.only:
        rock = read_sandstone(arguments.data / "tomography" / "sandstone")
        yield "sandstone", rock.images, [[truth] for truth in rock.truths], ROCK


def train(head: str, form: str, case: Case, seed: int) -> dict[str, Any]:
    name, images, truths, config = case
    shape, judged = (FORMS | APPNP_FORMS).get(form, ("", "output"))
    torch.manual_seed(seed)  # of the weights of the head
    if head in LAYERS:
        module: nn.Module | None = Head(LAYERS[head], shape)
    else:
        module = make_head(head.lower(), SIZE)
    start = time.process_time()
    segmenter = Segmenter(config.replace(seed=seed, head_losses=judged), module).fit(images[0])
    labels = [segmenter.predict(image) for image in images]
    scored = list(zip(labels, truths, strict=True))[1:] or zip(labels, truths, strict=True)
    scores = [np.mean([s["ami"] for s in score_annotators(*pair)]) for pair in scored]
    history = segmenter.history_
    assert history is not None, "a model that was just trained has a history"
    return {
        "head": head,
        "form": form,
        "case": name,
        "seed": seed,
        "ami": float(np.mean(scores)),
        "num_labels": float(np.mean([len(np.unique(one)) for one in labels])),
        **{key: history.last_losses()[key] for key in ("rec", "sim", "con")},
        "seconds": time.process_time() - start,
    }


def show(rows: list[dict[str, Any]]) -> None:
    columns = ("head", "form", "A-MI", "difference", "labels", "L_rec", "L_sim", "L_con", "images")
    for title, belongs in (
        ("Photographs", lambda case: case != "sandstone"),
        ("Sandstone", lambda case: case == "sandstone"),
    ):
        found = [row for row in rows if belongs(row["case"])]
        if found:
            print_table(title, columns, [line for v in variants() for line in lines(found, v)])


def lines(rows: list[dict[str, Any]], variant: tuple[str, str]) -> Iterator[tuple[str, ...]]:
    """A line of the table, if there are trainings."""
    of = {name: partial(by_case, rows, name) for name in ("identity", variant[0])}
    own, other = of[variant[0]](variant[1]), of["identity"]("")
    pairs = [(row, other[key]) for key, row in own.items() if key in other]
    if not pairs:
        return
    differences = defaultdict(list)
    for row, without in pairs:
        # The sandstone is one image: its error is over the seeds.
        unit = row["seed"] if row["case"] == "sandstone" else row["case"]
        differences[unit].append(row["ami"] - without["ami"])
    means = np.array([np.mean(values) for values in differences.values()])
    error = means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else np.nan

    def mean(key: str) -> float:
        return float(np.mean([row[key] for row, _ in pairs]))

    yield (
        *variant,
        f"{mean('ami'):.3f}",
        "" if variant[0] == "identity" else f"{means.mean():+.3f} ± {error:.3f}",
        f"{mean('num_labels'):.1f}",
        f"{mean('rec'):.3f}",
        f"{mean('sim'):.2f}",
        f"{mean('con'):.3f}",
        f"{len({row['case'] for row, _ in pairs})} x {len({row['seed'] for row, _ in pairs})}",
    )


def by_case(rows: list[dict[str, Any]], head: str, form: str) -> dict[tuple[str, int], Any]:
    """The trainings of a head by image and seed."""
    return {
        (row["case"], row["seed"]): row
        for row in rows
        if (row["head"], row["form"]) == (head, form)
    }


if __name__ == "__main__":
    main()
