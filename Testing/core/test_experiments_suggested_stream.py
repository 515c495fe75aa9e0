"""A simulated stream with suggestions: made before each case, compared after it, in the order asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_campaign import make_episodes_tiny, tiny_dataset, tiny_model_folder

from clopa_annotator.datasets import MsdDataset
from clopa_annotator.datasets.three_structures import StructureSpec, write_structure_dataset
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.suggestion_rows import SuggestionRow
from clopa_annotator.evaluation.tables import read_cases, read_rows, read_summary
from clopa_annotator.experiments.permutations import _Log
from clopa_annotator.experiments.run_folder import RunFolder
from clopa_annotator.experiments.simulation import run_simulation
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.experiments.suggested_stream import SuggestedStream
from clopa_annotator.experiments.target_labels import TargetLabel
from clopa_annotator.suggestions.scores import CHOSEN
from clopa_annotator.suggestions.suggestion_folder import FOLDER, SuggestionFolder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"), n=8)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_episodes_tiny(patch)
        yield


def simulated(model: Path, dataset: MsdDataset, out: Path, **changes: object) -> Path:
    values: dict[str, object] = {"strategy": "clopa-cn", "clicks": 0, "device": "cpu", "report": False}
    settings = SimulationSettings(str(model), **{**values, **changes})  # type: ignore[arg-type]
    run_simulation(dataset[:7], dataset[7:], settings, out, _Log(""))
    return out


@pytest.fixture(scope="module")
def run(model_folder: Path, dataset: MsdDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        make_episodes_tiny(patch)
        return simulated(model_folder, dataset, tmp_path_factory.mktemp("run") / "out")


def test_every_case_gets_a_suggestion_and_tells_how_good_it_was(run: Path) -> None:
    rows = read_rows(run / "suggestions.csv", SuggestionRow)
    cases = [c for c in read_cases(run) if c.part == "stream"]
    assert [r.case for r in rows] == [c.case for c in cases] and len(rows) == 7
    assert [r.dice for r in rows] == pytest.approx([c.dice_zero for c in cases])
    assert all(math.isnan(r.expected) for r in rows[:5]), "not known yet"
    assert all(r.low <= r.expected <= r.high and r.cases >= 5 for r in rows[5:])
    outcomes = SuggestionFolder(run / "campaign").outcomes()
    assert [(o.subject.case_id, o.dice) for o in outcomes] == [(r.case, r.dice) for r in rows]


def test_the_summary_says_what_the_weights_give_without_a_click(run: Path) -> None:
    summary = read_summary(run)
    assert summary.suggestions.n == 7 and summary.suggestions.known == 2
    assert 0 <= summary.suggestions.dice <= 1 and 0 <= summary.suggestions.coverage <= 1
    for row in json.loads((run / "summary.json").read_text())["test"]:
        assert 0 <= row["dice_zero"] <= 1 and "nsd_zero" in row


def test_episodes_train_without_a_prompt_unless_told_not_to(
    run: Path, model_folder: Path, dataset: MsdDataset, tmp_path: Path
) -> None:
    plain = simulated(model_folder, dataset, tmp_path / "plain", suggestions=False)
    settings = json.loads((plain / "campaign" / "episodes" / "0001" / "request.json").read_text())["settings"]
    assert settings["unprompted"] == 0
    assert not (plain / "campaign" / FOLDER).exists()
    summary = read_summary(plain)
    assert summary.suggestions.n == 0 and math.isnan(summary.test[0].dice_zero)


@pytest.mark.parametrize("order", ["least-certain", "random"])
def test_an_order_takes_each_case_once(
    run: Path, model_folder: Path, dataset: MsdDataset, tmp_path: Path, order: str
) -> None:
    found = simulated(model_folder, dataset, tmp_path / order, order=order, unprompted=0.5)
    settings = json.loads((found / "campaign" / "episodes" / "0001" / "request.json").read_text())["settings"]
    assert settings["unprompted"] == 0.5
    rows = read_rows(found / "suggestions.csv", SuggestionRow)
    added = [r.case for r in read_rows(run / "suggestions.csv", SuggestionRow)]
    assert sorted(r.case for r in rows) == sorted(added)
    if order == "random":
        assert [r.case for r in rows] != added
        return
    learned = [r for r in rows if r.version > 0]
    if learned:  # the gate may refuse what two updates of a random network give
        same = [r.score for r in learned if r.version == learned[0].version]
        assert same[0] == min(same)


def test_overwriting_removes_the_suggestions_of_the_run_before(run: Path) -> None:
    folder = RunFolder(run, "simulate")
    folder.begin(overwrite=True)
    assert not (run / "campaign").exists() and not (run / "suggestions.csv").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"order": "best"}, "no order"),
        ({"order": "least-certain", "suggestions": False}, "needs suggestions"),
    ],
)
def test_an_order_that_cannot_be_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SimulationSettings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "version", "taken"),
    [
        ("least-certain", 1, ["b", "c", "a"]),
        ("most-certain", 1, ["a", "c", "b"]),
        ("most-certain", 0, ["a", "b", "c"]),
        ("added", 1, ["a", "b", "c"]),
    ],
)
def test_the_next_case_is_the_surest_or_the_least_sure_once_something_is_learned(
    order: str, version: int, taken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = {"a": 0.9, "b": 0.2, "c": 0.5}
    current = SimpleNamespace(number=version)
    line = SimpleNamespace(registry=SimpleNamespace(current=lambda: current))
    settings = SimulationSettings(order=order)  # type: ignore[arg-type]
    run = SimpleNamespace(line=line, settings=settings)
    cases = [SimpleNamespace(case_id=name, part=None) for name in "abc"]
    stream = SuggestedStream(SimpleNamespace(folder=tmp_path), [cases], [run])  # type: ignore[arg-type]
    monkeypatch.setattr(
        stream, "_suggestion", lambda _, case: SimpleNamespace(scores={CHOSEN: sure[case.case_id]})
    )
    assert list(stream.case_ids()) == taken


def test_of_several_targets_each_has_suggestions_of_its_own_and_several_of_a_kind_have_none(
    model_folder: Path, tmp_path: Path
) -> None:
    labelled = write_structure_dataset(tmp_path / "data", 2, StructureSpec((18, 20, 22)), seed=1)
    targets = (TargetLabel("ball", 1), TargetLabel("lumps", 2, several=True))
    settings = SimulationSettings(str(model_folder), strategy="static", clicks=0, device="cpu", report=False)
    run_simulation(labelled[:1], labelled[1:], settings, tmp_path / "out", _Log(""), targets=targets)
    rows = read_rows(tmp_path / "out" / "suggestions.csv", SuggestionRow)
    assert [(row.target, row.order) for row in rows] == [("ball", 1)]
    outcomes = SuggestionFolder(tmp_path / "out" / "campaign").outcomes()
    assert [o.subject.target for o in outcomes] == [""]
