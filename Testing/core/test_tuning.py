"""benchmarks/tuning.py: cases that leave the published ones alone, arms as settings, rows that resume."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tiny_campaign import tiny_dataset, tiny_model_folder

from clopa_annotator.datasets.msd import LabelledCase, split_stream
from clopa_annotator.errors import ConfigError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def some_cases(n: int) -> list[LabelledCase]:
    return [LabelledCase(f"c{i:03d}", Path(f"c{i}.nii"), Path(f"l{i}.nii")) for i in range(n)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tuning_never_tests_on_nor_trains_on_the_published_test_cases(seed: int) -> None:
    from tuning_trial import development_split

    cases = some_cases(130)
    published_stream, published_test = split_stream(cases, 48, 24, seed)
    stream, tests = development_split(cases, 50, 24, seed)
    assert len(set(stream)) == 50 and len(set(tests)) == 24
    assert not set(tests) & set(stream)
    assert not set(published_test) & {*tests, *stream}
    assert not set(tests) & set(published_stream)
    assert development_split(cases, 10, 24, seed)[0] == stream[:10], "a smaller cache is a part of a larger"


def test_a_dataset_that_is_too_small_is_refused() -> None:
    from tuning_trial import development_split

    with pytest.raises(SystemExit, match="too small"):
        development_split(some_cases(80), 5, 24, 0)


def test_an_arm_is_the_quick_schedule_with_its_changes() -> None:
    from tuning_trial import Arm

    arm = Arm(10, "base", "all", 3e-3, 100, "anchor=20,anchor_to=base,steps=2", 0)
    settings = arm.settings
    assert (settings.group, settings.learning_rate, settings.epochs * settings.updates) == ("all", 3e-3, 100)
    assert (settings.anchor, settings.anchor_to, settings.steps) == (20, "base", 2)
    with pytest.raises(ConfigError, match="does not know"):
        _ = Arm(10, "base", "all", 3e-3, 100, "magic=1", 0).settings


def test_a_run_writes_a_row_per_trial_and_does_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tuning
    import tuning_trial

    monkeypatch.setattr(tuning_trial, "PUBLISHED_STREAM", 1)
    monkeypatch.setattr(tuning_trial, "PUBLISHED_TEST", 1)
    monkeypatch.setattr(tuning_trial, "GENERATED", 1)
    model, dataset = tiny_model_folder(tmp_path / "model"), tiny_dataset(tmp_path / "data", 8)
    command = ["--dataset", str(dataset.folder), "--out", str(tmp_path / "out"), "--model", str(model)]
    command += ["--device", "cpu", "--threads", "1", "--cases", "4", "--groups", "last", "--rates", "0.01"]
    command += ["--updates", "4", "--starts", "base,pi,episode", "--mix", "0.5,1"]
    command += ["--test", "1", "--clicks", "1"]
    command += ["--options", "batch=1,steps=1,val_samples=1,precision=fp32"]
    tuning.main(command)
    with (tmp_path / "out" / "tuning.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tried = [("4", start, mix) for start in ("base", "pi", "episode") for mix in ("0.5", "1")]
    assert [(r["cases"], r["start"], r["mix"]) for r in rows] == [("0", "base", "0"), *tried]
    assert all(0 <= float(r[name]) <= 1 for r in rows for name in tuning.SCORES)
    assert "| cases | start |" in (tmp_path / "out" / "tuning.md").read_text(encoding="utf-8")
    before = (tmp_path / "out" / "tuning.csv").read_bytes()
    tuning.main(command)
    assert (tmp_path / "out" / "tuning.csv").read_bytes() == before
