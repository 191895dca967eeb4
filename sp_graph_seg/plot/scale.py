"""Chooses scale bars of a round length, with at most 28 % of the width of a picture."""

import math

_SHARE = 0.28


def scale_bar(width: float, unit: str) -> tuple[float, str]:
    """Chooses the length of a scale bar: 1, 2 or 5 times a power of ten.

    Args:
        width: Width of the picture, in ``unit``.
        unit: The unit of length.

    Returns:
        The length of the bar, which is at most 28 % of the width, and the text of the bar.

    Example:
        >>> scale_bar(900, "µm")
        (200, '200 µm')
    """
    most = _SHARE * width
    power = 10.0 ** math.floor(math.log10(most))
    length = power * max(step for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))
    length = round(length) if length >= 1 else length
    if unit in ("pixels", "voxels") and length <= 1:
        return 1, f"1 {unit[:-1]}"
    return length, f"{length:g} {unit}"
