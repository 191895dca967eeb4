"""The map of uncertainty that is stored beside labels, in 8 bits."""

import numpy as np
from numpy.typing import NDArray

#: Values of a map: 0 where no other label is like that of the pixel, this where another fits as
#: well, and the next one for pixels without a label.
MOST_UNCERTAIN = 254
NO_LABEL = 255


def uncertainty_map(labels: NDArray, margins: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Computes 254 (1 - margin) of each pixel, rounded, and 255 for pixels without a label.

    Args:
        labels: Labels in any shape; negative for pixels without a label.
        margins: Margins of the labels, from 0 to 1, in the same shape.
    """
    uncertain = np.rint(MOST_UNCERTAIN * (1 - margins)).astype(np.uint8)
    uncertain[labels < 0] = NO_LABEL
    return uncertain
