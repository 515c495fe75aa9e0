"""Labels as other programs write them, small: NIfTI, NRRD, seg.nrrd, DICOM SEG, dataset folders."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from cache_helpers import SHAPE, a_mask, an_image
from pydicom.sr.codedict import codes

from clopa_annotator.datasets.volumes import write_volume
from clopa_annotator.geometry import Geometry

GRID = an_image().geometry


def write_label(path: Path, voxels: np.ndarray, geometry: Geometry = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, voxels, geometry)
    return path


def two_values(seed: int = 0) -> np.ndarray:
    """1 and 2 in places that do not meet; 2 is `a_mask` without its first slice."""
    voxels = 2 * a_mask(seed)
    voxels[0] = a_mask(seed + 50)[0]
    return voxels


def write_seg_nrrd(path: Path, layers: list[np.ndarray], segments: list[tuple[str, int, int]]) -> Path:
    """A segmentation with (name, layer, value) segments; more than one layer may overlap."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = layers[0] if len(layers) == 1 else np.stack(layers, axis=-1)
    volume = sitk.GetImageFromArray(np.ascontiguousarray(voxels), isVector=len(layers) > 1)
    volume.SetSpacing(GRID.spacing_ijk_mm)
    volume.SetOrigin(GRID.origin_lps_mm)
    volume.SetDirection(GRID.direction)
    for number, (name, layer, value) in enumerate(segments):
        for key, entry in (("ID", f"S{number}"), ("Name", name), ("Layer", layer), ("LabelValue", value)):
            volume.SetMetaData(f"Segment{number}_{key}", str(entry))
    sitk.WriteImage(volume, str(path), useCompression=True)
    return path


def write_dicom_seg(
    path: Path, series: Path, masks: list[np.ndarray], names: list[str], kind: str = "BINARY"
) -> Path:
    """A segmentation object of the series in a folder, as highdicom writes it."""
    instances = [pydicom.dcmread(p) for p in series.glob("*.dcm")]
    instances.sort(key=lambda instance: instance.InstanceNumber)
    descriptions = [
        hd.seg.SegmentDescription(
            number, name, codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number, name in enumerate(names, 1)
    ]
    if kind == "LABELMAP":
        pixels = sum(number * mask for number, mask in enumerate(masks, 1)).astype(np.uint8)
    else:
        pixels = np.stack(masks, axis=-1).astype(float if kind == "FRACTIONAL" else bool)
    segmentation = hd.seg.Segmentation(
        instances, pixels, hd.seg.SegmentationTypeValues[kind], descriptions,
        hd.UID(), 9, hd.UID(), 1, "maker", "model", "1", "0",
        content_creator_name="Reader^Radi",
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def write_dataset(folder: Path, description: dict[str, object], channel: str = "", cases: int = 2) -> Path:
    """``imagesTr`` and ``labelsTr``; one image more than labels."""
    for number in range(cases + 1):
        image = an_image(number)
        write_label(folder / "imagesTr" / f"case_{number}{channel}.nii.gz", image.voxels, image.geometry)
    for number in range(cases):
        write_label(folder / "labelsTr" / f"case_{number}.nii.gz", two_values(number))
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def write_datastore(folder: Path) -> Path:
    """MONAI Label's folder: two images, one submitted, both with a first label of a model."""
    for number in range(2):
        image = an_image(number)
        write_label(folder / f"case_{number}.nii.gz", image.voxels, image.geometry)
        write_label(folder / "labels" / "original" / f"case_{number}.nii.gz", a_mask(number + 10))
    write_label(folder / "labels" / "final" / "case_0.nii.gz", a_mask(0))
    labels = {"final": {"ext": ".nii.gz", "info": {"client_id": "radiologist", "ts": 1}}}
    store = {
        "name": "store", "description": "", "images_dir": ".", "labels_dir": "labels",
        "objects": {"case_0": {"image": {"ext": ".nii.gz", "info": {}}, "labels": labels}},
    }  # fmt: skip
    (folder / "datastore_v2.json").write_text(json.dumps(store))
    return folder


def write_structures(folder: Path, seed: int = 0) -> Path:
    """TotalSegmentator's result for one case."""
    for number, name in enumerate(("liver", "spleen", "kidney_left")):
        write_label(folder / f"{name}.nii.gz", a_mask(seed + 10 * number))
    return folder


__all__ = ["GRID", "SHAPE"]
