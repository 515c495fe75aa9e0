"""benchmarks/gpu.py and scripts/pretrain_candidate.py on a CPU: every part runs, what was written stays."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pretrain import SETTINGS

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    try:
        from gpu import write_model

        return write_model(tmp_path_factory.mktemp("gpu") / "model", small=True)
    finally:
        sys.path.pop(0)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("letter", list("abcdefgh"))
def test_every_part_runs_on_a_cpu_and_gives_figures(letter: str, model: Path, tmp_path: Path) -> None:
    from gpu import Bench, run_part

    bench = Bench(torch.device("cpu"), True, model, time.monotonic() + 120)
    run_part(letter, bench, tmp_path / "rows")
    found = rows(tmp_path / "rows")
    assert found[-1]["ended"] == "finished", found
    assert len(found) > 1 and all(row["part"] == letter for row in found)
    assert not any("error" in row for row in found), found
    if letter == "g":
        assert all(row["within"] for row in found[:-1])
    if letter == "d":
        assert [row["while"] for row in found[:-1]] == ["idle", "learning", "suggesting"]
        assert found[2]["suggestion_passes"] > 0 and not found[2]["failed"]
    if letter == "h":
        assert found[0]["survived"] and found[0]["clicks"] >= 3


def test_the_slots_leave_the_nine_minutes_some_room() -> None:
    from gpu import SLOTS_S

    assert sum(SLOTS_S.values()) <= 520


def test_a_part_that_fails_keeps_its_rows_and_does_not_end_the_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    def breaking(_: gpu.Bench):
        yield {"figure": 1.0}
        raise RuntimeError("the card is gone")

    monkeypatch.setattr(gpu, "parts", lambda: {"a": breaking, "e": lambda _: iter([{"figure": 2.0}])})
    given = argparse.Namespace(
        out=tmp_path / "rows", device="cpu", small=True, parts="a,e", minutes=1.0, model=model, here=False
    )
    gpu.run(given)
    about, first, failed, second, ended = rows(tmp_path / "rows")
    assert about["torch"] == torch.__version__ and about["device"] == "cpu"
    assert first["figure"] == 1.0 and second["figure"] == 2.0
    assert "the card is gone" in failed["reason"] and ended["ended"] == "finished"


def test_a_part_that_takes_too_long_is_ended_and_noted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    monkeypatch.setattr(gpu, "__file__", str(tmp_path / "sleeps.py"))
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(60)")
    given = argparse.Namespace(out=tmp_path / "rows", device="cpu", small=True)
    gpu.run_apart("b", given, model, -9.0)
    assert rows(tmp_path / "rows")[0]["ended"] == "out of time"


def test_an_unknown_part_and_a_missing_card_are_told(tmp_path: Path) -> None:
    import gpu

    given = {"out": tmp_path / "rows", "small": True, "minutes": 1.0, "model": None, "here": False}
    with pytest.raises(SystemExit, match="no part z"):
        gpu.run(argparse.Namespace(**given, device="cpu", parts="z"))
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="no CUDA device"):
            gpu.run(argparse.Namespace(**given, device="cuda", parts="a"))


def test_a_session_of_pretraining_ends_in_a_candidate_that_was_compared_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pretrain_candidate as script

    arguments = [str(tmp_path / "run"), "--device", "cpu", "--cases", "1", "--clicks", "1"]
    script.main([*arguments, "--session-minutes", "1e-9"], SETTINGS)
    first = json.loads((tmp_path / "run" / "candidate.json").read_text())
    assert first["done"] < 1 and first["streams"]["generated"]["cases"] == 1
    assert set(first["streams"]["generated"]["curves"]) == {"candidate", "bundled"}
    script.main(arguments, SETTINGS)
    second = json.loads((tmp_path / "run" / "candidate.json").read_text())
    assert second["training"]["updates"] > first["training"]["updates"]
    assert (tmp_path / "run" / "candidate" / "plans.json").is_file()
