"""What importing labels costs, against copying their bytes.

    python benchmarks/import_labels.py [--labels 1000] [--size 64] [--as confirmed|suggestion] [--folder DIR]

Labels are compressed NIfTI files with a lumpy organ. "Copied" is `shutil.copyfile` for each, "copied and
flushed" the same with `fsync`, as anything that is to survive a power cut needs. Imported is everything:
finding, hashing, reading, matching, comparing the grid, and for confirmed masks both mask files, record,
flushes, renames, reading back, index. The second run finds that all is there already.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import bench
import numpy as np

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore
from clopa_annotator.datasets.volumes import write_volume
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.import_run import run_import
from clopa_annotator.importers.receiver import StoreReceiver
from clopa_annotator.types import Image
from clopa_annotator.types.imports import ImportOrder


def a_label(size: int, seed: int) -> np.ndarray:
    """A lumpy organ whose place depends on the seed; (k, j, i), uint8."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32),) * 3, indexing="ij")
    shift = np.random.default_rng(seed).uniform(-0.3, 0.3, 3)
    radius = np.sqrt(sum((a - s) ** 2 for a, s in zip(axes, shift, strict=True)))
    return (radius + 0.05 * np.sin(12 * axes[0] + seed) < 0.4).astype(np.uint8)


def prepare(folder: Path, labels: int, size: int) -> list[Path]:
    """Write the labels, and a campaign whose cases share one image."""
    geometry = Geometry((size, size, size))
    voxels = np.random.default_rng(0).integers(0, 1000, geometry.shape_kji).astype(np.int16)
    (folder / "labels").mkdir(parents=True)
    files = []
    with CampaignStore.create(folder / "campaign", CampaignManifest("benchmark", labels)) as store:
        for number in range(labels):
            store.add_case(f"case {number:05d}", Image(voxels, geometry))
            files.append(folder / "labels" / f"case {number:05d}.nii.gz")
            write_volume(files[-1], a_label(size, number), geometry)
    return files


def copy(files: list[Path], target: Path, flushed: bool) -> None:
    """Copy files, one after the other."""
    target.mkdir()
    for file in files:
        shutil.copyfile(file, target / file.name)
        if flushed:
            with (target / file.name).open("rb+") as written:
                os.fsync(written.fileno())


def measure(given: bench.Options, folder: Path) -> bench.Figures:
    """All in one run, on one disk."""
    labels, size, confirmed = given.labels, given.size, given.kind == "confirmed"
    files = prepare(folder, labels, size)
    order = ImportOrder(folder / "labels", confirmed)
    with CampaignStore.open(folder / "campaign", writer=True) as store:
        receiver = StoreReceiver(store, "benchmark")
        row: bench.Figures = {
            "labels": labels,
            "size": size,
            "confirmed": confirmed,
            "megabytes": sum(file.stat().st_size for file in files) / 1e6,
            "copied_s": bench.timed(lambda: copy(files, folder / "copy", flushed=False)),
            "copied_flushed_s": bench.timed(lambda: copy(files, folder / "flushed", flushed=True)),
            "before": time.process_time(),
            "imported_s": bench.timed(lambda: run_import(order, receiver)),
            "imported_cpu_s": time.process_time(),
            "second_run_s": bench.timed(lambda: run_import(order, receiver)),
        }
        row["imported_cpu_s"] -= row.pop("before")
        assert len(store.confirmed()) == (labels if confirmed else 0)
    return row


KIND = {"dest": "kind", "choices": ("confirmed", "suggestion"), "default": "confirmed"}
if __name__ == "__main__":
    disk = (Path, "on the disk to be measured")
    bench.main(__doc__, measure, {"--labels": 1000, "--size": 64, "--as": KIND, "--folder": disk})
