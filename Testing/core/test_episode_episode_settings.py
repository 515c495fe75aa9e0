"""Episode settings: the paper's values, checked when built, and plain JSON."""

from __future__ import annotations

import json

import pytest

from clopa_annotator.episode import parameters
from clopa_annotator.episode.episode_settings import GROUPS, EpisodeSettings
from clopa_annotator.errors import ConfigError


def test_the_papers_values_are_the_papers() -> None:
    s = EpisodeSettings.paper()
    assert (s.learning_rate, s.betas, s.weight_decay) == (1e-3, (0.9, 0.999), 1e-5)
    assert (s.learning_rate_schedule, s.gradient_clip) == ("constant", 0.0)
    assert (s.epochs, s.updates, s.batch, s.steps) == (10, 50, 2, 6)
    assert (s.patch_centre, s.foreground, s.augmentation) == ("paper", 0.5, 1.0)
    assert (s.group, s.val_smoothing) == ("in", 0.9)
    assert (s.val_samples, s.val_foreground) == (30, 0.5), "thirty patches, target and background one to one"
    assert (s.augmentation_as, s.zoomed) == ("paper", 0.0)
    assert not any((s.anchor, s.averaging, s.replay, s.emphasis, s.patience)), "the paper has none of these"


def test_the_quick_preset_is_smaller_and_has_the_sessions_geometry() -> None:
    quick, paper = EpisodeSettings.quick(), EpisodeSettings.paper()
    assert quick.epochs * quick.updates * quick.steps < paper.epochs * paper.updates * paper.steps
    assert quick.patch_centre == "session"


@pytest.mark.parametrize("settings", [EpisodeSettings.paper(), EpisodeSettings.quick("in+last")])
def test_settings_survive_json(settings: EpisodeSettings) -> None:
    assert EpisodeSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"group": "everything"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"epochs": 0},
        {"steps": 0},
        {"patch_centre": "middle"},
        {"precision": "fp8"},
        {"augmentation": 1.5},
        {"betas": [0.9, 1.0]},
        {"region": 0.5},
        {"averaging": 1.0},
        {"anchor": -1.0},
        {"emphasis": -1.0},
        {"anchor_to": "sea"},
        {"replay": 2.0},
        {"warmup": 3},
        {"epochs": "ten"},
    ],
)
def test_settings_out_of_range_are_refused_in_words(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\."):
        EpisodeSettings.from_dict(wrong)


def test_every_named_group_has_a_selection() -> None:
    assert set(GROUPS) == set(parameters._SELECTIONS)
