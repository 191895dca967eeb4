"""How evenly and how fast volumes are labelled.

    python benchmarks/volumes.py --data FOLDER [--only PART ...] [--json FILE] [--output FOLDER]

FOLDER holds ``fibers.tif``, ``cement.tif`` and ``concrete_neutron.tif``, ``concrete_xray.tif``; the
parts ``speed`` and ``memory`` make their own slices and need none. Pictures are written to the
folder after ``--output``. What the labels are worth is measured by ``labels.py``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from label_parts import label_joined_images
from numpy.typing import NDArray
from report import print_table
from streams import update_json
from volume_costs import memory, speed

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.baselines import MultiOtsu
from sp_graph_seg.plot.ortho import orthogonal_slices
from sp_graph_seg.streaming import choose_slices, read_slice
from sp_graph_seg.transforms.prepare import normalize
from sp_graph_seg.volumes import measure_range, open_volume

#: Volumes of 100 to 150 voxels a side, and the part that is looked at.
VOLUMES: dict[str, dict[str, Any]] = {
    "fibers": {},
    "cement": {},
    # The inside of a cylinder.
    "concrete_neutron": {"start": 20, "stop": 80, "crop": "20:80,20:80"},
    "concrete_xray": {"start": 20, "stop": 80, "crop": "20:80,20:80"},
}

#: Grey values that differ by less than this share of the range hardly change.
STILL = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the volumes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--slices", type=int, default=2000, help="slices for the peak memory")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--output", type=Path, help="also write pictures to this folder")
    arguments = parser.parse_args()
    if arguments.data is None and "consistency" in arguments.only:
        parser.error("--data is needed for the part consistency")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
    for part in arguments.only:
        title, rows = PARTS[part](arguments)
        print_table(title, list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
        update_json(arguments.json, part, rows)


def consistency(data: Path, output: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """The preset of tomograms beside multi-Otsu with as many labels."""
    rows = []
    for name, part in VOLUMES.items():
        volume = open_volume(data / f"{name}.tif", **part)
        limits = measure_range(volume)
        numbers = choose_slices(volume, 2, limits)
        images = [read_slice(volume, number) for number in numbers]
        model = Segmenter(Config.preset("tomogram")).fit(images, intensity_range=limits)
        otsu = MultiOtsu(model.num_labels_).fit([normalize(image, *limits) for image in images])
        slices = [read_slice(volume, number) for number in range(len(volume))]
        values = np.stack([image[0] for image in slices])
        labels = np.stack(label_joined_images(model, slices))
        plain = np.stack([otsu.predict(normalize(image, *limits)) for image in slices])
        width = limits[1] - limits[0]
        rows.append(
            {
                "volume": name,
                "labels": model.num_labels_,
                "told apart by": model.labeller_.kind,
                "ours": f"{changed(labels, values, width):.2%}",
                "multi-Otsu": f"{changed(plain, values, width):.2%}",
            }
        )
        if output:
            figure = orthogonal_slices(values, labels)
            figure.savefig(output / f"volume_{name}.jpg", dpi=100)
    title = f"Labels that change from slice to slice where the grey value changes by < {STILL:.0%}"
    return {title: rows}


def changed(labels: NDArray, values: NDArray[np.float32], width: float) -> float:
    """Share of the voxels whose label changes, of those whose value hardly does."""
    still = np.abs(np.diff(values, axis=0)) < STILL * width
    return float((labels[1:] != labels[:-1])[still].mean())


def _consistency(arguments: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    ((title, rows),) = consistency(arguments.data, arguments.output).items()
    return title, rows


PARTS: dict[str, Callable[[argparse.Namespace], tuple[str, list[dict[str, Any]]]]] = {
    "consistency": _consistency,
    "speed": speed,
    "memory": memory,
}


if __name__ == "__main__":
    main()
