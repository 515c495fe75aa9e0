"""Boxes in which a coarse answer is refined: they cover what changed, with a margin, and are few."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_session
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnInteractive.utils.bboxes import generate_bounding_boxes
from scipy import ndimage
from tiny_session import a_walk, an_image

from clopa_annotator.datasets.organs import OrganSpec, make_organ
from clopa_annotator.session.refinement import is_upstreams, refinement_boxes, worth_refining
from clopa_annotator.session.upstream import Core

folder, loaded, session = tiny_session.folder, tiny_session.loaded, tiny_session.session
PATCH = (64, 64, 64)


@pytest.fixture
def drawn_core(loaded) -> Core:
    core = Core(loaded.artifacts, torch.device("cpu"), None)
    core.prepare(an_image().voxels)
    return core


def seen_well(boxes, shape, patch=PATCH) -> np.ndarray:
    """Voxels that some box sees with its margin, or up to the image's border."""
    seen = np.zeros(shape, bool)
    for box in boxes:
        assert tuple(high - low for low, high in box) == patch
        seen[
            tuple(
                slice(0 if low <= 0 else low + p // 8, n if high >= n else high - p // 8)
                for (low, high), n, p in zip(box, shape, patch, strict=True)
            )
        ] = True
    return seen


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(8, 150), st.integers(8, 150), st.integers(40, 150)),
    st.sampled_from([(64, 64, 64), (32, 48, 24)]),
    st.integers(0, 2**31),
)
def test_every_changed_voxel_is_seen_with_a_margin(shape, patch, seed):
    rng = np.random.default_rng(seed)
    change = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 4)):
        low = [int(rng.integers(n)) for n in shape]
        change[tuple(slice(a, a + int(rng.integers(1, 90))) for a in low)] = True
    boxes = refinement_boxes(change, patch)
    assert not (change & ~seen_well(boxes, shape, patch)).any()
    assert len(set(boxes)) == len(boxes)
    for box in boxes:
        for (low, high), n, p in zip(box, shape, patch, strict=True):
            assert (low >= 0 and high <= n) if n > p else (low <= 0 and high >= n)


def test_what_is_thin_is_refined_only_beside_what_is_thick():
    change = np.zeros((40, 60, 60), bool)
    change[10:25, 10:30, 10:30] = True
    change[16:18, 30:36, 18:20] = True  # a spur of the thick part
    change[5, 50:58, 58] = True  # alone
    worth = worth_refining(change)
    assert worth[10:25, 10:30, 10:30].all() and worth[16:18, 30:36, 18:20].all()
    assert not worth[5, 50:58, 58].any() and not (worth & ~change).any()


def test_thick_parts_are_those_of_nninteractive(drawn_core):
    rng = np.random.default_rng(0)
    pred = torch.from_numpy((ndimage.uniform_filter(rng.random((64, 64, 64)), 7) > 0.5).astype(np.uint8))
    box = [[0, 64], [0, 64], [-20, 44]]
    whole = [[0, 64], [0, 64], [0, 40]]
    theirs = drawn_core._compute_local_diff_map(pred, box, whole).numpy() > 0
    ours = worth_refining(drawn_core._change(pred, box, whole))
    assert theirs.any() and ours[theirs].all()
    near = ndimage.maximum_filter(theirs, 49)
    assert not (ours & ~near).any()


def test_nothing_changed_nothing_to_refine():
    assert refinement_boxes(np.zeros((40, 90, 90), bool), PATCH) == ()


def test_a_part_of_the_image_gives_the_boxes_that_the_whole_gives():
    change = np.zeros((30, 200, 180), bool)
    change[5:20, 40:170, 30:150] = True
    part = change[2:28, 35:180, 20:160]
    assert refinement_boxes(part, PATCH, change.shape, (2, 35, 20)) == refinement_boxes(change, PATCH)


def test_a_large_organ_takes_a_tenth_of_nninteractives_boxes():
    _, organ = make_organ(OrganSpec((36, 200, 200)), 0)
    np.random.seed(0)
    theirs = generate_bounding_boxes(
        torch.from_numpy(organ), list(PATCH), stride="auto", margin=(24, 24, 24), max_depth=3
    )
    boxes = refinement_boxes(organ > 0, PATCH)
    assert len(boxes) <= len(theirs) / 10
    full = [np.count_nonzero(organ[tuple(slice(max(0, low), high) for low, high in box)]) for box in boxes]
    assert full[0] > full[-1]


@pytest.mark.parametrize(
    ("patch", "theirs"), [((192, 192, 192), True), ((64, 192, 192), False), (PATCH, False)]
)
def test_a_patch_of_nninteractives_own_size_keeps_its_own_boxes(patch, theirs):
    assert is_upstreams(patch) == theirs


def test_a_session_refines_in_these_boxes_and_where_it_was_clicked_if_nothing_changed(session, monkeypatch):
    planned, plan = [], Core._plan_refinement_bboxes

    def noting(core, pred, box, full):
        planned.append(plan(core, pred, box, full))
        empty = plan(core, torch.zeros_like(pred), box, full)
        assert empty == [[[c - 32, c + 32] for c in core.new_interaction_centers[-1]]]
        return planned[-1]

    monkeypatch.setattr(Core, "_plan_refinement_bboxes", noting)
    session.add_prompt(a_walk()[2])
    boxes = planned[0]
    change = session.proposal.mask > 0
    assert change.any() and len(boxes) <= 2
    assert all(high - low == 64 for box in boxes for low, high in box)
