"""The Segmenter as an estimator: what a fit sets, keeps and repeats."""

import contextlib
import copy
import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch_geometric.nn import (
    GATv2Conv,
    GCNConv,
    GPSConv,
    GraphConv,
    GraphSAGE,
    HypergraphConv,
    NNConv,
    PointTransformerConv,
    SAGEConv,
)

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError, ManyChannelsWarning
from sp_graph_seg.segmenter import segmenter as module


def state_of(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same_state(net, state):
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_fit_returns_self_and_sets_the_attributes(config, image):
    segmenter = Segmenter(config)
    assert segmenter.fit(image) is segmenter
    assert segmenter.in_channels_ == 3
    assert segmenter.net_.wnet.num_features == config.num_features
    assert len(segmenter.history_) == 4
    low, high = segmenter.intensity_range_
    assert (low, high) == pytest.approx(np.quantile(image, [0.001, 0.999]))


def test_before_fit(tmp_path, config, image):
    for call in (
        lambda: Segmenter().predict(image),
        lambda: Segmenter(config).transform(image),
        lambda: Segmenter(config).save(tmp_path / "model.safetensors"),
    ):
        with pytest.raises(NotFittedError, match="call fit"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_parameters_as_scikit_learn_has_them(fitted, config):
    assert Segmenter().get_params() == {"config": None, "head": None}
    assert fitted.get_params()["config"] == config
    copied = clone(fitted)
    assert copied.config == config
    assert not hasattr(copied, "net_")
    other = config.replace(seed=1)
    assert copied.set_params(config=other) is copied
    assert copied.config == other
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        copied.set_params(epochs=3)
    assert "Segmenter(config=Config(" in repr(fitted)


@pytest.mark.parametrize(("channels", "preset"), [(1, "tomogram"), (3, "photo"), (5, "tomogram")])
def test_without_a_configuration_the_preset_suits_the_channels(monkeypatch, channels, preset):
    used = []

    def fit_labeller(images, config, on_step):
        used.append(config)
        return None, None

    monkeypatch.setattr(module, "fit_labeller", fit_labeller)
    is_odd = pytest.warns(ManyChannelsWarning) if channels > 4 else contextlib.nullcontext()
    with is_odd:
        segmenter = Segmenter().fit(np.random.default_rng(0).random((channels, 32, 32)))
    assert segmenter.config is None
    assert used == [segmenter.config_] == [Config.preset(preset)]


@pytest.mark.parametrize("copy_model", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_the_same(fitted, copy_model, image):
    np.testing.assert_array_equal(copy_model(fitted).predict(image), fitted.predict(image))


def test_the_same_seed_gives_the_same_model(fitted, config, image):
    torch.rand(5)  # the global random state is another one now
    again = Segmenter(config).fit(image)
    assert_same_state(again.net_, state_of(fitted.net_))
    np.testing.assert_array_equal(again.predict(image), fitted.predict(image))
    other = Segmenter(config.replace(seed=1)).fit(image)
    assert other.history_["loss"] != fitted.history_["loss"]


def test_a_refit_replaces_everything(fitted, config, image, blocks):
    segmenter = Segmenter(config.replace(seed=2, epochs=1)).fit([50 * blocks(20, 20, channels=1)])
    segmenter.set_params(config=config).fit(image)
    assert_same_state(segmenter.net_, state_of(fitted.net_))
    assert segmenter.in_channels_ == 3
    assert segmenter.intensity_range_ == fitted.intensity_range_
    assert segmenter.history_["loss"] == fitted.history_["loss"]


@pytest.mark.parametrize(
    "images", [[], np.ones((32, 48)), [np.ones((3, 32, 48)), np.full((3, 32, 48), np.nan)]]
)
def test_a_failed_refit_keeps_the_model(images, config, image):
    segmenter = Segmenter(config).fit(image)
    labels = segmenter.predict(image)
    with pytest.raises(InputError):
        segmenter.fit(images)
    np.testing.assert_array_equal(segmenter.predict(image), labels)


def test_a_diverged_refit_keeps_the_model(config, image):
    segmenter = Segmenter(config).fit(image)
    labels = segmenter.predict(image)
    segmenter.set_params(config=config.replace(learning_rate=1e30))
    with pytest.raises(InputError, match="learning_rate"):
        segmenter.fit(image)
    np.testing.assert_array_equal(segmenter.predict(image), labels)


@pytest.mark.parametrize("training", [True, False])
def test_predict_leaves_the_network_as_it_is(fitted, training, image):
    segmenter = copy.deepcopy(fitted)
    segmenter.net_.train(training)
    before = state_of(segmenter.net_)
    np.testing.assert_array_equal(segmenter.predict(image), fitted.predict(image))
    assert segmenter.net_.training == training
    assert all(part.training == training for part in segmenter.net_.modules())
    assert_same_state(segmenter.net_, before)
    with pytest.raises(InputError):
        segmenter.predict(image, superpixels=np.zeros((3, 3), int))
    assert segmenter.net_.training == training


def test_random_states_stay(config, image):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    Segmenter(config.replace(similarity_labels="kmeans", head="gat")).fit(image).predict(image)
    assert random.getstate() == states[0]
    for now, before in zip(np.random.get_state(), states[1], strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(now, before)
    assert torch.equal(torch.get_rng_state(), states[2])


def test_progress_goes_to_standard_error(capsys, config, image):
    Segmenter(config).fit(image, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "4 of 4 steps" in captured.err
    Segmenter(config).fit(image)
    assert capsys.readouterr().err == ""


def test_what_was_trained_stays_when_parameters_change(tmp_path, config, blocks):
    image = blocks()
    segmenter = Segmenter(config).fit(image)
    labels = segmenter.predict(image)
    segmenter.set_params(config=config.replace(width=8, n_segments=7))
    segmenter.save(tmp_path / "model.safetensors")
    for same in (segmenter, Segmenter.load(tmp_path / "model.safetensors")):
        assert same.config_ == config
        assert np.array_equal(same.predict(image), labels)


def test_modes_of_single_modules_stay(fitted, image):
    net = fitted.net_
    net.wnet.decoder.train()
    modes = [module.training for module in net.modules()]
    fitted.predict(image)
    assert [module.training for module in net.modules()] == modes
    net.eval()


# Heads


def affinities(graph, config):
    """The edge weights that a head gets."""
    return torch.exp(config.tau_cut * graph.edge_attr[:, 0])


@pytest.mark.parametrize("name", ["gcn", "gat", "graph", "transformer"])
def test_a_head_of_the_configuration(fitted, name, config, image, learned_features):
    segmenter = Segmenter(config.replace(head=name)).fit(image)
    graph = segmenter.transform(image)
    x = learned_features(segmenter, image, graph.pixel_index)
    with torch.no_grad():
        expected = segmenter.net_.head.eval()(x, graph.edge_index, affinities(graph, config))
    torch.testing.assert_close(graph.z, expected, rtol=1e-3, atol=1e-4)
    assert segmenter.history_["sim"] != fitted.history_["sim"]


def test_a_head_of_the_user_is_copied_for_each_training(config, image):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = GraphConv(6, 9)
    before = state_of(head)
    segmenter = Segmenter(config, head)
    losses = [segmenter.fit(image).history_["loss"] for _ in range(2)]
    assert losses[0] == losses[1]
    assert_same_state(head, before)
    assert not torch.equal(segmenter.net_.head.lin_rel.weight, head.lin_rel.weight)
    assert segmenter.transform(image).z.size(1) == 9
    assert segmenter.num_labels_ == 9
    assert clone(segmenter).fit(image).history_["loss"] == losses[0]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (GraphConv(5, 6), "GraphConv cannot be called on nodes of 6 features"),
        (HypergraphConv(6, 6), "HypergraphConv needs 'hyperedge_index'"),
        (NNConv(6, 6, torch.nn.Linear(3, 36)), "NNConv cannot be called"),
    ],
)
def test_a_head_that_cannot_be_called_is_refused_when_the_segmenter_is_made(config, head, reason):
    with pytest.raises(InputError, match=rf"^head: {reason}"):
        Segmenter(config, head)


class OfGreyImages(torch.nn.Module):
    """A head that needs one channel."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 6)

    def forward(self, x, color):
        return x + self.linear(color)


def test_a_head_of_other_channels_is_refused_when_they_are_known(config, image):
    segmenter = Segmenter(config, OfGreyImages())
    with pytest.raises(InputError, match=r"^head: OfGreyImages cannot be called"):
        segmenter.fit(image)
    assert segmenter.fit(image[:1]).predict(image[:1]).shape == image.shape[1:]


@pytest.mark.parametrize(
    "make_head",
    [
        lambda: SAGEConv(-1, 7),
        lambda: GPSConv(6, GCNConv(6, 6), heads=2),
        lambda: NNConv(6, 6, torch.nn.Linear(1, 36)),
        lambda: PointTransformerConv(6, 6, torch.nn.Linear(2, 6)),
        lambda: GraphSAGE(6, 4, 2, 8),
    ],
    ids=["SAGEConv", "GPSConv", "NNConv", "PointTransformerConv", "GraphSAGE"],
)
def test_layers_of_pyg_train_and_load_bare(config, image, make_head, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head, equal = make_head(), make_head()
    segmenter = Segmenter(config, head).fit(image)
    segmenter.save(tmp_path / "m.safetensors")
    loaded = Segmenter.load(tmp_path / "m.safetensors", equal)
    assert torch.equal(loaded.transform(image).z, segmenter.transform(image).z)
    assert loaded.num_labels_ == segmenter.transform(image).z.size(1)


def test_a_head_smooths_over_the_graph_of_the_image(config, image, learned_features):
    """Identity weights turn a GCN into plain averaging, which the graph itself can confirm."""
    head = GCNConv(6, 6, add_self_loops=False, normalize=False, bias=False)
    torch.nn.init.eye_(head.lin.weight)
    segmenter = Segmenter(config.replace(learning_rate=1e-30), head).fit(image)
    graph = segmenter.transform(image)
    x = learned_features(segmenter, image, graph.pixel_index)
    source, target = graph.edge_index
    messages = affinities(graph, config)[:, None] * x[source]
    expected = torch.zeros_like(x).index_add(0, target, messages)
    torch.testing.assert_close(graph.z, expected, rtol=1e-3, atol=1e-4)


def test_batch_norm_of_a_head_gets_the_statistics_of_the_image(config, blocks):
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(config.num_features)

        def forward(self, x, edge_index, edge_weight):
            return self.norm(x)

    image = blocks()
    segmenter = Segmenter(config, head=Head()).fit(image)
    z = segmenter.transform(image).z
    assert torch.allclose(z.mean(dim=0), segmenter.net_.head.norm.bias, atol=0.05)


def test_a_head_with_dropout_draws_from_the_seed(config, image):
    head = GATv2Conv(config.num_features, config.num_features, edge_dim=1, dropout=0.5)
    state = torch.get_rng_state()
    first, second = (Segmenter(config, head=head).fit(image).transform(image).z for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
