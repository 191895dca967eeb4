"""What one would use instead: K-means, multi-Otsu and spectral clustering."""

from sp_graph_seg.baselines.estimators import (
    MultiOtsu,
    PixelKMeans,
    SuperpixelKMeans,
    SuperpixelSpectral,
    kmeans_pixels,
    kmeans_superpixels,
    spectral_superpixels,
)

__all__ = [
    "MultiOtsu",
    "PixelKMeans",
    "SuperpixelKMeans",
    "SuperpixelSpectral",
    "kmeans_pixels",
    "kmeans_superpixels",
    "spectral_superpixels",
]
