"""Episodes: a job folder in, a candidate out; resumable to the same bytes, and every failure in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_episode
import torch
from tiny_episode import QUICK, delta_of, run, tiny_job, tiny_reader

from clopa_annotator.delta import DeltaInfo, pack_delta, unpack_delta
from clopa_annotator.episode import job as job_module
from clopa_annotator.episode.epochs import dice_auc
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.parameters import select
from clopa_annotator.episode.sampling import Sampler
from clopa_annotator.session.model import LoadedModel

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


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


def test_where_the_best_epoch_is_kept_the_incoming_weights_compete(
    tmp_path: Path, loaded: LoadedModel
) -> None:
    settings = replace(QUICK, learning_rate=1e-9, keep="best")
    result = run(tiny_job(tmp_path / "job", settings), loaded)
    assert result.best_epoch == 0
    assert len(result.val_score) == 3
    assert delta_of(result) == {}


@pytest.mark.parametrize("keep", ["last", "best"])
def test_what_an_episode_hands_over_does_not_depend_on_the_held_out_cases(
    tmp_path: Path, loaded: LoadedModel, keep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are to judge it."""
    judged: list[set[str]] = []

    class Watched(Sampler):
        def __init__(self, *given: Any, **named: Any) -> None:
            judged.append({ref.case_id for ref in given[2]})
            super().__init__(*given, **named)

    monkeypatch.setattr("clopa_annotator.episode.job.Sampler", Watched)
    settings = replace(QUICK, keep=keep, epochs=3, group="all")
    handed_over = []
    for val in ((4,), (5,), (4, 5)):
        folder = tmp_path / "-".join(map(str, val))
        result = run(tiny_job(folder, settings, train=(1, 2, 3), val=val), loaded)
        assert keep == "best" or result.best_epoch == 3
        handed_over.append(delta_of(result))
    train = {ref.case_id for ref in tiny_reader().refs[:3]}
    assert keep == "last" or all(cases == train for cases in judged), "the best is chosen on them"
    for other in handed_over[1:]:
        assert handed_over[0].keys() == other.keys()
        assert all(torch.equal(value, other[name]) for name, value in handed_over[0].items())


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


def test_a_loss_that_is_not_finite_ends_the_episode(tmp_path: Path, loaded: LoadedModel) -> None:
    result = run(tiny_job(tmp_path / "job", replace(QUICK, learning_rate=1e30, group="all")), loaded)
    assert result.status == "failed"
    assert "lower the learning rate" in result.reason
    assert result.delta_path is None
    assert not (tmp_path / "job" / "delta.safetensors").exists()


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


def test_an_episode_without_cases_fails_in_words(tmp_path: Path, loaded: LoadedModel) -> None:
    result = run(tiny_job(tmp_path / "job", train=(), val=()), loaded)
    assert result.status == "failed"
    assert "no case to train on" in result.reason


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
