"""The script that puts a model into the box, on networks of a few hundred values."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.pretrain.model_folder import export_model, load_network
from clopa_annotator.pretrain.network import NetworkDesign, build_network

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = NetworkDesign(features=(2, 4), patch_kji=(64, 64, 64))


def a_model(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    return export_model(
        build_network(TINY).state_dict(), TINY, EncodingRules(TINY.patch_kji), folder, about={"seed": seed}
    )


def test_weights_part_of_the_way_go_to_a_folder_and_leave_the_box_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import bundle_model

    start, end = a_model(tmp_path / "start", 1), a_model(tmp_path / "run" / "model", 2)
    (tmp_path / "run" / "curves.csv").write_text("of this run\n")
    box, results = tmp_path / "box", tmp_path / "results"
    monkeypatch.setattr(bundle_model, "BUNDLED", box)
    monkeypatch.setattr(bundle_model, "RESULTS", results)
    mixed = tmp_path / "mixed"
    arguments = [str(end), "--start", str(start), "--share", "0.25", "--out", str(mixed)]
    monkeypatch.setattr(sys, "argv", ["bundle_model.py", *arguments])
    bundle_model.main()

    first, last, between = (dict(load_network(f).named_parameters()) for f in (start, end, mixed))
    for name, value in between.items():
        torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * last[name], rtol=2e-3, atol=2e-4)
    assert not box.exists() and not results.exists()


def test_the_box_gets_the_curves_of_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import bundle_model

    end = a_model(tmp_path / "run" / "model", 2)
    (tmp_path / "run" / "curves.csv").write_text("of this run\n")
    box, results = tmp_path / "box", tmp_path / "results"
    results.mkdir()
    monkeypatch.setattr(bundle_model, "BUNDLED", box)
    monkeypatch.setattr(bundle_model, "RESULTS", results)
    monkeypatch.setattr(sys, "argv", ["bundle_model.py", str(end), "--suffix=-fifth"])
    bundle_model.main()
    assert load_network(box) is not None
    assert (results / "curves-fifth.csv").read_text() == "of this run\n"
