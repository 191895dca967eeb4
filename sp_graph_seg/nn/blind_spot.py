"""A network that removes noise, and finds features that vary slowly over an image.

It predicts each pixel from its surroundings. Its slowly varying features, for short "slow
features", change little between neighbouring windows of an image.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from sp_graph_seg.nn.wnet import UNet

#: Share of hidden pixels, and the largest row and column distance of the pixels that replace them.
_HIDDEN = 0.12
_REACH = 2

#: Weights of the three terms of VICReg, as Bardes et al. 2022 chose them.
_INVARIANCE, _VARIANCE, _COVARIANCE = 25.0, 25.0, 1.0


class BlindSpotNet(nn.Module):
    """The encoder of a W-Net, and a linear layer that reconstructs hidden pixels from its features.

    The decoder of a W-Net can learn to reproduce noise that the encoder passes on. This network has
    a linear layer instead, which computes each pixel from the features of that pixel. The loss
    counts only pixels whose value was hidden from the encoder (Noise2Void, Krull et al. 2019). The
    surroundings of a pixel do not predict its noise, so the features do not contain the noise.

    Args:
        in_channels: Number of channels C of the image.
        num_features: Number of features F that the image is reconstructed from.
        num_slow: Number of slowly varying features S. Training with :func:`slow_loss` makes them
            change little between neighbouring windows of an image.
        width: Number of channels of the first module of the encoder.
        depth: Number of poolings, each of which halves the height and the width.

    Example:
        >>> net = BlindSpotNet(1, num_features=4, num_slow=2, width=4, depth=1)
        >>> reconstruction, slow = net(torch.rand(1, 1, 12, 17))
        >>> reconstruction.shape, slow.shape
        (torch.Size([1, 1, 12, 17]), torch.Size([1, 2, 12, 17]))
    """

    def __init__(
        self,
        in_channels: int,
        num_features: int = 16,
        num_slow: int = 8,
        width: int = 16,
        depth: int = 2,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.encoder = UNet(in_channels, num_features + num_slow, width, depth, "reflect")
        self.readout = nn.Conv2d(num_features, in_channels, kernel_size=1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the reconstruction and the slowly varying features.

        The reconstruction is ``(B, C, H, W)``, and the features are ``(B, S, H, W)``.
        """
        z = self.encoder(image)
        return self.readout(z[:, : self.num_features]), z[:, self.num_features :]


def hide_pixels(images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Replaces the values of 12 % of the pixels, which are chosen at random.

    A replaced pixel gets the value of one of its 24 neighbours, which is also chosen at random.

    Args:
        images: The images, ``(B, C, H, W)``.
        generator: The generator of all random numbers, on the CPU.

    Returns:
        The changed images, and a boolean tensor ``(B, 1, H, W)`` that is true where a pixel was
        replaced.
    """
    batch, channels, height, width = images.shape
    shape = (batch, 1, height, width)
    hidden = torch.rand(shape, generator=generator) < _HIDDEN
    down = torch.randint(-_REACH, _REACH + 1, shape, generator=generator)
    right = torch.randint(-_REACH, _REACH + 1, shape, generator=generator)
    down[(down == 0) & (right == 0)] = 1
    row = _step(torch.arange(height).view(-1, 1), down, height)
    column = _step(torch.arange(width), right, width)
    place = (row * width + column).flatten(2).expand(batch, channels, -1).to(images.device)
    other = images.flatten(2).gather(2, place).view_as(images)
    hidden = hidden.to(images.device)
    return torch.where(hidden, other, images), hidden


def _step(index: Tensor, step: Tensor, size: int) -> Tensor:
    """Adds a step to each index, or subtracts the step where the sum is outside the image.

    The sum is not mirrored at the border, because the mirrored index could equal the original one.
    """
    there = index + step
    return torch.where((there < 0) | (there >= size), index - step, there).clamp(0, size - 1)


def hidden_loss(reconstruction: Tensor, images: Tensor, counted: Tensor) -> Tensor:
    """Computes the mean squared error over the pixels where ``counted (B, 1, H, W)`` is true."""
    squares = (reconstruction - images).square() * counted
    return squares.sum() / (counted.sum() * images.size(1)).clamp(min=1)


def slow_loss(first: Tensor, second: Tensor) -> Tensor:
    r"""Computes a loss that is small if features change little between neighbouring windows.

    This is the loss of VICReg (Bardes, Ponce & LeCun 2022), applied to pairs of windows that lie
    side by side. It has three terms. The first makes the features of the two windows similar. The
    second keeps the standard deviation of each feature over the windows at 1 or more. The third
    makes the features uncorrelated. Without the second and the third term, all features would
    become constant or equal. For features that are linear functions of the input, minimising the
    loss solves a relaxed normalised cut of a graph. The nodes of this graph are the windows, and an
    edge joins the two windows of each pair.

    Args:
        first: Mean features of n windows, ``(n, S)``.
        second: Mean features of the n windows beside them, ``(n, S)``.
    """
    invariance = (first - second).square().mean()
    both = torch.cat([first, second])
    variance = F.relu(1 - (both.var(dim=0) + 1e-4).sqrt()).mean()
    centred = both - both.mean(dim=0)
    covariance = centred.T @ centred / (len(both) - 1)
    off_diagonal = covariance - torch.diag(covariance.diag())
    return (
        _INVARIANCE * invariance
        + _VARIANCE * variance
        + _COVARIANCE * off_diagonal.square().sum() / both.size(1)
    )
