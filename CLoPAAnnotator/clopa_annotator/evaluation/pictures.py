"""Pictures of proposals: three orthogonal slices per case, kept small on disk for the report.

``pictures/<part>-<number>-v<version>.npz`` (read without pickle) holds for one case three slices through the
centre of the reference, cropped around it, of the image, the reference and one weights version's proposals.
Whole volumes are not kept, so a report of hundreds of cases stays small, and processes that evaluate
different versions never write to one file. `load_all` puts the versions of a case together again.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import DatasetError
from clopa_annotator.evaluation.case_rows import Part
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.orientation import view_across
from clopa_annotator.geometry import BoundsKji, Kji, bounding_box
from clopa_annotator.types import Image, Mask
from clopa_annotator.types.targets import key_of

Pixels = npt.NDArray[np.float32]
Flat = npt.NDArray[np.uint8]
MARGIN_MM = 30.0
"""How much of the surroundings a slice shows on each side of the target."""


@dataclass(frozen=True)
class PictureKey:
    """Which proposal a picture shows: of a weights version, after a number of corrections."""

    version: int
    click: int


@dataclass(frozen=True, eq=False)
class PlanePicture:
    """One slice: rows and columns of the image, the reference and the proposals.

    Attributes:
        axis: 0, 1 or 2 for a slice across k, j or i.
        name: "axial", "coronal" or "sagittal"; arrays are turned the way that view is looked at.
        index: of the slice along that axis.
        spacing_mm: voxel size along rows and columns.
        image: intensities from 0 to 1, between the case's 1st and 99th percentile.
        reference: 0 or 1.
        proposals: 0 or 1, by version and click.
    """

    axis: int
    name: str
    index: int
    spacing_mm: tuple[float, float]
    image: Pixels
    reference: Flat
    proposals: Mapping[PictureKey, Flat]


@dataclass(frozen=True, eq=False)
class CasePicture:
    """The slices of one case, with the Dice of each proposal shown; of which target, if there are several."""

    case_id: str
    planes: tuple[PlanePicture, ...]
    dice: Mapping[PictureKey, float]
    part: Part = "test"
    target: str = ""


def make_picture(
    case_id: str,
    image: Image,
    reference: Mask,
    proposals: Mapping[PictureKey, Mask],
    dice: Mapping[PictureKey, float],
    part: Part = "test",
) -> CasePicture:
    """Cut the three slices through the reference's centre out of a case.

    Args:
        case_id: shown above the picture.
        image: the volume.
        reference: (k, j, i) mask; if it is empty, the slices go through the middle of the image.
        proposals: (k, j, i) masks by version and click.
        dice: Dice of each proposal.
        part: "test" or "stream".
    """
    bounds = bounding_box(reference)
    centre = _centre(reference, bounds)
    voxels = np.asarray(image.voxels, dtype=np.float32)
    low, high = (float(v) for v in np.percentile(voxels, (1, 99)))
    planes = []
    for axis in range(3):
        window = _window(image, bounds, centre, axis)
        row, column = (a for a in range(3) if a != axis)
        spacing, view = image.geometry.spacing_kji_mm, view_across(image.geometry, axis)
        pixels = np.clip((voxels[window] - low) / max(high - low, 1e-6), 0, 1)
        planes.append(
            PlanePicture(
                axis=axis,
                name=view.name,
                index=centre[axis],
                spacing_mm=view.spacing(spacing[row], spacing[column]),
                image=view.apply(pixels),
                reference=view.apply(_flat(reference[window])),
                proposals={key: view.apply(_flat(mask[window])) for key, mask in proposals.items()},
            )
        )
    return CasePicture(case_id, tuple(planes), dict(dice), part)


def save(out: Path, picture: CasePicture, number: int) -> Path:
    """Write one case's picture below ``out/pictures`` and return its path.

    Args:
        out: the run's folder.
        picture: see `make_picture`.
        number: of the case within its part; names the file, as case ids may not be file names.
    """
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    keys = list(picture.dice)
    for n, plane in enumerate(picture.planes):
        arrays[f"image_{n}"] = np.rint(plane.image * 255).astype(np.uint8)
        arrays[f"reference_{n}"] = plane.reference
        for m, key in enumerate(keys):
            arrays[f"proposal_{n}_{m}"] = plane.proposals[key]
    header = {
        "case": picture.case_id,
        "part": picture.part,
        "target": picture.target,
        "planes": [
            {"axis": p.axis, "name": p.name, "index": p.index, "spacing_mm": p.spacing_mm}
            for p in picture.planes
        ],
        "proposals": [{"version": k.version, "click": k.click, "dice": picture.dice[k]} for k in keys],
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    version = min((key.version for key in keys), default=0)
    path = out / file_name(picture.part, number, version, picture.target)
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    return path


def file_name(part: Part, number: int, version: int, target: str = "") -> str:
    """Where a case's picture with one version's proposals lies, relative to the run's folder.

    Args:
        part: "test" or "stream".
        number: of the case within its part.
        version: of the weights.
        target: name of the target; the file's name tells two apart whose names differ in signs alone.
    """
    digest = hashlib.sha256(target.encode()).hexdigest()[:6]
    of_target = f"{key_of(target)}-{digest}-" if target else ""
    return f"pictures/{of_target}{part}-{number:04d}-v{version:03d}.npz"


def load(path: Path) -> CasePicture:
    """Read what `save` wrote.

    Raises:
        DatasetError: the file is damaged or is not such a picture.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            keys = [PictureKey(p["version"], p["click"]) for p in header["proposals"]]
            planes = tuple(
                PlanePicture(
                    axis=plane["axis"],
                    name=plane["name"],
                    index=plane["index"],
                    spacing_mm=(float(plane["spacing_mm"][0]), float(plane["spacing_mm"][1])),
                    image=stored[f"image_{n}"].astype(np.float32) / 255,
                    reference=stored[f"reference_{n}"],
                    proposals={key: stored[f"proposal_{n}_{m}"] for m, key in enumerate(keys)},
                )
                for n, plane in enumerate(header["planes"])
            )
            scores = {key: float(p["dice"]) for key, p in zip(keys, header["proposals"], strict=True)}
            return CasePicture(header["case"], planes, scores, header["part"], header.get("target", ""))
    except Exception as error:  # zip, zlib, JSON and key errors all mean one thing here
        raise DatasetError(
            f"{path} is not a picture of a case ({error}); run the evaluation again."
        ) from error


