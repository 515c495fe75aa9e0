"""Comparisons of runs whose ranking is known beforehand."""

from __future__ import annotations

import csv
import io
import json

import pytest
from report_support import NAN, write_run, write_run_with_targets

from clopa_annotator.commands.measuring import read_thresholds
from clopa_annotator.errors import DatasetError, InputError
from clopa_annotator.evaluation.compare import compare_runs, result_files


@pytest.fixture
def folders(tmp_path):
    return [
        write_run(tmp_path / "a", (0.2, 0.5, 0.6), "clopa-cn", with_pictures=False),
        write_run(tmp_path / "b", (0.2, 0.4), "clopa-in", with_pictures=False),
        write_run(tmp_path / "c", (0.2,), "static", with_pictures=False),
    ]


def test_methods_are_ranked_by_significant_wins(folders, tmp_path):
    (task,) = compare_runs(folders, tmp_path / "out").tasks
    assert [row.method for row in task.rows] == ["clopa-cn", "clopa-in", "static"]
    assert [row.ranks["dice_init"].place for row in task.rows] == [1, 2, 3]
    assert [row.ranks["dice_init"].wins for row in task.rows] == [2, 1, 0]
    # clopa-in gets to 0.4 + 0.08 + 0.3 at most: it fails as often as static does.
    assert [row.ranks["nof"].place for row in task.rows] == [1, 2, 2]
    assert [row.values["nof"] for row in task.rows] == [0, 100, 100]


def test_the_trajectory_follows_the_versions_in_use(folders, tmp_path):
    options = {"with_pictures": False, "threshold": 0.78}
    folder = write_run(tmp_path / "low", (0.2, 0.5, 0.6), **options)
    (first,) = compare_runs([folder], tmp_path / "out").tasks[0].rows
    # The first Dice is the level + 0.04 (mean over cases), and the corrections add 0.3, in the mean 0.15.
    first_dice = [0.24, 0.54, 0.54, 0.64, 0.64, 0.64]
    for metric, more in (("dice_init", 0), ("dice_nauc", 0.15), ("dice_final", 0.3)):
        values = [value + more for value in first_dice]
        assert first.trajectories[metric].values == pytest.approx(values)
        assert first.area(metric) == pytest.approx((sum(values) - (values[0] + values[-1]) / 2) / 5)
    assert first.trajectory == first.trajectories["dice_final"]
    assert first.nos == 2, "a mean final Dice of 0.84 is the first to reach 0.78"
    assert compare_runs(folders, tmp_path / "out").tasks[0].rows[0].nos == 4, "0.94 is the first above 0.9"


def test_areas_of_all_numbers_are_ranked_over_the_case_counts(folders, tmp_path):
    rows = compare_runs(folders, tmp_path / "out").tasks[0].rows
    assert set(rows[0].area_ranks) == set(rows[0].trajectories) >= {"dice_init", "dice_final", "noi", "nof"}
    # The first version comes after two of six cases; with five differing counts the smallest p is 2 / 2^5.
    assert [row.area_ranks["dice_init"].place for row in rows] == [1, 1, 1]
    text = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    assert "trajectory over the cases received" in text and text.count("| clopa-cn |") == 2
    with (tmp_path / "out" / "comparison.csv").open(encoding="utf-8") as file:
        table = {row["method"]: row for row in csv.DictReader(file)}
    assert float(table["static"]["dice_init_area"]) == pytest.approx(0.24)
    assert table["static"]["dice_init_area_place"] == "1"


def test_the_threshold_can_be_set_for_a_dataset(folders, tmp_path):
    rows = compare_runs(folders, tmp_path / "out", expert_dice={"Blocks": 0.5}).tasks[0].rows
    assert all(row.values["nof"] == 0 for row in rows[:2]) and rows[0].nos == 0
    with pytest.raises(InputError, match="no run on Tubes"):
        compare_runs(folders, tmp_path / "out", expert_dice={"Tubes": 0.5})
    assert read_thresholds(["a=b=0.91", "c=1"]) == {"a=b": 0.91, "c": 1.0}
    for text in ("0.9", "=0.9", "a=good", "a=1.2"):
        with pytest.raises(InputError, match="NAME=DICE"):
            read_thresholds([text])


