"""The training's encoder gives the network the same bits as nnInteractive's own session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.episode.prompt_canvas import (
    EncodingRules,
    PromptCanvas,
    point_stamp,
)
from clopa_annotator.errors import ConfigError, ImageError, PromptError
from clopa_annotator.geometry import Kji
from clopa_annotator.session.model import load_model
from clopa_annotator.session.patches import crop_padded, normalise
from clopa_annotator.session.prompt_encoder import PromptEncoder
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import BoxPrompt, LassoPrompt, MaskPrompt, PointPrompt, Prompt, ScribblePrompt

PATCH = (64, 64, 64)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> PromptEncoder:
    folder = tmp_path_factory.mktemp("model") / "random"
    write_random_model(folder, patch_size_kji=PATCH, features=(4, 8))
    return PromptEncoder(load_model(Path(folder), "cpu"))


def an_image(shape: Kji, rng: np.random.Generator) -> np.ndarray:
    image = rng.normal(100, 30, shape).astype(np.float32)
    image[: shape[0] // 4] = 0
    return image


def a_prompt(shape: Kji, rng: np.random.Generator) -> Prompt:
    low = [int(rng.integers(0, n - 3)) for n in shape]
    high = [int(rng.integers(a + 1, min(n, a + 20) + 1)) for a, n in zip(low, shape, strict=True)]
    positive = bool(rng.random() < 0.5)
    kind = int(rng.integers(4))
    if kind == 0:
        k, j, i = (int(rng.integers(n)) for n in shape)
        return PointPrompt((k, j, i), positive)
    axis = int(rng.integers(3))
    high[axis] = low[axis] + 1
    bounds = ((low[0], high[0]), (low[1], high[1]), (low[2], high[2]))
    if kind == 1:
        return BoxPrompt(bounds, positive)
    mask = (rng.random([b - a for a, b in bounds]) < 0.5).astype(np.uint8)
    mask.flat[0] = 1
    return (ScribblePrompt if kind == 2 else LassoPrompt)(mask, bounds, positive)


@settings(max_examples=10, deadline=None)
@given(
    st.tuples(st.integers(20, 80), st.integers(20, 50), st.integers(20, 70)),
    st.integers(1, 6),
    st.integers(0, 2**31),
)
def test_any_prompts_on_any_image_are_encoded_bit_for_bit(
    encoder: PromptEncoder, shape: Kji, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    voxels = an_image(shape, rng)
    prompts = [a_prompt(shape, rng) for _ in range(count)]
    previous = (rng.random(shape) < 0.3).astype(np.uint8)
    encoder.set_image(voxels)
    canvas = PromptCanvas(normalise(torch.from_numpy(voxels)), EncodingRules(PATCH))
    canvas.add(MaskPrompt(previous))
    for prompt in prompts:
        canvas.add(prompt)
    expected = encoder.encode(prompts, previous, canvas.centre_kji)
    assert torch.equal(canvas.network_input(), expected)
    assert torch.equal(encoder.encode(prompts, previous), expected) or isinstance(
        prompts[-1], BoxPrompt | LassoPrompt | ScribblePrompt
    )


def test_the_patch_lies_around_the_newest_prompt_as_in_the_session(encoder: PromptEncoder) -> None:
    rng = np.random.default_rng(3)
    shape = (40, 70, 90)
    encoder.set_image(voxels := an_image(shape, rng))
    canvas = PromptCanvas(normalise(torch.from_numpy(voxels)), EncodingRules(PATCH))
    prompts: list[Prompt] = []
    for _ in range(8):
        prompts.append(a_prompt(shape, rng))
        canvas.add(prompts[-1])
        assert torch.equal(canvas.network_input(), encoder.encode(prompts))


def test_the_rare_renormalisation_after_hundreds_of_prompts_is_followed(encoder: PromptEncoder) -> None:
    rng = np.random.default_rng(5)
    shape = (24, 24, 24)
    encoder.set_image(voxels := an_image(shape, rng))
    canvas = PromptCanvas(normalise(torch.from_numpy(voxels)), EncodingRules(PATCH))
    prompts = [a_prompt(shape, rng) for _ in range(560)]
    for prompt in prompts:
        canvas.add(prompt)
    assert torch.equal(canvas.network_input(), encoder.encode(prompts))


def test_older_prompts_decay_by_the_models_own_factor() -> None:
    canvas = PromptCanvas(torch.zeros(32, 32, 32), EncodingRules((32, 32, 32), decay=0.5))
    canvas.add(PointPrompt((16, 16, 10)))
    canvas.add(PointPrompt((16, 16, 20), positive=False))
    network_input = canvas.network_input()
    assert network_input[4].max() == 0.5
    assert network_input[5].max() == 1.0


def test_a_prediction_is_pasted_where_the_patch_was_and_the_rest_stays() -> None:
    canvas = PromptCanvas(torch.zeros(100, 20, 20), EncodingRules((64, 64, 64)))
    canvas.add(PointPrompt((10, 10, 10)))
    canvas.paste(torch.ones(64, 64, 64, dtype=torch.bool))
    assert canvas.previous[:42].all()
    assert not canvas.previous[42:].any()
    canvas.add(PointPrompt((90, 10, 10)))
    canvas.paste(torch.zeros(64, 64, 64, dtype=torch.bool))
    assert canvas.previous[:42].all()


def test_a_mask_forgets_the_prompts_before_it() -> None:
    canvas = PromptCanvas(torch.zeros(30, 30, 30), EncodingRules((32, 32, 32)))
    canvas.add(PointPrompt((5, 5, 5)))
    mask = np.zeros((30, 30, 30), np.uint8)
    mask[20:24, 20:24, 20:24] = 1
    canvas.add(MaskPrompt(mask))
    assert canvas.centre_kji == (22, 22, 22)
    assert canvas.network_input()[2:].abs().sum() == 0
    assert canvas.network_input()[1].sum() == 64


def test_a_click_is_a_ball_that_fades_to_its_border() -> None:
    stamp = point_stamp(4)
    assert stamp.shape == (9, 9, 9)
    assert stamp[4, 4, 4] == 1
    assert stamp[0, 0, 0] == 0
    assert 0 < stamp[4, 4, 0] < stamp[4, 4, 2] < 1


def test_what_lies_outside_the_image_is_zero() -> None:
    out = crop_padded(torch.ones(2, 4, 4, 4), ((-2, 2), (0, 4), (3, 6)))
    assert out.shape == (2, 4, 4, 3)
    assert out.sum() == 2 * 2 * 4 * 1


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (torch.zeros(4, 4, 4), "zero"),
        (torch.full((4, 4, 4), 3.0), "constant"),
        (torch.full((4, 4, 4), float("nan")), "NaN"),
    ],
)
def test_images_without_content_are_refused_in_words(voxels: torch.Tensor, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        normalise(voxels)


def test_prompts_that_do_not_fit_are_refused_in_words() -> None:
    canvas = PromptCanvas(torch.zeros(8, 8, 8), EncodingRules((16, 16, 16)))
    with pytest.raises(PromptError, match="outside"):
        canvas.add(PointPrompt((8, 0, 0)))
    with pytest.raises(PromptError, match="shape"):
        canvas.add(MaskPrompt(np.zeros((4, 4, 4), np.uint8)))
    with pytest.raises(ConfigError, match="decay"):
        EncodingRules(decay=1.5)
    with pytest.raises(ImageError, match="3D"):
        PromptCanvas(torch.zeros(2, 8, 8, 8), EncodingRules())
