"""Images and masks as voxels: kept exactly, stored once, read in patches."""

from __future__ import annotations

import dataclasses

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_mask, an_image

from clopa_annotator.errors import CorruptRecord, GeometryError, ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


def test_an_image_is_stored_once_however_many_cases_have_it(store):
    first = store.add_case("case one", an_image())
    assert store.add_case("case two", an_image()) == first
    assert len(list((store.folder / "images").iterdir())) == 1
    assert [c.number for c in store.cases()] == [1, 2]


def test_a_case_keeps_its_image(store):
    with pytest.raises(GeometryError, match="another image"):
        store.add_case("case one", an_image(5))


def test_the_same_voxels_elsewhere_in_the_world_are_another_image(store):
    image = an_image()
    moved = Image(image.voxels, dataclasses.replace(image.geometry, origin_lps_mm=(0.0, 0.0, 0.0)))
    assert store.add_case("moved", moved) != store.image_hash("case one")


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "int64", "float32", "float64", ">i2", "bool"]
)
def test_an_image_of_any_real_type_comes_back_exactly(store, dtype):
    image = an_image(3, dtype=dtype)
    digest = store.add_case(dtype, image)
    again = store.read_image(digest)
    np.testing.assert_array_equal(again.voxels, image.voxels)
    assert again.geometry == image.geometry
    assert again.voxels.dtype.itemsize == image.voxels.dtype.itemsize


def test_an_image_with_negative_strides_comes_back_exactly(store):
    image = an_image(4)
    turned = Image(image.voxels[::-1, :, ::-1], image.geometry)
    np.testing.assert_array_equal(store.read_image(store.add_case("turned", turned)).voxels, turned.voxels)


@pytest.mark.parametrize(
    ("voxels", "error"),
    [
        (np.zeros((3, 4), np.int16), ImageError),
        (np.zeros(SHAPE, np.complex64), ImageError),
        (np.zeros((1, *SHAPE), np.int16), ImageError),
        (np.zeros((2, 2, 2), np.int16), GeometryError),
    ],
)
def test_what_is_no_volume_on_its_grid_is_refused(store, voxels, error):
    with pytest.raises(error):
        store.add_case("bad", Image(voxels, Geometry(SHAPE)))
    assert [c.case_id for c in store.cases()] == ["case one"]


BIG = (130, 70, 65)


def test_patches_of_image_and_mask_are_those_of_the_whole(store):
    store.add_case("big", an_image(7, BIG))
    ref = store.confirm(a_confirmation(7, "big", mask=a_mask(7, BIG)))
    generator = np.random.default_rng(0)
    for _ in range(20):
        low = [int(generator.integers(0, n)) for n in BIG]
        bounds = tuple((lo, int(generator.integers(lo + 1, n + 1))) for lo, n in zip(low, BIG, strict=True))
        part = tuple(slice(*b) for b in bounds)
        np.testing.assert_array_equal(store.read_patch(ref.image_hash, bounds), an_image(7, BIG).voxels[part])
        np.testing.assert_array_equal(store.read_mask_patch(ref, bounds), a_mask(7, BIG)[part])


def test_a_patch_is_read_from_the_chunks_that_it_touches_and_no_others(store):
    digest = store.add_case("big", an_image(7, BIG))
    path = store.folder / "images" / digest / "voxels.b2nd"
    content = bytearray(path.read_bytes())
    # Chunks lie in the file in the order of the array: the last third holds the far end along k.
    for position in range(int(len(content) * 0.75), int(len(content) * 0.9)):
        content[position] = 0
    path.write_bytes(bytes(content))
    near = ((0, 60), (0, 60), (0, 60))
    np.testing.assert_array_equal(store.read_patch(digest, near), an_image(7, BIG).voxels[:60, :60, :60])
    with pytest.raises(CorruptRecord, match="damaged"):
        store.read_image(digest)


@pytest.mark.parametrize(
    "bounds", [((-1, 2), (0, 2), (0, 2)), ((0, 2), (0, 99), (0, 2)), ((2, 2), (0, 2), (0, 2))]
)
def test_a_patch_outside_the_image_is_refused(store, bounds):
    ref = store.confirm(a_confirmation())
    with pytest.raises(GeometryError, match="not inside"):
        store.read_patch(ref.image_hash, bounds)
    with pytest.raises(GeometryError, match="not inside"):
        store.read_mask_patch(ref, bounds)


def test_a_missing_image_or_mask_is_named(store):
    ref = store.confirm(a_confirmation())
    (store.folder / "images" / ref.image_hash / "voxels.b2nd").unlink()
    (store.folder / ref.folder / "mask.b2nd").unlink()
    bounds = ((0, 1), (0, 1), (0, 1))
    for read in (
        lambda: store.read_patch(ref.image_hash, bounds),
        lambda: store.read_image(ref.image_hash),
        lambda: store.read_mask(ref),
        lambda: store.read_mask_patch(ref, bounds),
        lambda: store.geometry("0" * 64),
    ):
        with pytest.raises(CorruptRecord, match="missing"):
            read()
