"""The annotation cache as its users see it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from cache_helpers import SHAPE, a_campaign, a_confirmation, a_mask, a_quick_folder, a_store, an_image

from clopa_annotator.cache.store import CampaignManifest, CampaignStore, CaseDraft
from clopa_annotator.errors import (
    CacheError,
    ConfigError,
    ConfirmationConflict,
    CorruptRecord,
    GeometryError,
    ImageError,
    InputError,
    ReadOnlyCampaign,
    UnknownCase,
)
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseState, Image, LassoPrompt, MaskPrompt, ScribblePrompt, TimedPrompt


@pytest.fixture
def tmp_path(tmp_path: Path):
    with a_quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        store.add_case("case one", an_image(), source="one.nii.gz")
        yield store


def test_what_was_confirmed_is_read_back_voxel_by_voxel_and_word_by_word(store):
    sent = a_confirmation()
    ref = store.confirm(sent, based_on_version=0)
    record = store.record(ref)
    np.testing.assert_array_equal(store.read_mask(ref), sent.mask)
    assert (ref.case_version, ref.sequence, ref.case_id) == (1, 1, "case one")
    assert record.prompts == sent.prompts
    for name in ("annotator", "seconds_active", "weights_version", "first_shown_dice", "note"):
        assert getattr(record, name) == getattr(sent, name)
    assert record.geometry == an_image().geometry
    assert record.mask_voxels == int(sent.mask.sum())
    assert record.model_hash == store.manifest.model_hash
    assert set(record.software) >= {"clopa-annotator", "python", "numpy", "blosc2"}


def test_the_receipt_is_the_hash_of_the_record_file(store):
    ref = store.confirm(a_confirmation())
    document = (store.folder / ref.folder / "record.json").read_bytes()
    assert hashlib.sha256(document).hexdigest() == ref.record_hash
    assert json.loads(document)["confirmation_id"] == "confirmation-1"


def test_the_mask_hash_is_that_of_its_plain_bytes(store):
    sent = a_confirmation()
    assert store.confirm(sent).mask_hash == hashlib.sha256(sent.mask.tobytes()).hexdigest()


def test_what_was_confirmed_is_there_after_closing_and_opening(tmp_path):
    with a_campaign(tmp_path / "c") as store:
        before = store.cases(), store.confirmed(), store.manifest
    with CampaignStore.open(tmp_path / "c") as store:
        assert (store.cases(), store.confirmed(), store.manifest) == before
        assert not store.writable


def test_delivering_a_confirmation_again_changes_nothing(store):
    ref = store.confirm(a_confirmation())
    assert store.confirm(a_confirmation()) == ref
    assert len(store.versions("case one")) == 1


@pytest.mark.parametrize("change", [{"mask": a_mask(99)}, {"annotator": "somebody else"}, {"prompts": ()}])
def test_one_confirmation_id_with_two_contents_is_refused(store, change):
    ref = store.confirm(a_confirmation())
    with pytest.raises(ConfirmationConflict, match="under a new id"):
        store.confirm(a_confirmation(**change))
    assert store.confirmed() == (ref,)


def test_a_correction_is_a_new_version_and_the_old_one_stays(store):
    first, second = store.confirm(a_confirmation(1)), store.confirm(a_confirmation(2), based_on_version=1)
    assert (second.case_version, second.sequence) == (2, 2)
    assert store.confirmed() == (second,)
    assert [v.current for v in store.versions("case one")] == [False, True]
    np.testing.assert_array_equal(store.read_mask(first), a_mask(1))


def test_a_withdrawn_version_trains_no_more_and_stays_on_disk(store):
    store.confirm(a_confirmation(1))
    second = store.confirm(a_confirmation(2))
    store.withdraw("case one", "Dr. B", "wrong side")
    assert store.confirmed() == ()
    assert [v.withdrawn for v in store.versions("case one")] == [False, True]
    case = store.case("case one")
    assert (case.state, case.note, case.sequence) == (CaseState.NEEDS_REVIEW, "wrong side", None)
    np.testing.assert_array_equal(store.read_mask(second), a_mask(2))
    third = store.confirm(a_confirmation(3))
    assert store.confirmed() == (third,)
    assert third.case_version == 3


def test_there_must_be_something_to_withdraw(store):
    with pytest.raises(CacheError, match="no confirmed version"):
        store.withdraw("case one", "", "")


def test_a_reopened_case_keeps_its_version_until_it_is_corrected(store):
    first = store.confirm(a_confirmation(1))
    store.reopen("case one", "Dr. B", "border")
    assert store.case("case one").state is CaseState.IN_PROGRESS
    assert store.confirmed() == (first,)
    store.confirm(a_confirmation(2))
    assert store.case("case one").state is CaseState.CONFIRMED
    assert [m.action for m in store.marks("case one")] == ["reopen"]


def test_a_skipped_case_says_why_and_can_be_taken_up_again(store):
    store.skip("case one", "Dr. B", "motion")
    case = store.case("case one")
    assert (case.state, case.note) == (CaseState.SKIPPED, "motion")
    store.reopen("case one", "Dr. B")
    store.set_state("case one", CaseState.TODO)
    assert store.case("case one").state is CaseState.TODO


def test_a_confirmed_case_cannot_be_skipped(store):
    store.confirm(a_confirmation())
    with pytest.raises(CacheError, match="Withdraw it first"):
        store.set_state("case one", CaseState.SKIPPED)


def test_a_case_cannot_be_declared_confirmed_without_a_mask(store):
    with pytest.raises(CacheError, match="no confirmed version"):
        store.set_state("case one", CaseState.CONFIRMED)


def test_two_people_confirming_from_the_same_parent_are_both_kept_and_flagged(store):
    first = store.confirm(a_confirmation(1, annotator="A"), based_on_version=0)
    second = store.confirm(a_confirmation(2, annotator="B"), based_on_version=0)
    case = store.case("case one")
    assert case.state is CaseState.NEEDS_REVIEW
    assert "independently" in case.note
    assert [v.ref for v in store.versions("case one")] == [first, second]
    assert [v.conflict for v in store.versions("case one")] == [False, True]
    store.set_state("case one", CaseState.CONFIRMED, "lead", "second is right")
    assert store.case("case one").state is CaseState.CONFIRMED


@pytest.mark.parametrize(("annotator", "based_on"), [("B", 1), ("A", 0), ("B", None)])
def test_a_correction_of_what_one_saw_and_ones_own_second_version_are_no_conflict(store, annotator, based_on):
    store.confirm(a_confirmation(1, annotator="A"), based_on_version=0)
    store.confirm(a_confirmation(2, annotator=annotator), based_on_version=based_on)
    assert store.case("case one").state is CaseState.CONFIRMED


def test_sequence_numbers_are_shared_by_everything_and_grow(store):
    store.confirm(a_confirmation(1))
    store.reopen("case one", "")
    store.confirm(a_confirmation(2))
    assert [v.ref.sequence for v in store.versions("case one")] == [1, 3]
    assert store.version(3).ref.case_version == 2
    with pytest.raises(UnknownCase, match="number 2"):
        store.version(2)


def test_arrivals_keep_the_number_of_the_first_version(store):
    for number in (1, 2, 3):
        store.confirm(a_confirmation(number))
    assert store.arrivals() == {"case one": 1}


def test_an_image_is_stored_once_however_many_cases_have_it(store):
    first = store.add_case("case one", an_image())
    assert store.add_case("case two", an_image()) == first
    assert len(list((store.folder / "images").iterdir())) == 1
    assert [c.number for c in store.cases()] == [1, 2]


def test_a_case_keeps_its_image(store):
    with pytest.raises(GeometryError, match="another image"):
        store.add_case("case one", an_image(5))


def test_the_same_voxels_elsewhere_in_the_world_are_another_image(store):
    image = an_image()
    moved = Image(image.voxels, dataclasses.replace(image.geometry, origin_lps_mm=(0.0, 0.0, 0.0)))
    assert store.add_case("moved", moved) != store.image_hash("case one")


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "int64", "float32", "float64", ">i2", "bool"]
)
def test_an_image_of_any_real_type_comes_back_exactly(store, dtype):
    image = an_image(3, dtype=dtype)
    digest = store.add_case(dtype, image)
    again = store.read_image(digest)
    np.testing.assert_array_equal(again.voxels, image.voxels)
    assert again.geometry == image.geometry
    assert again.voxels.dtype.itemsize == image.voxels.dtype.itemsize


def test_an_image_with_negative_strides_comes_back_exactly(store):
    image = an_image(4)
    turned = Image(image.voxels[::-1, :, ::-1], image.geometry)
    np.testing.assert_array_equal(store.read_image(store.add_case("turned", turned)).voxels, turned.voxels)


@pytest.mark.parametrize(
    ("voxels", "error"),
    [
        (np.zeros((3, 4), np.int16), ImageError),
        (np.zeros(SHAPE, np.complex64), ImageError),
        (np.zeros((1, *SHAPE), np.int16), ImageError),
        (np.zeros((2, 2, 2), np.int16), GeometryError),
    ],
)
def test_what_is_no_volume_on_its_grid_is_refused(store, voxels, error):
    with pytest.raises(error):
        store.add_case("bad", Image(voxels, Geometry(SHAPE)))
    assert [c.case_id for c in store.cases()] == ["case one"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mask": np.zeros((1, 2, 3), np.uint8)}, GeometryError),
        ({"mask": np.full(SHAPE, 2, np.uint8)}, InputError),
        ({"mask": np.full(SHAPE, 0.5)}, InputError),
        ({"mask": np.full(SHAPE, -1, np.int8)}, InputError),
        ({"confirmation_id": ""}, InputError),
        ({"confirmation_id": "a\nb"}, InputError),
        ({"first_shown_dice": float("nan")}, InputError),
        ({"first_shown_dice": 1.5}, InputError),
        ({"seconds_active": float("inf")}, InputError),
        ({"case_id": "nobody"}, UnknownCase),
    ],
)
def test_a_confirmation_that_cannot_be_right_is_refused_and_nothing_changes(store, changes, error):
    with pytest.raises(error):
        store.confirm(a_confirmation(**changes))
    assert store.confirmed() == ()
    assert store.confirm(a_confirmation()).sequence == 1


def test_boolean_and_turned_masks_are_taken(store):
    ref = store.confirm(a_confirmation(1, mask=a_mask(1).astype(bool)))
    assert ref.mask_hash == hashlib.sha256(a_mask(1).tobytes()).hexdigest()
    store.confirm(a_confirmation(2, mask=a_mask(2)[::-1]))
    np.testing.assert_array_equal(store.read_mask(store.confirmed()[0]), a_mask(2)[::-1])


def test_an_empty_mask_can_be_confirmed(store):
    ref = store.confirm(a_confirmation(mask=np.zeros(SHAPE, np.uint8)))
    assert not store.read_mask(ref).any()
    assert store.record(ref).mask_voxels == 0


def test_drawn_prompts_and_mask_prompts_come_back(store):
    region = a_mask(5, (2, 3, 4))
    prompts = (
        TimedPrompt(MaskPrompt(a_mask(6)), 0.0),
        TimedPrompt(ScribblePrompt(region, ((1, 3), (2, 5), (3, 7))), 1.0),
        TimedPrompt(LassoPrompt(region, ((0, 2), (0, 3), (0, 4)), False), 2.0),
    )
    found = store.record(store.confirm(a_confirmation(prompts=prompts))).prompts
    for was, now in zip(prompts, found, strict=True):
        assert (type(was.prompt), was.at_s) == (type(now.prompt), now.at_s)
        np.testing.assert_array_equal(was.prompt.mask, now.prompt.mask)
    assert found[2].prompt.positive is False
    assert found[1].prompt.bounds_kji == ((1, 3), (2, 5), (3, 7))


# -- patches -------------------------------------------------------------------------------------------------

BIG = (130, 70, 65)


def test_patches_of_image_and_mask_are_those_of_the_whole(store):
    store.add_case("big", an_image(7, BIG))
    ref = store.confirm(a_confirmation(7, "big", mask=a_mask(7, BIG)))
    generator = np.random.default_rng(0)
    for _ in range(20):
        low = [int(generator.integers(0, n)) for n in BIG]
        bounds = tuple((lo, int(generator.integers(lo + 1, n + 1))) for lo, n in zip(low, BIG, strict=True))
        part = tuple(slice(*b) for b in bounds)
        np.testing.assert_array_equal(store.read_patch(ref.image_hash, bounds), an_image(7, BIG).voxels[part])
        np.testing.assert_array_equal(store.read_mask_patch(ref, bounds), a_mask(7, BIG)[part])


def test_a_patch_is_read_from_the_chunks_that_it_touches_and_no_others(store):
    digest = store.add_case("big", an_image(7, BIG))
    path = store.folder / "images" / digest / "voxels.b2nd"
    content = bytearray(path.read_bytes())
    # Chunks lie in the file in the order of the array: the last third holds the far end along k.
    for position in range(int(len(content) * 0.75), int(len(content) * 0.9)):
        content[position] = 0
    path.write_bytes(bytes(content))
    near = ((0, 60), (0, 60), (0, 60))
    np.testing.assert_array_equal(store.read_patch(digest, near), an_image(7, BIG).voxels[:60, :60, :60])
    with pytest.raises(CorruptRecord, match="damaged"):
        store.read_image(digest)


@pytest.mark.parametrize(
    "bounds", [((-1, 2), (0, 2), (0, 2)), ((0, 2), (0, 99), (0, 2)), ((2, 2), (0, 2), (0, 2))]
)
def test_a_patch_outside_the_image_is_refused(store, bounds):
    ref = store.confirm(a_confirmation())
    with pytest.raises(GeometryError, match="not inside"):
        store.read_patch(ref.image_hash, bounds)
    with pytest.raises(GeometryError, match="not inside"):
        store.read_mask_patch(ref, bounds)


def test_a_missing_image_or_mask_is_named(store):
    ref = store.confirm(a_confirmation())
    (store.folder / "images" / ref.image_hash / "voxels.b2nd").unlink()
    (store.folder / ref.folder / "mask.b2nd").unlink()
    bounds = ((0, 1), (0, 1), (0, 1))
    for read in (
        lambda: store.read_patch(ref.image_hash, bounds),
        lambda: store.read_image(ref.image_hash),
        lambda: store.read_mask(ref),
        lambda: store.read_mask_patch(ref, bounds),
        lambda: store.geometry("0" * 64),
    ):
        with pytest.raises(CorruptRecord, match="missing"):
            read()


# -- drafts --------------------------------------------------------------------------------------------------


def test_a_draft_is_kept_replaced_and_dropped_by_the_confirmation(store):
    assert store.load_draft("case one") is None
    store.save_draft(CaseDraft("case one", a_mask(1), annotator="A"))
    store.save_draft(CaseDraft("case one", a_mask(2), a_confirmation().prompts, "A", 12.0, 1, 0.5, 0))
    draft = store.load_draft("case one")
    np.testing.assert_array_equal(draft.mask, a_mask(2))
    assert (draft.prompts, draft.seconds_active, draft.first_shown_dice) == (
        a_confirmation().prompts,
        12.0,
        0.5,
    )
    assert (store.case("case one").state, store.case("case one").has_draft) == (CaseState.IN_PROGRESS, True)
    assert store.confirmed() == ()
    store.confirm(a_confirmation())
    assert store.load_draft("case one") is None


def test_a_draft_can_be_discarded(store):
    store.save_draft(CaseDraft("case one", a_mask(1)))
    store.discard_draft("case one")
    store.discard_draft("case one")
    assert store.case("case one").state is CaseState.TODO


def test_a_damaged_draft_is_reported_once_and_stands_in_nobodys_way(store):
    store.save_draft(CaseDraft("case one", a_mask(1)))
    path = next((store.folder / "drafts").iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptRecord, match="damaged"):
        store.load_draft("case one")
    assert store.load_draft("case one") is None
    assert len(list((store.folder / "quarantine").rglob("*.json"))) == 2


def test_a_draft_or_a_setting_that_json_does_not_know_is_refused(store):
    with pytest.raises(InputError, match="stored as JSON"):
        store.save_draft(CaseDraft("case one", a_mask(1), seconds_active=float("nan")))
    with pytest.raises(InputError, match="stored as JSON"):
        store.update_manifest(dataclasses.replace(store.manifest, settings={"x": {1, 2}}))
    assert store.load_draft("case one") is None


def test_a_draft_on_another_grid_is_refused(store):
    with pytest.raises(GeometryError):
        store.save_draft(CaseDraft("case one", np.zeros((1, 1, 1), np.uint8)))


# -- opening -------------------------------------------------------------------------------------------------


def test_a_folder_without_a_campaign_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no campaign"):
        CampaignStore.open(tmp_path)


def test_a_campaign_is_not_made_over_another(tmp_path):
    a_store(tmp_path).close()
    with pytest.raises(ConfigError, match="already"):
        a_store(tmp_path)


@pytest.mark.parametrize(("name", "size"), [("", 1), ("x", 0)])
def test_a_manifest_without_name_or_size_is_refused(name, size):
    with pytest.raises(ConfigError):
        CampaignManifest(name, size)


def test_settings_are_kept_and_can_change_while_the_creation_stays(tmp_path):
    with a_store(tmp_path, settings={"k": [1, 2.5, "x"]}) as store:
        created = store.manifest.created
        store.update_manifest(dataclasses.replace(store.manifest, strategy="static", created="never"))
    with CampaignStore.open(tmp_path) as store:
        assert store.manifest.settings == {"k": [1, 2.5, "x"]}
        assert (store.manifest.strategy, store.manifest.created) == ("static", created)


def test_a_store_for_reading_changes_nothing(tmp_path):
    a_campaign(tmp_path).close()
    with CampaignStore.open(tmp_path) as reader:
        for change in (
            lambda: reader.add_case("x", an_image()),
            lambda: reader.confirm(a_confirmation(9, "case 0")),
            lambda: reader.reopen("case 0", ""),
            lambda: reader.save_draft(CaseDraft("case 0", a_mask())),
            lambda: reader.update_manifest(reader.manifest),
        ):
            with pytest.raises(ReadOnlyCampaign, match="for reading only"):
                change()


def test_readers_see_what_the_writer_confirms(tmp_path):
    with a_store(tmp_path) as writer, CampaignStore.open(tmp_path) as reader:
        writer.add_case("case one", an_image())
        ref = writer.confirm(a_confirmation())
        assert reader.confirmed() == (ref,)
        np.testing.assert_array_equal(reader.read_mask(ref), a_mask(1))


def test_confirmations_from_several_threads_get_numbers_of_their_own(store):
    refs = []
    threads = [
        threading.Thread(target=lambda n=n: refs.append(store.confirm(a_confirmation(n)))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.sequence for r in refs) == list(range(1, 9))
    assert sorted(r.case_version for r in refs) == list(range(1, 9))


@pytest.mark.parametrize(
    "case_id",
    [
        "with spaces ",
        "Ünïcödé 患者 🧠",
        "CON",
        "aux.nii",
        "..",
        "../../etc/passwd",
        "a/b\\c:d*?",
        "dots...",
        "x" * 300,
        "é" * 200,
    ],
)
def test_any_name_of_a_case_is_kept_as_it_is(store, case_id):
    store.add_case(case_id, an_image(1))
    store.confirm(a_confirmation(5, case_id))
    store.save_draft(CaseDraft(case_id, a_mask()))
    assert store.case(case_id).case_id == case_id
    assert store.load_draft(case_id).case_id == case_id
    folder = store.folder
    store.close()
    with CampaignStore.open(folder, writer=True) as again:
        assert again.verify().ok
        assert again.confirmed()[0].case_id == case_id


def test_names_that_differ_only_in_case_or_composition_are_different_cases(store):
    names = ["Brain", "brain", "BRAIN", "caf\u00e9", "cafe\u0301"]
    for number, name in enumerate(names):
        store.add_case(name, an_image(number))
        store.confirm(a_confirmation(number, name, confirmation_id=f"c{number}"))
    assert [r.case_id for r in store.confirmed()] == names
    folders = [p.name for p in (store.folder / "cases").iterdir()]
    assert len({f.lower() for f in folders}) == len(names) + 1


@pytest.mark.parametrize("case_id", ["", "  ", "a\nb", "a\x00b", "half \ud83e"])
def test_a_name_that_cannot_be_stored_is_refused(store, case_id):
    with pytest.raises(InputError):
        store.add_case(case_id, an_image())


def test_a_campaign_deep_in_the_file_system_works(tmp_path):
    deep = tmp_path.joinpath(*["a folder with a rather long name"] * 12)
    a_campaign(deep).close()
    with CampaignStore.open(deep) as store:
        assert len(store.confirmed()) == 2
