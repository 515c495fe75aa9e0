"""From a score to an expected Dice: silent at first, then right, with an interval that holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from clopa_annotator.errors import ConfigError
from clopa_annotator.suggestions.calibration import Calibration, CalibrationSettings
from clopa_annotator.suggestions.scores import CHOSEN
from clopa_annotator.types import Outcome, Subject


def outcomes(
    count: int, seed: int = 0, slope: float = 1.0, shift: float = -0.5, noise: float = 0.4, version: int = 1
):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    scores = rng.normal(2.0, 0.8, count)
    dice = expit(shift + slope * scores + rng.normal(0, noise, count))
    return [
        Outcome(Subject(f"c{n}"), version, {CHOSEN: float(expit(s))}, float(d), n + 1)
        for n, (s, d) in enumerate(zip(scores, dice, strict=True))
    ]


def test_nothing_is_known_before_enough_cases_are_confirmed() -> None:
    for count in range(5):
        found = Calibration(outcomes(count)).expect(0.9, 1)
        assert not found.known and found.cases == count
    assert Calibration(outcomes(5)).expect(0.9, 1).known


def test_a_suggestion_without_a_score_is_not_judged() -> None:
    assert not Calibration(outcomes(20)).expect(float("nan"), 1).known
    unscored = [Outcome(Subject("x"), 1, {}, 0.5, 1)] * 20
    assert Calibration(unscored).cases == 0


def test_the_interval_holds_nine_of_ten_true_values_at_any_number_of_cases() -> None:
    for count in (6, 12, 40):
        held, errors = [], []
        for seed in range(300):
            *past, new = outcomes(count + 1, seed=seed)
            found = Calibration(past).expect(new.scores[CHOSEN], 1)
            held.append(found.low <= new.dice <= found.high)
            errors.append(abs(found.dice - new.dice))
        assert 0.85 <= np.mean(held) <= 0.98, count
        assert np.mean(errors) < 0.1


def test_a_surer_suggestion_is_expected_to_be_better_and_the_interval_is_in_order() -> None:
    calibration = Calibration(outcomes(30))
    found = [calibration.expect(score, 1) for score in (0.5, 0.8, 0.95)]
    assert found[0].dice < found[1].dice < found[2].dice
    assert all(0 <= e.low < e.dice < e.high <= 1 for e in found)


def test_more_cases_make_the_interval_narrower() -> None:
    few, many = (Calibration(outcomes(n)).expect(0.85, 1) for n in (6, 50))
    assert many.high - many.low < few.high - few.low


def test_outcomes_of_the_version_in_use_count_more() -> None:
    past = [*outcomes(20, shift=-2.0, version=1), *outcomes(6, seed=1, shift=0.5, version=2)]
    assert Calibration(past).expect(0.9, 2).dice > Calibration(past).expect(0.9, 1).dice


def test_only_the_newest_outcomes_count() -> None:
    settings = CalibrationSettings(newest=10)
    assert Calibration(outcomes(30), settings).cases == 10


def test_perfect_and_empty_masks_do_not_upset_it() -> None:
    extreme = [Outcome(Subject(f"c{n}"), 1, {CHOSEN: float(n % 2)}, float(n % 2), n) for n in range(10)]
    found = Calibration(extreme).expect(1.0, 1)
    assert 0.5 < found.dice <= 1 and np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize(
    "wrong", [{"least": 0}, {"newest": 2}, {"coverage": 1.0}, {"older": 0.0}, {"trust": 0.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        CalibrationSettings(**wrong)  # type: ignore[arg-type]
