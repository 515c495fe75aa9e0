"""Progress: one JSON object per line, and none spoils another."""

from __future__ import annotations

import json
from pathlib import Path

import tiny_episode
from tiny_episode import run, tiny_job

from clopa_annotator.episode.progress import Progress, ProgressFile, read_progress
from clopa_annotator.session.model import LoadedModel

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


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
