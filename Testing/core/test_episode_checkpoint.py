"""An episode's checkpoint: all that the next epoch needs comes back, and nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from system_calls import tree_of, watched
from torch import nn

from clopa_annotator.episode.checkpoint import TrainState, fingerprint, load_state, save_state
from clopa_annotator.errors import EpisodeError

ORDER = fingerprint(b"request", "ab" * 32)


def a_network(seed: int) -> tuple[dict[str, nn.Parameter], torch.optim.Adam]:
    torch.manual_seed(seed)
    parameters = dict(nn.Conv3d(1, 2, 3).named_parameters())
    return parameters, torch.optim.Adam(parameters.values(), lr=0.1)


def step(parameters: dict[str, nn.Parameter], optimiser: torch.optim.Adam) -> None:
    for parameter in parameters.values():
        parameter.grad = torch.sin(parameter.detach())
    optimiser.step()


def a_state(parameters: dict[str, nn.Parameter]) -> TrainState:
    best = {n: p.detach().clone() + 1 for n, p in parameters.items()}
    return TrainState(2, 6, [0.5, 0.4], [0.1, 0.2, 0.3], [0.1, 0.19, 0.29], 2, best, {}, 12.5, 1, True)


def test_without_a_checkpoint_an_episode_starts_anew(tmp_path: Path) -> None:
    parameters, optimiser = a_network(0)
    assert load_state(tmp_path / "none", parameters, optimiser, None, ORDER) is None


def test_training_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    parameters, optimiser = a_network(0)
    step(parameters, optimiser)
    state = a_state(parameters)
    save_state(tmp_path / "checkpoint", state, parameters, optimiser, None, ORDER)
    step(parameters, optimiser)
    others, other_optimiser = a_network(1)
    back = load_state(tmp_path / "checkpoint", others, other_optimiser, None, ORDER)
    assert back is not None
    plain = {k: v for k, v in vars(state).items() if k not in ("best", "mean")}
    assert {k: v for k, v in vars(back).items() if k not in ("best", "mean")} == plain
    assert all(torch.equal(back.best[n], state.best[n]) for n in state.best) and back.mean == {}
    step(others, other_optimiser)
    assert all(torch.equal(others[n], parameters[n]) for n in parameters), "moments and step counts too"


def test_an_optimiser_that_has_not_stepped_comes_back_so(tmp_path: Path) -> None:
    parameters, optimiser = a_network(0)
    save_state(tmp_path / "checkpoint", TrainState(0), parameters, optimiser, None, ORDER)
    others, other_optimiser = a_network(1)
    step(others, other_optimiser)
    load_state(tmp_path / "checkpoint", others, other_optimiser, None, ORDER)
    assert not other_optimiser.state
    assert all(torch.equal(others[n], parameters[n]) for n in parameters)


@pytest.mark.parametrize("order", [fingerprint(b"another", "ab" * 32), fingerprint(b"request", "cd" * 32)])
def test_a_checkpoint_of_another_order_or_another_base_is_refused(tmp_path: Path, order: str) -> None:
    parameters, optimiser = a_network(0)
    save_state(tmp_path / "checkpoint", TrainState(0), parameters, optimiser, None, ORDER)
    with pytest.raises(EpisodeError, match="belongs to another episode"):
        load_state(tmp_path / "checkpoint", parameters, optimiser, None, order)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_a_damaged_checkpoint_is_told(tmp_path: Path, size: int) -> None:
    parameters, optimiser = a_network(0)
    path = tmp_path / "checkpoint"
    save_state(path, TrainState(0), parameters, optimiser, None, ORDER)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(EpisodeError, match="damaged"):
        load_state(path, parameters, optimiser, None, ORDER)


def test_a_checkpoint_is_replaced_in_one_step(tmp_path: Path) -> None:
    parameters, optimiser = a_network(0)
    save_state(tmp_path / "checkpoint", TrainState(0), parameters, optimiser, None, ORDER)
    with watched(tmp_path) as calls:
        save_state(tmp_path / "checkpoint", TrainState(1), parameters, optimiser, None, ORDER)
    assert calls.careless == [] and "open checkpoint" not in calls.order
    assert list(tree_of(tmp_path)) == ["checkpoint"]


def test_a_scaler_comes_back(tmp_path: Path) -> None:
    class Scaler:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def state_dict(self) -> dict[str, float]:
            return {"scale": self.scale}

        def load_state_dict(self, state: dict[str, float]) -> None:
            self.scale = state["scale"]

    parameters, optimiser = a_network(0)
    save_state(tmp_path / "checkpoint", TrainState(0), parameters, optimiser, Scaler(512.0), ORDER)
    other = Scaler(1.0)
    load_state(tmp_path / "checkpoint", parameters, optimiser, other, ORDER)
    assert other.scale == 512.0
