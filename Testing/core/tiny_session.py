"""A session with a small random network, a walk through every kind of prompt, and ways to make it fail."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import load_model
from clopa_annotator.session.upstream import Core
from clopa_annotator.testing.random_model import write_random_model
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


def fail_at(monkeypatch, name, call):
    """Let ``Core.name`` run out of memory at its ``call``-th call from now, counting from one."""
    calls, real = [], getattr(Core, name)

    def method(self, *arguments):
        calls.append(1)
        if len(calls) == call:
            raise MemoryError
        return real(self, *arguments)

    monkeypatch.setattr(Core, name, method)
