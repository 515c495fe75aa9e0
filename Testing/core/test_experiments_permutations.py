"""Permutations of a stream: the same unseen cases and numbers again, work that is shared and resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_campaign
from tiny_campaign import make_episodes_tiny

import clopa_annotator.experiments.measurement as measurement
import clopa_annotator.experiments.simulation as simulation
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.compare import compare_runs
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.tables import read_clicks, read_summary
from clopa_annotator.experiments.permutations import StreamPlan, Unit, permuted, run_units
from clopa_annotator.experiments.result_cache import ResultCache
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.types import BoxPrompt, PointPrompt, TimedPrompt

model_folder, dataset = tiny_campaign.model_folder, tiny_campaign.dataset


@pytest.fixture
def unit(tmp_path: Path, dataset: MsdDataset, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    make_episodes_tiny(monkeypatch)
    plan = StreamPlan(str(dataset.folder), limit=5, test_limit=2)
    settings = SimulationSettings(str(model_folder), "clopa-in", clicks=1, device="cpu", report=False)
    return Unit(plan, settings, 0, str(tmp_path / "0"), str(tmp_path / "recall"))


@pytest.fixture
def short(unit: Unit) -> Unit:
    """A stream too short for an episode."""
    settings = replace(unit.settings, strategy="static")
    return replace(unit, settings=settings, stream=replace(unit.stream, limit=1, test_limit=1))


def dice_of(folder: str) -> list[tuple[str, int, int, float]]:
    return [(row.part + row.case, row.version, row.click, row.dice) for row in read_clicks(Path(folder))]


def test_permutations_share_cases_and_unseen_cases_and_differ_in_order(dataset: MsdDataset) -> None:
    plan = StreamPlan(str(dataset.folder), limit=6, test_limit=2)
    first, other, again = plan.draw(0), plan.draw(1), plan.draw(1)
    assert first[1] == other[1] and sorted(c.case_id for c in first[0]) == sorted(c.case_id for c in other[0])
    assert first[0] != other[0] and other == again
    assert permuted(first[0], 0, 0) == first[0]


def test_a_second_strategy_takes_equal_curves_and_episodes_from_the_first(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_units([unit])

    def never(*_: object, **__: object) -> None:
        raise AssertionError("this work was done before")

    monkeypatch.setattr(simulation, "run_episode_job", never)
    monkeypatch.setattr(measurement, "run_case", never)
    twin = replace(unit, settings=replace(unit.settings, strategy="clopa-2phase"), out=unit.out + "-2phase")
    run_units([twin])
    assert dice_of(unit.out) == dice_of(twin.out), "the curriculum begins with the episode of clopa-in"
    assert read_summary(Path(twin.out)).strategy == "clopa-2phase"


def test_without_shared_work_the_numbers_are_the_same(unit: Unit) -> None:
    alone = replace(unit, recall="", out=unit.out + "-alone")
    run_units([unit, alone])
    assert dice_of(unit.out) == dice_of(alone.out)


def test_a_killed_run_goes_on_and_a_finished_one_is_left_alone(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = measurement.run_case, []

    def dies_in_the_test(*args: object, **keywords: object) -> CaseCurve:
        calls.append(keywords["case_id"])
        if len(calls) == 7:
            raise KeyboardInterrupt
        return real(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(measurement, "run_case", dies_in_the_test)
    with pytest.raises(KeyboardInterrupt):
        run_units([unit])
    assert not unit.finished
    before = len(calls)
    run_units([unit])
    assert unit.finished and calls[before:] == [calls[6], *calls[before + 1 :]]
    assert len(calls) - before < 6, "what was measured before the kill is not measured again"
    written = (Path(unit.out) / "summary.json").stat().st_mtime_ns
    run_units([unit])
    assert (Path(unit.out) / "summary.json").stat().st_mtime_ns == written


def test_a_folder_with_other_settings_is_refused_unless_it_may_be_replaced(short: Unit) -> None:
    unit = short
    run_units([unit])
    other = replace(unit, settings=replace(unit.settings, clicks=2))
    with pytest.raises(ConfigError, match="other settings"):
        run_units([other])
    run_units([replace(other, settings=replace(other.settings, overwrite=True))])
    assert read_summary(Path(unit.out)).clicks == 2
    with pytest.raises(ConfigError, match="same folder"):
        run_units([unit, unit])


def test_a_trajectory_needs_the_base_and_every_version_that_was_in_use(unit: Unit, tmp_path: Path) -> None:
    only_last = replace(unit, settings=replace(unit.settings, test_versions="last"), out=unit.out + "-last")
    run_units([unit, only_last])
    (task,) = compare_runs([Path(unit.out), Path(only_last.out)], tmp_path / "both").tasks
    assert task.rows[0].runs == 2 and task.rows[0].trajectory is not None
    tested = {row.version for row in read_clicks(Path(only_last.out)) if row.part == "test"}
    assert len(tested) == 1


def test_variants_of_one_strategy_are_methods_of_their_own(short: Unit, tmp_path: Path) -> None:
    settings = replace(short.settings, strategy="static", first_prompt="box", variant="box first")
    boxed = replace(short, settings=settings, out=short.out + "-box")
    plain = replace(short, settings=replace(short.settings, strategy="static"), out=short.out + "-static")
    run_units([boxed, plain])
    (task,) = compare_runs([Path(boxed.out), Path(plain.out)], tmp_path / "both").tasks
    assert {row.method for row in task.rows} == {"static", "static · box first"}


def test_the_box_of_evosam_comes_first_in_the_stream(short: Unit) -> None:
    settings = replace(short.settings, strategy="evosam")
    run_units([replace(short, settings=settings)])
    from clopa_annotator.cache.campaign_store import CampaignStore

    with CampaignStore.open(Path(short.out) / "campaign", writer=False) as store:
        (ref,) = store.confirmed()
        assert store.record(ref).prompts[0].prompt.kind.value == "box"


def test_a_kept_curve_comes_back_as_it_was(tmp_path: Path) -> None:
    prompts = (
        TimedPrompt(PointPrompt((1, 2, 3), False), 0.5),
        TimedPrompt(BoxPrompt(((1, 2), (3, 5), (0, 4))), 0.0),
    )
    curve = CaseCurve("c", 1, 2, (0.1, 0.2), (float("nan"), 0.3), (0.5, 0.0), 1, prompts)
    recall = ResultCache(tmp_path)
    kept = recall.curve({"a": 1}, lambda: curve)
    back = recall.curve({"a": 1}, lambda: pytest.fail("computed twice"))  # type: ignore[arg-type,return-value]
    assert kept is curve and back.prompts == prompts
    assert (back.case_id, back.run, back.version, back.dice, back.used) == ("c", 1, 2, (0.1, 0.2), 1)
