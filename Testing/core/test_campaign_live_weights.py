"""Which weights are in the live network: the version that is asked for, or an error and no change."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

from clopa_annotator.campaign.live_weights import VersionedWeights
from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.errors import DeltaMismatch, UnknownVersion


@dataclass
class Model:
    """A network of one number per layer."""

    network: nn.Module = field(default_factory=lambda: nn.Linear(1, 1))
    lock: Any = field(default_factory=threading.RLock)
    version: int = 0
    lineage: str = ""

    @property
    def base(self) -> dict[str, torch.Tensor]:
        return {"weight": torch.full((1, 1), 5.0), "bias": torch.zeros(1)}


class Registry:
    """Version n of the first line has the weight n, of another 100 + n; notes what is read."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.brought_in: list[str] = []
        self.current = 0

    def delta(self, line: str, version: int) -> dict[str, torch.Tensor]:
        self.read.append(version)
        if version > 90:
            raise UnknownVersion(f"There is no weights version {version}.")
        if version == 90:
            return {"weight": torch.zeros(3)}
        value = float(version) + (100 if line else 0)
        return {"weight": torch.full((1, 1), value)} if version else {}


@pytest.fixture
def parts() -> tuple[VersionedWeights, Model, Registry]:
    model, registry = Model(), Registry()
    weights = VersionedWeights(
        model,  # type: ignore[arg-type]
        registry.delta,
        lambda line: registry.current + (10 if line else 0),
        registry.brought_in.append,
        kept=2,
    )
    return weights, model, registry


def weight(model: Model) -> float:
    return float(dict(model.network.named_parameters())["weight"].detach())


def test_the_version_that_is_asked_for_is_in_the_network_and_the_base_comes_back(parts) -> None:
    weights, model, _ = parts
    for version, value in ((1, 1.0), (2, 2.0), (0, 5.0), (2, 2.0)):
        weights.use(LineVersion("", version))
        assert (weight(model), model.version) == (value, version)


def test_a_version_that_is_there_already_is_not_written_again(parts) -> None:
    weights, model, registry = parts
    weights.use(LineVersion("", 1))
    with torch.no_grad():
        dict(model.network.named_parameters())["weight"].fill_(1.5)
    weights.use(LineVersion("", 1))
    assert weight(model) == 1.5 and registry.read == [1]


def test_deltas_are_read_once_and_the_longest_unused_is_forgotten(parts) -> None:
    weights, _, registry = parts
    for version in (1, 2, 1, 3, 1, 2):
        weights.use(LineVersion("", version))
    assert registry.read == [1, 2, 3, 2]


@pytest.mark.parametrize(("version", "error"), [(99, UnknownVersion), (90, DeltaMismatch)])
def test_a_version_that_cannot_be_used_leaves_the_network_as_it_was(parts, version: int, error) -> None:
    weights, model, _ = parts
    weights.use(LineVersion("", 1))
    with pytest.raises(error):
        weights.use(LineVersion("", version))
    assert (weight(model), model.version) == (1.0, 1)


def test_what_was_learned_between_clicks_cannot_be_asked_for(parts) -> None:
    weights, _, registry = parts
    with pytest.raises(UnknownVersion, match="between clicks"):
        weights.delta("", -1)
    assert registry.read == []


def test_the_current_version_is_the_registrys_at_any_moment(parts) -> None:
    weights, _, registry = parts
    registry.current = 4
    assert weights.current() == 4 and weights.current("kidney") == 14


def test_holding_it_holds_the_networks_lock(parts) -> None:
    weights, model, _ = parts
    with weights.held():
        taken: list[bool] = []
        thread = threading.Thread(target=lambda: taken.append(model.lock.acquire(blocking=False)))
        thread.start()
        thread.join()
        assert taken == [False]


def test_the_same_number_of_two_targets_is_two_versions(parts) -> None:
    weights, model, _ = parts
    for line, value in (("", 1.0), ("kidney", 101.0), ("", 1.0), ("kidney", 101.0)):
        weights.use(LineVersion(line, 1))
        assert (weight(model), model.lineage, model.version) == (value, line, 1)


def test_the_newest_delta_of_each_target_stays_in_memory(parts) -> None:
    weights, _, registry = parts
    lines = ("", "kidney", "lesion")
    for line in (*lines, *lines):
        weights.use(LineVersion(line, 1))
    assert registry.read == [1, 1, 1], "two are kept, and one for each target in use"
    weights.use(LineVersion("", 2))
    weights.use(LineVersion("kidney", 1))
    weights.use(LineVersion("", 1))
    assert registry.read == [1, 1, 1, 2, 1], "the older one of the first target had gone"


def test_what_is_learned_between_clicks_is_brought_in_by_its_line(parts) -> None:
    weights, _, registry = parts
    weights.use(LineVersion("kidney", None))
    assert registry.brought_in == ["kidney"] and registry.read == []
