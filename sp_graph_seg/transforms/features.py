"""Functions that add smoothed values and eigenvalues of the Hessian to an image as channels."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: Channels that each scale adds for each channel of the image.
PER_SCALE = 3

#: Radius of the kernel of a Gaussian, in standard deviations.
_REACH = 4.0


def add_hessian_features(image: Tensor, scales: Sequence[float]) -> Tensor:
    r"""Adds channels to an image: its smoothed values and the eigenvalues of its Hessian.

    The channels are computed at several scales. For each scale :math:`\sigma`, the image I is
    smoothed by a Gaussian :math:`G_\sigma` with standard deviation :math:`\sigma`. The Hessian is
    :math:`\sigma^2 \nabla\nabla (G_\sigma * I)` (Lindeberg 1998). Its larger and its smaller
    eigenvalue distinguish blobs, ridges and flat areas.

    If the image has values in [0, 1], an eigenvalue :math:`\lambda` lies within about [-0.5, 0.5].
    It is stored as :math:`(1 + \lambda) / 2`, clipped to [0, 1]. Leng et al. (VISAPP 2024, Fig. 5a)
    train on such channels of tomograms.

    Args:
        image: ``(C, H, W)``, values in [0, 1].
        scales: Standard deviations in pixels. An empty sequence adds no channels.

    Returns:
        ``(C * (1 + 3 * len(scales)), H, W)``. The channels of the image come first. For each scale,
        the smoothed channels, the larger eigenvalues and the smaller eigenvalues follow.
    """
    parts = [image]
    for scale in scales:
        smoothed = _smooth(image, scale)
        larger, smaller = _hessian_eigenvalues(smoothed, scale)
        parts += [smoothed, *(((1 + v) / 2).clamp(0, 1) for v in (larger, smaller))]
    return torch.cat(parts)


def _smooth(image: Tensor, scale: float) -> Tensor:
    """Smooths an image with a Gaussian. The values at its border are repeated outside of it."""
    reach = max(1, math.ceil(_REACH * scale))
    ticks = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (ticks / scale) ** 2)
    kernel = kernel / kernel.sum()
    planes = image.unsqueeze(1)  # (C, 1, H, W)
    planes = F.pad(planes, (reach, reach, reach, reach), mode="replicate")
    planes = F.conv2d(planes, kernel.view(1, 1, 1, -1))
    return F.conv2d(planes, kernel.view(1, 1, -1, 1)).squeeze(1)


def _hessian_eigenvalues(smoothed: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Computes the larger and the smaller eigenvalue of the Hessian, times the scale squared."""
    (by_row, by_column) = torch.gradient(smoothed, dim=(1, 2))
    rr, rc = torch.gradient(by_row, dim=(1, 2))
    cc = torch.gradient(by_column, dim=2)[0]
    middle = (rr + cc) / 2
    half = torch.sqrt(((rr - cc) / 2) ** 2 + rc**2)
    return scale**2 * (middle + half), scale**2 * (middle - half)
