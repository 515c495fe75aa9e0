"""Orders of cases side by side: per case annotated, averaged over permutations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from report_support import write_run, write_run_with_targets

from clopa_annotator.errors import DatasetError, InputError
from clopa_annotator.evaluation.campaigns.orders import (
    OrderRow,
    compare_orders,
    result_files,
)
from clopa_annotator.evaluation.compare import compare_runs
from clopa_annotator.evaluation.figures import running_mean
from clopa_annotator.evaluation.tables import read_rows


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two permutations as added, one with the least certain first, which ends better."""
    plain = {"with_pictures": False}
    return [
        write_run(tmp_path / "a0", (0.2, 0.6), order="added", **plain),
        write_run(tmp_path / "a1", (0.4, 0.6), order="added", permutation=1, **plain),
        write_run(tmp_path / "l0", (0.2, 0.7), order="least-certain", **plain),
    ]


def test_every_order_has_a_row_per_case_annotated(runs: list[Path], tmp_path: Path) -> None:
    rows = compare_orders(runs, tmp_path / "out")
    assert [(r.order, r.annotated) for r in rows] == [
        *(("added", n) for n in range(1, 7)),
        *(("least-certain", n) for n in range(1, 7)),
    ]
    first, fourth = rows[0], rows[3]
    assert (first.runs, rows[6].runs) == (2, 1)
    assert first.dice_first == pytest.approx((0.2 + 0.4) / 2)
    assert (first.corrections, fourth.corrections) == (3, 12), "corrections so far"
    assert fourth.dice_first == pytest.approx(0.33), "of the fourth case, over both permutations"
    assert first.test_first == pytest.approx((0.24 + 0.44) / 2), "the base, before the episode after 2 cases"
    assert fourth.test_first == pytest.approx(0.64) and rows[9].test_first == pytest.approx(0.74)
    assert read_rows(tmp_path / "out" / "orders.csv", OrderRow)[:2] == rows[:2] or math.isnan(first.dice_zero)


def test_the_means_are_told_and_the_curves_drawn(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    compare_orders(runs, out)
    assert (
        {p.name for p in out.iterdir()}
        == set(result_files(runs))
        == {
            "orders.csv",
            "orders.md",
            "orders-1.svg",
        }
    )
    text = (out / "orders.md").read_text()
    added, least = (line for line in text.splitlines() if line.startswith(("| added", "| least-certain")))
    assert added.split(" | ")[1:5] == ["2", "–", "0.325", "3.00"]
    assert least.endswith("| 0.740 | 1.000 |")
    svg = (out / "orders-1.svg").read_text()
    assert "least certain first" in svg and "unseen cases" in svg and "var(" not in svg


def test_targets_are_compared_each_for_itself(tmp_path: Path) -> None:
    runs = [
        write_run_with_targets(tmp_path / order, {"liver": (0.2, 0.6), "vessel": (0.1, 0.3)})
        for order in ("one", "two")
    ]
    rows = compare_orders(runs, tmp_path / "out")
    assert {row.target for row in rows} == {"liver", "vessel"}
    assert {"orders-1.svg", "orders-2.svg"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert "## vessel" in (tmp_path / "out" / "orders.md").read_text()


def test_streams_of_different_lengths_are_refused(runs: list[Path], tmp_path: Path) -> None:
    longer = write_run(tmp_path / "longer", n_stream=8, with_pictures=False)
    with pytest.raises(InputError, match="same --limit"):
        compare_orders([*runs, longer], tmp_path / "out")
    with pytest.raises(DatasetError):
        compare_orders([tmp_path / "nothing"], tmp_path / "out")


def test_runs_in_different_orders_are_different_methods(runs: list[Path], tmp_path: Path) -> None:
    (task,) = compare_runs(runs, tmp_path / "out").tasks
    assert {(row.method, row.runs) for row in task.rows} == {
        ("clopa-cn · added", 2),
        ("clopa-cn · least-certain", 1),
    }


def test_a_running_mean_leaves_out_what_was_not_measured() -> None:
    assert running_mean([1.0, math.nan, 3.0], 2) == [1.0, 1.0, 3.0]
    assert math.isnan(running_mean([math.nan])[0])
