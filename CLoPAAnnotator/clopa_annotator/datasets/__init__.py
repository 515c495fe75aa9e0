"""Where cases come from: dataset folders, DICOM series, generated phantoms.

A dataset is a list of `LabelledCase`: names and places first, voxels only when one is read.
"""

from __future__ import annotations

from clopa_annotator.datasets.msd import LabelledCase, MsdDataset, write_msd_dataset
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom, write_phantom_dataset
from clopa_annotator.datasets.volumes import read_image, read_mask

__all__ = [
    "LabelledCase",
    "MsdDataset",
    "PhantomSpec",
    "make_phantom",
    "read_image",
    "read_mask",
    "write_msd_dataset",
    "write_phantom_dataset",
]
