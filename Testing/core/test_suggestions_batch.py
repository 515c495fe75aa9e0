"""A folder of images becomes a folder of masks: whole, resumable, broken images passed over by name."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from clopa_annotator.datasets.image_list import ListedImage, list_images
from clopa_annotator.datasets.volumes import read_mask, write_volume
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Geometry
from clopa_annotator.suggestions.batch import BatchAbout, BatchRow, begun_with, predict_folder
from clopa_annotator.suggestions.calibration import Calibration
from clopa_annotator.testing.fake_suggester import FakeSuggester
from clopa_annotator.types import Expectation

ABOUT = BatchAbout("Livers", 3, "abc", "CC0", "nifti")
SHAPE = (8, 9, 10)
GRID = Geometry(SHAPE, (0.5, 1.0, 2.0), (10.0, -5.0, 3.0))


class Sure:
    """Expects what it is told to."""

    def expect(self, score: float, weights_version: int) -> Expectation:
        return Expectation(score, score - 0.1, score + 0.05, 12)


def write_images(folder: Path, *names: str) -> tuple[ListedImage, ...]:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        voxels = np.random.default_rng(number).normal(0, 1, SHAPE).astype(np.float32)
        voxels[2:5, 3:6, 3:7] += 6
        write_volume(folder / f"{name}.nii.gz", voxels, GRID)
    return list_images(folder)


@pytest.fixture
def images(tmp_path: Path) -> tuple[ListedImage, ...]:
    return write_images(tmp_path / "images", "a", "b", "c")


def run(
    images: tuple[ListedImage, ...], out: Path, about: BatchAbout = ABOUT, **more: object
) -> list[BatchRow]:
    told: list[BatchRow] = []
    predict_folder(images, FakeSuggester(version=3), Sure(), about, out, told.append, **more)  # type: ignore[arg-type]
    return told


def table(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("format", "suffix"), [("nifti", ".nii.gz"), ("segnrrd", ".seg.nrrd")])
def test_every_image_gets_a_mask_on_its_own_grid_and_a_row(
    images: tuple[ListedImage, ...], tmp_path: Path, format: str, suffix: str
) -> None:
    about = BatchAbout("Livers", 3, "abc", "CC0", format)  # type: ignore[arg-type]
    rows = run(images, tmp_path / "out", about)
    assert [row.mask for row in rows] == [f"{name}{suffix}" for name in "abc"]
    for row in rows:
        volume = sitk.ReadImage(str(tmp_path / "out" / row.mask))
        assert volume.GetSpacing() == (0.5, 1.0, 2.0)
        assert int((sitk.GetArrayFromImage(volume) > 0).sum()) == row.voxels > 0
        assert row.volume_ml == pytest.approx(row.voxels / 1000)
        assert (row.score, row.expected) == (0.9, 0.9)
    found = table(tmp_path / "out")
    assert [row["case"] for row in found] == ["a", "b", "c"]
    assert float(found[0]["low"]) == pytest.approx(0.8)
    assert begun_with(tmp_path / "out") == about


def test_a_mask_is_where_the_image_is(images: tuple[ListedImage, ...], tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    mask = read_mask(tmp_path / "out" / "a.nii.gz", like=GRID)
    assert mask[3, 4, 5] and not mask[0, 0, 0]


def test_one_broken_image_is_named_and_passed_over_and_tried_again_next_time(
    images: tuple[ListedImage, ...], tmp_path: Path
) -> None:
    good = images[1].path.read_bytes()
    images[1].path.write_bytes(b"no image at all")
    rows = run(images, tmp_path / "out")
    assert [bool(row.reason) for row in rows] == [False, True, False]
    assert "b" in rows[1].reason and rows[1].mask == ""
    assert table(tmp_path / "out")[1]["reason"] == rows[1].reason
    images[1].path.write_bytes(good)
    (again,) = run(images, tmp_path / "out")
    assert again.case == "b" and again.mask
    assert all(row["mask"] for row in table(tmp_path / "out"))


def test_an_image_without_contrast_or_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", "a", "b")
    write_volume(images[0].path, np.ones(SHAPE, np.float32), GRID)
    images[1].path.unlink()
    rows = run(images, tmp_path / "out")
    assert all(row.reason and not row.mask for row in rows)


def test_a_stopped_run_goes_on_where_it_was(images: tuple[ListedImage, ...], tmp_path: Path) -> None:
    asked = iter([False, True])
    first = run(images, tmp_path / "out", should_stop=lambda: next(asked))
    assert [row.case for row in first] == ["a"] and len(table(tmp_path / "out")) == 1
    before = (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns
    rest = run(images, tmp_path / "out")
    assert [row.case for row in rest] == ["b", "c"]
    assert (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns == before
    assert len(table(tmp_path / "out")) == 3
    assert run(images, tmp_path / "out") == []


def test_a_line_torn_by_a_kill_costs_its_image_only(images: tuple[ListedImage, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, out)
    journal = out / "predict.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert [row.case for row in run(images, out)] == ["c"]
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_mask_that_was_removed_is_made_again(images: tuple[ListedImage, ...], tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    (tmp_path / "out" / "b.nii.gz").unlink()
    assert [row.case for row in run(images, tmp_path / "out")] == ["b"]


@pytest.mark.parametrize("other", [{"version": 4}, {"format": "segnrrd"}, {"model_hash": "x"}])
def test_masks_of_other_weights_are_never_mixed_in(
    images: tuple[ListedImage, ...], tmp_path: Path, other: dict[str, object]
) -> None:
    run(images, tmp_path / "out")
    with pytest.raises(ConfigError, match="holds masks of version 3 of 'Livers'"):
        run(images, tmp_path / "out", BatchAbout(**{**vars(ABOUT), **other}))  # type: ignore[arg-type]


def test_a_strangers_file_of_the_journals_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "predict.jsonl").write_text("hello\n")
    with pytest.raises(ConfigError, match="no journal"):
        begun_with(tmp_path)
    (tmp_path / "predict.jsonl").write_text('{"row": 1}\n')
    with pytest.raises(ConfigError, match="no journal"):
        begun_with(tmp_path)


def test_names_that_file_systems_confuse_are_kept_apart(tmp_path: Path) -> None:
    (listed,) = write_images(tmp_path / "images", "a")
    images = tuple(ListedImage(name, listed.path) for name in ("Fall 1", "Fall 2/x", "case", "CASE", ".x"))
    rows = run(images, tmp_path / "out")
    names = [row.mask for row in rows]
    assert len({name.lower() for name in names}) == 5 and "case.nii.gz" in names
    assert not any("/" in name or name.startswith(".") or " " in name for name in names)


def test_what_is_not_known_is_an_empty_cell(images: tuple[ListedImage, ...], tmp_path: Path) -> None:
    rows = predict_folder(images, FakeSuggester(version=3), Calibration(()), ABOUT, tmp_path / "out")
    assert all(math.isnan(row.expected) for row in rows)
    assert table(tmp_path / "out")[0]["expected"] == ""
    resumed = predict_folder(images, FakeSuggester(version=3), Calibration(()), ABOUT, tmp_path / "out")
    assert math.isnan(resumed[0].expected) and resumed[0].mask == rows[0].mask


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="nifti, segnrrd"):
        BatchAbout("a", 1, "b", "c", "png")  # type: ignore[arg-type]
