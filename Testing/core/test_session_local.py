"""`LocalSession` beyond the contract: parity with the bare session, exact states, memory, threads."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest
import tiny_session
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
from tiny_session import SHAPE, a_walk, an_image

from clopa_annotator.errors import ConfigError, ImageError
from clopa_annotator.geometry import Geometry, box_slices
from clopa_annotator.session import upstream
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.upstream import REFINEMENT_SEED, Core
from clopa_annotator.types import BoxPrompt, Image, LassoPrompt, MaskPrompt, PointPrompt

folder, loaded, session = tiny_session.folder, tiny_session.loaded, tiny_session.session


def ask_bare(bare, prompt):
    """The same prompt in nnInteractive's own words, with the random numbers that a `LocalSession` uses."""
    np.random.seed(REFINEMENT_SEED)
    if isinstance(prompt, PointPrompt):
        bare.add_point_interaction(prompt.position_kji, prompt.positive)
    elif isinstance(prompt, BoxPrompt):
        bare.add_bbox_interaction([list(b) for b in prompt.bounds_kji], prompt.positive)
    elif isinstance(prompt, MaskPrompt):
        bare.add_initial_seg_interaction(prompt.mask)
    else:
        add = bare.add_scribble_interaction
        if isinstance(prompt, LassoPrompt):
            add = bare.add_lasso_interaction
        add(prompt.mask, prompt.positive, interaction_bbox=[list(b) for b in prompt.bounds_kji])


def test_the_same_prompts_give_the_same_voxels_as_nninteractives_own_session(folder, session, monkeypatch):
    monkeypatch.setattr(upstream, "is_upstreams", lambda patch: True)  # as with a patch of 192
    bare = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1)
    bare.initialize_from_trained_model_folder(str(folder))
    bare.set_image(an_image().voxels[None])
    buffer = np.zeros(SHAPE, np.uint8)
    bare.set_target_buffer(buffer)
    sizes = []
    for prompt in a_walk():
        ask_bare(bare, prompt)
        proposal = session.add_prompt(prompt)
        assert (proposal.mask == buffer).all()
        assert torch.equal(session._core.interactions, bare.interactions)
        sizes.append(int(buffer.sum()))
    assert len(set(sizes)) > 4 and min(sizes) > 50  # the walk says something


def test_prompts_given_together_predict_once_like_the_bare_session_without_run_prediction(
    folder, session, monkeypatch
):
    calls, predict = [], Core._predict
    monkeypatch.setattr(Core, "_predict", lambda self: calls.append(1) or predict(self))
    together = (PointPrompt((60, 60, 5), False), PointPrompt((35, 33, 21)), PointPrompt((30, 30, 20)))
    mask = session.add_prompts(together).mask
    assert len(calls) == 1
    bare = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1)
    bare.initialize_from_trained_model_folder(str(folder))
    bare.set_image(an_image().voxels[None])
    buffer = np.zeros(SHAPE, np.uint8)
    bare.set_target_buffer(buffer)
    np.random.seed(REFINEMENT_SEED)
    for index, prompt in enumerate(together):
        bare.add_point_interaction(prompt.position_kji, prompt.positive, run_prediction=index == 2)
    assert (mask == buffer).all()


def test_an_image_that_is_constant_inside_its_nonzero_region_is_refused(session):
    voxels = np.zeros((20, 20, 20), np.float32)
    voxels[5:15, 5:15, 5:15] = 7
    with pytest.raises(ImageError, match="nonzero region"):
        session.set_image(Image(voxels, Geometry(voxels.shape)))


def test_an_image_whose_spread_overflows_is_refused(session):
    voxels = np.full((20, 20, 20), 3.3e38, np.float32)
    voxels[3, 3, 3] = -3.3e38  # minus the mean it leaves single precision
    with pytest.raises(ImageError, match="cannot be normalised"):
        session.set_image(Image(voxels, Geometry(voxels.shape)))


def test_a_swap_waits_for_the_prediction_and_the_proposal_has_one_version(session, loaded):
    inside, tried, free = threading.Event(), threading.Event(), []

    def swap():
        inside.wait(30)
        free.append(loaded.lock.acquire(blocking=False))
        tried.set()
        with loaded.lock:
            loaded.version = 5

    def hook(*_):
        inside.set()
        tried.wait(30)

    handle = loaded.network.register_forward_pre_hook(hook)
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        first = session.add_prompt(a_walk()[2])
        thread.join(30)
        second = session.add_prompt(PointPrompt((3, 3, 3)))
    finally:
        handle.remove()
        loaded.version = 0
    assert free == [False]
    assert first.weights_version == 0 and second.weights_version == 5


