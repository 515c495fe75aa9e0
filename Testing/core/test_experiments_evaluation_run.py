"""Measuring over processes and after a kill, and comparisons on generated data from the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_campaign
from tiny_campaign import tiny_dataset

import clopa_annotator.experiments.evaluation_run as evaluating
from clopa_annotator.cli import main
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.campaigns.orders import OrderRow
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.runner import Job
from clopa_annotator.evaluation.tables import read_cases, read_clicks, read_rows
from clopa_annotator.experiments.evaluation_run import EvaluationSettings, run_evaluation
from clopa_annotator.experiments.permutations import _Log

model_folder = tiny_campaign.model_folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"), n=2)


def dice_of(out: Path) -> list[tuple[str, int, int, float]]:
    return [(row.case, row.run, row.click, row.dice) for row in read_clicks(out)]


def test_a_killed_evaluation_goes_on_and_gives_the_numbers_of_an_undisturbed_one(
    dataset: MsdDataset, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EvaluationSettings(str(model_folder), clicks=1, runs=2, device="cpu")
    run_evaluation(dataset, settings, tmp_path / "whole", _Log(""))
    real, done = evaluating._Measure.__call__, []

    def dies(self: evaluating._Measure, job: Job) -> CaseCurve:
        done.append(job)
        if len(done) == 3:
            raise KeyboardInterrupt
        return real(self, job)

    monkeypatch.setattr(evaluating._Measure, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(dataset, settings, tmp_path / "killed", _Log(""))
    run_evaluation(dataset, settings, tmp_path / "killed", _Log(""))
    assert len(done) == 5 and done[2] == done[3], "two were done, the third runs again, then the fourth"
    assert dice_of(tmp_path / "killed") == dice_of(tmp_path / "whole")
    assert not evaluating._open_subjects, "no campaign is left open"
    with pytest.raises(ConfigError, match="earlier run"):
        run_evaluation(dataset, settings, tmp_path / "killed", _Log(""))
    other = replace(settings, clicks=0, overwrite=True)
    assert run_evaluation(dataset, other, tmp_path / "killed", _Log(""))["clicks"] == 0


def test_permutations_of_a_generated_stream_end_in_a_comparison(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [
        "simulate",
        "--dataset",
        "generated:capsules:3",
        "--out",
        str(out),
        "--model",
        str(model_folder),
    ]
    command += ["--strategy", "static", "--limit", "2", "--test-limit", "1", "--clicks", "0"]
    command += ["--permutations", "2", "--device", "cpu", "--json"]
    assert main(command) == 0
    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    assert [(m["method"], m["runs"], m["n"]) for m in task["methods"]] == [("static", 2, 1)]
    assert {p.name for p in out.iterdir()} >= {"permutation-0", "permutation-1", "comparison.html"}
    assert main(command) == 0, "finished campaigns are left alone"


def test_several_orders_of_cases_end_in_a_comparison_of_them(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["simulate", "--dataset", "generated:capsules:4", "--out", str(out)]
    command += [
        "--model",
        str(model_folder),
        "--strategy",
        "static",
        "--limit",
        "3",
        "--test-limit",
        "1",
        "--clicks",
        "0",
    ]
    command += ["--order", "added", "--order", "random", "--permutations", "2", "--device", "cpu", "--json"]
    assert main(command) == 0
    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    methods = {(m["method"], m["runs"]) for m in task["methods"]}
    assert methods == {("static · added", 2), ("static · random", 2)}
    rows = read_rows(out / "orders.csv", OrderRow)
    assert [(r.order, r.annotated, r.runs) for r in rows] == [
        (order, n, 2) for order in ("added", "random") for n in (1, 2, 3)
    ]
    folders = {"added-permutation-0", "added-permutation-1", "random-permutation-0", "random-permutation-1"}
    assert folders | {"orders.md", "orders-1.svg", "comparison.html"} <= {p.name for p in out.iterdir()}
    orders = [[c.case for c in read_cases(out / name) if c.part == "stream"] for name in sorted(folders)]
    assert all(sorted(names) == sorted(orders[0]) for names in orders)
    assert main([*command[:-1], "--order", "best"]) == 2


def test_an_unknown_generated_stream_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--dataset", "generated:hearts", "--out", str(tmp_path / "o")]) == 2
    assert "generated:NAME" in " ".join(capsys.readouterr().err.split())
