"""Several targets on the command line: created, simulated, measured, their weights listed and rolled back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
from tiny_campaign import make_episodes_tiny, scores

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cli import main
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.datasets.parts import count_parts
from clopa_annotator.datasets.three_structures import StructureSpec, write_structure_dataset
from clopa_annotator.episode.folder import read_job
from clopa_annotator.experiments.simulated_campaign import remove_simulated
from clopa_annotator.session.local import LocalSession
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


def test_each_of_several_lesions_is_a_record_a_training_sample_and_is_counted_when_found(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episodes_tiny(monkeypatch)
    scores(monkeypatch, before=0.4, after=0.6)
    out = tmp_path / "out"
    command = ["simulate", "--dataset", "generated:lesions:7", "--out", str(out)]
    command += [
        "--model",
        str(model_folder),
        "--limit",
        "5",
        "--test-limit",
        "2",
        "--clicks",
        "0",
        "--device",
        "cpu",
        "--json",
    ]
    command += ["--target", "lesion=1", "--several", "lesion", "--no-suggestions"]
    assert main(command) == 0
    part = json.loads(capsys.readouterr().out)["targets"]["lesion"]
    dataset = MsdDataset(out / "volumes" / "generated-lesions")
    parts = {case.case_id: count_parts(case.read()[1]) for case in dataset}
    with CampaignStore.open(out / "campaign") as store:
        seen = [case.case_id for case in store.cases()]
        assert len(seen) == 5 and part["stream"]["n"] == sum(parts[case_id] for case_id in seen)
        for case_id in seen:
            refs = [version.ref for version in store.current(case_id)]
            assert [ref.slot for ref in refs] == [Slot("", n + 1) for n in range(parts[case_id])]
            masks = [store.read_mask(ref) for ref in refs]
            assert max(np.sum(masks, axis=0).flat) == 1 and all(mask.any() for mask in masks)
    order = read_job(out / "campaign" / "episodes" / "0001")
    assert len(order.train) == sum(parts[case_id] for case_id in {ref.case_id for ref in order.train})
    assert {ref.slot.instance for ref in order.train} >= {1, 2}, "a sample each"
    there = sum(parts[case_id] for case_id in parts.keys() - set(seen))
    assert part["detection"][0]["version"] == 0 and part["detection"][0]["references"] == there
    assert all(0 <= row["f1_init"] <= 1 and 0 <= row["f1_final"] <= 1 for row in part["detection"])
    assert "Several of a kind" in (out / "report.html").read_text(encoding="utf-8")


def test_a_simulation_tells_the_network_of_earlier_targets_if_it_is_asked_to(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episodes_tiny(monkeypatch)
    scores(monkeypatch, before=0.4, after=0.6)
    told: list[bool] = []
    keep = LocalSession.set_others
    monkeypatch.setattr(
        LocalSession, "set_others", lambda self, mask: told.append(mask is not None) or keep(self, mask)
    )
    spec = StructureSpec(shape_kji=(18, 20, 22))
    dataset, out = write_structure_dataset(tmp_path / "data", 6, spec, seed=1), tmp_path / "out"
    command = ["simulate", "--dataset", str(dataset.folder), "--out", str(out), "--model", str(model_folder)]
    command += ["--limit", "5", "--test-limit", "1", "--clicks", "0", "--device", "cpu", "--json"]
    command += ["--target", "capsule=1", "--target", "lens=2", "--no-suggestions"]
    command += ["--others-as-background", "--strategy", "clopa-cn"]
    assert main(command) == 0
    capsys.readouterr()
    assert read_job(next((out / "campaign" / "targets" / "lens" / "episodes").glob("0*"))).others
    assert not read_job(next((out / "campaign" / "episodes").glob("0*"))).others
    assert told.count(True) >= 5 + 1, "every lens of the stream and of the unseen cases"
    told.clear()
    without = [*command[:-3], *command[-2:]]
    without[without.index(str(out))] = str(tmp_path / "plain")
    assert "--others-as-background" not in without and main(without) == 0
    assert not any(told)
    refused = [*command[:-1], "oaims", "--overwrite"]
    assert main(refused) == 2 and "learns between clicks" in " ".join(capsys.readouterr().err.split())
