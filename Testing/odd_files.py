"""The table of odd files: each generated small, with the voxels and the place it must give, or its sentence.

One table for every reader: the command line, the engine, the panel, labels and their import. The documents'
list (``docs/formats/odd-files.md``) is held to it by a test.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SHAPE = (6, 10, 12)
SPACING_IJK = (0.7, 0.8, 2.5)
ORIGIN_LPS = (-50.0, -40.0, 30.0)


def base(dtype: str = "i2") -> Array:
    """(k, j, i) values that name their place and fit any type; no two slices are alike."""
    k, j, i = np.indices(SHAPE)
    return np.asarray(10 * k + 3 * j + i, dtype)


def placed(matrix_lps: Array | None = None) -> Array:
    """4x4 from (i, j, k, 1) to LPS."""
    whole = np.eye(4)
    whole[:3, :3] = np.diag(SPACING_IJK) if matrix_lps is None else matrix_lps
    whole[:3, 3] = ORIGIN_LPS
    return whole


def to_ras(lps: Array) -> Array:
    return np.diag([-1.0, -1, 1, 1]) @ lps


def nifti(
    path: Path, voxels: Array, lps: Array | None = None, change: Callable[[Any], object] | None = None
) -> None:
    image = nibabel.Nifti1Image(voxels.transpose(*range(voxels.ndim)[::-1]) if voxels.ndim == 3 else voxels,
                                to_ras(placed() if lps is None else lps), dtype=voxels.dtype)  # fmt: skip
    if change is not None:
        change(image)
    nibabel.save(image, path)


def nrrd_file(path: Path, voxels: Array, lps: Array | None = None, **header: Any) -> None:
    lps = placed() if lps is None else lps
    fields = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
    }
    nrrd.write(str(path), voxels.transpose(2, 1, 0), {**fields, **header})


def metaimage(path: Path, voxels: Array, spacing: str = "0.7 0.8 2.5", raw: bytes | None = None) -> None:
    k, j, i = voxels.shape
    header = (
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = -50 -40 30\n"
        f"ElementSpacing = {spacing}\nDimSize = {i} {j} {k}\nElementType = MET_SHORT\nElementDataFile = "
    )
    data = voxels.astype("<i2").tobytes()
    if path.suffix == ".mha":
        path.write_bytes(header.encode() + b"LOCAL\n" + data)
        return
    path.write_bytes(header.encode() + b"voxels.raw\n")
    if raw != b"":
        (path.parent / "voxels.raw").write_bytes(data if raw is None else raw)


def shorten(path: Path, part: float = 0.6) -> None:
    """What is left of a file when a copy breaks off."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


@dataclass(frozen=True)
class OddFile:
    """One row.

    Attributes:
        about: what is odd, for people.
        name: of the file.
        write: makes it.
        voxels: what a reader must give, (k, j, i); None if it must refuse.
        lps: where they must lie.
        sentence: regular expression that the refusal contains.
        panel: the same for the panel, where its words are others.
        is_voxels: the fault is in the voxels, which an engine is sent, not in the file.
        as_label: whether a label file with this fault is refused with the same sentence.
    """

    about: str
    name: str
    write: Callable[[Path], object]
    voxels: Array | None = None
    lps: Array = field(default_factory=placed)
    sentence: str = ""
    panel: str = ""
    is_voxels: bool = False
    as_label: bool = False


def kept(odd: OddFile) -> tuple[Array, Array]:
    """Voxels and place as a campaign keeps them: right-handed, as Slicer reads every file."""
    assert odd.voxels is not None
    if np.linalg.det(odd.lps[:3, :3]) > 0:
        return odd.voxels, odd.lps
    turned = odd.lps.copy()
    turned[:3, 3] = (odd.lps @ [0, 0, len(odd.voxels) - 1, 1])[:3]
    turned[:3, 2] *= -1
    return odd.voxels[::-1], turned


def right(
    about: str, name: str, write: Callable[[Path], object], voxels: Array | None = None, **kw: Any
) -> OddFile:
    return OddFile(about, name, write, base() if voxels is None else voxels, **kw)


def wrong(about: str, name: str, write: Callable[[Path], object], sentence: str, **kw: Any) -> OddFile:
    return OddFile(about, name, write, sentence=sentence, **kw)


def _typed(dtype: str) -> OddFile:
    return right(f"voxels of type {np.dtype(dtype).name}", f"{np.dtype(dtype).name}.nii.gz",
                 lambda p: nifti(p, base(dtype)), base(dtype))  # fmt: skip


