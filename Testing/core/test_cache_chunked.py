"""Images as chunked files, and the hashes of images and masks."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct

import blosc2
import numpy as np
import pytest
from cache_helpers import SHAPE, a_mask, an_image

from clopa_annotator.cache.format.chunked import (
    decode_chunked,
    encode_chunked,
    image_hash,
    mask_hash,
    plain_voxels,
)
from clopa_annotator.errors import CorruptRecord


def test_any_blosc2_library_opens_an_image(tmp_path):
    path = tmp_path / "voxels.b2nd"
    image = an_image(1, (70, 66, 65))
    path.write_bytes(encode_chunked(plain_voxels(image.voxels)))
    array = blosc2.open(str(path), mode="r")
    assert (array.shape, array.chunks, array.blocks) == ((70, 66, 65), (64, 64, 64), (32, 32, 32))
    np.testing.assert_array_equal(array[:], image.voxels)


def test_the_image_hash_is_the_one_that_the_specification_describes():
    image = an_image()
    plain = io.BytesIO()
    plain.write(b"clopa-image-1\n<i2\n")
    plain.write(struct.pack("<3q", *image.geometry.shape_kji))
    plain.write(struct.pack("<3d", *image.geometry.spacing_ijk_mm))
    plain.write(struct.pack("<3d", *image.geometry.origin_lps_mm))
    plain.write(struct.pack("<9d", *(x + 0.0 for x in image.geometry.direction)))
    plain.write(image.voxels.astype("<i2").tobytes())
    assert (
        image_hash(plain_voxels(image.voxels), image.geometry) == hashlib.sha256(plain.getvalue()).hexdigest()
    )


def test_byte_order_and_minus_zero_do_not_change_the_image_hash():
    image = an_image()
    big = plain_voxels(image.voxels.astype(">i2"))
    minus = dataclasses.replace(
        image.geometry, direction=tuple(-0.0 if x == 0 else x for x in image.geometry.direction)
    )
    assert image_hash(big, minus) == image_hash(plain_voxels(image.voxels), image.geometry)


def test_the_mask_hash_does_not_depend_on_memory_layout():
    mask = a_mask()
    assert mask_hash(np.asfortranarray(mask)) == mask_hash(mask)


def test_a_volume_of_another_shape_is_refused_before_it_is_unpacked():
    bomb = encode_chunked(np.zeros((500, 500, 500), np.uint8), binary=True)
    assert len(bomb) < 100_000
    with pytest.raises(CorruptRecord, match="its shape is"):
        decode_chunked(bomb, "it", SHAPE)


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x00" * 5000])
def test_a_damaged_volume_is_named(damage):
    with pytest.raises(CorruptRecord, match="it is damaged"):
        decode_chunked(damage, "it", SHAPE)
