"""A label on its image's grid: turned, flipped or cropped without loss, resampled only when asked."""

from __future__ import annotations

import numpy as np
import pytest
from cache_helpers import OBLIQUE, a_mask, relaxed
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.grids import place

TARGET = Geometry((7, 9, 11), (0.5, 0.75, 3.0), (-12.5, 30.25, 7.0), OBLIQUE)


def restored(mask: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...], cut: tuple[slice, ...]):
    """A mask on `TARGET` with its axes reordered, some flipped, cropped; and the grid that it has then."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in mask.shape), indexing="ij"), axis=-1)
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    index = index.transpose(*order, 3)[steps][cut]
    stored = mask.transpose(order)[steps][cut]
    matrix = TARGET.ijk_to_lps()

    def world(k: int, j: int, i: int) -> np.ndarray:
        return (matrix @ [*index[k, j, i][::-1], 1.0])[:3]

    origin = world(0, 0, 0)
    columns = []
    for axis in (2, 1, 0):
        place_next = [0, 0, 0]
        place_next[axis] = 1
        columns.append(world(*place_next) - origin)
    spacing = [float(np.linalg.norm(c)) for c in columns]
    direction = np.column_stack([c / s for c, s in zip(columns, spacing, strict=True)])
    return stored, Geometry(stored.shape, tuple(spacing), tuple(origin), tuple(direction.ravel()))


@relaxed
@given(
    st.permutations([0, 1, 2]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 1000),
)
def test_a_label_with_other_axes_order_direction_or_extent_is_placed_without_loss(
    order, flips, before, after, seed
):
    mask = a_mask(seed)
    cut = tuple(slice(before, -after or None) for _ in range(3))
    stored, geometry = restored(mask, tuple(order), flips, cut)
    kept = np.zeros_like(mask.transpose(order))
    kept[cut] = 1
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    inside = kept[steps].transpose(np.argsort(order))
    placed = place(stored, geometry, TARGET, resample=False, name="a")
    np.testing.assert_array_equal(placed.mask, mask * inside)
    assert not placed.resampled


def shifted(by_mm: float, shape=(7, 9, 11), spacing=(0.5, 0.75, 3.0)) -> Geometry:
    x, y, z = TARGET.origin_lps_mm
    return Geometry(shape, spacing, (x + by_mm, y, z), OBLIQUE)


def test_a_label_on_a_larger_lattice_is_cut_if_nothing_is_lost():
    big = np.zeros((9, 11, 13), np.uint8)
    big[1:-1, 1:-1, 1:-1] = a_mask(1)
    matrix = TARGET.ijk_to_lps()
    geometry = Geometry(big.shape, TARGET.spacing_ijk_mm, tuple((matrix @ [-1, -1, -1, 1])[:3]), OBLIQUE)
    np.testing.assert_array_equal(place(big, geometry, TARGET, False, "a").mask, a_mask(1))
    big[0, 0, 0] = 1
    with pytest.raises(GeometryError, match="1 labelled voxels of a lie outside"):
        place(big, geometry, TARGET, False, "a")


def test_rounding_of_a_files_header_is_no_other_grid():
    origin = tuple(float(np.float32(v)) for v in TARGET.origin_lps_mm)
    near = Geometry((7, 9, 11), tuple(float(np.float32(v)) for v in TARGET.spacing_ijk_mm), origin, OBLIQUE)
    assert not place(a_mask(), near, TARGET, False, "a").resampled


def test_another_grid_is_refused_with_both_and_what_to_do():
    other = shifted(0.2)
    with pytest.raises(GeometryError, match=r"11x9x7 voxels of 0\.5x0\.75x3 mm.*--resample"):
        place(a_mask(), other, TARGET, False, "a")
    coarse = shifted(0.0, (4, 5, 6), (0.9, 1.4, 5.0))
    with pytest.raises(GeometryError, match="another voxel grid"):
        place(np.ones((4, 5, 6), np.uint8), coarse, TARGET, False, "a")


def test_resampling_takes_the_nearest_voxel_and_says_so():
    corner = tuple((TARGET.ijk_to_lps() @ [-0.25, -0.25, -0.25, 1])[:3])
    fine = Geometry((14, 18, 22), (0.25, 0.375, 1.5), corner, OBLIQUE)
    blocks = a_mask(4).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    placed = place(blocks, fine, TARGET, True, "a")
    assert placed.resampled
    np.testing.assert_array_equal(placed.mask, a_mask(4))


def test_another_place_in_space_is_refused_even_if_resampling_is_allowed():
    for resample in (False, True):
        with pytest.raises(GeometryError, match="somewhere else in space"):
            place(a_mask(), shifted(500.0), TARGET, resample, "a")


def test_a_label_of_which_nothing_is_left_is_refused():
    mask = np.zeros((7, 9, 11), np.uint8)
    mask[0, 0, 0] = 1
    corner = tuple((TARGET.ijk_to_lps() @ [-3.4, -3.4, -3.4, 1])[:3])
    geometry = Geometry((7, 9, 11), (0.5, 0.75, 3.0), corner, OBLIQUE)
    with pytest.raises(GeometryError, match="Nothing of a is left"):
        place(mask, geometry, TARGET, True, "a")
