"""`LocalSession` beyond the contract: parity with the bare session, exact states, memory, threads."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

from clopa_annotator.errors import ConfigError, ImageError, NoImage, PredictionFailed
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import load_model
from clopa_annotator.session.random_model import write_random_model
from clopa_annotator.session.upstream import REFINEMENT_SEED, Core
from clopa_annotator.types import BoxPrompt, Image, LassoPrompt, MaskPrompt, PointPrompt, ScribblePrompt

SHAPE = (70, 66, 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return write_random_model(tmp_path_factory.mktemp("model"), features=(8, 16, 32))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_model(folder, "cpu")


@pytest.fixture
def session(loaded):
    session = LocalSession(loaded)
    session.set_image(an_image())
    return session


def an_image(shape=SHAPE, seed=0):
    voxels = np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)
    voxels[20:45, 20:45, 10:30] += 120
    return Image(voxels, Geometry(shape))


def a_drawing(seed=0):
    return (np.random.default_rng(seed).random((1, 20, 12)) < 0.4).astype(np.uint8)


def a_walk():
    """Prompts of every kind; the box and the lasso are large enough for zoom and refinement."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[22:40, 25:40, 12:25] = 1
    large = np.ones((1, 60, 38), np.uint8)
    return (
        PointPrompt((30, 30, 20)),
        PointPrompt((66, 3, 38), False),
        BoxPrompt(((32, 33), (2, 64), (1, 40))),
        ScribblePrompt(a_drawing(), ((30, 31), (20, 40), (12, 24))),
        LassoPrompt(large, ((35, 36), (3, 63), (1, 39)), False),
        MaskPrompt(mask),
        PointPrompt((0, 0, 0)),
        ScribblePrompt(a_drawing(1), ((50, 51), (20, 40), (12, 24)), False),
    )


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


def insides(session):
    """Everything that a later prediction depends on, compared bit by bit."""
    core = session._core
    interactions = core.interactions
    values = interactions.numpy() if isinstance(interactions, torch.Tensor) else interactions[:]
    return (
        values.tobytes(),
        core.buffer.tobytes(),
        core.current_interaction_intensity,
        frozenset(core._dirty_channels),
        core.queue,
        session.prompts,
    )


def test_the_same_prompts_give_the_same_voxels_as_nninteractives_own_session(folder, session):
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


@contextmanager
def failing_at(network, call, error):
    """Let the network raise ``error`` at its ``call``-th call from now, counting from one."""
    calls = []

    def hook(module, inputs):
        calls.append(1)
        if len(calls) == call:
            raise error

    handle = network.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


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


def fail_at(monkeypatch, name, call):
    """Let ``Core.name`` run out of memory at its ``call``-th call from now, counting from one."""
    calls, real = [], getattr(Core, name)

    def method(self, *arguments):
        calls.append(1)
        if len(calls) == call:
            raise MemoryError
        return real(self, *arguments)

    monkeypatch.setattr(Core, name, method)


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
