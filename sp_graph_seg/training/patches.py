"""Patches of an image: drawn once from a generator, cut out, rotated and flipped purely."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sp_graph_seg.errors import InputError, SmallImageWarning


@dataclass(frozen=True)
class PatchWindows:
    """Where the patches of one shape lie and how they are turned.

    Patch k is the window whose upper left pixel is ``corner[k]``, turned counter-clockwise by
    ``quarter_turns[k]`` times 90 degrees, then mirrored left to right if ``flip[k]``. The windows
    of odd turns are ``width`` high and ``height`` wide, so that all patches have one shape.
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

    def __getitem__(self, index: slice | Tensor) -> "PatchWindows":
        return PatchWindows(
            self.height, self.width, self.corner[index], self.quarter_turns[index], self.flip[index]
        )


def draw_windows(
    size: tuple[int, int],
    shape: tuple[int, int],
    count: int,
    generator: Generator,
    mask: Tensor | None = None,
    foreground: float = 1.0,
) -> PatchWindows:
    """Draws the windows of patches uniformly, or mostly around the pixels of a mask.

    Args:
        size: Height and width of the image.
        shape: Height and width of the patches; no larger than the image.
        count: Number of patches K.
        generator: The only source of randomness.
        mask: Pixels that patches are to show, ``(H, W)`` bool.
        foreground: Share of the patches whose window is centred on a pixel of the mask, as far as
            the image's border lets it; the others are uniform.

    Raises:
        InputError: If a patch does not fit into the image, or the mask has no pixel or another
            size.
    """
    height, width = shape
    if height > size[0] or width > size[1]:
        raise InputError(f"patches: {height}x{width} do not fit into {size[0]}x{size[1]} pixels.")
    turned_fits = width <= size[0] and height <= size[1]
    turns = torch.randint(4, (count,), generator=generator)
    turns = turns if turned_fits else turns // 2 * 2  # only half turns keep the shape
    window = torch.tensor([[height, width], [width, height]])[turns % 2]  # (K, 2)
    last = torch.tensor(size) - window  # (K, 2), the lowest and rightmost corner
    corner = (torch.rand(count, 2, generator=generator) * (last + 1)).long()
    if mask is not None:
        if mask.shape != size or not mask.any():
            raise InputError(
                f"mask: size {tuple(mask.shape)} with {int(mask.sum())} pixels set must be "
                f"{size} with one or more."
            )
        pixels = mask.nonzero()  # (M, 2)
        center = pixels[torch.randint(len(pixels), (count,), generator=generator)]
        inside = torch.rand(count, 1, generator=generator) < foreground
        corner = torch.where(inside, center - window // 2, corner)
    flip = torch.rand(count, generator=generator) < 0.5
    return PatchWindows(height, width, corner.clamp(min=0).minimum(last), turns, flip)


def cut_patches(image: Tensor, windows: PatchWindows) -> Tensor:
    """Cuts the patches out: ``(C, H, W)`` -> ``(K, C, height, width)``."""

    def cut(corner: Tensor, turns: int, flip: bool) -> Tensor:
        row, column = corner.tolist()
        sides = (windows.height, windows.width)
        height, width = sides if turns % 2 == 0 else sides[::-1]
        patch = image[:, row : row + height, column : column + width].rot90(turns, dims=(1, 2))
        return patch.flip(2) if flip else patch

    parts = zip(windows.corner, windows.quarter_turns.tolist(), windows.flip.tolist(), strict=True)
    patches = [cut(*part) for part in parts]
    empty = image.new_empty(0, image.size(0), windows.height, windows.width)
    return torch.stack(patches) if patches else empty


class PatchSampler:
    """Deals the patches of one image out over the mini-batches of each epoch.

    Args:
        size: Height and width of the image.
        patches: (count, height, width) of every shape; a shape larger than the image shrinks to it
            with a warning.
        minibatches: Mini-batches in an epoch.
        generator: The only source of randomness.
        redraw: Draw new patches in every epoch; otherwise the first ones come again.
        mask: See :func:`draw_windows`.
        foreground: See :func:`draw_windows`.
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
        self._drawn: list[PatchWindows] = []

    def epoch(self) -> Iterator[list[PatchWindows]]:
        """For each mini-batch its windows: an entry for every shape that has some."""
        if self.redraw or not self._drawn:
            self._drawn = [
                draw_windows(self.size, (h, w), count, self.generator, self.mask, self.foreground)
                for count, h, w in self.patches
            ]
        for number in range(self.minibatches):
            dealt = (windows[number :: self.minibatches] for windows in self._drawn)
            yield [windows for windows in dealt if len(windows)]


def _fit_shape(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    height, width = min(shape[0], size[0]), min(shape[1], size[1])
    if (height, width) != tuple(shape):
        warnings.warn(
            f"patches: {shape[0]}x{shape[1]} shrink to {height}x{width}, the image seen by the "
            f"network is {size[0]}x{size[1]}; give smaller patches, or a larger max_size.",
            SmallImageWarning,
            stacklevel=3,
        )
    return height, width
