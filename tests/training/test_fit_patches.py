"""What the networks see in training: whole images, and patches of them."""

import itertools

import numpy as np
import pytest
import torch

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import SmallImageWarning
from sp_graph_seg.training import TrainingImage, fit

WHOLE = (1, 32, 48)

# 4 and 3 patches in 2 mini-batches.
PATCH_BATCHES = [[(2, 16, 12), (2, 8, 8)], [(2, 16, 12), (1, 8, 8)]]


@pytest.mark.parametrize(
    ("changes", "encoded", "decoded"),
    [
        ({"reconstruction": "none"}, [[WHOLE]] * 2, []),
        ({"beta_rec": 0.0}, [[WHOLE]] * 2, []),
        ({"reconstruction": "image"}, [[WHOLE]] * 2, [[WHOLE]] * 2),
        ({"reconstruction": "patch"}, [[WHOLE, *batch] for batch in PATCH_BATCHES], PATCH_BATCHES),
    ],
    ids=["none", "beta_rec=0", "image", "patch"],
)
def test_what_encoder_and_decoder_see(one, changes, encoded, decoded, config, make_net):
    net = make_net()
    seen = {"encoder": [], "decoder": []}
    for name, sizes in seen.items():
        getattr(net.wnet, name).register_forward_hook(
            lambda _, inputs, output, sizes=sizes: sizes.append(
                (inputs[0].size(0), *inputs[0].shape[2:])
            )
        )
    fit(net, [one], config.replace(**changes))
    assert seen["decoder"] == list(itertools.chain(*decoded * 2))  # two epochs
    assert seen["encoder"] == [*itertools.chain(*encoded * 2), WHOLE, WHOLE]  # statistics, labels


@pytest.mark.parametrize("redraw", [True, False])
def test_patches_are_redrawn_only_if_asked_to(one, redraw, one_step, make_net):
    net = make_net()
    seen = []
    net.wnet.encoder.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if len(inputs[0]) > 1 else None
    )
    config = one_step.replace(epochs=2, patches=((5, 8, 8),), redraw_patches=redraw)
    fit(net, [one], config)
    first, second = seen
    assert first.shape == (5, 3, 8, 8)
    assert torch.equal(first, second) == (not redraw)


def test_the_mask_moves_the_patches(one, one_step, make_net):
    mask = torch.zeros(32, 48, dtype=torch.bool)
    mask[16, 20] = True
    net = make_net()
    seen = []
    net.wnet.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    config = one_step.replace(patches=((6, 9, 9),), foreground=1.0)
    fit(net, [TrainingImage(one.image, ToRAG(n_segments=40, mask=mask)(one.image))], config)
    (patches,) = [images for images in seen if len(images) == 6]
    window = one.image[:, 12:21, 16:25]
    for patch in patches:
        turns = [window.rot90(k, (1, 2)) for k in range(4)]
        assert any(torch.equal(patch, t) or torch.equal(patch, t.flip(2)) for t in turns)


def test_what_takes_no_patches_does_not_check_them(one, one_step, make_net):
    config = one_step.replace(patches=((1, 500, 2),), minibatches=2)
    for changes in ({"reconstruction": "none"}, {"reconstruction": "image"}, {"beta_rec": 0.0}):
        assert len(fit(make_net(), [one], config.replace(**changes))) == 2


def test_patches_larger_than_the_image_shrink(one, one_step, make_net):
    config = one_step.replace(patches=((1, 500, 8),))
    with pytest.warns(SmallImageWarning, match="500x8 pixels are reduced to 32x8"):
        fit(make_net(), [one], config)


def test_the_smallest_patches_train(one, config, make_net):
    history = fit(make_net(), [one], config.replace(patches=((3, 4, 4),)))
    assert np.isfinite(history["rec"]).all()
