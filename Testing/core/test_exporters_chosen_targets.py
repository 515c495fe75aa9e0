"""Exports of several targets, read back by the programs that they are for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cache_helpers
import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from cache_helpers import SHAPE, a_confirmation, a_store, an_image
from test_exporters import DICOM_GRID, write_series

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.exporters import ExportTargets, chosen_cases, export
from clopa_annotator.types import CodedTerm, Image, Slot, Target, Targets
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path

LIVER = Target("liver", "", (255, 0, 51), code=CodedTerm("SCT", "10200004", "Liver"))
VESSEL = Target("vessel", "vessel", (0, 0, 255), overlaps=True)
LESION = Target("lesion", "lesion", (0, 255, 0), instances=True)
TARGETS = Targets([LIVER, VESSEL, LESION])
LESIONS = (Slot("lesion"), Slot("lesion", 2))


def a_box(first: int, last: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[first:last] = 1
    return mask


MASKS = {
    FIRST: a_box(0, 3),
    Slot("vessel"): a_box(2, 4),
    LESIONS[0]: a_box(4, 5),
    LESIONS[1]: a_box(5, 6),
}


def confirm_all(store: CampaignStore, case_id: str, masks: dict[Slot, np.ndarray]) -> None:
    for number, (slot, mask) in enumerate(masks.items()):
        store.confirm(a_confirmation(0, case_id, confirmation_id=f"{case_id} {number}", mask=mask, slot=slot))


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign", targets=TARGETS) as store:
        for number, case_id in enumerate(("one", "two", "three")):
            store.add_case(case_id, an_image(number))
        confirm_all(store, "one", MASKS)
        confirm_all(store, "two", {**MASKS, Slot("vessel"): a_box(6, 6)})
        confirm_all(store, "three", {FIRST: a_box(0, 1)})
        yield store


def labels_of(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def planes(volume: np.ndarray) -> list[int]:
    return [int(plane.max()) for plane in volume]


def listed(out: Path) -> dict[str, dict]:
    return {c["case_id"]: c for c in json.loads((out / "cases.json").read_text(encoding="utf-8"))["cases"]}


def segments_of(path: Path) -> dict[str, np.ndarray]:
    """Each segment of a seg.nrrd by its name, as Slicer's own library reads it."""
    found = slicerio.read_segmentation(str(path))
    voxels = found["voxels"] if found["voxels"].ndim == 4 else found["voxels"][np.newaxis]
    return {
        s["name"]: (voxels[s["layer"]] == s["labelValue"]).transpose(2, 1, 0).astype(np.uint8)
        for s in found["segments"]
    }


def test_slicer_finds_a_segment_for_each_target_and_instance_in_as_few_layers_as_hold_them(
    store: CampaignStore, tmp_path: Path
) -> None:
    report = export(store, "segnrrd", tmp_path / "out")
    assert report.written == ("one", "two", "three") and report.left_out == ()
    found = segments_of(tmp_path / "out" / "one.seg.nrrd")
    assert list(found) == ["liver", "vessel", "lesion 1", "lesion 2"]
    for mask, wanted in zip(found.values(), MASKS.values(), strict=True):
        np.testing.assert_array_equal(mask, wanted)
    header = slicerio.read_segmentation(str(tmp_path / "out" / "one.seg.nrrd"))
    assert [s["layer"] for s in header["segments"]] == [0, 1, 0, 0]
    assert header["segments"][0]["color"] == [1.0, 0.0, 0.2]
    assert header["segments"][0]["terminology"]["type"] == ["SCT", "10200004", "Liver"]
    np.testing.assert_allclose(header["ijkToLPS"], an_image().geometry.ijk_to_lps(), atol=1e-12)
    assert list(segments_of(tmp_path / "out" / "three.seg.nrrd")) == ["liver"]
    (first, *_) = listed(tmp_path / "out")["one"]["masks"]
    assert (first["target"], first["instance"], first["label"], first["case_version"]) == ("liver", 1, 1, 1)


@pytest.mark.parametrize("format", ["nifti", "nnunet", "msd"])
def test_targets_that_share_voxels_are_refused_in_a_label_volume_and_nothing_is_left(
    store: CampaignStore, tmp_path: Path, format: str
) -> None:
    with pytest.raises(InputError, match=r"In case 'one', liver and vessel share 99 voxels.*--priority"):
        export(store, format, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("priority", "shown"), [(("liver",), [1, 1, 1, 2, 3, 3, 0]), (("Vessel", "liver"), [1, 1, 2, 2, 3, 3, 0])]
)
def test_the_first_named_has_what_masks_share(
    store: CampaignStore, tmp_path: Path, priority: tuple[str, ...], shown: list[int]
) -> None:
    report = export(store, "nifti", tmp_path / "out", targets=ExportTargets(priority=priority))
    assert report.written == ("one", "two")
    ((case_id, reason),) = report.left_out
    assert case_id == "three" and "no confirmed mask of vessel, lesion" in reason
    assert planes(labels_of(tmp_path / "out" / "masks" / "one.nii.gz")) == shown
    content = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"liver": 1, "vessel": 2, "lesion": 3}


