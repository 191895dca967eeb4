import numpy as np
import pytest
import torch

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ToRAG


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"n_segments": 0}, "n_segments"),
        ({"n_segments": 50.5}, "n_segments=50.5 is not a positive integer"),
        ({"n_segments": "50"}, "n_segments=50 is not a positive integer"),
        ({"compactness": 0}, "compactness"),
        ({"compactness": np.nan}, "compactness"),
        ({"compactness": np.inf}, "compactness"),
        ({"tau": np.inf}, "tau"),
        ({"tau": np.nan}, "tau"),
        ({"tau": 0.0}, "tau=0.0 does not give affinities"),
        ({"edge_weight": "distance"}, "edge_weight='distance' is unknown"),
        ({"superpixel_method": "quickshift"}, "superpixel_method='quickshift' is unknown"),
        ({"spacing": (1, 0)}, "spacing"),
        ({"spacing": (1, -2)}, "spacing"),
        ({"spacing": (np.nan, 1)}, "spacing"),
    ],
)
def test_bad_parameters(kwargs, name):
    with pytest.raises(InputError, match=f"^{name}"):
        ToRAG(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"connectivity": 0}, "connectivity"),
        ({"connectivity": 3}, "connectivity"),
        ({"spacing": (1.0, 1.0, 1.0)}, "spacing"),
        ({"spacing": ()}, "spacing"),
        ({"superpixels": np.zeros((4, 5), int)}, "superpixels: size"),
        ({"superpixels": np.zeros((1, 4, 4), int)}, "superpixels: size"),
        ({"superpixels": np.zeros((4, 4))}, "superpixels: .*float64"),
        ({"superpixels": torch.zeros(4, 4)}, "superpixels: .*float32"),
        ({"superpixels": np.full((4, 4), -1)}, "superpixels: some ids are negative"),
        ({"mask": np.ones((5, 4))}, "mask: size"),
        ({"mask": np.zeros((4, 4), bool)}, "mask: no pixel"),
        ({"mask": np.zeros((4, 4), bool), "superpixel_method": "watershed"}, "mask: no pixel"),
        ({"mask": np.zeros((4, 4)), "superpixels": np.zeros((4, 4), int)}, "mask: no pixel"),
    ],
)
def test_what_does_not_fit_the_image(kwargs, name):
    with pytest.raises(InputError, match=f"^{name}"):
        ToRAG(**kwargs)(torch.zeros(1, 4, 4))


@pytest.mark.parametrize(
    "image", [torch.zeros(4, 4), torch.zeros(1, 0, 4), torch.full((1, 4, 4), torch.nan)]
)
def test_bad_images(image):
    with pytest.raises(InputError, match=r"^image: "):
        ToRAG()(image)
