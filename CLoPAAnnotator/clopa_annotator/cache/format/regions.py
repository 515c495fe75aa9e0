"""Binary regions as short text, for drawn prompts and drafts.

A region is a half-open box and the bits inside: the box's voxels in C order (k slowest, i fastest), packed
eight to a byte with the first voxel in the highest bit, compressed with zlib (RFC 1950), in base64.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from clopa_annotator.errors import CorruptRecord
from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_shape, box_slices
from clopa_annotator.types import Mask


def region_to_json(mask: Mask, bounds_kji: BoundsKji) -> dict[str, Any]:
    """A region for JSON; ``mask`` covers just the box."""
    bits = zlib.compress(np.packbits(np.ascontiguousarray(mask).astype(bool)).tobytes(), 6)
    return {"bounds_kji": [list(b) for b in bounds_kji], "bits": base64.b64encode(bits).decode("ascii")}


def region_from_json(values: Mapping[str, Any]) -> tuple[Mask, BoundsKji]:
    """The inverse of `region_to_json`.

    Raises:
        CorruptRecord: the bits do not fill the box.
    """
    bounds = bounds_from_json(values["bounds_kji"])
    shape = box_shape(bounds)
    voxels = shape[0] * shape[1] * shape[2]
    size = (voxels + 7) // 8
    try:
        unpack = zlib.decompressobj()
        packed = unpack.decompress(base64.b64decode(values["bits"], validate=True), max(size, 1))
    except (zlib.error, binascii.Error) as error:
        raise CorruptRecord("A drawn region is damaged: its bits cannot be unpacked.") from error
    if len(packed) != size or not unpack.eof:
        raise CorruptRecord("A drawn region is damaged: its bits do not fill its box.")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=voxels)
    return bits.reshape(shape), bounds


def bounds_from_json(values: list[list[int]]) -> BoundsKji:
    """A box from JSON."""
    (k0, k1), (j0, j1), (i0, i1) = values
    return ((int(k0), int(k1)), (int(j0), int(j1)), (int(i0), int(i1)))


def mask_to_json(mask: Mask) -> dict[str, Any]:
    """A whole mask for JSON: its shape and the region inside its bounding box."""
    bounds = bounding_box(mask) or ((0, 0), (0, 0), (0, 0))
    return {"shape_kji": list(mask.shape), **region_to_json(mask[box_slices(bounds)], bounds)}


def mask_from_json(values: Mapping[str, Any], shape_kji: Kji) -> Mask:
    """The inverse of `mask_to_json`.

    Raises:
        CorruptRecord: the mask has another shape than its image.
    """
    if tuple(values["shape_kji"]) != shape_kji:
        raise CorruptRecord(f"A stored mask has shape {values['shape_kji']}, but its image has {shape_kji}.")
    region, bounds = region_from_json(values)
    mask: Mask = np.zeros(shape_kji, np.uint8)
    mask[box_slices(bounds)] = region
    return mask
