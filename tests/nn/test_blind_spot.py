import numpy as np
import pytest
import torch
from torch import Generator

from sp_graph_seg.nn import BlindSpotNet
from sp_graph_seg.nn.blind_spot import hidden_loss, hide_pixels


def places(height=40, width=50):
    """An image whose value at each pixel says where it lies, twice."""
    place = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    return torch.cat([place, -place], dim=1)


def test_about_12_percent_of_the_pixels_are_hidden():
    _, hidden = hide_pixels(torch.zeros(8, 1, 100, 100), Generator().manual_seed(0))
    assert hidden.dtype == torch.bool
    assert hidden.shape == (8, 1, 100, 100)
    assert float(hidden.float().mean()) == pytest.approx(0.12, abs=0.005)


@pytest.mark.parametrize("size", [(40, 50), (3, 50), (9, 4)])
def test_a_hidden_pixel_has_the_value_of_another_nearby(size):
    """Never its own, which would teach the network to copy it, not even at the border."""
    images = places(*size).expand(60, -1, -1, -1)
    shown, hidden = hide_pixels(images, Generator().manual_seed(1))
    kept = ~hidden.expand_as(images)
    assert torch.equal(shown[kept], images[kept])
    assert torch.equal(shown[:, 0], -shown[:, 1])  # all channels come from one place
    rows, columns = np.divmod(shown[:, 0].numpy().astype(int), size[1])
    own_rows, own_columns = np.indices(size)
    down, right = rows - own_rows, columns - own_columns
    steps = set(zip(down[hidden[:, 0]], right[hidden[:, 0]], strict=True))
    assert (0, 0) not in steps
    reach = range(-2, 3)
    assert steps <= {(i, j) for i in reach for j in reach}
    assert len(steps) == 24


def test_the_generator_alone_decides_what_is_hidden():
    images = torch.rand(2, 3, 20, 20)
    one, other, third = (hide_pixels(images, Generator().manual_seed(s)) for s in (4, 4, 5))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[1], third[1])


def test_the_loss_counts_only_what_counts():
    rng = Generator().manual_seed(0)
    images, guess = torch.rand(2, 3, 6, 7, generator=rng), torch.rand(2, 3, 6, 7, generator=rng)
    counted = torch.rand(2, 1, 6, 7, generator=rng) < 0.4
    squares = [
        float((guess[b, c, i, j] - images[b, c, i, j]) ** 2)
        for b, _, i, j in counted.nonzero().tolist()
        for c in range(3)
    ]
    assert float(hidden_loss(guess, images, counted)) == pytest.approx(np.mean(squares))
    changed = torch.where(counted, guess, 1e3)
    assert torch.equal(hidden_loss(changed, images, counted), hidden_loss(guess, images, counted))
    assert float(hidden_loss(guess, images, torch.zeros_like(counted))) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_the_reconstruction_is_a_linear_map_of_the_features(channels):
    net = BlindSpotNet(channels, num_features=4, width=4, depth=2).eval()
    image = torch.rand(2, channels, 21, 18)
    with torch.no_grad():
        reconstruction, z = net(image), net.encoder(image)
    assert z.shape == (2, 4, 21, 18)
    weight, bias = net.readout.weight[:, :, 0, 0], net.readout.bias
    expected = torch.einsum("cf,bfhw->bchw", weight, z) + bias[None, :, None, None]
    torch.testing.assert_close(reconstruction, expected)


def test_the_border_of_a_constant_looks_like_its_inside():
    """Reflection instead of zeros: no strip along the border."""
    torch.manual_seed(0)
    net = BlindSpotNet(1, num_features=4, width=4, depth=2).eval()
    with torch.no_grad():
        z = net.encoder(torch.full((1, 1, 32, 40), 0.7))
    tiles = z.unfold(2, 4, 4).unfold(3, 4, 4)  # poolings see four pixels as one
    torch.testing.assert_close(tiles, tiles[:, :, :1, :1].expand_as(tiles))
