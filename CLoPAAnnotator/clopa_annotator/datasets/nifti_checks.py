"""What ITK reads from a NIfTI file without a word although it is not there: found before a voxel is used.

ITK fills what is missing from a cut file with zeros, takes 1 mm for a voxel size of 0 or NaN, and says of
sheared axes only that it has found no orthonormal definition. Slicer reads through ITK as well. So every
reader of this package asks here first. Standard library only: Slicer's side uses it too.

Source of the layout: the NIfTI-1.1 header as published by the Data Format Working Group (nifti1.h).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.errors import ImageError

SUFFIXES = (".nii", ".nii.gz")
HEADER_BYTES, NIFTI2_HEADER_BYTES = 348, 540
GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
SHEAR = 1e-4
"""Cosine between two axes that should be at right angles; ITK refuses about this much."""
SCALE = 0.01
"""Relative difference between two statements of one voxel size above which they contradict each other."""
_BITS = {1: 1, 2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64,
         1280: 64, 1536: 128, 1792: 128, 2048: 256, 2304: 32}  # fmt: skip
_UNREAL = {32: "complex numbers", 1792: "complex numbers", 2048: "complex numbers",
           128: "colours", 2304: "colours"}  # fmt: skip


@dataclass(frozen=True)
class NiftiHeader:
    """The fields that decide whether a file can be read as what it says it is.

    Attributes:
        sizes: number of elements along each axis, i first.
        pixdim_mm: voxel size along i, j and k.
        datatype: NIfTI's code.
        offset: byte in the unpacked file at which the voxels start.
        qform_code, sform_code: whether the two descriptions of the position count.
        sform: rows of the 3x4 matrix from (i, j, k) to RAS millimetres.
    """

    sizes: tuple[int, ...]
    pixdim_mm: tuple[float, float, float]
    datatype: int
    offset: int
    qform_code: int
    sform_code: int
    sform: tuple[tuple[float, ...], ...]

    @property
    def needed_bytes(self) -> int:
        """Length of the unpacked file."""
        return self.offset + (math.prod(self.sizes) * _BITS.get(self.datatype, 0) + 7) // 8


def is_nifti(path: Path) -> bool:
    """Whether a file is called as a NIfTI file."""
    return path.name.lower().endswith(SUFFIXES)


def check_nifti(path: Path) -> None:
    """Refuse what ITK would read as something that the file does not hold; other formats pass.

    Reads the whole file: the end of a gzip stream, with its checksum, is known only at its end.

    Raises:
        ImageError: cut, damaged, a voxel size of 0 or NaN or one that contradicts the position, sheared axes,
            NIfTI-2, 4D, vectors, colours or complex numbers; the sentence has the file's name and what to do.
    """
    if not is_nifti(path):
        return
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
        if packed and path.name.lower().endswith(".nii"):
            raise ImageError(f"{path.name} is packed with gzip; rename it to {path.name}.gz.")
        header, length = _scan(path, packed)
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    _check_kind(path, header)
    if length < header.needed_bytes:
        raise ImageError(
            f"{path.name} is cut: it holds {length:,} of {header.needed_bytes:,} bytes. Get the file again."
        )
    _check_position(path, header)


def _scan(path: Path, packed: bool) -> tuple[NiftiHeader, int]:
    """The header, and the unpacked length."""
    if not packed:
        with path.open("rb") as file:
            return _parse(path, file.read(NIFTI2_HEADER_BYTES)), path.stat().st_size
    start, length = b"", 0
    for part in _unpacked(path):
        if len(start) < NIFTI2_HEADER_BYTES:
            start += part
        length += len(part)
    return _parse(path, start), length


def _unpacked(path: Path) -> Iterator[bytes]:
    """The parts of a gzip file, which may have several members, to its end mark."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            while part:
                try:
                    yield unpacking.decompress(part)
                except zlib.error as error:
                    raise ImageError(
                        f"{path.name} is damaged: its packed voxels cannot be unpacked. Get the file again."
                    ) from error
                part = unpacking.unused_data
                if unpacking.eof:
                    if not part.startswith(GZIP_MAGIC):
                        break  # padding after the last member, which gzip ignores too
                    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    if not unpacking.eof:
        raise ImageError(f"{path.name} is cut: its packed data ends too early. Get the file again.")


