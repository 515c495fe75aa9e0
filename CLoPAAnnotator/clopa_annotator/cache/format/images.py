"""Images by content hash: stored once, read whole or by patch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.chunked import (
    Voxels,
    decode_chunked,
    encode_chunked,
    image_hash,
    plain_voxels,
    read_chunks,
)
from clopa_annotator.cache.format.layout import Layout, sha256
from clopa_annotator.cache.format.record import (
    FORMAT_VERSION,
    IMAGE,
    geometry_from_json,
    geometry_to_json,
    open_document,
)
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import CorruptRecord, GeometryError, ImageError
from clopa_annotator.geometry import BoundsKji, Geometry
from clopa_annotator.types import Image

logger = logging.getLogger(__name__)


def image_path(digest: str) -> str:
    """An image's folder, relative to the campaign."""
    return f"{names.IMAGES}/{digest}"


def prepare(image: Image) -> tuple[Voxels, str]:
    """The voxels as they will be stored, and the image's hash.

    Raises:
        ImageError: not a 3D volume of real numbers.
        GeometryError: the grid's shape is not the array's.
    """
    if image.voxels.ndim != 3 or image.voxels.size == 0:
        raise ImageError(f"An image needs three axes, but has shape {image.voxels.shape}.")
    if image.voxels.shape != image.geometry.shape_kji:
        raise GeometryError(
            f"The image has {image.voxels.shape} voxels, but its grid says {image.geometry.shape_kji}."
        )
    voxels = plain_voxels(image.voxels)
    return voxels, image_hash(voxels, image.geometry)


def store_image(layout: Layout, voxels: Voxels, geometry: Geometry, digest: str) -> None:
    """Put an image into the campaign, unless it is there and intact; a damaged one is replaced.

    Raises:
        OSError: a step on the disk failed.
        CorruptRecord: the disk did not keep what was written.
    """
    relative = image_path(digest)
    if layout.exists(relative):
        try:
            check_image(layout, digest)
            return
        except CorruptRecord as error:
            layout.quarantine(relative, str(error))
    data = encode_chunked(voxels)
    if not np.array_equal(
        decode_chunked(data, names.IMAGE_VOXELS, geometry.shape_kji).view(np.uint8), voxels.view(np.uint8)
    ):
        raise CorruptRecord("The image could not be compressed without loss; nothing was stored.")
    record = {
        "format": IMAGE,
        "format_version": FORMAT_VERSION,
        "image_hash": digest,
        "dtype": voxels.dtype.name,
        "geometry": geometry_to_json(geometry),
        "files": {names.IMAGE_VOXELS: sha256(data)},
    }
    layout.publish(relative, {names.IMAGE_VOXELS: data, names.IMAGE_RECORD: seal(record)})


def image_record(layout: Layout, digest: str) -> tuple[dict[str, Any], Geometry]:
    """An image's record and grid; raises `CorruptRecord`."""
    relative = f"{image_path(digest)}/{names.IMAGE_RECORD}"
    values = open_document(layout.read(relative), IMAGE, relative)
    try:
        geometry = geometry_from_json(values["geometry"])
    except (KeyError, TypeError, ValueError, GeometryError) as error:
        raise CorruptRecord(f"{relative} cannot be read: {error}.") from error
    return values, geometry


def check_image(layout: Layout, digest: str) -> Image:
    """Read an image and compare everything with its hashes.

    Raises:
        CorruptRecord: damaged or incomplete.
    """
    values, geometry = image_record(layout, digest)
    relative = f"{image_path(digest)}/{names.IMAGE_VOXELS}"
    data = layout.read(relative)
    if sha256(data) != values["files"][names.IMAGE_VOXELS]:
        raise CorruptRecord(f"{relative} is damaged: its bytes do not fit their hash.")
    voxels = decode_chunked(data, relative, geometry.shape_kji)
    if image_hash(voxels, geometry) != digest:
        raise CorruptRecord(f"{relative} is damaged: its voxels do not fit their hash.")
    return Image(voxels, geometry)


def read_patch(layout: Layout, digest: str, bounds: BoundsKji) -> Voxels:
    """The voxels of an image in a box, see `read_chunks`."""
    _, geometry = image_record(layout, digest)
    path = layout.path(f"{image_path(digest)}/{names.IMAGE_VOXELS}")
    if not path.is_file():
        raise CorruptRecord(f"The voxels of image {digest} are missing from the campaign.")
    return read_chunks(path, bounds, geometry)
