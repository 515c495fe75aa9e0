"""A few injuries; ``python Testing/chaos/chaos.py --kills 200`` makes many."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chaos import run


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    tally, wrong = run(tmp_path, kills=3, seed=1)
    assert not wrong
    assert tally.acknowledged
