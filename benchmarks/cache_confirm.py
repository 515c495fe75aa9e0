"""What confirming a case costs at 512x512x300, against SimpleITK's compressed NRRD.

    python benchmarks/cache_confirm.py [--repeats 5] [--folder DIR] [--json FILE]

A confirmation here is everything until it may be called durable: checks, hashes, both mask files, record,
flushes, renames, reading back, the index. SimpleITK writes a compressed NRRD of the same mask, unflushed.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import bench
import numpy as np
import SimpleITK as sitk

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image

SHAPE = (300, 512, 512)
GEOMETRY = Geometry(SHAPE, (0.7, 0.7, 1.0))


def a_volume() -> tuple[np.ndarray, np.ndarray]:
    """A CT-like int16 volume with noise, and the mask of a large lumpy organ in it."""
    generator = np.random.default_rng(0)
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE)
    k, j, i = k[:, None, None], j[None, :, None], i[None, None, :]
    radius = np.sqrt((k / 0.5) ** 2 + (j / 0.45) ** 2 + (i / 0.55) ** 2)
    lumps = 0.08 * (np.sin(14 * k) + np.sin(17 * j + 3 * k) + np.sin(15 * i))
    mask = (radius + lumps < 1).astype(np.uint8)
    voxels = np.where(radius < 1.7, 40, -1000) + 60 * mask + generator.normal(0, 12, SHAPE).astype(np.float32)
    return voxels.astype(np.int16), mask


def simpleitk_nrrd(path: Path, voxels: np.ndarray) -> None:
    """Write a compressed NRRD as SimpleITK does by default."""
    volume = sitk.GetImageFromArray(voxels)
    volume.SetSpacing(GEOMETRY.spacing_ijk_mm)
    sitk.WriteImage(volume, str(path), useCompression=True)


def size_mb(path: Path) -> float:
    """Size of a file, or of all files in a folder, in MB."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return round(sum(p.stat().st_size for p in files) / 1e6, 3)


def measure(given: bench.Options, folder: Path) -> bench.Figures:
    """Times in seconds (median over the repeats) and sizes in MB."""
    voxels, mask = a_volume()
    with CampaignStore.create(folder / "campaign", CampaignManifest("benchmark", 1)) as store:
        add_s = bench.timed(lambda: store.add_case("case", Image(voxels, GEOMETRY)))
        confirm_s = [
            bench.timed(lambda n=n: store.confirm(Confirmation(str(n), "case", mask, note=str(n))))
            for n in range(given.repeats)
        ]
        ref = store.confirmed()[0]
        patch = tuple((n // 2 - 96, n // 2 + 96) for n in SHAPE)
        patch_s = [bench.timed(lambda: store.read_patch(ref.image_hash, patch)) for _ in range(given.repeats)]
        mask_patch_s = [bench.timed(lambda: store.read_mask_patch(ref, patch)) for _ in range(given.repeats)]
        sizes = (size_mb(store.folder / "images"), size_mb(store.folder / ref.folder))
    mask_s = [bench.timed(lambda: simpleitk_nrrd(folder / "mask.nrrd", mask)) for _ in range(given.repeats)]
    image_s = bench.timed(lambda: simpleitk_nrrd(folder / "image.nrrd", voxels))
    return {
        "confirm_s": statistics.median(confirm_s),
        "simpleitk_mask_s": statistics.median(mask_s),
        "version_mb": sizes[1],
        "simpleitk_mask_mb": size_mb(folder / "mask.nrrd"),
        "add_case_s": add_s,
        "simpleitk_image_s": image_s,
        "image_mb": sizes[0],
        "simpleitk_image_mb": size_mb(folder / "image.nrrd"),
        "image_raw_mb": voxels.nbytes / 1e6,
        "read_patch_192_s": statistics.median(patch_s),
        "read_mask_patch_192_s": statistics.median(mask_patch_s),
    }


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--repeats": 5, "--folder": (Path, "a folder on the disk to be measured")})
