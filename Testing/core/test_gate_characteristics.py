"""What the gate promises, simulated with the product's own rule: the targets that it was built for."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
N = 6000


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gate_characteristics

    return gate_characteristics


@pytest.mark.parametrize("held_out", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["normal", "heavy"])
def test_a_candidate_that_brings_nothing_or_harms_is_gone_ten_cases_later(
    study: ModuleType, kind: str, held_out: int
) -> None:
    of = study.worlds(kind, 0.036, None)
    assert study.shares(study.product, of(0.0), N, held_out, 1)[1] <= 0.05
    assert study.shares(study.product, of(-0.02), N, held_out, 1)[1] <= 0.01
    first = study.GATES["product, first episode"]
    assert study.shares(first, of(0.0), N, held_out, 1)[1] <= 0.05
    assert study.shares(first, of(-0.02), N, held_out, 1)[1] <= 0.01


@pytest.mark.parametrize("held_out", [1, 4])
def test_what_brings_nothing_goes_also_where_cases_spread_more_than_the_rule_expects(
    study: ModuleType, held_out: int
) -> None:
    for spread, harmful in ((0.06, 0.01), (0.1, 0.025)):
        of = study.worlds("normal", spread, None)
        assert study.shares(study.product, of(0.0), N, held_out, 1)[1] <= 0.05
        assert study.shares(study.product, of(-0.02), N, held_out, 1)[1] <= harmful


@pytest.mark.parametrize("kind", ["normal", "heavy"])
def test_a_real_gain_is_promoted_and_stays(study: ModuleType, kind: str) -> None:
    promoted, stays = study.shares(study.product, study.worlds(kind, 0.036, None)(0.05), N, 4, 1)
    assert promoted >= 0.95 and stays >= 0.93


def test_the_gate_before_could_not_keep_this(study: ModuleType) -> None:
    of = study.worlds("normal", 0.036, None)
    assert study.shares(study.before, of(0.0), N, 1, 1)[1] > 0.5
    assert study.shares(study.before, of(-0.02), N, 1, 1)[1] > 0.2


def test_better_first_proposals_do_not_buy_worse_corrections(study: ModuleType) -> None:
    world = study.World(0.03, 0.16, -0.05, study.gaussian, (0.036, 0.072, 0.029))
    assert study.shares(study.product, world, N, 4, 1)[1] <= 0.01
    assert study.shares(study.no_selection, world, N, 4, 1)[1] > 0.9


def test_the_noise_has_the_spread_that_it_says(study: ModuleType) -> None:
    rng = np.random.default_rng(0)
    for noise in (study.gaussian, study.heavy):
        drawn = noise(rng, 40000, 3)
        assert np.allclose(drawn.std(axis=(0, 1)), 1, atol=0.15) and np.allclose(
            drawn.mean(axis=(0, 1)), 0, atol=0.05
        )


def test_pairs_are_read_from_curves(study: ModuleType, tmp_path: Path) -> None:
    rows = ["weights,case,run,0,1,2"]
    for name, shift in (("first", 0.0), ("first-again", 0.1), ("second", 0.2), ("second-again", 0.1)):
        rows += [
            f"{name},c{case},{run},{0.3 + shift},{0.4 + shift},{0.5 + shift}"
            for case in (1, 2)
            for run in (0, 1)
        ]
    path = tmp_path / "curves.csv"
    path.write_text("\n".join(rows) + "\n")
    found = study.differences_in(path, study.NULL_PAIRS)
    assert found.shape == (4, 3)
    assert np.allclose(found[:2], 0.1) and np.allclose(found[2:], -0.1)
