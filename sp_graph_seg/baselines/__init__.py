"""Baselines: K-means, multi-Otsu, spectral clustering, and published region methods.

Baselines use only the colours of an image. The classes are estimators in the style of scikit-learn.
They are fitted to one or more images, such as slices of a volume or frames of a video. After that,
they can label other images. The functions label one image.

Clusters are numbered from the darkest to the brightest by the mean of their channels. The same seed
gives the same labels. If the images have fewer different colours than requested labels, there are
fewer labels.
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
