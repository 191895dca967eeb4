"""Named settings, which are the presets for kinds of data and the nine model types of the paper."""

from typing import Any, NamedTuple

#: The settings for each kind of data, which scored best on labelled data of that kind; see the
#: benchmark of labels. ``paper`` is the model of the paper, ``fast`` a smaller version for a trial.
PRESETS: dict[str, dict[str, Any]] = {
    "tomogram": {
        "label_by": "phases",
        "join_slices": True,
        "num_features": 16,
        "width": 16,
        "depth": 2,
        "max_size": 0,
        "patches": ((256, 32, 32),),
        "epochs": 30,
        "learning_rate": 4e-3,
    },
    "photo": {"label_by": "regions", "superpixel_size": 500},
    "video": {
        "label_by": "appearance",
        "position_weight": 0.6,
        "memory": 0.9,
        "n_segments": 1500,
        "superpixel_size": 320,
        "width": 12,
        "depth": 3,
        "beta_sim": 0.3,
        "beta_con": 0.03,
        "tau_con": -10.0,
        "patches": ((96, 64, 64),),
        "epochs": 5,
        "learning_rate": 5e-3,
    },
    "fast": {},
    # Section 3.1 of the paper, which does not give the width; 64 is that of Xia & Kulis 2017.
    "paper": {
        "width": 64,
        "max_size": 0,
        "n_segments": 4000,
        "patches": ((32, 96, 96), (72, 64, 64), (128, 48, 48)),
        "epochs": 50,
        "minibatches": 8,
        "learning_rate": 1e-3,
    },
}


class ModelType(NamedTuple):
    """A model type of the paper's Table 1, as settings of :class:`Config`."""

    settings: dict[str, str]
    """The settings of its nodes and of what it reconstructs."""
    betas: tuple[str, ...]
    """Which of the three loss weights in the paper's Eq. 9 are set to beta. The others are 0."""


def _model_types() -> dict[str, ModelType]:
    nodes = {"Dense": "pixels", "Sparse": "superpixels"}
    losses = {"NCut": ("beta_cut",), "SimCon": ("beta_sim", "beta_con")}
    types = {
        f"{graph}-{loss}-{rec.title()}": ModelType(
            {"nodes": nodes[graph], "reconstruction": rec}, losses[loss]
        )
        for loss in losses
        for graph in nodes
        for rec in ("image", "patch")
    }
    without = ModelType({"nodes": "pixels", "reconstruction": "none"}, losses["SimCon"])
    return {"Dense-SimCon-NoRec": without, **types}


#: The nine model types of the paper under its names. Dense-NCut-Image is that of Xia & Kulis 2017,
#: who minimise the two losses in turn; here they are added, as in Eq. 9. Dense-SimCon-NoRec is that
#: of Kim et al. 2020, who stop at a minimum number of labels (``min_labels``).
MODEL_TYPES: dict[str, ModelType] = _model_types()
