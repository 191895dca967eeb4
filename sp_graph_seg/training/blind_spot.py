"""Training of a :class:`~sp_graph_seg.nn.BlindSpotNet` on windows of images."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.blind_spot import BlindSpotNet, hidden_loss, hide_pixels
from sp_graph_seg.training.checkpoint import Checkpoint
from sp_graph_seg.training.history import History, Step
from sp_graph_seg.training.verdict import warn_of_divergence

#: Side, in pixels, of the tiles whose statistics set batch normalisation.
_TILE = 256

#: Windows of each image on which a trained network is tried.
_WINDOWS_OF_SKILL = 32

OnStep = Callable[[Step], None]


@dataclass(frozen=True)
class _Subject:
    """An image on the device of the network, and the corners of its windows with data."""

    image: Tensor
    inside: Tensor | None
    """The data pixels, ``(1, H, W)`` bool; ``None`` if all pixels are data."""
    corners: Tensor | None
    """The upper left pixel of each of the M windows that contain enough data, ``(M, 2)``. It is
    ``None`` if all pixels are data."""
    size: int
    """Height and width of a window in pixels."""


def fit_blind_spot(
    net: BlindSpotNet,
    images: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    config: Config,
    device: torch.device,
    on_step: OnStep | None = None,
) -> History:
    """Trains a blind-spot network in place with Adam.

    The learning rate rises over ten steps and then falls along half a cosine. Every step uses
    windows of all images, or of ``config.images_per_step`` images that are drawn at random. The
    loss is the error at hidden pixels.

    Args:
        net: The network. After training, it is on the CPU and in evaluation mode.
        images: Images ``(C, H, W)``, standardised to mean 0 and standard deviation 1.
        masks: The data pixels of each image, ``(H, W)`` bool. ``None`` if all pixels are data.
        config: Epochs, mini-batches, images in a step, learning rate, seed and ``patches``. Only
            the first entry of ``patches`` is used. Its count is the number of windows in an epoch,
            and its height is the height and width of a window in pixels.
        device: The device to train on.
        on_step: Called after every step with its row of the history.

    Returns:
        The history. Its columns ``loss`` and ``rec`` are the error at hidden pixels.

    Raises:
        InputError: If the loss becomes NaN or Inf.
    """
    generator = Generator().manual_seed(config.seed)
    steps = config.epochs * config.minibatches
    subjects = [_make_subject(*pair, config, device) for pair in zip(images, masks, strict=True)]
    net.to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: _warm_cosine(n, steps))
    at_once = min(config.images_per_step or len(subjects), len(subjects))
    count = max(2, config.patches[0][0] // config.minibatches // at_once)
    checkpoint = Checkpoint(net, optimizer=optimizer, schedule=schedule, generator=generator)
    history = checkpoint.restore(on_step)
    start = time.perf_counter() - history.seconds
    for number in range(len(history) + 1, steps + 1):
        chosen = _choose(subjects, at_once, generator)
        loss = torch.stack([_loss(net, one, count, generator) for one in chosen]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        row: Step = {
            "step": number,
            "epoch": 1 + (number - 1) // config.minibatches,
            "loss": loss.item(),
            "rec": loss.item(),
            "seconds": time.perf_counter() - start,
        }
        if not math.isfinite(row["loss"]):
            raise InputError(
                f"learning_rate={config.learning_rate}: the loss is {row['loss']} in step "
                f"{number}; use a smaller learning rate."
            )
        row = history.append(row)
        if on_step is not None:
            on_step(row)
        checkpoint.keep(history)
    checkpoint.keep(history, is_last=True)
    _set_batch_norm(net, subjects)
    net.eval().to("cpu")
    warn_of_divergence(history, config)
    return history


@torch.no_grad()
def measure_skill(
    net: BlindSpotNet,
    images: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    config: Config,
) -> tuple[float, float]:
    """Measures how well a trained network predicts hidden pixels, compared with a simple guess.

    The parameters are the first four of :func:`fit_blind_spot`. The network must be on the CPU.

    Returns:
        Two mean squared errors at hidden pixels. The first is the error of the network. The second
        is the error of a simple guess, the mean of the eight neighbours. Images have variance 1
        here, so guessing the mean of the whole image would have an error of 1.
    """
    generator = Generator().manual_seed(config.seed)
    errors = []
    for image, mask in zip(images, masks, strict=True):
        subject = _make_subject(image, mask, config, torch.device("cpu"))
        corners = _draw_corners(subject, _WINDOWS_OF_SKILL, generator)
        windows = _cut(subject.image, corners, subject.size)
        shown, hidden = hide_pixels(windows, generator)
        if subject.inside is not None:
            hidden &= _cut(subject.inside, corners, subject.size)
        around = F.avg_pool2d(F.pad(windows, (1, 1, 1, 1), "reflect"), 3, stride=1)
        around = (9 * around - windows) / 8
        errors.append([hidden_loss(guess, windows, hidden) for guess in (net(shown), around)])
    learned, simple = torch.tensor(errors).mean(dim=0).tolist()
    return learned, simple


def _warm_cosine(step: int, steps: int) -> float:
    """Computes the factor of the learning rate. It rises over ten steps, then falls to 2 %."""
    return min(1.0, (step + 1) / 10) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02)


def _choose(subjects: Sequence[_Subject], count: int, generator: Generator) -> Sequence[_Subject]:
    """Draws images for a step. If all are needed, no random number is used."""
    if count == len(subjects):
        return subjects
    order = torch.randperm(len(subjects), generator=generator)[:count]
    return [subjects[number] for number in order.tolist()]


def _make_subject(
    image: Tensor, mask: Tensor | None, config: Config, device: torch.device
) -> _Subject:
    size = min(config.patches[0][1], *image.shape[1:])
    if mask is None or mask.all():
        return _Subject(image.to(device), None, None, size)
    share = F.avg_pool2d(mask[None].float(), size, stride=1)[0]  # (H - size + 1, W - size + 1)
    corners = (share >= min(0.5, float(share.max()))).nonzero()
    return _Subject(image.to(device), mask[None].to(device), corners, size)


def _loss(net: BlindSpotNet, subject: _Subject, count: int, generator: Generator) -> Tensor:
    """Computes the loss of hidden pixels in windows of one image."""
    corners = _draw_corners(subject, count, generator)
    windows = _cut(subject.image, corners, subject.size)
    inside = None if subject.inside is None else _cut(subject.inside, corners, subject.size)
    flips = [dim for dim in (2, 3) if torch.rand((), generator=generator) < 0.5]
    windows = windows.flip(flips)
    shown, hidden = hide_pixels(windows, generator)
    counted = hidden if inside is None else hidden & inside.flip(flips)
    return hidden_loss(net(shown), windows, counted)


def _draw_corners(subject: _Subject, count: int, generator: Generator) -> Tensor:
    """Draws the upper left pixels of windows with data, ``(count, 2)``."""
    if subject.corners is not None:
        return subject.corners[torch.randint(len(subject.corners), (count,), generator=generator)]
    places = torch.tensor(subject.image.shape[1:]) - subject.size + 1
    return (torch.rand(count, 2, generator=generator) * places).long()


def _cut(image: Tensor, corners: Tensor, size: int) -> Tensor:
    """Cuts K square windows ``(K, C, size, size)`` out of an image ``(C, H, W)``."""
    return torch.stack([image[:, i : i + size, j : j + size] for i, j in corners.tolist()])


@torch.no_grad()
def _set_batch_norm(net: BlindSpotNet, subjects: Sequence[_Subject]) -> None:
    """Sets batch normalisation to the statistics of the whole images, which are read in tiles."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
    for subject in subjects:
        for tile in _tiles(subject.image):
            net.encoder(tile[None])
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _tiles(image: Tensor) -> Iterator[Tensor]:
    """Cuts an image into tiles of equal size. A rest at the bottom or the right is left out."""
    height, width = image.shape[1:]
    rows, columns = min(_TILE, height), min(_TILE, width)
    for top in range(0, height - rows + 1, rows):
        for left in range(0, width - columns + 1, columns):
            yield image[:, top : top + rows, left : left + columns]