def _scaled(path: Path) -> None:
    nifti(path, base(), change=lambda image: image.header.set_slope_inter(2.5, -10))
    # nibabel writes raw values divided by the slope; the file shall hold the raw ones.
    content = bytearray(path.read_bytes())
    content[352:] = base("<i2").tobytes()
    path.write_bytes(content)


def _big_endian(path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.save(nibabel.Nifti1Image(base(">i2").T, to_ras(placed()), header), path)


def _members(path: Path) -> None:
    nifti(path.with_suffix(""), base())
    plain = path.with_suffix("").read_bytes()
    path.with_suffix("").unlink()
    path.write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))


def _not_packed(path: Path) -> None:
    nifti(path.with_suffix(""), base())
    path.with_suffix("").rename(path)


def _packed_as_nii(path: Path) -> None:
    nifti(path, base())
    path.write_bytes(gzip.compress(path.read_bytes()))


def _cut(write: Callable[[Path, Array], object], part: float = 0.6) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write(path, np.random.default_rng(0).integers(0, 900, SHAPE).astype("i2"))
        shorten(path, part)

    return make


def _flipped(path: Path) -> None:
    nifti(path, np.random.default_rng(0).integers(0, 900, SHAPE).astype("i2"))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)


def _pixdim(*sizes: float) -> Callable[[Path], None]:
    """pixdim changed, and the qform, which is made of it, left out of account."""

    def make(path: Path) -> None:
        nifti(path, base(), change=lambda image: image.set_qform(None, 0))
        content = bytearray(path.read_bytes())
        content[80:92] = struct.pack("<3f", *sizes)
        path.write_bytes(content)

    return make


def _sheared(path: Path) -> None:
    nifti(path, base(), SHEARED, change=lambda image: image.set_qform(None, 0))


def _fill(change: Callable[[Array], Array], dtype: str = "f4") -> Callable[[Path], None]:
    return lambda path: nrrd_file(path, change(base(dtype)))


def _with(value: float) -> Callable[[Array], Array]:
    def change(voxels: Array) -> Array:
        voxels[2, 3, 4] = value
        return voxels

    return change


def _box(voxels: Array) -> Array:
    voxels[:] = 0
    voxels[1:4, 2:7, 3:8] = 5
    return voxels


def _pixels(path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, dtype), to_ras(placed()), dtype=dtype), path)


def _nifti2(path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(base().T, to_ras(placed())), path)


def _nrrd_without_space(path: Path) -> None:
    nrrd_file(path, base())
    text = (
        path.read_bytes().replace(b"(0,0.80000000000000004,0)", b"(0,0,0)").replace(b"(0,0.8,0)", b"(0,0,0)")
    )
    path.write_bytes(text)


ANGLE = np.radians(25)
TURNED = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])
OBLIQUE = placed(TURNED @ np.diag(SPACING_IJK))
SHEARED = placed(np.array([[0.7, 0.1, 0], [0, 0.8, 0.6], [0, 0, 2.5]]))
LEFT = placed(np.diag([-0.7, 0.8, 2.5]))
THICK = placed(np.diag([0.2, 0.2, 6.0]))
THIN = base()[:2]
LONG = "a" * 240 + ".nrrd"
COLOUR = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
CUT, UNREAD = "is cut", "cannot be read"
LABEL: dict[str, Any] = {"as_label": True}
VOXELS: dict[str, Any] = {"is_voxels": True}
SIZE = "0.7 x 0 x 2.5 mm"
SLICER: dict[str, Any] = {"panel": UNREAD}
NUMBERS: dict[str, Any] = {"panel": "not numbers", **VOXELS}
FLAT: dict[str, Any] = {"panel": "same everywhere", **VOXELS}

