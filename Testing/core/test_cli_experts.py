"""``clopa experts``: what a campaign learned is kept, found again for an image, used by another campaign."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
import torch
from tiny_campaign import confirm_case, tiny_config, tiny_dataset, tiny_model_folder

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.cli import main
from clopa_annotator.datasets.volumes import read_image, write_volume
from clopa_annotator.experts.library import ExpertLibrary

model_folder = tiny_campaign.model_folder

CASES = 7


@pytest.fixture(scope="module")
def campaign_folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A campaign with confirmed phantoms whose version 1 shifts every instance norm a little."""
    folder = tmp_path_factory.mktemp("work") / "campaign"
    dataset = tiny_dataset(tmp_path_factory.mktemp("dataset"), CASES)
    with Campaign.create(folder, tiny_config(model_folder), device="cpu") as campaign:
        for number in range(CASES):
            confirm_case(campaign, dataset, number)
        learned = {n: v + 0.125 for n, v in campaign.model.base.items() if "norm" in n}
        added = campaign.registry.add_tensors(learned, parent=0, parameter_group="in")
        campaign.registry.rollback(added.number, by="Ann")
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, campaign_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("library") / "experts"
    command = ["experts", "add", str(folder), "--campaign", str(campaign_folder), "--name", "Capsules"]
    assert main([*command, "--description", "layered capsules"]) == 0
    return folder


def an_image(folder: Path, kind: str) -> Path:
    image = read_image(tiny_dataset(folder / "more", CASES + 2)[CASES + 1].image_path)
    voxels = image.voxels.astype(np.float32)
    if kind == "stranger":
        voxels = np.random.default_rng(0).normal(size=voxels.shape).astype(np.float32)
        voxels[::2] += 40
    path = folder / f"{kind}.nii.gz"
    write_volume(path, voxels, image.geometry)
    return path


def asked(
    library: Path, image: Path, model: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, str]:
    code = main(["experts", "ask", str(library), "--image", str(image), "--model", str(model), *more])
    return code, capsys.readouterr().out


def test_the_library_lists_what_was_added_with_its_origin_and_licence(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["experts", "list", str(library), "--json"]) == 0
    (expert,) = json.loads(capsys.readouterr().out)
    assert expert["expert_id"] == "capsules-01" and expert["licence"] == "CC0-1.0"
    assert expert["origin"] == "Tiny, version 1" and expert["description"] == "layered capsules"
    assert main(["experts", "list", str(library)]) == 0
    assert "capsules-01" in capsys.readouterr().out


def test_an_image_of_the_campaigns_kind_is_recognised_with_a_confidence(
    library: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = an_image(tmp_path, "member")
    code, text = asked(library, image, model_folder, capsys)
    assert code == 0 and "capsules-01 fits" in text and "Confidence" in text
    _, text = asked(library, image, model_folder, capsys, "--json")
    route = json.loads(text)
    assert route["expert"] == "capsules-01" and 0 < route["confidence"] <= 1


def test_a_stranger_gets_none_fits_in_words(
    library: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = asked(library, an_image(tmp_path, "stranger"), model_folder, capsys)
    assert code == 0, "that none fits is an answer, not a failure"
    assert "None fits" in text and "Confidence" not in text


def test_another_campaign_starts_from_the_expert_and_can_go_back(
    library: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "next"
    create = ["campaign", "create", str(folder), "--name", "Next", "--size", "5"]
    assert main([*create, "--model", str(model_folder)]) == 0
    apply = ["experts", "apply", str(library), "--expert", "capsules-01", "--campaign", str(folder)]
    assert main(apply) == 0
    assert "in use as version 1" in " ".join(capsys.readouterr().out.split())
    expert = ExpertLibrary.open(library).delta("capsules-01")
    with Campaign.open(folder, device="cpu") as campaign:
        live = dict(campaign.model.network.named_parameters())
        assert campaign.model.version == 1
        assert all(torch.equal(live[n], v) for n, v in expert.items())
        assert campaign.registry.history()[-1].by, "a person chose it, and the record says who"
    assert main(["weights", "rollback", str(folder), "--version", "0"]) == 0
    with Campaign.open(folder, device="cpu") as campaign:
        assert campaign.model.version == 0


def test_the_base_without_learning_is_no_expert_and_the_library_stays_as_it_was(
    library: Path, campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in library.rglob("*") if p.is_file()}
    command = ["experts", "add", str(library), "--campaign", str(campaign_folder), "--name", "Nothing"]
    assert main([*command, "--version", "0"]) == 2
    assert "differ from the base" in " ".join(capsys.readouterr().err.split())
    assert {p: p.read_bytes() for p in library.rglob("*") if p.is_file()} == before


def test_experts_of_another_base_model_are_refused(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_model_folder(tmp_path / "other")
    weights = other / "fold_0" / "checkpoint_final.pth"
    content = torch.load(weights, weights_only=True)
    content["network_weights"] = {k: v + 0.5 for k, v in content["network_weights"].items()}
    torch.save(content, weights)
    folder = tmp_path / "campaign"
    create = ["campaign", "create", str(folder), "--name", "N", "--size", "5", "--model", str(other)]
    assert main(create) == 0
    apply = ["experts", "apply", str(library), "--expert", "capsules-01", "--campaign", str(folder)]
    assert main(apply) == 1
    assert "another base model" in " ".join(capsys.readouterr().err.split())
    image = an_image(tmp_path, "member")
    assert main(["experts", "ask", str(library), "--image", str(image), "--model", str(other)]) == 1
    assert "another base model" in " ".join(capsys.readouterr().err.split())


def test_an_unknown_expert_and_a_folder_without_a_library_are_named(
    library: Path, campaign_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply = ["experts", "apply", str(library), "--expert", "nobody-01", "--campaign", str(campaign_folder)]
    assert main(apply) == 1
    assert "nobody-01" in capsys.readouterr().err
    assert main(["experts", "list", str(tmp_path)]) == 1
    assert "library.json" in " ".join(capsys.readouterr().err.split())
