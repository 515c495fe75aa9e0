"""Export on the engine's side: a new folder each time, and every weights version with its lineage."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_campaign
import torch
from safetensors import safe_open
from tiny_campaign import confirm_case
from tiny_targets import KIDNEY, opened

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.exporting import export
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import ConfigError
from clopa_annotator.exporters import ExportTargets
from clopa_annotator.session.model import load_model
from clopa_annotator.types import GateDecision

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign


def test_every_version_of_the_weights_is_written_but_the_base(campaign: Campaign, tmp_path: Path) -> None:
    tensors = {name: value * 2 for name, value in campaign.model.base_state().items() if "norm" in name}
    for parent in (0, 1):
        campaign.registry.add_tensors(tensors, parent=parent, parameter_group="in")
        tensors = {name: value * 2 for name, value in tensors.items()}
    out = tmp_path / "out" / "weights"
    export(campaign, "weights", out)
    assert sorted(p.name for p in out.iterdir()) == ["version-0001.safetensors", "version-0002.safetensors"]
    with safe_open(out / "version-0002.safetensors", framework="np") as file:
        about = file.metadata()
    assert (about["parent_version"], about["model_hash"]) == ("1", campaign.model.model_hash)
    assert about["licence"] == campaign.model.licence


def test_confirmed_cases_are_written_in_the_format_that_is_asked_for(
    campaign: Campaign, dataset: MsdDataset, tmp_path: Path
) -> None:
    confirm_case(campaign, dataset, 0)
    out = tmp_path / "masks"
    report = export(campaign, "segnrrd", out)
    assert report.written == (dataset[0].case_id,)
    assert len(list(out.rglob("*.seg.nrrd"))) == 1 and (out / "cases.json").exists()


@pytest.mark.parametrize("kind", ["weights", "segnrrd"])
def test_nothing_is_written_into_a_folder_that_holds_something(
    campaign: Campaign, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError):
        export(campaign, kind, out)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]


def test_an_unknown_format_is_refused_and_leaves_no_folder(campaign: Campaign, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no export format"):
        export(campaign, "word", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_is_of_the_target_that_is_named_and_of_one_alone(model_folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "c", model_folder) as campaign:
        line = campaign.line(KIDNEY)
        tensors = {name: value * 2 for name, value in campaign.model.base_state().items() if "norm" in name}
        line.registry.add_tensors(tensors, parent=0, parameter_group="in")
        line.registry.promote(1, GateDecision(True, "Better.", ("a",), (0.5,), (0.6,)))
        export(campaign, "model", tmp_path / "kidney", targets=ExportTargets(("left kidney",)))
        export(campaign, "model", tmp_path / "first")
        with pytest.raises(ConfigError, match="liver, lesion were named"):
            export(campaign, "model", tmp_path / "both", targets=ExportTargets(("liver", "lesion")))
        kidney, first = (load_model(tmp_path / name, "cpu").base_state() for name in ("kidney", "first"))
        assert all(torch.equal(kidney[name], value) for name, value in tensors.items())
        assert not all(torch.equal(first[name], value) for name, value in tensors.items())
    assert not (tmp_path / "both").exists()
