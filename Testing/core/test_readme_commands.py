"""The commands that the README prints do what they say, on a small campaign with the bundled model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_campaign
from dicom_files import write_series
from printed_commands import REPOSITORY, printed_in
from report_support import write_run
from tiny_campaign import confirm_case, confirm_five, make_episodes_tiny, tiny_config, tiny_dataset

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.cli import main
from clopa_annotator.config import CampaignConfig

model_folder = tiny_campaign.model_folder

MINUTES = {"demo", "simulate", "evaluate", "pretrain"}
"""Too long to run as printed; their arguments are tested with the documents, themselves in ``test_cli``."""
FROM_ELSEWHERE = (["models", "download"], ["models", "remove"])
"""They fetch or remove what only the net has; ``test_cli_models`` runs them against a server of its own."""
PRINTED = {
    " ".join(words[1:]): words[1:]
    for printed in printed_in(REPOSITORY / "README.md")
    if printed.is_block and printed.text.startswith("clopa ")
    for words in printed.commands()
    if words[1] not in MINUTES and words[1:3] not in FROM_ELSEWHERE
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Path]:
    """A campaign with version 1, an image, two finished runs and an episode that waits."""
    folder = tmp_path_factory.mktemp("work")
    dataset = tiny_dataset(folder / "dataset", 5)
    with Campaign.create(folder / "campaign", CampaignConfig("Readme", 5), device="cpu") as campaign:
        for number in range(2):
            confirm_case(campaign, dataset, number)
        case = dataset[3]
        campaign.store.add_case(case.case_id, case.read()[0], source=case.image_path.name)
        learned = {n: v + 0.125 for n, v in campaign.model.base.items() if "norm" in n}
        campaign.registry.add_tensors(learned, parent=0, parameter_group="in")
    write_run(folder / "run1", (0.2, 0.5), "clopa-cn", with_pictures=False)
    write_run(folder / "run2", (0.2, 0.4), "clopa-in", with_pictures=False)
    with pytest.MonkeyPatch.context() as patch:
        make_episodes_tiny(patch)
        with Campaign.create(folder / "learning", tiny_config(model_folder), device="cpu") as campaign:
            confirm_five(campaign, dataset)
            request = campaign.next_episode()
            assert request is not None
            campaign.prepare_job(request)
    write_series(folder / "dicom")
    yield folder


def filled(words: list[str], work: Path, fresh: Path) -> list[str]:
    """The command with its capitals replaced: results go to a fresh place, the rest is there."""
    given = {"N": "1", "NAME": "Capsules", "ID": "capsules-01", "LIBRARY": str(work / "library")}
    given |= {"DIR": str(work / "campaign"), "OUT": str(work / "run1"), "OUT2": str(work / "run2")}
    given["FILE"] = str(work / "dataset" / "imagesTr" / "phantom_003.nii.gz")
    given |= {
        "IMAGES": str(work / "dataset" / "imagesTr"),
        "FOLDER": str(work / "dicom"),
        "PATH": str(work / "dataset" / "labelsTr" / "phantom_003.nii.gz"),
    }
    given["CASE"] = "phantom_000" if words[:2] == ["review", "accept"] else "phantom_001"
    if words[:2] == ["cases", "series"]:
        given["DIR"] = str(work / "dicom")
    if words[:2] == ["campaign", "create"]:
        given["DIR"] = str(fresh)
    if words[:2] == ["episode", "run"]:
        given["DIR"] = str(work / "learning" / "episodes" / "0001")
    after = ["--out" if number and words[number - 1] == "--out" else "" for number in range(len(words))]
    return [str(fresh) if place else given.get(word, word) for word, place in zip(words, after, strict=True)]


@pytest.mark.parametrize("text", [text for text in PRINTED if not text.startswith("engine")])
def test_a_printed_command_runs(
    text: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # some write beside where they are called
    words = PRINTED[text]
    if words[0] == "experts" and words[1] != "add" and not (work / "library").exists():
        assert main(filled(PRINTED["experts add LIBRARY --campaign DIR --name NAME"], work, tmp_path)) == 0
    code = main(filled(words, work, tmp_path / "fresh"))
    said = " ".join(capsys.readouterr().err.split())
    assert code == 0 or words == ["doctor"], said
    assert (tmp_path / "fresh").exists() == ("--out" in words or words[:2] == ["campaign", "create"])


@pytest.mark.parametrize("text", [text for text in PRINTED if text.startswith("engine")])
def test_a_printed_engine_serves(text: str, work: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "clopa_annotator.cli", *filled(PRINTED[text], work, tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as engine:
        assert engine.stdout is not None and engine.stderr is not None
        line = engine.stdout.readline()
        engine.terminate()
        assert line, engine.stderr.read()[-2000:]
    assert json.loads(line)["event"] == "ready"


def test_every_kind_of_command_is_among_them() -> None:
    kinds = {text.split()[0] for text in PRINTED}
    assert {
        "campaign",
        "compare",
        "engine",
        "episode",
        "cache",
        "weights",
        "experts",
        "export",
        "doctor",
    } <= kinds
