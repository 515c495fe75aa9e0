"""Labels are whole numbers, and one that no case has ends a run before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clopa_annotator import cli
from clopa_annotator.datasets.msd import LabelledCase
from clopa_annotator.datasets.target_present import require_target
from clopa_annotator.datasets.volumes import read_labels, read_mask, write_volume
from clopa_annotator.errors import DatasetError, GeometryError, ImageError
from clopa_annotator.geometry import Geometry

GRID = Geometry((4, 5, 6), (0.5, 0.6, 2.0), (10.0, 20.0, -30.0))


def label_file(path: Path, *values: float, geometry: Geometry = GRID) -> Path:
    voxels = np.zeros(geometry.shape_kji, np.float32)
    for place, value in enumerate(values):
        voxels[1, 1, place] = value
    write_volume(path, voxels, geometry)
    return path


def test_a_label_stored_as_nearly_one_is_one(tmp_path: Path) -> None:
    path = label_file(tmp_path / "a.nrrd", 0.9999, 1.0001, 2.0)
    assert read_mask(path, label=1).sum() == 2 and read_mask(path).sum() == 3


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (np.nan, "nan"), (1.02, "1.02")])
def test_values_that_are_no_labels_are_refused_with_the_file_and_the_value(
    tmp_path: Path, value: float, shown: str
) -> None:
    path = label_file(tmp_path / "soft.nrrd", 1, value)
    with pytest.raises(ImageError, match=rf"soft.nrrd: 1 voxels hold values that are no labels \({shown}"):
        read_mask(path)


def test_whole_numbers_keep_their_type(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nrrd", np.ones(GRID.shape_kji, np.uint8), GRID)
    assert read_labels(tmp_path / "a.nrrd").dtype == np.uint8


def case(tmp_path: Path, name: str, *values: float, label: int | None = None) -> LabelledCase:
    return LabelledCase(name, tmp_path / "unused", label_file(tmp_path / f"{name}.nrrd", *values), label)


def test_a_label_that_one_case_has_is_enough(tmp_path: Path) -> None:
    require_target([case(tmp_path, "a", 1, label=2), case(tmp_path, "b", 2, label=2)])
    require_target([case(tmp_path, "c"), case(tmp_path, "d", 3)])


def test_a_label_that_no_case_has_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    cases = [case(tmp_path, "a", 1, 2, label=7), case(tmp_path, "b", 1, label=7)]
    with pytest.raises(DatasetError) as refused:
        require_target(cases)
    assert str(refused.value) == (
        "No case has the label 7. The labels there are 1 (in 2 of 2 cases), 2 (in 1 of 2 cases). "
        "Choose one with --label."
    )


def test_labels_without_anything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="all 1 cases are empty"):
        require_target([case(tmp_path, "a")])


@pytest.mark.parametrize("command", ["evaluate", "simulate"])
def test_the_commands_end_before_they_start(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / "data" / part).mkdir(parents=True)
    image: Any = np.arange(np.prod(GRID.shape_kji), dtype=np.int16).reshape(GRID.shape_kji)
    for name in ("a.nrrd", "b.nrrd"):
        write_volume(tmp_path / "data" / "imagesTr" / name, image, GRID)
    label_file(tmp_path / "data" / "labelsTr" / "a.nrrd", 1)
    where = ["--dataset", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--label", "7"]
    assert cli.main([command, *where]) == 2
    said = capsys.readouterr().err
    assert "No case has the label 7" in said and "1 of 2 images has no label: b" in said
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_segmentation_smaller_than_its_image_is_put_in_its_place(tmp_path: Path) -> None:
    part = Geometry((2, 2, 3), GRID.spacing_ijk_mm, (10.0 + 0.5, 20.0 + 2 * 0.6, -30.0 + 2.0))
    write_volume(tmp_path / "a.seg.nrrd", np.ones(part.shape_kji, np.uint8), part)
    labels = read_labels(tmp_path / "a.seg.nrrd", GRID)
    assert labels.sum() == 12 and labels[1:3, 2:4, 1:4].all()


def test_a_segmentation_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    for number, origin in enumerate(((10.25, 20.0, -30.0), (9.5, 20.0, -30.0))):
        path = tmp_path / f"{number}.seg.nrrd"
        write_volume(path, np.ones((2, 2, 2), np.uint8), Geometry((2, 2, 2), GRID.spacing_ijk_mm, origin))
        with pytest.raises(GeometryError, match="another voxel grid"):
            read_labels(path, GRID)


def test_overlapping_segments_are_one_target(tmp_path: Path) -> None:
    import SimpleITK as sitk

    layers = np.zeros((*GRID.shape_kji, 2), np.uint8)
    layers[1, 1, 1, 0] = layers[1, 1, 1, 1] = layers[2, 2, 2, 1] = 1
    volume = sitk.GetImageFromArray(layers, isVector=True)
    volume.SetSpacing(GRID.spacing_ijk_mm)
    volume.SetOrigin(GRID.origin_lps_mm)
    sitk.WriteImage(volume, str(tmp_path / "a.seg.nrrd"))
    assert read_mask(tmp_path / "a.seg.nrrd", like=GRID).sum() == 2
