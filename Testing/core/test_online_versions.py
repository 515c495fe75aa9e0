"""What was learned between clicks is registered when it was better on cases that it had not seen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from clopa_annotator.checking import HeldOutCase
from clopa_annotator.errors import ConfigError
from clopa_annotator.online.weights import OnlineWeights
from clopa_annotator.online_versions import OnlineVersions, OnlineVersionSettings
from clopa_annotator.registry.store import WeightsRegistry
from clopa_annotator.swap import apply_version


class FakeLearner:
    """Each confirmation adds one to the first weight."""

    def __init__(self, model: Any) -> None:
        self.weights = OnlineWeights(model, "all")
        self.model = model

    @property
    def parent_version(self) -> int:
        return self.weights.parent_version

    @property
    def has_news(self) -> bool:
        return self.weights.persistent.version != self.weights.parent_version

    def showing(self, which: str) -> Any:
        state = self.weights.registered_state if which == "registered" else self.weights.persistent
        return self.weights.showing(state)

    def learn(self) -> None:
        with torch.no_grad():
            next(self.model.network.parameters()).add_(1)
        self.weights.commit(persist=True)

    def persisted(self) -> dict[str, torch.Tensor]:
        return dict(zip(self.weights.parameters, self.weights.persistent.values, strict=True))

    def registered(self, version: int) -> None:
        self.weights.registered(version)

    def rollback(self) -> None:
        self.weights.rollback()


def a_model() -> Any:
    import threading

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.Conv3d(1, 1, 1))
    base = {n: p.detach().clone() for n, p in network.named_parameters()}
    return SimpleNamespace(
        network=network,
        lock=threading.RLock(),
        version=0,
        device=torch.device("cpu"),
        base_state=lambda: {n: v.clone() for n, v in base.items()},
    )


class Scene:
    """A model whose score is its first weight, times ``sign``."""

    def __init__(self, folder: Path, sign: float) -> None:
        self.model = a_model()
        self.registry = WeightsRegistry(folder)
        self.registry.create("h" * 64, "CC0-1.0")
        self.learner = FakeLearner(self.model)
        start = self.first_weight()

        def score(model: Any, case: HeldOutCase, clicks: int, seed: int) -> float:
            return 0.5 + sign * 0.01 * (self.first_weight() - start)

        settings = OnlineVersionSettings(interval=3, group="all")
        self.versions = OnlineVersions(self.model, self.registry, self.learner, settings, score)  # type: ignore[arg-type]

    def first_weight(self) -> float:
        return float(next(self.model.network.parameters()).detach().reshape(-1)[0])

    def confirm(self, number: int) -> Any:
        case = HeldOutCase(f"case {number}", lambda: (None, np.zeros((1, 1, 1), np.uint8)))  # type: ignore[arg-type, return-value]
        self.versions.before_learning(case, f"{number:064d}")
        self.learner.learn()
        return self.versions.register_if_due()


def test_better_weights_become_a_version_after_the_interval_and_stay_in_use(tmp_path: Path) -> None:
    scene = Scene(tmp_path, sign=1)
    start = scene.first_weight()
    made = [scene.confirm(n) for n in range(4)]
    assert made[:3] == [None, None, None], (
        "the first case has nothing to compare"
    )
    version = made[3]
    assert version.decision.promoted and version.number == 1 and version.parent == 0
    assert version.decision.case_ids == ("case 1", "case 2", "case 3")
    assert scene.model.version == 1 and scene.learner.parent_version == 1 and not scene.learner.has_news
    assert scene.first_weight() == pytest.approx(start + 4)
    tensors = scene.registry.delta_tensors(1)
    assert set(tensors) == {"0.weight"}, "what is as in the base is left out"
    apply_version(scene.model, scene.model.base_state(), tensors, 1)
    assert scene.first_weight() == pytest.approx(start + 4)


def test_worse_weights_are_rejected_and_thrown_away(tmp_path: Path) -> None:
    scene = Scene(tmp_path, sign=-1)
    start = scene.first_weight()
    version = [scene.confirm(n) for n in range(4)][-1]
    assert not version.decision.promoted
    assert scene.registry.current().number == 0
    assert scene.model.version == 0 and scene.first_weight() == start


def test_scores_before_come_from_the_registered_weights_and_after_from_the_learned(tmp_path: Path) -> None:
    scene = Scene(tmp_path, sign=1)
    version = [scene.confirm(n) for n in range(4)][-1]
    assert version.decision.before == pytest.approx((0.5, 0.5, 0.5))
    assert version.decision.after == pytest.approx((0.51, 0.52, 0.53))


def test_a_final_call_judges_what_is_there_and_nothing_twice(tmp_path: Path) -> None:
    scene = Scene(tmp_path, sign=1)
    scene.confirm(0)
    assert scene.versions.register_if_due(final=True) is None, "no case was scored yet"
    scene.confirm(1)
    version = scene.versions.register_if_due(final=True)
    assert version is not None and version.decision is not None and version.decision.promoted
    assert scene.versions.register_if_due(final=True) is None


def test_a_swap_by_someone_else_starts_the_comparison_anew(tmp_path: Path) -> None:
    scene = Scene(tmp_path, sign=1)
    for n in range(3):
        scene.confirm(n)
    base = scene.model.base_state()
    other = scene.registry.add_tensors({"0.bias": base["0.bias"] + 1}, parent=0, parameter_group="all")
    apply_version(scene.model, base, scene.registry.delta_tensors(other.number), other.number)
    scene.learner.weights.start_case()
    made = [scene.confirm(n) for n in range(10, 14)]
    assert made[:3] == [None] * 3 and made[3].parent == other.number
    assert made[3].decision.case_ids == ("case 11", "case 12", "case 13")
    assert set(scene.registry.delta_tensors(made[3].number)) == {"0.weight", "0.bias"}


def test_settings_without_an_interval_are_refused() -> None:
    with pytest.raises(ConfigError, match="interval"):
        OnlineVersionSettings(interval=0)
