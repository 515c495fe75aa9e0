"""``clopa predict``: a campaign's weights on a folder of images, one version from start to end."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import tiny_campaign
from tiny_campaign import confirm_five, make_episodes_tiny, scores, tiny_config, tiny_dataset

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.cli import main
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.training.job_runner import run_episode_job

model_folder = tiny_campaign.model_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"), 3)


@pytest.fixture(scope="module")
def campaign_folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("work") / "campaign"
    with Campaign.create(folder, tiny_config(model_folder), device="cpu"):
        pass
    return folder


def command(campaign: Path | str, data: MsdDataset, out: Path, *more: str) -> list[str]:
    images = str(data.folder / "imagesTr")
    return [
        "predict",
        "--campaign",
        str(campaign),
        "--images",
        images,
        "--out",
        str(out),
        "--device",
        "cpu",
        *more,
    ]


def test_every_image_gets_a_mask_and_a_row_and_nothing_is_claimed_that_is_not_known(
    campaign_folder: Path, data: MsdDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(campaign_folder, data, tmp_path / "out")) == 0
    printed = capsys.readouterr()
    said = " ".join((printed.out + printed.err).split())
    assert "not known yet" in said and "Version 0 has not learned" in said
    with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and all((tmp_path / "out" / row["mask"]).exists() for row in rows)
    assert all(row["expected"] == "" for row in rows)
    assert main(command(campaign_folder, data, tmp_path / "out", "--json")) == 0, "nothing is left to do"
    assert json.loads(capsys.readouterr().out)["done"] == 3


def test_a_version_is_named_and_a_format(campaign_folder: Path, data: MsdDataset, tmp_path: Path) -> None:
    assert main(command(f"{campaign_folder}@0", data, tmp_path / "out", "--format", "segnrrd")) == 0
    assert len(list((tmp_path / "out").glob("*.seg.nrrd"))) == 3
    about = json.loads((tmp_path / "out" / "predict.jsonl").read_text().splitlines()[0])["about"]
    assert about["version"] == 0 and about["format"] == "segnrrd" and about["licence"]


def test_a_broken_image_is_named_and_the_others_are_segmented(
    campaign_folder: Path, data: MsdDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "broken.nii.gz").write_bytes(b"nothing")
    source = data[0].image_path
    (images / f"good{''.join(source.suffixes)}").write_bytes(source.read_bytes())
    given = command(campaign_folder, data, tmp_path / "out")
    given[given.index("--images") + 1] = str(images)
    assert main(given) == 0
    assert "broken is passed over" in " ".join(capsys.readouterr().err.split())
    (images / f"good{''.join(source.suffixes)}").unlink()
    given[given.index("--out") + 1] = str(tmp_path / "other")
    assert main(given) == 2, "no image at all could be segmented"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--format": "png"}, "nifti, segnrrd"),
        ({"--campaign": "{campaign}@9"}, "9"),
        ({"--images": "{empty}"}, "no images"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    campaign_folder: Path,
    data: MsdDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    words: str,
) -> None:
    given = command(campaign_folder, data, tmp_path / "out", "--format", "nifti")
    for option, value in change.items():
        place = given.index(option) + 1
        given[place] = value.format(campaign=campaign_folder, empty=tmp_path)
    assert main(given) != 0
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_batch_that_was_stopped_goes_on_with_the_version_that_it_began_with(
    data: MsdDataset,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_episodes_tiny(monkeypatch)
    scores(monkeypatch, before=0.4, after=0.6)
    folder, five = tmp_path / "campaign", tiny_dataset(tmp_path / "five", 5)
    with Campaign.create(folder, tiny_config(model_folder), device="cpu") as campaign:
        confirm_five(campaign, five)
        request = campaign.next_episode()
        assert request is not None
        job = campaign.prepare_job(request)
        run_episode_job(job, device="cpu")
        assert campaign.adopt(job) is not None
    out = tmp_path / "out"
    assert main(command(folder, data, out)) == 0
    journal = (out / "predict.jsonl").read_text().splitlines()
    assert json.loads(journal[0])["about"]["version"] == 1
    (out / "predict.jsonl").write_text("\n".join(journal[:2]) + "\n")
    with Campaign.open(folder, device="cpu") as campaign:
        campaign.line().roll_back(0, "Ann")
    capsys.readouterr()
    assert main(command(folder, data, out)) == 0
    assert "begun with version 1" in " ".join(capsys.readouterr().err.split())
    assert len((out / "predict.jsonl").read_text().splitlines()) == 4
    assert main(command(f"{folder}@0", data, out)) == 2, "other weights are never mixed in"