TABLE: tuple[OddFile, ...] = (
    *(_typed(dtype) for dtype in TYPES),
    right("big-endian NIfTI", "big.nii.gz", _big_endian),
    right("big-endian NRRD", "big.nrrd", lambda p: nrrd_file(p, base(">i2"), endian="big")),
    right("scl_slope and scl_inter", "scaled.nii", _scaled, base("f4") * 2.5 - 10),
    right("gzip in several members", "members.nii.gz", _members),
    right("called .nii.gz and not packed", "plain.nii.gz", _not_packed),
    right("spacing 1:30", "thick.nii.gz", lambda p: nifti(p, base(), THICK), lps=THICK),
    right("oblique", "oblique.nii.gz", lambda p: nifti(p, base(), OBLIQUE), lps=OBLIQUE),
    right("left-handed", "left.nii.gz", lambda p: nifti(p, base(), LEFT), lps=LEFT),
    right("two voxels thin", "thin.nii.gz", lambda p: nifti(p, THIN), THIN),
    right("4D with one time point", "once.nii.gz", lambda p: nifti(p, base().T[..., None])),
    right("name with spaces", "my first case.nii.gz", lambda p: nifti(p, base())),
    right("name in other scripts", "患者 Müller №1.nrrd", lambda p: nrrd_file(p, base())),
    right("name of 245 characters", LONG, lambda p: nrrd_file(p, base())),
    right("name that ends in four digits", "patient_0001.nii.gz", lambda p: nifti(p, base())),
    right("sheared NRRD", "sheared.nrrd", lambda p: nrrd_file(p, base(), SHEARED), lps=SHEARED),
    right("MetaImage with a file of voxels", "parts.mhd", lambda p: metaimage(p, base())),
    right("MetaImage in one file", "whole.mha", lambda p: metaimage(p, base())),
    wrong("packed NIfTI, cut", "cut.nii.gz", _cut(nifti), CUT, **LABEL),
    wrong("NIfTI, cut", "cut.nii", _cut(nifti), r"is cut: it holds [\d,]+ of 1,792 bytes", **LABEL),
    wrong("NIfTI, cut in its header", "head.nii", _cut(nifti, 0.1), "ends within its header", **LABEL),
    wrong("packed NIfTI with a flipped byte", "flipped.nii.gz", _flipped, "is damaged", **LABEL),
    wrong("NRRD, cut", "cut.nrrd", _cut(nrrd_file), UNREAD, **LABEL),
    wrong("MetaImage, cut", "cut.mha", _cut(metaimage), UNREAD, **LABEL),
    wrong("MetaImage without its voxels", "lost.mhd", lambda p: metaimage(p, base(), raw=b""), UNREAD),
    wrong("packed, called .nii", "packed.nii", _packed_as_nii, r"rename it to packed.nii.gz", **LABEL),
    wrong("a text called .nii", "text.nii", lambda p: p.write_text("x" * 900), "is not a NIfTI", **LABEL),
    wrong("an empty file", "empty.nii.gz", lambda p: p.write_bytes(b""), CUT, **LABEL),
    wrong("NIfTI-2", "two.nii", _nifti2, "NIfTI-2", **LABEL),
    wrong("sheared NIfTI", "sheared.nii.gz", _sheared, "has sheared axes", **LABEL),
    wrong("voxel size 0", "zero.nii", _pixdim(0.7, 0, 2.5), "0.7 x 0 x 2.5 mm", **LABEL),
    wrong("voxel size NaN", "nan.nii", _pixdim(0.7, 0.8, np.nan), "0.7 x 0.8 x nan mm", **LABEL),
    wrong("voxel sizes that contradict", "two sizes.nii", _pixdim(1, 1, 1), "contradicts itself", **LABEL),
    wrong("NRRD, voxel size 0", "zero.nrrd", _nrrd_without_space, SIZE, **SLICER),
    wrong("MetaImage, voxel size 0", "zero.mha", lambda p: metaimage(p, base(), "0.7 0 2.5"), SIZE, **SLICER),
    wrong("a voxel that is NaN", "nan.nrrd", _fill(_with(np.nan)), "NaN or infinite", **NUMBERS),
    wrong("an infinite voxel", "inf.nrrd", _fill(_with(np.inf)), "NaN or infinite", **NUMBERS),
    wrong("constant", "flat.nrrd", _fill(lambda v: v * 0 + 7), "the same value", **FLAT),
    wrong("all zero", "black.nrrd", _fill(lambda v: v * 0), "the same value", **FLAT),
    wrong("two values, the region solid", "mask.nrrd", _fill(_box), "two values only", **VOXELS),
    wrong("one slice", "slice.nrrd", _fill(lambda v: v[:1]), "single slice", **VOXELS),
    wrong("4D", "times.nii.gz", lambda p: _pixels(p, np.int16, (4, 5, 6, 3)), "4 axes"),
    wrong("vectors", "vectors.nii.gz", lambda p: _pixels(p, np.float32, (4, 5, 6, 1, 3)), "5 axes"),
    wrong("colours", "colours.nii.gz", lambda p: _pixels(p, COLOUR, (4, 5, 6)), "holds colours"),
    wrong("complex numbers", "complex.nii.gz", lambda p: _pixels(p, "c8", (4, 5, 6)), "complex numbers"),
    wrong("a Slicer segmentation", "a.seg.nrrd", _fill(np.abs, "u1"), "is a segmentation"),
)  # fmt: skip
