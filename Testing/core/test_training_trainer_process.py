"""The real training process under the real supervisor, on the smallest of episodes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from engine_support import a_model, confirm_three_cases, make_campaign

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.episode_rows import (
    episode_row,
    job_has_ended,
    job_number,
    phase_in_words,
    progress_in_words,
)
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import read_result, write_job, write_result
from clopa_annotator.training.signals import TRAINER
from clopa_annotator.training.supervisor import Supervisor, SupervisorSettings, trainer_command
from clopa_annotator.types import EpisodeRequest, EpisodeResult, GateDecision, Split

TINY = EpisodeSettings(
    group="in",
    epochs=1,
    updates=1,
    batch=1,
    steps=1,
    val_samples=1,
    prefetch=1,
    threads=1,
    patch_centre="session",
)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = make_campaign(tmp_path / "campaign", a_model(tmp_path / "model"))
    with Campaign.open(folder, device="cpu") as campaign:
        confirm_three_cases(campaign)
        request = EpisodeRequest(1, 3, Split(train=(1, 2), val=(3,)), strategy="clopa-in")
        cases = campaign.store.confirmed()
        return write_job(
            folder / "episodes" / "0001", request, TINY, cases, tmp_path / "model", campaign=folder
        )


def supervise(job: Path) -> tuple[list[tuple[str, str]], list[dict[str, object]]]:
    ended, ends, rows = threading.Event(), [], []

    def end(_: Path, outcome: str, reason: str) -> None:
        ends.append((outcome, reason))
        ended.set()

    settings = SupervisorSettings(has_ended=job_has_ended, niceness=0, restarts=0)
    supervisor = Supervisor(settings, lambda _, row: rows.append(row), end)
    supervisor.run(job)
    assert ended.wait(400)
    supervisor.close()
    return ends, rows


def test_the_real_trainer_works_through_a_job_and_leaves_a_decision(job: Path) -> None:
    ends, rows = supervise(job)
    assert ends == [("finished", "")], (job.parent.parent / "logs" / "trainer.log").read_text()[-3000:]
    result, decision = read_result(job)
    assert result.status == "finished" and decision is not None and decision.reason
    assert rows and rows[-1]["epochs"] == 1
    # One held-out case, scored with both weights, unless training found nothing better than the start.
    assert [r["phase"] for r in rows].count("checking") == (3 if result.best_epoch else 0)
    assert not (job / TRAINER).exists()
    row = episode_row(job, None)
    assert (row.number, row.train, row.val, row.status) == (1, 2, 1, "finished")
    assert row.reason == decision.reason and row.started


def test_a_trained_job_without_a_decision_has_not_ended(job: Path) -> None:
    assert not job_has_ended(job) and episode_row(job, None).status == "running"
    finished = EpisodeResult(1, "finished", delta_path=job / "delta.safetensors", best_epoch=1)
    write_result(job, finished)
    assert not job_has_ended(job)
    write_result(job, finished, GateDecision(False, "Worse.", ("a",), (0.6,), (0.5,)))
    assert job_has_ended(job)
    assert episode_row(job, None).worst_change == pytest.approx(-0.1)
    write_result(job, EpisodeResult(1, "failed", "The loss was not finite."))
    assert job_has_ended(job) and episode_row(job, None).reason == "The loss was not finite."


def test_a_check_is_told_as_a_sentence() -> None:
    row = {"phase": "checking", "note": "Held-out case 1 of 3 with the weights in use."}
    assert progress_in_words(4, row) == f"Episode 4 is being checked. {row['note']}"
    assert phase_in_words("checking", 0, 5, row).endswith(row["note"])
    assert phase_in_words("checking", 0, 5, {"phase": "training"}).endswith("held-out cases.")
    assert phase_in_words("training", 0, 5, {}) == ""


def test_progress_is_told_as_a_sentence() -> None:
    row = {"epoch": 2, "epochs": 4, "loss": 0.51234, "eta_s": 130.0, "note": "Memory ran short."}
    sentence = progress_in_words(3, row)
    assert sentence == (
        "Episode 3 is training, epoch 2 of 4, loss 0.512, about 2 min left. Memory ran short."
    )
    assert job_number(Path("episodes/0012")) == 12
    assert trainer_command(Path("job"))[:3] == [
        sys.executable,
        "-m",
        "clopa_annotator.training.trainer_process",
    ]


STANDS_STILL = """
import ctypes, io, sys, time
from pathlib import Path
from clopa_annotator.training.trainer_process import Leash

sys.stderr = io.StringIO()
with Leash(Path(sys.argv[1]), stuck_s=1.0):
    time.sleep(0.8)
    ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock: no thread of Python's runs
"""


@pytest.mark.skipif(sys.platform == "win32", reason="calls the C library's sleep")
def test_a_trainer_that_stands_still_is_ended_and_says_where_whatever_its_standard_error_is(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", STANDS_STILL, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr and "Exception in thread" not in ended.stderr
