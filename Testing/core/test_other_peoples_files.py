"""Every place of the program that removes or replaces a file, with somebody else's file in that place."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import cache_helpers
import model_hub
import pytest
import tiny_campaign
import torch
from cache_helpers import a_campaign, a_store
from engine_support import a_confirmation
from test_bundle_model import TINY, a_model
from tiny_campaign import confirm_case, make_episodes_tiny, tiny_config
from tiny_run import content_of

import clopa_annotator.pretrain.train as pretraining
from clopa_annotator import models
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.exporting import export
from clopa_annotator.cli import main
from clopa_annotator.client.undelivered import UndeliveredConfirmations, confirmation_message, put_aside
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.errors import ConfigError, CorruptRecord
from clopa_annotator.experts.library import ExpertLibrary
from clopa_annotator.pretrain.model_folder import export_model
from clopa_annotator.pretrain.network import build_network
from clopa_annotator.pretrain.train import PretrainSettings
from clopa_annotator.training.job_runner import run_episode_job

model_folder, dataset = tiny_campaign.model_folder, tiny_campaign.dataset
sound, hub, get = cache_helpers.sound, model_hub.hub, model_hub.get


def a_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("of mine")
    return path


def another_programs_index(folder: Path) -> None:
    with sqlite3.connect(folder / "index.sqlite") as other:
        other.execute("CREATE TABLE photos (name)")
        other.execute("PRAGMA user_version = 1")
    other.close()


# -- campaigns ---------------------------------------------------------------------------------------------

TAKEN = ("staging/notes.txt", "images/holiday.png", "cases/x.txt", "drafts", "quarantine/a", "writer.lock")


@pytest.mark.parametrize("name", [*TAKEN, "index.sqlite"])
def test_a_campaign_is_not_made_where_other_files_have_its_names(name: str, tmp_path: Path) -> None:
    a_file(tmp_path / name) if name != "index.sqlite" else another_programs_index(tmp_path)
    before = content_of(tmp_path) | {"lock": (tmp_path / name).read_bytes()}
    with pytest.raises(ConfigError, match=r"which no campaign made\. Choose an empty folder"):
        a_store(tmp_path)
    assert content_of(tmp_path) | {"lock": (tmp_path / name).read_bytes()} == before


def test_a_campaign_may_stand_beside_other_files(tmp_path: Path) -> None:
    a_file(tmp_path / "protocol.docx")
    a_store(tmp_path).close()
    assert (tmp_path / "protocol.docx").read_text() == "of mine"


@pytest.mark.parametrize("manifest", [None, b"{}", b'{"name": "another program\'s"}'])
def test_opening_a_folder_that_is_no_campaign_clears_nothing(manifest: bytes | None, tmp_path: Path) -> None:
    a_file(tmp_path / "staging" / "notes.txt")
    a_file(tmp_path / "staging" / "1-2")
    another_programs_index(tmp_path)
    if manifest is not None:
        (tmp_path / "campaign.json").write_bytes(manifest)
    before = content_of(tmp_path)
    with pytest.raises((ConfigError, CorruptRecord)):
        CampaignStore.open(tmp_path, writer=True)
    assert content_of(tmp_path) == before
    assert main(["cache", "rebuild", str(tmp_path)]) != 0
    assert content_of(tmp_path) == before


def test_opening_a_campaign_clears_only_what_a_writer_has_prepared(tmp_path: Path) -> None:
    a_campaign(tmp_path).close()
    a_file(tmp_path / "staging" / "notes.txt")
    a_file(tmp_path / "staging" / "4711-0")
    CampaignStore.open(tmp_path, writer=True).close()
    assert content_of(tmp_path / "staging") == {"notes.txt": b"of mine"}


# -- exports -----------------------------------------------------------------------------------------------


def test_exports_of_weights_replace_nothing(
    tmp_path: Path,
    model_folder: Path,
    dataset: MsdDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_episodes_tiny(monkeypatch)
    with Campaign.create(tmp_path / "c", tiny_config(model_folder), device="cpu") as campaign:
        for number in range(5):
            confirm_case(campaign, dataset, number)
        request = campaign.next_episode()
        assert request is not None
        job = campaign.prepare_job(request)
        run_episode_job(job, device="cpu")
        campaign.adopt(job)
        a_file(tmp_path / "folder" / "version-0001.safetensors")
        with pytest.raises(ConfigError, match="holds something already"):
            export(campaign, "weights", tmp_path / "folder")
    mine = a_file(tmp_path / "mine.safetensors")
    command = ["weights", "export", str(tmp_path / "c"), "--version", "1", "--out"]
    for taken, refusal in ((mine, "stays as it is"), (tmp_path / "folder", "holds something already")):
        assert main([*command, str(taken)]) == 2
        assert refusal in " ".join(capsys.readouterr().err.split())
    assert mine.read_text() == "of mine" and content_of(tmp_path / "folder").popitem()[1] == b"of mine"
    assert main([*command, str(tmp_path / "new" / "delta.safetensors")]) == 0
    assert (tmp_path / "new" / "delta.safetensors").stat().st_size > 100


@pytest.mark.parametrize("name", ["router.safetensors", "experts/liver-01/delta.safetensors", "thesis.tex"])
def test_a_library_of_experts_does_not_begin_among_other_files(name: str, tmp_path: Path) -> None:
    a_file(tmp_path / name)
    with pytest.raises(ConfigError, match=r"no expert library\. Choose an empty folder"):
        ExpertLibrary.create(tmp_path, "abc")
    assert content_of(tmp_path) == {name: b"of mine"}


def test_a_beginning_of_a_library_that_was_killed_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "experts").mkdir()
    a_file(tmp_path / ".library.json.part")
    assert ExpertLibrary.create(tmp_path, "abc").experts() == ()


# -- models ------------------------------------------------------------------------------------------------


def test_a_download_moves_a_model_aside_that_somebody_has_put_there(
    get: Callable[..., Path], tmp_path: Path
) -> None:
    place = tmp_path / models.OFFICIAL.folder
    a_file(place / "fold_0" / "checkpoint_final.pth")
    a_file(tmp_path / f"{place.name}.kept-1" / "older.pth")
    assert get() == place
    kept = content_of(tmp_path / f"{place.name}.kept-2")
    assert kept == {"fold_0/checkpoint_final.pth": b"of mine"}
    assert content_of(tmp_path / f"{place.name}.kept-1") == {"older.pth": b"of mine"}


def test_a_damaged_download_is_replaced_and_a_note_beside_it_is_kept(
    get: Callable[..., Path], tmp_path: Path
) -> None:
    place = get()
    (place / "plans.json").write_bytes(b"torn")
    assert get() == place and not list(tmp_path.glob("*.kept-*"))
    (place / "plans.json").write_bytes(b"torn")
    a_file(place / "notes.txt")
    get()
    assert content_of(tmp_path / f"{place.name}.kept-1")["notes.txt"] == b"of mine"


OF_A_RUN = ("model/plans.json", "model.old/x", "model.new/x", "curves.csv", "settings.json")


@pytest.mark.parametrize("name", OF_A_RUN)
def test_pretraining_does_not_begin_among_other_files(name: str, tmp_path: Path) -> None:
    a_file(tmp_path / name)
    with pytest.raises(ConfigError):
        pretraining.run(PretrainSettings(updates=1, processes=1), tmp_path, "cpu")
    assert content_of(tmp_path) == {name: b"of mine"}


@pytest.mark.parametrize("name", ["thesis.tex", "fold_0/checkpoint_best.pth"])
def test_a_model_is_not_written_over_a_folder_with_other_files(name: str, tmp_path: Path) -> None:
    folder = a_model(tmp_path / "model", 1)
    a_file(folder / name)
    before = content_of(tmp_path)
    torch.manual_seed(2)
    with pytest.raises(ConfigError, match="was not made by a pretraining run"):
        export_model(build_network(TINY).state_dict(), TINY, EncodingRules(TINY.patch_kji), folder)
    assert content_of(tmp_path) == before


# -- confirmations on their way ----------------------------------------------------------------------------


def test_two_confirmations_of_one_id_are_both_kept(tmp_path: Path) -> None:
    spool = UndeliveredConfirmations(tmp_path, "campaign")
    first, second = (confirmation_message(a_confirmation("a"), version) for version in (0, 1))
    assert spool.put("a", first) == spool.put("a", first) != spool.put("a", second)
    assert [kept.body() for kept in spool.waiting()] == [first, second]


def test_what_was_refused_is_put_beside_what_was_refused_before(tmp_path: Path) -> None:
    for content in ("one", "two", "three"):
        path = tmp_path / "00000001-ab.confirmation"
        path.write_text(content)
        put_aside(path, ".refused")
    assert {p.read_text() for p in tmp_path.iterdir()} == {"one", "two", "three"}
    assert not list(tmp_path.glob("*.confirmation"))


# -- the scripts -------------------------------------------------------------------------------------------


def test_the_scripts_do_not_empty_a_folder_that_is_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts"))
    import _environment

    monkeypatch.setattr(_environment, "ENVIRONMENT", tmp_path)
    monkeypatch.setattr(_environment.venv, "create", lambda *_, **__: pytest.fail("emptied"))
    a_file(tmp_path / "thesis.tex")
    with pytest.raises(SystemExit):
        _environment.prepare()
    assert "holds other files than a Python environment" in capsys.readouterr().err
    assert content_of(tmp_path) == {"thesis.tex": b"of mine"}
