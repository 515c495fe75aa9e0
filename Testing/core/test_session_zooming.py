"""Looks from further away: nnInteractive's own inputs, bit by bit, and its own rule of when to zoom."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_session
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
from tiny_session import a_walk, an_image

from clopa_annotator.geometry import Kji
from clopa_annotator.session.upstream import Core, give
from clopa_annotator.session.zooming import changes_at_border, sides_of, zooms

folder, loaded = tiny_session.folder, tiny_session.loaded


@pytest.fixture(scope="module")
def drawn(loaded) -> Core:
    """A session without a network in which every kind of prompt was given."""
    core = Core(loaded.artifacts, torch.device("cpu"), None)
    core.prepare(an_image().voxels)
    walk = a_walk()
    for prompt in (walk[5], *walk[:5], *walk[6:]):  # the mask first: it forgets what was drawn before
        give(core, prompt, predict=False)
    return core


def upstreams(core: Core, centre: Kji, zoom: float) -> tuple:
    return nnInteractiveInferenceSession._build_network_input(core, centre, zoom)


@pytest.mark.parametrize("zoom", [1.0, 1.5, 2.25, 3.375, 4.0, 1.2396, 2.7, 1.0625])
def test_an_input_is_nninteractives_own_at_every_zoom(drawn, zoom):
    for centre in ((30, 30, 20), (0, 65, 39), (69, 2, 0)):
        ours, theirs = drawn._build_network_input(centre, zoom), upstreams(drawn, centre, zoom)
        assert torch.equal(ours[0], theirs[0]) and ours[0].dtype == torch.float32
        assert ours[1:3] == theirs[1:3]
        assert torch.equal(ours[3], theirs[3])
    everything = drawn._build_network_input((30, 30, 20), zoom)[0]
    assert all(bool(channel.any()) for channel in everything[[0, 1, 2, 3, 4, 6]])


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(-10, 80)] * 3), st.floats(1.001, 4.0))
def test_any_place_and_any_zoom_give_nninteractives_own_input(drawn, centre, zoom):
    assert torch.equal(drawn._build_network_input(centre, zoom)[0], upstreams(drawn, centre, zoom)[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 0.6))
def test_the_border_decides_as_nninteractives_does(drawn, seed, full, flipped):
    rng = np.random.default_rng(seed)
    before = torch.from_numpy(rng.random((64, 64, 64)) < full)
    answer = before ^ torch.from_numpy(rng.random((64, 64, 64)) < flipped * rng.random())
    theirs = drawn._detect_change_at_border(answer.to(torch.uint8), before.half())
    assert changes_at_border(answer, before) == theirs


def test_looks_reach_half_as_far_again_until_four_patches():
    assert list(zooms()) == [1.0, 1.5, 2.25, 3.375, 4.0]
    assert list(zooms(2.5)) == [2.5, 3.75, 4.0]
    assert list(zooms(7.0)) == [4.0]
    assert sides_of((64, 32, 48), 1.5) == (96, 48, 72)
