"""What learning keeps is on the disk when it says so: versions, history, job folders, kept confirmations.

As in `test_cache_flushes`, against the system calls.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from system_calls import tree_of, watched

from clopa_annotator.client.undelivered import UndeliveredConfirmations
from clopa_annotator.delta import DeltaInfo, pack_delta
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import read_result, write_job, write_result
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.types import CaseRef, EpisodeRequest, EpisodeResult, GateDecision, Split

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows neither has nor needs a flush of folders")
HASH = "ab" * 32
YES = GateDecision(True, "Promoted: better.", ("a", "b"), (0.5, 0.6), (0.7, 0.7))
NO = GateDecision(False, "Not promoted: no better.", ("a", "b"), (0.7, 0.7), (0.6, 0.7))


@pytest.fixture
def registry(tmp_path: Path) -> WeightsRegistry:
    made = WeightsRegistry(tmp_path / "weights")
    made.create(HASH, "free")
    made.add_tensors({"norm.weight": torch.ones(3)}, parent=0, parameter_group="in")
    return made


def test_a_new_registry_is_on_the_disk(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        WeightsRegistry(tmp_path / "campaign" / "weights").create(HASH, "free")
        assert calls.after_a_power_cut() == tree_of(tmp_path)
    assert calls.careless == []


def test_a_candidate_is_on_the_disk_when_it_has_its_number(registry: WeightsRegistry) -> None:
    with watched(registry.folder) as calls:
        made = registry.add_tensors({"norm.weight": torch.zeros(3)}, parent=0, parameter_group="in")
        assert calls.after_a_power_cut() == tree_of(registry.folder)
    assert made.number == 2
    assert calls.careless == []


@pytest.mark.parametrize("what", ["promote", "reject", "roll back", "take back"])
def test_a_decision_on_weights_is_on_the_disk_when_it_is_taken(registry: WeightsRegistry, what: str) -> None:
    act = {
        "promote": lambda: registry.promote(1, YES),
        "reject": lambda: registry.reject(1, NO),
        "roll back": lambda: registry.rollback(1, "Ada"),
        "take back": lambda: registry.take_back(1, NO),
    }
    if what == "take back":
        registry.promote(1, replace(YES, probation=10))
    with watched(registry.folder) as calls:
        act[what]()
        kept = calls.after_a_power_cut()
    assert kept == tree_of(registry.folder)
    assert json.loads(kept["current.json"])["version"] == (1 if what in ("promote", "roll back") else 0)
    assert calls.careless == []
    assert "open current.json" not in calls.order, "other programs read it at any moment"


def test_a_line_torn_by_a_kill_leaves_nothing_behind_the_next_one(registry: WeightsRegistry) -> None:
    file = registry.folder / "history.jsonl"
    whole = file.read_bytes()
    registry.promote(1, GateDecision(True, "Promoted: better.", tuple("abcdefgh"), (0.5,) * 8, (0.7,) * 8))
    file.write_bytes(file.read_bytes()[:-1])
    registry.rollback(0, "Ada")
    assert file.read_bytes().startswith(whole)
    assert [e.what for e in registry.history()] == ["created", "added", "rolled_back"]
    registry.rollback(1, "Ada")
    assert registry.current().number == 1, "the file can still be read and added to"


def a_job(folder: Path) -> Path:
    cases = [CaseRef(f"case {n}", 1, n, "cd" * 32, "ef" * 32, "01" * 32, f"cases/{n}") for n in (1, 2, 3)]
    request = EpisodeRequest(1, 3, Split((1, 2), (3,)), 0, "clopa-in", 7)
    parent = folder / "parent"
    parent.write_bytes(pack_delta({}, DeltaInfo(HASH, "free")))
    job = folder / "campaign" / "episodes" / "0001"
    return write_job(job, request, EpisodeSettings(), cases, folder, parent, campaign=folder / "campaign")


def test_an_order_to_train_is_on_the_disk_with_the_folders_above_it(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        job = a_job(tmp_path)
        name = job.relative_to(tmp_path).as_posix()
        kept = calls.after_a_power_cut()
    assert {f"{name}/request.json", f"{name}/parent.safetensors"} <= kept.keys(), "it says who is held out"
    assert kept[f"{name}/request.json"] == (job / "request.json").read_bytes()
    renames = [call.rpartition("/")[2] for call in calls.order if call.startswith("rename")]
    assert renames[-1] == "request.json", "a folder that has one is complete"


def test_how_an_episode_ended_is_on_the_disk_when_it_is_said(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    write_result(job, EpisodeResult(1, "finished"))
    with watched(job) as calls:
        write_result(job, EpisodeResult(1, "finished"), YES)
        assert calls.after_a_power_cut() == tree_of(job)
    assert calls.careless == []
    assert "open result.json" not in calls.order
    assert read_result(job) == (EpisodeResult(1, "finished"), YES)


def test_a_confirmation_that_waits_for_its_engine_is_on_the_disk_when_it_is_kept(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        path = UndeliveredConfirmations(tmp_path / "spool", "campaign").put("one", b"message")
        assert calls.after_a_power_cut() == {path.relative_to(tmp_path).as_posix(): b"message"}
    assert calls.careless == []