def record(
    out: Path, curve: CaseCurve, image: Image, reference: Mask, *, number: int, part: Part = "test"
) -> Path | None:
    """Keep pictures of the proposals that a curve kept; None if it kept none.

    Args:
        out: the run's folder.
        curve: of one case, from `protocol.run_case`.
        image: the case's volume.
        reference: (k, j, i) mask.
        number: of the case within its part, the same for every weights version.
        part: "test" or "stream".
    """
    proposals = {PictureKey(curve.version, click): mask for click, mask in curve.proposals.items()}
    if not proposals:
        return None
    dice = {key: curve.dice[key.click] for key in proposals}
    picture = make_picture(curve.case_id, image, reference, proposals, dice, part)
    return save(out, replace(picture, target=curve.target), number)


def load_all(out: Path) -> tuple[CasePicture, ...]:
    """Every case's picture with all its versions, in the order of their numbers; none if none were kept."""
    groups: dict[str, list[CasePicture]] = defaultdict(list)
    for path in sorted((out / "pictures").glob("*-v*.npz")):
        groups[path.name.rsplit("-v", 1)[0]].append(load(path))
    return tuple(_merge(group) for group in groups.values())


def _merge(group: list[CasePicture]) -> CasePicture:
    """One picture of a case from those of its versions; image and reference are the same in all."""
    planes = tuple(
        replace(same[0], proposals={key: flat for plane in same for key, flat in plane.proposals.items()})
        for same in zip(*(picture.planes for picture in group), strict=True)
    )
    return replace(group[0], planes=planes, dice={k: v for picture in group for k, v in picture.dice.items()})


def _flat(part: npt.NDArray[np.generic]) -> Flat:
    flags: Flat = (part != 0).astype(np.uint8)
    return flags


def _centre(reference: Mask, bounds: BoundsKji | None) -> Kji:
    """Per axis the slice that halves the reference's volume; the image's middle if it is empty."""
    if bounds is None:
        k, j, i = (n // 2 for n in reference.shape)
        return (k, j, i)
    flags = reference != 0
    areas = [np.count_nonzero(flags, axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    k, j, i = (int(np.searchsorted(np.cumsum(a), a.sum() / 2)) for a in areas)
    return (k, j, i)


def _window(
    image: Image, bounds: BoundsKji | None, centre: Kji, axis: int
) -> tuple[int | slice, int | slice, int | slice]:
    shape, spacing = image.geometry.shape_kji, image.geometry.spacing_kji_mm
    parts: list[int | slice] = []
    for a in range(3):
        low, high = bounds[a] if bounds is not None else (0, shape[a])
        margin = max(2, round(MARGIN_MM / spacing[a]))
        parts.append(centre[a] if a == axis else slice(max(low - margin, 0), min(high + margin, shape[a])))
    return (parts[0], parts[1], parts[2])
