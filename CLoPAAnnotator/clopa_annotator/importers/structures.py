"""TotalSegmentator's result: a folder per case with one binary file per structure (``liver.nii.gz``, ...).

Only the structures that are asked for are read.
"""

from __future__ import annotations

from pathlib import Path

from clopa_annotator.datasets.volumes import naming, read_image, whole_numbers
from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.label_files import Content, Found, LabelFile, Segment
from clopa_annotator.importers.label_volumes import file_digest, mask_of, stem, volumes_in
from clopa_annotator.types import Mask

FORMAT = "totalsegmentator"
INNER = "segmentations"
TYPICAL = {"liver", "spleen", "aorta", "heart", "brain", "kidney_left", "kidney_right", "pancreas", "body",
           "urinary_bladder", "lung_upper_lobe_left", "vertebrae_L1", "hip_left", "lung_nodules"}  # fmt: skip
"""A few of its structures, by which a folder is recognised."""
STATISTICS = "statistics.json"
_ENOUGH = 2


def is_case(folder: Path) -> bool:
    """Whether a folder is the result for one case."""
    if (folder / INNER).is_dir():
        return True
    names = {stem(p) for p in volumes_in(folder)}
    return len(names & TYPICAL) >= _ENOUGH or (bool(names) and (folder / STATISTICS).is_file())


def find(path: Path) -> Found:
    """One case's folder, or a folder of such folders."""
    if is_case(path):
        folders = [path]
    else:
        folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [label for folder in folders if (label := _label(folder)) is not None]
    empty = len(folders) - len(found)
    remarks = (f"{empty} of {len(folders)} folders hold no volumes.",) if empty else ()
    return Found(FORMAT, tuple(found), remarks)


def _label(folder: Path) -> LabelFile | None:
    inner = folder / INNER if (folder / INNER).is_dir() else folder
    files = volumes_in(inner)
    if not files:
        return None
    name = folder.parent.name if folder.name == INNER else folder.name

    def digest(wanted: tuple[str, ...]) -> str:
        names = {w.casefold() for w in wanted}
        return file_digest([f for f in files if stem(f).casefold() in names] or files)

    return LabelFile(name, inner, FORMAT, lambda: read_structures(files), digest)


def read_structures(files: list[Path]) -> Content:
    """The structures; each file is read when its mask is asked for, and must lie on the grid of the first."""
    geometry = read_image(files[0]).geometry
    return Content(geometry, tuple(Segment(stem(f), None, lambda f=f: _mask(f, geometry)) for f in files))  # type: ignore[misc]


def _mask(path: Path, geometry: Geometry) -> Mask:
    image = read_image(path)
    if not image.geometry.agrees_with(geometry):
        raise GeometryError(f"{path.name} lies on another voxel grid than the other structures beside it.")
    with naming(path):
        voxels = whole_numbers(image.voxels)
    return mask_of(voxels, {int(v) for v in (voxels.max(),) if v > 0})
