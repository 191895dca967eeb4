"""Where training happens; that there is a GPU or none is pretended."""

import pytest
import torch

from sp_graph_seg import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.training import fit
from sp_graph_seg.training.device import autocast, find_device, make_scaler


@pytest.mark.parametrize(
    ("accelerator", "has_gpu", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("gpu", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
    ],
)
def test_a_gpu_is_taken_where_there_is_one(accelerator, has_gpu, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert find_device(Config(accelerator=accelerator)) == torch.device(device)


def test_a_mac_trains_on_the_cpu(monkeypatch):
    """MPS has no sparse products of rows; the losses have a path without, but nothing is tested."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device(Config()) == torch.device("cpu")
    with pytest.raises(InputError, match="no CUDA GPU was found"):
        find_device(Config(accelerator="gpu"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"accelerator": "gpu"}, "accelerator='gpu': no CUDA GPU was found; use 'auto' or 'cpu'"),
        ({"precision": "16-mixed"}, "precision='16-mixed': this .* needs a GPU.*; use 'bf16"),
    ],
)
def test_what_cannot_be_had_is_refused(values, message, one, make_net, config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"^{message}"):
        fit(make_net(), [one], config.replace(**{"accelerator": "auto", **values}))


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_the_precision_is_that_of_the_network_only_inside(precision, dtype):
    weights = torch.ones(2, 2)
    config, cpu = Config(precision=precision), torch.device("cpu")
    with autocast(config, cpu):
        assert (weights @ weights).dtype == dtype
    assert (weights @ weights).dtype == torch.float32
    assert not make_scaler(config, cpu).is_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_a_gpu_trains_as_the_cpu_does(precision, one, config, make_net):
    net = make_net()
    history = fit(net, [one], config.replace(accelerator="gpu", precision=precision))
    exact = fit(make_net(), [one], config)
    assert history["loss"] == pytest.approx(exact["loss"], rel=0.05)
    assert next(net.parameters()).device.type == "cpu"
    assert all(value.isfinite().all() for value in net.state_dict().values())
