"""Notices that memory is too small for an image, and names settings that need less memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sp_graph_seg.config import Config
from sp_graph_seg.errors import is_out_of_memory
from sp_graph_seg.io.files import format_size

#: Bytes that each pixel of an image takes while it is labelled, and each that the network sees.
#: Measured with the presets on images of 1 to 4 million pixels.
_OF_IMAGE, _OF_NETWORK = 100, 300


class TooLittleMemoryError(MemoryError):
    """The memory is too small for an image. The message names settings that need less memory."""


@contextmanager
def enough_memory(path: Path, height: int, width: int, config: Config) -> Iterator[None]:
    """Replaces an error for lack of memory in a ``with`` block by an error that explains it.

    The block labels the image ``path``. Any other error is not changed.

    Raises:
        TooLittleMemoryError: There was not enough memory.
    """
    free = _free_memory()
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or free is None:
            raise
        advice = advise(path, height, width, config, free)
        raise TooLittleMemoryError(f"{advice} Finished work is kept.") from error


def check_memory(paths: Sequence[Path], sizes: Iterable[tuple[int, int]], config: Config) -> None:
    """Raises an error if the process may not take the memory that the labels of an image need.

    Call it before long work starts. Threads that get no memory end the program at once, without an
    error that could be explained. Only the limit of the process counts here, because what the
    machine has may change until the memory is needed.

    Args:
        paths: The files of the images.
        sizes: Height and width of each image.
        config: The configuration.

    Raises:
        TooLittleMemoryError: The limit is too low.
    """
    allowed = _allowed_memory()
    for path, (height, width) in zip(paths, sizes, strict=True):
        if allowed is not None and allowed < estimate(height, width, config):
            raise TooLittleMemoryError(advise(path, height, width, config, allowed))


def estimate(height: int, width: int, config: Config) -> int:
    """Estimates how many bytes of memory it takes to label an image."""
    longest = max(height, width)
    seen = min(config.max_size or longest, longest) if config.label_by == "argmax" else 0
    return round(height * width * (_OF_IMAGE + _OF_NETWORK * (seen / longest) ** 2))


def advise(path: Path, height: int, width: int, config: Config, free: int) -> str:
    """Makes the message of a :class:`TooLittleMemoryError`.

    It states how much memory the image needs and how much is free. Then it names settings, or a
    size of the image, for which the free memory is enough.
    """
    need, longest = estimate(height, width, config), max(height, width)
    start = f"{path}: labels of {height}x{width} pixels need "
    if need > free:
        start += f"about {format_size(need)} of memory, but {format_size(free)} are free; "
    else:  # the estimate is too low, or the memory of a GPU is too small
        start += "more memory than there is; "
    whole = _OF_IMAGE * height * width
    if need > whole and free > whole:  # a smaller image in the network is enough
        each = _OF_NETWORK * height * width / longest**2
        side = _round(((free - whole) / each) ** 0.5, config.max_size or longest)
        return f"{start}use --max-size {side} --superpixel-size {side}."
    side = _round(longest * (free / need) ** 0.5, longest)
    return f"{start}scale the image to {side} pixels on its longer side."


def _round(side: float, used: int) -> int:
    """Rounds a side down to two digits. It is at most half of the side that was too large."""
    side = max(int(min(side, used / 2)), 1)
    step = 10 ** max(len(str(side)) - 2, 0)
    return side // step * step


def _free_memory() -> int | None:
    """Returns the bytes that the process may still take, or None where that is unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    values = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    available, allowed = 1024 * values["MemAvailable"], _allowed_memory()
    return available if allowed is None else min(available, allowed)


def _allowed_memory() -> int | None:
    """Returns the bytes that the limit of the process still allows, or None without a limit."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):  # not Linux
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit < 0 else max(0, limit - pages * resource.getpagesize())
