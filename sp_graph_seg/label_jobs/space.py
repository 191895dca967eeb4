"""Is there room for the labels? Asked before the work, not after it."""

import shutil
import warnings

from sp_graph_seg.errors import InputError, LowDiskSpaceWarning
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.label_jobs.outputs import LabelOutput

# Labels of smooth and of noisy images, and of superpixels, packed 3 to 25 times.
BEST_PACKING = 40
USUAL_PACKING = 4


def check_space(output: LabelOutput, manifest: Manifest, missing: float) -> None:
    """Compare the free space of the file system with what the labels may need.

    For a moment all blocks and the finished output lie side by side.

    Args:
        output: The output; its folder must exist.
        manifest: The job.
        missing: Share of the blocks that are still to be written, 0 to 1.

    Raises:
        InputError: Even labels that pack well would not fit.
    """
    free = shutil.disk_usage(output.path.parent).free
    least, usual = (
        manifest.nbytes * missing / packing
        + manifest.nbytes / (1 if output.kind == "npy" else packing)
        for packing in (BEST_PACKING, USUAL_PACKING)
    )
    if free >= usual:
        return
    message = (
        f"{output.path}: {_size(free)} are free, the labels need {_size(least)} to "
        f"{_size(usual)}; make room or choose an --output on another disk"
    )
    if free < least:
        raise InputError(message)
    warnings.warn(message, LowDiskSpaceWarning, stacklevel=3)


def _size(nbytes: float) -> str:
    unit = next((u for u in ("GB", "MB") if nbytes >= {"GB": 1e9, "MB": 1e6}[u]), "kB")
    return f"{nbytes / {'GB': 1e9, 'MB': 1e6, 'kB': 1e3}[unit]:.3g} {unit}"
