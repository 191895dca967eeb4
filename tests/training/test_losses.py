"""The table of the losses, and what follows from it."""

import dataclasses

import pytest
import torch

from sp_graph_seg import Config
from sp_graph_seg.training import LOSSES, fit, losses
from sp_graph_seg.training.losses import Loss, betas


def test_every_loss_has_a_weight_in_the_configuration_and_the_other_way_round():
    fields = [field.name for field in dataclasses.fields(Config)]
    assert [name for name in fields if name.startswith("beta_")] == [f"beta_{n}" for n in LOSSES]


def test_betas_are_those_of_the_configuration():
    config = Config(beta_rec=0.5, beta_cut=0.25, beta_sim=2.0, beta_con=3.0)
    assert betas(config) == {"rec": 0.5, "cut": 0.25, "sim": 2.0, "con": 3.0}
    assert betas(config.replace(reconstruction="none"))["rec"] == 0


@pytest.mark.parametrize("beta", [0.0, 0.25])
def test_a_loss_of_the_table_counts_with_its_weight(beta, one, one_step, make_net, monkeypatch):
    """N-Cut is taken out of the table, and something known is put in its place."""
    config = one_step.replace(beta_cut=beta)
    constant = Loss("constant", lambda step: torch.full_like(step.x.mean(), 8.0))
    expected = fit(make_net(), [one], config.replace(beta_cut=0.0))
    monkeypatch.setitem(losses.LOSSES, "cut", constant)
    history = fit(make_net(), [one], config)
    assert history["loss"][0] == pytest.approx(expected["loss"][0] + 8 * beta)
    assert history["cut"] == pytest.approx([8.0 if beta else float("nan")], nan_ok=True)
