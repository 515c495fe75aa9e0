"""benchmarks/run_figures.py: the pictures of one run, drawn from its files alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from report_support import write_run

from clopa_annotator.errors import ClopaError

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import run_figures


def test_a_runs_pictures_are_drawn_from_its_folder(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", levels=(0.2, 0.5, 0.6))
    run_figures.main([str(run), "--out", str(tmp_path / "figures")])
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(drawn) == {"dice-by-corrections.png", "proposals.png"}
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())


def test_a_folder_without_a_run_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ClopaError):
        run_figures.draw(tmp_path, tmp_path / "figures")
