"""Decisions and drafts of each target: one's never touch another's, and all lie where the format says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_mask, a_store, an_image, flip_bit

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft, rebuild_index
from clopa_annotator.errors import CacheError, ConfigError, CorruptRecord
from clopa_annotator.types import CaseState, Imported, Slot, Target, Targets
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path

TARGETS = Targets(
    [
        Target("nodule", instances=True, overlaps=True),
        Target("spleen", "spleen", overlaps=True),
        Target("lesion", "lesion", instances=True, overlaps=True),
    ]
)
SLOTS = (FIRST, Slot("", 2), Slot("spleen"), Slot("lesion"), Slot("lesion", 2))


def a_plane(number: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[number] = 1
    return mask


@pytest.fixture
def several(tmp_path: Path):
    with a_store(tmp_path / "campaign", targets=TARGETS) as store:
        for case in ("case one", "case two"):
            store.add_case(case, an_image())
        yield store


@pytest.fixture
def full(several: CampaignStore) -> CampaignStore:
    """Every slot of the first case confirmed, the second of the nodules twice."""
    for number, slot in enumerate(SLOTS):
        several.confirm(a_confirmation(number, mask=a_plane(number), slot=slot))
    several.confirm(a_confirmation(9, mask=a_plane(5), slot=SLOTS[1]))
    return several


def everything(store: CampaignStore) -> object:
    return (
        store.cases(),
        [store.confirmed(target.key) for target in store.targets],
        [store.versions("case one", slot) for slot in SLOTS],
        [store.marks("case one", slot) for slot in SLOTS],
    )


def test_masks_lie_where_the_format_says_and_the_first_where_version_1_has_it(full: CampaignStore) -> None:
    base = next(full.folder.glob("cases/case-one-*"))
    found = {p.parent.relative_to(base).as_posix() for p in base.rglob("record.json")}
    assert found == {
        "v0001-s00000001",
        "targets/_first/i0002/v0001-s00000002",
        "targets/_first/i0002/v0002-s00000006",
        "targets/spleen/v0001-s00000003",
        "targets/lesion/v0001-s00000004",
        "targets/lesion/i0002/v0001-s00000005",
    }
    record = json.loads((base / "targets/lesion/i0002/v0001-s00000005/record.json").read_bytes())
    assert (record["target"], record["instance"], record["label"]) == ("lesion", 2, "lesion")
    header = (base / "targets/lesion/i0002/v0001-s00000005/mask.seg.nrrd").read_bytes().partition(b"\n\n")[0]
    assert b"Segment0_Name:=lesion 2\n" in header


def test_each_target_lists_its_own_masks_with_all_its_instances(full: CampaignStore) -> None:
    assert [(r.slot, r.case_version) for r in full.confirmed()] == [(FIRST, 1), (Slot("", 2), 2)]
    assert [r.slot for r in full.confirmed("lesion")] == [Slot("lesion"), Slot("lesion", 2)]
    assert full.arrivals("spleen") == {"case one": 3} and full.arrivals() == {"case one": 1}
    assert [v.ref.slot for v in full.current("case one")] == [
        SLOTS[0], SLOTS[2], SLOTS[3], SLOTS[4], SLOTS[1],
    ]  # fmt: skip
    for number, slot in enumerate(SLOTS):
        newest = full.newest("case one", slot)
        assert newest is not None
        np.testing.assert_array_equal(full.read_mask(newest.ref), a_plane(5 if number == 1 else number))
        assert full.record(newest.ref).slot == slot


def test_a_view_of_one_target_is_as_if_there_were_no_other(full: CampaignStore) -> None:
    view = full.of_target("lesion")
    assert view.target.name == "lesion" and full.target.name == "nodule"
    assert view.confirmed() == full.confirmed("lesion")
    assert view.confirmed_versions() == full.confirmed_versions("lesion")
    assert view.arrivals() == full.arrivals("lesion")
    assert view.versions("case one") == full.versions("case one", Slot("lesion"))
    assert [s.slot for s in view.cases()[0].slots] == [Slot("lesion"), Slot("lesion", 2)]
    assert [c.state for c in view.cases()] == [CaseState.CONFIRMED, CaseState.TODO]
    view.withdraw("case one", "Ada", "wrong")
    assert full.newest("case one", Slot("lesion")) is None and full.newest("case one") is not None
    with pytest.raises(ConfigError, match="no target 'vessel'"):
        full.of_target("vessel")


def test_a_decision_is_about_one_target_and_the_case_sums_them_up(full: CampaignStore) -> None:
    assert full.case("case one").state is CaseState.CONFIRMED
    full.reopen("case one", "Ada", "border", Slot("spleen"))
    assert full.case("case one").state is CaseState.IN_PROGRESS
    full.withdraw("case one", "Ada", "other organ", Slot("lesion", 2))
    case = full.case("case one")
    assert (case.state, case.decided) == (CaseState.NEEDS_REVIEW, 3)
    assert [m.action for m in full.marks("case one", Slot("spleen"))] == ["reopen"]
    assert full.marks("case one") == ()
    assert [r.slot for r in full.confirmed("lesion")] == [Slot("lesion")]


def test_a_case_of_which_every_target_is_skipped_is_skipped(several: CampaignStore) -> None:
    for key in ("", "spleen", "lesion"):
        several.skip("case two", "Ada", "motion", Slot(key))
    assert several.case("case two").state is CaseState.SKIPPED
    assert several.case("case one").state is CaseState.TODO


def test_refusals_name_the_target(full: CampaignStore) -> None:
    with pytest.raises(CacheError, match=r"Spleen in the case 'case one' is confirmed\. Withdraw it first"):
        full.skip("case one", "Ada", "", Slot("spleen"))
    with pytest.raises(CacheError, match="Lesion 1 in the case 'case two' has no confirmed version"):
        full.withdraw("case two", "Ada", "", Slot("lesion"))
    with pytest.raises(CacheError, match="Spleen in the case 'case two' has no confirmed version"):
        full.set_state("case two", CaseState.CONFIRMED, slot=Slot("spleen"))
    with pytest.raises(ConfigError, match="There is one spleen in an image"):
        full.confirm(a_confirmation(50, slot=Slot("spleen", 2)))
    for ask in (
        lambda slot: full.confirm(a_confirmation(51, slot=slot)),
        lambda slot: full.skip("case two", "Ada", "", slot),
        lambda slot: full.versions("case one", slot),
        lambda slot: full.load_draft("case one", slot),
        lambda slot: full.save_draft(CaseDraft("case one", a_mask(), slot=slot)),
    ):
        with pytest.raises(ConfigError, match="no target 'vessel'; it has nodule, spleen, lesion"):
            ask(Slot("vessel"))


def test_two_people_conflict_over_one_target_and_not_over_two(several: CampaignStore) -> None:
    several.confirm(a_confirmation(1, annotator="A", mask=a_plane(0)), based_on_version=0)
    several.confirm(
        a_confirmation(2, annotator="B", mask=a_plane(1), slot=Slot("spleen")), based_on_version=0
    )
    assert several.slot("case one", Slot("spleen")).state is CaseState.CONFIRMED
    several.confirm(a_confirmation(3, annotator="B", mask=a_plane(2)), based_on_version=0)
    assert several.slot("case one").state is CaseState.NEEDS_REVIEW


# -- drafts -------------------------------------------------------------------------------------------------


def test_each_slot_keeps_its_own_draft_and_a_suggestion_is_told_from_it(several: CampaignStore) -> None:
    for number, slot in enumerate(SLOTS):
        given = Imported("x.nii", "nifti", "0" * 64, "1") if slot == Slot("spleen") else None
        several.save_draft(CaseDraft("case one", a_plane(number), slot=slot, imported=given))
    base = next(several.folder.glob("cases/case-one-*")).name
    assert {p.name for p in (several.folder / "drafts").iterdir()} == {
        f"{base}.json",
        f"{base}~_first~i0002.json",
        f"{base}~spleen.json",
        f"{base}~lesion.json",
        f"{base}~lesion~i0002.json",
    }
    shown = {s.slot: (s.has_draft, s.is_suggestion) for s in several.slots("case one")}
    assert shown == {slot: (True, slot == Slot("spleen")) for slot in SLOTS}
    for number, slot in enumerate(SLOTS):
        draft = several.load_draft("case one", slot)
        assert draft is not None and draft.slot == slot
        np.testing.assert_array_equal(draft.mask, a_plane(number))
    several.save_draft(CaseDraft("case one", a_plane(6), slot=Slot("spleen")))
    assert not several.slot("case one", Slot("spleen")).is_suggestion
    assert several.verify().ok


def test_a_confirmation_drops_its_own_draft_alone(several: CampaignStore) -> None:
    for slot in SLOTS[:3]:
        several.save_draft(CaseDraft("case one", a_plane(0), slot=slot))
    several.confirm(a_confirmation(1, mask=a_plane(0), slot=SLOTS[1]))
    several.discard_draft("case one", SLOTS[0])
    left = [s.slot for s in several.slots("case one") if s.has_draft]
    assert left == [Slot("spleen")]


def test_a_damaged_draft_is_moved_and_the_others_stay(several: CampaignStore) -> None:
    for slot in SLOTS[:3]:
        several.save_draft(CaseDraft("case one", a_plane(0), slot=slot))
    path = next((several.folder / "drafts").glob("*~spleen.json"))
    flip_bit(path, 800)
    with pytest.raises(CorruptRecord):
        several.load_draft("case one", Slot("spleen"))
    assert several.load_draft("case one", Slot("spleen")) is None
    assert several.load_draft("case one", SLOTS[1]) is not None


def test_a_draft_in_anothers_place_is_damage(several: CampaignStore) -> None:
    several.save_draft(CaseDraft("case one", a_plane(0), slot=Slot("spleen")))
    path = next((several.folder / "drafts").iterdir())
    path.rename(path.with_name(path.name.replace("spleen", "lesion")))
    with pytest.raises(CorruptRecord, match="belongs to another case"):
        several.load_draft("case one", Slot("lesion"))


# -- care ---------------------------------------------------------------------------------------------------


def test_the_index_is_made_again_from_the_files_of_every_slot(full: CampaignStore) -> None:
    full.withdraw("case one", "Ada", "wrong", Slot("lesion", 2))
    full.save_draft(CaseDraft("case two", a_plane(0), slot=Slot("lesion", 3)))
    before = everything(full)
    folder = full.folder
    full.close()
    assert rebuild_index(folder).versions == 6
    (folder / "index.sqlite").unlink()
    with CampaignStore.open(folder) as store:
        assert everything(store) == before
    with CampaignStore.open(folder, writer=True) as store:
        assert everything(store) == before and store.verify().ok


@pytest.mark.parametrize("name", ["record.json", "mask.b2nd", "mask.seg.nrrd"])
def test_damage_of_one_slot_is_moved_and_its_numbers_are_not_given_again(
    full: CampaignStore, name: str
) -> None:
    flip_bit(next(full.folder.glob(f"cases/case-one-*/targets/lesion/i0002/v*/{name}")), 3000)
    report = full.verify()
    assert len(report.findings) == 1 and "lesion/i0002" in report.findings[0].moved_to
    assert [r.slot for r in full.confirmed("lesion")] == [Slot("lesion")]
    assert full.case("case one").decided == 4
    assert full.verify().ok
    assert full.confirm(a_confirmation(70, mask=a_plane(6), slot=Slot("lesion", 2))).case_version == 2


def test_a_record_that_lies_in_anothers_slot_is_damage(full: CampaignStore) -> None:
    base = next(full.folder.glob("cases/case-one-*/targets"))
    version = next((base / "lesion").glob("v*"))
    shutil.move(version, base / "spleen" / version.name)
    problems = [f.problem for f in full.verify().findings]
    assert any("another folder" in problem for problem in problems)


@pytest.mark.parametrize("name", ["targets/Liver", "targets/spleen/i0001", "targets/spleen/x.txt", "targets"])
def test_what_no_target_can_have_made_is_moved_aside(several: CampaignStore, name: str) -> None:
    path = next(several.folder.glob("cases/case-two-*")) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    report = several.verify()
    assert [f.moved_to.endswith(name) for f in report.findings] == [True]
    assert several.verify().ok


def test_records_of_a_target_that_the_list_lost_are_named_and_stay(full: CampaignStore) -> None:
    lost = full.manifest.with_targets(Targets(TARGETS[:1]))
    full.save_draft(CaseDraft("case two", a_plane(0), slot=Slot("spleen")))
    (full.folder / "campaign.json").write_bytes(lost.to_document())
    folder = full.folder
    full.close()
    with CampaignStore.open(folder, writer=True) as store:
        findings = store.verify().findings
        assert [f.moved_to for f in findings] == ["", "", ""]
        assert all("no target that" in f.problem for f in findings)
        store.set_targets(TARGETS)
        assert len(store.confirmed("lesion")) == 2 and store.verify().ok


def test_a_case_record_is_written_again_from_any_slots_versions(several: CampaignStore) -> None:
    several.confirm(a_confirmation(1, "case two", mask=a_plane(0), slot=Slot("lesion", 2)))
    next(several.folder.glob("cases/case-two-*/case.json")).write_text("{}")
    assert "written again" in several.verify().findings[0].problem
    assert [r.slot for r in several.confirmed("lesion")] == [Slot("lesion", 2)]
