"""The weights registry: lineage, rollback to any version, and whole after a kill at any moment."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clopa_annotator import durable
from clopa_annotator.delta import DeltaInfo, pack_delta
from clopa_annotator.errors import CorruptRecord, DeltaMismatch, RegistryError, StorageFull, UnknownVersion
from clopa_annotator.registry.pointer import write_pointer
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.types import EpisodeResult, GateDecision, WeightsVersion

HASH = "ab" * 32
YES = GateDecision(True, "Promoted: better.", ("a", "b"), (0.5, 0.6), (0.7, 0.7))
NO = GateDecision(False, "Not promoted: no better.", ("a", "b"), (0.7, 0.7), (0.6, 0.7))


def delta_bytes(value: float, model_hash: str = HASH) -> bytes:
    info = DeltaInfo(model_hash, "CC BY-NC-SA 4.0", "in", 0, 1, 3, "0.1.0")
    return pack_delta({"norm.weight": torch.full((3,), value), "norm.bias": torch.zeros(3)}, info)


def an_episode(folder: Path, number: int, model_hash: str = HASH) -> EpisodeResult:
    path = folder / f"episode {number}.safetensors"
    path.write_bytes(delta_bytes(float(number), model_hash))
    return EpisodeResult(number, "finished", delta_path=path, updates=10, best_epoch=2)


def add(registry: WeightsRegistry, folder: Path, number: int, parent: int = 0) -> WeightsVersion:
    return registry.add_candidate(
        an_episode(folder, number), parent=parent, parameter_group="in", case_hashes=("c1", "c2"), seed=3
    )


@pytest.fixture
def registry(tmp_path: Path) -> WeightsRegistry:
    made = WeightsRegistry(tmp_path / "weights ü")
    made.create(HASH, "CC BY-NC-SA 4.0")
    return made


def test_a_new_registry_has_the_untouched_base(registry: WeightsRegistry) -> None:
    assert registry.current() == registry.base
    assert registry.base.number == 0
    assert registry.base.parent is None
    assert registry.delta_path(0) is None
    assert registry.delta_tensors(0) == {}


def test_creating_twice_keeps_the_first_and_refuses_another_base(registry: WeightsRegistry) -> None:
    assert registry.create(HASH, "CC BY-NC-SA 4.0") == registry.base
    with pytest.raises(RegistryError, match="another base"):
        registry.create("cd" * 32, "MIT")


def test_a_candidate_has_its_lineage_and_the_bases_licence(registry: WeightsRegistry, tmp_path: Path) -> None:
    first = add(registry, tmp_path, 1)
    assert (first.number, first.parent, first.episode) == (1, 0, 1)
    assert (first.model_hash, first.licence) == (HASH, "CC BY-NC-SA 4.0")
    assert first.case_hashes == ("c1", "c2")
    assert (first.parameter_group, first.seed) == ("in", 3)
    assert registry.version(1) == first
    assert registry.current().number == 0
    assert torch.equal(registry.delta_tensors(1)["norm.weight"], torch.ones(3))


def test_the_licence_is_in_the_delta_file_itself(registry: WeightsRegistry, tmp_path: Path) -> None:
    from safetensors import safe_open

    add(registry, tmp_path, 1)
    with safe_open(registry.delta_path(1), framework="np") as file:
        assert file.metadata()["licence"] == "CC BY-NC-SA 4.0"


def test_taking_an_episode_over_twice_gives_one_version(registry: WeightsRegistry, tmp_path: Path) -> None:
    assert add(registry, tmp_path, 1) == add(registry, tmp_path, 1)
    assert [v.number for v in registry.versions()] == [0, 1]


def test_promotion_rejection_and_rollback_decide_what_is_current(
    registry: WeightsRegistry, tmp_path: Path
) -> None:
    add(registry, tmp_path, 1)
    assert registry.promote(1, YES).decision == YES
    add(registry, tmp_path, 2, parent=1)
    assert registry.reject(2, NO).decision == NO
    assert registry.current().number == 1
    for number in (2, 0, 1):
        assert registry.rollback(number, "Dr. Ä").number == number
        assert WeightsRegistry(registry.folder).current().number == number
        assert json.loads((registry.folder / "current.json").read_text())["version"] == number
    assert [(e.what, e.version) for e in registry.history()] == [
        ("created", 0),
        ("added", 1),
        ("promoted", 1),
        ("added", 2),
        ("rejected", 2),
        ("rolled_back", 2),
        ("rolled_back", 0),
        ("rolled_back", 1),
    ]
    assert registry.history()[-1].by == "Dr. Ä"


def test_weights_that_no_episode_made_can_be_added(registry: WeightsRegistry) -> None:
    made = registry.add_tensors({"norm.weight": torch.ones(3)}, parent=0, parameter_group="all")
    assert made.episode is None
    assert torch.equal(registry.delta_tensors(made.number)["norm.weight"], torch.ones(3))


def test_decisions_that_contradict_the_call_are_refused(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    with pytest.raises(RegistryError, match="cannot be promoted"):
        registry.promote(1, NO)
    with pytest.raises(RegistryError, match="cannot be rejected"):
        registry.reject(1, YES)
    with pytest.raises(RegistryError, match="base cannot be promoted"):
        registry.promote(0, YES)
    assert registry.current().number == 0


def test_unknown_versions_and_foreign_or_unfinished_weights_are_refused(
    registry: WeightsRegistry, tmp_path: Path
) -> None:
    with pytest.raises(UnknownVersion):
        registry.rollback(9, "me")
    with pytest.raises(DeltaMismatch, match="another base"):
        registry.add_candidate(an_episode(tmp_path, 1, "cd" * 32), parent=0, parameter_group="in")
    broken = an_episode(tmp_path, 1)
    assert broken.delta_path is not None
    broken.delta_path.write_bytes(b"no delta")
    with pytest.raises(DeltaMismatch):
        registry.add_candidate(broken, parent=0, parameter_group="in")
    with pytest.raises(RegistryError, match="cancelled"):
        registry.add_candidate(replace(broken, status="cancelled"), parent=0, parameter_group="in")
    assert [v.number for v in registry.versions()] == [0]


def test_a_flipped_bit_in_a_delta_is_found_and_never_becomes_current(
    registry: WeightsRegistry, tmp_path: Path
) -> None:
    add(registry, tmp_path, 1)
    path = registry.delta_path(1)
    assert path is not None
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptRecord, match="version 1 are damaged"):
        registry.promote(1, YES)
    with pytest.raises(CorruptRecord):
        registry.rollback(1, "me")
    assert registry.current().number == 0


def test_a_damaged_record_is_left_out_and_the_rest_goes_on(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    add(registry, tmp_path, 2)
    record = registry.folder / "versions" / "0001" / "version.json"
    record.write_text(record.read_text().replace('"seed": 3', '"seed": 4'))
    assert [v.number for v in registry.versions()] == [0, 2]
    with pytest.raises(CorruptRecord):
        registry.version(1)
    assert add(registry, tmp_path, 3).number == 3


def test_a_torn_last_line_of_the_history_does_not_count(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    file = registry.folder / "history.jsonl"
    whole = file.read_bytes()
    registry.promote(1, YES)
    promoted = file.read_bytes()
    for cut in range(len(whole), len(promoted)):
        file.write_bytes(promoted[:cut])
        assert WeightsRegistry(registry.folder).current().number == 0
    registry.rollback(1, "me")
    assert [e.what for e in registry.history()] == ["created", "added", "rolled_back"]


def test_a_changed_line_of_the_history_is_found(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    registry.promote(1, YES)
    file = registry.folder / "history.jsonl"
    file.write_text(file.read_text().replace('"promoted"', '"rejected"'))
    with pytest.raises(CorruptRecord, match="Line 3"):
        registry.current()


def test_threads_that_bring_the_pointer_up_to_date_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def write(number: int) -> None:
        try:
            for _ in range(30):
                write_pointer(tmp_path / "current.json", number)
        except Exception as error:  # noqa: BLE001 - a thread's failure has to reach the test
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_pointer_left_behind_is_brought_up_to_date(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    registry.promote(1, YES)
    (registry.folder / "current.json").write_text('{"version"')
    assert registry.current().number == 1
    assert json.loads((registry.folder / "current.json").read_text())["version"] == 1


def test_a_full_disk_leaves_the_registry_as_it_was(
    registry: WeightsRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, tmp_path, 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(StorageFull):
        add(registry, tmp_path, 2)
    monkeypatch.undo()
    assert [v.number for v in registry.versions()] == [0, 1]
    assert add(registry, tmp_path, 2).number == 2


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the program catches it."""


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """Ends the block at its n-th step on the file system."""
    calls = 0

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise Killed
            return function(*args, **keywords)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "open"):
            patch.setattr(durable.os, name, deadly(getattr(os, name)))
        for name in ("replace", "rename", "mkdir", "open"):
            patch.setattr(Path, name, deadly(getattr(Path, name)))
        yield


def test_a_kill_at_any_step_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    result = an_episode(tmp_path, 1)
    seen = set()
    for step in range(1, 1000):
        registry = WeightsRegistry(tmp_path / f"weights {step}")
        registry.create(HASH, "free")
        survived = False
        try:
            with killed_at(step):
                registry.add_candidate(result, parent=0, parameter_group="in")
                registry.promote(1, YES)
                survived = True
        except Killed:
            pass
        state = (len(registry.versions()), registry.current().number)
        assert state in {(1, 0), (2, 0), (2, 1)}
        seen.add(state)
        # Doing it again completes it, whatever was left behind.
        assert registry.add_candidate(result, parent=0, parameter_group="in").number == 1
        assert registry.promote(1, YES).number == registry.current().number == 1
        if survived:
            break
    assert survived
    assert step > 15
    assert seen == {(1, 0), (2, 0), (2, 1)}
