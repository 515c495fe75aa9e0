"""What counts as an image, a channel or a label is decided by more than four digits at the end of a name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clopa_annotator.datasets.file_names import Description, case_images, is_image, stem
from clopa_annotator.datasets.image_list import list_images
from clopa_annotator.datasets.msd import MsdDataset
from clopa_annotator.datasets.volumes import write_volume
from clopa_annotator.errors import DatasetError
from clopa_annotator.geometry import Geometry


def images(*names: str) -> list[Path]:
    return [Path(f"{name}.nii.gz") for name in names]


def cases(*names: str, labels: tuple[str, ...] = (), about: Description | None = None) -> dict[str, str]:
    found = case_images(images(*names), labels, about or Description())
    return {case: path.name.removesuffix(".nii.gz") for case, path in found.items()}


def test_names_that_end_in_four_digits_are_names() -> None:
    assert list(cases("patient_0001", "patient_0002", "patient_0003")) == [
        "patient_0001",
        "patient_0002",
        "patient_0003",
    ]
    assert len(cases("patient_0000", "patient_0001", "patient_0002")) == 3


def test_channels_are_what_a_label_says_they_are() -> None:
    assert cases("a_0000", "a_0001", "b_0000", "b_0001", labels=("a", "b")) == {"a": "a_0000", "b": "b_0000"}


def test_a_label_of_the_full_name_makes_it_a_name() -> None:
    names = ("patient_0000", "patient_0001")
    assert cases(*names, labels=names) == {name: name for name in names}


def test_a_case_beside_one_that_its_name_begins_with_is_no_channel_of_it() -> None:
    names = ("patient", "patient_0001")
    assert cases(*names, labels=names) == {name: name for name in names}


def test_channels_are_what_dataset_json_says_they_are() -> None:
    assert cases("a_0000", "a_0001", about=Description(channels=2)) == {"a": "a_0000"}
    assert cases("a_0000", "a_0001", about=Description(training=frozenset({"a"}))) == {"a": "a_0000"}


def test_files_that_all_end_in_channel_0_are_nnunets() -> None:
    assert cases("a_0000", "b_0000") == {"a": "a_0000", "b": "b_0000"}
    assert cases("a_0000") == {"a_0000": "a_0000"}


def test_two_images_of_one_case_are_refused() -> None:
    with pytest.raises(DatasetError, match="Two cases are called 'a'"):
        case_images([Path("a.nii.gz"), Path("a.nrrd")], (), Description())


def test_a_segmentation_belongs_to_its_image_and_is_none() -> None:
    assert not is_image(Path("a.seg.nrrd")) and is_image(Path("A.NII.GZ")) and not is_image(Path("._a.nii"))
    assert stem(Path("a.seg.nrrd")) == stem(Path("a.nii.gz")) == "a"


def write(folder: Path, part: str, name: str, voxels: np.ndarray | None = None) -> None:
    (folder / part).mkdir(parents=True, exist_ok=True)
    voxels = np.arange(64, dtype=np.int16).reshape(4, 4, 4) if voxels is None else voxels
    write_volume(folder / part / name, voxels, Geometry(voxels.shape))


def test_labels_keep_their_names_too(tmp_path: Path) -> None:
    for name in ("patient_0000.nii.gz", "patient_0001.nii.gz"):
        write(tmp_path, "imagesTr", name)
        write(tmp_path, "labelsTr", name)
    assert [(c.case_id, c.label_path.name) for c in MsdDataset(tmp_path)] == [
        ("patient_0000", "patient_0000.nii.gz"),
        ("patient_0001", "patient_0001.nii.gz"),
    ]


def test_images_without_a_label_are_said(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, "imagesTr", f"{name}.nii.gz")
    write(tmp_path, "labelsTr", "b.nii.gz")
    dataset = MsdDataset(tmp_path)
    assert [c.case_id for c in dataset] == ["b"]
    assert dataset.remarks == ("2 of 3 images have no label: a, c",)


def test_a_dataset_with_a_label_for_every_image_has_nothing_to_say(tmp_path: Path) -> None:
    write(tmp_path, "imagesTr", "a.nii.gz")
    write(tmp_path, "labelsTr", "a.nii.gz")
    assert MsdDataset(tmp_path).remarks == ()


def test_a_seg_nrrd_is_a_label(tmp_path: Path) -> None:
    write(tmp_path, "imagesTr", "a.nii.gz")
    write(tmp_path, "labelsTr", "a.seg.nrrd", np.ones((4, 4, 4), np.uint8))
    _, mask = MsdDataset(tmp_path)[0].read()
    assert mask.sum() == 64


def test_two_labels_of_one_image_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "imagesTr", "a.nii.gz")
    for name in ("a.seg.nrrd", "a.nii.gz"):
        write(tmp_path, "labelsTr", name)
    with pytest.raises(DatasetError, match=r"two labels for 'a': a.nii.gz and a.seg.nrrd"):
        MsdDataset(tmp_path)


def test_nnunet_channels_are_one_case_with_and_without_labels(tmp_path: Path) -> None:
    for channel in (0, 1):
        write(tmp_path, "imagesTr", f"a_000{channel}.nii.gz")
    write(tmp_path, "labelsTr", "a.nii.gz")
    assert [i.case_id for i in list_images(tmp_path)] == ["a"] == [c.case_id for c in MsdDataset(tmp_path)]
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    assert len(list_images(tmp_path)) == 2
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT", "1": "PET"}}))
    assert [i.path.name for i in list_images(tmp_path)] == ["a_0000.nii.gz"]
