"""The command line is a contract: names, exit codes, sentences instead of tracebacks, JSON on request."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import tiny_campaign
from tiny_campaign import confirm_case, make_episodes_tiny, tiny_config, tiny_dataset

from clopa_annotator import __version__
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.cli import main
from clopa_annotator.commands.output import without_nan
from clopa_annotator.config import CampaignConfig

model_folder = tiny_campaign.model_folder

COMMANDS = (
    ("demo",),
    ("campaign", "create"),
    ("campaign", "settings"),
    ("simulate",),
    ("evaluate",),
    ("compare",),
    ("pretrain",),
    ("engine",),
    ("episode", "run"),
    ("cache", "list"),
    ("cache", "verify"),
    ("cache", "rebuild"),
    ("weights", "list"),
    ("weights", "show"),
    ("weights", "rollback"),
    ("weights", "export"),
    ("import",),
    ("export",),
    ("doctor",),
    ("predict",),
    ("report",),
)


@pytest.fixture(scope="module")
def campaign_folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("work") / "campaign"
    dataset = tiny_dataset(tmp_path_factory.mktemp("dataset"), 3)
    with Campaign.create(folder, tiny_config(model_folder), device="cpu") as campaign:
        for number in range(3):
            confirm_case(campaign, dataset, number)
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_of_the_contract_explains_itself(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command"),
        (["simulate", "--out", "x"], "Missing option"),
        (
            ["simulate", "--dataset", "does-not-exist", "--out", "x"],
            "layout of the Medical Segmentation Decathlon",
        ),
        (["campaign", "create", "x", "--name", "N", "--size", "0"], "at least one case"),
        (["campaign", "create", "x", "--name", "N", "--size", "9", "--order", "best"], "no order 'best'"),
        (
            ["campaign", "create", "x", "--name", "N", "--size", "5", "--strategy", "magic"],
            "no strategy 'magic'",
        ),
        (["evaluate", "--dataset", "nowhere", "--out", "x"], "imagesTr and labelsTr"),
    ],
)
def test_wrong_input_ends_with_2_and_a_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert says in error
    assert "Traceback" not in error


def test_how_cases_come_is_shown_and_changed_by_the_lead_at_any_time(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["campaign", "settings", str(campaign_folder)]
    assert main(command) == 0
    assert "as added; 0 % of the cases without a suggestion" in capsys.readouterr().out
    assert main([*command, "--order", "least-certain", "--without-suggestion-share", ".25"]) == 0
    assert main([*command, "--order", "random"]) == 0
    assert "at random; 25 % of the cases" in capsys.readouterr().out.splitlines()[-1]
    with Campaign.open(campaign_folder, writer=False) as campaign:
        assert CaseSettings.of(campaign.config) == CaseSettings("random", 0.25, campaign.config.seed)
    told = (campaign_folder / "logs" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["data"]["order"] for line in told] == ["least-certain", "random"]
    assert main([*command, "--without-suggestion-share", "2"]) == 2


@pytest.mark.parametrize(
    ("options", "strategy", "schedule"),
    [
        ([], "clopa-all", "thorough"),
        (["--model", "official"], "clopa-cn", "thorough"),
        (["--model", "official", "--strategy", "clopa-all", "--schedule", "quick"], "clopa-all", "quick"),
    ],
)
def test_a_new_campaign_learns_thoroughly_and_official_versions_stay_small(
    options: list[str], strategy: str, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[CampaignConfig] = []
    monkeypatch.setattr(
        Campaign, "create", lambda folder, config, targets: made.append(config) or nullcontext()
    )
    assert main(["campaign", "create", "x", "--name", "N", "--size", "5", *options]) == 0
    assert [(c.strategy, c.schedule) for c in made] == [(strategy, schedule)]


def test_a_damaged_job_folder_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["episode", "run", str(tmp_path)]) == 1
    assert "no episode to run" in " ".join(capsys.readouterr().err.split())


def test_the_cache_is_listed_verified_and_rebuilt(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "list", str(campaign_folder), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [case["state"] for case in listed] == ["confirmed"] * 3
    assert main(["cache", "verify", str(campaign_folder)]) == 0
    assert "Findings: 0" in capsys.readouterr().out
    (campaign_folder / "index.sqlite").unlink()
    assert main(["cache", "rebuild", str(campaign_folder)]) == 0
    assert "3 cases with 3 confirmed versions" in capsys.readouterr().out


def test_weights_are_listed_shown_and_rolled_back(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["weights", "list", str(campaign_folder), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["current"] == 0 and len(listed["versions"]) == 1
    assert main(["weights", "show", str(campaign_folder), "--version", "0"]) == 0
    assert "CC0-1.0" in capsys.readouterr().out
    assert main(["weights", "rollback", str(campaign_folder), "--version", "9"]) == 1
    assert "9" in capsys.readouterr().err
    assert main(["weights", "rollback", str(campaign_folder), "--version", "0"]) == 0
    assert (
        main(["weights", "export", str(campaign_folder), "--version", "0", "--out", str(tmp_path / "d")]) == 0
    )
    assert "untouched base" in capsys.readouterr().out


def test_a_version_is_exported_as_a_model_folder_with_its_card_or_as_a_delta(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with CampaignStore.open(campaign_folder, writer=True):  # a running engine does not stand in the way
        assert main(["weights", "export", str(campaign_folder), "--out", str(tmp_path / "model")]) == 0
    assert "Version 0, the untouched base, is in" in capsys.readouterr().out
    assert "3 confirmed cases" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "model" / "fold_0" / "checkpoint_final.pth").is_file()
    assert main(["weights", "export", str(campaign_folder), "--out", str(tmp_path / "model")]) == 2
    assert "new folder" in " ".join(capsys.readouterr().err.split())
    assert main(["weights", "export", str(campaign_folder), "--out", str(tmp_path / "d.safetensors")]) == 0
    assert "has no delta" in capsys.readouterr().out


def test_chosen_and_accepted_cases_are_exported(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with CampaignStore.open(campaign_folder) as store:
        first, *others = (case.case_id for case in store.cases())
    command = ["export", str(campaign_folder), "--format", "nifti", "--json", "--out"]
    assert main([*command, str(tmp_path / "one"), "--case", first]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == [first]
    assert main([*command, str(tmp_path / "all"), "--cases", "accepted"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == [first, *others]
    assert main([*command, str(tmp_path / "x"), "--case", "nobody"]) == 1
    assert "no case 'nobody'" in " ".join(capsys.readouterr().err.split())
    assert main([*command, str(tmp_path / "x"), "--cases", "some"]) == 2


def test_simulate_writes_what_the_contract_says(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episodes_tiny(monkeypatch)
    dataset, out = tiny_dataset(tmp_path / "data", 7), tmp_path / "out"
    command = ["simulate", "--dataset", str(dataset.folder), "--out", str(out), "--model", str(model_folder)]
    command += ["--limit", "5", "--test-limit", "2", "--clicks", "2", "--device", "cpu", "--json"]
    assert main(command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {"strategy", "model", "seed", "schedule", "clicks", "episodes", "test", "stream"} <= set(summary)
    assert [e["at_case"] for e in summary["episodes"]] == [5]
    row = {"version", "train", "val", "seconds", "updates", "val_before", "val_after", "promoted", "reason"}
    assert row <= set(summary["episodes"][0])
    assert summary["test"][0]["version"] == 0
    assert {"n", "dice_init", "dice_final", "dice_nauc", "nsd_init", "noi", "nnoi", "nof"} <= set(
        summary["test"][0]
    )
    assert summary["stream"]["n"] == 5
    for name in ("cases.csv", "clicks.csv", "episodes.csv", "report.html"):
        assert (out / name).stat().st_size > 0
    assert main(command) == 2, "a second run must not overwrite the first"
    assert "earlier run" in " ".join(capsys.readouterr().err.split())
    evaluated = tmp_path / "evaluated"
    again = ["evaluate", "--dataset", str(dataset.folder), "--out", str(evaluated), "--campaign"]
    again += [
        f"{out / 'campaign'}@0",
        "--clicks",
        "1",
        "--runs",
        "2",
        "--limit",
        "2",
        "--device",
        "cpu",
        "--json",
    ]
    assert main(again) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["test"][0]["n"] == 2 and measured["runs"] == 2


def test_nan_becomes_null_for_strict_readers() -> None:
    assert without_nan({"a": [float("nan"), 1.0, float("inf")]}) == {"a": [None, 1.0, None]}


def test_repeating_a_pretraining_run_starts_where_that_run_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fresh weights instead of the run's own start would be another run, and nothing would say so."""
    (tmp_path / "settings.json").write_text(json.dumps({"start": str(tmp_path / "gone")}))
    arguments = ["pretrain", "--out", str(tmp_path / "run"), "--settings", str(tmp_path / "settings.json")]
    for extra, folder in ((), "gone"), (("--start", str(tmp_path / "elsewhere")), "elsewhere"):
        assert main([*arguments, *extra]) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert f"{folder} does not hold a model" in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()
