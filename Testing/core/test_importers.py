"""Labels of every format that is read, found and read as they were written."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from cache_helpers import SHAPE, a_campaign, a_mask, an_image
from label_files import (
    GRID,
    two_values,
    write_dataset,
    write_datastore,
    write_dicom_seg,
    write_label,
    write_seg_nrrd,
    write_structures,
)
from test_exporters import DICOM_GRID, write_series

from clopa_annotator.errors import ConfigError, DatasetError, GeometryError, ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.detect import FORMATS, find_labels
from clopa_annotator.importers.label_files import Content


def masks(content: Content) -> dict[str, np.ndarray]:
    return {segment.name: segment.mask() for segment in content.segments}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32", "float64"])
def test_a_label_map_of_any_type_and_suffix_is_read(tmp_path: Path, suffix: str, dtype: str) -> None:
    write_label(tmp_path / f"a b ü{suffix}", two_values().astype(dtype))
    (label,) = find_labels(tmp_path).labels
    assert label.name == "a b ü"
    found = masks(label.read())
    assert list(found) == ["1", "2"]
    np.testing.assert_array_equal(found["2"], two_values() == 2)
    assert label.read().geometry.agrees_with(GRID)


def test_a_value_that_is_nearly_whole_counts_as_it_and_another_is_refused(tmp_path: Path) -> None:
    write_label(tmp_path / "near.nrrd", two_values() * 0.9999)
    near = find_labels(tmp_path / "near.nrrd").labels[0].read()
    assert [segment.value for segment in near.segments] == [1, 2]
    write_label(tmp_path / "map.nrrd", np.linspace(0, 1, 7 * 9 * 11).reshape(SHAPE))
    with pytest.raises(ImageError, match=r"map\.nrrd: [\d,]+ voxels hold values that are no labels \(0\.0"):
        find_labels(tmp_path / "map.nrrd").labels[0].read()


def test_an_image_given_as_a_label_is_refused(tmp_path: Path) -> None:
    write_label(tmp_path / "ct.nrrd", np.arange(20 * 20 * 20, dtype=np.int32).reshape(20, 20, 20))
    with pytest.raises(ImageError, match="different values; is it an image"):
        find_labels(tmp_path).labels[0].read()


def test_names_in_a_nifti_header_are_the_names_of_its_values(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(two_values().transpose(2, 1, 0), np.eye(4))
    xml = (
        '<CaretExtension><LabelTable><Label Key="1" Red="1.0"><![CDATA[spleen]]></Label>'
        '<Label Key="2" Red="0.5"><![CDATA[kidney_left]]></Label></LabelTable></CaretExtension>'
    )
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml.encode()))
    for name in ("a.nii.gz", "b.nii"):
        nibabel.save(image, tmp_path / name)
    for label in find_labels(tmp_path).labels:
        assert [s.in_words for s in label.read().segments] == ["1 (spleen)", "2 (kidney_left)"]


def test_labels_marked_as_such_are_told_from_the_images_beside_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_label(tmp_path / f"{name}.nii.gz", an_image().voxels)
        write_label(tmp_path / f"{name}_seg.nii.gz", a_mask())
    (tmp_path / "._one.nii.gz").write_bytes(b"macOS")
    found = find_labels(tmp_path).labels
    assert [label.path.name for label in found] == ["one_seg.nii.gz", "two_seg.nii.gz"]
    assert all(label.image is not None for label in found)


def test_overlapping_segments_of_slicer_are_read_by_name(tmp_path: Path) -> None:
    first, second = a_mask(1), a_mask(2)
    segments = [("tumour", 0, 1), ("Ödem \\ links", 1, 3), ("rest", 0, 2)]
    write_seg_nrrd(tmp_path / "a.seg.nrrd", [first + 2 * (1 - first), 3 * second], segments)
    found = masks(find_labels(tmp_path).labels[0].read())
    np.testing.assert_array_equal(found["tumour"], first)
    np.testing.assert_array_equal(found["Ödem \\ links"], second)
    np.testing.assert_array_equal(found["rest"], 1 - first)


def test_a_segmentation_with_layers_written_by_pynrrd_is_read(tmp_path: Path) -> None:
    layers = np.stack([a_mask(1), a_mask(2)]).transpose(0, 3, 2, 1)
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": [[np.nan] * 3, [0.5, 0, 0], [0, 0.75, 0], [0, 0, 3.0]],
        "space origin": [1.0, 2.0, 3.0],
        "Segment0_ID": "A", "Segment0_Name": "first", "Segment1_ID": "B", "Segment1_Name": "second",
    }  # fmt: skip
    nrrd.write(str(tmp_path / "old.seg.nrrd"), layers, header)
    content = find_labels(tmp_path).labels[0].read()
    assert content.geometry.spacing_ijk_mm == (0.5, 0.75, 3.0)
    np.testing.assert_array_equal(masks(content)["second"], a_mask(2))


def test_a_plain_nrrd_is_a_label_map(tmp_path: Path) -> None:
    write_label(tmp_path / "a.nrrd", two_values())
    assert find_labels(tmp_path).labels[0].read().is_complete is False


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_a_dicom_segmentation_is_read_on_its_series_grid(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path / "series", an_image(3).voxels, DICOM_GRID)
    first = a_mask(1)
    second = a_mask(2) if kind == "BINARY" else (1 - first) * a_mask(2)
    first[0] = second[0] = first[6] = second[6] = 0  # frames that highdicom leaves out
    write_dicom_seg(tmp_path / "seg" / "x.dcm", tmp_path / "series", [first, second], ["liver", "rest"], kind)
    found = find_labels(tmp_path)
    assert found.format == "dicomseg"
    (label,) = found.labels
    content = label.read()
    assert label.author == "Reader^Radi" and len(label.series) == 1
    assert content.identity is not None and content.identity.patient == "P1"
    for name, mask in (("liver", first), ("rest", second)):
        np.testing.assert_array_equal(masks(content)[name], mask[1:6])
    assert content.geometry.spacing_ijk_mm == DICOM_GRID.spacing_ijk_mm


def test_a_dicom_segmentation_of_probabilities_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "series", an_image(3).voxels, DICOM_GRID)
    path = write_dicom_seg(tmp_path / "x.dcm", tmp_path / "series", [a_mask(1) * 0.4], ["a"], "FRACTIONAL")
    with pytest.raises(ImageError, match="Threshold"):
        find_labels(path).labels[0].read()


def test_a_damaged_dicom_segmentation_is_refused_in_a_sentence(tmp_path: Path) -> None:
    write_series(tmp_path / "series", an_image(3).voxels, DICOM_GRID)
    path = write_dicom_seg(tmp_path / "x.dcm", tmp_path / "series", [a_mask(1)], ["a"])
    label = find_labels(path).labels[0]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((ImageError, DatasetError), match=r"x\.dcm"):
        label.read()


def test_nnunet_names_its_labels_and_an_image_without_label_is_told(tmp_path: Path) -> None:
    names = {"background": 0, "organ": 1, "tumour": 2, "whole": [1, 2]}
    write_dataset(
        tmp_path, {"channel_names": {"0": "CT"}, "labels": names, "file_ending": ".nii.gz"}, "_0000"
    )
    found = find_labels(tmp_path)
    assert found.format == "nnunet"
    assert [label.name for label in found.labels] == ["case_0", "case_1"]
    assert found.remarks == ("1 of 3 images have no label: case_2.",)
    assert [s.in_words for s in found.labels[1].read().segments] == ["1 (organ)", "2 (tumour)"]
    assert found.labels[1].image().geometry.agrees_with(GRID)


def test_cases_whose_names_end_in_four_digits_keep_them(tmp_path: Path) -> None:
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "x": 1},
        "file_ending": ".nii.gz",
    }
    write_dataset(tmp_path, description, "_0000")
    for folder, tail in (("imagesTr", "_0000"), ("labelsTr", "")):
        path = tmp_path / folder / f"case_0{tail}.nii.gz"
        path.rename(tmp_path / folder / f"patient_0001{tail}.nii.gz")
    found = find_labels(tmp_path).labels
    assert [label.name for label in found] == ["case_1", "patient_0001"]
    assert all(label.image is not None for label in found)


def test_the_decathlon_names_its_labels(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"labels": {"0": "background", "1": "organ", "2": "tumour"}})
    found = find_labels(tmp_path)
    assert found.format == "msd"
    assert [s.name for s in found.labels[0].read().segments] == ["organ", "tumour"]


def test_of_a_monai_label_datastore_only_what_was_submitted_counts_as_confirmed(tmp_path: Path) -> None:
    write_datastore(tmp_path)
    confirmed = find_labels(tmp_path, confirmed=True)
    assert confirmed.format == "monailabel"
    assert [(label.name, label.author) for label in confirmed.labels] == [("case_0", "radiologist")]
    assert confirmed.remarks == ("1 of 2 images have no label: case_1.",)
    suggested = find_labels(tmp_path, confirmed=False)
    assert [(label.name, label.path.parent.name) for label in suggested.labels] == [
        ("case_0", "final"),
        ("case_1", "original"),
    ]


def test_totalsegmentators_folders_are_cases_and_their_files_segments(tmp_path: Path) -> None:
    write_structures(tmp_path / "all" / "patient 1" / "segmentations")
    write_structures(tmp_path / "all" / "patient 2", seed=1)
    (tmp_path / "all" / "empty").mkdir()
    found = find_labels(tmp_path / "all")
    assert found.format == "totalsegmentator"
    assert [label.name for label in found.labels] == ["patient 1", "patient 2"]
    assert found.remarks == ("1 of 3 folders hold no volumes.",)
    np.testing.assert_array_equal(masks(found.labels[1].read())["spleen"], a_mask(11))
    assert [label.name for label in find_labels(tmp_path / "all" / "patient 2").labels] == ["patient 2"]


def test_a_structure_on_another_grid_than_the_others_is_refused(tmp_path: Path) -> None:
    folder = write_structures(tmp_path / "p")
    write_label(folder / "spleen.nii.gz", a_mask(1), Geometry(SHAPE))
    with pytest.raises(GeometryError, match=r"spleen\.nii\.gz"):
        masks(find_labels(folder).labels[0].read())


def test_another_campaigns_confirmed_cases_come_with_images_and_annotators(tmp_path: Path) -> None:
    with a_campaign(tmp_path / "other") as store:
        store.withdraw("case 1", "A", "wrong")
    found = find_labels(tmp_path / "other")
    (label,) = found.labels
    assert (found.format, label.name, label.author) == ("campaign", "case 0", "Dr. Ä")
    np.testing.assert_array_equal(masks(label.read())["target"], a_mask(100))
    np.testing.assert_array_equal(label.image().voxels, an_image(0).voxels)


def test_what_is_no_label_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    for path, says in (
        (tmp_path / "missing", "does not exist"),
        (tmp_path, "holds no labels"),
        (tmp_path / "notes.txt", "neither a label volume"),
    ):
        with pytest.raises(DatasetError, match=says):
            find_labels(path)
    with pytest.raises(ConfigError, match=f"there are {FORMATS[0]}"):
        find_labels(tmp_path, format="papyrus")


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DatasetError, match="locked cannot be read: Permission denied"):
        find_labels(tmp_path / "locked")


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, {})
    (tmp_path / "dataset.json").write_text('{"labels": ')
    with pytest.raises(DatasetError, match=r"dataset\.json is damaged"):
        find_labels(tmp_path)


def test_a_header_that_is_cut_has_no_names_and_is_no_error_here(tmp_path: Path) -> None:
    from clopa_annotator.importers.nifti_names import names_in

    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"\x5c\x01\x00\x00")[:12])
    (tmp_path / "b.nii").write_bytes(b"\x00" * 400)
    assert names_in(tmp_path / "a.nii.gz") == names_in(tmp_path / "b.nii") == {}
