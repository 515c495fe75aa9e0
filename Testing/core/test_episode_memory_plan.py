"""The memory plan: what fits where, what is given up in which order, and nothing promised twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.footprint import OFFICIAL_PATCH, RESENC_L, Architecture, footprint
from clopa_annotator.episode.hardware.memory_plan import (
    GIB,
    Room,
    patches,
    plan_memory,
    room_beside_engine,
    room_on_card,
    work_of,
)
from clopa_annotator.errors import OutOfMemory

PAPER = EpisodeSettings.paper()
NORMS, EVERYTHING = 27_648, 102_355_818


def on_card(size_gib: float, trained: int = NORMS, settings: EpisodeSettings = PAPER):
    room = room_on_card(int(size_gib * GIB), RESENC_L, OFFICIAL_PATCH)
    return plan_memory(RESENC_L, OFFICIAL_PATCH, settings, trained, room)


def test_a_large_card_takes_the_whole_batch_beside_a_click() -> None:
    plan = on_card(80)
    assert (plan.micro_batch, plan.checkpointing, plan.resident, plan.full_patch) == (2, False, True, True)


def test_24_gib_keep_the_full_patch_within_22_and_12_within_11() -> None:
    for size, most in ((24, 22), (12, 11)):
        plan = on_card(size)
        assert plan.full_patch
        assert plan.trainer_bytes + plan.engine_bytes <= most * GIB
    assert on_card(24).resident and not on_card(24).checkpointing
    assert on_card(12).checkpointing and not on_card(12).resident


def test_8_gib_train_on_a_smaller_patch_and_say_so() -> None:
    plan = on_card(8)
    assert not plan.full_patch and min(plan.patch_kji) >= 64
    assert "smaller than the session's" in plan.sentence() and "160 x 160 x 160" in plan.sentence()


def test_training_all_weights_takes_more_and_too_little_memory_is_said_in_words() -> None:
    assert on_card(24, EVERYTHING).trainer_bytes > on_card(24).trainer_bytes + GIB
    with pytest.raises(OutOfMemory, match="too little to train this network"):
        on_card(4, EVERYTHING)


def test_what_the_settings_ask_for_is_never_made_less_thrifty() -> None:
    plan = on_card(80, settings=replace(PAPER, micro_batch=1, gradient_checkpointing=True))
    assert plan.micro_batch == 1 and plan.checkpointing


@hypothesis_settings(deadline=None)
@given(st.floats(5, 100), st.sampled_from([NORMS, EVERYTHING]))
def test_no_plan_takes_more_than_there_is(size_gib: float, trained: int) -> None:
    try:
        plan = on_card(size_gib, trained)
    except OutOfMemory:
        return
    assert plan.trainer_bytes <= plan.limit_bytes
    assert plan.limit_bytes + plan.engine_bytes <= size_gib * GIB
    peak = footprint(RESENC_L, plan.patch_kji, batch=plan.micro_batch, checkpointing=plan.checkpointing).peak
    assert plan.trainer_bytes > peak
    assert all(n % 32 == 0 for n in plan.patch_kji)


def test_beside_an_engine_that_has_its_weights_only_the_click_is_kept_free() -> None:
    room = room_beside_engine(12 * GIB, RESENC_L, OFFICIAL_PATCH)
    assert room.resting == 0 and 2 * GIB < room.click < 4 * GIB and room.free == 11 * GIB


def test_smaller_patches_keep_their_form_and_fit_the_network() -> None:
    flat = replace(RESENC_L, strides_kji=((1, 1, 1), (1, 2, 2), *((2, 2, 2),) * 4))
    found = list(patches(flat, (64, 192, 192)))
    assert found[0] == (64, 192, 192)
    assert all(k % 16 == 0 and j % 32 == 0 and j == i for k, j, i in found)
    assert found == sorted(found, reverse=True) and len(set(found)) == len(found)


def test_a_network_without_smaller_patches_is_not_planned_for_ever() -> None:
    one = Architecture((8, 16), (1, 1), ((3, 3, 3),) * 2, ((1, 1, 1), (2, 2, 2)), (1,))
    with pytest.raises(OutOfMemory):
        plan_memory(one, (2, 2, 2), PAPER, 10, Room(0, 0, 0))


def test_an_episodes_work_is_its_passes_and_its_looks() -> None:
    work = work_of(RESENC_L, OFFICIAL_PATCH, PAPER)
    assert work.passes == 10 * 50 * 2 * 6 and work.looks == 11 * 30 * 6
    assert work_of(RESENC_L, OFFICIAL_PATCH, PAPER, checkpointing=True).operations > 1.3 * work.operations
    assert work_of(RESENC_L, OFFICIAL_PATCH, EpisodeSettings.paper("all")).operations > 1.4 * work.operations
    assert work.minutes(work.operations / 60) == pytest.approx(1)
