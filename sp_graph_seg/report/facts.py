"""What every page tells of the program: its versions, and what to cite."""

import platform
from importlib.metadata import version

from sp_graph_seg._version import __version__

#: What to cite, and its address, as in CITATION.cff.
CITATION = (
    "Leng, Atwood, Kockelmann, Chekrygina and Thiyagalingam: Unsupervised Few-Shot Image "
    "Segmentation with Dense Feature Learning and Sparse Clustering. VISAPP 2024.",
    "https://doi.org/10.5220/0012380700003660",
)

_PACKAGES = ("torch", "torch-geometric", "numpy", "scikit-image")


def versions() -> str:
    """Names the versions of this package, of Python and of the packages that make the labels."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return f"sp_graph_seg {__version__}, {packages}, {system}"
