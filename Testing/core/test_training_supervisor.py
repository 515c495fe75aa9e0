"""The supervisor against a real, small process that does nothing but obey or misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import supervised
from supervised import Recorder, steps, wait_for

from clopa_annotator.errors import EpisodeError
from clopa_annotator.training.signals import HEARTBEAT, OWNER, TRAINER, ProcessId, read_process, write_process

heard, job, supervise = supervised.heard, supervised.job, supervised.supervise


def test_a_job_is_seen_through_and_its_progress_told(supervise, heard: Recorder, job: Path) -> None:
    supervisor = supervise()
    supervisor.run(job)
    wait_for(lambda: len(heard.rows) > 3, "progress")
    with pytest.raises(EpisodeError, match="already running"):
        supervisor.run(job)
    (job / "finish").touch()
    assert heard.ended.wait(60)
    assert heard.ends == [("0001", "finished", "")]
    assert [row["step"] for row in heard.rows] == list(range(1, len(heard.rows) + 1))
    assert not (job / TRAINER).exists()


def test_training_stands_still_while_a_click_is_answered(supervise, job: Path) -> None:
    supervisor = supervise()
    supervisor.run(job)
    wait_for(lambda: steps(job) > 2, "steps")
    supervisor.click_begins()
    supervisor.click_begins()
    time.sleep(0.3)
    supervisor.click_ends()
    before = steps(job)
    time.sleep(0.5)
    assert steps(job) <= before + 1
    supervisor.click_ends()
    wait_for(lambda: steps(job) > before + 2, "training to go on")


def test_training_stands_still_however_long_a_click_takes(supervise, job: Path) -> None:
    supervisor = supervise()
    supervisor.run(job)
    wait_for(lambda: steps(job) > 2, "steps")
    supervisor.click_begins()
    time.sleep(0.3)
    before, seen = steps(job), (job / HEARTBEAT).stat().st_mtime
    time.sleep(6.0)
    assert steps(job) <= before + 1, "longer than the flag of a dead engine would count"
    assert (job / HEARTBEAT).stat().st_mtime > seen, "who waits is not hung"
    supervisor.click_ends()
    wait_for(lambda: steps(job) > before + 2, "training to go on")


def test_training_has_a_lower_priority_than_the_engine(supervise, job: Path) -> None:
    supervisor = supervise()
    supervisor.run(job)
    wait_for(lambda: read_process(job / TRAINER), "the trainer's note")
    trainer = read_process(job / TRAINER).process()
    wait_for(lambda: trainer.nice() != psutil.Process().nice(), "the priority")
    if os.name == "posix":
        assert trainer.nice() >= 17


def test_an_episode_stops_when_asked(supervise, heard: Recorder, job: Path) -> None:
    supervisor = supervise()
    with pytest.raises(EpisodeError, match="No episode"):
        supervisor.cancel()
    supervisor.run(job)
    wait_for(lambda: steps(job) > 0, "steps")
    supervisor.cancel()
    assert heard.ended.wait(60)
    assert heard.ends[0][1] == "cancelled"
    assert (job / "stopped").exists()


def test_who_does_not_stop_when_asked_is_killed(supervise, heard: Recorder, job: Path) -> None:
    supervisor = supervise("deaf", ask_s=0.2)
    supervisor.run(job)
    wait_for(lambda: steps(job) > 0, "steps")
    pid = read_process(job / TRAINER)
    supervisor.cancel()
    assert heard.ended.wait(60)
    assert heard.ends[0][1] == "cancelled"
    assert not pid.alive


def test_a_crashed_trainer_is_started_again(supervise, heard: Recorder, job: Path) -> None:
    supervise("crash once").run(job)
    wait_for(lambda: steps(job) > 0, "the second attempt")
    (job / "finish").touch()
    assert heard.ended.wait(60)
    assert heard.ends[0][1] == "finished"
    assert len(list(job.glob("attempt*"))) == 2


def test_a_trainer_that_always_crashes_is_given_up(supervise, heard: Recorder, job: Path) -> None:
    supervise("crash", restarts=2).run(job)
    assert heard.ended.wait(60)
    assert heard.ends[0][1] == "failed"
    assert "status 3" in heard.ends[0][2]
    assert len(list(job.glob("attempt*"))) == 3


def test_a_silent_trainer_counts_as_hung(supervise, heard: Recorder, job: Path) -> None:
    supervise("hang", restarts=0, silence_s=3.0).run(job)
    assert heard.ended.wait(60)
    assert "No sign of life" in heard.ends[0][2]


def test_a_trainer_that_takes_too_much_memory_is_ended(supervise, heard: Recorder, job: Path) -> None:
    supervise("greedy", restarts=0, memory_bytes=200 << 20).run(job)
    assert heard.ended.wait(60)
    assert "more than the limit" in heard.ends[0][2]


def test_a_running_trainer_is_adopted_by_the_next_engine(
    supervise, heard: Recorder, job: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen([sys.executable, str(tmp_path / "trainer.py"), str(job), "obey", "30"])
    wait_for(lambda: steps(job) > 0, "steps")
    supervise().run(job)
    assert read_process(job / OWNER) == ProcessId.of()
    (job / "finish").touch()
    process.wait(60)
    assert heard.ended.wait(60)
    assert heard.ends == [("0001", "finished", "")]
    assert len(list(job.glob("attempt*"))) == 1


def test_a_trainer_whose_owner_is_gone_ends_itself(supervise, job: Path, tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    write_process(job / OWNER, ProcessId.of(owner.pid))
    trainer = subprocess.Popen([sys.executable, str(tmp_path / "trainer.py"), str(job), "obey", "0.5"])
    wait_for(lambda: steps(job) > 0, "steps")
    owner.kill()
    owner.wait()
    assert trainer.wait(60) == 70
    assert not (job / "result.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_no_trainer_outlives_its_killed_engine(supervise, job: Path, tmp_path: Path) -> None:
    supervise()
    engine = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from clopa_annotator.training.supervisor import Supervisor, SupervisorSettings
        command = lambda job: [sys.executable, {str(tmp_path / "trainer.py")!r}, str(job), "obey", "0.5"]
        supervisor = Supervisor(SupervisorSettings(command=command), lambda *a: None, lambda *a: None)
        supervisor.run(Path({str(job)!r}))
        time.sleep(600)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", engine])
    wait_for(lambda: steps(job) > 0, "steps")
    trainer = read_process(job / TRAINER)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not trainer.alive, "the trainer to end itself")


def test_closing_ends_the_trainer_but_keeps_the_job(supervise, heard: Recorder, job: Path) -> None:
    supervisor = supervise()
    supervisor.run(job)
    wait_for(lambda: read_process(job / TRAINER), "the trainer's note")
    trainer = read_process(job / TRAINER)
    supervisor.close()
    assert not trainer.alive
    assert heard.ends == []
    assert not (job / "result.json").exists()