def _parse(path: Path, start: bytes) -> NiftiHeader:
    if len(start) < HEADER_BYTES:
        raise ImageError(f"{path.name} is cut: it ends within its header. Get the file again.")
    sizes = {order: struct.unpack_from(f"{order}i", start)[0] for order in "<>"}
    if NIFTI2_HEADER_BYTES in sizes.values():
        raise ImageError(f"{path.name} is a NIfTI-2 file, which is not read here; save it as NIfTI-1.")
    order = next((o for o, size in sizes.items() if size == HEADER_BYTES), "")
    if not order:
        raise ImageError(f"{path.name} is not a NIfTI file, whatever its name says. Choose another file.")
    dim = struct.unpack_from(f"{order}8h", start, 40)
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]):
        raise ImageError(f"{path.name} has a damaged header: its sizes are {dim[1:]}. Get the file again.")
    pixdim = struct.unpack_from(f"{order}8f", start, 76)
    qform_code, sform_code = struct.unpack_from(f"{order}2h", start, 252)
    rows = struct.unpack_from(f"{order}12f", start, 280)
    (offset,) = struct.unpack_from(f"{order}f", start, 108)
    return NiftiHeader(
        sizes=dim[1 : dim[0] + 1],
        pixdim_mm=(pixdim[1], pixdim[2], pixdim[3]),
        datatype=struct.unpack_from(f"{order}h", start, 70)[0],
        offset=int(offset) if math.isfinite(offset) else HEADER_BYTES,
        qform_code=qform_code,
        sform_code=sform_code,
        sform=(rows[:4], rows[4:8], rows[8:]),
    )


def _check_kind(path: Path, header: NiftiHeader) -> None:
    if header.datatype in _UNREAL:
        raise ImageError(
            f"{path.name} holds {_UNREAL[header.datatype]}; only one real number per voxel can be annotated. "
            "Export one channel, or the magnitude."
        )
    if any(n > 1 for n in header.sizes[3:]):
        raise ImageError(
            f"{path.name} has {len(header.sizes)} axes ({' x '.join(map(str, header.sizes))}), for times or "
            "components; only scalar 3D volumes can be annotated. Split it into its parts first."
        )
    if header.datatype not in _BITS:
        raise ImageError(
            f"{path.name} has voxels of an unknown type ({header.datatype}). Get the file again."
        )


def _check_position(path: Path, header: NiftiHeader) -> None:
    axes = min(3, len(header.sizes))
    sizes_mm = header.pixdim_mm[:axes]
    if any(not math.isfinite(size) or size == 0 for size in sizes_mm):
        shown = " x ".join(f"{size:g}" for size in sizes_mm)
        raise ImageError(
            f"{path.name} says that its voxels are {shown} mm. Correct the voxel size (pixdim) in its header."
        )
    # With a valid qform the readers have a rigid position to fall back on, and they do.
    if header.sform_code <= 0 or header.qform_code > 0 or axes < 3:
        return
    columns = list(zip(*(row[:3] for row in header.sform), strict=True))
    lengths = [math.hypot(*column) for column in columns]
    if any(not math.isfinite(n) or n == 0 for n in lengths):
        raise ImageError(f"{path.name} has a damaged position (its sform). Correct it, or export it anew.")
    for (a, x), (b, y) in (
        (first, second)
        for n, first in enumerate(zip(columns, lengths, strict=True))
        for second in list(zip(columns, lengths, strict=True))[n + 1 :]
    ):
        cosine = sum(p * q for p, q in zip(a, b, strict=True)) / (x * y)
        if abs(cosine) > SHEAR:
            raise ImageError(
                f"{path.name} has sheared axes ({math.degrees(math.acos(cosine)):.2f} degrees between two of "
                "them), which NIfTI readers built on ITK, Slicer too, do not take. Resample it onto a "
                "rectangular grid, or save it as NRRD."
            )
    if any(abs(n - abs(p)) > SCALE * n for n, p in zip(lengths, sizes_mm, strict=True)):
        said, meant = (" x ".join(f"{abs(v):.4g}" for v in values) for values in (sizes_mm, lengths))
        raise ImageError(
            f"{path.name} contradicts itself: its voxels are {said} mm by pixdim and {meant} mm by its "
            "sform. Correct the one that is wrong."
        )
