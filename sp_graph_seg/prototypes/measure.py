"""Measures the noise of an image, and removes it."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter, uniform_filter
from torch import Tensor

from sp_graph_seg.prototypes.stability import middle
from sp_graph_seg.prototypes.thresholds import (
    MODE_DEPTH,
    flat_pixels,
    mode_depths,
    rare_values_stand_out,
)

#: The second difference along both axes, of variance 1 for white noise of variance 1.
_HIGH_PASS = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0]).astype(np.float32) / 6

_WINDOW = 5

#: Residuals whose energy exceeds their median by this factor are structure and not noise, and the
#: standard deviation, in pixels, of the Gaussian that averages them.
_STRUCTURE = 1.3
_REACH = 1.5

#: Least share of the residual that is kept, and the standard deviation of the Gaussian over it.
_LEAST = 0.3
_FINE = 0.5
_FEWEST = 100

#: The weight of total variation is multiplied by these factors, the preferred ones first. The first
#: is taken whose valleys between the modes are this close to the deepest ones. At most this number
#: of rows and columns of an image are tried.
_FACTORS = (1.0, 1.5, 0.5, 2.0, 0.25, 0.125, 0.0)
_CLOSE = 0.99
_TRIED = 512

#: Where no mode counts, the least of these factors with which rare values stand out is taken.
_RARE_FACTORS = (1.0, 2.0, 4.0)


def noise_statistics(image: NDArray[np.float32]) -> tuple[float, float]:
    """Measures the whiteness and the standard deviation of the noise of a grey image.

    The noise is measured in the brighter half of the image, at pixels that differ from their
    surroundings. If there are only 100 such pixels or fewer, all pixels of the image are used.

    Args:
        image: The image, ``(H, W)``.

    Returns:
        The whiteness, and the standard deviation in units of the image. To measure the whiteness, a
        filter removes all but the finest detail. The whiteness is the standard deviation after the
        filter, divided by the standard deviation before the filter. It is 1 if the noise of
        neighbouring pixels is independent (white), and near 0 if a reconstruction or an
        interpolation has smoothed the noise.
    """
    mean = uniform_filter(image, _WINDOW)
    variance = np.maximum(uniform_filter(image * image, _WINDOW) - mean * mean, 0)
    fine = uniform_filter(convolve(image, _HIGH_PASS) ** 2, _WINDOW)
    noisy = (variance > 1e-5) & (mean > np.median(mean))
    if noisy.sum() <= _FEWEST:
        noisy = np.ones_like(noisy)
    whiteness = np.sqrt(np.median((fine / np.maximum(variance, 1e-9))[noisy]))
    return float(whiteness), float(np.sqrt(np.median(variance[noisy])))


def total_variation(image: Tensor, weight: float, iterations: int = 40) -> Tensor:
    r"""Denoises images by total variation, which keeps edges sharp (Rudin, Osher & Fatemi 1992).

    .. math:: \min_u \tfrac12 \lVert u - f \rVert^2 + w \sum |\nabla u|

    The minimum is found by the accelerated primal-dual method (Chambolle & Pock 2011, algorithm 2).
    It takes a quarter of the iterations of ``skimage.restoration.denoise_tv_chambolle``.

    Args:
        image: The images f, ``(..., H, W)``. Each image is denoised separately.
        weight: The weight w, in units of the image. With 0, the images do not change.
        iterations: Number of iterations.
    """
    if weight <= 0:
        return image
    u = ahead = image
    rows, columns = torch.zeros_like(image), torch.zeros_like(image)  # the dual variable
    tau, sigma = 0.35, 1 / (8 * 0.35)
    for _ in range(iterations):
        rows[..., :-1, :].add_(ahead[..., 1:, :] - ahead[..., :-1, :], alpha=sigma)
        columns[..., :, :-1].add_(ahead[..., :, 1:] - ahead[..., :, :-1], alpha=sigma)
        norm = torch.hypot(rows, columns).div_(weight).clamp_(min=1)
        rows.div_(norm)
        columns.div_(norm)
        divergence = rows + columns
        divergence[..., 1:, :] -= rows[..., :-1, :]
        divergence[..., :, 1:] -= columns[..., :, :-1]
        new = (u + tau * (divergence + image)) / (1 + tau)
        momentum = 1 / math.sqrt(1 + 2 * 0.7 * tau)
        tau, sigma = tau * momentum, sigma / momentum
        ahead = new + momentum * (new - u)
        u = new
    return u


def choose_smoothing(
    images: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.bool_] | None],
    weight: float,
) -> float:
    """Chooses the weight of total variation that separates the values of grey images best.

    Strong noise makes the modes overlap, so more smoothing separates them better. Too much of it
    mixes grains of a few pixels with what is around them, so that their modes vanish. So the
    valleys between the modes tell how much is right, where the measure of noise takes grains for
    noise. The given weight is multiplied by factors from 0 to 2. The depth of a valley, as a share
    of the height of its mode, is added up over all modes that count, see
    :func:`~sp_graph_seg.prototypes.thresholds.mode_depths`. Of the weights whose sum is at least
    99 % of the largest sum, the result is the one nearest to the given weight. It is the given
    weight if no mode counts with any of them.

    Thin cracks make no mode under strong noise. So if no mode counts with the given weight or more,
    and :func:`~sp_graph_seg.prototypes.thresholds.rare_values_stand_out` is true not with this
    weight, but with twice or four times the weight, the result is the smaller of these.

    Args:
        images: The images, ``(1, H, W)`` each.
        masks: The mask of each image, ``(H, W)``; ``None`` if all pixels have data.
        weight: The given weight, in units of the images.
    """
    parts = [middle(image.shape[1:], _TRIED) for image in images]
    tried = [torch.from_numpy(image[:, *part]) for image, part in zip(images, parts, strict=True)]
    insides = [
        mask if mask is None else mask[part] for mask, part in zip(masks, parts, strict=True)
    ]

    def smooth(factor: float) -> list[NDArray[np.float32]]:
        return [total_variation(image, factor * weight).numpy() for image in tried]

    def separation(factor: float) -> float:
        pairs = zip(smooth(factor), insides, strict=True)
        values = np.concatenate([part[0][flat_pixels(part, own)] for part, own in pairs])
        depths = np.array(mode_depths(values) if len(values) else [])
        return float((1 - np.exp(-depths[depths >= MODE_DEPTH])).sum())

    def stand_out(factor: float) -> bool:
        pairs = zip(smooth(factor), insides, strict=True)
        values = np.concatenate(
            [part[0][... if own is None else own].ravel() for part, own in pairs]
        )
        return len(values) > 0 and rare_values_stand_out(values)

    found = [separation(factor) for factor in _FACTORS]
    if not any(own for f, own in zip(_FACTORS, found, strict=True) if f >= 1):
        stronger = next(filter(stand_out, _RARE_FACTORS), 1.0)
        if stronger > 1:
            return weight * stronger
    return weight * next(
        f for f, own in zip(_FACTORS, found, strict=True) if own >= _CLOSE * max(found)
    )


def keep_structure(image: NDArray[np.float32], clean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Restores thin structures and edges that denoising has blurred.

    The residual is ``image - clean``, and its square is its energy. A share of the residual,
    smoothed by half a pixel, is added to the denoised image. The share at a pixel is the largest of
    three numbers:

    1. 0.3, because a network that predicts a pixel from its neighbours loses some detail.
    2. The part of the energy that exceeds the energy of noise, as in a Wiener filter. The energy of
       noise is estimated as 1.3 times the median of the energy.
    3. The part of the energy that edges explain. A model n + v is fitted to the energy: n is
       constant, and v is proportional to the squared gradient of the denoised image. The part is
       v / (n + v).

    Args:
        image: The image, ``(C, H, W)``.
        clean: The denoised image, ``(C, H, W)``.
    """
    residual = image - clean
    energy = (residual**2).mean(axis=0)
    local = gaussian_filter(energy, _REACH)
    excess = 1 - _STRUCTURE * np.median(local) / np.maximum(local, 1e-12)
    down, right = np.gradient(clean, axis=(1, 2))
    edges = gaussian_filter((down**2 + right**2).mean(axis=0), 1.0)
    share = np.maximum(np.maximum(excess, _explained(energy, edges)), _LEAST)
    return clean + share.astype(np.float32) * gaussian_filter(residual, (0, _FINE, _FINE))


def _explained(energy: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float32]:
    """Computes the share of an energy ``(H, W)`` that squared gradients ``(H, W)`` explain."""
    centred = edges - edges.mean()
    slope = max(0.0, float((centred * energy).mean() / max(float((centred**2).mean()), 1e-24)))
    noise = max(float(energy.mean() - slope * edges.mean()), 1e-12)
    return slope * edges / (noise + slope * edges)
