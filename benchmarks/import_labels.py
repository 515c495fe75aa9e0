"""What importing labels costs, against copying their bytes.

    python benchmarks/import_labels.py [--labels 1000] [--size 64] [--as confirmed|suggestion] [--folder DIR]

Labels are compressed NIfTI files with a lumpy organ. They are copied and imported in ``--parts`` parts, the
three ways taking turns part by part, so that a moment in which the machine is slow hits all of them.

The reference is "copied and flushed": `shutil.copyfile` and `fsync`, one file after the other, which is what
a copy has to do if it is to survive a power cut as an import does. "Copied" is the same without `fsync`: it
promises nothing. Imported is everything: finding, hashing, reading, matching, comparing the grid, and for
confirmed masks both mask files, record, flushes, renames, reading back, index. ``ratio`` is imported by
copied and flushed. The second run finds that all is there already.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
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


def prepare(folder: Path, labels: int, size: int, parts: int) -> list[list[Path]]:
    """Write the labels, a folder for each part, and a campaign whose cases share one image."""
    geometry = Geometry((size, size, size))
    voxels = np.random.default_rng(0).integers(0, 1000, geometry.shape_kji).astype(np.int16)
    files: list[list[Path]] = [[] for _ in range(parts)]
    for number in range(parts):
        (folder / "labels" / str(number)).mkdir(parents=True)
    with CampaignStore.create(folder / "campaign", CampaignManifest("benchmark", labels)) as store:
        for number in range(labels):
            part = number * parts // labels
            store.add_case(f"case {number:05d}", Image(voxels, geometry))
            files[part].append(folder / "labels" / str(part) / f"case {number:05d}.nii.gz")
            write_volume(files[part][-1], a_label(size, number), geometry)
    return files


def copy(files: list[Path], target: Path, flushed: bool) -> None:
    """Copy files, one after the other."""
    target.mkdir()
    for file in files:
        shutil.copyfile(file, target / file.name)
        if flushed:
            with (target / file.name).open("rb+") as written:
                os.fsync(written.fileno())


def imported(folder: Path, confirmed: bool, receiver: StoreReceiver) -> float:
    """Import a folder; processor seconds that this process needed for it."""
    before = time.process_time()
    report = run_import(ImportOrder(folder, confirmed), receiver)
    assert all(outcome.became != "left out" for outcome in report.outcomes), report.in_words
    return time.process_time() - before


def measure(given: bench.Options, folder: Path) -> bench.Figures:
    """All in one run, on one disk."""
    labels, confirmed = given.labels, given.kind == "confirmed"
    parts = prepare(folder, labels, given.size, given.parts)
    rows: list[dict[str, object]] = []
    with CampaignStore.open(folder / "campaign", writer=True) as store:
        receiver = StoreReceiver(store, "benchmark")
        for number, files in enumerate(parts):
            processor: list[float] = []
            ways: dict[str, Callable[[], object]] = {
                "copied_s": partial(copy, files, folder / f"copy {number}", flushed=False),
                "copied_flushed_s": partial(copy, files, folder / f"flushed {number}", flushed=True),
                "imported_s": lambda of=files[0].parent, to=processor: to.append(
                    imported(of, confirmed, receiver)
                ),
            }
            order = [*list(ways)[number % 3 :], *list(ways)[: number % 3]]
            took = {way: bench.timed(ways[way]) for way in order}
            rows.append({way: took[way] for way in ways} | {"imported_cpu_s": processor[0]})
        again = bench.timed(lambda: [imported(files[0].parent, confirmed, receiver) for files in parts])
        assert len(store.confirmed()) == (labels if confirmed else 0)
    total = {name: sum(float(str(row[name])) for row in rows) for name in rows[0]}
    return {
        "labels": labels,
        "size": given.size,
        "confirmed": confirmed,
        "megabytes": sum(file.stat().st_size for files in parts for file in files) / 1e6,
        **total,
        "second_run_s": again,
        "ratio": total["imported_s"] / total["copied_flushed_s"],
        "parts": rows,
    }


KIND = {"dest": "kind", "choices": ("confirmed", "suggestion"), "default": "confirmed"}
if __name__ == "__main__":
    disk = (Path, "on the disk to be measured")
    bench.main(
        __doc__, measure, {"--labels": 1000, "--size": 64, "--parts": 5, "--as": KIND, "--folder": disk}
    )
