"""Episodes: a job folder in, a candidate out; resumable to the same bytes, and every failure in words."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_episode import QUICK, tiny_job, tiny_model, tiny_reader

from clopa_annotator.delta import DeltaInfo, pack_delta, unpack_delta
from clopa_annotator.episode import job as job_module
from clopa_annotator.episode.folder import read_job, read_result, write_job, write_result
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.parameters import select
from clopa_annotator.episode.progress import Progress, ProgressFile, read_progress
from clopa_annotator.episode.trainer import dice_auc
from clopa_annotator.errors import EpisodeError
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import EpisodeRequest, EpisodeResult, GateDecision, Split

SCRIPT = Path(__file__).with_name("tiny_episode.py")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return tiny_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder: Path, model: LoadedModel, **keywords: Any) -> EpisodeResult:
    return run_job(folder, tiny_reader(), model=model, **keywords)


def delta_of(result: EpisodeResult) -> dict[str, torch.Tensor]:
    assert result.delta_path is not None
    return unpack_delta(result.delta_path.read_bytes())[1]


def without_val(**changes: Any) -> Any:
    return replace(QUICK, **changes)


def test_a_finished_episode_has_a_delta_of_its_group_only(tmp_path: Path, loaded: LoadedModel) -> None:
    result = run(tiny_job(tmp_path / "job", val=()), loaded)
    assert (result.status, result.reason, result.updates) == ("finished", "", 4)
    assert len(result.train_loss) == 2
    tensors = delta_of(result)
    group = select(loaded.network, "cn")
    assert tensors.keys() <= group.keys()
    # Without deep supervision the coarse segmentation layer has no gradient, does not change and is left out.
    assert "decoder.seg_layers.0.weight" in group
    assert "decoder.seg_layers.0.weight" not in tensors
    assert "decoder.seg_layers.1.weight" in tensors
    info, _ = unpack_delta(result.delta_path.read_bytes())  # type: ignore[union-attr]
    assert (info.licence, info.model_hash) == ("CC0 for tests", loaded.model_hash)
    assert (info.parameter_group, info.episode, info.seed) == ("cn", 1, 7)


def test_the_network_comes_back_as_it_was(tmp_path: Path, loaded: LoadedModel) -> None:
    before = {n: p.detach().clone() for n, p in loaded.network.named_parameters()}
    run(tiny_job(tmp_path / "job", val=()), loaded)
    for name, parameter in loaded.network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


@pytest.mark.parametrize("mode", ["session", "paper"])
def test_training_lowers_the_loss(tmp_path: Path, loaded: LoadedModel, mode: str) -> None:
    settings = replace(QUICK, patch_centre=mode, epochs=3, updates=6, augmentation=0.0, group="all")
    result = run(tiny_job(tmp_path / "job", settings), loaded)
    assert result.train_loss[-1] < result.train_loss[0] - 0.1
    assert len(result.val_score) == 4


def test_the_best_epoch_is_kept_and_the_incoming_weights_compete(tmp_path: Path, loaded: LoadedModel) -> None:
    settings = replace(QUICK, learning_rate=1e-9)
    result = run(tiny_job(tmp_path / "job", settings), loaded)
    assert result.best_epoch == 0
    assert len(result.val_score) == 3
    assert delta_of(result) == {}


def test_without_held_out_cases_the_last_epoch_is_kept(tmp_path: Path, loaded: LoadedModel) -> None:
    result = run(tiny_job(tmp_path / "job", val=()), loaded)
    assert result.best_epoch == 2
    assert result.val_score == ()


def test_an_episode_starts_from_its_parents_weights(tmp_path: Path, loaded: LoadedModel) -> None:
    name = "decoder.stages.0.convs.0.norm.weight"
    parent = {name: torch.full_like(loaded.base_state()[name], 1.5)}
    path = tmp_path / "parent.safetensors"
    path.write_bytes(pack_delta(parent, DeltaInfo(loaded.model_hash, "CC0", "in")))
    settings = replace(QUICK, learning_rate=1e-9, group="last")
    result = run(tiny_job(tmp_path / "job", settings, val=(), parent_delta=path), loaded)
    assert torch.equal(delta_of(result)[name], parent[name])


def test_weights_of_another_base_are_not_trained_on(tmp_path: Path, loaded: LoadedModel) -> None:
    path = tmp_path / "parent.safetensors"
    path.write_bytes(pack_delta({}, DeltaInfo("00" * 32, "CC0")))
    result = run(tiny_job(tmp_path / "job", parent_delta=path), loaded)
    assert result.status == "failed"
    assert "another base model" in result.reason


def test_the_same_job_gives_the_same_bytes(tmp_path: Path, loaded: LoadedModel) -> None:
    first, second = (run(tiny_job(tmp_path / name, val=()), loaded) for name in ("a", "b"))
    other = run(tiny_job(tmp_path / "c", val=(), seed=8), loaded)
    assert first.delta_path and second.delta_path and other.delta_path
    assert first.delta_path.read_bytes() == second.delta_path.read_bytes()
    assert first.train_loss == second.train_loss != other.train_loss


def test_a_cancelled_episode_goes_on_to_the_same_bytes(tmp_path: Path, loaded: LoadedModel) -> None:
    whole = run(tiny_job(tmp_path / "whole", val=()), loaded)
    folder = tiny_job(tmp_path / "stopped", val=())
    asked = 0

    def after_some_steps() -> bool:
        nonlocal asked
        asked += 1
        return asked > 7

    stopped = run(folder, loaded, should_stop=after_some_steps)
    assert stopped.status == "cancelled"
    assert "epoch 2 of 2" in stopped.reason
    assert stopped.delta_path is None
    resumed = run(folder, loaded)
    assert resumed.status == "finished"
    assert resumed.train_loss == whole.train_loss
    assert resumed.delta_path and whole.delta_path
    assert resumed.delta_path.read_bytes() == whole.delta_path.read_bytes()
    assert any(p.phase == "resumed" for p in read_progress(folder / "progress.jsonl"))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_an_episode_killed_in_the_middle_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=3, updates=6, group="all")
    model = tiny_model(tmp_path / "model")
    whole, killed = (tiny_job(tmp_path / name, settings) for name in ("whole", "killed"))
    # The script sends itself SIGKILL, so that no timing decides where it dies: in the middle of epoch 2.
    died = subprocess.run([sys.executable, str(SCRIPT), str(killed), "9"], check=False)
    assert died.returncode == -signal.SIGKILL
    assert read_progress(killed / "progress.jsonl")[-1].update == 9
    assert read_result(killed) is None
    resumed, straight = run(killed, model), run(whole, model)
    assert resumed.status == straight.status == "finished"
    assert resumed.train_loss == straight.train_loss
    assert resumed.val_score == straight.val_score
    assert (killed / "delta.safetensors").read_bytes() == (whole / "delta.safetensors").read_bytes()
    assert [p.epoch for p in read_progress(killed / "progress.jsonl") if p.phase == "resumed"] == [1]


def test_a_finished_episode_is_not_trained_again(tmp_path: Path, loaded: LoadedModel) -> None:
    folder = tiny_job(tmp_path / "job", val=())
    first = run(folder, loaded)
    told: list[Progress] = []
    assert run(folder, loaded, on_progress=told.append) == first
    assert told == []
    assert not (folder / "checkpoint.safetensors").exists()


def test_a_loss_that_is_not_finite_ends_the_episode(tmp_path: Path, loaded: LoadedModel) -> None:
    result = run(tiny_job(tmp_path / "job", replace(QUICK, learning_rate=1e30, group="all")), loaded)
    assert result.status == "failed"
    assert "lower the learning rate" in result.reason
    assert result.delta_path is None
    assert not (tmp_path / "job" / "delta.safetensors").exists()


def limited(model: LoadedModel, monkeypatch: pytest.MonkeyPatch, largest_batch: int) -> list[int]:
    """Make the network run out of memory beyond a batch; the batches that went through."""
    forward, seen = model.network.forward, []

    def with_little_memory(x: torch.Tensor) -> Any:
        if len(x) > largest_batch:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 GiB")
        seen.append(len(x))
        return forward(x)

    monkeypatch.setattr(model.network, "forward", with_little_memory)
    return seen


def test_with_little_memory_the_micro_batch_is_halved(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(tiny_job(tmp_path / "plain", val=()), loaded)
    seen = limited(loaded, monkeypatch, 1)
    result = run(tiny_job(tmp_path / "job", val=()), loaded)
    assert result.status == "finished"
    assert set(seen) == {1}
    assert result.train_loss == pytest.approx(plain.train_loss, rel=1e-3)
    notes = [p.note for p in read_progress(tmp_path / "job" / "progress.jsonl") if p.note]
    assert len(notes) == 1
    assert "1 sample" in notes[0]


def test_without_enough_memory_the_episode_fails_in_words(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(loaded, monkeypatch, 0)
    result = run(tiny_job(tmp_path / "job", val=()), loaded)
    assert result.status == "failed"
    assert "too little memory" in result.reason
    notes = [p.note for p in read_progress(tmp_path / "job" / "progress.jsonl") if p.note]
    assert len(notes) == 2
    assert "recomputed" in notes[1]


def test_recomputing_activations_gives_the_same_gradients(tmp_path: Path, loaded: LoadedModel) -> None:
    plain = run(tiny_job(tmp_path / "plain", val=()), loaded)
    saving = run(tiny_job(tmp_path / "job", replace(QUICK, gradient_checkpointing=True), val=()), loaded)
    assert saving.status == "finished"
    assert saving.train_loss == pytest.approx(plain.train_loss, rel=1e-4)


def test_an_error_in_the_network_that_is_no_memory_error_is_not_hidden(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(x: torch.Tensor) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(loaded.network, "forward", broken)
    folder = tiny_job(tmp_path / "job", val=())
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(folder, loaded)
    ended = read_result(folder)
    assert ended is not None
    assert ended[0].status == "failed"
    assert "shapes do not match" in ended[0].reason


def test_a_case_that_cannot_be_trained_on_is_named(tmp_path: Path, loaded: LoadedModel) -> None:
    reader = tiny_reader()
    broken = reader.refs[1]
    reader.images[broken.image_hash] = np.full_like(reader.images[broken.image_hash], 5)
    result = run_job(tiny_job(tmp_path / "job"), reader, model=loaded)
    assert result.status == "failed"
    assert "case 2" in result.reason
    assert "constant" in result.reason


def test_the_device_is_offered_between_all_micro_steps(tmp_path: Path, loaded: LoadedModel) -> None:
    offers = 0

    def offer() -> None:
        nonlocal offers
        offers += 1

    run(tiny_job(tmp_path / "job", replace(QUICK, micro_batch=1), val=()), loaded, yield_to=offer)
    assert offers == 2 * 2 * 2 * 2  # epochs, updates, steps, samples


def test_progress_is_one_json_object_per_line(tmp_path: Path, loaded: LoadedModel) -> None:
    told: list[Progress] = []
    folder = tiny_job(tmp_path / "job")
    run(folder, loaded, on_progress=told.append)
    lines = [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]
    assert [line["phase"] for line in lines] == ["validating", *["training", "training", "validating"] * 2]
    assert [line["update"] for line in lines if line["phase"] == "training"] == [1, 2, 3, 4]
    assert all(line["loss"] > 0 for line in lines if line["phase"] == "training")
    assert all(0 <= line["val"] <= 1 for line in lines if line["phase"] == "validating")
    assert lines[-1]["eta_s"] == 0
    assert read_progress(folder / "progress.jsonl") == tuple(told)


def test_a_torn_line_of_progress_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"phase": "training", "ep')
    file = ProgressFile(path)
    file.write(Progress("resumed", 1, 2, 2, 4))
    file.close()
    assert [p.phase for p in read_progress(path)] == ["resumed"]


def test_a_job_names_its_cases_and_can_be_moved_with_its_campaign(tmp_path: Path) -> None:
    campaign = tmp_path / "campaign"
    request = EpisodeRequest(2, 5, Split((1, 3), (5,)), parent_version=1, seed=4)
    folder = campaign / "episodes" / "0002"
    write_job(folder, request, QUICK, tiny_reader().refs, tmp_path / "model", campaign=campaign)
    moved = tmp_path / "moved"
    campaign.rename(moved)
    order = read_job(moved / "episodes" / "0002")
    assert order.request == request
    assert order.settings == QUICK
    assert [c.sequence for c in order.train] == [1, 3]
    assert [c.case_id for c in order.val] == ["case 5"]
    assert order.campaign == moved
    assert order.parent_path is None


def test_a_case_that_is_not_there_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="sequence number 9"):
        tiny_job(tmp_path / "job", train=(1, 9))
    tiny_job(tmp_path / "job")
    tiny_job(tmp_path / "job")
    with pytest.raises(EpisodeError, match="another episode"):
        tiny_job(tmp_path / "job", seed=8)


def test_a_folder_without_a_job_and_a_damaged_one_are_refused(tmp_path: Path, loaded: LoadedModel) -> None:
    with pytest.raises(EpisodeError, match="no episode to run"):
        run(tmp_path, loaded)
    for text in ("{", '{"format": "clopa-episode/9"}', '{"format": "clopa-episode/1"}', "[]"):
        (tmp_path / "request.json").write_text(text)
        with pytest.raises(EpisodeError):
            read_job(tmp_path)


def test_a_damaged_checkpoint_is_told_and_not_trained_on(tmp_path: Path, loaded: LoadedModel) -> None:
    folder = tiny_job(tmp_path / "job", val=())
    for content in (b"", b"rubbish", bytes(100)):
        (folder / "checkpoint.safetensors").write_bytes(content)
        result = run(folder, loaded)
        assert result.status == "failed"
        assert "checkpoint is damaged" in result.reason


def test_an_episode_without_cases_fails_in_words(tmp_path: Path, loaded: LoadedModel) -> None:
    result = run(tiny_job(tmp_path / "job", train=(), val=()), loaded)
    assert result.status == "failed"
    assert "no case to train on" in result.reason


def test_results_with_decisions_are_read_back(tmp_path: Path) -> None:
    result = EpisodeResult(3, "finished", "", tmp_path / "delta.safetensors", 1.5, 4, 1, (0.5,), (0.1, 0.2))
    decision = GateDecision(True, "Promoted.", ("a",), (0.1,), (0.2,))
    write_result(tmp_path, result)
    assert read_result(tmp_path) == (result, None)
    write_result(tmp_path, result, decision)
    assert read_result(tmp_path) == (result, decision)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(EpisodeError, match="damaged"):
        read_result(tmp_path)


def test_half_precision_deltas_are_close_to_full_ones(tmp_path: Path, loaded: LoadedModel) -> None:
    full = delta_of(run(tiny_job(tmp_path / "a", val=()), loaded))
    half = delta_of(run(tiny_job(tmp_path / "b", replace(QUICK, delta_dtype="fp16"), val=()), loaded))
    assert half.keys() == full.keys()
    assert all(t.dtype == torch.float16 for t in half.values())
    assert all(torch.allclose(half[n].float(), full[n], atol=2e-3, rtol=1e-3) for n in full)


def test_the_area_under_a_dice_curve_is_computable_by_hand() -> None:
    assert dice_auc([0.5], 1) == 0.5
    assert dice_auc([0.0, 1.0], 2) == 0.5
    assert dice_auc([0.2, 0.4, 0.6], 3) == pytest.approx(0.4)
    assert dice_auc([1.0], 6) == 1.0
    assert dice_auc([0.5, 1.0], 3) == pytest.approx((0.75 + 1.0) / 2)


def test_every_public_name_of_the_job_module_is_there() -> None:
    assert all(hasattr(job_module, name) for name in job_module.__all__)
