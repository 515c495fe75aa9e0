"""The same job gives the same bytes, straight through, cancelled or killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_episode
from tiny_episode import QUICK, run, tiny_job, tiny_model

from clopa_annotator.episode.folder import read_result
from clopa_annotator.episode.progress import Progress, read_progress
from clopa_annotator.session.model import LoadedModel

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread

SCRIPT = Path(__file__).with_name("tiny_episode.py")


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


def test_a_damaged_checkpoint_is_told_and_not_trained_on(tmp_path: Path, loaded: LoadedModel) -> None:
    folder = tiny_job(tmp_path / "job", val=())
    for content in (b"", b"rubbish", bytes(100)):
        (folder / "checkpoint.safetensors").write_bytes(content)
        result = run(folder, loaded)
        assert result.status == "failed"
        assert "checkpoint is damaged" in result.reason


def test_a_checkpoint_with_one_flipped_bit_is_told_and_not_trained_on(
    tmp_path: Path, loaded: LoadedModel
) -> None:
    folder = tiny_job(tmp_path / "job", val=())
    steps = iter(range(1000))
    run(folder, loaded, should_stop=lambda: next(steps) > 6)
    path = folder / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 0x01
    path.write_bytes(content)
    result = run(folder, loaded)
    assert result.status == "failed" and "checkpoint is damaged" in result.reason
