"""What a campaign's targets allow: changes of the list, and masks beside each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_store, an_image
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.types import CaseState, Slot, Target, Targets
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path

LESION = Target("lesion", "lesion", instances=True)
TARGETS = Targets([*Targets.named(["liver", "spleen"]), LESION])
SPLEEN = Slot("spleen")


@pytest.fixture
def three(tmp_path: Path):
    with a_store(tmp_path / "campaign", targets=TARGETS) as store:
        store.add_case("case one", an_image())
        yield store


def confirm(store: CampaignStore, number: int, slot: Slot, *planes: int):
    mask = np.zeros(SHAPE, np.uint8)
    mask[list(planes)] = 1
    return store.confirm(a_confirmation(number, mask=mask, slot=slot))


def test_targets_are_renamed_coloured_and_ordered_while_their_records_stay(three: CampaignStore) -> None:
    ref = confirm(three, 1, SPLEEN, 0)
    liver, spleen, lesion = TARGETS
    changed = Targets([replace(spleen, name="Milz", colour=(1, 2, 3)), liver, lesion])
    three.set_targets(changed)
    with CampaignStore.open(three.folder) as again:
        assert again.targets == changed and again.manifest.label == "liver"
        assert again.confirmed("spleen") == (ref,)
        assert again.record(ref).label == "spleen", "a record keeps the name that the target had"
        assert [s.slot.target for s in again.slots("case one")] == ["spleen", "", "lesion"]


def test_a_target_of_which_nothing_is_kept_can_be_removed(three: CampaignStore) -> None:
    confirm(three, 1, FIRST, 0)
    three.set_targets(Targets(TARGETS[:1]))
    assert three.case("case one").state is CaseState.CONFIRMED
    with pytest.raises(ConfigError, match="no target 'spleen'"):
        three.newest("case one", SPLEEN)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (
            lambda s: confirm(s, 1, SPLEEN, 0),
            "spleen cannot be removed: the campaign keeps 1 confirmed version",
        ),
        (lambda s: s.skip("case one", "Ada", "motion", SPLEEN), "keeps 1 decision of it"),
        (
            lambda s: s.save_draft(CaseDraft("case one", np.zeros(SHAPE, np.uint8), slot=SPLEEN)),
            "keeps 1 draft of it",
        ),
    ],
)
def test_a_target_with_records_is_not_removed(three: CampaignStore, keep, words: str) -> None:
    keep(three)
    with pytest.raises(InputError, match=words):
        three.set_targets(Targets([TARGETS[0], LESION]))
    assert three.targets == TARGETS


def test_a_withdrawn_version_is_a_record_too(three: CampaignStore) -> None:
    confirm(three, 1, SPLEEN, 0)
    three.withdraw("case one", "Ada", "wrong", SPLEEN)
    with pytest.raises(InputError, match="1 confirmed version and 1 decision"):
        three.set_targets(Targets([TARGETS[0], LESION]))


def test_the_first_target_is_renamed_and_not_removed(three: CampaignStore) -> None:
    with pytest.raises(ConfigError, match=r"liver is the campaign's first target.*Rename it"):
        three.set_targets(Targets([TARGETS[1]]))


def test_several_of_a_kind_stay_several_while_there_are(three: CampaignStore) -> None:
    one = replace(LESION, instances=False)
    three.set_targets(Targets([*TARGETS[:2], one]))
    three.set_targets(TARGETS)
    confirm(three, 1, Slot("lesion", 2), 0)
    with pytest.raises(InputError, match="lesion has to stay one of which there may be several"):
        three.set_targets(Targets([*TARGETS[:2], one]))


def test_two_targets_of_one_name_are_refused_before_anything_is_asked(three: CampaignStore) -> None:
    with pytest.raises(ConfigError, match="Two targets are called"):
        three.set_targets(Targets([*TARGETS, Target("Spleen", "other")]))


def test_an_added_target_opens_every_case_again(three: CampaignStore) -> None:
    for number, slot in enumerate((FIRST, SPLEEN, Slot("lesion"))):
        confirm(three, number, slot, number)
    assert three.case("case one").state is CaseState.CONFIRMED
    three.set_targets(three.targets.with_new(Target("vessel")))
    case = three.case("case one")
    assert (case.state, case.decided, len(case.slots)) == (CaseState.IN_PROGRESS, 3, 4)


def test_settings_that_are_written_by_somebody_who_knew_fewer_targets_drop_none(three: CampaignStore) -> None:
    before = three.manifest
    three.set_targets(three.targets.with_new(Target("vessel")))
    three.update_manifest(replace(before, strategy="static"))
    assert (three.manifest.strategy, len(three.targets)) == ("static", 4)


# -- masks beside each other --------------------------------------------------------------------------------


def test_a_mask_that_takes_anothers_voxels_is_refused_with_their_number(three: CampaignStore) -> None:
    confirm(three, 1, FIRST, 0, 1)
    with pytest.raises(InputError, match="mask of spleen takes 99 voxels of liver, which is confirmed"):
        confirm(three, 2, SPLEEN, 1, 2)
    assert three.newest("case one", SPLEEN) is None
    assert confirm(three, 3, SPLEEN, 2, 3).sequence == 2


def test_a_correction_is_not_compared_with_what_it_corrects(three: CampaignStore) -> None:
    confirm(three, 1, FIRST, 0, 1)
    assert confirm(three, 2, FIRST, 1, 2).case_version == 2
    assert confirm(three, 3, SPLEEN, 0).case_version == 1


def test_a_withdrawn_mask_stands_in_nobodys_way(three: CampaignStore) -> None:
    confirm(three, 1, FIRST, 0)
    three.withdraw("case one", "Ada", "wrong")
    assert confirm(three, 2, SPLEEN, 0)


@pytest.mark.parametrize("at", [0, 1])
def test_a_target_that_may_overlap_does_on_either_side(three: CampaignStore, at: int) -> None:
    listed = list(TARGETS)
    listed[at] = replace(listed[at], overlaps=True)
    three.set_targets(Targets(listed))
    confirm(three, 1, FIRST, 0)
    assert confirm(three, 2, SPLEEN, 0)


def test_several_of_a_kind_exclude_each_other_even_if_the_kind_overlaps_others(three: CampaignStore) -> None:
    three.set_targets(Targets([*TARGETS[:2], replace(LESION, overlaps=True)]))
    confirm(three, 1, FIRST, 0)
    confirm(three, 2, Slot("lesion"), 0)
    with pytest.raises(InputError, match="lesion 2 takes 99 voxels of lesion 1"):
        confirm(three, 3, Slot("lesion", 2), 0, 1)


def test_a_mask_of_nothing_overlaps_nothing(three: CampaignStore) -> None:
    confirm(three, 1, FIRST, 0)
    confirm(three, 2, SPLEEN)
    assert three.slots("case one")[1].is_absent


def test_a_damaged_neighbour_does_not_keep_a_mask_from_being_confirmed(three: CampaignStore) -> None:
    ref = confirm(three, 1, FIRST, 0)
    (three.folder / ref.folder / "mask.b2nd").unlink()
    assert confirm(three, 2, SPLEEN, 0)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@cache_helpers.relaxed
def test_confirmed_masks_of_targets_that_exclude_each_other_never_share_a_voxel(
    tmp_path_factory: pytest.TempPathFactory, first: int, second: int
) -> None:
    with cache_helpers.a_quick_folder(tmp_path_factory.mktemp("q")) as folder:
        with a_store(folder / "campaign", targets=TARGETS) as store:
            store.add_case("case one", an_image())
            masks = [
                (np.random.default_rng(s).random(SHAPE) < 0.004).astype(np.uint8) for s in (first, second)
            ]
            store.confirm(a_confirmation(1, mask=masks[0]))
            if (masks[0] & masks[1]).any():
                with pytest.raises(InputError, match="takes"):
                    store.confirm(a_confirmation(2, mask=masks[1], slot=SPLEEN))
            else:
                store.confirm(a_confirmation(2, mask=masks[1], slot=SPLEEN))