def test_two_sessions_share_a_model_without_meeting(loaded, session):
    other = LocalSession(loaded)
    other.set_image(an_image((40, 40, 40), seed=2))
    alone = other.add_prompt(PointPrompt((20, 20, 20))).mask
    other.reset()
    session.add_prompt(PointPrompt((30, 30, 20)))
    assert (other.add_prompt(PointPrompt((20, 20, 20))).mask == alone).all()
    assert session.proposal.mask.shape == SHAPE


def test_a_session_neither_changes_the_thread_count_nor_the_random_state_nor_prints(session, capsys):
    threads, numbers = torch.get_num_threads(), np.random.get_state()[1].tolist()
    session.add_prompt(a_walk()[2])
    assert torch.get_num_threads() == threads
    assert np.random.get_state()[1].tolist() == numbers
    assert capsys.readouterr() == ("", "")


def test_bf16_on_the_cpu_agrees_with_fp32_on_nearly_every_voxel(loaded):
    masks = []
    for precision in ("fp32", "bf16"):
        session = LocalSession(loaded, cpu_precision=precision)
        session.set_image(an_image((50, 50, 40)))
        masks.append(session.add_prompt(PointPrompt((30, 30, 20))).mask)
    assert (masks[0] != masks[1]).mean() < 0.01
    assert masks[1].any()


@pytest.mark.parametrize(
    ("options", "words"), [({"cpu_precision": "fp8"}, "fp8"), ({"undo_levels": 0}, "one level")]
)
def test_impossible_settings_are_refused(loaded, options, words):
    with pytest.raises(ConfigError, match=words):
        LocalSession(loaded, **options)


def _state(session):
    return session.proposal.mask.copy(), session.prompts, session.can_undo, session.can_redo


def test_work_that_was_put_aside_comes_back_exactly(session):
    walk = a_walk()
    for prompt in (walk[0], walk[3], walk[5]):
        session.add_prompt(prompt)
    session.undo()
    first, channels = _state(session), session._core.interactions.clone()
    aside = session.switch()
    assert not session.proposal.mask.any() and not session.can_undo and session.prompts == ()
    session.add_prompt(walk[1])
    second = _state(session)
    other = session.switch(aside)
    assert all(np.array_equal(a, b) for a, b in zip(_state(session)[:1], first[:1], strict=True))
    assert _state(session)[1:] == first[1:] and torch.equal(session._core.interactions, channels)
    session.redo()
    session.switch(other)
    assert np.array_equal(_state(session)[0], second[0]) and _state(session)[1:] == second[1:]


def test_a_step_after_a_switch_is_the_step_that_it_would_have_been(session, loaded):
    plain = LocalSession(loaded)
    plain.set_image(an_image())
    first, second = a_walk()[0], a_walk()[3]
    plain.add_prompt(first)
    session.add_prompt(first)
    mine = session.switch()
    session.add_prompt(second)
    session.switch(mine)
    assert np.array_equal(session.add_prompt(second).mask, plain.add_prompt(second).mask)


def test_a_switch_tells_what_it_changes_and_its_revision_grows(session):
    session.add_prompt(a_walk()[0])
    before, revision = session.proposal.mask.copy(), session.proposal.revision
    session.switch()
    box = box_slices(session.proposal.changed_kji)
    before[box] = session.proposal.mask[box]
    assert np.array_equal(before, session.proposal.mask) and session.proposal.revision == revision + 1


def test_what_is_put_aside_holds_no_volume(session):
    shape = (96, 256, 256)
    mask = np.zeros(shape, np.uint8)
    mask[20:60, 50:120, 50:120] = 1
    session.set_image(an_image(shape))
    session.add_prompt(MaskPrompt(mask))
    tracemalloc.start()
    kept = []
    for _ in range(4):
        kept.append(session.switch())
        session.add_prompt(MaskPrompt(mask))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * np.prod(shape) + 4e6, "the proposal's mask and its successor's, whatever was put aside"
