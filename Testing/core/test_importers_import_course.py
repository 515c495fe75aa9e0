"""Several targets taken from one label at once: each to its own place, and what is none of them is named."""

from __future__ import annotations

from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_store, an_image
from label_files import write_label

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.exporters import ExportTargets, export
from clopa_annotator.importers.import_run import run_import
from clopa_annotator.importers.receiver import StoreReceiver
from clopa_annotator.types import CaseState, Slot, Target, Targets
from clopa_annotator.types.imports import ImportOrder
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path

TARGETS = Targets([*Targets.named(["liver", "spleen"]), Target("lesion", "lesion", instances=True)])
SPLEEN, LESIONS = Slot("spleen"), (Slot("lesion"), Slot("lesion", 2))


def three_values(number: int) -> np.ndarray:
    values = np.zeros(SHAPE, np.uint8)
    values[0], values[1], values[2], values[3, number] = 1, 2, 3, 7
    return values


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign", targets=TARGETS) as store:
        for number in range(2):
            store.add_case(f"case {number}", an_image(number))
        yield store


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    for number in range(2):
        write_label(tmp_path / "labels" / f"case {number}.nii.gz", three_values(number))
    return tmp_path / "labels"


def bring(store: CampaignStore, path: Path, *targets: str, **changes):
    return run_import(ImportOrder(path, targets=targets, **changes), StoreReceiver(store, "Ada"))


def what_became(report) -> list[tuple[str, str, str]]:
    return [(o.case_id, o.target, o.became) for o in report.outcomes]


ALL = ("liver=1", "Spleen=2", "lesion=3")


def test_one_label_map_fills_every_target_and_a_value_that_none_has_is_named(
    store: CampaignStore, labels: Path
) -> None:
    report = bring(store, labels, *ALL)
    assert [o.target for o in report.outcomes] == ["liver", "spleen", "lesion 1"] * 2
    assert {o.became for o in report.outcomes} == {"imported"}
    assert report.remarks == ("2 labels hold what no target stands for, and it was not taken: 7.",)
    for value, slot in enumerate((FIRST, SPLEEN, LESIONS[0]), 1):
        newest = store.newest("case 1", slot)
        assert newest is not None
        np.testing.assert_array_equal(store.read_mask(newest.ref), three_values(1) == value)
        assert store.record(newest.ref).imported.taken == str(value)
    assert store.case("case 1").state is CaseState.CONFIRMED
    assert store.verify().ok


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_second_run_imports_no_target_twice(store: CampaignStore, labels: Path, confirmed: bool) -> None:
    bring(store, labels, *ALL, confirmed=confirmed)
    again = bring(store, labels, *ALL, confirmed=confirmed)
    assert {o.became for o in again.outcomes} == {"already there"} and len(again.outcomes) == 6
    states = {s.is_suggestion for s in store.slots("case 0")}
    assert states == {not confirmed}


def test_what_people_did_on_one_target_keeps_no_other_from_being_imported(
    store: CampaignStore, labels: Path
) -> None:
    store.confirm(a_confirmation(1, "case 0", mask=np.zeros(SHAPE, np.uint8), annotator="Bo"))
    store.save_draft(CaseDraft("case 0", np.zeros(SHAPE, np.uint8), slot=SPLEEN))
    report = bring(store, labels, *ALL)
    left = {o.target: o.reason for o in report.of("left out")}
    assert "confirmed by Bo" in left["liver"] and "unfinished work" in left["spleen"]
    assert len(report.of("imported")) == 4


def test_a_mask_that_takes_a_confirmed_neighbours_voxels_is_left_out_with_the_sentence(
    store: CampaignStore, labels: Path
) -> None:
    mask = (three_values(0) == 2).astype(np.uint8)
    store.confirm(a_confirmation(1, "case 0", mask=mask))
    report = bring(store, labels, "spleen=2")
    (out,) = report.of("left out")
    assert "takes 99 voxels of liver" in out.reason and len(report.of("imported")) == 1


def test_a_target_that_no_file_has_is_told_and_the_others_are_imported(
    store: CampaignStore, labels: Path
) -> None:
    report = bring(store, labels, "liver=1", "spleen=9")
    assert [o.target for o in report.of("imported")] == ["liver", "liver"]
    assert all("No file has the 9" in o.reason for o in report.of("left out"))
    with pytest.raises(DatasetError, match="No file has the 8 or 9"):
        bring(store, labels, "spleen=8", "lesion=9")


def test_a_case_without_the_value_is_empty_if_others_have_it(store: CampaignStore, labels: Path) -> None:
    values = three_values(0)
    values[values == 2] = 0
    write_label(labels / "case 0.nii.gz", values)
    report = bring(store, labels, "liver=1", "spleen=2")
    assert ("case 0", "spleen", "imported") in what_became(report)
    assert store.slot("case 0", SPLEEN).is_absent and not store.slot("case 1", SPLEEN).is_absent


