"""A few injuries; ``python Testing/chaos/chaos.py --kills 200`` makes many, also with ``--targets 3``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chaos import run


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 3])
def test_nothing_acknowledged_is_lost(tmp_path: Path, targets: int) -> None:
    tally, wrong = run(tmp_path, kills=3, seed=1, targets=targets)
    assert not wrong
    assert tally.acknowledged
    assert len({slot.target for slot, *_ in tally.first}) == targets
