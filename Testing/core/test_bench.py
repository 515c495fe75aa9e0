"""benchmarks/bench.py: options as declared, fair rounds, results as files, rows that resume."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench

    return bench


def test_options_are_read_as_their_defaults_say(bench: ModuleType) -> None:
    declared = {
        "folder": Path,
        "--clicks": (10, "how many"),
        "--groups": ["in", "cn"],
        "--rates": [1e-3],
        "--small": False,
        "--studies": True,
        "--ct": Path,
        "--out": {"type": Path, "required": True},
    }
    words = ["here", "--out", "there", "--rates", "1,2.5", "--small", "--no-studies"]
    found = bench.options("About.", declared, words)
    assert vars(found) == {
        "folder": Path("here"),
        "clicks": 10,
        "groups": ["in", "cn"],
        "rates": [1.0, 2.5],
        "small": True,
        "studies": False,
        "ct": None,
        "out": Path("there"),
    }
    with pytest.raises(SystemExit):
        bench.options("About.", declared, ["here"])


def measure(given: argparse.Namespace, scratch: Path) -> dict[str, object]:
    assert scratch.is_dir() and not list(scratch.iterdir())
    return {"clicks": given.clicks, "share": 0.123456, "rows": [{"way": "a", "ms": 1.0}], "kept": [0.0] * 20}


def test_a_result_is_printed_and_written_with_machine_and_date(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "results" / "mine.json"
    found = bench.main("About.", measure, {"--clicks": 3}, ["--clicks", "7", "--json", str(target)])
    printed = capsys.readouterr().out
    assert json.loads(target.read_text()) == json.loads(json.dumps(found))
    assert target.with_suffix(".md").read_text() == printed
    assert {"date", "machine", "cores", "load", "python", "clopa_annotator"} <= set(found)
    assert "| clicks | 7 |" in printed and "| share | 0.1235 |" in printed
    assert "## rows\n\n| way | ms |" in printed and "| kept | 20 values |" in printed


def test_json_alone_goes_to_the_results_under_the_benchmarks_name(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    bench.main("About.", measure, {"--clicks": 3}, ["--json"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["test_bench.json", "test_bench.md"]
    bench.main("About.", measure, {"--clicks": 3}, [])
    assert len(list(tmp_path.iterdir())) == 2, "without --json nothing is written"


def test_rounds_call_every_way_in_turn_and_begin_with_another_each_time(bench: ModuleType) -> None:
    called: list[str] = []
    ways = {name: (lambda name=name: called.append(name)) for name in "abc"}
    seconds = bench.rounds(ways, repeats=3, warm_up=1)
    assert "".join(called) == "abcbcacababc"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_spread_is_in_milliseconds(bench: ModuleType) -> None:
    spread = bench.spread_ms([0.003, 0.001, 0.002])
    assert spread == {"median_ms": 2.0, "p95_ms": 3.0, "longest_ms": 3.0}


def test_rows_are_there_after_a_stop_and_say_which_part_is_done(bench: ModuleType, tmp_path: Path) -> None:
    table = bench.Rows(tmp_path / "out" / "a.csv", ("case", "run", "dice"), ("case", "run"))
    assert table.read() == [] and table.done() == set()
    table.add(("liver, left", 1, 0.5), ("spleen", 2, 0.25))
    again = bench.Rows(table.path, ("case", "run", "dice"), ("case", "run"))
    again.add(("spleen", 3, 0.75))
    assert again.done() == {("liver, left", "1"), ("spleen", "2"), ("spleen", "3")}
    assert [row["dice"] for row in again.read()] == ["0.5", "0.25", "0.75"]
