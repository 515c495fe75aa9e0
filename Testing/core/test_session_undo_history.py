"""The states of a `LocalSession`, bit by bit: undo and redo, and every failure in the middle of something."""

from __future__ import annotations

import pytest
import tiny_session
import torch
from tiny_session import a_walk, an_image, fail_at, failing_at, insides

from clopa_annotator.errors import ImageError, NoImage, PredictionFailed
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.upstream import Core
from clopa_annotator.types import MaskPrompt, PointPrompt

folder, loaded, session = tiny_session.folder, tiny_session.loaded, tiny_session.session


@pytest.mark.parametrize("storage", ["tensor", "blosc2"])
def test_undo_and_redo_restore_every_channel_bit_by_bit(loaded, monkeypatch, storage):
    monkeypatch.setattr(Core, "AUTO_TENSOR_MAX_VOXELS", 0 if storage == "blosc2" else 2**27)
    session = LocalSession(loaded)
    session.set_image(an_image())
    assert session._core._interactions_storage_resolved == storage
    seen = [insides(session)]
    for prompt in (*a_walk()[:4], "reset", a_walk()[5], a_walk()[7]):
        if prompt == "reset":
            session.reset()
        else:
            session.add_prompt(prompt)
        seen.append(insides(session))
    for expected in seen[-2::-1]:
        session.undo()
        assert insides(session) == expected
    for expected in seen[1:]:
        session.redo()
        assert insides(session) == expected
    assert not session.can_redo


def test_undo_restores_the_channels_when_the_intensity_had_to_be_scaled_down(session):
    session.add_prompt(PointPrompt((30, 30, 20)))
    session._core.current_interaction_intensity = 65_000.0
    before = insides(session)
    session.add_prompt(PointPrompt((40, 30, 20), False))
    session.add_prompt(PointPrompt((41, 30, 20), False))
    assert session._core.current_interaction_intensity < 10_000
    session.undo()
    session.undo()
    assert insides(session) == before


def test_a_prediction_after_undo_is_the_one_that_would_have_come_without_the_detour(session):
    straight = [session.add_prompt(p).mask for p in (a_walk()[0], a_walk()[3])][-1]
    session.reset()
    session.add_prompt(a_walk()[0])
    session.add_prompt(a_walk()[2])
    session.undo()
    assert (session.add_prompt(a_walk()[3]).mask == straight).all()


def test_the_oldest_steps_are_dropped_beyond_the_levels(loaded):
    session = LocalSession(loaded, undo_levels=2)
    session.set_image(an_image((40, 40, 40)))
    masks = [session.add_prompt(PointPrompt((20, 20, 10 + n))).mask for n in range(4)]
    session.undo()
    assert (session.undo().mask == masks[1]).all()
    assert not session.can_undo


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
            "out of memory",
        ),
        (ValueError("strange"), "ValueError: strange"),
    ],
)
@pytest.mark.parametrize("call", [1, 2])
def test_a_failure_in_the_middle_of_a_prediction_leaves_every_channel_as_it_was(
    session, loaded, error, words, call
):
    session.add_prompt(PointPrompt((30, 30, 20)))
    session.add_prompt(PointPrompt((31, 30, 20)))
    session.undo()
    before = insides(session)
    proposal = session.proposal
    box_with_zoom = a_walk()[2]
    with failing_at(loaded.network, call, error), pytest.raises(PredictionFailed, match=words):
        session.add_prompts((PointPrompt((5, 5, 5), False), MaskPrompt(a_walk()[5].mask), box_with_zoom))
    assert insides(session) == before
    assert session.proposal is proposal and session.can_redo


def test_an_interrupt_rolls_back_and_goes_on_to_the_caller(session, loaded):
    session.add_prompt(PointPrompt((30, 30, 20)))
    before = insides(session)
    with failing_at(loaded.network, 1, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        session.add_prompt(PointPrompt((3, 3, 3)))
    assert insides(session) == before


def test_a_full_memory_at_a_new_image_keeps_the_old_one(session, monkeypatch):
    session.add_prompt(PointPrompt((30, 30, 20)))
    before = insides(session)

    def no_room(self, *_):
        raise MemoryError

    monkeypatch.setattr(Core, "_new_interactions_array", no_room)
    with pytest.raises(ImageError, match="not enough memory"):
        session.set_image(an_image(seed=3))
    assert insides(session) == before


@pytest.mark.parametrize("way", ["undo", "redo"])
@pytest.mark.parametrize(("name", "call"), [("content", 2), ("restore", 2), ("content", 4)])
def test_an_undo_or_redo_that_fails_in_the_middle_changes_nothing(session, monkeypatch, way, name, call):
    for prompt in (PointPrompt((30, 30, 20)), a_walk()[2], a_walk()[3]):
        session.add_prompt(prompt)
    session.reset()
    session.undo()
    if way == "undo":
        session.redo()
    before, proposal = insides(session), session.proposal
    steps = len(session._history.back), len(session._history.forward)
    with monkeypatch.context() as patch:
        fail_at(patch, name, call)
        with pytest.raises(PredictionFailed, match="out of memory"):
            getattr(session, way)()
    assert insides(session) == before and session.proposal is proposal
    assert steps == (len(session._history.back), len(session._history.forward))
    getattr(session, way)()


def test_when_even_the_way_back_fails_the_case_is_closed_instead_of_going_on_half(
    session, loaded, monkeypatch
):
    session.add_prompt(PointPrompt((30, 30, 20)))
    fail_at(monkeypatch, "restore", 1)
    with (
        failing_at(loaded.network, 1, ValueError("strange")),
        pytest.raises(PredictionFailed, match="Open it again"),
    ):
        session.add_prompt(PointPrompt((3, 3, 3)))
    with pytest.raises(NoImage):
        _ = session.proposal
    session.set_image(an_image())
    assert not session.proposal.mask.any()
