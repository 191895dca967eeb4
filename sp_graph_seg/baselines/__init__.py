"""The baselines: K-means, multi-Otsu, spectral clustering, and region methods of others.

They use colours only. Each is a class in the manner of scikit-learn, which is fitted to one or more
images, such as slices of a volume or frames of a video, and then labels others. A function labels
one image. Labels run from the darkest cluster to the brightest (mean over the channels) and are
the same for the same seed. There are fewer of them than requested if there are fewer colours.
"""

from sp_graph_seg.baselines.kmeans import (
    PixelKMeans,
    SuperpixelKMeans,
    kmeans_pixels,
    kmeans_superpixels,
)
from sp_graph_seg.baselines.otsu import MultiOtsu
from sp_graph_seg.baselines.regions import (
    felzenszwalb_regions,
    grid_regions,
    one_label,
    sas_regions,
)
from sp_graph_seg.baselines.spectral import SuperpixelSpectral, spectral_superpixels

__all__ = [
    "MultiOtsu",
    "PixelKMeans",
    "SuperpixelKMeans",
    "SuperpixelSpectral",
    "felzenszwalb_regions",
    "grid_regions",
    "kmeans_pixels",
    "kmeans_superpixels",
    "one_label",
    "sas_regions",
    "spectral_superpixels",
]
