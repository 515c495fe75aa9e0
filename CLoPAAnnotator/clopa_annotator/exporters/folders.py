"""Folders of volumes: Slicer's segmentations, NIfTI, nnU-Net's raw layout, the Decathlon's layout."""

from __future__ import annotations

import re
from pathlib import Path

from clopa_annotator.cache.format.segnrrd import encode_segments, segment_of
from clopa_annotator.errors import ConfigError
from clopa_annotator.exporters.chosen_targets import CaseMasks
from clopa_annotator.exporters.export_report import Exporting, write_json, write_volume


def export_segnrrd(exporting: Exporting) -> None:
    """``<case>.nrrd`` and ``<case>.seg.nrrd``, side by side: drop both into Slicer.

    A segment for each target, and for each of several of a kind; those that share voxels in different layers.
    """
    targets = exporting.store.targets

    def write(case: CaseMasks, name: str) -> list[Path]:
        image = exporting.store.read_image(case.image_hash)
        segments = [
            segment_of(targets.by_key(ref.slot.target), targets.name_of(ref.slot)) for ref in case.refs
        ]
        parts = list(zip(segments, exporting.masks(case), strict=True))
        volume = write_volume(exporting.out / f"{name}.nrrd", image.voxels, image.geometry)
        mask = exporting.out / f"{name}.seg.nrrd"
        mask.write_bytes(encode_segments(parts, image.geometry))
        return [volume, mask]

    exporting.each(write)


def _write_pairs(exporting: Exporting, images: Path, masks: Path, channel: str = "") -> list[str]:
    """Every case as compressed NIfTI; returns the names."""
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    names: list[str] = []

    def write(case: CaseMasks, name: str) -> list[Path]:
        labels = exporting.label_volume(case)
        image = exporting.store.read_image(case.image_hash)
        written = [
            write_volume(images / f"{name}{channel}.nii.gz", image.voxels, image.geometry),
            write_volume(masks / f"{name}.nii.gz", labels, image.geometry),
        ]
        names.append(name)
        return written

    exporting.each(write)
    return names


def _one_value_for_each_target(exporting: Exporting) -> None:
    """Refuse values that differ from case to case where a dataset names them once for all."""
    if exporting.labels.instances:
        raise ConfigError(
            "In a dataset a value stands for a target in every case, so several of a kind cannot have values "
            "of their own. Leave --instances out, or export as nifti, segnrrd or dicomseg."
        )


def export_nifti(exporting: Exporting) -> None:
    """``images/<case>.nii.gz`` and ``masks/<case>.nii.gz``, whose values ``cases.json`` names."""
    _write_pairs(exporting, exporting.out / "images", exporting.out / "masks")


def export_nnunet(exporting: Exporting) -> None:
    """nnU-Net v2's raw layout: move ``Dataset001_<name>`` into ``nnUNet_raw``.

    See documentation/dataset_format.md of nnU-Net v2. The channel is called "image": nnU-Net normalises a
    channel that is called "CT" in a special way, and whether it is one is not known here.
    """
    _one_value_for_each_target(exporting)
    name = re.sub(r"[^A-Za-z0-9]+", "", exporting.store.manifest.name) or "Campaign"
    folder = exporting.out / f"Dataset001_{name}"
    names = _write_pairs(exporting, folder / "imagesTr", folder / "labelsTr", "_0000")
    content = {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, **exporting.labels.names},
        "numTraining": len(names),
        "file_ending": ".nii.gz",
        "name": exporting.store.manifest.name,
    }
    write_json(folder / "dataset.json", content)


def export_msd(exporting: Exporting) -> None:
    """The Medical Segmentation Decathlon's layout, which ``clopa simulate --dataset`` reads."""
    _one_value_for_each_target(exporting)
    names = _write_pairs(exporting, exporting.out / "imagesTr", exporting.out / "labelsTr")
    training = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    content = {
        "name": exporting.store.manifest.name,
        "description": "Confirmed cases of a CLoPA Annotator campaign",
        "tensorImageSize": "3D",
        "modality": {"0": "image"},
        "labels": {"0": "background", **{str(v): n for n, v in exporting.labels.names.items()}},
        "numTraining": len(names),
        "numTest": 0,
        "training": training,
        "test": [],
    }
    write_json(exporting.out / "dataset.json", content)
