"""What engine and trainer tell each other by files: progress, the flag to stand still, who runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import supervised

from clopa_annotator.training.processes import ProgressTail
from clopa_annotator.training.signals import ProcessId, YieldFlag

job = supervised.job


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
