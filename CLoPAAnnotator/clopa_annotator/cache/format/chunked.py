"""Volumes as chunked Blosc2 arrays (``.b2nd``), so that a training patch reads only what it touches.

A file is one contiguous Blosc2 frame (https://github.com/Blosc/c-blosc2, README_B2ND_METALAYER.rst) with
chunks of up to 64 voxels and blocks of up to 32 along each axis, compressed with Zstandard after shuffling
bytes (images) or bits (masks: a third less time and size). Any Blosc2 library opens it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt

from clopa_annotator.cache.format.disk import native, translate
from clopa_annotator.errors import CorruptRecord, GeometryError, ImageError
from clopa_annotator.geometry import BoundsKji, Geometry, Kji, box_shape, box_slices
from clopa_annotator.types import Mask

CHUNK, BLOCK, LEVEL = 64, 32, 1

Voxels = npt.NDArray[np.generic]


def plain_voxels(voxels: Voxels) -> Voxels:
    """The same numbers as a C-ordered little-endian array; booleans become uint8.

    Raises:
        ImageError: the voxels are not real numbers.
    """
    if voxels.dtype.kind == "b":
        voxels = voxels.view(np.uint8)
    if voxels.dtype.kind not in "iuf" or voxels.dtype.itemsize > 8:
        raise ImageError(f"Voxels of type {voxels.dtype} cannot be stored; convert them to int16 or float32.")
    return np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("<"))


def encode_chunked(voxels: Voxels, binary: bool = False) -> bytes:
    """The bytes of a ``.b2nd`` file for a (k, j, i) array from `plain_voxels`, or a binary mask."""
    shuffling = blosc2.Filter.BITSHUFFLE if binary else blosc2.Filter.SHUFFLE
    array = blosc2.asarray(
        voxels,
        chunks=tuple(min(CHUNK, n) for n in voxels.shape),
        blocks=tuple(min(BLOCK, n) for n in voxels.shape),
        cparams={"codec": blosc2.Codec.ZSTD, "clevel": LEVEL, "filters": [shuffling]},
        contiguous=True,
    )
    frame: bytes = array.to_cframe()
    return frame


def decode_chunked(document: bytes, name: str, shape_kji: Kji) -> Voxels:
    """All voxels of a ``.b2nd`` file.

    Args:
        document: the file's bytes.
        name: how to call the file in an error.
        shape_kji: shape that it must have; compared before memory is taken.

    Raises:
        CorruptRecord: the file is damaged, or of another shape.
    """
    try:
        array = blosc2.ndarray_from_cframe(document)
        if tuple(array.shape) != shape_kji:
            raise CorruptRecord(f"{name} is damaged: its shape is {array.shape}, not {shape_kji}.")
        voxels: Voxels = array[:]
    except (RuntimeError, ValueError, TypeError) as error:
        raise CorruptRecord(f"{name} is damaged: its voxels cannot be unpacked.") from error
    return voxels


def read_chunks(path: Path, bounds: BoundsKji, geometry: Geometry) -> Voxels:
    """The voxels in a box, reading only the chunks that it touches.

    The box's part of the file is not compared with a hash: that would mean to read all of it. `verify` does.

    Raises:
        GeometryError: the box is not inside the volume.
        CorruptRecord: a chunk that is needed is damaged, or the file is not this volume.
    """
    if any(lo < 0 or hi > n or lo >= hi for (lo, hi), n in zip(bounds, geometry.shape_kji, strict=True)):
        raise GeometryError(f"The box {bounds} is not inside a volume of {geometry.shape_kji} voxels.")
    try:
        array: Any = blosc2.open(str(native(path)), mode="r")
        if tuple(array.shape) != geometry.shape_kji:
            raise CorruptRecord(f"{path.parent.name}/{path.name} is damaged: its shape is {array.shape}.")
        voxels: Voxels = array[box_slices(bounds)]
    except OSError as error:
        raise translate(error, f"read {path.parent.name}/{path.name}") from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise CorruptRecord(
            f'{path.parent.name}/{path.name} is damaged; "clopa cache verify" names and removes it.'
        ) from error
    return voxels.reshape(box_shape(bounds))


def as_mask(voxels: Voxels) -> Mask:
    """Voxels that were stored as a mask."""
    return np.asarray(voxels, dtype=np.uint8)


def image_hash(voxels: Voxels, geometry: Geometry) -> str:
    """SHA-256 of an image: type, shape, grid, voxels; hexadecimal.

    Over ``clopa-image-1``, line feed, numpy's type string (``<i2``), line feed, three int64 (shape k, j, i),
    fifteen float64 (spacing i, j, k; origin; direction), the voxels in C order; all little-endian.
    """
    digest = hashlib.sha256(f"clopa-image-1\n{voxels.dtype.newbyteorder('<').str}\n".encode("ascii"))
    grid = (*geometry.spacing_ijk_mm, *geometry.origin_lps_mm, *geometry.direction)
    digest.update(np.asarray(geometry.shape_kji, "<i8").tobytes())
    digest.update((np.asarray(grid, "<f8") + 0.0).tobytes())
    digest.update(voxels.data)
    return digest.hexdigest()


def mask_hash(mask: Mask) -> str:
    """SHA-256 of a mask's bytes (uint8, C order, k slowest); hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(mask, dtype=np.uint8).data).hexdigest()