def test_chosen_targets_alone_have_values_without_a_gap(store: CampaignStore, tmp_path: Path) -> None:
    asked = ExportTargets(("lesion", "LIVER"))
    report = export(store, "nnunet", tmp_path / "out", targets=asked)
    assert report.written == ("one", "two")
    folder = tmp_path / "out" / "Dataset001_test"
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"] == {
        "background": 0,
        "liver": 1,
        "lesion": 2,
    }
    assert planes(labels_of(folder / "labelsTr" / "one.nii.gz")) == [1, 1, 1, 0, 2, 2, 0]
    liver = export(store, "nifti", tmp_path / "liver", targets=ExportTargets(("liver",)))
    assert liver.written == ("one", "two", "three")


def test_our_own_reader_takes_a_target_of_the_decathlon(store: CampaignStore, tmp_path: Path) -> None:
    export(store, "msd", tmp_path / "out", targets=ExportTargets(("liver", "lesion")))
    dataset = MsdDataset(tmp_path / "out", label=2)
    _, mask = dataset[0].read()
    np.testing.assert_array_equal(mask, MASKS[LESIONS[0]] | MASKS[LESIONS[1]])


def test_several_of_a_kind_have_values_of_their_own_where_that_is_asked_for(
    store: CampaignStore, tmp_path: Path
) -> None:
    asked = ExportTargets(("liver", "lesion"), instances=True)
    export(store, "nifti", tmp_path / "out", targets=asked)
    assert planes(labels_of(tmp_path / "out" / "masks" / "one.nii.gz")) == [1, 1, 1, 0, 2, 3, 0]
    masks = listed(tmp_path / "out")["one"]["masks"]
    assert [(m["target"], m["instance"], m["label"]) for m in masks] == [
        ("liver", 1, 1),
        ("lesion", 1, 2),
        ("lesion", 2, 3),
    ]
    for format in ("nnunet", "msd"):
        with pytest.raises(ConfigError, match="stands for a target in every case"):
            export(store, format, tmp_path / "none", targets=asked)
    assert not (tmp_path / "none").exists()


def test_unknown_targets_are_told_what_there_is(store: CampaignStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no target 'spleen'; it has liver, vessel, lesion"):
        export(store, "nifti", tmp_path / "out", targets=ExportTargets(("spleen",)))
    with pytest.raises(ConfigError, match="vessel has a priority, but is not among"):
        export(store, "nifti", tmp_path / "out", targets=ExportTargets(("liver",), ("vessel",)))
    assert not (tmp_path / "out").exists()


def test_accepted_are_cases_of_which_the_chosen_targets_are(store: CampaignStore) -> None:
    store.reopen("one", "Ada", "", Slot("vessel"))
    assert chosen_cases(store, "accepted") == ("two",)
    assert chosen_cases(store, "accepted", ExportTargets(("liver",))) == ("one", "two", "three")
    assert chosen_cases(store, "all") is None


def test_more_values_than_a_byte_holds_are_written_in_two() -> None:
    from clopa_annotator.cache.format.segnrrd import Segment, encode_segments
    from clopa_annotator.geometry import Geometry

    parts = []
    for number in range(300):
        mask = np.zeros((1, 15, 20), np.uint8)
        mask.ravel()[number] = 1
        parts.append((Segment(f"part {number}"), mask))
    document = encode_segments(parts, Geometry((1, 15, 20)))
    assert b"type: unsigned short" in document and b"Segment299_LabelValue:=300" in document
    assert b"dimension: 3" in document


def test_dicom_has_a_segment_with_its_code_for_each_target_and_instance(tmp_path: Path) -> None:
    voxels = an_image().voxels
    write_series(tmp_path / "series", voxels, DICOM_GRID)
    with a_store(tmp_path / "campaign", targets=TARGETS) as store:
        store.add_case("one", Image(voxels, DICOM_GRID), source=str(tmp_path / "series"))
        confirm_all(store, "one", {**MASKS, LESIONS[1]: a_box(5, 6)})
        category = CodedTerm("SCT", "49755003", "Morphologically Altered Structure")
        store.set_targets(Targets([*TARGETS[:2], replace(LESION, category=category)]))
        store.confirm(a_confirmation(9, "one", mask=np.zeros(SHAPE, np.uint8), slot=Slot("lesion", 3)))
        report = export(store, "dicomseg", tmp_path / "out")
    assert report.left_out == ()
    found = hd.seg.segread(tmp_path / "out" / "one.dcm")
    described = [found.get_segment_description(n) for n in range(1, found.number_of_segments + 1)]
    assert [d.segment_label for d in described] == ["liver", "vessel", "lesion 1", "lesion 2"], "no empty one"
    assert [d.segmented_property_type.value for d in described] == ["10200004", *["85756007"] * 3]
    assert described[2].segmented_property_category.value == "49755003"
    assert described[0].tracking_id is None and described[3].tracking_id == "lesion 2"
    uids = [str(path) for _, _, path in found.get_source_image_uids()]
    pixels = found.get_pixels_by_source_instance(uids)
    assert sorted(pixels.sum(axis=(0, 1, 2)).tolist()) == sorted(int(m.sum()) for m in MASKS.values())
