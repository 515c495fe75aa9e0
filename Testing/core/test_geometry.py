"""Grids in the world and boxes in grids."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import Geometry, bounding_box, box_shape, box_slices, clip_box, union_box

MM = st.floats(-500, 500)
SPACING = st.floats(0.1, 10)
SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
PAIRS = st.tuples(st.integers(-5, 12), st.integers(-5, 12)).map(lambda p: (min(p), max(p) + 1))
BOXES = st.tuples(PAIRS, PAIRS, PAIRS)


@st.composite
def rotations(draw):
    """Right- or left-handed orthonormal axes, row-major."""
    angles = draw(st.tuples(*[st.floats(-3.1, 3.1)] * 3))
    matrix = np.eye(3)
    for (a, b), angle in zip(((0, 1), (0, 2), (1, 2)), angles, strict=True):
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    if draw(st.booleans()):
        matrix[:, 0] *= -1
    return tuple(float(x) for x in matrix.ravel())


GEOMETRIES = st.builds(Geometry, SHAPES, st.tuples(*[SPACING] * 3), st.tuples(MM, MM, MM), rotations())


@settings(deadline=None)
@given(GEOMETRIES, st.tuples(*[st.integers(-20, 20)] * 3))
def test_positions_agree_with_simpleitk_and_lead_back_to_their_voxel(geometry, index_kji):
    image = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    image.SetSpacing(geometry.spacing_ijk_mm)
    image.SetOrigin(geometry.origin_lps_mm)
    image.SetDirection(geometry.direction)
    index_ijk = index_kji[::-1]
    expected = image.TransformContinuousIndexToPhysicalPoint([float(x) for x in index_ijk])
    position = (geometry.ijk_to_lps() @ [*index_ijk, 1])[:3]
    assert position == pytest.approx(expected, abs=1e-6)
    assert geometry.index_kji(position) == index_kji


@given(GEOMETRIES)
def test_ras_is_lps_with_two_axes_turned(geometry):
    assert (geometry.ijk_to_ras()[:2] == -geometry.ijk_to_lps()[:2]).all()
    assert (geometry.ijk_to_ras()[2:] == geometry.ijk_to_lps()[2:]).all()


@given(GEOMETRIES)
def test_spacing_and_volume_are_told_in_array_order_too(geometry):
    assert geometry.spacing_kji_mm == geometry.spacing_ijk_mm[::-1]
    volume = abs(np.linalg.det(geometry.ijk_to_lps()[:3, :3]))
    assert geometry.voxel_volume_mm3 == pytest.approx(volume)


@given(GEOMETRIES)
def test_a_grid_agrees_with_itself_and_with_one_moved_by_less_than_the_tolerance(geometry):
    def moved(by_mm):
        x, y, z = geometry.origin_lps_mm
        return Geometry(geometry.shape_kji, geometry.spacing_ijk_mm, (x + by_mm, y, z), geometry.direction)

    assert geometry.agrees_with(geometry) and geometry.agrees_with(moved(5e-4))
    assert not geometry.agrees_with(moved(0.1))


def test_a_small_error_of_spacing_counts_at_the_far_corner():
    fine = Geometry((100, 100, 100))
    assert not fine.agrees_with(Geometry((100, 100, 100), (1.0001, 1, 1)))
    assert Geometry((2, 2, 2)).agrees_with(Geometry((2, 2, 2), (1.0001, 1, 1)))
    assert not fine.agrees_with(Geometry((100, 100, 99)))


def test_halfway_positions_round_up_along_the_axis():
    assert Geometry((9, 9, 9)).index_kji((0.5, 1.49, -0.5)) == (0, 1, 1)


@given(SHAPES, st.tuples(*[st.integers(-2, 10)] * 3))
def test_contains_is_what_indexing_would_take(shape, index):
    inside = min(index) >= 0 and np.zeros(shape)[tuple(slice(x, x + 1) for x in index)].size == 1
    assert Geometry(shape).contains(index) == inside


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((0, 2, 2),), "at least one voxel"),
        (((2, 2),), "three axes"),
        (((2, 2, 2), (1.0, 0.0, 1.0)), "positive"),
        (((2, 2, 2), (1.0, float("nan"), 1.0)), "positive"),
        (((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0,) * 9), "in one plane"),
        (((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0)), "damaged"),
    ],
)
def test_impossible_grids_are_refused(arguments, words):
    with pytest.raises(GeometryError, match=words):
        Geometry(*arguments)


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=5))
def test_the_bounding_box_is_the_smallest_that_holds_every_voxel(voxels):
    mask = np.zeros((6, 6, 6), np.uint8)
    for voxel in voxels:
        mask[voxel] = 3
    box = bounding_box(mask)
    if not voxels:
        assert box is None
        return
    expected = tuple((min(v[a] for v in voxels), max(v[a] for v in voxels) + 1) for a in range(3))
    assert box == expected
    assert mask[box_slices(box)].sum() == mask.sum()
    assert mask[box_slices(box)].shape == box_shape(box)


@given(BOXES, BOXES, SHAPES)
def test_union_and_clip_are_what_they_are_on_sets_of_voxels(first, second, shape):
    def voxels(box):
        return (
            set()
            if box is None
            else set(np.ndindex(*box_shape(box)))
            and {(k, j, i) for k in range(*box[0]) for j in range(*box[1]) for i in range(*box[2])}
        )

    both = union_box(first, second)
    assert all(both[a] == (min(first[a][0], second[a][0]), max(first[a][1], second[a][1])) for a in range(3))
    assert voxels(clip_box(first, shape)) == {v for v in voxels(first) if Geometry(shape).contains(v)}


def test_the_union_with_nothing_is_the_other():
    box = ((0, 1), (2, 3), (4, 5))
    assert union_box(box, None) == union_box(None, box) == box
    assert union_box(None, None) is None
