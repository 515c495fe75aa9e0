"""One import into a campaign: what is confirmed, what is only suggested, and nothing twice."""

from __future__ import annotations

import shutil

import importing
import numpy as np
import pytest
from cache_helpers import (
    SHAPE,
    a_campaign,
    a_confirmation,
    a_mask,
    a_store,
    an_image,
    data_files,
)
from importing import bring, reasons
from label_files import GRID, two_values, write_datastore, write_label, write_structures

from clopa_annotator.cache.campaign_store import CaseDraft
from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.target_choice import Target
from clopa_annotator.types import CaseState

tmp_path, store, labels = importing.tmp_path, importing.store, importing.labels


def test_confirmed_labels_are_confirmed_with_where_they_came_from(store, labels):
    report = bring(store, labels)
    assert [o.became for o in report.outcomes] == ["imported"] * 3
    for ref in store.confirmed():
        number = int(ref.case_id[-1])
        np.testing.assert_array_equal(store.read_mask(ref), two_values(number) == 2)
        record = store.record(ref)
        assert (record.annotator, record.prompts, record.first_shown_dice) == ("Ada", (), None)
        assert record.imported.import_id == record.confirmation_id
        assert record.imported.source == str(labels / f"{ref.case_id}.nii.gz")
        assert (record.imported.format, record.imported.taken) == ("labelmap", "2")
        assert len(record.imported.sha256) == 64 and not record.imported.resampled
    assert store.verify().ok


def test_a_second_run_imports_nothing_twice(store, labels):
    bring(store, labels)
    before = {p: p.read_bytes() for p in data_files(store.folder)}
    again = bring(store, labels)
    assert [o.became for o in again.outcomes] == ["already there"] * 3
    assert again.in_words == "0 of 3 labels imported as confirmed masks. 3 were there already."
    assert {p: p.read_bytes() for p in data_files(store.folder)} == before


def test_a_withdrawn_import_does_not_come_back(store, labels):
    bring(store, labels)
    store.withdraw("case 1", "B", "wrong")
    assert [o.became for o in bring(store, labels).outcomes] == ["already there"] * 3
    assert {ref.case_id for ref in store.confirmed()} == {"case 0", "case 2"}


def test_suggestions_never_train_until_somebody_confirms_them(store, labels):
    report = bring(store, labels, confirmed=False)
    assert report.in_words == "3 of 3 labels imported as suggestions."
    assert store.confirmed() == ()
    draft = store.load_draft("case 0")
    np.testing.assert_array_equal(draft.mask, two_values(0) == 2)
    assert draft.imported.format == "labelmap"
    assert [o.became for o in bring(store, labels, confirmed=False).outcomes] == ["already there"] * 3
    store.confirm(a_confirmation(1, "case 0"))
    assert store.load_draft("case 0") is None


def test_a_suggestion_may_be_imported_as_confirmed_later(store, labels):
    bring(store, labels, confirmed=False)
    assert len(bring(store, labels).of("imported")) == 3
    assert len(store.confirmed()) == 3


def test_what_people_did_is_never_imported_over(store, labels):
    store.confirm(a_confirmation(1, "case 0"))
    store.save_draft(CaseDraft("case 1", a_mask(7), annotator="B"))
    store.skip("case 2", "B", "too noisy")
    for confirmed in (True, False):
        report = bring(store, labels, confirmed=confirmed)
        assert "confirmed by Dr. Ä" in reasons(report)["case 0"]
        assert "unfinished work" in reasons(report)["case 1"]
        assert "Reopen it" in reasons(report)["case 2"]
    assert len(store.versions("case 0")) == 1
    np.testing.assert_array_equal(store.load_draft("case 1").mask, a_mask(7))
    assert store.case("case 2").state is CaseState.SKIPPED


def test_a_dry_run_changes_nothing_and_says_the_same(store, labels, tmp_path):
    before = {p: p.read_bytes() for p in data_files(store.folder)}
    dry = bring(store, labels, dry_run=True)
    assert {p: p.read_bytes() for p in data_files(store.folder)} == before
    real = bring(store, labels)
    assert dry.outcomes == real.outcomes
    assert dry.in_words == "3 of 3 labels would be imported as confirmed masks."


def test_several_values_without_a_word_which_are_refused_and_listed(store, labels):
    report = bring(store, labels, target="")
    assert "several labels: 1, 2" in reasons(report)["case 0"]
    assert "--target target=VALUE" in reasons(report)["case 0"]
    assert len(bring(store, labels, target="target=any").of("imported")) == 3
    np.testing.assert_array_equal(store.read_mask(store.confirmed()[0]), two_values(0) > 0)


def test_a_value_that_no_file_has_stops_the_import_and_names_what_is_there(store, labels):
    with pytest.raises(DatasetError, match=r"No file has the 7.*case 0\.nii\.gz has no 7; it has 1, 2"):
        bring(store, labels, target="target=7")
    assert store.confirmed() == ()


def test_a_case_without_the_value_is_empty_if_others_have_it(store, labels):
    write_label(labels / "case 1.nii.gz", (two_values(1) == 1).astype(np.uint8))
    assert len(bring(store, labels).of("imported")) == 3
    empty = next(ref for ref in store.confirmed() if ref.case_id == "case 1")
    assert not store.read_mask(empty).any()


