"""Losses of the pixels that are data alone."""

import numpy as np
import pytest
import torch

from sp_graph_seg.nn import dense_continuity_loss, reconstruction_loss
from sp_graph_seg.nn.superpixel_net import pixels_inside

GENERATOR = torch.Generator().manual_seed(0)


def random(*shape):
    return torch.rand(*shape, generator=GENERATOR)


def test_the_reconstruction_counts_inside_alone():
    image, other, inside = random(3, 2, 5, 7), random(3, 2, 5, 7), random(3, 5, 7) > 0.4
    squares = ((image - other) ** 2).permute(0, 2, 3, 1)[inside]
    loss = reconstruction_loss(other, image, inside)
    assert loss.item() == pytest.approx(squares.mean().item())
    outside = torch.where(inside.unsqueeze(1), other, torch.tensor(1e6))
    assert reconstruction_loss(outside, image, inside) == loss
    whole = reconstruction_loss(other, image, torch.ones_like(inside))
    assert whole.item() == pytest.approx(reconstruction_loss(other, image).item())
    assert reconstruction_loss(other, image, torch.zeros_like(inside)) == 0
    one = reconstruction_loss(other[0], image[0], inside[0])
    assert one.item() == pytest.approx(((image - other)[0][:, inside[0]] ** 2).mean().item())


@pytest.mark.parametrize("size", [(5, 7), (1, 6), (3, 4, 5)])
def test_the_continuity_of_a_grid_counts_pairs_inside_alone(size):
    f, inside = random(4, *size), random(*size) > 0.3
    means = []
    for axis, length in enumerate(size):
        total, pairs = 0.0, 0
        for pixel in np.ndindex(*size):
            after = tuple(p + (k == axis) for k, p in enumerate(pixel))
            if after[axis] < length and inside[pixel] and inside[after]:
                total += (f[:, *pixel] - f[:, *after]).abs().mean().item()
                pairs += 1
        means.append(total / max(pairs, 1))
    assert dense_continuity_loss(f, inside).item() == pytest.approx(np.mean(means))
    everywhere = torch.ones(size, dtype=torch.bool)
    assert dense_continuity_loss(f, everywhere).item() == (
        pytest.approx(dense_continuity_loss(f).item())
    )


def test_pixels_inside():
    z = random(3, 4, 5)
    inside = random(4, 5) > 0.5
    assert torch.equal(pixels_inside(z, None), z.view(3, 20))
    assert torch.equal(pixels_inside(z, inside), z.view(3, 20)[:, inside.view(20)])
