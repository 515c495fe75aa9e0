"""No proposal takes a voxel of another target, whatever is prompted; what others leave comes back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import Geometry, box_slices
from clopa_annotator.session.exclusion import Exclusion, union_of
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import Image, Mask, MaskPrompt, PointPrompt, Proposal

SHAPE = (4, 5, 6)
masks = arrays(np.uint8, SHAPE, elements=st.integers(0, 1))


def a_session() -> FakeSession:
    session = FakeSession()
    voxels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    session.set_image(Image(voxels, Geometry(SHAPE)))
    return session


def steps(session: FakeSession, drawn: list[Mask]) -> Iterator[Proposal]:
    """Masks, clicks, undo, redo and a reset."""
    for mask in drawn:
        yield session.add_prompt(MaskPrompt(mask))
        yield session.add_prompt(PointPrompt((1, 2, 3)))
        yield session.undo()
        yield session.redo()
    yield session.reset()
    yield session.undo()


@settings(max_examples=60, deadline=None)
@given(st.lists(masks, min_size=1, max_size=3), st.lists(st.lists(masks, max_size=2), min_size=1, max_size=4))
def test_what_is_shown_never_holds_a_voxel_of_others_and_all_that_changes_is_told(
    drawn: list[Mask], taken: list[list[Mask]]
) -> None:
    session, exclusion = a_session(), Exclusion()
    seen = np.zeros(SHAPE, np.uint8)
    for number, proposal in enumerate(steps(session, drawn)):
        others = taken[number % len(taken)]
        exclusion.set(union_of(others))
        shown = exclusion.cut(proposal)
        free = np.ones(SHAPE, bool)
        for mask in others:
            free &= mask == 0
        assert np.array_equal(shown.mask, proposal.mask * free)
        if shown.changed_kji is not None:
            box = box_slices(shown.changed_kji)
            seen[box] = shown.mask[box]
        assert np.array_equal(seen, shown.mask)


@settings(max_examples=40, deadline=None)
@given(masks, masks)
def test_in_both_directions_two_targets_share_no_voxel(first: Mask, second: Mask) -> None:
    held: list[Mask] = []
    for drawn in (first, second):
        exclusion = Exclusion()
        exclusion.set(union_of(held))
        held.append(exclusion.cut(a_session().add_prompt(MaskPrompt(drawn))).mask)
    assert not (held[0] & held[1]).any()
    assert np.array_equal(held[0] | held[1], first | second)


def test_without_others_a_proposal_is_handed_on_as_it_is() -> None:
    proposal = a_session().add_prompt(PointPrompt((1, 2, 3)))
    assert Exclusion().cut(proposal) is proposal
    assert union_of([np.zeros(SHAPE, np.uint8)]) is None


def test_masks_of_another_shape_are_refused() -> None:
    exclusion = Exclusion()
    exclusion.set(np.ones((2, 2, 2), bool))
    with pytest.raises(GeometryError, match="open the case again"):
        exclusion.cut(a_session().proposal)