def test_names_in_a_segmentation_find_their_targets_and_instances_by_themselves(
    store: CampaignStore, tmp_path: Path
) -> None:
    masks = {FIRST: 0, SPLEEN: 1, LESIONS[0]: 2, LESIONS[1]: 3}
    for number, (slot, plane) in enumerate(masks.items()):
        mask = np.zeros(SHAPE, np.uint8)
        mask[plane] = 1
        store.confirm(a_confirmation(number, "case 0", mask=mask, slot=slot))
    export(store, "segnrrd", tmp_path / "out")
    with a_store(tmp_path / "other", targets=Targets([*TARGETS[1:], Target("Liver")])) as other:
        other.add_case("case 0", an_image(0))
        assert {o.became for o in bring(other, tmp_path / "out").outcomes} == {"imported"}
        for slot in masks:
            here, there = store.newest("case 0", slot), other.newest("case 0", slot)
            assert here is not None and there is not None and here.ref.mask_hash == there.ref.mask_hash
    with a_store(tmp_path / "third", targets=TARGETS) as third:
        report = bring(third, store.folder)
        assert [o.target for o in report.outcomes] == ["liver", "spleen", "lesion 1", "lesion 2"]
        assert [s.state for s in third.slots("case 0")] == [CaseState.CONFIRMED] * 4
        assert {o.became for o in bring(third, store.folder).outcomes} == {"already there"}


def test_an_export_as_label_volumes_comes_back_by_its_names(store: CampaignStore, tmp_path: Path) -> None:
    bring_in = {FIRST: 0, SPLEEN: 1}
    for number, (slot, plane) in enumerate(bring_in.items()):
        mask = np.zeros(SHAPE, np.uint8)
        mask[plane] = 1
        store.confirm(a_confirmation(number, "case 0", mask=mask, slot=slot))
    for format in ("nifti", "msd", "nnunet"):
        out = tmp_path / format
        export(store, format, out, targets=ExportTargets(("liver", "spleen")))
        with a_store(tmp_path / f"{format} again", targets=Targets(TARGETS[:2])) as other:
            report = bring(other, out)
            assert what_became(report) == [("case 0", "liver", "imported"), ("case 0", "spleen", "imported")]


def test_of_totalsegmentators_folder_the_structures_called_like_targets_are_taken(
    store: CampaignStore, tmp_path: Path
) -> None:
    values = three_values(0)
    for value, name in enumerate(("liver", "spleen", "aorta"), 1):
        write_label(tmp_path / "ts" / "case 0" / f"{name}.nii.gz", (values == value).astype(np.uint8))
    report = bring(store, tmp_path / "ts")
    assert [o.target for o in report.of("imported")] == ["liver", "spleen"]
    assert report.remarks == ("1 label holds what no target stands for, and it was not taken: aorta.",)
    asked = bring(store, tmp_path / "ts", "lesion=aorta")
    assert [o.target for o in asked.of("imported")] == ["lesion 1"]


def test_a_label_of_which_nothing_is_called_like_a_target_is_listed(
    store: CampaignStore, labels: Path
) -> None:
    report = bring(store, labels)
    reasons = {o.reason for o in report.of("left out")}
    assert len(report.outcomes) == 2
    assert all("has 1, 2, 3, 7, and none is called like a target" in reason for reason in reasons)
    assert all("--target 'liver=VALUE' --target 'spleen=VALUE'" in reason for reason in reasons)


def test_a_torn_label_is_left_out_once_and_not_for_every_target(store: CampaignStore, labels: Path) -> None:
    path = labels / "case 0.nii.gz"
    path.write_bytes(path.read_bytes()[:40])
    report = bring(store, labels, *ALL)
    assert [o.target for o in report.of("left out")] == [""]
    assert len(report.of("imported")) == 3


def test_a_new_case_comes_with_its_image_once_and_every_target(
    store: CampaignStore, labels: Path, tmp_path: Path
) -> None:
    write_label(labels / "new.nii.gz", three_values(3))
    write_label(tmp_path / "images" / "new.nii.gz", an_image(5).voxels)
    images = {"new": tmp_path / "images" / "new.nii.gz"}
    said = bring(store, labels, *ALL, images=images, dry_run=True)
    assert len(said.of("imported")) == 9 and len(store.cases()) == 2
    bring(store, labels, *ALL, images=images)
    assert store.case("new").decided == 3


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("kidney=1",), "no target 'kidney'; it has liver, spleen, lesion"),
        (("liver=1", "LIVER=2"), "asked for twice"),
        (("2",), "Write which one is 2: --target NAME=2"),
        (("spleen 2=1",), "no target 'spleen 2'"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    store: CampaignStore, tmp_path: Path, asked: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        bring(store, tmp_path / "nowhere", *asked)