def test_values_are_joined_and_a_target_of_another_name_is_refused(store, labels, tmp_path):
    bring(store, labels, target="2,1")
    np.testing.assert_array_equal(store.read_mask(store.confirmed()[0]), two_values(0) > 0)
    with a_store(tmp_path / "lesions", label="lesion") as lesions:
        lesions.add_case("case 0", an_image(0))
        with pytest.raises(ConfigError, match="called 'lesion', not 'liver'"):
            bring(lesions, labels, target="liver=2")
        assert len(bring(lesions, labels, target="lesion=2").of("imported")) == 1


@pytest.mark.parametrize("text", ["", "=", "liver=", "=2", ","])
def test_a_target_that_says_nothing_is_refused(text: str):
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        Target.parse(text)


def test_another_grid_is_left_out_unless_resampling_is_asked_for_and_then_recorded(store, tmp_path):
    x, y, z = GRID.origin_lps_mm
    moved = Geometry(SHAPE, GRID.spacing_ijk_mm, (x + 0.3, y, z), GRID.direction)
    path = write_label(tmp_path / "l" / "case 0.nrrd", a_mask(), moved)
    assert "another voxel grid" in reasons(bring(store, path, target=""))["case 0"]
    report = bring(store, path, target="", resample=True)
    assert report.outcomes[0].resampled
    assert store.record(store.confirmed()[0]).imported.resampled


def test_a_case_that_is_not_there_comes_with_its_image_or_is_left_out(store, tmp_path):
    path = write_label(tmp_path / "l" / "new_seg.nii.gz", a_mask())
    assert "no image for it" in reasons(bring(store, path, target=""))["new"]
    image = write_label(tmp_path / "images" / "new_0000.nii.gz", an_image(9).voxels)
    dry = bring(store, path, target="", images={"new": image}, dry_run=True)
    assert dry.outcomes[0].is_new and "new" not in {c.case_id for c in store.cases()}
    assert bring(store, path, target="", images={"new": image}).outcomes[0].is_new
    assert store.case("new").source == str(image)
    np.testing.assert_array_equal(store.read_image(store.image_hash("new")).voxels, an_image(9).voxels)


def test_an_unusable_image_does_not_become_a_case(store, tmp_path):
    write_label(tmp_path / "d" / "flat.nii.gz", np.ones(SHAPE, np.int16))
    write_label(tmp_path / "d" / "flat_seg.nii.gz", a_mask())
    assert "flat" in reasons(bring(store, tmp_path / "d", target=""))
    assert "flat" not in {c.case_id for c in store.cases()}


def test_a_torn_label_is_left_out_and_the_others_are_imported(store, labels):
    path = labels / "case 1.nii.gz"
    path.write_bytes(b"not a volume")
    report = bring(store, labels)
    assert list(reasons(report)) == ["case 1"]
    assert len(report.of("imported")) == 2


def test_two_labels_for_one_case_are_not_both_taken(store, labels):
    shutil.copy(labels / "case 0.nii.gz", labels / "CASE 0.nii.gz")
    report = bring(store, labels)
    assert [o.reason for o in report.of("left out")] == [
        "Another label is there for this case: CASE 0.nii.gz."
    ]


def test_of_totalsegmentators_folder_one_structure_is_taken(store, tmp_path):
    for number in range(2):
        write_structures(tmp_path / "ts" / f"case {number}" / "segmentations", seed=number)
    assert (
        "case 0 has several labels: kidney_left, liver, spleen"
        in reasons(bring(store, tmp_path / "ts", ""))["case 0"]
    )
    report = bring(store, tmp_path / "ts", target="target=spleen", confirmed=False)
    assert len(report.of("imported")) == 2
    np.testing.assert_array_equal(store.load_draft("case 1").mask, a_mask(11))
    store.discard_draft("case 0")
    missing = bring(store, tmp_path / "ts", target="target=pancreas")
    assert "has no pancreas; it has kidney_left" in reasons(missing)["case 0"]


def test_a_changed_structure_beside_the_chosen_one_is_no_new_import(store, tmp_path):
    folder = write_structures(tmp_path / "ts" / "case 0")
    bring(store, folder, target="target=spleen")
    write_label(folder / "liver.nii.gz", a_mask(77))
    assert bring(store, folder, target="target=spleen").outcomes[0].became == "already there"


def test_a_monai_label_datastore_brings_its_images_and_annotators(store, tmp_path):
    write_datastore(tmp_path / "store")
    report = bring(store, tmp_path / "store", target="")
    assert [(o.case_id, o.is_new) for o in report.outcomes] == [("case_0", True)]
    assert store.record(store.confirmed()[0]).imported.author == "radiologist"


def test_another_campaign_is_imported_once_with_its_annotators(store, tmp_path):
    with a_campaign(tmp_path / "other"):
        pass
    report = bring(store, tmp_path / "other", target="")
    assert [o.became for o in report.outcomes] == ["imported", "imported"]
    record = store.record(store.confirmed()[0])
    assert (record.annotator, record.imported.author, record.imported.format) == ("Ada", "Dr. Ä", "campaign")
    assert {o.became for o in bring(store, tmp_path / "other", target="").outcomes} == {"already there"}
