"""Makes the volumes that Slicer's Sample Data module offers for this module: six capsules and a thumbnail.

python scripts/make_sample_data.py

They are the first cases of the generated task ``capsules``, as 8-bit volumes with gzip inside, so that all
six are smaller than one clinical image; nobody's data, and free for any use. Run it where the project is
installed (`.venv` after scripts/test.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image as Picture

from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom
from clopa_annotator.types import Image

RESOURCES = Path(__file__).resolve().parent.parent / "CLoPAAnnotator" / "Resources"
FOLDER = RESOURCES / "SampleData"
THUMBNAIL = RESOURCES / "Icons" / "CLoPACapsules.png"
COUNT, FIRST_SEED = 6, 3_000_009
STEP = 6
"""Phantoms reach from 0 to about 1,500 with a noise of 50; in steps of 6 that fits 8 bits."""


def sample(number: int) -> Image:
    """One capsule; its voxels (k, j, i) are whole numbers from 0 to 255."""
    image, _ = make_phantom(PhantomSpec(), FIRST_SEED + number)
    voxels = np.clip(np.rint(image.voxels / STEP), 0, 255).astype(np.uint8)
    return Image(voxels, image.geometry)


def name_of(number: int) -> str:
    """The file's name; cases are counted from 1."""
    return f"capsule-{number + 1}.nrrd"


def write(image: Image, path: Path) -> None:
    """Write a volume with its geometry (LPS, mm)."""
    volume = sitk.GetImageFromArray(image.voxels)
    geometry = image.geometry
    volume.SetSpacing(geometry.spacing_ijk_mm)
    volume.SetOrigin(geometry.origin_lps_mm)
    volume.SetDirection(geometry.direction)
    sitk.WriteImage(volume, str(path), useCompression=True)


def thumbnail(image: Image) -> Picture.Image:
    """The middle slice, 260 x 280 pixels, few greys."""
    plane = image.voxels[image.voxels.shape[0] // 2]
    picture = Picture.fromarray(plane).resize((260, 280), Picture.Resampling.BICUBIC)
    return picture.quantize(24, dither=Picture.Dither.NONE)


def main() -> None:
    """Write the volumes and the thumbnail."""
    FOLDER.mkdir(exist_ok=True)
    for number in range(COUNT):
        write(sample(number), FOLDER / name_of(number))
    thumbnail(sample(0)).save(THUMBNAIL, optimize=True)
    size = sum(path.stat().st_size for path in FOLDER.glob("*.nrrd"))
    print(f"{COUNT} volumes, {size / 1000:.0f} kB; thumbnail {THUMBNAIL.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
