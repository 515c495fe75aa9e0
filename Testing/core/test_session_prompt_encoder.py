"""The prompt encoder gives bit by bit what the session gives its network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clopa_annotator.errors import ImageError, NoImage, PromptError
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import load_model
from clopa_annotator.session.prompt_encoder import PromptEncoder
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import BoxPrompt, Image, LassoPrompt, MaskPrompt, PointPrompt, ScribblePrompt

SHAPE = (40, 90, 33)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    torch.set_num_threads(1)
    return load_model(write_random_model(tmp_path_factory.mktemp("model"), features=(4, 8)), "cpu")


@pytest.fixture(scope="module")
def voxels():
    return np.random.default_rng(0).normal(0, 200, SHAPE).astype(np.int16)


@pytest.fixture
def encoder(loaded, voxels):
    encoder = PromptEncoder(loaded)
    encoder.set_image(voxels)
    return encoder


def first_inputs(loaded, session, prompts):
    """The first network input of each prediction, and the mask before it."""
    pairs = []
    for prompt in prompts:
        seen = []
        hook = loaded.network.register_forward_pre_hook(
            lambda _, inputs, seen=seen: seen.append(inputs[0].clone())
        )
        before = session.proposal.mask
        session.add_prompt(prompt)
        hook.remove()
        pairs.append((seen[0][0], before))
    return pairs


def drawings():
    drawn = np.ones((1, 5, 7), np.uint8)
    where = ((12, 13), (40, 45), (5, 12))
    return (
        PointPrompt((20, 45, 16)),
        PointPrompt((0, 0, 0), False),
        BoxPrompt(((14, 15), (40, 60), (3, 12))),
        ScribblePrompt(drawn, where, False),
        LassoPrompt(drawn, where),
        PointPrompt((39, 89, 32)),
    )


def test_it_equals_the_sessions_network_input_for_every_kind_of_prompt(loaded, encoder, voxels):
    session = LocalSession(loaded)
    session.set_image(Image(voxels, Geometry(SHAPE)))
    prompts = drawings()
    for number, (seen, before) in enumerate(first_inputs(loaded, session, prompts), start=1):
        assert torch.equal(encoder.encode(prompts[:number], before), seen)


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 39), st.integers(0, 89), st.integers(0, 32), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_it_equals_the_sessions_network_input_for_any_points(loaded, encoder, voxels, points):
    session = LocalSession(loaded)
    session.set_image(Image(voxels, Geometry(SHAPE)))
    prompts = [PointPrompt((k, j, i), positive) for k, j, i, positive in points]
    for number, (seen, before) in enumerate(first_inputs(loaded, session, prompts), start=1):
        assert torch.equal(encoder.encode(prompts[:number], before), seen)


def test_the_result_is_a_fresh_float32_tensor_fit_for_autograd(loaded, encoder):
    encoded = encoder.encode([PointPrompt((20, 45, 16))])
    assert encoded.shape == (8, 64, 64, 64) and encoded.dtype == torch.float32
    assert not encoded.is_inference()
    weight = torch.nn.Parameter(torch.ones(8, 1, 1, 1))
    (encoded * weight).sum().backward()
    assert torch.isfinite(weight.grad).all() and weight.grad.any()
    encoded.zero_()
    assert encoder.encode([PointPrompt((20, 45, 16))]).any()


def test_channels_are_where_nninteractive_puts_them(encoder):
    mask = np.zeros(SHAPE, np.uint8)
    mask[18:22, 43:47, 14:18] = 1
    drawn = np.ones((1, 2, 2), np.uint8)
    where = ((20, 21), (44, 46), (15, 17))
    channels = {
        2: BoxPrompt(where),
        3: LassoPrompt(drawn, where, False),
        4: PointPrompt((20, 45, 16)),
        5: PointPrompt((20, 45, 16), False),
        6: ScribblePrompt(drawn, where),
        7: ScribblePrompt(drawn, where, False),
    }
    for channel, prompt in channels.items():
        encoded = encoder.encode([prompt], mask)
        assert encoded[1].sum() == mask.sum()
        assert [c for c in range(2, 8) if encoded[c].any()] == [channel]
        assert encoded[channel].max() == pytest.approx(1, abs=1e-3)


def test_older_prompts_decay_by_the_models_factor(loaded, encoder):
    encoded = encoder.encode(
        [PointPrompt((20, 45, 16)), PointPrompt((20, 60, 16), False)], center=(20, 45, 16)
    )
    decay = loaded.artifacts["interaction_decay"]
    assert float(encoded[4].max()) == pytest.approx(decay, abs=1e-3)
    assert float(encoded[5].max()) == pytest.approx(1, abs=1e-3)


def test_the_image_is_normalised_by_its_nonzero_box_and_padded_with_zero(encoder, voxels):
    encoded = encoder.encode((), center=(0, 0, 0))
    assert not encoded[0, :32].any()
    part = voxels.astype(np.float32)
    expected = (part - part.mean()) / part.std(ddof=1)
    assert encoded[0, 32:, 32:, 32:].numpy() == pytest.approx(expected[:32, :32, :32], abs=1e-4)


def test_a_mask_prompt_is_the_previous_mask(encoder):
    mask = np.zeros(SHAPE, np.uint8)
    mask[18:22, 43:47, 14:18] = 1
    point = PointPrompt((20, 45, 16))
    assert torch.equal(encoder.encode([MaskPrompt(mask), point]), encoder.encode([point], mask))


def test_encoding_again_gives_the_same_and_leaves_nothing_behind(encoder):
    first = encoder.encode(drawings())
    encoder.encode(drawings()[:2])
    assert torch.equal(encoder.encode(drawings()), first)


def test_what_does_not_fit_is_refused(loaded, encoder, voxels):
    with pytest.raises(NoImage, match="no image yet"):
        PromptEncoder(loaded.artifacts).encode([PointPrompt((0, 0, 0))])
    with pytest.raises(PromptError, match="where the patch is"):
        encoder.encode(())
    with pytest.raises(PromptError, match="previous mask has shape"):
        encoder.encode([PointPrompt((0, 0, 0))], np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(PromptError, match="outside the image"):
        encoder.encode([PointPrompt((40, 0, 0))])
    with pytest.raises(ImageError, match="axes"):
        encoder.set_image(voxels[0])
