"""Where cases come from: dataset folders, DICOM series, generated tasks.

A dataset is a list of `LabelledCase`: names and places first, voxels only when one is read. What stands here
is imported when it is asked for: Slicer's side lists files and DICOM series without SciPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clopa_annotator.datasets.generated import TASKS, is_generated, open_dataset, write_generated
    from clopa_annotator.datasets.msd import LabelledCase, MsdDataset, write_msd_dataset
    from clopa_annotator.datasets.phantoms import (
        PhantomSpec,
        make_phantom,
        phantom_files,
        write_phantom_dataset,
    )
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
_WHERE = {
    "generated": ("TASKS", "is_generated", "open_dataset", "write_generated"),
    "msd": ("LabelledCase", "MsdDataset", "write_msd_dataset"),
    "phantoms": ("PhantomSpec", "make_phantom", "phantom_files", "write_phantom_dataset"),
    "volumes": ("read_image", "read_mask"),
}


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
