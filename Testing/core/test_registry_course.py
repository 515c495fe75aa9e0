"""What becomes of versions: on probation, confirmed, taken back, replaced, chosen; whole after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import test_registry
from test_registry import HASH, YES, Killed, add, killed_at

from clopa_annotator.errors import CorruptRecord, RegistryError
from clopa_annotator.registry.files import sealed
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.types import GateDecision

registry = test_registry.registry
ON_PROBATION = replace(YES, probation=10)
KEPT = GateDecision(True, "Confirmed: better.", ("c",), (0.5,), (0.6,))
LOST = GateDecision(False, "Taken back: worse.", ("c",), (0.5,), (0.3,))


def test_a_version_on_probation_is_confirmed_or_taken_back(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    assert registry.probation() is None
    assert registry.promote(1, ON_PROBATION).standing == "on probation"
    assert registry.probation() == (1, 0)
    confirmed = registry.confirm(1, KEPT)
    assert (confirmed.standing, confirmed.verdict, confirmed.decision) == ("confirmed", KEPT, ON_PROBATION)
    assert registry.probation() is None and registry.current().number == 1
    add(registry, tmp_path, 2, parent=1)
    registry.promote(2, ON_PROBATION)
    assert registry.probation() == (2, 1)
    assert registry.take_back(2, LOST).number == 1 == WeightsRegistry(registry.folder).current().number
    assert json.loads((registry.folder / "current.json").read_text())["version"] == 1
    assert (registry.version(2).standing, registry.version(2).verdict) == ("taken back", LOST)
    assert [e.what for e in registry.history()][-2:] == ["promoted", "taken_back"]
    assert registry.history()[-1].to == 1


def test_a_persons_choice_ends_a_probation_and_wins(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    registry.promote(1, ON_PROBATION)
    registry.rollback(1, "lead")
    assert registry.probation() is None and registry.version(1).standing == "chosen"
    with pytest.raises(RegistryError, match="not on probation"):
        registry.take_back(1, LOST)
    assert registry.current().number == 1
    add(registry, tmp_path, 2, parent=1)
    registry.promote(2, ON_PROBATION)
    registry.rollback(0, "lead")
    assert registry.version(2).standing == "replaced" and registry.probation() is None
    registry.rollback(2, "lead")
    assert registry.version(2).standing == "chosen", "and back by hand, whatever the cases say"


def test_a_version_that_replaces_one_on_probation_has_to_beat_the_settled_one(
    registry: WeightsRegistry, tmp_path: Path
) -> None:
    for number in (1, 2):
        add(registry, tmp_path, number, parent=number - 1)
        registry.promote(number, ON_PROBATION)
    assert registry.version(1).standing == "replaced"
    assert registry.probation() == (2, 0)
    assert registry.take_back(2, LOST).number == 0


def test_a_verdict_on_a_version_that_is_not_in_use_any_more_is_refused(
    registry: WeightsRegistry, tmp_path: Path
) -> None:
    for number in (1, 2):
        add(registry, tmp_path, number, parent=number - 1)
        registry.promote(number, ON_PROBATION)
    before = registry.history()
    for late in (lambda: registry.take_back(1, LOST), lambda: registry.confirm(1, KEPT)):
        with pytest.raises(RegistryError, match="not on probation any more"):
            late()
    assert registry.history() == before and registry.probation() == (2, 0)


def test_damaged_weights_are_not_returned_to(registry: WeightsRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, 1)
    registry.promote(1, YES)
    add(registry, tmp_path, 2, parent=1)
    registry.promote(2, ON_PROBATION)
    path = registry.delta_path(1)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptRecord, match="version 1 are damaged"):
        registry.take_back(2, LOST)
    assert registry.probation() == (2, 1) and registry.history()[-1].what == "promoted"


def test_what_an_earlier_program_promoted_has_nothing_to_prove(
    registry: WeightsRegistry, tmp_path: Path
) -> None:
    add(registry, tmp_path, 1)
    registry.promote(1, YES)
    assert registry.version(1).standing == "promoted" and registry.probation() is None
    manifest = registry.folder / "registry.json"
    old = json.loads(manifest.read_text())
    del old["check"]
    manifest.write_bytes(sealed({**old, "format": "clopa-weights/1"}))
    assert WeightsRegistry(registry.folder).current().number == 1
    assert '"to"' not in (registry.folder / "history.jsonl").read_text()


def test_a_kill_between_take_back_and_pointer_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    seen = set()
    for step in range(1, 1000):
        registry = WeightsRegistry(tmp_path / f"weights {step}")
        registry.create(HASH, "free")
        add(registry, tmp_path, 1)
        registry.promote(1, ON_PROBATION)
        survived = False
        try:
            with killed_at(step):
                registry.take_back(1, LOST)
                survived = True
        except Killed:
            pass
        again = WeightsRegistry(registry.folder)
        state = (again.probation(), again.current().number)
        assert state in {((1, 0), 1), (None, 0)}
        assert json.loads((registry.folder / "current.json").read_text())["version"] == again.current().number
        seen.add(state)
        if again.probation():
            assert again.take_back(1, LOST).number == 0
        if survived:
            break
    assert survived and step > 5
    assert seen == {((1, 0), 1), (None, 0)}