def test_significance_can_be_corrected_for_the_number_of_pairs(folders, tmp_path):
    plain, corrected = (compare_runs(folders, tmp_path / "out", corrected=c).tasks[0] for c in (False, True))
    assert (plain.alpha, corrected.alpha) == (0.05, pytest.approx(0.05 / 3))
    # Nine cases that all differ: p = 2 / 2^9 = .004 stays significant.
    assert [r.ranks["dice_init"].place for r in corrected.rows] == [1, 2, 3]
    assert "p < 0.0167, corrected" in (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    many = [write_run(tmp_path / str(n), (0.2 + n / 100,), f"m{n}", with_pictures=False) for n in range(8)]
    best = compare_runs(many, tmp_path / "out", corrected=True).tasks[0].rows[0]
    assert best.ranks["dice_init"].wins == 0, "28 pairs: a level of .0018"


def test_runs_average_numbers_and_not_curves(tmp_path):
    """One run gets there and one does not: their mean curve would get there late, no run did."""
    folders = [
        write_run(tmp_path / "a1", (0.2, 0.7), with_pictures=False),
        write_run(tmp_path / "a2", (0.2, 0.3), with_pictures=False),
    ]
    (row,) = compare_runs(folders, tmp_path / "out").tasks[0].rows
    assert row.values["nof"] == 50


def test_all_files_are_written_and_hold_the_same_numbers(folders, tmp_path):
    comparison = compare_runs(folders, tmp_path / "out")
    written = {p.name: p.read_text(encoding="utf-8") for p in (tmp_path / "out").iterdir()}
    assert set(written) == {"comparison.md", "comparison.csv", "comparison.html", "trajectory-1.svg"}
    assert written["comparison.md"] == comparison.markdown
    (row,) = [r for r in csv.DictReader(io.StringIO(written["comparison.csv"])) if r["method"] == "clopa-cn"]
    assert float(row["dice_init"]) == pytest.approx(0.64)
    assert (row["dice_init_place"], row["dice_init_wins"], row["nos"]) == ("1", "2", "4")
    assert "| clopa-cn | 1 | **0.640 (1)** |" in comparison.markdown
    assert "| static | 1 | 0.240 (3) |" in comparison.markdown
    assert 'class="best">0.640 (1)' in written["comparison.html"] and "<svg" in written["comparison.html"]
    assert "clopa-cn ranks first on Blocks" in written["comparison.html"]
    assert "var(--" not in written["trajectory-1.svg"]
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_runs_of_one_strategy_are_permutations_and_averaged_before_ranking(tmp_path):
    folders = [
        write_run(tmp_path / "a1", (0.2, 0.4), with_pictures=False),
        write_run(tmp_path / "a2", (0.2, 0.6), with_pictures=False),
    ]
    (row,) = compare_runs(folders, tmp_path / "out").tasks[0].rows
    assert (row.runs, row.n) == (2, 9)
    assert row.values["dice_init"] == pytest.approx(0.5 + 0.04)
    assert row.trajectories["dice_nauc"].values[1] == pytest.approx(0.5 + 0.19)


def test_runs_on_different_datasets_are_different_tasks(tmp_path):
    folders = [
        write_run(tmp_path / "a", with_pictures=False),
        write_run(tmp_path / "b", with_pictures=False, dataset="Tubes"),
    ]
    comparison = compare_runs(folders, tmp_path / "out")
    assert [task.name for task in comparison.tasks] == ["Blocks", "Tubes"]
    assert (tmp_path / "out" / "trajectory-2.svg").exists()


def test_evaluations_have_no_trajectory_and_may_lack_a_threshold(tmp_path):
    options = {"command": "evaluate", "episodes": (), "n_stream": 0, "threshold": NAN, "with_pictures": False}
    folders = [
        write_run(tmp_path / "a", (0.4,), "static", **options),
        write_run(tmp_path / "b", (0.6,), "clopa-in", **options),
    ]
    comparison = compare_runs(folders, tmp_path / "out")
    assert [r.method for r in comparison.tasks[0].rows] == ["clopa-in", "static"]
    assert comparison.tasks[0].rows[0].trajectory is None
    assert "nof" not in comparison.tasks[0].rows[0].ranks
    assert not list((tmp_path / "out").glob("*.svg"))


def test_what_cannot_be_paired_is_refused(tmp_path):
    run = write_run(tmp_path / "a", with_pictures=False)
    other = write_run(tmp_path / "b", with_pictures=False, n_test=5, strategy="static")
    with pytest.raises(InputError, match="different cases"):
        compare_runs([run, other], tmp_path / "out")
    untested = write_run(tmp_path / "c", (0.2,), with_pictures=False, n_test=0)
    with pytest.raises(InputError, match="no test cases"):
        compare_runs([untested], tmp_path / "out")
    with pytest.raises(InputError, match="at least one"):
        compare_runs([], tmp_path / "out")
    with pytest.raises(DatasetError):
        compare_runs([tmp_path / "nothing"], tmp_path / "out")


def test_models_tell_methods_apart_where_several_occur(tmp_path):
    from dataclasses import replace

    from clopa_annotator.evaluation.tables import read_summary, write_summary

    first = write_run(tmp_path / "a", with_pictures=False)
    second = write_run(tmp_path / "b", (0.2, 0.3), with_pictures=False)
    write_summary(second, replace(read_summary(second), model="large"))
    rows = compare_runs([first, second], tmp_path / "out").tasks[0].rows
    assert [row.method for row in rows] == ["clopa-cn · tiny", "clopa-cn · large"]


def test_each_target_is_a_table_of_its_own(tmp_path):
    own = write_run_with_targets(tmp_path / "own", {"liver": (0.2, 0.6), "spleen": (0.3, 0.4)})
    joint = write_run_with_targets(tmp_path / "joint", {"liver": (0.2, 0.5)}, "clopa-joint")
    liver, spleen = compare_runs([own, joint], tmp_path / "out").tasks
    assert (liver.name, spleen.name) == ("Blocks · liver", "Blocks · spleen")
    assert [row.method for row in liver.rows] == ["clopa-cn · 2 targets", "clopa-joint · alone"]
    assert [row.values["dice_init"] for row in liver.rows] == pytest.approx([0.64, 0.54])
    assert [row.method for row in spleen.rows] == ["clopa-cn"]
    assert set(result_files([own, joint])) >= {p.name for p in (tmp_path / "out").iterdir()}


def test_a_target_is_compared_with_a_campaign_that_had_it_alone(tmp_path):
    own = write_run_with_targets(tmp_path / "own", {"liver": (0.2, 0.6), "spleen": (0.3, 0.4)})
    alone = write_run(tmp_path / "alone", (0.2, 0.5), with_pictures=False)
    (task,) = compare_runs([own, alone], tmp_path / "out", "liver").tasks
    assert {row.method: row.values["dice_init"] for row in task.rows} == {
        "clopa-cn · 2 targets": pytest.approx(0.64),
        "clopa-cn · alone": pytest.approx(0.54),
    }
    with pytest.raises(InputError, match="no target 'pancreas'; it has liver, spleen"):
        compare_runs([own], tmp_path / "out", "pancreas")
