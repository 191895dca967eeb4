"""The scores that Leng et al. (VISAPP 2024) report in Table 1."""

_COLUMNS = ("rand", "ami", "fm", "h", "c", "v")

#: Scores of the 100 test images of BSDS300 under the oracle, by row. The V-measure of
#: Sparse-SimCon-Patch, 0.63, is the harmonic mean of its averaged 0.60 and 0.66, not an average of
#: V-measures; in the other rows A-MI and V-measure are equal.
PAPER: dict[str, dict[str, float]] = {
    name: dict(zip(_COLUMNS, scores, strict=True))
    for name, scores in {
        "KMeans-Pixels": (0.69, 0.31, 0.49, 0.31, 0.34, 0.31),
        "KMeans-Superpixels": (0.71, 0.33, 0.50, 0.33, 0.37, 0.33),
        "Spectral-Superpixels": (0.72, 0.39, 0.55, 0.39, 0.43, 0.39),
        "Dense-SimCon-NoRec": (0.78, 0.52, 0.67, 0.49, 0.59, 0.52),
        "Dense-NCut-Image": (0.77, 0.45, 0.62, 0.43, 0.50, 0.45),
        "Dense-NCut-Patch": (0.77, 0.51, 0.62, 0.58, 0.49, 0.51),
        "Sparse-NCut-Image": (0.77, 0.46, 0.63, 0.45, 0.51, 0.46),
        "Sparse-NCut-Patch": (0.79, 0.55, 0.64, 0.63, 0.52, 0.55),
        "Dense-SimCon-Image": (0.77, 0.47, 0.65, 0.43, 0.56, 0.47),
        "Dense-SimCon-Patch": (0.80, 0.55, 0.70, 0.52, 0.63, 0.55),
        "Sparse-SimCon-Image": (0.79, 0.52, 0.69, 0.46, 0.63, 0.52),
        "Sparse-SimCon-Patch": (0.81, 0.57, 0.71, 0.60, 0.66, 0.63),
    }.items()
}
