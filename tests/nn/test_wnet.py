import pytest
import torch
from torch import nn

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import UNet, WNet


def image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return WNet(in_channels=3, num_features=5, width=4, depth=3).eval()


@pytest.mark.parametrize("height", [8, 9, 13, 16, 17, 31])
@pytest.mark.parametrize("width", [8, 11, 15, 24, 40])
def test_any_size_is_kept(net, height, width):
    z, reconstruction = net(image(2, 3, height, width))
    assert z.shape == (2, 5, height, width)
    assert reconstruction.shape == (2, 3, height, width)
    assert z.isfinite().all()
    assert reconstruction.isfinite().all()


@pytest.mark.parametrize("width", [1, 3, 48])  # 48 is kept in PyTorch's usual memory format
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("in_channels", "num_features"), [(1, 1), (5, 3)])
def test_variants_learn_at_their_least_size(width, depth, in_channels, num_features):
    """In training mode, where batch normalisation refuses a single value a channel."""
    net = WNet(in_channels, num_features, width, depth).train()
    assert net.min_size == 2**depth
    pixels = image(1, in_channels, net.min_size, net.min_size)
    z, reconstruction = net(pixels)
    assert z.shape == (1, num_features, *pixels.shape[2:])
    assert reconstruction.shape == pixels.shape
    (z.square().mean() + (reconstruction - pixels).square().mean()).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    net = WNet(3, 5, width=4, depth=3).train()
    pixels = image(2, 3, 24, 32)
    (net(pixels)[1] * image(2, 3, 24, 32, seed=1)).sum().backward()
    assert [name for name, p in net.named_parameters() if not p.grad.any()] == []
    net.zero_grad()
    (net.encode(pixels) * image(2, 5, 24, 32)).sum().backward()
    assert all(p.grad.any() for p in net.encoder.parameters())
    assert all(p.grad is None for p in net.decoder.parameters())


@pytest.mark.parametrize(("height", "width"), [(7, 8), (8, 7), (1, 100), (0, 8)])
def test_too_small(net, height, width):
    with pytest.raises(InputError, match=rf"^image: {height}x{width} pixels .* 8x8"):
        net(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 4, 16, 16), (3, 16, 16), (1, 3, 2, 16, 16)])
def test_wrong_channels_or_axes(net, shape):
    with pytest.raises(InputError, match=r"^image: .* C = 3"):
        net(torch.zeros(shape))


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("width", "depth"), [(4, 3), (8, 2), (64, 4)])
def test_only_the_first_and_the_last_module_are_ordinary(width, depth):
    net = UNet(3, 10, width, depth)
    modules = [*net.down, *net.up]
    kinds = [any(c.groups > 1 for c in m if isinstance(c, nn.Conv2d)) for m in modules]
    assert len(modules) == 2 * depth + 1
    # net.up is kept from the top down, so that its first is the last of the network.
    assert kinds == [False, *[True] * depth, False, *[True] * (depth - 1)]

    def module(i, o, separable):
        normalise = 2 * o
        if separable:
            return sum(9 * c + c + c * o + o + normalise for c in (i, o))
        return sum(9 * c * o + o + normalise for c in (i, o))

    widths = [width * 2**level for level in range(depth + 1)]
    expected = module(3, width, False) + module(2 * width, width, False)
    expected += sum(module(w // 2, w, True) for w in widths[1:])
    expected += sum(module(2 * w, w, True) for w in widths[1:-1])
    expected += sum(4 * 2 * w * w + w for w in widths[:-1])  # transposed convolutions, 2x2
    expected += width * 10 + 10  # 1x1 at the end
    assert count(net) == expected


def test_size_of_the_papers_network():
    """Xia & Kulis: depth 4, width 64; depthwise separable, a fifth of what it would be."""
    net = WNet(3, 32, width=64, depth=4)
    depthwise = [
        c for c in net.modules() if isinstance(c, nn.Conv2d) and c.groups == c.in_channels > 3
    ]
    assert len(depthwise) == 2 * 2 * (2 * 4 + 1 - 2)  # two in each module but two, twice
    assert 5_000_000 < count(net.encoder) < 8_000_000


def make_transparent(unet):
    """Weights that hand every channel on unchanged, by the shortest way."""
    with torch.no_grad():
        for conv in unet.modules():
            if isinstance(conv, nn.Conv2d):
                center = conv.kernel_size[0] // 2
                conv.weight.zero_()
                conv.bias.zero_()
                for channel in range(min(conv.out_channels, conv.in_channels)):
                    conv.weight[channel, channel % conv.weight.size(1), center, center] = 1
            elif isinstance(conv, nn.ConvTranspose2d):
                conv.weight.zero_()
                conv.bias.zero_()
    return unet.eval()


@pytest.mark.parametrize("size", [(16, 16), (8, 8), (9, 15), (31, 17), (10, 43)])
def test_output_lies_on_its_input(size):
    """What padding adds is what cropping takes, on each side."""
    unet = make_transparent(UNet(3, 3, width=4, depth=3)).double()
    pixels = image(2, 3, *size).double()
    torch.testing.assert_close(unet(pixels), pixels, rtol=1e-3, atol=0)  # eps of the normalisation


def test_shift_of_the_image_shifts_the_features():
    """By a whole cell of the lowest level, and away from the border, through all levels."""
    torch.manual_seed(1)
    net = WNet(2, 3, width=4, depth=2).double().eval()
    pixels = image(1, 2, 120, 120).double()
    z, shifted = net.encode(pixels[:, :, :97, :93]), net.encode(pixels[:, :, 8:105, 4:97])
    inner = slice(36, 52)  # further from the border than the network sees, 34 pixels
    torch.testing.assert_close(
        shifted[:, :, inner, inner], z[:, :, 36 + 8 : 52 + 8, 36 + 4 : 52 + 4]
    )
    assert (z[:, :, inner, inner] - shifted[:, :, inner, inner]).abs().max() > 1e-3


def test_decoder_sees_the_softmax_only(net):
    pixels = image(1, 3, 16, 16)
    z, reconstruction = net(pixels)
    torch.testing.assert_close(net.decode((z + 5).softmax(dim=1)), reconstruction)
    torch.testing.assert_close(net.encode(pixels), z)


def test_images_of_a_batch_do_not_mix_in_eval_mode(net):
    pixels = image(3, 3, 19, 22)
    z, reconstruction = net(pixels)
    for n in range(3):
        one_z, one = net(pixels[n : n + 1])
        torch.testing.assert_close(one_z[0], z[n], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one[0], reconstruction[n], rtol=1e-4, atol=1e-5)


def test_state_dict_round_trip(net):
    other = WNet(3, 5, width=4, depth=3).eval()
    other.load_state_dict(net.state_dict())
    pixels = image(1, 3, 12, 20)
    torch.testing.assert_close(other(pixels), net(pixels))
