"""The map of the uncertainty of labels, which is stored beside them in 8 bits."""

import numpy as np
from numpy.typing import NDArray

#: Values of a map: 0 where no other label is like that of the pixel, this where another fits as
#: well, and the next one for pixels without a label.
MOST_UNCERTAIN = 254
NO_LABEL = 255


def uncertainty_map(labels: NDArray, margins: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Computes 254 * (1 - margin) for each pixel, rounded, or 255 if the pixel has no label.

    Args:
        labels: Labels in any shape; negative for pixels without a label.
        margins: Margins of the labels, from 0 to 1, in the same shape.
    """
    uncertain = np.rint(MOST_UNCERTAIN * (1 - margins)).astype(np.uint8)
    uncertain[labels < 0] = NO_LABEL
    return uncertain
