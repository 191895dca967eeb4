"""Scores that Leng et al. (VISAPP 2024) report in Table 1."""

#: Scores of the 100 test images of BSDS300 under the oracle, by row. The V-measure of
#: Sparse-SimCon-Patch, 0.63, is the harmonic mean of its averaged 0.60 and 0.66, not an average of
#: V-measures; in the other rows A-MI and V-measure are equal.
PAPER: dict[str, dict[str, float]] = {
    "KMeans-Pixels": {"ami": 0.31, "v": 0.31},
    "Sparse-SimCon-Patch": {"ami": 0.57, "h": 0.60, "c": 0.66, "v": 0.63},
}
