"""Dice and surface Dice against numbers worked out by hand and against the package that defined NSD."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.errors import ConfigError, GeometryError
from clopa_annotator.evaluation.metrics import Detection, detect, dice, iou, nsd, surface_areas, together

EMPTY = np.zeros((4, 5, 6), np.uint8)


def block(shape=(8, 8, 8), corner=(2, 2, 2), size=(3, 3, 3)):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))] = 1
    return mask


def test_two_empty_masks_agree_on_absence_and_have_no_surface():
    assert dice(EMPTY, EMPTY) == 1.0
    assert math.isnan(nsd(EMPTY, EMPTY, (1, 1, 1), 1.0))


def test_an_empty_mask_and_a_full_one_share_nothing():
    full = np.ones_like(EMPTY)
    assert dice(EMPTY, full) == 0.0
    assert nsd(EMPTY, full, (1, 1, 1), 100.0) == 0.0
    assert nsd(full, EMPTY, (1, 1, 1), 100.0) == 0.0


def test_a_mask_agrees_with_itself_even_at_the_image_border_and_when_it_fills_the_image():
    for mask in (np.ones_like(EMPTY), block(corner=(0, 0, 0)), block()):
        assert dice(mask, mask) == 1.0
        assert nsd(mask, mask, (1, 2, 3), 0.0) == 1.0


def test_dice_of_half_overlapping_blocks_is_one_half():
    first, second = block(size=(2, 2, 2)), block(corner=(3, 2, 2), size=(2, 2, 2))
    assert dice(first, second) == 2 * 4 / (8 + 8)


def test_any_nonzero_value_and_a_bool_mask_count_as_inside():
    assert dice(block() * 7, block().astype(bool)) == 1.0


def test_a_single_voxel_has_eight_corner_elements_of_one_triangle_each():
    # The triangle cuts the three edge midpoints of a corner: |(1/8, 1/8, 1/8)| = sqrt(3)/8.
    areas = surface_areas((1.0, 1.0, 1.0))
    assert areas[1] == pytest.approx(math.sqrt(3) / 8)
    assert areas[0] == areas[255] == 0
    # Voxels 1 x 2 x 3 mm: the components are areas of the projections, scaled by the other two sides.
    assert surface_areas((1.0, 2.0, 3.0))[1] == pytest.approx(math.sqrt(6**2 + 3**2 + 2**2) / 8)


def test_a_flat_face_counts_its_millimetres_and_a_shift_of_exactly_the_tolerance_agrees():
    #   A: voxels 0..1 of a column, B: voxels 0..2: the far faces are one 0.7 mm step apart.
    first, second = np.zeros((6, 1, 1), np.uint8), np.zeros((6, 1, 1), np.uint8)
    first[0:2], second[0:3] = 1, 1
    spacing = (0.7, 1.0, 1.0)
    assert nsd(first, second, spacing, 0.7) == 1.0
    # Just below: A's far end has 4 elements, which are side elements of B, and B's far end has 4 of its own.
    # So all of A agrees, and of B all but its far end.
    corner = surface_areas(spacing)[1]
    side = surface_areas(spacing)[0b00010001]
    expected_total = (8 * corner + 4 * side) + (8 * corner + 8 * side)
    assert nsd(first, second, spacing, 0.69) == pytest.approx(1 - 4 * corner / expected_total)


def test_shapes_that_differ_are_refused_in_words():
    with pytest.raises(GeometryError, match="one 3D grid"):
        dice(EMPTY, EMPTY[1:])
    with pytest.raises(GeometryError, match="one 3D grid"):
        nsd(EMPTY[0], EMPTY[0], (1, 1, 1), 1)


@pytest.mark.parametrize(("spacing", "tolerance"), [((0, 1, 1), 1), ((1, 1, 1), -1), ((1, 1, math.nan), 1)])
def test_nsd_refuses_a_negative_tolerance_and_voxels_without_size(spacing, tolerance):
    with pytest.raises(ConfigError, match="tolerance of at least 0 mm"):
        nsd(block(), block(), spacing, tolerance)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), tolerance=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_nsd_is_symmetric_and_grows_with_the_tolerance(seed, tolerance):
    first, second = random_pair(seed)
    spacing = (2.0, 0.5, 1.0)
    value = nsd(first, second, spacing, tolerance)
    assert value == pytest.approx(nsd(second, first, spacing, tolerance), nan_ok=True)
    if not math.isnan(value):
        assert 0 <= value <= nsd(first, second, spacing, tolerance + 1) <= 1


@pytest.mark.filterwarnings("ignore:Please import")
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    tolerance=st.sampled_from([0.0, 0.3, 0.9, 1.0, 2.0, 4.5]),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.5, 0.5), (0.3, 0.9, 1.7)]),
)
def test_nsd_equals_the_surface_distance_package_on_random_masks(seed, tolerance, spacing):
    reference = pytest.importorskip(
        "surface_distance", reason="the reference package is not installed: pip install surface-distance"
    )
    first, second = random_pair(seed)
    if not (first.any() and second.any()):
        return  # the package fails on one empty mask with NumPy 2 (np.Inf); decided above
    distances = reference.compute_surface_distances(first.astype(bool), second.astype(bool), spacing)
    expected = reference.compute_surface_dice_at_tolerance(distances, tolerance)
    assert nsd(first, second, spacing, tolerance) == pytest.approx(expected, abs=1e-6)


def random_pair(seed):
    """A smooth blob and a disturbed copy, or two masks of noise; some touch the border, some are empty."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(3, 14, size=3))
    if seed % 2:
        density = rng.uniform(0, 0.6)
        return tuple((rng.random(shape) < density).astype(np.uint8) for _ in range(2))
    grid = np.indices(shape)
    masks = []
    for _ in range(2):
        centre = [rng.uniform(0, n) for n in shape]
        radii = rng.uniform(1.5, 6, size=3)
        masks.append(sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1)
    return masks[0].astype(np.uint8), masks[1].astype(np.uint8)


def strip(start: int, stop: int):
    mask = np.zeros((1, 1, 20), np.uint8)
    mask[..., start:stop] = 1
    return mask


def test_the_overlap_is_shared_voxels_by_all_voxels():
    assert iou(strip(0, 4), strip(2, 6)) == pytest.approx(2 / 6)
    assert math.isnan(iou(strip(0, 0), strip(0, 0)))


def test_a_pair_needs_half_of_the_union_and_half_is_enough():
    assert detect([strip(0, 4)], [strip(0, 2)]) == Detection(1, 1, 1), "2 of 4 voxels"
    assert detect([strip(0, 5)], [strip(0, 2)]) == Detection(1, 1, 0), "2 of 5 voxels"


def test_each_reference_is_found_once():
    twice = detect([strip(0, 4)], [strip(0, 2), strip(2, 4)])
    assert twice == Detection(1, 2, 1) and twice.f1 == pytest.approx(2 / 3)
    merged = detect([strip(0, 4), strip(4, 8)], [strip(0, 8)])
    assert merged == Detection(2, 1, 1), "one proposal over two is one of them, at half of the union"


def test_what_is_empty_counts_as_none():
    assert detect([strip(0, 0)], [strip(3, 3)]) == Detection()
    assert math.isnan(Detection().f1)
    assert detect([strip(0, 4)], [strip(0, 0)]).f1 == 0


def test_cases_are_counted_together_not_averaged():
    cases = [Detection(1, 1, 1), Detection(3, 3, 0)]
    assert together(cases) == Detection(4, 4, 1) and together(cases).f1 == 0.25
    assert together([]) == Detection()
