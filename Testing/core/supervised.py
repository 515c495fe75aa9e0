"""A small trainer that obeys or misbehaves, and a supervisor for it."""

from __future__ import annotations

import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clopa_annotator.training.supervisor import Supervisor, SupervisorSettings

TRAINER_SCRIPT = textwrap.dedent(
    """
    import json, os, sys, time
    from pathlib import Path
    from clopa_annotator.training import signals
    from clopa_annotator.training.trainer_process import Leash

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
