"""What every session refuses: property tests over points, boxes and masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clopa_annotator.errors import ImageError, PromptError, UnsupportedPrompt
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.checks import binary_mask, check_prompts, usable_array, usable_voxels
from clopa_annotator.types import BoxPrompt, Image, PointPrompt, PromptKind

SHAPE = (5, 7, 9)
EVERY = frozenset(PromptKind)
INDEX = st.integers(-3, 12)


def passes(prompt, **options):
    try:
        check_prompts((prompt,), SHAPE, options.get("supported", EVERY), options.get("deep", False))
    except PromptError as error:
        assert str(error)[0].isupper() and str(error).endswith(".")
        return False
    return True


@given(st.tuples(INDEX, INDEX, INDEX))
def test_a_point_passes_exactly_when_it_lies_in_the_image(position):
    assert passes(PointPrompt(position)) == Geometry(SHAPE).contains(position)
    assert passes(PointPrompt(tuple(np.int16(x) for x in position))) == Geometry(SHAPE).contains(position)


@given(st.tuples(*[st.tuples(INDEX, INDEX)] * 3), st.booleans())
def test_a_box_passes_exactly_when_it_is_inside_and_as_flat_as_the_model_wants(bounds, deep):
    inside = all(0 <= low < high <= n for (low, high), n in zip(bounds, SHAPE, strict=True))
    flat = any(high - low == 1 for low, high in bounds)
    assert passes(BoxPrompt(bounds), deep=deep) == (inside and (flat or deep))


def test_a_kind_that_the_model_does_not_know_is_named():
    with pytest.raises(UnsupportedPrompt, match=r"with a point as prompt\. It knows: box, mask"):
        check_prompts((PointPrompt((0, 0, 0)),), SHAPE, {PromptKind.MASK, PromptKind.BOX}, False)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, ">u2"])
def test_a_binary_mask_of_any_real_type_becomes_fresh_uint8(dtype):
    given_mask = np.eye(4)[:, ::-1].astype(dtype)
    mask = binary_mask(given_mask)
    assert mask.dtype == np.uint8 and mask.flags.c_contiguous and not np.shares_memory(mask, given_mask)
    assert (mask == np.eye(4)[:, ::-1]).all()


@pytest.mark.parametrize("values", [[0, 2], [-1, 0], [0, 0.5], [0, np.nan], [0j, 1], ["0", "1"], [None, 1]])
def test_a_mask_with_anything_else_is_refused(values):
    with pytest.raises(PromptError, match="other than 0 and 1"):
        binary_mask(np.array(values))


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int64, np.float16, np.float64, ">f4", ">i2"]
)
def test_voxels_of_every_real_type_come_out_native_and_contiguous_with_the_same_values(dtype):
    voxels = np.arange(60).reshape(3, 4, 5).astype(dtype)[:, ::-1]
    usable = usable_voxels(Image(voxels, Geometry((3, 4, 5))))
    assert usable.dtype.isnative and usable.flags.c_contiguous and (usable == voxels).all()


def test_voxels_that_are_ready_are_not_copied():
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    assert np.shares_memory(usable_voxels(Image(voxels, Geometry((3, 4, 5)))), voxels)


def refused(voxels):
    try:
        usable_array(voxels)
    except ImageError as error:
        return str(error)
    return ""


def test_two_values_are_refused_only_where_the_second_fills_a_box():
    voxels = np.zeros((8, 9, 10), np.int16)
    voxels[2:5, 2:6, 3:8] = 4
    assert "two values only" in refused(voxels)
    voxels[3, 3, 4] = 0
    assert refused(voxels) == ""


def test_values_that_cancel_out_are_refused():
    voxels = np.zeros((4, 4, 4), np.int16)
    voxels[1, 1, 1], voxels[1, 1, 2] = 5, -5
    assert "cancel out" in refused(voxels)


@settings(deadline=None)
@given(arrays.arrays(np.int16, (3, 3, 4), elements=st.integers(-1, 1)))
def test_what_is_refused_is_what_nninteractive_cannot_normalise(voxels):
    session = pytest.importorskip("nnInteractive.inference.inference_session").nnInteractiveInferenceSession
    torch = pytest.importorskip("torch")
    box = session._nonzero_spatial_bbox(torch.from_numpy(voxels[None].astype(np.float32)))
    region = voxels[tuple(slice(*side) for side in box)] if box is not None else np.zeros(1)
    assert bool(refused(voxels)) == (region.min() == region.max())


def test_a_single_slice_is_refused():
    assert "single slice" in refused(np.arange(20.0).reshape(1, 4, 5))
