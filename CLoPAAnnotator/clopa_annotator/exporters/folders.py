"""Folders of volumes: Slicer's segmentations, NIfTI, nnU-Net's raw layout, the Decathlon's layout."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from clopa_annotator.exporters.export_report import Exporting, write_json, write_volume
from clopa_annotator.types import CaseRef


def export_segnrrd(exporting: Exporting) -> None:
    """``<case>.nrrd`` and ``<case>.seg.nrrd``, side by side: drop both into Slicer."""

    def write(ref: CaseRef, name: str) -> list[Path]:
        image = exporting.store.read_image(ref.image_hash)
        exporting.store.read_mask(ref)  # compares it with its hash
        volume = write_volume(exporting.out / f"{name}.nrrd", image.voxels, image.geometry)
        mask = exporting.out / f"{name}.seg.nrrd"
        shutil.copyfile(exporting.store.mask_path(ref), mask)
        return [volume, mask]

    exporting.each(write)


def _write_pairs(exporting: Exporting, images: Path, masks: Path, channel: str = "") -> list[str]:
    """Every case as compressed NIfTI; returns the names."""
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    names: list[str] = []

    def write(ref: CaseRef, name: str) -> list[Path]:
        image = exporting.store.read_image(ref.image_hash)
        mask = exporting.store.read_mask(ref)
        written = [
            write_volume(images / f"{name}{channel}.nii.gz", image.voxels, image.geometry),
            write_volume(masks / f"{name}.nii.gz", mask, image.geometry),
        ]
        names.append(name)
        return written

    exporting.each(write)
    return names


def export_nifti(exporting: Exporting) -> None:
    """``images/<case>.nii.gz`` and ``masks/<case>.nii.gz``."""
    _write_pairs(exporting, exporting.out / "images", exporting.out / "masks")


def export_nnunet(exporting: Exporting) -> None:
    """nnU-Net v2's raw layout: move ``Dataset001_<name>`` into ``nnUNet_raw``.

    See documentation/dataset_format.md of nnU-Net v2. The channel is called "image": nnU-Net normalises a
    channel that is called "CT" in a special way, and whether it is one is not known here.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "", exporting.store.manifest.name) or "Campaign"
    folder = exporting.out / f"Dataset001_{name}"
    names = _write_pairs(exporting, folder / "imagesTr", folder / "labelsTr", "_0000")
    content = {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, exporting.store.manifest.label: 1},
        "numTraining": len(names),
        "file_ending": ".nii.gz",
        "name": exporting.store.manifest.name,
    }
    write_json(folder / "dataset.json", content)


def export_msd(exporting: Exporting) -> None:
    """The Medical Segmentation Decathlon's layout, which ``clopa simulate --dataset`` reads."""
    names = _write_pairs(exporting, exporting.out / "imagesTr", exporting.out / "labelsTr")
    training = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    content = {
        "name": exporting.store.manifest.name,
        "description": "Confirmed cases of a CLoPA Annotator campaign",
        "tensorImageSize": "3D",
        "modality": {"0": "image"},
        "labels": {"0": "background", "1": exporting.store.manifest.label},
        "numTraining": len(names),
        "numTest": 0,
        "training": training,
        "test": [],
    }
    write_json(exporting.out / "dataset.json", content)
