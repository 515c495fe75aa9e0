"""Episodes with little memory: smaller micro-batches, recomputed activations, else words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_episode
import torch
from tiny_episode import QUICK, run, tiny_job

from clopa_annotator.episode.folder import read_result
from clopa_annotator.episode.progress import read_progress
from clopa_annotator.session.model import LoadedModel

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


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
