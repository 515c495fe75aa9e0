"""A campaign's settings check themselves and survive a round trip."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clopa_annotator.config import STRATEGIES, CampaignConfig
from clopa_annotator.errors import ConfigError
from clopa_annotator.strategies import strategy_names


def test_settings_survive_json() -> None:
    config = CampaignConfig("Hippocampus, left", 48, strategy="clopa-in", seed=7)
    assert CampaignConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_only_a_campaign_that_switched_suggestions_off_says_anything_about_them() -> None:
    values = CampaignConfig("x", 5).to_dict()
    assert "suggestions" not in values and CampaignConfig.from_dict(values).suggestions
    off = CampaignConfig("x", 5, suggestions=False)
    assert CampaignConfig.from_dict(off.to_dict()) == off


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "  "}, "needs a name"),
        ({"size": 0}, "at least one case"),
        ({"strategy": "magic"}, "no strategy 'magic'"),
        ({"schedule": "slow"}, "no schedule 'slow'"),
        ({"gate_clicks": -1}, "negative number of corrections"),
        ({"gate_runs": 0}, "at least once"),
        ({"gate_worst_drop": 1.5}, "between 0 and 1"),
        ({"order": "best"}, "no order 'best'"),
        ({"without_suggestion": 1.5}, "share of cases without a suggestion"),
        ({"without_suggestion": "half"}, "share of cases without a suggestion"),
        ({"suggestions": "yes"}, "true or false"),
    ],
)
def test_a_setting_out_of_range_is_refused_in_words(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CampaignConfig(**{"name": "x", "size": 5, **change})


def test_settings_that_older_programs_do_not_know_are_written_once_they_are_used() -> None:
    untouched, used = CampaignConfig("x", 5), CampaignConfig("x", 5, order="random", without_suggestion=0.1)
    assert not {"order", "without_suggestion"} & set(untouched.to_dict())
    assert CampaignConfig.from_dict(untouched.to_dict()) == untouched
    assert CampaignConfig.from_dict(json.loads(json.dumps(used.to_dict()))) == used


def test_settings_of_a_newer_version_are_named() -> None:
    with pytest.raises(ConfigError, match="colour"):
        CampaignConfig.from_dict({"name": "x", "size": 5, "colour": "red"})


def test_missing_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="incomplete"):
        CampaignConfig.from_dict({"name": "x"})


def test_the_names_of_the_strategies_are_those_that_exist() -> None:
    assert set(STRATEGIES) == set(strategy_names())
