"""A campaign with a tiny untrained network and tiny phantoms, for the tests of what composes the stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import clopa_annotator.training.candidate_evaluation as checking
from clopa_annotator import strategies
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import MsdDataset, PhantomSpec, write_phantom_dataset
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.testing.random_model import QUICKEST, write_random_model
from clopa_annotator.types import CaseRef, Confirmation

SPEC = PhantomSpec(shape_kji=(18, 20, 22))
TINY = EpisodeSettings(
    group="cn",
    learning_rate=1e-2,
    epochs=1,
    updates=2,
    batch=1,
    steps=2,
    patch_centre="session",
    val_samples=1,
    precision="fp32",
    threads=1,
)


def tiny_model_folder(folder: Path) -> Path:
    """A model that answers in a few milliseconds."""
    return write_random_model(folder, **QUICKEST)


def tiny_dataset(folder: Path, n: int = 8) -> MsdDataset:
    return write_phantom_dataset(folder, n, SPEC, seed=1)


def make_episodes_tiny(patch: pytest.MonkeyPatch) -> None:
    """Let the schedule "quick" mean two updates."""
    patch.setitem(
        strategies._PRESETS, "quick", lambda group: EpisodeSettings(**{**vars(TINY), "group": group})
    )


def tiny_config(model: Path, **changes: object) -> CampaignConfig:
    values: dict[str, object] = {
        "name": "Tiny",
        "size": 8,
        "model": str(model),
        "gate_clicks": 1,
        "gate_runs": 1,
    }
    return CampaignConfig(**{**values, **changes})  # type: ignore[arg-type]


def confirm_case(campaign: Campaign, dataset: MsdDataset, number: int, suffix: str = "") -> CaseRef:
    """Add a case and confirm its reference; a suffix makes a later confirmation another one."""
    case = dataset[number]
    image, mask = case.read()
    campaign.store.add_case(case.case_id, image)
    changed = mask if not suffix else np.roll(mask, 1, axis=0)
    return campaign.confirm(Confirmation(f"id-{number}{suffix}", case.case_id, changed, annotator="Ann"))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def campaign(tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    make_episodes_tiny(monkeypatch)
    with Campaign.create(tmp_path / "campaign", tiny_config(model_folder), device="cpu") as made:
        yield made


def confirm_five(campaign: Campaign, dataset: MsdDataset) -> None:
    for number in range(5):
        confirm_case(campaign, dataset, number)


def next_job(campaign: Campaign) -> Path:
    """The job of the episode that is due; it must be."""
    request = campaign.next_episode()
    assert request is not None
    return campaign.prepare_job(request)


def scores(monkeypatch: pytest.MonkeyPatch, before: float, after: float) -> list[tuple[str, int]]:
    """Let the gate see these scores; returns which case was scored with which side's weights."""
    seen: list[tuple[str, int]] = []

    def score(
        model: object, case: checking.HeldOutCase, clicks: int, seed: int, run: int
    ) -> tuple[float, ...]:
        version = model.version  # type: ignore[attr-defined]
        seen.append((case.case_id, version))
        return (after if version else before,) * (clicks + 1)

    monkeypatch.setattr(checking, "score_case", score)
    return seen
