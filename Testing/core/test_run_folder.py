"""A run replaces what it made itself, and never what a person has made or confirmed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_campaign
import tiny_run
from tiny_campaign import SPEC, tiny_config
from tiny_run import confirm_as_a_person, content_of

import clopa_annotator.experiments.measurement as measurement
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.cli import main
from clopa_annotator.datasets import MsdDataset, write_generated
from clopa_annotator.datasets.three_structures import StructureSpec
from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.evaluation.tables import read_summary
from clopa_annotator.experiments.permutations import StreamPlan, Unit, _Log, run_units
from clopa_annotator.experiments.run_folder import STAMP, RunFolder
from clopa_annotator.experiments.simulation import run_simulation
from clopa_annotator.experiments.simulation_settings import SimulationSettings

model_folder = tiny_campaign.model_folder
dataset, settings, finished, run = tiny_run.dataset, tiny_run.settings, tiny_run.finished, tiny_run.run


def simulate(dataset: MsdDataset, model: Path, out: Path, *more: str) -> int:
    command = ["simulate", "--dataset", str(dataset.folder), "--out", str(out), "--model", str(model)]
    command += ["--strategy", "static", "--limit", "2", "--test-limit", "1", "--clicks", "0"]
    return main([*command, "--device", "cpu", "--json", *more])


# -- the demo ----------------------------------------------------------------------------------------------


def demo(model: Path, out: Path) -> int:
    command = ["demo", "--out", str(out), "--model", str(model), "--strategy", "static", "--json"]
    return main([*command, "--cases", "2", "--test-cases", "1", "--clicks", "0"])


def test_a_demo_replaces_an_earlier_demo_until_somebody_has_worked_with_it(
    tmp_path: Path,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = StructureSpec(shape_kji=SPEC.shape_kji, kinds=2)
    monkeypatch.setattr("clopa_annotator.datasets.three_structures.StructureSpec", lambda kinds: small)
    out = tmp_path / "demo"
    assert demo(model_folder, out) == 0
    first = (out / "campaign" / "campaign.json").read_bytes()
    (out / "notes.txt").write_text("kept: no demo made it")
    mine = out / "dataset" / "labelsTr" / "mine.nii.gz"
    mine.write_text("would be taken for a case")
    assert demo(model_folder, out) == 2 and mine.exists()
    mine.unlink()
    assert demo(model_folder, out) == 0
    assert (out / "campaign" / "campaign.json").read_bytes() != first
    confirm_as_a_person(out / "campaign")
    before = content_of(out)
    assert demo(model_folder, out) == 2
    assert "a person has confirmed" in " ".join(capsys.readouterr().err.split())
    assert content_of(out) == before and "notes.txt" in before


@pytest.mark.parametrize(
    "file", ["campaign/campaign.json", "dataset/imagesTr/structures_000.nii.gz", "thesis.tex"]
)
def test_the_demo_refuses_a_folder_that_is_no_earlier_demo(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("of mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "no earlier demo of this program" in " ".join(capsys.readouterr().err.split())
    assert content_of(tmp_path) == {file: b"of mine"}


def test_the_demo_refuses_the_folder_of_a_simulation(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content_of(run)
    assert main(["demo", "--out", str(run)]) == 2
    assert "no earlier demo" in " ".join(capsys.readouterr().err.split())
    assert content_of(run) == before


# -- what a run made, and only that ------------------------------------------------------------------------


def test_overwriting_a_run_leaves_what_it_did_not_make(
    run: Path, dataset: MsdDataset, settings: SimulationSettings
) -> None:
    (run / "notes.txt").write_text("of mine")
    before = content_of(run)
    RunFolder(run, "simulate").begin(True)
    after = content_of(run)
    assert after.keys() == {"notes.txt", STAMP} and after["notes.txt"] == before["notes.txt"]
    run_simulation(dataset[:2], dataset[2:], settings, run, _Log(""))
    assert content_of(run).keys() == before.keys()


def test_without_overwrite_nothing_is_removed(run: Path) -> None:
    before = content_of(run)
    with pytest.raises(ConfigError, match="earlier run; choose another folder, or --overwrite"):
        RunFolder(run, "simulate").begin(False)
    assert content_of(run) == before


@pytest.mark.parametrize("name", ["report.html", "summary.json", "pictures/holiday.npz"])
def test_in_a_folder_that_no_run_wrote_overwrite_touches_nothing_and_names_what_is_in_the_way(
    name: str, tmp_path: Path, model_folder: Path, dataset: MsdDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("of mine")
    assert simulate(dataset, model_folder, tmp_path, "--overwrite") == 2
    assert f"{name} is in the way" in "".join(capsys.readouterr().err.split("\n"))
    assert content_of(tmp_path) == {name: b"of mine"}


def test_a_result_that_was_edited_by_hand_is_not_removed(run: Path) -> None:
    (run / "cases.csv").write_text("my own remarks")
    before = content_of(run)
    with pytest.raises(ConfigError, match=r"cases\.csv has been changed since the run wrote it"):
        RunFolder(run, "simulate").begin(True)
    assert content_of(run) == before


def test_a_file_in_the_pictures_that_no_run_made_stops_the_removal(run: Path) -> None:
    (run / "pictures" / "test-0099-v000.npz").write_text("of mine")
    before = content_of(run)
    with pytest.raises(ConfigError, match=r"test-0099-v000\.npz is in the way"):
        RunFolder(run, "simulate").begin(True)
    assert content_of(run) == before


def test_a_run_of_another_command_is_not_replaced(run: Path) -> None:
    before = content_of(run)
    with pytest.raises(ConfigError, match="in the way: another command made it, not a run of clopa evaluate"):
        RunFolder(run, "evaluate").begin(True)
    assert content_of(run) == before


def test_a_killed_run_can_be_replaced(
    tmp_path: Path, dataset: MsdDataset, settings: SimulationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = measurement.run_case, []

    def dies(*args: object, **keywords: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(measurement, "run_case", dies)
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run_simulation(dataset[:2], dataset[2:], settings, out, _Log(""))
    RunFolder(out, "simulate").begin(True)
    assert content_of(out).keys() == {STAMP}


# -- the stamp ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../thesis.tex", "/etc/hosts", "a/../../thesis.tex", "C:/x", "..\\x", "home/"]
)
def test_a_stamp_that_names_a_file_outside_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("of mine")
    (tmp_path / "run").mkdir()
    line = json.dumps({"command": "simulate", "made": {name: ""}, "removed": []}) + "\n"
    (tmp_path / "run" / STAMP).write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError, match="does not say what a run has made here"):
        RunFolder(tmp_path / "run", "simulate")


def test_a_link_out_of_the_folder_is_not_followed(run: Path, tmp_path: Path) -> None:
    pictures = shutil.move(run / "pictures", tmp_path / "elsewhere")
    try:
        (run / "pictures").symlink_to(pictures, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make links")
    before = content_of(tmp_path)
    with pytest.raises(ConfigError, match="is in the way"):
        RunFolder(run, "simulate").begin(True)
    assert content_of(tmp_path) == before


def test_a_line_that_a_kill_tore_is_no_line(run: Path) -> None:
    with (run / STAMP).open("ab") as file:
        file.write(b'{"command": "simulate", "made": {"thesis.tex"')
    (run / "thesis.tex").write_text("of mine")
    RunFolder(run, "simulate").begin(True)
    assert content_of(run).keys() == {"thesis.tex", STAMP}
    assert json.loads((run / STAMP).read_text(encoding="utf-8").splitlines()[-1])["removed"]


def test_a_name_is_claimed_before_the_file_is_made_and_sealed_after(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "simulate")
    with pytest.raises(KeyboardInterrupt), folder.making("report.html"):
        (tmp_path / "report.html").write_text("half of")
        raise KeyboardInterrupt
    RunFolder(tmp_path, "simulate").begin(True)
    assert not (tmp_path / "report.html").exists(), "a killed run's unfinished file is its own"
    with folder.making("report.html", "never-made.csv"):
        (tmp_path / "report.html").write_text("whole")
    (tmp_path / "never-made.csv").write_text("of mine")
    RunFolder(tmp_path, "simulate").begin(True)
    assert content_of(tmp_path).keys() == {"never-made.csv", STAMP}


# -- many campaigns, comparisons, generated volumes --------------------------------------------------------


def test_a_unit_does_not_take_a_folder_that_is_not_its_own(
    run: Path, dataset: MsdDataset, settings: SimulationSettings
) -> None:
    plan = StreamPlan(str(dataset.folder), limit=2, test_limit=1)
    before = content_of(run)
    with pytest.raises(ConfigError, match="earlier run"):
        run_units([Unit(plan, settings, 0, str(run))])
    assert content_of(run) == before
    confirm_as_a_person(run / "campaign")
    (run / "unit.json").write_text("{}")
    with pytest.raises(ConfigError, match="other settings"):
        run_units([Unit(plan, settings, 0, str(run))])
    assert read_summary(run).clicks == 0, "the results of the other settings are still there"


def test_a_comparison_replaces_its_own_files_only(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(run), "--out", str(tmp_path / "both")]
    assert main(command) == 0
    assert main(command) == 0, "a comparison may be made again"
    (tmp_path / "both" / "comparison.md").write_text("with my remarks")
    before = content_of(tmp_path / "both")
    assert main(command) == 2
    assert "has been changed since" in " ".join(capsys.readouterr().err.split())
    assert content_of(tmp_path / "both") == before


def test_generated_volumes_are_not_written_over_other_files(tmp_path: Path) -> None:
    images = tmp_path / "generated-capsules" / "imagesTr"
    images.mkdir(parents=True)
    (images / "capsules_000.nii.gz").write_text("of mine")
    with pytest.raises(DatasetError, match="something else than generated volumes"):
        write_generated(tmp_path / "generated-capsules", "capsules", 1)
    assert content_of(tmp_path) == {"generated-capsules/imagesTr/capsules_000.nii.gz": b"of mine"}
    assert len(write_generated(tmp_path / "new", "capsules", 1)) == 1
    assert len(write_generated(tmp_path / "new", "capsules", 2)) == 2, "its own may grow"


def test_simulate_and_evaluate_leave_a_campaign_alone_that_no_run_made(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    with Campaign.create(out / "campaign", tiny_config(model_folder), device="cpu") as campaign:
        tiny_campaign.confirm_case(campaign, dataset, 0)
    before = content_of(out)
    assert simulate(dataset, model_folder, out, "--overwrite") == 2
    evaluate = ["evaluate", "--dataset", str(dataset.folder), "--out", str(out), "--overwrite"]
    assert main([*evaluate, "--model", str(model_folder)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("is in the way: somebody else made it") == 2 and "campaign/" in said
    assert content_of(out) == before
