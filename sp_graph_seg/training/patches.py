"""Patches of an image: drawn from a generator, then cut out, rotated and flipped."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sp_graph_seg.errors import InputError, SmallImageWarning


@dataclass(frozen=True)
class PatchPositions:
    """The positions and turns of the patches of one shape.

    Patch k is the rectangle whose upper left pixel is ``corner[k]``, turned counter-clockwise by
    ``quarter_turns[k]`` times 90 degrees, then mirrored left to right if ``flip[k]``. For odd turns
    the rectangle is ``width`` high and ``height`` wide, so that all patches have one shape.
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
    """Draws the positions of patches uniformly, or mostly around the pixels of a mask.

    Args:
        size: Height and width of the image.
        shape: Height and width of the patches; no larger than the image.
        count: Number of patches K.
        generator: The only source of randomness.
        mask: Pixels that patches should show, ``(H, W)`` bool.
        foreground: Share of the patches that are centred on a pixel of the mask, as far as
            the border of the image allows; the others are drawn uniformly.

    Raises:
        InputError: If a patch does not fit into the image, or the mask has no pixel or another
            size.
    """
    height, width = shape
    if height > size[0] or width > size[1]:
        raise InputError(
            f"patches: {height}x{width} do not fit into an image of {size[0]}x{size[1]} pixels; "
            "use smaller patches."
        )
    turned_fits = width <= size[0] and height <= size[1]
    turns = torch.randint(4, (count,), generator=generator)
    turns = turns if turned_fits else turns // 2 * 2  # only half turns keep the shape
    sides = torch.tensor([[height, width], [width, height]])[turns % 2]  # (K, 2)
    last = torch.tensor(size) - sides  # (K, 2), the lowest and rightmost corner
    corner = (torch.rand(count, 2, generator=generator) * (last + 1)).long()
    if mask is not None:
        if mask.shape != size or not mask.any():
            raise InputError(
                f"mask: of size {tuple(mask.shape)} with {int(mask.sum())} true pixels cannot be "
                f"used; give one of size {tuple(size)} with at least one true pixel."
            )
        pixels = mask.nonzero()  # (M, 2)
        center = pixels[torch.randint(len(pixels), (count,), generator=generator)]
        inside = torch.rand(count, 1, generator=generator) < foreground
        corner = torch.where(inside, center - sides // 2, corner)
    flip = torch.rand(count, generator=generator) < 0.5
    return PatchPositions(height, width, corner.clamp(min=0).minimum(last), turns, flip)


def cut_patches(image: Tensor, positions: PatchPositions) -> Tensor:
    """Cuts the patches out: ``(C, H, W)`` -> ``(K, C, height, width)``."""

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
    """Divides the patches of one image among the mini-batches of each epoch.

    Args:
        size: Height and width of the image.
        patches: (count, height, width) of every shape; a shape larger than the image is reduced
            with a warning.
        minibatches: Mini-batches in an epoch.
        generator: The only source of randomness.
        redraw: Draw new patches in every epoch; otherwise repeat the first ones.
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
        """Yields the positions of each mini-batch: one entry for each shape with patches in it."""
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
            f"patches: {shape[0]}x{shape[1]} are reduced to {height}x{width}, because the image "
            f"that the network sees has {size[0]}x{size[1]} pixels; use smaller patches or a "
            "larger max_size.",
            SmallImageWarning,
            stacklevel=3,
        )
    return height, width
