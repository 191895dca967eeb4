"""A network that removes noise: it predicts each pixel from its surroundings."""

import torch
from torch import Generator, Tensor, nn

from sp_graph_seg.nn.wnet import UNet

#: Share of hidden pixels, and the largest row and column distance of the pixels that replace them.
_HIDDEN = 0.12
_REACH = 2


class BlindSpotNet(nn.Module):
    """The encoder of a W-Net, and a linear layer that reconstructs hidden pixels from its features.

    The decoder of a W-Net can learn to reproduce noise that the encoder passes on. This network has
    a linear layer instead, which computes each pixel from the features of that pixel. The loss
    counts only pixels whose value was hidden from the encoder (Noise2Void, Krull et al. 2019). The
    surroundings of a pixel do not predict its noise, so the features do not contain the noise.

    Args:
        in_channels: Number of channels C of the image.
        num_features: Number of features F that the image is reconstructed from.
        width: Number of channels of the first module of the encoder.
        depth: Number of poolings, each of which halves the height and the width.

    Example:
        >>> net = BlindSpotNet(1, num_features=4, width=4, depth=1)
        >>> net(torch.rand(1, 1, 12, 17)).shape
        torch.Size([1, 1, 12, 17])
    """

    def __init__(
        self, in_channels: int, num_features: int = 16, width: int = 16, depth: int = 2
    ) -> None:
        super().__init__()
        self.encoder = UNet(in_channels, num_features, width, depth, "reflect")
        self.readout = nn.Conv2d(num_features, in_channels, kernel_size=1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """Computes the reconstruction of images, ``(B, C, H, W)``."""
        return self.readout(self.encoder(image))


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
