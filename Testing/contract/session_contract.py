"""What every `Session` must do, whoever predicts; mixed into a test class that makes the sessions.

A subclass provides the fixture ``session``: a new session without an image that takes every kind of prompt,
and flat boxes only. ``fail_next_prediction(session)`` makes the next prediction fail, where that can be
arranged; ``set_version(session, number)`` pretends or makes a swap.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_examples import (
    CENTRE,
    FLAT_BOX,
    NEVER_TAKEN,
    PROMPTS,
    SHAPE,
    a_drawing,
    a_mask,
    an_image,
    box_contains_all_changes,
    refused_images,
    state_of,
)

from clopa_annotator.errors import (
    GeometryError,
    ImageError,
    NoImage,
    NothingToRedo,
    NothingToUndo,
    PredictionFailed,
    PromptError,
    UnsupportedPrompt,
)
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.protocol import Session
from clopa_annotator.types import BoxPrompt, Image, MaskPrompt, PointPrompt, PromptKind, ScribblePrompt


class SessionContract:
    """The sentences. `opened` is a session with the image of `an_image`."""

    def fail_next_prediction(self, session):
        pytest.skip("this session's network cannot be made to fail")

    def set_version(self, session, number):
        pytest.skip("this session's weights cannot be swapped here")

    @pytest.fixture
    def opened(self, session):
        session.set_image(an_image())
        return session

    def test_it_is_a_session(self, opened):
        assert isinstance(opened, Session)
        assert opened.supported == frozenset(PromptKind)
        assert opened.licence

    def test_without_an_image_everything_says_so(self, session):
        for call in (
            lambda: session.proposal,
            lambda: session.add_prompt(PointPrompt(CENTRE)),
            session.undo,
            session.redo,
            session.reset,
        ):
            with pytest.raises(NoImage, match="No image is open"):
                call()
        assert session.prompts == ()

    def test_a_new_image_starts_with_an_empty_read_only_proposal(self, opened):
        proposal = opened.proposal
        assert proposal.mask.shape == SHAPE and proposal.mask.dtype == np.uint8 and not proposal.mask.any()
        assert not proposal.mask.flags.writeable
        assert proposal.changed_kji is None
        assert not opened.can_undo and not opened.can_redo

    @pytest.mark.parametrize("name", PROMPTS)
    def test_every_kind_of_prompt_gives_a_binary_proposal_and_can_be_undone_and_redone(self, opened, name):
        first = opened.add_prompt(PointPrompt((12, 15, 11)))
        second = opened.add_prompt(PROMPTS[name])
        assert set(np.unique(second.mask)) <= {0, 1}
        assert not second.mask.flags.writeable
        assert opened.prompts[-1] is PROMPTS[name]
        assert box_contains_all_changes(first.mask, second)
        assert (opened.undo().mask == first.mask).all()
        assert (opened.redo().mask == second.mask).all()

    def test_a_positive_point_in_the_ball_gives_a_proposal_that_is_not_empty(self, opened):
        assert opened.add_prompt(PointPrompt(CENTRE)).mask.any()

    def test_the_same_prompts_give_the_same_masks_again(self, opened):
        prompts = list(PROMPTS.values())[:6]
        first = [opened.add_prompt(p).mask for p in prompts]
        opened.reset()
        again = [opened.add_prompt(p).mask for p in prompts]
        assert all((a == b).all() for a, b in zip(first, again, strict=True))

    def test_earlier_proposals_do_not_change_under_their_holders(self, opened):
        first = opened.add_prompt(PointPrompt(CENTRE))
        kept = first.mask.copy()
        opened.add_prompt(PointPrompt((3, 3, 3)))
        opened.reset()
        assert (first.mask == kept).all()

    def test_prompts_given_together_are_one_step(self, opened):
        together = (PointPrompt(CENTRE), PointPrompt((2, 2, 2), False), BoxPrompt(FLAT_BOX))
        opened.add_prompts(together)
        assert opened.prompts == together
        assert not opened.undo().mask.any()
        assert opened.prompts == () and not opened.can_undo
        assert opened.redo().mask is opened.proposal.mask
        assert opened.prompts == together

    def test_a_mask_alone_becomes_the_proposal_and_replaces_earlier_prompts(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        start = MaskPrompt(a_mask())
        assert (opened.add_prompt(start).mask == a_mask()).all()
        assert opened.prompts == (start,)

    def test_an_empty_mask_to_start_from_is_allowed(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        assert not opened.add_prompt(MaskPrompt(np.zeros(SHAPE, np.uint8))).mask.any()

    def test_a_mask_among_prompts_given_together_silences_those_before_it(self, opened):
        start, point = MaskPrompt(a_mask()), PointPrompt(CENTRE)
        mixed = opened.add_prompts((PointPrompt((1, 1, 1), False), start, point)).mask
        assert opened.prompts == (start, point)
        opened.reset()
        assert (opened.add_prompts((start, point)).mask == mixed).all()

    def test_masks_may_be_boolean_turned_around_or_not_contiguous(self, opened):
        plain = opened.add_prompt(MaskPrompt(a_mask())).mask
        for odd in (a_mask().astype(bool), a_mask()[::-1][::-1], np.asfortranarray(a_mask())):
            assert (opened.add_prompt(MaskPrompt(odd)).mask == plain).all()

    def test_reset_forgets_the_prompts_and_can_be_undone(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        before = opened.add_prompt(BoxPrompt(FLAT_BOX)).mask
        assert not opened.reset().mask.any()
        assert opened.prompts == ()
        assert (opened.undo().mask == before).all()
        assert len(opened.prompts) == 2
        assert not opened.redo().mask.any()

    def test_undo_at_the_first_state_and_redo_without_undo_are_refused(self, opened):
        with pytest.raises(NothingToUndo, match="no earlier step"):
            opened.undo()
        opened.add_prompt(PointPrompt(CENTRE))
        with pytest.raises(NothingToRedo, match="No step was undone"):
            opened.redo()

    def test_a_new_prompt_after_undo_ends_redo(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        opened.undo()
        opened.add_prompt(PointPrompt((5, 5, 5)))
        assert not opened.can_redo

    def test_the_revision_counts_every_change_also_over_images(self, opened):
        seen = [opened.proposal.revision]
        seen.append(opened.add_prompt(PointPrompt(CENTRE)).revision)
        seen.append(opened.undo().revision)
        seen.append(opened.redo().revision)
        seen.append(opened.reset().revision)
        opened.set_image(an_image(1))
        seen.append(opened.proposal.revision)
        assert seen == list(range(seen[0], seen[0] + 6))

    def test_the_changed_box_is_none_when_nothing_changed(self, opened):
        opened.add_prompt(MaskPrompt(a_mask()))
        assert opened.add_prompt(MaskPrompt(a_mask())).changed_kji is None

    def test_the_changed_box_is_tight(self, opened):
        assert opened.add_prompt(MaskPrompt(a_mask())).changed_kji == ((10, 16), (12, 18), (8, 14))
        assert opened.undo().changed_kji == ((10, 16), (12, 18), (8, 14))

    def test_what_is_no_usable_prompt_is_refused_and_changes_nothing(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        opened.add_prompt(PointPrompt((4, 4, 4), False))
        opened.undo()
        before = state_of(opened)
        for what, prompts in NEVER_TAKEN.items():
            with pytest.raises(PromptError, match=r"^[A-Z].*\.$"):
                opened.add_prompts(prompts)
                pytest.fail(f"{what} was taken")
            assert state_of(opened) == before, what
            assert opened.can_undo and opened.can_redo, what

    def test_a_box_with_depth_is_refused_where_the_model_takes_flat_ones(self, opened):
        with pytest.raises(UnsupportedPrompt, match="on one slice"):
            opened.add_prompt(BoxPrompt(((3, 9), (4, 9), (4, 9))))

    def test_what_is_no_usable_image_is_refused_and_the_one_before_stays(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        before = state_of(opened)
        for what, voxels in refused_images().items():
            shape = voxels.shape if voxels.ndim == 3 and voxels.size else SHAPE
            with pytest.raises(ImageError, match=what):
                opened.set_image(Image(voxels, Geometry(shape)))
            assert state_of(opened) == before and opened.can_undo, what
        assert opened.undo().mask.shape == SHAPE and opened.redo().mask.tobytes() == before[1]

    def test_a_geometry_of_another_shape_is_refused(self, opened):
        with pytest.raises(GeometryError, match="26x30x21"):
            opened.set_image(Image(an_image().voxels, Geometry((26, 30, 21))))
        assert opened.proposal.mask.shape == SHAPE

    def test_voxels_may_be_big_endian_turned_around_or_read_only_and_are_not_changed(self, session):
        whole = np.round(an_image().voxels * 100).astype(np.int16)
        masks = []
        for voxels in (whole, whole.astype(">i2"), whole[::-1].copy()[::-1], np.asfortranarray(whole)):
            voxels.flags.writeable = False
            session.set_image(Image(voxels, Geometry(SHAPE)))
            masks.append(session.add_prompt(PointPrompt(CENTRE)).mask)
            assert (voxels == whole).all()
        assert all((mask == masks[0]).all() for mask in masks)

    def test_a_closed_session_takes_another_image(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        opened.close()
        assert opened.prompts == () and not opened.can_undo
        with pytest.raises(NoImage):
            _ = opened.proposal
        opened.set_image(an_image(1, (20, 20, 20)))
        assert opened.proposal.mask.shape == (20, 20, 20)

    def test_a_failed_prediction_is_told_and_leaves_no_trace(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        opened.add_prompt(BoxPrompt(FLAT_BOX))
        expected = opened.undo(), opened.redo()
        opened.undo()
        before = state_of(opened)
        self.fail_next_prediction(opened)
        with pytest.raises(PredictionFailed, match=r"^[A-Z].*\.$"):
            opened.add_prompts((PointPrompt((3, 4, 5)), a_drawing(ScribblePrompt)))
        assert state_of(opened) == before
        assert (opened.redo().mask == expected[1].mask).all()
        assert (opened.undo().mask == expected[0].mask).all()

    def test_a_proposal_carries_the_version_that_made_it_also_after_undo(self, opened):
        opened.add_prompt(PointPrompt(CENTRE))
        self.set_version(opened, 3)
        assert opened.weights_version == 3
        assert opened.proposal.weights_version == 0
        assert opened.add_prompt(PointPrompt((4, 4, 4))).weights_version == 3
        assert opened.undo().weights_version == 0
        assert opened.redo().weights_version == 3

    # `set_image` makes a session ready: sharing one over examples is meant, and so is inheriting this test.
    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(st.lists(st.sampled_from(["undo", "redo", "reset", *PROMPTS]), min_size=4, max_size=9))
    def test_any_walk_through_undo_and_redo_meets_the_same_states(self, session, walk):
        """A list of states with a finger on one of them is the whole truth about undo and redo."""
        session.set_image(an_image())
        states, finger = [(session.prompts, session.proposal.mask)], 0
        for move in walk:
            if move == "undo" and session.can_undo:
                finger -= 1
                session.undo()
            elif move == "redo" and session.can_redo:
                finger += 1
                session.redo()
            elif move not in ("undo", "redo"):
                proposal = session.reset() if move == "reset" else session.add_prompt(PROMPTS[move])
                states = [*states[: finger + 1], (session.prompts, proposal.mask)]
                finger += 1
            assert session.prompts == states[finger][0]
            assert (session.proposal.mask == states[finger][1]).all()
            assert session.can_undo == (finger > 0) and session.can_redo == (finger + 1 < len(states))
