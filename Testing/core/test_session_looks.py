"""Looks at a whole image: they cover it, and give the network what nnInteractive's session would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.geometry import Kji
from clopa_annotator.session.looks import (
    ALL_CLOSE,
    LARGEST_ZOOM,
    Look,
    as_seen,
    at_full_size,
    blend_weights,
    close_looks,
    look_input,
    overview,
    overview_zoom,
)
from clopa_annotator.session.model import load_model
from clopa_annotator.session.patches import normalise, overlap
from clopa_annotator.session.prompt_encoder import PromptEncoder
from clopa_annotator.testing.random_model import write_random_model

PATCH = (64, 64, 64)
SHAPES = st.tuples(*[st.integers(3, 200)] * 3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> PromptEncoder:
    folder = tmp_path_factory.mktemp("model") / "random"
    write_random_model(folder, patch_size_kji=PATCH, features=(4, 8))
    return PromptEncoder(load_model(Path(folder), "cpu"))


def covered(looks: tuple[Look, ...], shape: Kji) -> np.ndarray:
    seen = np.zeros(shape, bool)
    for look in looks:
        seen[overlap(look.bounds(PATCH), shape)[0]] = True
    return seen


@settings(max_examples=40, deadline=None)
@given(SHAPES)
def test_the_first_looks_and_all_close_ones_cover_any_image(shape: Kji) -> None:
    assert covered(overview(shape, PATCH), shape).all()
    assert covered(close_looks(np.ones(shape, bool), PATCH), shape).all()


@settings(max_examples=25, deadline=None)
@given(SHAPES, st.integers(0, 2**31))
def test_close_looks_go_to_all_that_the_coarse_mask_holds(shape: Kji, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = np.zeros(shape, bool)
    k, j, i = (int(rng.integers(n)) for n in shape)
    coarse[k : k + 20, j : j + 20, i : i + 20] = True
    assert covered(close_looks(coarse, PATCH), shape)[coarse].all()


def test_an_image_that_a_patch_holds_is_looked_at_once_in_its_middle() -> None:
    assert overview((35, 52, 64), PATCH) == (Look((17, 26, 32), 1.0),)
    assert overview_zoom((64, 64, 65), PATCH) > 1


def test_a_large_image_without_a_find_is_not_looked_at_closely() -> None:
    assert overview_zoom((300, 300, 300), PATCH) == LARGEST_ZOOM
    assert close_looks(np.zeros((300, 300, 300), bool), PATCH) == ()
    few = close_looks(np.zeros((64, 100, 100), bool), PATCH)
    assert 0 < len(few) <= ALL_CLOSE, "where looks are few a thin structure is looked for closely"


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.integers(20, 110)] * 3), st.integers(0, 2**31))
def test_a_look_without_a_prompt_is_encoded_as_the_session_does_bit_for_bit(
    encoder: PromptEncoder, shape: Kji, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    voxels = rng.normal(100, 30, shape).astype(np.float32)
    voxels[: shape[0] // 4] = 0
    previous = (rng.random(shape) < 0.3).astype(np.uint8)
    image = normalise(torch.from_numpy(voxels))
    encoder.set_image(voxels)
    for look in overview(shape, PATCH):
        expected = encoder.encode((), None, look.centre_kji, look.zoom)
        assert torch.equal(look_input(image, None, look, PATCH), expected)
    for look in close_looks(previous > 0, PATCH)[:4]:
        expected = encoder.encode((), previous, look.centre_kji, 1.0)
        assert torch.equal(look_input(image, torch.from_numpy(previous) > 0, look, PATCH), expected)


def test_a_coarse_mask_keeps_thin_structures_and_comes_back_where_it_was() -> None:
    target = torch.zeros(128, 128, 128, dtype=torch.bool)
    target[:, 60:62, 61:63] = True
    look = Look((64, 64, 64), 2.0)
    coarse = as_seen(target, look, PATCH)
    assert coarse.any(dim=(1, 2)).all(), "a thread of two voxels is still one in the coarse look"
    full = at_full_size(coarse, look, PATCH)
    assert full.shape == (128, 128, 128)
    assert (full & target).sum() > 0.9 * target.sum()


def test_the_middle_of_a_look_counts_most() -> None:
    weights = blend_weights((8, 8, 8))
    assert weights.min() > 0 and weights[3:5, 3:5, 3:5].min() == weights.max()
