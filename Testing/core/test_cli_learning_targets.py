"""Several targets on the command line: created, simulated, measured, their weights listed and rolled back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
from tiny_campaign import make_episodes_tiny

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cli import main
from clopa_annotator.datasets.three_structures import StructureSpec, write_structure_dataset
from clopa_annotator.experiments.simulated_campaign import remove_simulated
from clopa_annotator.types import Slot

model_folder = tiny_campaign.model_folder


def test_a_campaign_is_made_for_several_targets(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["campaign", "create", str(tmp_path / "c"), "--name", "N", "--size", "5"]
    command += ["--model", str(model_folder)]
    assert main([*command, "--target", "liver", "--target", "Liver"]) == 2
    assert "Two targets are called" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--target", "liver", "--target", "left kidney"]) == 0
    assert "Targets: liver, left kidney." in " ".join(capsys.readouterr().out.split())
    weights = ["weights", "list", str(tmp_path / "c"), "--json"]
    for target in ([], ["--target", "Left Kidney"]):
        assert main([*weights, *target]) == 0
        assert json.loads(capsys.readouterr().out)["current"] == 0
    assert main([*weights, "--target", "spleen"]) == 2
    assert "it has liver, left kidney" in " ".join(capsys.readouterr().err.split())
    shown = ["weights", "rollback", str(tmp_path / "c"), "--target", "left kidney", "--version", "0"]
    assert main(shown) == 0
    assert "Version 0 of left kidney is in use." in capsys.readouterr().out


def test_targets_are_simulated_one_after_another_in_each_case(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episodes_tiny(monkeypatch)
    spec = StructureSpec(shape_kji=(18, 20, 22))
    dataset, out = write_structure_dataset(tmp_path / "data", 6, spec, seed=1), tmp_path / "out"
    command = ["simulate", "--dataset", str(dataset.folder), "--out", str(out), "--model", str(model_folder)]
    command += ["--limit", "5", "--test-limit", "1", "--clicks", "0", "--device", "cpu", "--json"]
    command += ["--target", "lens=2", "--target", "capsule=1"]
    assert main([*command, "--label", "1"]) == 2
    assert "--label" in " ".join(capsys.readouterr().err.split())
    assert main(command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert list(summary["targets"]) == ["lens", "capsule"] and summary["stream"]["n"] == 10
    for part in summary["targets"].values():
        assert [e["at_case"] for e in part["episodes"]] == [5] and part["stream"]["n"] == 5
        assert part["test"][0]["version"] == 0 and part["test"][0]["n"] == 1
    with CampaignStore.open(out / "campaign") as store:
        first = store.cases()[0].case_id
        masks = [store.read_mask(version.ref) for version in store.current(first)]
        assert [v.ref.slot for v in store.current(first)] == [Slot(""), Slot("capsule")]
        assert not np.any(masks[0] & masks[1])
    assert (out / "campaign" / "targets" / "capsule" / "weights" / "registry.json").is_file()
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "2 targets: lens, capsule" in text
    again = ["evaluate", "--dataset", str(dataset.folder), "--campaign", f"{out / 'campaign'}@0"]
    again += ["--runs", "1", "--clicks", "0", "--limit", "1", "--device", "cpu", "--json"]
    again += ["--out", str(tmp_path / "measured")]
    assert main(again) == 2, "which value is which has to be said"
    capsys.readouterr()
    assert main([*again, "--target", "capsule=1", "--target", "lens=2"]) == 0
    assert [t["test"][0]["n"] for t in json.loads(capsys.readouterr().out)["targets"].values()] == [1, 1]
    remove_simulated(out / "campaign")
    assert not (out / "campaign").exists(), "a campaign with targets is a simulation's own, to the last file"
