"""A volume labelled by the jobs of a SLURM cluster, with dask-jobqueue.

    python examples/slurm_volume.py [VOLUME [OUTPUT.zarr]]

Run it on a login node, or in a small job of its own: it trains on two slices, submits the jobs and
waits. Jobs that start late join, blocks of jobs that die are done again by others, and after an
interruption the same command does what is missing. Without dask-jobqueue, or where there is no
``sbatch``, two processes on this machine stand in for the jobs. Without a path, a small synthetic
volume is labelled.
"""

import logging
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tifffile
from distributed import LocalCluster
from scipy.ndimage import gaussian_filter

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.streaming import choose_slices, label_volume, read_slice
from sp_graph_seg.volumes import Volume, measure_range, open_volume

MODEL = Path("slurm_model.safetensors")

# One worker a job, with one thread: labels do not depend on how many there are. Folders must be
# seen by all nodes.
JOB = {
    "cores": 1,
    "processes": 1,
    "memory": "4GB",
    "walltime": "01:00:00",
    # "queue": "compute",
    # "account": "my-project",
    # "job_extra_directives": ["--gres=gpu:1"],  # a network on a GPU for every worker
    "job_script_prologue": ["export OMP_NUM_THREADS=1"],
}
JOBS = 16


def start_cluster():
    """A cluster of SLURM jobs, or two processes where there is none."""
    if find_spec("dask_jobqueue") is None:
        print("no dask-jobqueue (pip install dask-jobqueue); two processes here instead")
    elif shutil.which("sbatch") is None:
        print("no sbatch on this machine; two processes here instead")
    else:
        from dask_jobqueue import SLURMCluster

        cluster = SLURMCluster(**JOB)
        cluster.scale(jobs=JOBS)
        return cluster
    return LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    )


def train(volume: Volume) -> None:
    """On the two slices that represent the rest best."""
    intensity_range = measure_range(volume)
    numbers = choose_slices(volume, 2, intensity_range)
    print(f"training on slices {numbers} of {len(volume)}")
    images = [read_slice(volume, number) for number in numbers]
    config = Config(width=8, num_features=8, n_segments=300, epochs=2)
    Segmenter(config).fit(images, intensity_range=intensity_range).save(MODEL)


def write_synthetic_volume(path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(24, 96, 96))
    blobs = gaussian_filter(noise, 5) > 0
    values = np.clip(90 + 70 * blobs + 15 * noise, 0, 255).astype(np.uint8)
    tifffile.imwrite(path, values, metadata={"axes": "ZYX"})


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "slurm_volume.tif")
    if len(sys.argv) < 2 and not path.exists():
        write_synthetic_volume(path)
    output = sys.argv[2] if len(sys.argv) > 2 else "slurm_labels.zarr"
    volume = open_volume(path)
    if not MODEL.exists():  # an interrupted run goes on with the model that it began with
        train(volume)
    with start_cluster() as cluster:
        labelled = label_volume(
            MODEL,
            volume,
            output,
            mode="supervoxels",
            block=8,
            scheduler=cluster.scheduler_address,
            resume=True,
        )
    print(f"labelled {len(volume)} slices: {labelled.path}")


if __name__ == "__main__":
    main()
