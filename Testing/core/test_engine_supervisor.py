"""The supervisor against a real, small process that does nothing but obey or misbehave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from clopa_annotator.engine.processes import ProgressTail
from clopa_annotator.engine.signals import (
    HEARTBEAT,
    OWNER,
    TRAINER,
    ProcessId,
    YieldFlag,
    read_process,
    write_process,
)
from clopa_annotator.engine.supervisor import Supervisor, SupervisorSettings
from clopa_annotator.errors import EpisodeError

TRAINER_SCRIPT = textwrap.dedent(
    """
    import json, os, sys, time
    from pathlib import Path
    from clopa_annotator.engine import signals
    from clopa_annotator.engine.trainer import Leash

    signals.STALE_S = 4.0
    job, mode, grace = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    attempt = len(list(job.glob("attempt*")))
    (job / f"attempt{attempt}").touch()
    if mode == "crash once" and attempt == 0 or mode == "crash":
        os._exit(3)
    ballast = bytearray(300 << 20) if mode == "greedy" else b""
    with Leash(job, grace) as leash:
        steps = 0
        while not (job / "finish").exists():
            if mode == "hang":
                time.sleep(60)
            if mode == "deaf":
                leash.yield_to()
            elif leash.should_stop():
                (job / "stopped").touch()
                sys.exit(0)
            leash.yield_to()
            steps += 1
            (job / "steps").write_text(str(steps))
            with open(job / "progress.jsonl", "a") as file:
                file.write(json.dumps({"step": steps}) + "\\n")
            time.sleep(0.02)
        (job / "result.json").write_text("{}")
    """
)


class Recorder:
    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.ends: list[tuple[str, str, str]] = []
        self.ended = threading.Event()

    def progress(self, job: Path, row: dict[str, object]) -> None:
        self.rows.append(row)

    def end(self, job: Path, outcome: str, reason: str) -> None:
        self.ends.append((job.name, outcome, reason))
        self.ended.set()


@pytest.fixture
def heard() -> Recorder:
    return Recorder()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "episodes" / "0001"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def supervise(tmp_path: Path, heard: Recorder) -> Iterator[Callable[..., Supervisor]]:
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER_SCRIPT)
    made: list[Supervisor] = []

    def make(mode: str = "obey", grace_s: float = 30.0, **changes: object) -> Supervisor:
        settings = SupervisorSettings(
            command=lambda job: [sys.executable, str(script), str(job), mode, str(grace_s)],
            poll_s=0.05,
            ask_s=30.0,
            backoff_s=0.05,
            niceness=17,
        )
        made.append(Supervisor(replace(settings, **changes), heard.progress, heard.end))
        return made[-1]

    yield make
    for one in made:
        one.close()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def steps(job: Path) -> int:
    text = (job / "steps").read_text() if (job / "steps").exists() else ""
    return int(text or 0)


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
        from clopa_annotator.engine.supervisor import Supervisor, SupervisorSettings
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


def test_a_torn_or_half_written_line_is_no_progress(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    tail = ProgressTail(path)
    assert tail.rows() == []
    path.write_text('{"a": 1}\n{"b": \n[1]\n{"c"')
    assert tail.rows() == [{"a": 1}]
    with path.open("a") as file:
        file.write(": 2}\n")
    assert tail.rows() == [{"c": 2}]


def test_a_flag_left_up_by_a_dead_engine_does_not_stop_training(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = YieldFlag(job)
    flag.set(True)
    assert flag.raised
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert not flag.raised
    flag.close()


def test_a_reused_process_number_is_not_the_same_process() -> None:
    mine = ProcessId.of()
    assert mine.alive
    assert not ProcessId(mine.pid, mine.started - 100).alive
    assert json.loads(json.dumps(mine.started)) == mine.started
