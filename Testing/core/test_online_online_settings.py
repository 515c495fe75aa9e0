"""The settings of learning between clicks are checked when they are built."""

from __future__ import annotations

import pytest

from clopa_annotator.errors import ConfigError
from clopa_annotator.online.online_settings import OaimsSettings, SparseSettings, StepSettings


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="PI, MI or both"):
        OaimsSettings(post=False, mid=False)
    with pytest.raises(ConfigError, match="learning rate"):
        StepSettings(learning_rate=0)
    with pytest.raises(ConfigError, match="at least one update"):
        SparseSettings(updates=0)
    with pytest.raises(ConfigError, match="no optimiser"):
        StepSettings("lion")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="autocast"):
        StepSettings(autocast="bf16")  # type: ignore[arg-type]
