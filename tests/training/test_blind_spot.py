import numpy as np
import pytest
import torch

from sp_graph_seg import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import BlindSpotNet
from sp_graph_seg.training import blind_spot, fit_blind_spot, seeded

CPU = torch.device("cpu")
CONFIG = Config(
    label_by="phases",
    num_features=4,
    width=4,
    depth=1,
    patches=((16, 16, 16),),
    epochs=3,
    minibatches=2,
    learning_rate=5e-3,
)


def picture(height=48, width=56, noise=0.3, seed=0):
    """Smooth waves with noise, standardised."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.sin(x / 6) + np.cos(y / 5) + rng.normal(0, noise, (height, width))
    image = (image - image.mean()) / image.std()
    return torch.from_numpy(image.astype(np.float32))[None]


def train(images=None, masks=None, config=CONFIG, on_step=None):
    images = [picture()] if images is None else images
    with seeded(config.seed):
        net = BlindSpotNet(len(images[0]), config.num_features, config.width, config.depth)
    masks = [None] * len(images) if masks is None else masks
    return net, fit_blind_spot(net, images, masks, config, CPU, on_step)


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_training_lowers_the_loss_of_hidden_pixels():
    config = CONFIG.replace(epochs=40)
    net, history = train(config=config)
    rec = history["rec"]
    assert len(rec) == 80
    assert np.mean(rec[-10:]) < 0.5 * np.mean(rec[:5])
    assert not net.training
    assert history["loss"] == rec


def test_the_reconstruction_is_nearer_to_the_truth_than_the_noisy_image():
    config = CONFIG.replace(epochs=60, width=8)
    noisy, clean = picture(noise=0.6)[0], picture(noise=0)[0]
    net, _ = train([noisy[None]], config=config)
    with torch.no_grad():
        answer = net(noisy[None, None])[0, 0]

    def likeness(image):
        return float(torch.corrcoef(torch.stack([image.ravel(), clean.ravel()]))[0, 1])

    assert likeness(answer) > likeness(noisy) + 0.03


def test_the_seed_alone_decides():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    (net, history), (again, same_history) = train(), train()
    assert same(net, again)
    assert history["loss"] == same_history["loss"]
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(net, train(config=CONFIG.replace(seed=1))[0])


def test_rows_count_steps_and_epochs():
    rows = []
    _, history = train(on_step=rows.append)
    assert history["step"] == [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert history["epoch"] == [1, 1, 2, 2, 3, 3]


def test_images_of_other_sizes_are_trained_on_together():
    _, history = train([picture(), picture(30, 40, seed=1)])
    assert len(history) == 6
    _, small = train([picture(12, 13)])  # less than a window
    assert np.isfinite(small["loss"]).all()


def test_a_mask_over_everything_is_none():
    net, _ = train(masks=[torch.ones(48, 56, dtype=torch.bool)])
    assert same(net, train()[0])


def test_pixels_outside_of_the_mask_are_not_reconstructed():
    """They fill more than half of no window; their noise has another scale, and would be seen."""
    inside = torch.zeros(48, 56, dtype=torch.bool)
    inside[:, :40] = True
    wild = picture().clone()
    wild[:, :, 40:] = 100 * torch.randn(1, 48, 16, generator=torch.Generator().manual_seed(0))
    _, masked = train([wild], [inside])
    _, unmasked = train([wild])
    assert np.max(masked["rec"]) < 50 < np.max(unmasked["rec"])


def test_batch_normalisation_is_that_of_the_whole_image():
    image = picture(40, 44)
    net, _ = train([image])
    first = next(m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    caught = []
    hook = first.register_forward_hook(lambda _, given, __: caught.append(given[0]))
    with torch.no_grad():
        net(image[None])
    hook.remove()
    torch.testing.assert_close(first.running_mean, caught[0].mean(dim=(0, 2, 3)))
    torch.testing.assert_close(first.running_var, caught[0].var(dim=(0, 2, 3)))


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match=r"learning_rate=.*use a smaller learning rate\.$"):
        train([picture() * 1e30], config=CONFIG.replace(learning_rate=1e20))


def test_a_step_takes_as_many_images_as_it_should(monkeypatch):
    images = [picture(seed=k) for k in range(5)]
    net, history = train(images)
    assert same(net, train(images, config=CONFIG.replace(images_per_step=5))[0])
    taken = []
    loss = blind_spot._loss

    def count(net, subject, windows, generator):
        taken.append(
            (next(k for k, i in enumerate(images) if torch.equal(i, subject.image)), windows)
        )
        return loss(net, subject, windows, generator)

    monkeypatch.setattr(blind_spot, "_loss", count)
    config = CONFIG.replace(images_per_step=2, epochs=10)
    _, history = train(images, config=config)
    steps = [{number for number, _ in taken[k : k + 2]} for k in range(0, len(taken), 2)]
    assert len(history) == len(steps) == 20
    assert {len(step) for step in steps} == {2}
    assert set.union(*steps) == set(range(5))
    assert {windows for _, windows in taken} == {4}  # 16 windows, 2 mini-batches, 2 images
    assert same(train(images, config=config)[0], train(images, config=config)[0])
