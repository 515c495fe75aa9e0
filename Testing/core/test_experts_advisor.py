"""The advisor: images go to their expert, and it says when none fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_experts import a_delta, a_unet
from tiny_online import SIDE
from torch import nn

from clopa_annotator.errors import ModelError
from clopa_annotator.experts.advisor import ExpertAdvisor
from clopa_annotator.experts.library import ExpertLibrary
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image


@dataclass
class TinyBase:
    network: nn.Module
    model_hash: str = "hash"
    patch_size_kji: tuple[int, int, int] = (SIDE, SIDE, SIDE)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def base_state(self) -> dict[str, torch.Tensor]:
        return {n: p.detach().clone() for n, p in self.network.named_parameters()}


def an_image(kind: str, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    voxels = rng.normal(10, 1, (SIDE, SIDE, SIDE))
    if kind == "smooth":
        voxels = np.cumsum(np.cumsum(np.cumsum(voxels - 10, 0), 1), 2)
    if kind == "striped":
        voxels[:, ::4] += 12
    return Image(voxels.astype(np.float32), Geometry((SIDE, SIDE, SIDE)))


def test_the_advisor_sends_images_to_their_expert_and_says_when_none_fits(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "hash")
    names = {
        kind: library.add(kind, a_delta(n), licence="x").expert_id
        for n, kind in enumerate(("noisy", "striped"))
    }
    model = TinyBase(a_unet())
    advisor = ExpertAdvisor(library, model)
    assert advisor.propose(an_image("noisy", 0)).expert is None, "nobody has learned yet"
    for seed in range(12):
        for kind, expert_id in names.items():
            advisor.learn(an_image(kind, seed), expert_id)
    again = ExpertAdvisor(ExpertLibrary.open(tmp_path / "l"), model)
    for kind, expert_id in names.items():
        found = [again.propose(an_image(kind, 100 + n)).expert for n in range(10)]
        assert found.count(expert_id) >= 9
    assert [again.propose(an_image("smooth", 200 + n)).expert for n in range(10)] == [None] * 10


def test_experts_of_another_base_model_are_refused(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "other")
    with pytest.raises(ModelError, match="another base model"):
        ExpertAdvisor(library, TinyBase(a_unet()))
