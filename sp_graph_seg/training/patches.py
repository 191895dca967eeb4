"""Patches of an image: their random positions, and how they are cut out, rotated and flipped."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sp_graph_seg.errors import InputError, SmallImageWarning


@dataclass(frozen=True)
class PatchPositions:
    """The positions of K patches of one shape, with their rotations and flips.

    Patch k is a rectangle of the image whose upper left pixel is ``corner[k]``. It is rotated
    counter-clockwise by 90 degrees, ``quarter_turns[k]`` times. Then it is mirrored left to right
    if ``flip[k]`` is true. If ``quarter_turns[k]`` is odd, the rectangle is ``width`` high and
    ``height`` wide in the image. All patches therefore have the same shape after the rotation.
    """

    height: int
    width: int
    corner: Tensor
    """``(K, 2)``: row and column."""
    quarter_turns: Tensor
    """``(K,)``: 0 to 3."""
    flip: Tensor
    """``(K,)``: bool."""

    def __len__(self) -> int:
        return len(self.corner)

    def __getitem__(self, index: slice | Tensor) -> "PatchPositions":
        return PatchPositions(
            self.height, self.width, self.corner[index], self.quarter_turns[index], self.flip[index]
        )


def draw_patches(
    size: tuple[int, int],
    shape: tuple[int, int],
    count: int,
    generator: Generator,
    mask: Tensor | None = None,
    foreground: float = 1.0,
) -> PatchPositions:
    """Draws the positions of patches at random.

    The positions are uniform, or mostly around the pixels of a mask if a mask is given.

    Args:
        size: Height and width of the image.
        shape: Height and width of the patches, no larger than the image.
        count: Number of patches K.
        generator: The random number generator for all draws.
        mask: Pixels that the patches should show, ``(H, W)`` bool.
        foreground: Share of the patches that are centred on a pixel of the mask. Such a patch is
            moved if it would cross the border of the image. All others are drawn uniformly.

    Raises:
        InputError: If a patch does not fit into the image, no pixel of the mask is true, or the
            mask has another size than the image.
    """
    height, width = shape
    if height > size[0] or width > size[1]:
        raise InputError(
            f"patches: {height}x{width} pixels do not fit into an image of {size[0]}x{size[1]} "
            "pixels; use smaller patches."
        )
    turned_fits = width <= size[0] and height <= size[1]
    turns = torch.randint(4, (count,), generator=generator)
    turns = turns if turned_fits else turns // 2 * 2  # only half turns keep the shape
    sides = torch.tensor([[height, width], [width, height]])[turns % 2]  # (K, 2)
    last = torch.tensor(size) - sides  # (K, 2), the lowest and rightmost corner
    corner = (torch.rand(count, 2, generator=generator) * (last + 1)).long()
    if mask is not None:
        if mask.shape != size:
            raise InputError(
                f"mask: size {tuple(mask.shape)} differs from the image size {tuple(size)}; resize "
                "the mask."
            )
        if not mask.any():
            raise InputError(
                "mask: no pixel is true; give a mask with at least one true pixel, or None."
            )
        pixels = mask.nonzero()  # (M, 2)
        center = pixels[torch.randint(len(pixels), (count,), generator=generator)]
        inside = torch.rand(count, 1, generator=generator) < foreground
        corner = torch.where(inside, center - sides // 2, corner)
    flip = torch.rand(count, generator=generator) < 0.5
    return PatchPositions(height, width, corner.clamp(min=0).minimum(last), turns, flip)


def cut_patches(image: Tensor, positions: PatchPositions) -> Tensor:
    """Cuts K patches ``(K, C, height, width)`` out of an image ``(C, H, W)``."""

    def cut(corner: Tensor, turns: int, flip: bool) -> Tensor:
        row, column = corner.tolist()
        upright = (positions.height, positions.width)
        height, width = upright if turns % 2 == 0 else upright[::-1]
        patch = image[:, row : row + height, column : column + width].rot90(turns, dims=(1, 2))
        return patch.flip(2) if flip else patch

    parts = zip(
        positions.corner, positions.quarter_turns.tolist(), positions.flip.tolist(), strict=True
    )
    patches = [cut(*part) for part in parts]
    empty = image.new_empty(0, image.size(0), positions.height, positions.width)
    return torch.stack(patches) if patches else empty


class PatchSampler:
    """Draws the patches of one image and divides them among the mini-batches of each epoch.

    Args:
        size: Height and width of the image.
        patches: Count, height and width of the patches of each shape. A shape larger than the image
            is reduced with a warning.
        minibatches: Number of mini-batches in an epoch.
        generator: The random number generator for all draws.
        redraw: If true, new patches are drawn in every epoch. If false, the patches of the first
            epoch are used again.
        mask: See :func:`draw_patches`.
        foreground: See :func:`draw_patches`.
    """

    def __init__(
        self,
        size: tuple[int, int],
        patches: Sequence[tuple[int, int, int]],
        minibatches: int,
        generator: Generator,
        redraw: bool = True,
        mask: Tensor | None = None,
        foreground: float = 1.0,
    ) -> None:
        self.size = size
        self.patches = [(count, *_fit_shape((h, w), size)) for count, h, w in patches]
        self.minibatches = minibatches
        self.generator = generator
        self.redraw = redraw
        self.mask = mask
        self.foreground = foreground
        self._drawn: list[PatchPositions] = []

    def epoch(self) -> Iterator[list[PatchPositions]]:
        """Yields the positions of the patches of each mini-batch in an epoch.

        Each mini-batch is a list with one entry for each shape. A shape without patches in the
        mini-batch is left out.
        """
        if self.redraw or not self._drawn:
            self._drawn = [
                draw_patches(self.size, (h, w), count, self.generator, self.mask, self.foreground)
                for count, h, w in self.patches
            ]
        for number in range(self.minibatches):
            dealt = (positions[number :: self.minibatches] for positions in self._drawn)
            yield [positions for positions in dealt if len(positions)]


def _fit_shape(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    height, width = min(shape[0], size[0]), min(shape[1], size[1])
    if (height, width) != tuple(shape):
        warnings.warn(
            f"patches: patches of {shape[0]}x{shape[1]} pixels are reduced to {height}x{width}, "
            f"because the image (scaled to max_size) has {size[0]}x{size[1]} pixels; use smaller "
            "patches or a larger max_size.",
            SmallImageWarning,
            stacklevel=3,
        )
    return height, width
