"""The W-Net: an encoder from an image to features, and a decoder back to the image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sp_graph_seg.errors import InputError


class WNet(nn.Module):
    r"""The W-Net of `"W-Net: A Deep Model for Fully Unsupervised Image Segmentation"
    <https://arxiv.org/abs/1711.08506>`_ (Xia & Kulis 2017).

    The encoder maps an image to features z, with one channel for each possible label. The decoder
    reconstructs the image from f only, the softmax of z. Both are U-Nets with skip connections and
    ``2 * depth + 1`` modules. A module has two 3x3 convolutions, each followed by ReLU and batch
    normalisation. The convolutions are depthwise separable, except in the first and the last
    module.

    Height and width of an image must be at least ``min_size``. The image is padded by reflection to
    a multiple of ``2 ** depth``, and the result is cropped to the size of the image.

    Args:
        in_channels: Number of channels C of the image.
        num_features: Number of channels F of z.
        width: Number of channels of the first module. Each level has twice as many channels as the
            level before it. Xia & Kulis use 64.
        depth: Number of poolings, each of which halves the height and width. Xia & Kulis use 4.

    Shapes:
        - **image:** ``(B, C, H, W)``
        - **z, f:** ``(B, F, H, W)``
        - **reconstruction:** ``(B, C, H, W)``

    Example:
        >>> net = WNet(in_channels=3, num_features=8, width=4, depth=2)
        >>> z, reconstruction = net(torch.rand(1, 3, 30, 41))
        >>> z.shape, reconstruction.shape
        (torch.Size([1, 8, 30, 41]), torch.Size([1, 3, 30, 41]))
    """

    def __init__(
        self, in_channels: int, num_features: int = 32, width: int = 64, depth: int = 4
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_features = num_features
        self.encoder = UNet(in_channels, num_features, width, depth)
        self.decoder = UNet(num_features, in_channels, width, depth)
        if width <= 32:
            # Forward and backward on two cores, torch 2.13: 1.1x faster at width 16 (214x320). Wide
            # networks gained here as well (1.3x at width 64), but lost on another machine.
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def min_size(self) -> int:
        """Smallest height and width, in pixels, of an image that can be padded by reflection."""
        return self.encoder.multiple

    def encode(self, image: Tensor) -> Tensor:
        """Computes the features z of images, before the softmax."""
        if image.dim() != 4 or image.size(1) != self.in_channels:
            raise InputError(
                f"image: shape {tuple(image.shape)} does not fit the network; give a tensor "
                f"(B, C, H, W) with C = {self.in_channels} channels."
            )
        if min(image.shape[2:]) < self.min_size:
            raise InputError(
                f"image: {image.size(2)}x{image.size(3)} pixels are too few for a network of this "
                f"depth, which needs {self.min_size}x{self.min_size} pixels; use a larger image "
                "or a smaller depth."
            )
        return self.encoder(image)

    def decode(self, f: Tensor) -> Tensor:
        """Reconstructs images from f, the softmax of their features z."""
        return self.decoder(f)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the features z and the reconstruction of images."""
        z = self.encode(image)
        return z, self.decode(z.softmax(dim=1))


class UNet(nn.Module):
    """A U-Net, used as the encoder and as the decoder of a W-Net.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
        width: Number of channels of the first module.
        depth: Number of poolings, each of which halves the height and width.
        padding_mode: The values that convolutions use beyond the border. ``"zeros"`` uses zeros, as
            in the paper. ``"reflect"`` mirrors the image at the border.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        self.multiple = 2**depth
        widths = [width * 2**level for level in range(depth + 1)]
        ins = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(
            conv_module(i, o, level > 0, padding_mode)
            for level, (i, o) in enumerate(zip(ins, widths, strict=True))
        )
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, kernel_size=2, stride=2) for w in widths[:-1]
        )
        self.up = nn.ModuleList(
            conv_module(2 * w, w, level > 0, padding_mode) for level, w in enumerate(widths[:-1])
        )
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Computes what the last convolution gets, ``(B, width, H, W)``."""
        padding = self._padding(x.shape[2:])
        left, _, top, _ = padding
        height, width = x.shape[2:]
        x = F.pad(x, padding, mode="reflect")
        skips = []
        for level, module in enumerate(self.down):
            x = module(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for grow, up in zip(reversed(self.grow), reversed(self.up), strict=True):
            x = up(torch.cat([skips.pop(), grow(x)], dim=1))
        return x[:, :, top : top + height, left : left + width]

    def _padding(self, size: Sequence[int]) -> tuple[int, int, int, int]:
        """Computes the padding at the left, right, top and bottom of an image, in pixels.

        The lowest level gets at least 2x2 pixels, because batch normalisation cannot learn from a
        single pixel.
        """
        multiple = self.multiple
        missing = [max(2 * multiple, -(-n // multiple) * multiple) - n for n in size]
        (top, bottom), (left, right) = [(n // 2, n - n // 2) for n in missing]
        return left, right, top, bottom


def conv_module(
    in_channels: int, out_channels: int, separable: bool, padding_mode: str = "zeros"
) -> nn.Sequential:
    """Makes two 3x3 convolutions, each followed by ReLU and batch normalisation."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        if separable:
            layers += [
                _conv3x3(channels, channels, padding_mode, groups=channels),
                nn.Conv2d(channels, out_channels, kernel_size=1),
            ]
        else:
            layers += [_conv3x3(channels, out_channels, padding_mode)]
        layers += [nn.ReLU(), nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers)


def _conv3x3(in_channels: int, out_channels: int, padding_mode: str, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size=3,
        padding=1,
        groups=groups,
        padding_mode=padding_mode,  # type: ignore[arg-type]
    )
