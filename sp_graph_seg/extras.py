"""Optional packages, and the extras that install them."""

import sys
from importlib.util import find_spec

from sp_graph_seg.errors import InputError

#: The extras of setup.cfg, by the names under which their packages are imported.
EXTRAS = {
    "av": "video",
    "cyclopts": "cli",
    "dask": "napari",
    "distributed": "cluster",
    "h5py": "volumes",
    "imagecodecs": "volumes",
    "matplotlib": "plot",
    "napari": "napari",
    "yaml": "cli",
    "zarr": "volumes",
}


def require(module: str) -> None:
    """Checks that an optional package is installed. Call this function right before the import.

    Args:
        module: The name under which the package is imported. It must be a key of `EXTRAS`.

    Raises:
        InputError: The package is missing. The message gives the command that installs it.
    """
    if sys.modules.get(module) is None and find_spec(module) is None:
        raise InputError(
            f"{module}: is not installed; run pip install 'sp_graph_seg[{EXTRAS[module]}]'."
        )
