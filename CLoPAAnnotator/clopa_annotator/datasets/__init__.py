"""Where cases come from: dataset folders, DICOM series, generated tasks.

A dataset is a list of `LabelledCase`: names and places first, voxels only when one is read.
"""

from __future__ import annotations

from clopa_annotator.datasets.generated import TASKS, is_generated, open_dataset, write_generated
from clopa_annotator.datasets.msd import LabelledCase, MsdDataset, write_msd_dataset
from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom, phantom_files, write_phantom_dataset
from clopa_annotator.datasets.volumes import read_image, read_mask

__all__ = [
    "TASKS",
    "LabelledCase",
    "MsdDataset",
    "PhantomSpec",
    "is_generated",
    "make_phantom",
    "open_dataset",
    "phantom_files",
    "read_image",
    "read_mask",
    "write_generated",
    "write_msd_dataset",
    "write_phantom_dataset",
]
